//! Google's error envelope, and the refusals that several methods share.
//!
//! `{"error":{"code","message","errors":[{"message","domain","reason"}],"status","details"}}`. Wordings are those seen
//! on live Gmail.

use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use serde_json::{Value, json};

/// A refusal, as the API writes it.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    pub(crate) message: String,
    short: Option<&'static str>,
    domain: &'static str,
    reason: &'static str,
    status: &'static str,
    details: Option<Box<Value>>,
}

impl ApiError {
    fn new(code: u16, reason: &'static str, status: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            short: None,
            domain: "global",
            reason,
            status,
            details: None,
        }
    }

    /// 400 `invalidArgument`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalidArgument", "INVALID_ARGUMENT", message)
    }

    /// 400 `failedPrecondition`.
    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "failedPrecondition", "FAILED_PRECONDITION", message)
    }

    /// 400 for a value outside a parameter's enumeration; `field` in snake case, as Google writes it.
    pub(crate) fn bad_value(field: &str, value: &str) -> Self {
        Self::new(
            400,
            "badRequest",
            "INVALID_ARGUMENT",
            format!("Invalid value at '{field}', \"{value}\""),
        )
    }

    /// 400 `invalidParameter` for `fields`.
    pub(crate) fn invalid_field(name: &str) -> Self {
        Self::new(
            400,
            "invalidParameter",
            "INVALID_ARGUMENT",
            format!("Invalid field selection {name}"),
        )
    }

    /// 401 for a token that is wrong or expired.
    pub(crate) fn invalid_credentials() -> Self {
        let mut error = Self::new(
            401,
            "authError",
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid \
             authentication credential.",
        );
        error.short = Some("Invalid Credentials");
        error
    }

    /// 401 for a request without a token.
    pub(crate) fn login_required() -> Self {
        let mut error = Self::new(
            401,
            "required",
            "UNAUTHENTICATED",
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or \
             other valid authentication credential.",
        );
        error.short = Some("Login Required.");
        error
    }

    /// 403 for a token without the method's scope.
    pub(crate) fn scope_insufficient(method: &str) -> Self {
        let mut error = Self::new(
            403,
            "insufficientPermissions",
            "PERMISSION_DENIED",
            "Request had insufficient authentication scopes.",
        );
        error.short = Some("Insufficient Permission");
        error.details = Some(Box::new(json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "domain": "googleapis.com",
            "metadata": {"service": "gmail.googleapis.com", "method": method},
        }])));
        error
    }

    /// 403 `forbidden`.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "forbidden", "PERMISSION_DENIED", message)
    }

    /// 403 `rateLimitExceeded` in domain `usageLimits`.
    pub(crate) fn quota_forbidden(message: impl Into<String>) -> Self {
        let mut error = Self::new(403, "rateLimitExceeded", "PERMISSION_DENIED", message);
        error.domain = "usageLimits";
        error
    }

    /// 403 or 429 for another reason in domain `usageLimits`.
    pub(crate) fn usage(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let refusal = if code == 429 {
            Self::too_many(message)
        } else {
            Self::quota_forbidden(message)
        };
        Self { reason, ..refusal }
    }

    /// 429 `rateLimitExceeded` in domain `usageLimits`.
    pub(crate) fn too_many(message: impl Into<String>) -> Self {
        let mut error = Self::new(429, "rateLimitExceeded", "RESOURCE_EXHAUSTED", message);
        error.domain = "usageLimits";
        error
    }

    /// 429 for a mailbox with too many requests in work.
    pub(crate) fn concurrent() -> Self {
        Self::too_many("Too many concurrent requests for user")
    }

    /// 403 `domainPolicy`.
    pub(crate) fn domain_policy() -> Self {
        Self::new(
            403,
            "domainPolicy",
            "PERMISSION_DENIED",
            "The domain administrators have disabled Gmail apps.",
        )
    }

    /// 403 `accessNotConfigured` for a project without the Gmail API.
    pub(crate) fn not_configured(project: u64) -> Self {
        let mut error = Self::new(
            403,
            "accessNotConfigured",
            "PERMISSION_DENIED",
            format!("Gmail API has not been used in project {project} before or it is disabled."),
        );
        error.domain = "usageLimits";
        error.details = Some(Box::new(json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SERVICE_DISABLED",
            "domain": "googleapis.com",
            "metadata": {"service": "gmail.googleapis.com", "consumer": format!("projects/{project}")},
        }])));
        error
    }

    /// 404 `notFound`.
    pub(crate) fn not_found() -> Self {
        Self::new(404, "notFound", "NOT_FOUND", "Requested entity was not found.")
    }

    /// 404 `notFound` with other words.
    pub(crate) fn not_found_as(message: impl Into<String>) -> Self {
        Self::new(404, "notFound", "NOT_FOUND", message)
    }

    /// 410 `resourceGone`.
    pub(crate) fn gone() -> Self {
        Self::new(410, "resourceGone", "NOT_FOUND", "Resource has been deleted")
    }

    /// 409 for a name in use.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "aborted", "ABORTED", message)
    }

    /// 413 `uploadTooLarge`.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "uploadTooLarge",
            "INVALID_ARGUMENT",
            format!("Request payload size exceeds the limit: {limit} bytes."),
        )
    }

    /// A 5xx `backendError`.
    pub(crate) fn backend(code: u16) -> Self {
        let status = if code == 503 { "UNAVAILABLE" } else { "INTERNAL" };
        Self::new(code, "backendError", status, "Backend Error")
    }

    /// The envelope as HTTP.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let short = self.short.unwrap_or(&self.message);
        let mut inner = json!({
            "code": self.code,
            "message": self.message,
            "errors": [{"message": short, "domain": self.domain, "reason": self.reason}],
            "status": self.status,
        });
        if let (Some(object), Some(details)) = (inner.as_object_mut(), &self.details) {
            object.insert("details".to_owned(), (**details).clone());
        }
        let mut response = json_response(self.code, &json!({"error": inner}));
        if self.code == 401 {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(
                    "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"",
                ),
            );
        }
        response
    }
}

/// Whose quota a refusal speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuotaOf {
    /// Units a user may spend in a minute.
    User,
    /// Units a project may spend in a minute.
    Project,
}

impl QuotaOf {
    /// Google's wording.
    pub(crate) fn message(self, project: u64) -> String {
        let limit = match self {
            Self::User => "Queries per minute per user",
            Self::Project => "Queries per minute",
        };
        format!(
            "Quota exceeded for quota metric 'Queries' and limit '{limit}' of service 'gmail.googleapis.com' for \
             consumer 'project_number:{project}'."
        )
    }
}

/// A JSON answer, pretty-printed as Google does by default.
pub(crate) fn json_response(code: u16, value: &Value) -> Response<Bytes> {
    let body = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes_response(code, "application/json; charset=UTF-8", body)
}

/// An answer with a body of the given type.
pub(crate) fn bytes_response(
    code: u16,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
