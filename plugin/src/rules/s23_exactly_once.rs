//! S23: a message is never sent twice and never silently lost. Only a draft that still exists is sent;
//! after an unclear failure Gmail's own state says what happened. No blind retry of a send, ever.

use crate::{
    gmail::{Metadata, Summary, label},
    mail::{Envelope, same_subject},
};

/// What was meant to be sent: stored before the draft is sent.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// The message id of the draft, which Gmail may or may not keep.
    pub draft_message_id: &'a str,
    /// The Message-ID the draft was given, which Gmail may or may not keep. Without brackets.
    pub message_id: &'a str,
    /// Subject.
    pub subject: &'a str,
    /// The recipients, as keys, sorted.
    pub recipients: &'a [String],
    /// When the intent was stored, ms since the epoch.
    pub at: u64,
}

/// Tolerance between the host's clock and Gmail's, in milliseconds.
const CLOCK_TOLERANCE: u64 = 120_000;

/// Whether a message of the thread is the one that was meant: it carries SENT and is the draft's own, or
/// was accepted after the intent with the same subject and recipients.
pub fn is_it(message: &Metadata, intent: &Intent<'_>) -> bool {
    is_sent_as(
        &message.summary,
        &Envelope::from_headers(&message.headers()),
        intent,
    )
}

/// As [`is_it`], with the headers read.
pub fn is_sent_as(summary: &Summary, envelope: &Envelope, intent: &Intent<'_>) -> bool {
    if !summary.has(label::SENT) || summary.has(label::DRAFT) {
        return false;
    }
    if summary.id == intent.draft_message_id {
        return true;
    }
    if envelope.message_id.as_deref() == Some(intent.message_id) {
        return true;
    }
    summary.internal_date + CLOCK_TOLERANCE >= intent.at
        && same_subject(&envelope.subject, intent.subject)
        && recipient_keys(envelope) == intent.recipients
}

/// The recipients of a message as keys, sorted.
pub fn recipient_keys(envelope: &Envelope) -> Vec<String> {
    let all = envelope.to.iter().chain(&envelope.cc).chain(&envelope.bcc);
    let mut keys: Vec<String> = all
        .filter_map(|mailbox| super::address_key(&mailbox.address))
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: &str, label: &str, message_id: &str, at: u64) -> Metadata {
        serde_json::from_value(serde_json::json!({
            "id": id, "threadId": "t", "labelIds": [label], "internalDate": at.to_string(),
            "payload": {"headers": [
                {"name": "Message-ID", "value": message_id},
                {"name": "Subject", "value": "Re: Offer"},
                {"name": "To", "value": "Ann@A.example"},
            ]}
        }))
        .unwrap()
    }

    fn intent(recipients: &[String]) -> Intent<'_> {
        Intent {
            draft_message_id: "d1",
            message_id: "mine@x",
            subject: "Offer",
            recipients,
            at: 1_000_000,
        }
    }

    #[test]
    fn s23_a_sent_message_is_recognised_though_gmail_changed_its_ids() {
        let recipients = ["ann@a.example".to_owned()];
        assert!(is_it(
            &sent("other", "SENT", "<theirs@mail.gmail.com>", 1_000_500),
            &intent(&recipients)
        ));
    }

    #[test]
    fn s23_an_older_message_or_one_to_others_is_not_it() {
        let recipients = ["ann@a.example".to_owned()];
        assert!(!is_it(
            &sent("other", "SENT", "<theirs@x>", 1_000),
            &intent(&recipients)
        ));
        assert!(!is_it(
            &sent("other", "SENT", "<theirs@x>", 1_000_500),
            &intent(&["b@b.example".to_owned()])
        ));
    }

    #[test]
    fn s23_a_draft_is_not_sent_whatever_its_ids() {
        let recipients = ["ann@a.example".to_owned()];
        assert!(!is_it(
            &sent("d1", "DRAFT", "<mine@x>", 1_000_500),
            &intent(&recipients)
        ));
    }
}
