//! Mail that somebody wrote, by a form or a program: looked at, and queued once (S23).

use std::time::Duration;

use axum::http::StatusCode;

use super::{
    Desk, addresses,
    compose::mailbox,
    connections::Trouble,
    failure::Failure,
    parts::file_name,
    upload::{FILES_LIMIT, Spooled},
};
use crate::{
    body::Body,
    contract::{Attachment, Disposition, Mailbox, OutboundKind, Problem, SizeExcess, Trigger, WhenLimited},
    crm::{CrmError, NewAttachment, NewOutbound, StoredMessage},
    scope::ConnectionId,
    store::Connection,
};

/// Mail as it was written.
pub(crate) struct Letter {
    /// The request's own key, unique for its writer.
    pub(crate) key: String,
    /// The contact's id.
    pub(crate) contact: String,
    /// Id of the message it answers; empty: none.
    pub(crate) reply: String,
    /// Addresses as people type them; without any, the contact's first one.
    pub(crate) to: String,
    pub(crate) cc: String,
    pub(crate) bcc: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) when_limited: WhenLimited,
    /// Which way it goes (S22).
    pub(crate) kind: OutboundKind,
    /// How long it is held back, so that its writer can think again.
    pub(crate) hold: Duration,
    /// Id of a message whose attachments go along; empty: none.
    pub(crate) carries: String,
    pub(crate) files: Vec<Spooled>,
    /// Bytes of all files, also of those that were not kept.
    pub(crate) size: u64,
}

/// Why it was not queued.
pub(crate) enum NotQueued {
    /// Something in the letter is not right.
    Letter(StatusCode, Trouble),
    /// Anything else.
    Failure(Failure),
}

impl From<Failure> for NotQueued {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<&Problem> for NotQueued {
    fn from(problem: &Problem) -> Self {
        let status = match problem {
            Problem::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::Letter(status, problem.into())
    }
}

impl From<CrmError> for NotQueued {
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::Refused(why) => Self::Letter(
                StatusCode::UNPROCESSABLE_ENTITY,
                Trouble::new(
                    "refused",
                    format!("The message was not accepted: {why}."),
                    "Change it and send it again.",
                ),
            ),
            other => Self::Failure(other.into()),
        }
    }
}

struct Recipients {
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
}

/// Queues a letter; the message it is now. The same key again is the same message.
pub(crate) async fn queue(desk: &Desk, letter: Letter) -> Result<StoredMessage, NotQueued> {
    let mailbox = mailbox(desk).await?;
    let mailbox = mailbox.ok_or(NotQueued::from(&Problem::NotConnected))?;
    let carried = carried(desk, &letter).await?;
    let size = letter.size + carried.iter().map(|(attachment, _)| attachment.size).sum::<u64>();
    if size > FILES_LIMIT {
        let limit = FILES_LIMIT;
        return Err((&Problem::TooLarge(SizeExcess { size, limit })).into());
    }
    let recipients = recipients(desk, &letter).await?;
    let (thread, in_reply_to) = answered(desk, &letter, &mailbox).await?;
    let outlines = carried
        .iter()
        .map(|(attachment, _)| (file_name(attachment), attachment.size));
    let outlines: Vec<_> = letter
        .files
        .iter()
        .map(Spooled::outline)
        .chain(outlines)
        .collect();
    let connection = mailbox.scope.connection;
    let (subject, text) = (letter.subject, letter.text);
    let carried = carried
        .into_iter()
        .map(|(attachment, body)| (again(&attachment), body));
    let files = letter
        .files
        .into_iter()
        .map(Spooled::into_attachment)
        .chain(carried);
    let id = desk
        .crm
        .queue_outbound(NewOutbound {
            tenant: desk.tenant.clone(),
            user: desk.user.clone(),
            connection: connection.clone(),
            contact: letter.contact,
            thread,
            in_reply_to,
            sender: None,
            to: recipients.to.clone(),
            cc: recipients.cc.clone(),
            bcc: recipients.bcc.clone(),
            subject: subject.clone(),
            text: text.clone(),
            html: None,
            attachments: files.collect(),
            when_limited: letter.when_limited,
            kind: letter.kind,
            hold: letter.hold,
            idempotency_key: Some(letter.key),
        })
        .await?;
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    if !says(&stored, (&subject, &text), &recipients, &outlines) {
        return Err(NotQueued::Letter(
            StatusCode::CONFLICT,
            Trouble::new(
                "form-used",
                "This form had already sent another message.",
                "Send this one anew, under a key of its own.",
            ),
        ));
    }
    wake_after(desk, connection, letter.hold);
    Ok(stored)
}

/// Asks for a pass when the mail is free to go. If the process ends before that, the next pass takes it.
fn wake_after(desk: &Desk, connection: ConnectionId, hold: Duration) {
    if hold.is_zero() {
        return desk.connections.wake(&connection, Trigger::Outbound);
    }
    let connections = desk.connections.clone();
    tokio::spawn(async move {
        tokio::time::sleep(hold).await;
        connections.wake(&connection, Trigger::Outbound);
    });
}

/// The attachments that go along from another message, as far as their bytes are here.
async fn carried(desk: &Desk, letter: &Letter) -> Result<Vec<(Attachment, Body)>, NotQueued> {
    if letter.carries.is_empty() {
        return Ok(Vec::new());
    }
    let stored = desk.crm.message(&desk.tenant, &letter.carries).await?;
    if stored.deleted {
        return Err(Failure::not_found().into());
    }
    let mut carried = Vec::with_capacity(stored.stored_parts.len());
    for part in &stored.stored_parts {
        carried.push(desk.crm.attachment_body(&desk.tenant, &stored.id, part).await?);
    }
    Ok(carried)
}

/// An attachment once more, in another mail.
fn again(attachment: &Attachment) -> NewAttachment {
    NewAttachment {
        name: file_name(attachment),
        media_type: attachment.media_type.clone(),
        content_id: None,
        disposition: Disposition::Attached,
    }
}

/// A request's key under its writer's name: users do not meet each other's keys.
pub(crate) fn writers_key(desk: &Desk, way: &str, key: &str) -> Option<String> {
    let fits = (16..=64).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    fits.then(|| format!("{way}/{}/{key}", desk.user))
}

async fn recipients(desk: &Desk, letter: &Letter) -> Result<Recipients, NotQueued> {
    let parse = |list: &str| {
        addresses::parse(list).map_err(|wrong| NotQueued::from(&Problem::RecipientInvalid(wrong)))
    };
    if letter.contact.is_empty() {
        return Err(NotQueued::Letter(
            StatusCode::UNPROCESSABLE_ENTITY,
            Trouble::new(
                "recipient-invalid",
                "No contact was chosen.",
                "Choose whose conversation the message belongs to.",
            ),
        ));
    }
    let contact = desk.crm.contact(&desk.tenant, &letter.contact).await;
    let contact = contact.map_err(Failure::from)?;
    let mut recipients = Recipients {
        to: parse(&letter.to)?,
        cc: parse(&letter.cc)?,
        bcc: parse(&letter.bcc)?,
    };
    if recipients.to.is_empty() && recipients.cc.is_empty() && recipients.bcc.is_empty() {
        let Some(address) = contact.addresses.first() else {
            return Err((&Problem::RecipientInvalid(String::new())).into());
        };
        recipients.to = parse(address)?;
    }
    Ok(recipients)
}

/// Thread and key of the message it answers. A thread is one mailbox's own: an answer that goes
/// through another connection begins a new one there.
async fn answered(
    desk: &Desk,
    letter: &Letter,
    mailbox: &Connection,
) -> Result<(Option<String>, Option<String>), NotQueued> {
    if letter.reply.is_empty() {
        return Ok((None, None));
    }
    let stored = desk.crm.message(&desk.tenant, &letter.reply).await?;
    let message = stored.message;
    if message.contact_id != letter.contact {
        return Err(Failure::not_found().into());
    }
    if stored.connection != mailbox.scope.connection {
        return Ok((None, None));
    }
    let given = |text: String| (!text.is_empty()).then_some(text);
    Ok((given(message.thread), given(message.key)))
}

/// Whether the mail that is stored under the letter's key is this letter. It is not when one that was
/// sent was changed and sent again: that must not look as if it were sent (S23).
fn says(
    stored: &StoredMessage,
    (subject, text): (&str, &str),
    recipients: &Recipients,
    files: &[(String, u64)],
) -> bool {
    let message = &stored.message;
    let attached = message
        .attachments
        .iter()
        .map(|attachment| (attachment.name.as_str(), attachment.size));
    message.subject == subject
        && message.content.text == text
        && message.to == recipients.to
        && message.cc == recipients.cc
        && message.bcc == recipients.bcc
        && attached.eq(files.iter().map(|(name, size)| (name.as_str(), *size)))
}
