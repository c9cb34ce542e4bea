//! What is not a success: a problem document (RFC 9457) with a stable code.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::{
    crm::CrmError,
    people::PeopleError,
    web::{Failure, Trouble},
};

/// A problem document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:twinbox:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// What happened, one sentence.
    title: String,
    /// The status.
    pub(super) status: u16,
    /// What to do, one sentence.
    detail: String,
    /// Stable, in kebab case.
    code: String,
}

/// What any request may be answered instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) enum Refused {
    /// The request cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// No token, or none that is known.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// It is for administrators.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing in this tenant.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// What it asks for cannot be done.
    #[response(status = 422, content_type = "application/problem+json")]
    Unable(Problem),
    /// The server cannot do it now.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a request that changes something may be answered instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) enum Unchanged {
    /// The request cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// No token, or none that is known.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// It came from another site's page, or is for administrators.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing in this tenant.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// A request with this idempotency key is under way, or something has to happen first.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// It is over a limit.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not of the kind that is described.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(Problem),
    /// What it asks for cannot be done; or its idempotency key was another request's.
    #[response(status = 422, content_type = "application/problem+json")]
    Refused(Problem),
    /// The server cannot do it now.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

impl Problem {
    pub(super) fn new(status: StatusCode, trouble: Trouble) -> Self {
        Self {
            kind: format!("urn:twinbox:problem:{}", trouble.code),
            title: trouble.happened,
            status: status.as_u16(),
            detail: trouble.advice,
            code: trouble.code.to_owned(),
        }
    }

    /// The request cannot be read; why.
    pub(super) fn malformed(status: StatusCode, why: &str) -> Self {
        let why: String = why.chars().filter(|c| !c.is_control()).take(300).collect();
        Self::new(
            status,
            Trouble::new(
                "request-invalid",
                format!("The request cannot be read: {}.", why.trim_end_matches('.')),
                "Compare it with /api/v1/openapi.json.",
            ),
        )
    }

    /// A value is not right.
    pub(super) fn invalid(happened: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            Trouble::new("request-refused", happened, advice),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::new(failure.status(), failure.into_trouble())
    }
}

impl From<CrmError> for Problem {
    fn from(error: CrmError) -> Self {
        Failure::from(error).into()
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        Failure::from(trouble).into()
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        tracing::warn!(%error, "accounts");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Trouble::new(
                "storage-unavailable",
                "The accounts cannot be read or written now.",
                "Try again in a moment.",
            ),
        )
    }
}

pub(super) async fn no_such_thing() -> Problem {
    Failure::not_found().into()
}

pub(super) async fn no_such_method() -> Problem {
    Problem::malformed(
        StatusCode::METHOD_NOT_ALLOWED,
        "this method is not for this address",
    )
}
