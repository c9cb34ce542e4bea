//! S10: mail from an existing contact appears under that contact; mail from strangers is not synced.

use crate::mail::Envelope;

/// The addresses whose contact gets an inbound message: who wrote it.
pub fn senders(envelope: &Envelope) -> Vec<String> {
    let from = envelope.from.iter().chain(&envelope.sender);
    let mut addresses: Vec<String> = from.map(|mailbox| mailbox.address.clone()).collect();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use crate::rules::{Decision, Rule, testing::*};

    #[test]
    fn s10_mail_from_a_contact_goes_to_that_contact() {
        let ann = contact("ann", "ann@client.example");
        let decision = decide_with(
            &summary(&["INBOX"]),
            &envelope("Ann <ANN@client.example>", OWN, ""),
            &[ann],
        );
        assert_eq!(delivered_to(&decision), Some(("ann", Rule::S10)));
    }

    #[test]
    fn s10_mail_from_a_stranger_stays_out_even_if_a_contact_is_in_copy() {
        let ann = contact("ann", "ann@client.example");
        let mail = envelope("stranger@x.example", OWN, "ann@client.example");
        assert_eq!(
            decide_with(&summary(&["INBOX"]), &mail, &[ann]),
            Decision::Exclude(Rule::S10)
        );
    }
}
