//! Spans: what a pass, a request and a call of the CRM took, for whoever subscribes to [`TARGET`].
//!
//! No span holds what came from a guest, a person or a provider as it came: names are of this crate or on
//! a list, and whatever is not on it is `{}`. So no token, address, subject or body is in any. Without a
//! subscriber a span is one comparison.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use tracing::{Instrument, Span, field::Empty, info_span};
use url::Url;

use crate::{
    contract::{Report, Trigger},
    crm::CrmError,
    egress::FailureKind,
    problem,
};

/// The target of all spans here, and of nothing else.
pub const TARGET: &str = "twinbox::span";

/// The words of Gmail's and the address book's paths. Every other segment is an id, or not known to be none.
const WORDS: &[&str] = &[
    "attachments",
    "batch",
    "batchModify",
    "connections",
    "drafts",
    "gmail",
    "history",
    "import",
    "labels",
    "me",
    "messages",
    "modify",
    "otherContacts",
    "people",
    "profile",
    "send",
    "sendAs",
    "settings",
    "stop",
    "threads",
    "trash",
    "untrash",
    "upload",
    "users",
    "v1",
    "watch",
];

/// A pass. [`chose`] and [`ended`] say the rest.
pub(crate) fn pass(trigger: &Trigger) -> Span {
    let trigger = match trigger {
        Trigger::Schedule => "schedule",
        Trigger::Push(_) => "push",
        Trigger::Outbound => "outbound",
        Trigger::CrmChange => "crm-change",
        Trigger::Manual => "manual",
        Trigger::Reconnected => "reconnected",
        Trigger::Retract => "retract",
    };
    info_span!(target: TARGET, "pass", trigger, plugin.version = Empty, result = Empty)
}

/// The version of the plugin that runs the pass of the current span.
pub(crate) fn chose(version: &str) {
    Span::current().record("plugin.version", version);
}

/// How the pass of the current span ended: `done`, or the code of what stopped it.
pub(crate) fn ended<E>(report: &Result<Report, E>) {
    let result = match report {
        Ok(report) => report.problem.as_ref().map_or("done", problem::code),
        Err(_) => "failed",
    };
    Span::current().record("result", result);
}

/// A request that goes out. [`granted`] and [`answered`] say the rest.
pub(crate) fn request() -> Span {
    info_span!(
        target: TARGET,
        "request",
        otel.kind = "client",
        http.request.method = Empty,
        server.address = Empty,
        url.template = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// The request of the current span may be made: its host is one that the operator grants.
pub(crate) fn granted(method: &str, url: &Url) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("http.request.method", method);
    span.record("server.address", url.host_str().unwrap_or_default());
    span.record("url.template", template(url.path()));
}

/// What became of a request: its status, or why it has none.
pub(crate) fn answered(span: &Span, status: Result<u16, &FailureKind>) {
    let kind = match status {
        Ok(status) => {
            span.record("http.response.status_code", status);
            return;
        }
        Err(FailureKind::Denied(_)) => "denied",
        Err(FailureKind::ReconnectNeeded) => "reconnect-needed",
        Err(FailureKind::CredentialUnavailable) => "credential-unavailable",
        Err(FailureKind::Dns) => "dns",
        Err(FailureKind::Connect) => "connect",
        Err(FailureKind::Tls) => "tls",
        Err(FailureKind::Timeout) => "timeout",
        Err(FailureKind::Interrupted) => "interrupted",
        Err(FailureKind::Protocol) => "protocol",
        Err(FailureKind::Other(_)) => "other",
    };
    span.record("error.type", kind);
}

/// A call of the CRM, by its name in the contract. [`called`] says the rest.
pub(crate) fn crm(call: &'static str) -> Span {
    info_span!(target: TARGET, "crm", call, result = Empty)
}

/// What became of a call of the CRM.
pub(crate) fn called<T>(span: &Span, answer: &Result<T, CrmError>) {
    let result = match answer {
        Ok(_) => "done",
        Err(CrmError::Unavailable(_)) => "unavailable",
        Err(CrmError::RateLimited(_)) => "rate-limited",
        Err(CrmError::NotFound) => "not-found",
        Err(CrmError::Unsupported) => "unsupported",
        Err(CrmError::Refused(_)) => "refused",
    };
    span.record("result", result);
}

/// Middleware: a span for each request that comes in.
pub async fn inbound(request: Request, next: Next) -> Response {
    let span = info_span!(
        target: TARGET,
        "inbound",
        otel.kind = "server",
        http.request.method = Empty,
        http.route = Empty,
        http.response.status_code = Empty,
    );
    if span.is_disabled() {
        return next.run(request).await;
    }
    span.record("http.request.method", known_method(request.method().as_str()));
    let route = request.extensions().get::<MatchedPath>();
    span.record("http.route", route.map_or("none", MatchedPath::as_str));
    let answer = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", answer.status().as_u16());
    answer
}

/// Methods are words that the other side may make up.
fn known_method(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    METHODS
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("_OTHER")
}

/// A path with `{}` for each segment that is not one of [`WORDS`].
fn template(path: &str) -> String {
    let known = |segment| match segment {
        "" => "",
        word if WORDS.contains(&word) => word,
        _ => "{}",
    };
    let segments: Vec<_> = path.split('/').map(known).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_shows_words_and_hides_whatever_else_it_has() {
        assert_eq!(
            template("/gmail/v1/users/me/messages/18f2a/attachments/ANGjdJ"),
            "/gmail/v1/users/me/messages/{}/attachments/{}"
        );
        assert_eq!(
            template("/gmail/v1/users/ann@example.com/profile"),
            "/gmail/v1/users/{}/profile"
        );
        assert_eq!(template("/"), "/");
    }

    #[test]
    fn a_method_that_is_made_up_is_not_shown() {
        assert_eq!(known_method("PATCH"), "PATCH");
        assert_eq!(known_method("ann@example.com"), "_OTHER");
    }
}
