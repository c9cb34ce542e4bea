//! Faults on order: what a test wants to go wrong, for which mailbox and method, and how often.
//!
//! A fault says whether it strikes before or after the request took effect, because that is the difference which a
//! client has to survive. Nothing here is random: a simulation decides by its own seed.

use axum::http::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::errors::{ApiError, bytes_response};

/// A fault that waits for requests it applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Only requests of this mailbox.
    #[serde(default)]
    pub mailbox: Option<String>,
    /// Only this method (`messages.send`), or `token` for the token endpoint.
    #[serde(default)]
    pub method: Option<String>,
    /// How many matching requests pass before it strikes.
    #[serde(default)]
    pub skip: u32,
    /// How many requests it strikes.
    #[serde(default = "once")]
    pub times: u32,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// 500, 502, 503 or 504 `backendError`; nothing happened.
    BackendBefore(u16),
    /// The same, but the request has taken effect.
    BackendAfter(u16),
    /// 502 with an HTML page; nothing happened.
    Html,
    /// 429 with "Retry after" in the text, this many milliseconds from now.
    RetryAfter(i64),
    /// 403 `userRateLimitExceeded`.
    RateLimited,
    /// 429 "Too many concurrent requests for user".
    Concurrent,
    /// 401 for a good token.
    Unauthorized,
    /// The connection is cut; nothing happened.
    DropBefore,
    /// The connection is cut after the request has taken effect.
    DropAfter,
}

/// Marks (as an extension) an answer which the server must not write: it cuts the connection instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped;

impl Fault {
    /// A fault of a kind that strikes the next request of a method.
    pub fn next(method: &str, kind: FaultKind) -> Self {
        Self {
            mailbox: None,
            method: Some(method.to_owned()),
            skip: 0,
            times: 1,
            kind,
        }
    }
}

impl FaultKind {
    /// Whether the request is carried out all the same.
    pub(crate) fn after_effect(self) -> bool {
        matches!(self, Self::BackendAfter(_) | Self::DropAfter)
    }

    /// What the client gets.
    pub(crate) fn response(self, now: i64) -> Response<Bytes> {
        match self {
            Self::BackendBefore(code) | Self::BackendAfter(code) => ApiError::backend(code).response(),
            Self::Html => bytes_response(
                502,
                "text/html; charset=UTF-8",
                "<!DOCTYPE html><html lang=en><title>Error 502 (Server Error)!!1</title><p><b>502.</b> That's an error.",
            ),
            Self::RetryAfter(ms) => ApiError::too_many(retry_after_text(now.saturating_add(ms))).response(),
            Self::RateLimited => ApiError::user_rate_limit().response(),
            Self::Concurrent => ApiError::too_many("Too many concurrent requests for user").response(),
            Self::Unauthorized => ApiError::invalid_credentials().response(),
            Self::DropBefore | Self::DropAfter => {
                let mut response = Response::new(Bytes::new());
                response.extensions_mut().insert(Dropped);
                response
            }
        }
    }
}

/// The fault that strikes this request, if any; counts it.
pub(crate) fn strike(faults: &mut Vec<Fault>, mailbox: &str, method: &str) -> Option<FaultKind> {
    let position = faults.iter().position(|fault| {
        fault
            .mailbox
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(mailbox))
            && fault.method.as_ref().is_none_or(|wanted| wanted == method)
            && fault.times > 0
    })?;
    let fault = faults.get_mut(position)?;
    if fault.skip > 0 {
        fault.skip -= 1;
        return None;
    }
    fault.times -= 1;
    let kind = fault.kind;
    if fault.times == 0 {
        faults.remove(position);
    }
    Some(kind)
}

/// Gmail's wording, with its two blanks before "Retry".
pub(crate) fn retry_after_text(until_ms: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(until_ms) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_default();
    format!("User-rate limit exceeded.  Retry after {text}")
}

fn once() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_after_its_skips_and_then_is_gone() {
        let mut faults = vec![Fault {
            skip: 1,
            ..Fault::next("messages.get", FaultKind::Html)
        }];
        assert_eq!(strike(&mut faults, "a@b.c", "messages.list"), None);
        assert_eq!(strike(&mut faults, "a@b.c", "messages.get"), None);
        assert_eq!(
            strike(&mut faults, "a@b.c", "messages.get"),
            Some(FaultKind::Html)
        );
        assert_eq!(strike(&mut faults, "a@b.c", "messages.get"), None);
        assert!(faults.is_empty());
    }

    #[test]
    fn the_time_is_in_the_text() {
        assert_eq!(
            retry_after_text(1_678_212_195_961),
            "User-rate limit exceeded.  Retry after 2023-03-07T18:03:15.961Z"
        );
    }
}
