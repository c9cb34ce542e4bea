//! Gmail's errors, by what has to be done about them.
//!
//! The envelope is `{"error": {"code", "message", "errors": [{"reason"}], "status"}}`, but
//! infrastructure answers with HTML, and the time to wait stands in a header, or in the text only
//! (`User-rate limit exceeded.  Retry after 2023-03-07T18:03:15.961Z`).

use mail_parser::DateTime;
use serde::Deserialize;

use crate::{
    contract::{FailureKind, Problem},
    ports::Failure,
};

/// How long to stay away when Gmail does not say, in milliseconds.
const DEFAULT_WAIT: u64 = 60_000;
/// Google's day ends at midnight Pacific time, which is at this time UTC or an hour before, in milliseconds
/// since midnight (<https://docs.cloud.google.com/docs/quotas/overview>).
const END_OF_DAY: u64 = 8 * 3_600_000;
/// Longest wait believed, in milliseconds: a day. Longer ones are misread dates.
const LONGEST_WAIT: u64 = 24 * 3_600_000;
/// Longest text of Gmail that is passed on, in characters.
const MAX_TEXT: usize = 300;

/// What a rate limit stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateScope {
    /// Everything for this mailbox.
    Mailbox,
    /// Sending from this mailbox.
    Sending,
    /// Everything for the project.
    Project,
    /// Too many requests at the same time.
    Concurrency,
}

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GmailError {
    /// There is no such thing (any more).
    #[error("not found")]
    Gone,
    /// Asked to wait.
    #[error("rate limited until {until}")]
    RateLimited {
        /// Until when, ms since the epoch.
        until: u64,
        /// What it stops.
        scope: RateScope,
    },
    /// S07: the grant is gone.
    #[error("the user has to reconnect")]
    ReconnectNeeded,
    /// The grant lacks the scope for this call.
    #[error("the grant lacks a scope")]
    ScopeMissing,
    /// The account has no Gmail, or an administrator or the operator has turned the API off.
    #[error("mailbox unavailable: {0}")]
    MailboxUnavailable(String),
    /// Refused for the request's own sake; repeating it changes nothing.
    #[error("refused ({status}): {message}")]
    Refused {
        /// HTTP status code.
        status: u16,
        /// Gmail's words.
        message: String,
    },
    /// The request was too large.
    #[error("too large")]
    TooLarge,
    /// A limit of the sandbox or the host's rules.
    #[error("denied by the host: {0}")]
    Denied(String),
    /// No answer, or one that says nothing about the request.
    #[error("unavailable: {message}")]
    Unavailable {
        /// What is known.
        message: String,
        /// Whether Gmail may have done what was asked.
        outcome: Outcome,
    },
}

/// Whether a request without a good answer may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It cannot have.
    NotDone,
    /// It may have.
    Unknown,
}

impl GmailError {
    /// In the words of the contract.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::RateLimited { until, .. } => Problem::RateLimited(until),
            Self::ReconnectNeeded => Problem::ReconnectNeeded,
            Self::ScopeMissing => Problem::ScopeMissing(vec![super::SCOPE_MODIFY.to_owned()]),
            Self::MailboxUnavailable(text) => Problem::MailboxUnavailable(text),
            Self::Denied(rule) => Problem::PluginOverBudget(rule),
            Self::Gone => Problem::ProviderUnavailable("not found".to_owned()),
            Self::TooLarge => Problem::ProviderUnavailable("too large".to_owned()),
            Self::Refused { message, .. } | Self::Unavailable { message, .. } => {
                Problem::ProviderUnavailable(message)
            }
        }
    }
}

impl From<Failure> for GmailError {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            FailureKind::ReconnectNeeded => Self::ReconnectNeeded,
            FailureKind::Denied(denial) => Self::Denied(format!("{denial:?}")),
            kind => Self::Unavailable {
                message: format!("{kind:?}"),
                outcome: if failure.request_sent {
                    Outcome::Unknown
                } else {
                    Outcome::NotDone
                },
            },
        }
    }
}

#[derive(Default, Deserialize)]
struct Envelope {
    #[serde(default)]
    error: Details,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Item>,
}

#[derive(Default, Deserialize)]
struct Item {
    #[serde(default)]
    reason: String,
}

/// What an answer that is not a success means. `retry_after` is the header's value, `now` in ms since
/// the epoch.
pub(crate) fn classify(status: u16, retry_after: Option<&str>, body: &[u8], now: u64) -> GmailError {
    let details = serde_json::from_slice::<Envelope>(body).unwrap_or_default().error;
    let reason = details.errors.first().map_or("", |item| item.reason.as_str());
    let message: String = details.message.chars().take(MAX_TEXT).collect();
    let limited = |scope, otherwise| GmailError::RateLimited {
        until: wait_until(retry_after, &message, now, otherwise),
        scope,
    };
    let soon = now + DEFAULT_WAIT;
    match (status, reason) {
        (404 | 410, _) => GmailError::Gone,
        (413, _) => GmailError::TooLarge,
        (429 | 403, "dailyLimitExceeded") => limited(RateScope::Project, end_of_day(now)),
        (429, _) | (403, "rateLimitExceeded" | "userRateLimitExceeded") => {
            limited(rate_scope(&message), soon)
        }
        (403, "quotaExceeded") => limited(RateScope::Project, soon),
        // Without a reason the words decide: a spent minute is not a mailbox that is turned off.
        (403, "") if message.starts_with("Quota exceeded") => limited(rate_scope(&message), soon),
        (403, "insufficientPermissions") => GmailError::ScopeMissing,
        // Domain policy, delegation, a project without the API: it is about the account, never about one message.
        (403, _) if !message.is_empty() => GmailError::MailboxUnavailable(message),
        (400, "failedPrecondition") if message.contains("Mail service not enabled") => {
            GmailError::MailboxUnavailable(message)
        }
        // "Precondition check failed." passes; a 401 after the host's refresh passes too (S07: never a disconnect).
        (400, "failedPrecondition") | (401, _) => unavailable(status, &message, Outcome::NotDone),
        (400..=499, _) if !message.is_empty() => GmailError::Refused { status, message },
        _ => unavailable(status, &message, Outcome::Unknown),
    }
}

fn unavailable(status: u16, message: &str, outcome: Outcome) -> GmailError {
    let message = if message.is_empty() {
        format!("HTTP status {status}")
    } else {
        format!("{status}: {message}")
    };
    GmailError::Unavailable { message, outcome }
}

fn rate_scope(message: &str) -> RateScope {
    if message.contains("Mail sending") {
        RateScope::Sending
    } else if message.contains("concurrent") {
        RateScope::Concurrency
    } else {
        RateScope::Mailbox
    }
}

/// The later of what header and text say; if neither says anything, `otherwise`.
fn wait_until(retry_after: Option<&str>, message: &str, now: u64, otherwise: u64) -> u64 {
    let header = retry_after.and_then(|value| header_time(value, now));
    let said = header.max(time_in_text(message));
    said.unwrap_or(otherwise).clamp(now + 1_000, now + LONGEST_WAIT)
}

fn end_of_day(now: u64) -> u64 {
    const DAY: u64 = 24 * 3_600_000;
    (now + DAY - END_OF_DAY) / DAY * DAY + END_OF_DAY
}

/// RFC 9110, 10.2.3: seconds or a date.
fn header_time(value: &str, now: u64) -> Option<u64> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(now.saturating_add(seconds.saturating_mul(1_000))),
        Err(_) => milliseconds(&DateTime::parse_rfc822(value)?),
    }
}

/// To the next second: who comes before the time puts it off.
fn time_in_text(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("etry after ")?;
    let time = rest.split_whitespace().next()?.trim_end_matches('.');
    Some(milliseconds(&DateTime::parse_rfc3339(time)?)? + 1_000)
}

fn milliseconds(time: &DateTime) -> Option<u64> {
    time.is_valid()
        .then(|| u64::try_from(time.to_timestamp()).ok())
        .flatten()?
        .checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_678_212_000_000; // 2023-03-07T18:00:00Z

    fn envelope(reason: &str, message: &str) -> Vec<u8> {
        serde_json::json!({"error": {"code": 0, "message": message, "errors": [{"reason": reason}]}})
            .to_string()
            .into_bytes()
    }

    fn until(error: &GmailError) -> u64 {
        match error {
            GmailError::RateLimited { until, .. } => *until,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_time_to_wait_is_read_from_the_message_text() {
        let body = envelope(
            "rateLimitExceeded",
            "User-rate limit exceeded.  Retry after 2023-03-07T18:03:15.961Z",
        );
        assert_eq!(until(&classify(429, None, &body, NOW)), NOW + 196_000);
    }

    #[test]
    fn the_time_to_wait_is_read_from_the_header_as_seconds_or_date() {
        let body = envelope("rateLimitExceeded", "Rate Limit Exceeded");
        assert_eq!(until(&classify(403, Some("120"), &body, NOW)), NOW + 120_000);
        let date = Some("Tue, 07 Mar 2023 18:05:00 GMT");
        assert_eq!(until(&classify(429, date, &body, NOW)), NOW + 300_000);
    }

    #[test]
    fn a_403_is_told_apart_by_its_reason() {
        let scope = |reason, message| match classify(403, None, &envelope(reason, message), NOW) {
            GmailError::RateLimited { scope, .. } => Ok(scope),
            other => Err(other),
        };
        assert_eq!(
            scope("userRateLimitExceeded", "User Rate Limit Exceeded"),
            Ok(RateScope::Mailbox)
        );
        assert_eq!(
            scope("dailyLimitExceeded", "Daily Limit Exceeded"),
            Ok(RateScope::Project)
        );
        assert_eq!(
            scope("insufficientPermissions", "scopes"),
            Err(GmailError::ScopeMissing)
        );
        assert!(matches!(
            scope("domainPolicy", "no"),
            Err(GmailError::MailboxUnavailable(_))
        ));
        assert!(matches!(
            scope("forbidden", "Delegation denied"),
            Err(GmailError::MailboxUnavailable(_))
        ));
    }

    #[test]
    fn a_mail_sending_limit_stops_sending_only() {
        let body = envelope(
            "rateLimitExceeded",
            "User-rate limit exceeded.  Retry after 2023-03-07T19:00:00Z (Mail sending)",
        );
        assert!(matches!(
            classify(429, None, &body, NOW),
            GmailError::RateLimited {
                scope: RateScope::Sending,
                ..
            }
        ));
    }

    #[test]
    fn html_from_the_infrastructure_leaves_the_outcome_unknown() {
        let error = classify(502, None, b"<html><title>502</title>", NOW);
        assert!(matches!(
            error,
            GmailError::Unavailable {
                outcome: Outcome::Unknown,
                ..
            }
        ));
    }

    #[test]
    fn s07_a_passing_401_is_not_a_lost_grant() {
        let error = classify(401, None, &envelope("authError", "Invalid Credentials"), NOW);
        assert!(matches!(
            error,
            GmailError::Unavailable {
                outcome: Outcome::NotDone,
                ..
            }
        ));
    }

    #[test]
    fn of_two_times_to_wait_the_later_one_counts() {
        let body = envelope("rateLimitExceeded", "Retry after 2023-03-07T18:03:15Z");
        assert_eq!(until(&classify(429, Some("600"), &body, NOW)), NOW + 600_000);
        assert_eq!(until(&classify(429, Some("1"), &body, NOW)), NOW + 196_000);
    }

    #[test]
    fn a_spent_day_ends_at_midnight_in_california() {
        let body = envelope("dailyLimitExceeded", "Daily Limit Exceeded");
        let eight_in_the_morning = NOW + 14 * 3_600_000;
        assert_eq!(until(&classify(403, None, &body, NOW)), eight_in_the_morning);
        let just_before = eight_in_the_morning - 1;
        assert_eq!(
            until(&classify(403, None, &body, just_before)),
            eight_in_the_morning + 999
        );
        assert_eq!(
            until(&classify(403, None, &body, eight_in_the_morning)),
            eight_in_the_morning + LONGEST_WAIT
        );
    }

    #[test]
    fn a_spent_minute_without_a_reason_is_no_mailbox_that_is_turned_off() {
        let body = br#"{"error": {"code": 403, "message": "Quota exceeded for quota metric 'Queries'"}}"#;
        assert_eq!(until(&classify(403, None, body, NOW)), NOW + DEFAULT_WAIT);
    }

    #[test]
    fn a_misread_date_never_stops_a_mailbox_for_more_than_a_day() {
        let body = envelope("rateLimitExceeded", "Retry after 2999-01-01T00:00:00Z");
        assert_eq!(until(&classify(429, None, &body, NOW)), NOW + LONGEST_WAIT);
    }
}
