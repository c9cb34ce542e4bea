//! Conversations.

use axum::{Json, http::StatusCode};

use super::{
    extract::{Asked, At, Find, Part},
    problem::{Problem, Refused, Unchanged},
    types::{Conversation, Message, Page},
};
use crate::web::{Desk, mark_all_read};

/// Conversations, the one with the newest message first.
#[utoipa::path(get, operation_id = "listConversations", path = "/conversations", tag = "conversations", params(Part, Find),
    responses((status = 200, body = Page<Conversation>), Refused))]
pub(super) async fn list(
    desk: Desk,
    Asked(part): Asked<Part>,
    Asked(find): Asked<Find>,
) -> Result<Json<Page<Conversation>>, Problem> {
    let find = find.text()?;
    let mut conversations = desk
        .crm
        .find_conversations(&desk.tenant, &find, part.paging()?)
        .await?;
    let next = part.next(&mut conversations);
    let entries = conversations.into_iter().map(Into::into).collect();
    Ok(Json(Page { entries, next }))
}

/// A contact's messages, the newest first.
#[utoipa::path(get, operation_id = "listMessages", path = "/conversations/{contact}/messages", tag = "conversations",
    params(("contact" = String, Path), Part), responses((status = 200, body = Page<Message>), Refused))]
pub(super) async fn messages(
    desk: Desk,
    At(contact): At<String>,
    Asked(part): Asked<Part>,
) -> Result<Json<Page<Message>>, Problem> {
    let paging = part.paging()?;
    let mut messages = desk.crm.conversation(&desk.tenant, &contact, paging).await?;
    messages.reverse();
    let next = part.next(&mut messages);
    let entries = messages.into_iter().map(Into::into).collect();
    Ok(Json(Page { entries, next }))
}

/// Marks a contact's messages read, the newest 500.
#[utoipa::path(post, operation_id = "markConversationRead", path = "/conversations/{contact}/read", tag = "conversations",
    params(("contact" = String, Path)), responses((status = 204), Unchanged))]
pub(super) async fn read(desk: Desk, At(contact): At<String>) -> Result<StatusCode, Problem> {
    mark_all_read(&desk, &contact).await?;
    Ok(StatusCode::NO_CONTENT)
}
