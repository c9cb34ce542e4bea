//! S23: a message is never sent twice and never silently lost. Only a draft that still exists is sent;
//! after an unclear failure Gmail's own state says what happened. No blind retry of a send, ever.

use std::collections::BTreeSet;

use crate::{
    gmail::{Metadata, Summary, label},
    mail::{Envelope, same_subject},
};

/// What was meant to be sent: stored before the draft is sent.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// The message id of the draft, which Gmail may or may not keep.
    pub draft_message_id: &'a str,
    /// The Message-ID the draft was given, which Gmail may or may not keep as such. Without brackets.
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

/// How sure it is that a message is the one that was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It is: an id says so.
    Exact,
    /// It was accepted after the intent, with the same subject and recipients. So may be mail that the
    /// user wrote: it counts only where the draft is gone and nothing else accounts for the message.
    Alike,
}

/// Compares a message with the one that was meant. `None`: another one, or not sent.
pub fn compare(message: &Metadata, intent: &Intent<'_>) -> Option<Likeness> {
    compare_headers(
        &message.summary,
        &Envelope::from_headers(&message.headers()),
        intent,
    )
}

/// As [`compare`], with the headers read.
pub fn compare_headers(summary: &Summary, envelope: &Envelope, intent: &Intent<'_>) -> Option<Likeness> {
    if !summary.has(label::SENT) || summary.has(label::DRAFT) {
        return None;
    }
    if summary.id == intent.draft_message_id || is_named(envelope, intent.message_id) {
        return Some(Likeness::Exact);
    }
    // It was sent from a CRM, under another id: not this message, however much it is like it.
    if envelope.given_message_id.is_some() {
        return None;
    }
    let is_alike = summary.internal_date + CLOCK_TOLERANCE >= intent.at
        && same_subject(&envelope.subject, intent.subject)
        && recipient_keys(envelope) == intent.recipients;
    is_alike.then_some(Likeness::Alike)
}

/// Whether a message was given this Message-ID, wherever Gmail may have left it.
pub fn is_named(envelope: &Envelope, message_id: &str) -> bool {
    let ids = [
        &envelope.message_id,
        &envelope.original_message_id,
        &envelope.given_message_id,
    ];
    ids.into_iter().flatten().any(|id| id == message_id)
}

/// The recipients of a message as keys, sorted.
pub fn recipient_keys(envelope: &Envelope) -> Vec<String> {
    let all = envelope.to.iter().chain(&envelope.cc).chain(&envelope.bcc);
    let mut keys = BTreeSet::new();
    for mailbox in all {
        keys.extend(super::address_key(&mailbox.address));
    }
    keys.into_iter().collect()
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
        let message = sent("other", "SENT", "<theirs@mail.gmail.com>", 1_000_500);
        assert_eq!(compare(&message, &intent(&recipients)), Some(Likeness::Alike));
        let message = sent("d1", "SENT", "<theirs@mail.gmail.com>", 1_000_500);
        assert_eq!(compare(&message, &intent(&recipients)), Some(Likeness::Exact));
    }

    #[test]
    fn s23_an_older_message_or_one_to_others_is_not_it() {
        let recipients = ["ann@a.example".to_owned()];
        let older = sent("other", "SENT", "<theirs@x>", 1_000);
        assert_eq!(compare(&older, &intent(&recipients)), None);
        let theirs = sent("other", "SENT", "<theirs@x>", 1_000_500);
        assert_eq!(compare(&theirs, &intent(&["b@b.example".to_owned()])), None);
    }

    #[test]
    fn s23_mail_of_another_crm_is_not_it_however_much_it_is_alike() {
        let recipients = ["ann@a.example".to_owned()];
        let message = sent("other", "SENT", "<theirs@mail.gmail.com>", 1_000_500);
        let named = |given: &str| {
            let envelope = Envelope {
                given_message_id: Some(given.to_owned()),
                ..Envelope::from_headers(&message.headers())
            };
            compare_headers(&message.summary, &envelope, &intent(&recipients))
        };
        assert_eq!(named("mine@x"), Some(Likeness::Exact));
        assert_eq!(named("a-colleagues@x"), None);
    }

    #[test]
    fn s23_a_draft_is_not_sent_whatever_its_ids() {
        let recipients = ["ann@a.example".to_owned()];
        let draft = sent("d1", "DRAFT", "<mine@x>", 1_000_500);
        assert_eq!(compare(&draft, &intent(&recipients)), None);
    }
}
