//! The form for writing mail: an answer in a conversation, or a new mail.

use std::collections::HashMap;

use axum::extract::Query;
use maud::{Markup, html};

use super::{
    Desk,
    connections::Trouble,
    conversations::name_of,
    failure::{Failure, described},
    guard::{Visitor, random_text},
    layout::Section,
    message::mailbox_text,
    outbox::kind_name,
};
use crate::{
    contract::{Contact, Direction, Mailbox, OutboundKind, WhenLimited},
    crm::{Paging, StoredMessage},
    problem::utc_text,
    store::{Connection, ConnectionStatus},
};

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Sender,
    Everybody,
}

/// What the form is filled in with.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The contact's id; empty: to be chosen.
    pub(super) contact: String,
    /// Id of the message it answers; empty: none.
    pub(super) reply: String,
    /// Id of the message it forwards; empty: none.
    pub(super) forwards: String,
    /// Whether that message's attachments go along.
    pub(super) carries: bool,
    pub(super) to: String,
    pub(super) cc: String,
    pub(super) bcc: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) wait: bool,
    pub(super) kind: OutboundKind,
    /// Where the form is: what browsers keep a draft under.
    pub(super) place: String,
    /// Where what is in it comes from.
    pub(super) filled: Filled,
}

/// Where what is in a form comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// From what is here: a draft that the browser has is newer.
    Proposed,
    /// From the form itself, which came back.
    Written,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            contact: String::new(),
            reply: String::new(),
            forwards: String::new(),
            carries: false,
            to: String::new(),
            cc: String::new(),
            bcc: String::new(),
            subject: String::new(),
            text: String::new(),
            wait: false,
            kind: OutboundKind::OneToOne,
            place: "new:".to_owned(),
            filled: Filled::Proposed,
        }
    }
}

impl Draft {
    /// An answer to the last message of a conversation.
    pub(super) fn reply(contact: &Contact, messages: &[StoredMessage]) -> Self {
        let to = address_of(contact, messages);
        let mut draft = Self {
            contact: contact.id.clone(),
            to,
            place: format!("answer:{}", contact.id),
            ..Self::default()
        };
        if let Some(last) = answerable(messages) {
            draft.reply.clone_from(&last.id);
            draft.subject = prefixed("Re:", &last.message.subject);
        }
        draft
    }

    /// An answer to one message, to its sender or to everybody in it but the mailbox itself.
    pub(super) fn answer(stored: &StoredMessage, whom: Whom, own: &str) -> Self {
        let message = &stored.message;
        let to = match message.direction {
            Direction::Outbound => message.to.clone(),
            Direction::Inbound if message.reply_to.is_empty() => vec![message.sender.clone()],
            Direction::Inbound => message.reply_to.clone(),
        };
        let is_in = |list: &[Mailbox], mailbox: &Mailbox| {
            let mut list = list.iter();
            list.any(|known| known.address.eq_ignore_ascii_case(&mailbox.address))
        };
        let others = match message.direction {
            Direction::Outbound => message.cc.iter().collect::<Vec<_>>(),
            Direction::Inbound => message.to.iter().chain(&message.cc).collect(),
        };
        let mut cc: Vec<Mailbox> = Vec::new();
        for other in others {
            let is_own = other.address.eq_ignore_ascii_case(own);
            if whom == Whom::Everybody && !is_own && !is_in(&to, other) && !is_in(&cc, other) {
                cc.push(other.clone());
            }
        }
        Self {
            contact: message.contact_id.clone(),
            reply: stored.id.clone(),
            to: list_text(&to),
            cc: list_text(&cc),
            subject: prefixed("Re:", &message.subject),
            place: match whom {
                Whom::Sender => format!("answer:{}:{}", message.contact_id, stored.id),
                Whom::Everybody => format!("answer-all:{}:{}", message.contact_id, stored.id),
            },
            ..Self::default()
        }
    }

    /// A message for somebody else. It stays in the conversation it came from, unless another is chosen.
    pub(super) fn forward(stored: &StoredMessage) -> Self {
        let message = &stored.message;
        let mut text = String::from("\n\n---------- Forwarded message ----------\n");
        for (name, value) in [
            ("From", mailbox_text(&message.sender)),
            ("Date", utc_text(message.received_at)),
            ("Subject", message.subject.clone()),
            ("To", list_text(&message.to)),
            ("Cc", list_text(&message.cc)),
        ] {
            if !value.is_empty() {
                text.extend([name, ": ", &value, "\n"]);
            }
        }
        text.extend(["\n", &message.content.text]);
        Self {
            contact: message.contact_id.clone(),
            forwards: stored.id.clone(),
            carries: !stored.stored_parts.is_empty(),
            subject: prefixed("Fwd:", &message.subject),
            text,
            place: format!("forward:{}", stored.id),
            ..Self::default()
        }
    }

    /// A message that was not sent, once more, the way it was to go.
    pub(super) fn again(contact: &Contact, unsent: &StoredMessage, messages: &[StoredMessage]) -> Self {
        let message = &unsent.message;
        let kind = unsent.kind.unwrap_or(OutboundKind::OneToOne);
        let files = if unsent.stored_parts.is_empty() {
            ""
        } else {
            &unsent.id
        };
        let reply = answerable(messages)
            // Only what a person writes is an answer (S22).
            .filter(|last| kind == OutboundKind::OneToOne && last.message.thread == message.thread)
            .map(|last| last.id.clone());
        Self {
            contact: contact.id.clone(),
            reply: reply.unwrap_or_default(),
            forwards: files.to_owned(),
            carries: !files.is_empty(),
            to: list_text(&message.to),
            cc: list_text(&message.cc),
            bcc: list_text(&message.bcc),
            subject: message.subject.clone(),
            text: message.content.text.clone(),
            wait: false,
            kind,
            place: format!("again:{}", unsent.id),
            filled: Filled::Proposed,
        }
    }

    pub(super) fn when_limited(&self) -> WhenLimited {
        if self.wait {
            WhenLimited::Wait
        } else {
            WhenLimited::Fail
        }
    }
}

/// `GET /compose`: a new mail. `contact` chooses the contact; `forward` is the id of a message that goes on.
pub(super) async fn page(
    desk: Desk,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    let draft = match (query.get("contact"), query.get("forward")) {
        (_, Some(id)) => Draft::forward(&present(&desk, id).await?),
        (Some(id), None) => {
            let contact = desk.crm.contact(&desk.tenant, id).await?;
            Draft {
                place: format!("new:{}", contact.id),
                ..Draft::reply(&contact, &[])
            }
        }
        (None, None) => Draft::default(),
    };
    written(&desk, &visitor, &draft, None).await
}

/// A message that was not deleted.
pub(super) async fn present(desk: &Desk, id: &str) -> Result<StoredMessage, Failure> {
    let stored = desk.crm.message(&desk.tenant, id).await?;
    if stored.deleted {
        return Err(Failure::not_found());
    }
    Ok(stored)
}

/// The page with a draft, and why it was not sent.
pub(super) async fn written(
    desk: &Desk,
    visitor: &Visitor,
    draft: &Draft,
    trouble: Option<&Trouble>,
) -> Result<Markup, Failure> {
    let mut contacts = desk.crm.list_contacts(&desk.tenant, Paging::default()).await?;
    if !draft.contact.is_empty() && contacts.iter().all(|contact| contact.id != draft.contact) {
        contacts.push(desk.crm.contact(&desk.tenant, &draft.contact).await?);
    }
    let form = match mailbox(desk).await? {
        None => no_mailbox(),
        Some(_) if contacts.is_empty() => html! {
            p.note { "There is nobody to write to yet. " a href="/contacts" { "Add a contact" } " first." }
        },
        Some(mailbox) => form(draft, &mailbox, &contacts, visitor),
    };
    let title = match (draft.reply.as_str(), draft.forwards.as_str()) {
        ("", "") => "New mail",
        ("", _) => "Forward",
        _ => "Reply",
    };
    let main = html! {
        main.narrow {
            h1 { (title) }
            @if let Some(trouble) = trouble {
                (described(trouble))
                p.note { "Nothing was sent. Files have to be chosen again." }
            }
            (form)
        }
    };
    Ok(desk.page(title, Section::Compose, &main))
}

/// The user's connection that mail goes through: one that syncs rather than one that waits for the
/// user (S07: mail is queued until then).
pub(super) async fn mailbox(desk: &Desk) -> Result<Option<Connection>, Failure> {
    let rank = |connection: &Connection| match connection.status {
        ConnectionStatus::Active => 0,
        ConnectionStatus::NeedsReconnect => 1,
        ConnectionStatus::Connecting => 2,
        ConnectionStatus::Disconnected => 3,
    };
    let own = own_connections(desk).await?;
    Ok(own
        .into_iter()
        .filter(|connection| connection.status != ConnectionStatus::Disconnected)
        .min_by_key(|connection| (rank(connection), std::cmp::Reverse(connection.created_at))))
}

/// The user's own connections.
pub(crate) async fn own_connections(desk: &Desk) -> Result<Vec<Connection>, Failure> {
    let mut all = desk.connections.list(&desk.tenant).await?;
    all.retain(|connection| connection.scope.tenant == desk.tenant && connection.scope.user == desk.user);
    Ok(all)
}

/// What stands in place of the form while nothing is connected.
pub(super) fn no_mailbox() -> Markup {
    html! {
        p.note { "Mail can be written once a mailbox is connected. " a.button href="/settings" { "Settings" } }
    }
}

/// The form. Without a contact in the draft it has to be chosen from `contacts`.
pub(super) fn form(draft: &Draft, mailbox: &Connection, contacts: &[Contact], visitor: &Visitor) -> Markup {
    html! {
        form.write method="post" action="/send" enctype="multipart/form-data" data-filled[draft.filled == Filled::Written] {
            (visitor.field())
            input type="hidden" name="place" autocomplete="off" value=(draft.place);
            input type="hidden" name="key" autocomplete="off" value=(random_text());
            input type="hidden" name="reply" value=(draft.reply);
            @if mailbox.status != ConnectionStatus::Active {
                p.note { "The mailbox is not connected right now: what you write waits until it is." }
            }
            p.muted { "From " (mailbox.address) }
            (contact_field(draft, contacts))
            @if draft.forwards.is_empty() {
                (line("to", "To", &draft.to, "Several addresses are separated by commas"))
            } @else {
                (forward_fields(draft))
            }
            details open[!(draft.cc.is_empty() && draft.bcc.is_empty())] {
                summary { "Cc, Bcc" }
                (line("cc", "Cc", &draft.cc, ""))
                (line("bcc", "Bcc", &draft.bcc, "Nobody else sees these"))
            }
            (line("subject", "Subject", &draft.subject, ""))
            // A parser drops the first line break of a text area.
            label { "Text" textarea name="text" rows="9" { "\n" (draft.text) } }
            label {
                "Files, up to 25 MB together as they are sent"
                input type="file" name="files" multiple;
            }
            label {
                "If the day's limit is reached"
                select name="limited" {
                    option value="fail" selected[!draft.wait] { "say so and do not send" }
                    option value="wait" selected[draft.wait] { "send when possible" }
                }
            }
            @if draft.reply.is_empty() || draft.kind != OutboundKind::OneToOne { (kind_field(draft)) }
            p { button.primary { "Send" } }
        }
    }
}

/// Whom a message is forwarded to, who must be named, and whether its attachments go along.
fn forward_fields(draft: &Draft) -> Markup {
    html! {
        input type="hidden" name="forwards" value=(draft.forwards);
        label {
            "To"
            input type="text" name="to" value=(draft.to) required placeholder="Several addresses are separated by commas";
        }
        label.check {
            input type="checkbox" name="carries" value="on" checked[draft.carries];
            " With the attachments of the message"
        }
    }
}

/// Which way it goes (S22). An answer is a person's.
fn kind_field(draft: &Draft) -> Markup {
    let kinds = [
        (OutboundKind::OneToOne, "from the mailbox"),
        (
            OutboundKind::Bulk,
            "as bulk mail, by the provider; everybody gets a copy of their own",
        ),
        (
            OutboundKind::Workflow,
            "as mail of a workflow, by the provider; everybody gets a copy of their own",
        ),
    ];
    // A person begins no workflow, but may send its mail once more.
    let offered = |kind| kind != OutboundKind::Workflow || draft.kind == OutboundKind::Workflow;
    html! {
        label {
            "Sent"
            select name="kind" {
                @for (kind, words) in kinds.into_iter().filter(|(kind, _)| offered(*kind)) {
                    option value=(kind_name(kind)) selected[kind == draft.kind] { (words) }
                }
            }
        }
    }
}

fn contact_field(draft: &Draft, contacts: &[Contact]) -> Markup {
    if contacts.is_empty() {
        return html! { input type="hidden" name="contact" value=(draft.contact); };
    }
    let address = |contact: &Contact| contact.addresses.first().cloned().unwrap_or_default();
    html! {
        label {
            "Contact"
            select name="contact" {
                option value="" { "The first recipient who is a contact" }
                @for contact in contacts {
                    option value=(contact.id) selected[contact.id == draft.contact] {
                        (name_of(contact)) " · " (address(contact))
                    }
                }
            }
        }
        p.muted { "Without an address below, the first one of the contact is used." }
    }
}

fn line(name: &str, label: &str, value: &str, hint: &str) -> Markup {
    html! {
        label { (label) input type="text" name=(name) value=(value) placeholder=(hint); }
    }
}

/// The contact's address that the last of its messages came from, or the first one.
fn address_of(contact: &Contact, messages: &[StoredMessage]) -> String {
    let is_theirs = |mailbox: &&Mailbox| {
        contact
            .addresses
            .iter()
            .any(|address| address.eq_ignore_ascii_case(&mailbox.address))
    };
    let last = messages
        .iter()
        .rev()
        .filter(|stored| !stored.deleted && stored.message.direction == Direction::Inbound)
        .find_map(|stored| {
            let message = &stored.message;
            message
                .reply_to
                .iter()
                .find(is_theirs)
                .or(Some(&message.sender).filter(is_theirs))
        });
    match (last, contact.addresses.first()) {
        (Some(mailbox), _) => mailbox.address.clone(),
        (None, Some(address)) => address.clone(),
        (None, None) => String::new(),
    }
}

/// The last message that a mailbox has.
fn answerable(messages: &[StoredMessage]) -> Option<&StoredMessage> {
    messages
        .iter()
        .rev()
        .find(|stored| !stored.deleted && !stored.message.key.is_empty())
}

/// A subject with what stands before it, once.
fn prefixed(prefix: &str, subject: &str) -> String {
    let subject = subject.trim();
    let start = subject.get(..prefix.len());
    if start.is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
        subject.to_owned()
    } else {
        format!("{prefix} {subject}").trim_end().to_owned()
    }
}

fn list_text(list: &[Mailbox]) -> String {
    list.iter()
        .map(|mailbox| match mailbox.name.as_deref() {
            Some(name) if name.contains([',', ';', '<', '>', '"']) => {
                format!("\"{}\" <{}>", name.replace('"', "'"), mailbox.address)
            }
            _ => mailbox_text(mailbox),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_re_in_its_subject() {
        assert_eq!(prefixed("Re:", "Offer"), "Re: Offer");
        assert_eq!(prefixed("Re:", "RE: Offer"), "RE: Offer");
        assert_eq!(prefixed("Re:", ""), "Re:");
        assert_eq!(prefixed("Fwd:", "Re: Offer"), "Fwd: Re: Offer");
    }
}
