//! From a parsed message to the one the CRM is given.

use super::Pass;
use crate::{
    contract::{self, Contact, Content, Direction, Flags, Mailbox as ContractMailbox, Message},
    gmail::{Summary, label},
    mail::{self, Mailbox, Parsed, fold_html, quoted_from, text::cut_at_boundary},
    ports::Host,
    rules::{Inputs, Rule, s14_copies, t08_authentication::authentication},
};

/// What was decided of a message.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) contact: Contact,
    /// The key of its address that the message has.
    pub(super) address: String,
    pub(super) direction: Direction,
    pub(super) rule: Rule,
    pub(super) inputs: Inputs,
}

/// The message for the CRM; its attachments' bytes follow.
pub(super) fn message<H: Host>(
    pass: &Pass<'_, H>,
    summary: &Summary,
    parsed: &Parsed,
    delivery: &Delivery,
) -> Message {
    let envelope = &parsed.envelope;
    let features = pass.features();
    Message {
        key: pass.message_key(&summary.id),
        thread: pass.thread_key(&summary.thread_id),
        contact_id: delivery.contact.id.clone(),
        direction: delivery.direction,
        message_id: envelope.message_id.as_ref().map(|id| format!("<{id}>")),
        subject: envelope
            .subject
            .chars()
            .take(features.subject_limit as usize)
            .collect(),
        sender: envelope.sender.as_ref().map_or_else(
            || ContractMailbox {
                name: None,
                address: String::new(),
            },
            mailbox,
        ),
        reply_to: mailboxes(&envelope.reply_to),
        to: mailboxes(&envelope.to),
        cc: mailboxes(&envelope.cc),
        bcc: mailboxes(s14_copies::visible_bcc(envelope, delivery.direction)),
        received_at: summary.internal_date,
        dated_at: envelope.date_ms.and_then(|date| u64::try_from(date).ok()),
        content: content(pass, parsed),
        attachments: if features.attachments {
            parsed.attachments.iter().map(attachment).collect()
        } else {
            Vec::new()
        },
        flags: flags(&summary.label_ids),
        authentication: authentication(envelope),
        rule: delivery.rule.name().to_owned(),
    }
}

fn content<H: Host>(pass: &Pass<'_, H>, parsed: &Parsed) -> Content {
    let limit = usize::try_from(pass.features().body_limit).unwrap_or(usize::MAX);
    let whole = parsed.text.as_deref().unwrap_or_default();
    let text = cut_at_boundary(whole, limit);
    let quoted_at = quoted_from(text).and_then(|at| u32::try_from(at).ok());
    let safe = parsed
        .html
        .as_deref()
        .map(|html| fold_html(pass.sanitiser().clean(html)));
    let mut truncated = text.len() < whole.len();
    let html = safe.and_then(|safe| {
        truncated |= safe.cut || safe.html.len() > limit;
        // HTML cut in the middle would not be well-formed any more; the text says it all the same.
        (safe.html.len() <= limit).then_some(safe.html)
    });
    Content {
        text: text.to_owned(),
        quoted_at,
        html,
        truncated,
    }
}

/// One address in the contract's form.
pub(super) fn mailbox(mailbox: &Mailbox) -> ContractMailbox {
    ContractMailbox {
        name: mailbox.name.clone(),
        address: mailbox.address.clone(),
    }
}

fn mailboxes(list: &[Mailbox]) -> Vec<ContractMailbox> {
    list.iter().map(mailbox).collect()
}

/// An attachment in the contract's form.
pub(super) fn attachment(attachment: &mail::Attachment) -> contract::Attachment {
    contract::Attachment {
        part: attachment.part_id.clone(),
        name: attachment.file_name.clone(),
        media_type: attachment.media_type.clone(),
        size: attachment.size,
        content_id: attachment.content_id.clone(),
        disposition: match attachment.disposition {
            mail::Disposition::Inline => contract::Disposition::Inline,
            mail::Disposition::Attachment => contract::Disposition::Attached,
        },
    }
}

/// What the labels say the reader has done.
pub(super) fn flags(labels: &[String]) -> Flags {
    let has = |id: &str| labels.iter().any(|known| known == id);
    Flags {
        unread: has(label::UNREAD),
        starred: has(label::STARRED),
        archived: !has(label::INBOX) && !has(label::SENT),
        trashed: has(label::TRASH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_the_labels() {
        let labels = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        let fresh = flags(&labels(&["INBOX", "UNREAD"]));
        assert!(fresh.unread && !fresh.archived && !fresh.starred && !fresh.trashed);
        assert!(flags(&labels(&["STARRED"])).archived);
        assert!(!flags(&labels(&["SENT"])).archived);
    }
}
