//! One message, and what the reader does with it (S17).

use axum::{Json, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    explanations::Explanation,
    extract::{At, Body},
    problem::{Problem, Refused, Unchanged},
    types::Message,
};
use crate::{
    contract::Trigger,
    crm,
    web::{Desk, explained, part_of},
};

/// What changes; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Marks {
    /// Not read yet.
    unread: Option<bool>,
    /// Starred.
    starred: Option<bool>,
    /// Not in the inbox.
    archived: Option<bool>,
    /// In the trash.
    trashed: Option<bool>,
}

/// One message.
#[utoipa::path(get, operation_id = "getMessage", path = "/messages/{message}", tag = "messages", params(("message" = String, Path)),
    responses((status = 200, body = Message), Refused))]
pub(super) async fn one(desk: Desk, At(id): At<String>) -> Result<Json<Message>, Problem> {
    Ok(Json(desk.crm.message(&desk.tenant, &id).await?.into()))
}

/// Sets marks, here and in the mailbox.
#[utoipa::path(patch, operation_id = "markMessage", path = "/messages/{message}", tag = "messages", params(("message" = String, Path)),
    request_body = Marks, responses((status = 200, body = Message), Unchanged))]
pub(super) async fn mark(
    desk: Desk,
    At(id): At<String>,
    Body(marks): Body<Marks>,
) -> Result<Json<Message>, Problem> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    let marks = crm::Marks {
        unread: marks.unread,
        starred: marks.starred,
        archived: marks.archived,
        trashed: marks.trashed,
    };
    desk.crm.set_marks(&desk.tenant, &id, marks).await?;
    desk.connections.wake(&stored.connection, Trigger::CrmChange);
    Ok(Json(desk.crm.message(&desk.tenant, &id).await?.into()))
}

/// Deletes a message here and moves it to the trash in the mailbox. Idempotent.
#[utoipa::path(delete, operation_id = "deleteMessage", path = "/messages/{message}", tag = "messages", params(("message" = String, Path)),
    responses((status = 204), Unchanged))]
pub(super) async fn delete(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    desk.crm.delete_message(&desk.tenant, &id).await?;
    desk.connections.wake(&stored.connection, Trigger::CrmChange);
    Ok(StatusCode::NO_CONTENT)
}

/// Withdraws mail that waits. Idempotent.
#[utoipa::path(post, operation_id = "cancelMessage", path = "/messages/{message}/cancel", tag = "messages", params(("message" = String, Path)),
    responses((status = 204), Unchanged))]
pub(super) async fn cancel(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    desk.crm.cancel_outbound(&desk.tenant, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets mail go that is held back. Nothing happens to mail that is not.
#[utoipa::path(post, operation_id = "sendNow", path = "/messages/{message}/send", tag = "messages", params(("message" = String, Path)),
    responses((status = 202), Unchanged))]
pub(super) async fn send_now(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    desk.crm.send_now(&desk.tenant, &id).await?;
    desk.connections.wake(&stored.connection, Trigger::Outbound);
    Ok(StatusCode::ACCEPTED)
}

/// Why a message is here, as the ledger of the connection it came by says. Absent: it came by no mailbox, or that cannot
/// be asked right now.
#[utoipa::path(get, operation_id = "explainMessage", path = "/messages/{message}/why", tag = "messages", params(("message" = String, Path)),
    responses((status = 200, body = Why), Refused))]
pub(super) async fn why(desk: Desk, At(id): At<String>) -> Result<Json<Why>, Problem> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    let found = explained(&desk, &stored).await;
    Ok(Json(Why {
        rule: stored.message.rule,
        explanation: found.map(Into::into),
    }))
}

/// Why a message is here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Why {
    /// The rule that linked it, such as `S10`.
    rule: String,
    /// What was looked at.
    explanation: Option<Explanation>,
}

/// The bytes of an attachment.
#[utoipa::path(get, operation_id = "getPart", path = "/messages/{message}/parts/{part}", tag = "messages",
    params(("message" = String, Path), ("part" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = [u8]), Refused))]
pub(super) async fn part(desk: Desk, At((id, part)): At<(String, String)>) -> Result<Response, Problem> {
    Ok(part_of(&desk, &id, &part).await?)
}
