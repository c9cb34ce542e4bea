//! The list of conversations, and one of them.

use std::collections::HashMap;

use axum::{
    extract::{Path, Query},
    http::StatusCode,
    response::Redirect,
};
use maud::{Markup, html};

use super::{
    Desk,
    compose::{self, Draft, Whom},
    escape::segment,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    layout::{self, Section, time},
    message,
};
use crate::{
    contract::{Contact, Trigger},
    crm::{Conversation, Paging, Secrecy, StoredMessage},
};

/// Conversations on one page.
const LIST_LENGTH: u32 = 50;
/// Messages on one page.
const MESSAGES: u32 = 50;

/// `GET /`: the list. `page` counts from 0; `find` leaves contacts alone whose name or address, or a subject
/// of whose mail, has it.
pub(super) async fn list(
    desk: Desk,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    let find = query.get("find").map_or("", |find| find.trim());
    let list = list_of(&desk, find, number(&query, "page"), None).await?;
    let content = html! {
        h1.unseen { "Conversations" }
        (list)
        section.conversation.empty { p.muted { "Choose a conversation." } }
    };
    let main = layout::live("split list-only", &["list"], &content);
    Ok(desk.page("Conversations", Section::Conversations, &main))
}

/// `GET /conversations/{contact}`. `earlier` leaves out so many of the newest messages; `again` fills
/// the form with a message that was not sent, `answer` and `answer-all` with an answer to a message.
pub(super) async fn one(
    desk: Desk,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    let contact = desk.crm.contact(&desk.tenant, &id).await?;
    let earlier = number(&query, "earlier");
    let paging = Paging {
        offset: earlier,
        limit: MESSAGES,
    };
    let messages = desk.crm.conversation(&desk.tenant, &id, paging).await?;
    let mailbox = compose::mailbox(&desk).await?;
    let own = mailbox.as_ref().map_or("", |mailbox| &mailbox.address);
    let draft = asked_for(&desk, &query, own).await?;
    let draft = match draft {
        Asked::Again(unsent) => Draft::again(&contact, &unsent, &messages),
        Asked::Answer(draft) if draft.contact == id => *draft,
        Asked::Answer(_) => return Err(Failure::not_found()),
        Asked::Nothing => Draft::reply(&contact, &messages),
    };
    let secrecy = if contact.private {
        Secrecy::Private
    } else {
        Secrecy::Open
    };
    let form = match mailbox {
        Some(mailbox) => compose::form(&draft, &mailbox, &[], &visitor),
        None => compose::no_mailbox(),
    };
    let list = list_of(&desk, "", number(&query, "page"), Some(&id)).await?;
    let content = html! {
        (list)
        section.conversation {
            (head(&contact, secrecy, &messages, &visitor))
            (older(&id, earlier, &messages))
            div #messages {
                @if messages.is_empty() { p.muted { "No messages here." } }
                @for stored in &messages { (message::article(stored, desk.connections.now(), &visitor)) }
            }
            section #write {
                h2 { @if draft.reply.is_empty() { "Write" } @else { "Reply" } }
                (form)
            }
        }
    };
    let main = layout::live("split", &["list", "conversation-head", "messages"], &content);
    let title = name_of(&contact);
    Ok(desk.page(title, Section::Conversations, &main))
}

/// What the form is to be filled in with.
enum Asked {
    Again(Box<StoredMessage>),
    Answer(Box<Draft>),
    Nothing,
}

async fn asked_for(desk: &Desk, query: &HashMap<String, String>, own: &str) -> Result<Asked, Failure> {
    if let Some(id) = query.get("again") {
        let unsent = desk.crm.message(&desk.tenant, id).await?;
        return Ok(Asked::Again(Box::new(unsent)));
    }
    for (name, whom) in [("answer", Whom::Sender), ("answer-all", Whom::Everybody)] {
        if let Some(id) = query.get(name) {
            let stored = compose::present(desk, id).await?;
            return Ok(Asked::Answer(Box::new(Draft::answer(&stored, whom, own))));
        }
    }
    Ok(Asked::Nothing)
}

/// `POST /conversations/{contact}/secrecy`: makes the conversation private or opens it again (T06).
pub(super) async fn set_secrecy(
    desk: Desk,
    Path(id): Path<String>,
    form: CheckedForm,
) -> Result<Redirect, Failure> {
    let secrecy = match form.text("as") {
        "private" => Secrecy::Private,
        "open" => Secrecy::Open,
        _ => return Err(Failure::bad_form(StatusCode::BAD_REQUEST)),
    };
    desk.crm.set_secrecy(&desk.tenant, &id, secrecy).await?;
    Ok(Redirect::to(&format!("/conversations/{}", segment(&id))))
}

/// `POST /conversations/{contact}/read`: marks all messages read (S17).
pub(super) async fn mark_read(
    desk: Desk,
    Path(id): Path<String>,
    _form: CheckedForm,
) -> Result<Redirect, Failure> {
    mark_all_read(&desk, &id).await?;
    Ok(Redirect::to(&format!("/conversations/{}", segment(&id))))
}

/// Marks a contact's messages read.
pub(crate) async fn mark_all_read(desk: &Desk, id: &str) -> Result<(), Failure> {
    for connection in desk.crm.mark_all_read(&desk.tenant, id).await? {
        desk.connections.wake(&connection, Trigger::CrmChange);
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

pub(super) fn number(query: &HashMap<String, String>, name: &str) -> u32 {
    query
        .get(name)
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
        .min(1_000_000)
}

async fn list_of(desk: &Desk, find: &str, page: u32, selected: Option<&str>) -> Result<Markup, Failure> {
    let paging = Paging {
        offset: page * LIST_LENGTH,
        limit: LIST_LENGTH + 1,
    };
    let mut conversations = desk.crm.find_conversations(&desk.tenant, find, paging).await?;
    let more = conversations.len() > LIST_LENGTH as usize;
    conversations.truncate(LIST_LENGTH as usize);
    let also = if find.is_empty() {
        String::new()
    } else {
        format!("&find={}", segment(find))
    };
    Ok(html! {
        nav.list #list aria-label="Conversations" {
            (layout::find_form("/", "Find a contact or a subject", find))
            @if conversations.is_empty() && !find.is_empty() {
                p.muted { "No contact and no subject here has that." }
            } @else if conversations.is_empty() && page == 0 {
                p.muted {
                    "No mail yet. " a href="/settings" { "Connect a mailbox" } " and " a href="/contacts" { "add a contact" }
                    "; mail with them from then on appears here."
                }
            }
            ul { @for conversation in &conversations { (item(conversation, selected)) } }
            p.paging {
                @if page > 0 { a href={ "/?page=" (page - 1) (also) } { "Newer" } " " }
                @if more { a href={ "/?page=" (page + 1) (also) } { "Older" } }
            }
        }
    })
}

fn item(conversation: &Conversation, selected: Option<&str>) -> Markup {
    let contact = &conversation.contact;
    let current = (selected == Some(&contact.id)).then_some("true");
    html! {
        li.unread[conversation.unread > 0] {
            a href={ "/conversations/" (segment(&contact.id)) } aria-current=[current] {
                span.who {
                    (name_of(contact))
                    @if conversation.unread > 0 { " " span.count title="unread" { (conversation.unread) } }
                }
                (time(conversation.last_message_at))
                span.subject { (conversation.subject) }
                span.snippet { (conversation.snippet) }
            }
        }
    }
}

fn head(contact: &Contact, secrecy: Secrecy, messages: &[StoredMessage], visitor: &Visitor) -> Markup {
    let is_unread = |stored: &StoredMessage| stored.message.flags.unread && !stored.deleted;
    let path = format!("/conversations/{}", segment(&contact.id));
    let (next, name) = match secrecy {
        Secrecy::Open => ("private", "Make private"),
        Secrecy::Private => ("open", "Open again"),
    };
    html! {
        div.head #conversation-head {
            p.back { a href="/" { "All conversations" } }
            h1 { (name_of(contact)) }
            p.muted { (contact.addresses.join(", ")) }
            @if is_released(messages) {
                p.note {
                    "This conversation is no longer synced: a user answered the contact from another CRM account with the "
                    "same mailbox. What is here stays."
                }
            }
            @if secrecy == Secrecy::Private {
                p.note { "This conversation is private: none of its mail comes in until it is opened again." }
            }
            div.row {
                @if messages.iter().any(is_unread) {
                    form method="post" action={ (path) "/read" } hx-boost="true" hx-push-url="false" { (visitor.field()) button { "Mark all read" } }
                }
                form method="post" action={ (path) "/secrecy" } hx-boost="true" hx-push-url="false" {
                    (visitor.field()) input type="hidden" name="as" value=(next); button { (name) }
                }
            }
        }
    }
}

/// Whether the contact is released (S31): so is the newest message that came or went by the mailbox.
fn is_released(messages: &[StoredMessage]) -> bool {
    let newest = messages
        .iter()
        .rev()
        .find(|stored| !stored.message.key.is_empty());
    newest.is_some_and(|stored| stored.released)
}

fn older(contact: &str, earlier: u32, messages: &[StoredMessage]) -> Markup {
    let path = format!("/conversations/{}", segment(contact));
    html! {
        p.paging {
            @if messages.len() == MESSAGES as usize {
                a href={ (path) "?earlier=" (earlier + MESSAGES) } { "Earlier messages" } " "
            }
            @if earlier > 0 { a href=(path) { "Newest messages" } }
        }
    }
}
