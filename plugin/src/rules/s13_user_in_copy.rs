//! S13: a contact who writes to someone else with the user in CC or BCC is synced, so that the history
//! is kept.

use super::s03_right_mailbox::same;
use crate::mail::Envelope;

/// Whether the user is a bystander of this inbound message: not among those it is addressed to.
pub fn applies(envelope: &Envelope, own_address: &str) -> bool {
    !envelope
        .to
        .iter()
        .any(|mailbox| same(&mailbox.address, own_address))
}

#[cfg(test)]
mod tests {
    use crate::rules::{Rule, testing::*};

    #[test]
    fn s13_mail_from_a_contact_with_the_user_in_cc_or_bcc_is_synced() {
        let ann = contact("ann", "ann@client.example");
        for cc in [OWN, ""] {
            let mail = envelope("ann@client.example", "bob@other.example", cc);
            let decision = decide_with(&summary(&["INBOX"]), &mail, std::slice::from_ref(&ann));
            assert_eq!(delivered_to(&decision), Some(("ann", Rule::S13)));
        }
    }
}
