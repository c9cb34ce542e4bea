//! What is kept out of here (T06), and the address for copies (S18).

use axum::{Json, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    extract::{At, Body},
    problem::{Problem, Refused, Unchanged},
};
use crate::{
    crm::Secrecy,
    privacy,
    web::{Desk, own_connection},
};

/// The most entries of a list.
const MOST: usize = 1_000;

/// What a user keeps out.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Privacy {
    /// Addresses, and domains with their subdomains. A message that names one of them anywhere stays out.
    #[schema(max_items = 1000)]
    never_sync: Vec<String>,
    /// Domains whose people are colleagues: mail among them alone stays out. Absent: the mailbox's own domain, unless it
    /// is one that the provider gives to anybody.
    #[serde(default)]
    #[schema(max_items = 1000)]
    internal_domains: Option<Vec<String>>,
    /// Addresses that are the user's own beside the mailbox's.
    #[serde(default)]
    #[schema(max_items = 1000)]
    own_addresses: Vec<String>,
    /// Of whose contacts mail is synced. Absent: as the operator has it.
    #[serde(default)]
    assigned_users: Option<AssignedUsers>,
}

/// Whose contacts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AssignedUsers {
    /// Those that are assigned to the connected user or to nobody.
    Own,
    /// All.
    Any,
}

impl From<privacy::AssignedUsers> for AssignedUsers {
    fn from(whose: privacy::AssignedUsers) -> Self {
        match whose {
            privacy::AssignedUsers::Own => Self::Own,
            privacy::AssignedUsers::Any => Self::Any,
        }
    }
}

impl From<AssignedUsers> for privacy::AssignedUsers {
    fn from(whose: AssignedUsers) -> Self {
        match whose {
            AssignedUsers::Own => Self::Own,
            AssignedUsers::Any => Self::Any,
        }
    }
}

impl From<privacy::Privacy> for Privacy {
    fn from(lists: privacy::Privacy) -> Self {
        Self {
            never_sync: lists.never_sync,
            internal_domains: lists.internal_domains,
            own_addresses: lists.own_addresses,
            assigned_users: lists.assigned_users.map(Into::into),
        }
    }
}

/// What a connection keeps out.
#[utoipa::path(get, operation_id = "getPrivacy", path = "/connections/{connection}/privacy", tag = "connections",
    params(("connection" = String, Path)), responses((status = 200, body = Privacy), Refused))]
pub(super) async fn lists(desk: Desk, At(id): At<String>) -> Result<Json<Privacy>, Problem> {
    let connection = own_connection(&desk, &id).await?;
    Ok(Json(privacy::Privacy::of(&connection.settings).into()))
}

/// Says what a connection keeps out from its next pass on. What is here already stays, until it is retracted.
#[utoipa::path(put, operation_id = "setPrivacy", path = "/connections/{connection}/privacy", tag = "connections",
    params(("connection" = String, Path)), request_body = Privacy, responses((status = 200, body = Privacy), Unchanged))]
pub(super) async fn set_lists(
    desk: Desk,
    At(id): At<String>,
    Body(lists): Body<Privacy>,
) -> Result<Json<Privacy>, Problem> {
    let wanted = privacy::Privacy {
        never_sync: lists.never_sync,
        internal_domains: lists.internal_domains,
        own_addresses: lists.own_addresses,
        assigned_users: lists.assigned_users.map(Into::into),
    };
    let internal = wanted.internal_domains.iter();
    let mut all = internal.chain([&wanted.never_sync, &wanted.own_addresses]);
    if all.any(|list| list.len() > MOST) {
        return Err(Problem::invalid(
            "A list is too long.",
            "Name domains instead of addresses; 1,000 entries are the most.",
        ));
    }
    let connection = own_connection(&desk, &id).await?;
    let id = &connection.scope.connection;
    desk.connections.set_privacy(id, &wanted).await?;
    let now = own_connection(&desk, id.as_str()).await?;
    Ok(Json(privacy::Privacy::of(&now.settings).into()))
}

/// Begins to take out of here what is no longer allowed; in the mailbox it stays. Idempotent.
#[utoipa::path(post, operation_id = "retract", path = "/connections/{connection}/retract", tag = "connections",
    params(("connection" = String, Path)), responses((status = 202), Unchanged))]
pub(super) async fn retract(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    let connection = own_connection(&desk, &id).await?;
    desk.connections.retract(&connection.scope.connection);
    Ok(StatusCode::ACCEPTED)
}

/// Whether a conversation is private.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Private {
    /// While it is, none of its mail comes in.
    private: bool,
}

/// Makes a conversation private, or opens it again.
#[utoipa::path(put, operation_id = "setPrivate", path = "/conversations/{contact}/privacy", tag = "conversations",
    params(("contact" = String, Path)), request_body = Private, responses((status = 204), Unchanged))]
pub(super) async fn set_private(
    desk: Desk,
    At(contact): At<String>,
    Body(wanted): Body<Private>,
) -> Result<StatusCode, Problem> {
    let secrecy = if wanted.private {
        Secrecy::Private
    } else {
        Secrecy::Open
    };
    desk.crm.set_secrecy(&desk.tenant, &contact, secrecy).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where copies of mail are sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BccAddress {
    /// The address; absent: this server has none.
    address: Option<String>,
}

/// The address that logs a mail when it is among its Bcc.
#[utoipa::path(get, operation_id = "getBccAddress", path = "/connections/{connection}/bcc-address", tag = "connections",
    params(("connection" = String, Path)), responses((status = 200, body = BccAddress), Refused))]
pub(super) async fn bcc_address(desk: Desk, At(id): At<String>) -> Result<Json<BccAddress>, Problem> {
    let connection = own_connection(&desk, &id).await?;
    let address = desk.connections.bcc_address(&connection.scope.connection).await?;
    Ok(Json(BccAddress { address }))
}

/// Gives the connection another one; mail to the one before is refused.
#[utoipa::path(post, operation_id = "rotateBccAddress", path = "/connections/{connection}/bcc-address", tag = "connections",
    params(("connection" = String, Path)), responses((status = 200, body = BccAddress), Unchanged))]
pub(super) async fn rotate_bcc_address(desk: Desk, At(id): At<String>) -> Result<Json<BccAddress>, Problem> {
    let connection = own_connection(&desk, &id).await?;
    let id = &connection.scope.connection;
    desk.connections.rotate_bcc_address(id).await?;
    let address = desk.connections.bcc_address(id).await?;
    Ok(Json(BccAddress { address }))
}
