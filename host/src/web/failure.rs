//! What people see when something cannot be done: what happened, what to do, and the code.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::{
    connections::Trouble,
    layout::{self, Section},
};
use crate::{contract::Problem, crm::CrmError};

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    trouble: Trouble,
    /// What can be done right here, such as a button.
    remedy: Markup,
}

impl Failure {
    pub(super) fn new(status: StatusCode, trouble: Trouble) -> Self {
        Self {
            status,
            trouble,
            remedy: Markup::default(),
        }
    }

    /// The same with something to click on.
    pub(super) fn with_remedy(self, remedy: Markup) -> Self {
        Self { remedy, ..self }
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What it says.
    pub(crate) fn into_trouble(self) -> Trouble {
        self.trouble
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Trouble::new(
                "not-found",
                "There is nothing here under this address.",
                "Go back to the conversations; it may have been removed.",
            ),
        )
    }

    pub(super) fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            Trouble::new(
                "form-refused",
                "The form did not come from a page of this session, so nothing was done.",
                "Load the page anew and send the form again; cookies must be allowed.",
            ),
        )
    }

    pub(super) fn for_administrators() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            Trouble::new(
                "administrators-only",
                "This page is for the tenant's administrators.",
                "Ask one of them, or whoever runs this server to make you one.",
            ),
        )
    }

    /// The request's bearer is nobody known.
    pub(super) fn not_signed_in() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            Trouble::new(
                "sign-in-needed",
                "Nobody is signed in here, or the session has ended.",
                "Sign in and try again; programs send a valid API token.",
            ),
        )
    }

    pub(super) fn bad_form(status: StatusCode) -> Self {
        Self::new(
            status,
            Trouble::new(
                "form-invalid",
                "The form could not be read, so nothing was done.",
                "Load the page anew and fill the form in again.",
            ),
        )
    }

    pub(super) fn storage_unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Trouble::new(
                "storage-unavailable",
                "What is stored cannot be read or written now.",
                "Try again in a moment; if it happens again, look at the log.",
            ),
        )
    }

    /// Something filled in is not right.
    pub(super) fn invalid(happened: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            Trouble::new("form-invalid", happened, advice),
        )
    }

    pub(super) fn problem(status: StatusCode, problem: &Problem) -> Self {
        Self::new(status, problem.into())
    }

    pub(super) fn no_host() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            Trouble::new(
                "host-missing",
                "The request does not say which host it is for.",
                "Open the page by its address.",
            ),
        )
    }

    pub(super) fn foreign_host() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            Trouble::new(
                "foreign-host",
                "These pages are not served under this name.",
                "Open them as localhost, or let the operator configure the public address.",
            ),
        )
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let status = match trouble.code {
            "not-connected" | "not-found" => StatusCode::NOT_FOUND,
            "rate-limited" | "provider-unavailable" | "crm-unavailable" | "storage-unavailable" => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, trouble)
    }
}

impl From<CrmError> for Failure {
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::NotFound => Self::not_found(),
            CrmError::Refused(why) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                Trouble::new(
                    "refused",
                    format!("This was not accepted: {why}."),
                    "Change it and try again.",
                ),
            ),
            CrmError::RateLimited(until) => {
                Self::problem(StatusCode::SERVICE_UNAVAILABLE, &Problem::RateLimited(until))
            }
            other => {
                tracing::warn!(error = %other, "a page could not be made");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Trouble::new(
                        "crm-unavailable",
                        "The stored mail cannot be read or written now.",
                        "Try again in a moment; if it happens again, look at the log.",
                    ),
                )
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let main = html! {
            main.narrow {
                h1 { "That did not work" }
                (described(&self.trouble))
                (self.remedy)
                p { a href="/" { "Conversations" } " · " a href="/settings" { "Settings" } }
            }
        };
        let section = if self.status == StatusCode::UNAUTHORIZED {
            Section::SignIn
        } else {
            Section::None
        };
        (self.status, layout::page("That did not work", section, &main)).into_response()
    }
}

/// A trouble within a page.
pub(super) fn described(trouble: &Trouble) -> Markup {
    html! {
        div.trouble role="alert" {
            p { strong { (trouble.happened) } }
            p { (trouble.advice) }
            p.code { (trouble.code) }
        }
    }
}

pub(super) async fn no_such_page() -> Failure {
    Failure::not_found()
}
