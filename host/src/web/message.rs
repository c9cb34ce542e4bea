//! One message in its conversation, and what can be done with it.

use axum::{extract::Path, response::Redirect};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use maud::{Markup, html};
use sha2::{Digest, Sha256};

use super::{
    Desk,
    connections::Trouble,
    escape::segment,
    failure::{Failure, described},
    guard::{CheckedForm, Visitor},
    layout::time,
    parts::{file_name, is_shown},
};
use crate::{
    contract::{Authentication, Direction, Flags, Mailbox, Message, Trigger, Undelivered, UndeliveredKind},
    crm::{Delivery, Marks, StoredMessage},
    problem::size_text,
};

/// A message as an article, as it is at this time (ms since the epoch). Its digest tells the page's script whether it has changed.
pub(super) fn article(stored: &StoredMessage, now: u64, visitor: &Visitor) -> Markup {
    let inner = if stored.deleted {
        html! { p.muted { (time(stored.message.received_at)) " · This message was deleted." } }
    } else {
        whole(stored, now, visitor)
    };
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&inner.0));
    let kind = match stored.message.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    let unread = stored.message.flags.unread && !stored.deleted;
    html! {
        article.message.(kind).unread[unread] id={ "message-" (stored.id) } data-digest=(digest) { (inner) }
    }
}

/// `POST /messages/{id}/mark`: sets one mark (S17).
pub(super) async fn mark(desk: Desk, Path(id): Path<String>, form: CheckedForm) -> Result<Redirect, Failure> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    let marks =
        marked(form.text("as")).ok_or_else(|| Failure::bad_form(axum::http::StatusCode::BAD_REQUEST))?;
    desk.crm.set_marks(&desk.tenant, &id, marks).await?;
    desk.connections.wake(&stored.connection, Trigger::CrmChange);
    Ok(back_to(&stored))
}

/// `POST /messages/{id}/delete` (S17).
pub(super) async fn delete(
    desk: Desk,
    Path(id): Path<String>,
    _form: CheckedForm,
) -> Result<Redirect, Failure> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    desk.crm.delete_message(&desk.tenant, &id).await?;
    desk.connections.wake(&stored.connection, Trigger::CrmChange);
    Ok(back_to(&stored))
}

/// `POST /messages/{id}/cancel`: withdraws mail that waits.
pub(super) async fn cancel(
    desk: Desk,
    Path(id): Path<String>,
    _form: CheckedForm,
) -> Result<Redirect, Failure> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    desk.crm.cancel_outbound(&desk.tenant, &id).await?;
    Ok(back_to(&stored))
}

/// `POST /messages/{id}/send`: lets mail go that is held back.
pub(super) async fn send_now(
    desk: Desk,
    Path(id): Path<String>,
    _form: CheckedForm,
) -> Result<Redirect, Failure> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    desk.crm.send_now(&desk.tenant, &id).await?;
    desk.connections.wake(&stored.connection, Trigger::Outbound);
    Ok(back_to(&stored))
}

/// Where a message is on the pages.
pub(super) fn place_of(contact: &str, message: &str) -> String {
    format!("/conversations/{}#message-{}", segment(contact), segment(message))
}

/// A mailbox for readers.
pub(super) fn mailbox_text(mailbox: &Mailbox) -> String {
    match mailbox.name.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() && name != mailbox.address => {
            format!("{name} <{}>", mailbox.address)
        }
        _ => mailbox.address.clone(),
    }
}

fn back_to(stored: &StoredMessage) -> Redirect {
    Redirect::to(&place_of(&stored.message.contact_id, &stored.id))
}

fn marked(mark: &str) -> Option<Marks> {
    let mut marks = Marks::default();
    let (which, is_so) = match mark {
        "read" => (&mut marks.unread, false),
        "unread" => (&mut marks.unread, true),
        "starred" => (&mut marks.starred, true),
        "not-starred" => (&mut marks.starred, false),
        "archived" => (&mut marks.archived, true),
        "not-archived" => (&mut marks.archived, false),
        "trashed" => (&mut marks.trashed, true),
        "not-trashed" => (&mut marks.trashed, false),
        _ => return None,
    };
    *which = Some(is_so);
    Some(marks)
}

fn whole(stored: &StoredMessage, now: u64, visitor: &Visitor) -> Markup {
    let message = &stored.message;
    let subject = match message.subject.trim() {
        "" => "(no subject)",
        subject => subject,
    };
    html! {
        header {
            h2 { (subject) }
            (marks(message.flags))
            (people(message))
            p.muted { (time(message.received_at)) (dated(message)) }
            @if let Some(found) = &message.authentication { (authentication(found)) }
        }
        (delivery(stored, now, visitor))
        (undelivered(&stored.undelivered))
        @if stored.released { p.note { "What becomes of this message in Gmail no longer shows here." } }
        (text(stored))
        @if message.content.truncated {
            p.note { "The message was longer than can be kept here; its end was cut off." }
        }
        (attachments(stored))
        (answers(stored))
        @if !matches!(stored.delivery, Delivery::Queued | Delivery::Deferred(_)) { (actions(stored, visitor)) }
    }
}

fn people(message: &Message) -> Markup {
    let sender = if message.sender.address.is_empty() {
        "the connected address".to_owned()
    } else {
        mailbox_text(&message.sender)
    };
    let lists = [
        ("Reply to", &message.reply_to),
        ("To", &message.to),
        ("Cc", &message.cc),
        ("Bcc", &message.bcc),
    ];
    html! {
        dl.people {
            dt { "From" } dd { (sender) }
            @for (name, list) in lists {
                @if !list.is_empty() {
                    dt { (name) }
                    dd { (list.iter().map(mailbox_text).collect::<Vec<_>>().join(", ")) }
                }
            }
        }
    }
}

/// The Date header, when it says something else than when the message came.
fn dated(message: &Message) -> Markup {
    const MINUTES_15: u64 = 15 * 60 * 1_000;
    let is_odd = |dated: &u64| dated.abs_diff(message.received_at) > MINUTES_15;
    html! {
        @if let Some(dated) = message.dated_at.filter(is_odd) { " · dated " (time(dated)) }
    }
}

fn marks(flags: Flags) -> Markup {
    let marks = [
        (flags.unread, "Unread"),
        (flags.starred, "Starred"),
        (flags.archived, "Archived"),
        (flags.trashed, "In the trash"),
    ];
    html! {
        p.badges {
            @for (set, name) in marks { @if set { span.badge { (name) } " " } }
        }
    }
}

/// What the provider found out about the sender (T08).
fn authentication(found: &Authentication) -> Markup {
    let results = [
        ("SPF", &found.spf),
        ("DKIM", &found.dkim),
        ("DMARC", &found.dmarc),
    ];
    let class = |result: &str| match result {
        "pass" => "good",
        "fail" | "softfail" | "permerror" => "bad",
        _ => "open",
    };
    html! {
        p.badges {
            @for (name, result) in results {
                @if let Some(result) = result { span.badge.(class(result)) { (name) " " (result) } " " }
            }
        }
        @if found.dmarc.as_deref() == Some("fail") {
            p.note.bad { "The sender's domain says this message is not from it. Be careful with its links." }
        }
    }
}

fn delivery(stored: &StoredMessage, now: u64, visitor: &Visitor) -> Markup {
    let contact = segment(&stored.message.contact_id);
    let again = || {
        html! {
            p {
                a.button href={ "/conversations/" (contact) "?again=" (segment(&stored.id)) "#write" } { "Write it again" }
            }
        }
    };
    let cancel = || button(visitor, &stored.id, "cancel", None, "Do not send it");
    match &stored.delivery {
        Delivery::Mailbox => Markup::default(),
        Delivery::Queued => html! {
            div.state.open {
                @if let Some(until) = stored.held_until.filter(|until| *until > now) {
                    p { "Goes " (time(until)) ", unless you think again." }
                    div.row {
                        (button(visitor, &stored.id, "cancel", None, "Undo"))
                        (button(visitor, &stored.id, "send", None, "Send it now"))
                    }
                } @else {
                    p { "Waits to be sent." }
                    (cancel())
                }
            }
        },
        Delivery::Deferred(deferral) => html! {
            div.state.open {
                p { "Not sent yet; it is sent by itself from " (time(deferral.until)) "." }
                (described(&Trouble::from(&deferral.problem)))
                (cancel())
            }
        },
        Delivery::Sent => html! { p.state.good { "Sent." } },
        Delivery::Failed(problem) => html! {
            div.state.bad { p { "Not sent." } (described(&Trouble::from(problem))) (again()) }
        },
        Delivery::Unconfirmed(problem) => html! {
            div.state.bad {
                p {
                    "It is not known whether this was sent. Look " (where_sent(&stored.message))
                    " before you write it again."
                }
                (described(&Trouble::from(problem)))
                (again())
            }
        },
        Delivery::Cancelled => html! { div.state.open { p { "Withdrawn before it was sent." } (again()) } },
    }
}

/// Where what was sent can be seen.
fn where_sent(message: &Message) -> &'static str {
    if message.rule == "S22" {
        "at the provider of bulk mail"
    } else {
        "into the mailbox's Sent folder"
    }
}

/// Whom it has not reached (S18, S22).
fn undelivered(failures: &[Undelivered]) -> Markup {
    let what = |kind: &UndeliveredKind| match kind {
        UndeliveredKind::Failed => "Not delivered to ",
        UndeliveredKind::Delayed => "Delayed, and still being tried, for ",
    };
    let reason = |failure: &Undelivered| {
        let reason = [failure.status.as_str(), failure.diagnostic.as_str()];
        reason.join(" ").trim().to_owned()
    };
    html! {
        @if !failures.is_empty() {
            div.state.bad {
                ul {
                    @for failure in failures {
                        li { (what(&failure.kind)) (failure.recipient) ". " span.muted { (reason(failure)) } }
                    }
                }
            }
        }
    }
}

fn text(stored: &StoredMessage) -> Markup {
    let content = &stored.message.content;
    let Some(body) = &content.html else {
        return plain(&content.text, content.quoted_at);
    };
    let path = format!("/messages/{}/body", segment(&stored.id));
    let frame = format!("frame-{}", stored.id);
    html! {
        @if body.contains("data-remote-src") {
            p.note {
                "Images from elsewhere are blocked: fetching them tells the sender that you read this. "
                a href={ (path) "?images=show" } target=(frame) { "Show them" }
            }
        }
        iframe name=(frame) title="Text of the message" loading="lazy"
            sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" src=(path) {}
    }
}

/// Text, with what it quotes folded.
fn plain(text: &str, quoted_at: Option<u32>) -> Markup {
    let at = quoted_at.map_or(text.len(), |at| at as usize);
    let (own, quoted) = text.split_at_checked(at).unwrap_or((text, ""));
    html! {
        div.text { (own.trim_end()) }
        @if !quoted.trim().is_empty() {
            details.quoted { summary { "Quoted history" } div.text { (quoted) } }
        }
    }
}

fn attachments(stored: &StoredMessage) -> Markup {
    let attachments = &stored.message.attachments;
    let message = segment(&stored.id);
    html! {
        @if !attachments.is_empty() {
            ul.attachments {
                @for attachment in attachments {
                    @let (name, size) = (file_name(attachment), size_text(attachment.size));
                    li {
                        @if stored.stored_parts.contains(&attachment.part) {
                            @let path = format!("/messages/{message}/parts/{}", segment(&attachment.part));
                            a href=(path) download { (name) } " " span.muted { (size) }
                            @if is_shown(attachment) {
                                a.preview href=(path) target="_blank" rel="noopener" {
                                    img src=(path) alt={ "Preview of " (name) } loading="lazy";
                                }
                            }
                        } @else {
                            (name) " " span.muted { (size) ", on its way" }
                        }
                    }
                }
            }
        }
    }
}

/// What can be written about a message, and why it is here.
fn answers(stored: &StoredMessage) -> Markup {
    let message = &stored.message;
    // What was not sent has nobody who knows it.
    if message.key.is_empty() {
        return Markup::default();
    }
    let conversation = format!("/conversations/{}", segment(&message.contact_id));
    let id = segment(&stored.id);
    html! {
        div.row {
            a.button href={ (conversation) "?answer=" (id) "#write" } { "Reply" }
            @if message.to.len() + message.cc.len() > 1 {
                a.button href={ (conversation) "?answer-all=" (id) "#write" } { "Reply to all" }
            }
            a.button href={ "/compose?forward=" (id) } { "Forward" }
            a.button href={ "/messages/" (id) "/why" } { "Why is this here?" }
        }
    }
}

fn actions(stored: &StoredMessage, visitor: &Visitor) -> Markup {
    let flags = stored.message.flags;
    let toggle = |set: bool, on: (&'static str, &str), off: (&'static str, &str)| {
        let (mark, name) = if set { off } else { on };
        button(visitor, &stored.id, "mark", Some(mark), name)
    };
    html! {
        details.actions {
            summary { "Actions" }
            div {
                (toggle(flags.unread, ("unread", "Mark unread"), ("read", "Mark read")))
                (toggle(flags.starred, ("starred", "Star"), ("not-starred", "Remove star")))
                (toggle(flags.archived, ("archived", "Archive"), ("not-archived", "Move to inbox")))
                (toggle(flags.trashed, ("trashed", "Move to trash"), ("not-trashed", "Take out of trash")))
                (button(visitor, &stored.id, "delete", None, "Delete"))
            }
        }
    }
}

fn button(visitor: &Visitor, id: &str, action: &str, mark: Option<&str>, name: &str) -> Markup {
    html! {
        form method="post" action={ "/messages/" (segment(id)) "/" (action) } hx-boost="true" hx-push-url="false" {
            (visitor.field())
            @if let Some(mark) = mark { input type="hidden" name="as" value=(mark); }
            button { (name) }
        }
    }
}
