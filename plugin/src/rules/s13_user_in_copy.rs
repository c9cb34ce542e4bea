//! S13: a contact who writes to someone else with the user in CC or BCC is synced, so that the history
//! is kept.

use super::{Own, Place};
use crate::mail::{Envelope, Mailbox};

/// Where the user is in an inbound message, if not among those it is addressed to.
pub fn place(envelope: &Envelope, own: &Own) -> Option<Place> {
    let is_in = |field: &[Mailbox]| field.iter().any(|mailbox| own.has(&mailbox.address));
    if is_in(&envelope.to) {
        None
    } else if is_in(&envelope.cc) {
        Some(Place::Cc)
    } else {
        Some(Place::Bcc)
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::{Rule, testing::*};

    #[test]
    fn s13_mail_from_a_contact_with_the_user_in_cc_or_bcc_is_synced() {
        let ann = contact("ann", "ann@client.example");
        for (cc, place) in [(OWN, "user-in: cc"), ("", "user-in: bcc")] {
            let mail = envelope("ann@client.example", "bob@other.example", cc);
            let decision = decide_with(&summary(&["INBOX"]), &mail, std::slice::from_ref(&ann));
            assert_eq!(delivered_to(&decision), Some(("ann", Rule::S13)));
            assert!(inputs_of(&decision).iter().any(|input| input == place));
        }
    }
}
