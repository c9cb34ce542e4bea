//! S11: mail the user sends from Gmail, with any client, to an existing contact is logged as outbound.

use crate::gmail::label;

/// Whether the user sent it: SENT is a label only Gmail sets.
pub fn is_sent(labels: &[String]) -> bool {
    labels.iter().any(|known| known == label::SENT)
}

#[cfg(test)]
mod tests {
    use crate::{
        contract::Direction,
        rules::{Decision, Rule, testing::*},
    };

    #[test]
    fn s11_mail_sent_in_gmail_to_a_contact_is_outbound() {
        let ann = contact("ann", "ann@client.example");
        let decision = decide_with(
            &summary(&["SENT"]),
            &envelope(OWN, "ann@client.example", ""),
            std::slice::from_ref(&ann),
        );
        let Decision::Deliver {
            contact,
            direction,
            rule,
            ..
        } = decision
        else {
            panic!("{decision:?}");
        };
        assert_eq!((contact, direction, rule), (ann, Direction::Outbound, Rule::S11));
    }

    #[test]
    fn s11_mail_sent_to_strangers_stays_out() {
        let decision = decide_with(&summary(&["SENT"]), &envelope(OWN, "x@y.example", ""), &[]);
        assert_eq!(excluded_by(&decision), Some(Rule::S11));
    }
}
