//! S15: the conversation belongs to the primary recipient: the first To address that is a contact;
//! without one, the first CC that is.

use super::Place;
use crate::mail::Envelope;

/// The addresses whose contact gets a sent message, in the order in which they count.
pub fn candidates(envelope: &Envelope) -> Vec<(Place, &str)> {
    let to = envelope.to.iter().map(|mailbox| (Place::To, mailbox));
    let all = to.chain(envelope.cc.iter().map(|mailbox| (Place::Cc, mailbox)));
    all.map(|(place, mailbox)| (place, mailbox.address.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::{Rule, testing::*};

    #[test]
    fn s15_the_first_to_address_that_is_a_contact_owns_the_message() {
        let contacts = [contact("bob", "bob@b.example"), contact("ann", "ann@a.example")];
        let mail = envelope(OWN, "x@y.example, ann@a.example, bob@b.example", "");
        assert_eq!(
            delivered_to(&decide_with(&summary(&["SENT"]), &mail, &contacts)),
            Some(("ann", Rule::S11))
        );
    }

    #[test]
    fn s15_without_a_contact_in_to_the_first_cc_contact_owns_it() {
        let contacts = [contact("bob", "bob@b.example"), contact("ann", "ann@a.example")];
        let mail = envelope(OWN, "x@y.example", "bob@b.example, ann@a.example");
        assert_eq!(
            delivered_to(&decide_with(&summary(&["SENT"]), &mail, &contacts)),
            Some(("bob", Rule::S11))
        );
    }

    #[test]
    fn s15_the_users_own_address_is_never_the_primary_recipient() {
        let contacts = [contact("me", OWN), contact("ann", "ann@a.example")];
        let mail = envelope(OWN, &format!("{OWN}, ann@a.example"), "");
        assert_eq!(
            delivered_to(&decide_with(&summary(&["SENT"]), &mail, &contacts)),
            Some(("ann", Rule::S11))
        );
    }
}
