//! S32: mail sent from one CRM is logged in that tenant only, though every tenant's sync sees it in Sent. It carries a
//! mark that is the same for all and so names nobody; its sender knows it by what it stored before it sent it (S23).
//!
//! Gmail writes Message-IDs anew, other fields stay as they are sent. Where neither survived, the claim that was made
//! before the mail was sent keeps it out (S31).

use super::s11_sent;
use crate::mail::{Envelope, SENT_BY};

/// What every Message-ID given here has before its domain.
pub const MESSAGE_ID_MARK: &str = ".twinbox@";

/// Whether a message in the mailbox was sent from a CRM.
pub fn is_from_a_crm(labels: &[String], envelope: &Envelope) -> bool {
    let is_marked = |id: &Option<String>| id.as_ref().is_some_and(|id| id.contains(MESSAGE_ID_MARK));
    s11_sent::is_sent(labels)
        && (envelope.mailer.as_deref() == Some(SENT_BY)
            || envelope.given_message_id.is_some()
            || is_marked(&envelope.message_id)
            || is_marked(&envelope.original_message_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{OWN, envelope, summary};

    #[test]
    fn s32_mail_from_a_crm_is_known_by_its_mark_or_its_message_id() {
        let sent = summary(&["SENT"]).label_ids;
        let plain = envelope(OWN, "ann@client.example", "");
        assert!(!is_from_a_crm(&sent, &plain));
        let marked = Envelope {
            mailer: Some(SENT_BY.to_owned()),
            ..plain.clone()
        };
        assert!(is_from_a_crm(&sent, &marked));
        let given = Envelope {
            given_message_id: Some("0123".to_owned()),
            ..plain.clone()
        };
        assert!(is_from_a_crm(&sent, &given));
        let named = Envelope {
            message_id: Some("0123.twinbox@example.com".to_owned()),
            ..plain
        };
        assert!(is_from_a_crm(&sent, &named));
    }

    #[test]
    fn s32_a_mark_on_mail_that_came_means_nothing() {
        let marked = Envelope {
            mailer: Some(SENT_BY.to_owned()),
            ..envelope("ann@client.example", OWN, "")
        };
        assert!(!is_from_a_crm(&summary(&["INBOX"]).label_ids, &marked));
    }
}
