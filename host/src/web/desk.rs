//! The pages as one signed-in person sees them: whose tenant, whose mailbox.
//!
//! A handler that takes a [`Desk`] is for signed-in people alone; there is no other way to a tenant's data.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use maud::Markup;

use super::{
    Connections, WebState,
    failure::Failure,
    layout::{self, Section},
};
use crate::{
    crm::EmbeddedCrm,
    people::Person,
    scope::{TenantId, UserId},
};

/// How somebody came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// With a session, from a password.
    Session,
    /// With an API token.
    Token,
    /// As everybody does here.
    Open,
}

/// Who came in; the guard puts it into the request.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) person: Person,
    pub(crate) by: Entrance,
}

/// What one person has before them.
pub(crate) struct Desk {
    pub(crate) crm: EmbeddedCrm,
    pub(crate) connections: Arc<dyn Connections>,
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) entered: Entered,
    pub(crate) site: WebState,
}

impl Desk {
    /// A whole page for this person.
    pub(super) fn page(&self, title: &str, section: Section, main: &Markup) -> Markup {
        layout::page_for(self.entered.person.role, title, section, main)
    }
}

impl FromRequestParts<WebState> for Desk {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, site: &WebState) -> Result<Self, Failure> {
        let entered = parts.extensions.get::<Entered>().cloned();
        let entered = entered.ok_or_else(Failure::not_signed_in)?;
        Ok(Self {
            crm: site.crm.clone(),
            connections: site.connections.clone(),
            tenant: entered.person.tenant.clone(),
            user: entered.person.user.clone(),
            entered,
            site: site.clone(),
        })
    }
}
