//! What each kind of fault does: its answer, its damage to the answer, its change of a switch, its event.

use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::FaultKind;
use crate::behaviour::{Behaviour, HistoryLabels, HistoryOrder};
use crate::errors::{ApiError, QuotaOf, Service, bytes_response, json_response};
use crate::headers::http_date;
use crate::oauth::TokenFlaw;
use crate::wire::Wire;
use crate::world::World;

impl FaultKind {
    /// What the client gets from a fault that is an answer.
    pub(super) fn answer(self, world: &World, mailbox: &str, service: Service) -> Response<Bytes> {
        let now = world.now();
        let later = |ms: i64| now.saturating_add(ms);
        match self {
            Self::Html | Self::HtmlAfter => return html(502, "Server Error"),
            Self::HtmlUnavailable => return html(503, "Service Unavailable"),
            Self::HtmlBadRequest => return html(400, "Bad Request"),
            Self::DropBefore | Self::DropAfter => return marked(Wire::Dropped),
            Self::SilentBefore | Self::SilentAfter => return marked(Wire::Silent),
            Self::InvalidGrant => return token_refusal(400, "invalid_grant", None),
            Self::InvalidRapt => return token_refusal(400, "invalid_grant", Some("invalid_rapt")),
            Self::InvalidClient => return token_refusal(401, "invalid_client", None),
            Self::RetryAfterSeconds(ms) => {
                let seconds = ms.saturating_add(999).div_euclid(1000);
                return with_retry_after(&seconds.to_string(), service, world);
            }
            Self::RetryAfterDate(ms) => return with_retry_after(&http_date(later(ms)), service, world),
            _ => {}
        }
        self.refusal(world, mailbox, service).response_of(service, world)
    }

    fn refusal(self, world: &World, mailbox: &str, service: Service) -> ApiError {
        let later = |ms: i64| world.now().saturating_add(ms);
        let project = world.clients.first().map_or(0, |client| client.project);
        match self {
            Self::BackendBefore(code) | Self::BackendAfter(code) => ApiError::backend(code),
            Self::PreconditionFailed => ApiError::precondition("Precondition check failed."),
            Self::MailServiceOff => ApiError::precondition("Mail service not enabled"),
            Self::NotFound => ApiError::not_found(),
            Self::Gone => ApiError::gone(),
            Self::Unauthorized | Self::UnauthorizedStorm(_) => ApiError::invalid_credentials(),
            Self::InsufficientScope => ApiError::scope_insufficient(service, "gmail"),
            Self::DelegationDenied => ApiError::forbidden(format!("Delegation denied for {mailbox}")),
            Self::AccessNotConfigured => ApiError::not_configured(service, project),
            Self::DomainPolicy => ApiError::domain_policy(),
            Self::DailyLimit => ApiError::usage(403, "dailyLimitExceeded", "Daily Limit Exceeded"),
            Self::QuotaExceeded => ApiError::usage(403, "quotaExceeded", "Quota exceeded."),
            Self::UserQuota => ApiError::quota_forbidden(QuotaOf::User.message(service, project)),
            Self::ProjectQuota => ApiError::quota_forbidden(QuotaOf::Project.message(service, project)),
            Self::RateForbidden => ApiError::quota_forbidden("Rate Limit Exceeded"),
            Self::RateLimited => ApiError::usage(403, "userRateLimitExceeded", "User Rate Limit Exceeded"),
            Self::QuotaTooMany => ApiError::minute_spent(service, project),
            Self::UserRateTooMany => {
                ApiError::usage(429, "userRateLimitExceeded", "User Rate Limit Exceeded")
            }
            Self::ResourceExhausted => ApiError::too_many("Resource has been exhausted (e.g. check quota)."),
            Self::Concurrent => ApiError::concurrent(),
            Self::RetryAfter(ms) => ApiError::too_many(retry_after_text(later(ms))),
            Self::MailSending(ms) => {
                ApiError::too_many(format!("{} (Mail sending)", retry_after_text(later(ms))))
            }
            Self::TopicForbidden => ApiError::forbidden(
                "Error sending test message to Cloud PubSub projects/p/topics/t : User not authorized to perform this \
                 action.",
            ),
            Self::TopicMissing => ApiError::not_found_as(
                "Error sending test message to Cloud PubSub projects/p/topics/t : Resource not found \
                 (resource=t).",
            ),
            // The rest are no refusals: their stages do not ask for one.
            _ => ApiError::backend(500),
        }
    }

    /// What a fault of stage `Wire` does to the answer.
    pub(super) fn wire(self) -> Option<Wire> {
        let bytes = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        match self {
            Self::CutBody(at) => Some(Wire::CutAt(bytes(at))),
            Self::TruncatedBody(at) => Some(Wire::Truncated(bytes(at))),
            Self::SlowBody(chunk, ms) => Some(Wire::Slow {
                chunk: bytes(chunk),
                per_chunk_ms: u64::from(ms),
            }),
            _ => None,
        }
    }

    /// The switch that a fault of stage `Twist` turns.
    pub(super) fn twist(self, behaviour: &mut Behaviour) {
        match self {
            Self::HistoryEmptyPage => behaviour.history_empty_pages = true,
            Self::HistoryShuffled => behaviour.history_order = HistoryOrder::Shuffled,
            Self::HistoryPagesSwapped => behaviour.history_order = HistoryOrder::PagesSwapped,
            Self::HistoryRepeated => behaviour.history_duplicates = true,
            Self::HistoryLabelsAbsent => behaviour.history_labels = HistoryLabels::Absent,
            Self::HistoryLag(ms) => behaviour.history_lag_ms = ms,
            Self::SearchLag(ms) => behaviour.search_lag_ms = ms,
            Self::ContactsLag(ms) => behaviour.contacts_lag_ms = ms,
            Self::ImportIdChanged => behaviour.import_id_changes = true,
            _ => {}
        }
    }

    /// The forged push that a fault of stage `Push` adds.
    pub(crate) fn token_flaw(self) -> Option<TokenFlaw> {
        Some(match self {
            Self::PushWrongKey => TokenFlaw::WrongKey,
            Self::PushUnknownKey => TokenFlaw::UnknownKey,
            Self::PushUnsigned => TokenFlaw::Unsigned,
            Self::PushWrongAudience => TokenFlaw::WrongAudience,
            Self::PushWrongEmail => TokenFlaw::WrongEmail,
            Self::PushUnverifiedEmail => TokenFlaw::UnverifiedEmail,
            Self::PushWrongIssuer => TokenFlaw::WrongIssuer,
            Self::PushExpired => TokenFlaw::Expired,
            Self::PushNotYetValid => TokenFlaw::NotYetValid,
            Self::PushWithoutToken => TokenFlaw::Missing,
            _ => return None,
        })
    }

    /// What a fault of stage `Event` makes happen before the request.
    pub(crate) fn happen(self, world: &mut World, mailbox: &str) {
        match self {
            Self::SentButBounced => world.next_send_is_lost = true,
            Self::HistoryExpired => {
                if let Some(account) = world.accounts.get_mut(mailbox) {
                    account.history.expire_all();
                }
            }
            Self::SyncTokensExpired => {
                if let Some(account) = world.accounts.get_mut(mailbox) {
                    account.contacts.expire_sync_tokens();
                }
            }
            Self::PageTokensExpired => {
                if let Some(account) = world.accounts.get_mut(mailbox) {
                    account.contacts.expire_page_tokens();
                }
            }
            Self::Blocked(ms) => {
                let until = world.now().saturating_add(ms);
                if let Some(account) = world.accounts.get_mut(mailbox) {
                    account.blocked_until = Some(until);
                }
            }
            Self::SendingBlocked(ms) => {
                let until = world.now().saturating_add(ms);
                if let Some(account) = world.accounts.get_mut(mailbox) {
                    account.sending_blocked_until = Some(until);
                }
            }
            Self::ClockForward(ms) => world.jump_clock(ms),
            Self::ClockBackward(ms) => world.jump_clock(ms.saturating_neg()),
            Self::AccessTokensExpired => world.oauth.expire_access(mailbox),
            Self::PasswordChanged => world.oauth.password_changed(mailbox),
            Self::ConsentWithdrawn => world.oauth.withdraw(mailbox, None),
            Self::KeysRotated => world.oauth.rotate_keys(),
            _ => {}
        }
    }
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

fn marked(wire: Wire) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    response.extensions_mut().insert(wire);
    response
}

fn with_retry_after(value: &str, service: Service, world: &World) -> Response<Bytes> {
    let mut response = ApiError::too_many("Rate Limit Exceeded").response_of(service, world);
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// A page of Google's front end.
fn html(code: u16, title: &str) -> Response<Bytes> {
    let page = format!(
        "<!DOCTYPE html><html lang=en><title>Error {code} ({title})!!1</title><p><b>{code}.</b> That's an error."
    );
    bytes_response(code, "text/html; charset=UTF-8", page)
}

/// RFC 6749, section 5.2.
fn token_refusal(code: u16, error: &str, subtype: Option<&str>) -> Response<Bytes> {
    let mut body = json!({"error": error, "error_description": "Token has been expired or revoked."});
    if error == "invalid_client" {
        body["error_description"] = json!("Unauthorized");
    }
    if let Some(subtype) = subtype {
        body["error_description"] = json!("reauth related error (invalid_rapt)");
        body["error_subtype"] = json!(subtype);
    }
    json_response(code, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_in_the_text() {
        assert_eq!(
            retry_after_text(1_678_212_195_961),
            "User-rate limit exceeded.  Retry after 2023-03-07T18:03:15.961Z"
        );
    }
}
