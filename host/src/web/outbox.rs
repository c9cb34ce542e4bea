//! Mail that somebody wrote, by a form or a program: looked at, and queued once (S23).

use std::time::Duration;

use axum::http::StatusCode;
use sha2::{Digest, Sha256};

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
    contract::{
        Attachment, Contact, Disposition, Mailbox, OutboundKind, Problem, SizeExcess, Trigger, WhenLimited,
    },
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

/// What forms and programs call a kind of mail.
pub(crate) const fn kind_name(kind: OutboundKind) -> &'static str {
    match kind {
        OutboundKind::OneToOne => "one-to-one",
        OutboundKind::Bulk => "bulk",
        OutboundKind::Workflow => "workflow",
    }
}

impl Letter {
    /// What it says, to tell it from another that comes under its key.
    fn digest(&self) -> [u8; 32] {
        let files: Vec<_> = self.files.iter().map(Spooled::outline).collect();
        let kind = kind_name(self.kind);
        let said = serde_json::json!([
            self.contact,
            self.reply,
            self.to,
            self.cc,
            self.bcc,
            self.subject,
            self.text,
            kind,
            self.carries,
            files
        ]);
        Sha256::digest(said.to_string()).into()
    }
}

/// Whose conversation a letter is in, and whom it goes to.
struct Addressed {
    contact: Contact,
    recipients: Recipients,
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
    let digest = letter.digest();
    let Addressed { contact, recipients } = addressed(desk, &letter).await?;
    let (thread, in_reply_to) = answered(desk, &letter, &contact, &mailbox).await?;
    let connection = mailbox.scope.connection;
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
            contact: contact.id,
            thread,
            in_reply_to,
            sender: None,
            to: recipients.to,
            cc: recipients.cc,
            bcc: recipients.bcc,
            subject: letter.subject,
            text: letter.text,
            html: None,
            attachments: files.collect(),
            when_limited: letter.when_limited,
            kind: letter.kind,
            hold: letter.hold,
            idempotency_key: Some(letter.key),
            request_digest: Some(digest),
        })
        .await?;
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    // One that was sent was changed and sent again: that must not look as if it were sent (S23). What was queued before
    // there were digests has none.
    let queued = desk.crm.request_digest(&desk.tenant, &id).await?;
    if queued.is_some_and(|queued| queued != digest) {
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

async fn addressed(desk: &Desk, letter: &Letter) -> Result<Addressed, NotQueued> {
    let parse = |list: &str| {
        addresses::parse(list).map_err(|wrong| NotQueued::from(&Problem::RecipientInvalid(wrong)))
    };
    let mut recipients = Recipients {
        to: parse(&letter.to)?,
        cc: parse(&letter.cc)?,
        bcc: parse(&letter.bcc)?,
    };
    let contact = match letter.contact.as_str() {
        "" => contact_among(desk, &recipients).await?,
        id => desk.crm.contact(&desk.tenant, id).await.map_err(Failure::from)?,
    };
    if recipients.to.is_empty() && recipients.cc.is_empty() && recipients.bcc.is_empty() {
        let Some(address) = contact.addresses.first() else {
            return Err((&Problem::RecipientInvalid(String::new())).into());
        };
        recipients.to = parse(address)?;
    }
    Ok(Addressed { contact, recipients })
}

/// The contact of a letter that names none: the first of its recipients who is one (S15).
async fn contact_among(desk: &Desk, recipients: &Recipients) -> Result<Contact, NotQueued> {
    for mailbox in recipients.to.iter().chain(&recipients.cc).chain(&recipients.bcc) {
        match desk.crm.contact_with(&desk.tenant, &mailbox.address).await {
            Err(CrmError::NotFound) => {}
            contact => return Ok(contact?),
        }
    }
    Err(NotQueued::Letter(
        StatusCode::UNPROCESSABLE_ENTITY,
        Trouble::new(
            "recipient-invalid",
            "No contact was chosen, and no recipient is one.",
            "Choose whose conversation the message belongs to, or add the recipient to the contacts.",
        ),
    ))
}

/// Thread and key of the message it answers. A thread is one mailbox's own: an answer that goes
/// through another connection begins a new one there.
async fn answered(
    desk: &Desk,
    letter: &Letter,
    contact: &Contact,
    mailbox: &Connection,
) -> Result<(Option<String>, Option<String>), NotQueued> {
    if letter.reply.is_empty() {
        return Ok((None, None));
    }
    let stored = desk.crm.message(&desk.tenant, &letter.reply).await?;
    let message = stored.message;
    if message.contact_id != contact.id {
        return Err(Failure::not_found().into());
    }
    if stored.connection != mailbox.scope.connection {
        return Ok((None, None));
    }
    let given = |text: String| (!text.is_empty()).then_some(text);
    Ok((given(message.thread), given(message.key)))
}
