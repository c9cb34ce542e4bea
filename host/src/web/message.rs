//! One message in its conversation, and what can be done with it.

use axum::{extract::Path, response::Redirect};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{
    Desk,
    connections::Trouble,
    failure::{Failure, described},
    guard::{CheckedForm, Visitor},
    html::{Html, html, segment},
    layout::time,
    parts::file_name,
};
use crate::{
    contract::{Authentication, Direction, Flags, Mailbox, Message, Trigger, Undelivered, UndeliveredKind},
    crm::{Delivery, StoredMessage},
    problem::size_text,
};

/// A message as an article. Its digest tells the page's script whether it has changed.
pub(super) fn article(stored: &StoredMessage, visitor: &Visitor) -> Html {
    let inner = if stored.deleted {
        html!("<p class=\"muted\">" (time(stored.message.received_at)) " · This message was deleted.</p>")
    } else {
        whole(stored, visitor)
    };
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(inner.as_str()));
    let kind = match stored.message.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    let unread = (stored.message.flags.unread && !stored.deleted).then_some(" unread");
    html!(
        "<article id=\"message-" (stored.id) "\" class=\"message " (kind) (unread) "\" data-digest=\"" (digest) "\">"
        (inner) "</article>"
    )
}

/// `POST /messages/{id}/mark`: sets one mark (S17).
pub(super) async fn mark(desk: Desk, Path(id): Path<String>, form: CheckedForm) -> Result<Redirect, Failure> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    let flags = marked(stored.message.flags, form.text("as"))
        .ok_or_else(|| Failure::bad_form(axum::http::StatusCode::BAD_REQUEST))?;
    desk.crm.set_flags(&desk.tenant, &id, flags).await?;
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

fn marked(flags: Flags, mark: &str) -> Option<Flags> {
    Some(match mark {
        "read" => Flags {
            unread: false,
            ..flags
        },
        "unread" => Flags {
            unread: true,
            ..flags
        },
        "starred" => Flags {
            starred: true,
            ..flags
        },
        "not-starred" => Flags {
            starred: false,
            ..flags
        },
        "archived" => Flags {
            archived: true,
            ..flags
        },
        "not-archived" => Flags {
            archived: false,
            ..flags
        },
        "trashed" => Flags {
            trashed: true,
            ..flags
        },
        "not-trashed" => Flags {
            trashed: false,
            ..flags
        },
        _ => return None,
    })
}

fn whole(stored: &StoredMessage, visitor: &Visitor) -> Html {
    let message = &stored.message;
    let subject = if message.subject.trim().is_empty() {
        "(no subject)"
    } else {
        &message.subject
    };
    let released = stored
        .released
        .then(|| html!("<p class=\"note\">What becomes of this message in Gmail no longer shows here.</p>"));
    let cut = message.content.truncated.then(|| {
        html!("<p class=\"note\">The message was longer than can be kept here; its end was cut off.</p>")
    });
    html!(
        "<header><h2>" (subject) "</h2>" (marks(message.flags)) (people(message))
        "<p class=\"muted\">" (time(message.received_at)) (dated(message)) "</p>"
        (message.authentication.as_ref().map(authentication)) "</header>"
        (delivery(stored, visitor)) (undelivered(&stored.undelivered)) (released) (text(stored)) (cut) (attachments(stored)) (actions(stored, visitor))
    )
}

fn people(message: &Message) -> Html {
    let sender = if message.sender.address.is_empty() {
        "the connected address".to_owned()
    } else {
        mailbox_text(&message.sender)
    };
    let row = |name: &str, list: &[Mailbox]| {
        let list: Vec<_> = list.iter().map(mailbox_text).collect();
        (!list.is_empty()).then(|| html!("<dt>" (name) "</dt><dd>" (list.join(", ")) "</dd>"))
    };
    html!(
        "<dl class=\"people\"><dt>From</dt><dd>" (sender) "</dd>" (row("Reply to", &message.reply_to))
        (row("To", &message.to)) (row("Cc", &message.cc)) (row("Bcc", &message.bcc)) "</dl>"
    )
}

/// The Date header, when it says something else than when the message came.
fn dated(message: &Message) -> Option<Html> {
    const MINUTES_15: u64 = 15 * 60 * 1_000;
    message
        .dated_at
        .filter(|dated| dated.abs_diff(message.received_at) > MINUTES_15)
        .map(|dated| html!(" · dated "(time(dated))))
}

fn marks(flags: Flags) -> Html {
    let marks: Vec<Html> = [
        (flags.unread, "Unread"),
        (flags.starred, "Starred"),
        (flags.archived, "Archived"),
        (flags.trashed, "In the trash"),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .map(|(_, name)| html!("<span class=\"badge\">" (name) "</span> "))
    .collect();
    html!("<p class=\"badges\">" (marks) "</p>")
}

/// What the provider found out about the sender (T08).
fn authentication(found: &Authentication) -> Html {
    let results: Vec<Html> = [
        ("SPF", &found.spf),
        ("DKIM", &found.dkim),
        ("DMARC", &found.dmarc),
    ]
    .into_iter()
    .filter_map(|(name, result)| {
        let result = result.as_deref()?;
        let class = match result {
            "pass" => "good",
            "fail" | "softfail" | "permerror" => "bad",
            _ => "open",
        };
        Some(html!("<span class=\"badge " (class) "\">" (name) " " (result) "</span> "))
    })
    .collect();
    let warning = (found.dmarc.as_deref() == Some("fail")).then(|| {
        html!("<p class=\"note bad\">The sender's domain says this message is not from it. Be careful with its links.</p>")
    });
    html!("<p class=\"badges\">" (results) "</p>" (warning))
}

fn delivery(stored: &StoredMessage, visitor: &Visitor) -> Html {
    let again = || {
        let path = format!(
            "/conversations/{}?again={}#write",
            segment(&stored.message.contact_id),
            segment(&stored.id)
        );
        html!("<p><a class=\"button\" href=\"" (path) "\">Write it again</a></p>")
    };
    let cancel = || button(visitor, &stored.id, "cancel", None, "Do not send it");
    match &stored.delivery {
        Delivery::Mailbox => Html::new(),
        Delivery::Queued => {
            html!("<div class=\"state open\"><p>Waits to be sent.</p>" (cancel()) "</div>")
        }
        Delivery::Deferred(deferral) => html!(
            "<div class=\"state open\"><p>Not sent yet; it is sent by itself from " (time(deferral.until)) ".</p>"
            (described(&Trouble::from(&deferral.problem))) (cancel()) "</div>"
        ),
        Delivery::Sent => html!("<p class=\"state good\">Sent.</p>"),
        Delivery::Failed(problem) => html!(
            "<div class=\"state bad\"><p>Not sent.</p>" (described(&Trouble::from(problem))) (again()) "</div>"
        ),
        Delivery::Unconfirmed(problem) => html!(
            "<div class=\"state bad\"><p>It is not known whether this was sent. Look " (where_sent(&stored.message))
            " before you write it again.</p>" (described(&Trouble::from(problem))) (again()) "</div>"
        ),
        Delivery::Cancelled => {
            html!("<div class=\"state open\"><p>Withdrawn before it was sent.</p>" (again()) "</div>")
        }
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
fn undelivered(failures: &[Undelivered]) -> Option<Html> {
    let lines: Vec<Html> = failures
        .iter()
        .map(|failure| {
            let what = match failure.kind {
                UndeliveredKind::Failed => "Not delivered to ",
                UndeliveredKind::Delayed => "Delayed, and still being tried, for ",
            };
            let reason = [failure.status.as_str(), failure.diagnostic.as_str()];
            let reason: Vec<&str> = reason.into_iter().filter(|text| !text.is_empty()).collect();
            let reason =
                (!reason.is_empty()).then(|| html!(" <span class=\"muted\">" (reason.join(" ")) "</span>"));
            html!("<li>" (what) (failure.recipient) "." (reason) "</li>")
        })
        .collect();
    (!lines.is_empty()).then(|| html!("<div class=\"state bad\"><ul>" (lines) "</ul></div>"))
}

fn text(stored: &StoredMessage) -> Html {
    let content = &stored.message.content;
    if let Some(html) = &content.html {
        let body = format!("/messages/{}/body", segment(&stored.id));
        let remote = html.contains("data-remote-src").then(|| {
            html!(
                "<p class=\"note\">Images from elsewhere are blocked: fetching them tells the sender that you read this. "
                "<a href=\"" (body) "?images=show\" target=\"frame-" (stored.id) "\">Show them</a></p>"
            )
        });
        return html!(
            (remote) "<iframe name=\"frame-" (stored.id) "\" title=\"Text of the message\" loading=\"lazy\" "
            "sandbox=\"allow-same-origin allow-popups allow-popups-to-escape-sandbox\" src=\"" (body) "\"></iframe>"
        );
    }
    let at = content.quoted_at.map_or(content.text.len(), |at| at as usize);
    let (own, quoted) = content.text.split_at_checked(at).unwrap_or((&content.text, ""));
    let quoted = (!quoted.trim().is_empty()).then(|| {
        html!("<details class=\"quoted\"><summary>Quoted history</summary><div class=\"text\">" (quoted) "</div></details>")
    });
    html!("<div class=\"text\">" (own.trim_end()) "</div>" (quoted))
}

fn attachments(stored: &StoredMessage) -> Option<Html> {
    let attachments: Vec<Html> = stored
        .message
        .attachments
        .iter()
        .map(|attachment| {
            let name = file_name(attachment);
            let size = size_text(attachment.size);
            if stored.stored_parts.contains(&attachment.part) {
                let path = format!(
                    "/messages/{}/parts/{}",
                    segment(&stored.id),
                    segment(&attachment.part)
                );
                html!("<li><a href=\"" (path) "\" download>" (name) "</a> <span class=\"muted\">" (size) "</span></li>")
            } else {
                html!("<li>" (name) " <span class=\"muted\">" (size) ", on its way</span></li>")
            }
        })
        .collect();
    (!attachments.is_empty()).then(|| html!("<ul class=\"attachments\">" (attachments) "</ul>"))
}

fn actions(stored: &StoredMessage, visitor: &Visitor) -> Option<Html> {
    if matches!(stored.delivery, Delivery::Queued | Delivery::Deferred(_)) {
        return None;
    }
    let flags = stored.message.flags;
    let toggle = |set: bool, on: (&'static str, &str), off: (&'static str, &str)| {
        let (mark, name) = if set { off } else { on };
        button(visitor, &stored.id, "mark", Some(mark), name)
    };
    Some(html!(
        "<details class=\"actions\"><summary>Actions</summary><div>"
        (toggle(flags.unread, ("unread", "Mark unread"), ("read", "Mark read")))
        (toggle(flags.starred, ("starred", "Star"), ("not-starred", "Remove star")))
        (toggle(flags.archived, ("archived", "Archive"), ("not-archived", "Move to inbox")))
        (toggle(flags.trashed, ("trashed", "Move to trash"), ("not-trashed", "Take out of trash")))
        (button(visitor, &stored.id, "delete", None, "Delete")) "</div></details>"
    ))
}

fn button(visitor: &Visitor, id: &str, action: &str, mark: Option<&str>, name: &str) -> Html {
    let path = format!("/messages/{}/{action}", segment(id));
    let mark = mark.map(|mark| html!("<input type=\"hidden\" name=\"as\" value=\"" (mark) "\">"));
    html!(
        "<form method=\"post\" action=\"" (path) "\">" (visitor.field()) (mark) "<button>" (name) "</button></form>"
    )
}
