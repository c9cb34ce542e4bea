//! Google's error envelope, and the refusals that several methods share.
//!
//! `{"error":{"code","message","errors":[{"message","domain","reason"}],"status","details"}}`. Wordings are those seen
//! on live Gmail.

use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::behaviour::SyncTokenRefusal;
use crate::world::World;

/// Which of Google's APIs a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Gmail,
    People,
}

impl Service {
    /// The API of a method, by the name that faults know it by.
    pub(crate) fn of(method: &str) -> Self {
        if method.starts_with("people.") {
            Self::People
        } else {
            Self::Gmail
        }
    }

    fn host(self) -> &'static str {
        match self {
            Self::Gmail => "gmail.googleapis.com",
            Self::People => "people.googleapis.com",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Gmail => "Gmail API",
            Self::People => "People API",
        }
    }
}

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

    /// 400 `badRequest`, with the status of an invalid argument.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "badRequest", "INVALID_ARGUMENT", message)
    }

    /// 400 `failedPrecondition`.
    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "failedPrecondition", "FAILED_PRECONDITION", message)
    }

    /// 400 for a value outside a parameter's enumeration; `field` in snake case, as Google writes it.
    pub(crate) fn bad_value(field: &str, value: &str) -> Self {
        Self::bad_request(format!("Invalid value at '{field}', \"{value}\""))
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
    pub(crate) fn scope_insufficient(service: Service, method: &str) -> Self {
        let mut error = Self::new(
            403,
            "insufficientPermissions",
            "PERMISSION_DENIED",
            "Request had insufficient authentication scopes.",
        );
        error.short = Some("Insufficient Permission");
        error.with_info(
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            &json!({"service": service.host(), "method": method}),
        )
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

    /// 403 `accessNotConfigured` for a project without the API.
    pub(crate) fn not_configured(service: Service, project: u64) -> Self {
        let mut error = Self::new(
            403,
            "accessNotConfigured",
            "PERMISSION_DENIED",
            format!(
                "{} has not been used in project {project} before or it is disabled.",
                service.title()
            ),
        );
        error.domain = "usageLimits";
        error.with_info(
            "SERVICE_DISABLED",
            &json!({"service": service.host(), "consumer": format!("projects/{project}")}),
        )
    }

    /// 429 for a user whose minute is spent. Only newer APIs say it in the details too.
    pub(crate) fn minute_spent(service: Service, project: u64) -> Self {
        let refusal = Self::too_many(QuotaOf::User.message(service, project));
        match service {
            Service::Gmail => refusal,
            Service::People => refusal.with_info(
                "RATE_LIMIT_EXCEEDED",
                &json!({
                    "service": service.host(),
                    "consumer": format!("projects/{project}"),
                    "quota_metric": "people.googleapis.com/critical_read_requests",
                    "quota_limit": "CriticalReadsPerMinutePerProjectPerUser",
                }),
            ),
        }
    }

    /// What an expired sync token is answered.
    pub(crate) fn sync_token_expired(how: SyncTokenRefusal) -> Self {
        let (code, reason, status, domain) = match how {
            SyncTokenRefusal::FailedPrecondition => {
                (400, "failedPrecondition", "FAILED_PRECONDITION", "googleapis.com")
            }
            SyncTokenRefusal::InvalidArgument => {
                (400, "badRequest", "INVALID_ARGUMENT", "people.googleapis.com")
            }
            SyncTokenRefusal::Gone => (410, "gone", "FAILED_PRECONDITION", "googleapis.com"),
        };
        let message = "Sync token is expired. Clear local cache and retry call without the sync token.";
        let refusal = Self::new(code, reason, status, message);
        refusal.with_details(error_info("EXPIRED_SYNC_TOKEN", domain, None))
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

    /// With a reason in its details.
    fn with_info(self, reason: &str, metadata: &Value) -> Self {
        self.with_details(error_info(reason, "googleapis.com", Some(metadata)))
    }

    /// With other details.
    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The envelope as HTTP.
    pub(crate) fn response(&self) -> Response<Bytes> {
        self.in_envelope(Envelope::Listing)
    }

    /// The envelope of an API. That of newer ones has no `errors`, though some clients were given them (the raw answers in
    /// php-google-people-api#45 and google-api-php-client-services#129).
    pub(crate) fn response_of(&self, service: Service, world: &World) -> Response<Bytes> {
        let lists = match service {
            Service::Gmail => true,
            Service::People => {
                world.hits.add("contacts_errors_listed");
                world.behaviour.contacts_errors_listed
            }
        };
        self.in_envelope(if lists { Envelope::Listing } else { Envelope::Plain })
    }

    fn in_envelope(&self, envelope: Envelope) -> Response<Bytes> {
        let short = self.short.unwrap_or(&self.message);
        let mut inner = json!({"code": self.code, "message": self.message, "status": self.status});
        if envelope == Envelope::Listing {
            inner["errors"] = json!([{"message": short, "domain": self.domain, "reason": self.reason}]);
        }
        if let Some(details) = &self.details {
            inner["details"] = (**details).clone();
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

/// Details of the type `ErrorInfo`.
fn error_info(reason: &str, domain: &str, metadata: Option<&Value>) -> Value {
    let mut info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
    });
    if let Some(metadata) = metadata {
        info["metadata"] = metadata.clone();
    }
    json!([info])
}

/// Which of Google's envelopes a refusal comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Envelope {
    /// With a list of `errors`.
    Listing,
    /// Without it.
    Plain,
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
    pub(crate) fn message(self, service: Service, project: u64) -> String {
        let metric = match service {
            Service::Gmail => "Queries",
            Service::People => "Critical read requests (Contact and Profile Reads)",
        };
        let limit = match self {
            Self::User => "per minute per user",
            Self::Project => "per minute",
        };
        format!(
            "Quota exceeded for quota metric '{metric}' and limit '{metric} {limit}' of service '{host}' for consumer \
             'project_number:{project}'.",
            host = service.host()
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
