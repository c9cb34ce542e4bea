//! The list of conversations, and one of them.

use std::collections::HashMap;

use axum::{
    extract::{Path, Query},
    response::{Html as HtmlResponse, Redirect},
};

use super::{
    Desk,
    compose::{self, Draft},
    failure::Failure,
    guard::{CheckedForm, Visitor},
    html::{Html, html, segment},
    layout::{self, Section, time},
    message,
};
use crate::{
    contract::{Contact, Flags, Trigger},
    crm::{Conversation, Paging, StoredMessage},
};

/// Conversations on one page.
const LIST_LENGTH: u32 = 50;
/// Messages on one page.
const MESSAGES: u32 = 50;

/// `GET /`: the list. `page` counts from 0; `find` leaves contacts alone whose name or address has it.
pub(super) async fn list(
    desk: Desk,
    Query(query): Query<HashMap<String, String>>,
) -> Result<HtmlResponse<String>, Failure> {
    let find = query.get("find").map_or("", |find| find.trim());
    let list = list_of(&desk, find, number(&query, "page"), None).await?;
    let main = html!(
        "<main class=\"split list-only\"><h1 class=\"unseen\">Conversations</h1>" (list)
        "<section class=\"conversation empty\"><p class=\"muted\">Choose a conversation.</p></section></main>"
    );
    Ok(layout::page("Conversations", Section::Conversations, &main))
}

/// `GET /conversations/{contact}`. `earlier` leaves out so many of the newest messages; `again` fills
/// the form with a message that was not sent.
pub(super) async fn one(
    desk: Desk,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<HtmlResponse<String>, Failure> {
    let contact = desk.crm.contact(&desk.tenant, &id).await?;
    let earlier = number(&query, "earlier");
    let paging = Paging {
        offset: earlier,
        limit: MESSAGES,
    };
    let messages = desk.crm.conversation(&desk.tenant, &id, paging).await?;
    let draft = match query.get("again") {
        Some(again) => {
            let unsent = desk.crm.message(&desk.tenant, again).await?;
            Draft::again(&contact, &unsent, &messages)
        }
        None => Draft::reply(&contact, &messages),
    };
    let form = match compose::mailbox(&desk).await? {
        Some(mailbox) => compose::form(&draft, &mailbox, &[], &visitor),
        None => compose::no_mailbox(),
    };
    let list = list_of(&desk, "", number(&query, "page"), Some(&id)).await?;
    let main = html!(
        "<main class=\"split\">" (list) "<section class=\"conversation\">"
        (head(&contact, &messages, &visitor)) (older(&id, earlier, &messages))
        "<div id=\"messages\" data-live=\"articles\">" (articles(&messages, &visitor)) "</div>"
        "<section id=\"write\"><h2>" (if draft.reply.is_empty() { "Write" } else { "Reply" }) "</h2>" (form)
        "</section></section></main>"
    );
    let title = name_of(&contact);
    Ok(layout::page(title, Section::Conversations, &main))
}

/// `POST /conversations/{contact}/read`: marks all messages of the last page read (S17).
pub(super) async fn mark_read(
    desk: Desk,
    Path(id): Path<String>,
    _form: CheckedForm,
) -> Result<Redirect, Failure> {
    mark_all_read(&desk, &id).await?;
    Ok(Redirect::to(&format!("/conversations/{}", segment(&id))))
}

/// Marks a contact's newest messages read, as many as one page has at most.
pub(crate) async fn mark_all_read(desk: &Desk, id: &str) -> Result<(), Failure> {
    let messages = desk.crm.conversation(&desk.tenant, id, Paging::default()).await?;
    let mut woken = Vec::new();
    for stored in messages {
        if !stored.message.flags.unread || stored.deleted {
            continue;
        }
        let flags = Flags {
            unread: false,
            ..stored.message.flags
        };
        desk.crm.set_flags(&desk.tenant, &stored.id, flags).await?;
        if !woken.contains(&stored.connection) {
            desk.connections.wake(&stored.connection, Trigger::CrmChange);
            woken.push(stored.connection);
        }
    }
    Ok(())
}

/// What a contact is called.
pub(super) fn name_of(contact: &Contact) -> &str {
    match contact.name.trim() {
        "" => contact.addresses.first().map_or("(no name)", String::as_str),
        name => name,
    }
}

fn number(query: &HashMap<String, String>, name: &str) -> u32 {
    query
        .get(name)
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
        .min(1_000_000)
}

async fn list_of(desk: &Desk, find: &str, page: u32, selected: Option<&str>) -> Result<Html, Failure> {
    let paging = Paging {
        offset: page * LIST_LENGTH,
        limit: LIST_LENGTH + 1,
    };
    let mut conversations = desk.crm.find_conversations(&desk.tenant, find, paging).await?;
    let more = conversations.len() > LIST_LENGTH as usize;
    conversations.truncate(LIST_LENGTH as usize);
    let items: Vec<Html> = conversations
        .iter()
        .map(|conversation| item(conversation, selected))
        .collect();
    let nobody = (items.is_empty() && !find.is_empty())
        .then(|| html!("<p class=\"muted\">Nobody with mail here is called that.</p>"));
    let empty = (items.is_empty() && page == 0 && find.is_empty()).then(|| {
        html!(
            "<p class=\"muted\">No mail yet. <a href=\"/settings\">Connect a mailbox</a> and "
            "<a href=\"/contacts\">add a contact</a>; mail with them from then on appears here.</p>"
        )
    });
    let also = if find.is_empty() {
        String::new()
    } else {
        format!("&find={}", segment(find))
    };
    let newer = (page > 0).then(|| html!("<a href=\"/?page=" (page - 1) (also) "\">Newer</a> "));
    let older = more.then(|| html!("<a href=\"/?page=" (page + 1) (also) "\">Older</a>"));
    Ok(html!(
        "<nav class=\"list\" id=\"list\" data-live=\"whole\" aria-label=\"Conversations\">"
        "<form class=\"find\" method=\"get\" action=\"/\" role=\"search\"><input type=\"search\" name=\"find\" value=\"" (find)
        "\" maxlength=\"200\" placeholder=\"Find a contact\" aria-label=\"Find a contact\"><button>Find</button></form>" (empty) (nobody)
        "<ul>" (items) "</ul><p class=\"paging\">" (newer) (older) "</p></nav>"
    ))
}

fn item(conversation: &Conversation, selected: Option<&str>) -> Html {
    let contact = &conversation.contact;
    let current = (selected == Some(&contact.id)).then(|| html!(" aria-current=\"true\""));
    let unread = (conversation.unread > 0)
        .then(|| html!(" <span class=\"count\" title=\"unread\">" (conversation.unread) "</span>"));
    let class = if conversation.unread > 0 { "unread" } else { "" };
    html!(
        "<li class=\"" (class) "\"><a href=\"/conversations/" (segment(&contact.id)) "\"" (current) ">"
        "<span class=\"who\">" (name_of(contact)) (unread) "</span>" (time(conversation.last_message_at))
        "<span class=\"subject\">" (conversation.subject) "</span><span class=\"snippet\">"
        (conversation.snippet) "</span></a></li>"
    )
}

fn head(contact: &Contact, messages: &[StoredMessage], visitor: &Visitor) -> Html {
    let unread = messages
        .iter()
        .any(|stored| stored.message.flags.unread && !stored.deleted);
    let read = unread.then(|| {
        html!(
            "<form method=\"post\" action=\"/conversations/" (segment(&contact.id)) "/read\">"
            (visitor.field()) "<button>Mark all read</button></form>"
        )
    });
    let released = is_released(messages).then(|| {
        html!(
            "<p class=\"note\">This conversation is no longer synced: a user answered the contact from another CRM "
            "account with the same mailbox. What is here stays.</p>"
        )
    });
    html!(
        "<div class=\"head\"><p class=\"back\"><a href=\"/\">All conversations</a></p><h1>" (name_of(contact)) "</h1>"
        "<p class=\"muted\">" (contact.addresses.join(", ")) "</p>" (released) (read) "</div>"
    )
}

/// Whether the contact is released (S31): so is the newest message that came or went by the mailbox.
fn is_released(messages: &[StoredMessage]) -> bool {
    let newest = messages
        .iter()
        .rev()
        .find(|stored| !stored.message.key.is_empty());
    newest.is_some_and(|stored| stored.released)
}

fn older(contact: &str, earlier: u32, messages: &[StoredMessage]) -> Html {
    let path = format!("/conversations/{}", segment(contact));
    let older = (messages.len() == MESSAGES as usize)
        .then(|| html!("<a href=\"" (path) "?earlier=" (earlier + MESSAGES) "\">Earlier messages</a> "));
    let newest = (earlier > 0).then(|| html!("<a href=\"" (path) "\">Newest messages</a>"));
    html!("<p class=\"paging\">" (older) (newest) "</p>")
}

fn articles(messages: &[StoredMessage], visitor: &Visitor) -> Vec<Html> {
    if messages.is_empty() {
        return vec![html!("<p class=\"muted\">No messages here.</p>")];
    }
    messages
        .iter()
        .map(|stored| message::article(stored, visitor))
        .collect()
}
