//! A mail as one recipient gets it. Nothing that people wrote ends a header field: addresses are checked, and
//! control characters go.

use std::time::SystemTime;

use bytes::Bytes;
use lettre::{
    Address, Message,
    address::{AddressError, Envelope},
    message::{
        Attachment, Mailbox as LettreMailbox, MessageBuilder, MultiPart, SinglePart,
        header::{ContentType, Header, HeaderName, HeaderValue},
    },
};

use super::{Dispatch, Letter};
use crate::contract::{Disposition, Mailbox, Outbound, OutboundAttachment, OutboundKind};

/// Why there is no letter of a mail.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("{0:?} is no address: {1}")]
    Address(String, AddressError),
    #[error("bulk mail is from {0} alone")]
    Sender(String),
    #[error(transparent)]
    Mail(#[from] lettre::error::Error),
    #[error("an attachment's media type is not one: {0}")]
    MediaType(String),
}

/// The letter; `user` is the address that answers go to.
pub(super) fn letter(
    dispatch: &Dispatch,
    sender: &Mailbox,
    user: Option<&str>,
    attachments: &[Bytes],
    at: SystemTime,
) -> Result<Letter, Wrong> {
    let outbound = &dispatch.outbound;
    let named = outbound.sender.as_ref().unwrap_or(sender);
    if !named.address.eq_ignore_ascii_case(&sender.address) {
        return Err(Wrong::Sender(sender.address.clone()));
    }
    let from = mailbox(&Mailbox {
        name: named.name.clone().or_else(|| sender.name.clone()),
        address: sender.address.clone(),
    })?;
    let recipient = mailbox(&dispatch.recipient)?;
    let domain = from.email.domain().to_owned();
    let id = format!("<{}.{}@{domain}>", printable(&outbound.id), dispatch.position);
    let envelope = Envelope::new(Some(from.email.clone()), vec![recipient.email.clone()])?;
    let mut builder = Message::builder()
        .from(from.clone())
        .date(at)
        .message_id(Some(id))
        .subject(printable(&outbound.subject))
        .envelope(envelope);
    builder = addressed(builder, outbound, &recipient)?;
    if let Some(user) = user.filter(|user| !user.eq_ignore_ascii_case(&sender.address)) {
        builder = builder.reply_to(mailbox(&Mailbox {
            name: None,
            address: user.to_owned(),
        })?);
    }
    let message = with_content(builder, outbound, attachments)?;
    Ok(Letter {
        sender: from.email.to_string(),
        recipient: recipient.email.to_string(),
        raw: message.formatted(),
    })
}

/// Recipients of bulk mail see nobody but themselves; those of a workflow's see who is in To and Cc.
fn addressed(
    mut builder: MessageBuilder,
    outbound: &Outbound,
    recipient: &LettreMailbox,
) -> Result<MessageBuilder, Wrong> {
    if outbound.kind != OutboundKind::Workflow {
        return Ok(builder.to(recipient.clone()).header(Precedence));
    }
    for to in &outbound.to {
        builder = builder.to(mailbox(to)?);
    }
    for cc in &outbound.cc {
        builder = builder.cc(mailbox(cc)?);
    }
    Ok(builder.header(AutoSubmitted))
}

fn with_content(
    builder: MessageBuilder,
    outbound: &Outbound,
    attachments: &[Bytes],
) -> Result<Message, Wrong> {
    let text = || SinglePart::plain(outbound.text.clone());
    let content = outbound
        .html
        .as_ref()
        .map(|html| MultiPart::alternative_plain_html(outbound.text.clone(), html.clone()));
    if outbound.attachments.is_empty() {
        return Ok(match content {
            Some(both) => builder.multipart(both)?,
            None => builder.singlepart(text())?,
        });
    }
    let mut mixed = match content {
        Some(both) => MultiPart::mixed().multipart(both),
        None => MultiPart::mixed().singlepart(text()),
    };
    for (attachment, bytes) in outbound.attachments.iter().zip(attachments) {
        mixed = mixed.singlepart(attached(attachment, bytes)?);
    }
    Ok(builder.multipart(mixed)?)
}

fn attached(attachment: &OutboundAttachment, bytes: &Bytes) -> Result<SinglePart, Wrong> {
    let media_type = ContentType::parse(&printable(&attachment.media_type))
        .map_err(|_| Wrong::MediaType(printable(&attachment.media_type)))?;
    let part = match (&attachment.content_id, attachment.disposition) {
        (Some(id), Disposition::Inline) => Attachment::new_inline(printable(id)),
        _ => Attachment::new(printable(&attachment.name)),
    };
    Ok(part.body(bytes.to_vec(), media_type))
}

fn mailbox(mailbox: &Mailbox) -> Result<LettreMailbox, Wrong> {
    let address: Address = mailbox
        .address
        .parse()
        .map_err(|error| Wrong::Address(mailbox.address.clone(), error))?;
    Ok(LettreMailbox::new(
        mailbox.name.as_deref().map(printable),
        address,
    ))
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// `Precedence: bulk`: nobody's absence is announced to it.
#[derive(Clone)]
struct Precedence;

/// `Auto-Submitted: auto-generated` (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for Precedence {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Precedence")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "bulk".to_owned())
    }
}

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
