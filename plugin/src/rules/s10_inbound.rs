//! S10: mail from an existing contact appears under that contact; mail from strangers is not synced.
//!
//! A contact writes under From, or under Reply-To where a form, a calendar or a helper sends for them. A list or group
//! often puts its own address into From (Mailman's and Google Groups' answer to DMARC; `Ann via Sales`), so mail that
//! came through one is its author's first and the list's last, whichever of them is a contact.

use super::Place;
use crate::mail::{Envelope, Mailbox};

/// The addresses whose contact gets an inbound message, in the order in which they count.
pub fn senders(envelope: &Envelope) -> Vec<(Place, &str)> {
    let mut found: Vec<(Place, &str)> = Vec::new();
    let mut add = |place, address| {
        if !found.iter().any(|(_, known)| *known == address) {
            found.push((place, address));
        }
    };
    let is_of_list = envelope.is_of_list();
    if is_of_list {
        for mailbox in &envelope.original_from {
            add(Place::OriginalFrom, &mailbox.address);
        }
    }
    let fields = [
        (Place::From, envelope.from.as_slice()),
        (Place::Sender, envelope.sender.as_slice()),
        (Place::ReplyTo, envelope.reply_to.as_slice()),
    ];
    for lists_own in [false, true] {
        for (place, mailboxes) in fields {
            for mailbox in mailboxes {
                if (is_of_list && is_lists_own(envelope, mailbox)) == lists_own {
                    add(place, &mailbox.address);
                }
            }
        }
    }
    if let Some(list) = &envelope.list_address {
        add(Place::List, list);
    }
    found
}

/// Whether a list stands here for the author.
fn is_lists_own(envelope: &Envelope, mailbox: &Mailbox) -> bool {
    let is_named = mailbox.name.as_deref().is_some_and(|name| name.contains(" via "));
    let is_list = envelope.list_address.as_deref().is_some_and(|list| {
        mailbox
            .normal()
            .is_some_and(|address| address.as_string() == list)
    });
    is_named || is_list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mail::parse_mailboxes,
        rules::{Rule, testing::*},
    };

    const LIST: &str = "sales@corp.example";

    /// Through a list that has put itself into From.
    fn through_list(author: &str) -> Envelope {
        Envelope {
            list_id: Some("sales.corp.example".to_owned()),
            list_address: Some(LIST.to_owned()),
            reply_to: parse_mailboxes(author),
            ..envelope(&format!("\"'Ann' via Sales\" <{LIST}>"), LIST, "")
        }
    }

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
        let decision = decide_with(&summary(&["INBOX"]), &mail, &[ann]);
        assert_eq!(excluded_by(&decision), Some(Rule::S10));
        assert_eq!(inputs_of(&decision), ["no-contact: stranger@x.example"]);
    }

    #[test]
    fn s10_who_has_mail_sent_for_them_is_found_in_reply_to() {
        let contacts = [
            contact("ann", "ann@client.example"),
            contact("bob", "bob@client.example"),
        ];
        let mut mail = envelope("forms@site.example", OWN, "");
        mail.reply_to = parse_mailboxes("ann@client.example");
        let decision = decide_with(&summary(&["INBOX"]), &mail, &contacts);
        assert_eq!(delivered_to(&decision), Some(("ann", Rule::S10)));
        assert_eq!(
            inputs_of(&decision),
            ["address: ann@client.example", "in: reply-to"]
        );
        mail.from = parse_mailboxes("bob@client.example");
        let decision = decide_with(&summary(&["INBOX"]), &mail, &contacts);
        assert_eq!(delivered_to(&decision), Some(("bob", Rule::S10)));
    }

    #[test]
    fn s10_mail_through_a_list_belongs_to_its_author_and_else_to_the_list() {
        let contacts = [contact("list", LIST), contact("ann", "ann@client.example")];
        let to = |mail: &Envelope| {
            let decision = decide_with(&summary(&["INBOX"]), mail, &contacts);
            delivered_to(&decision).map(|(contact, _)| contact.to_owned())
        };
        assert_eq!(to(&through_list("ann@client.example")).as_deref(), Some("ann"));
        assert_eq!(to(&through_list("stranger@x.example")).as_deref(), Some("list"));
        let original = Envelope {
            original_from: parse_mailboxes("Ann <ann@client.example>"),
            ..through_list(LIST)
        };
        assert_eq!(to(&original).as_deref(), Some("ann"));
        let plain = Envelope {
            from: parse_mailboxes("stranger@x.example"),
            ..through_list(LIST)
        };
        assert_eq!(to(&plain).as_deref(), Some("list"));
    }

    #[test]
    fn s10_a_field_of_lists_counts_in_mail_of_lists_alone() {
        let ann = contact("ann", "ann@client.example");
        let mut mail = envelope("stranger@x.example", OWN, "");
        mail.original_from = parse_mailboxes("ann@client.example");
        let decision = decide_with(&summary(&["INBOX"]), &mail, &[ann]);
        assert_eq!(excluded_by(&decision), Some(Rule::S10));
    }

    #[test]
    fn s10_the_user_is_never_the_contact() {
        let me = contact("me", OWN);
        let decision = decide_with(&summary(&["INBOX"]), &envelope(OWN, "x@y.example", ""), &[me]);
        assert_eq!(excluded_by(&decision), Some(Rule::S10));
        assert_eq!(inputs_of(&decision), [format!("own-address: {OWN}")]);
    }
}
