//! S20: one-to-one mail goes through Gmail, threaded with the conversation, from the connected address
//! or an accepted send-as alias. Gmail replaces any other sender silently, so it is refused before.

use super::s03_right_mailbox::same;
use crate::{
    contract::Problem,
    gmail::SendAs,
    mail::{Mailbox, same_subject},
};

/// The sender Gmail will keep: the one asked for if it is accepted, with Gmail's display name where the
/// CRM gave none; the primary one if none was asked for.
pub fn sender(asked: Option<&Mailbox>, own_address: &str, aliases: &[SendAs]) -> Result<Mailbox, Problem> {
    let address = asked.map_or(own_address, |mailbox| &mailbox.address);
    let alias = aliases.iter().find(|alias| same(&alias.send_as_email, address));
    if !same(address, own_address) && !alias.is_some_and(SendAs::is_accepted) {
        return Err(Problem::AliasNotAccepted(address.to_owned()));
    }
    let shown = alias
        .map(|alias| alias.display_name.clone())
        .filter(|name| !name.is_empty());
    let name = asked.and_then(|mailbox| mailbox.name.clone()).or(shown);
    Ok(Mailbox {
        name,
        address: address.to_owned(),
    })
}

/// The thread to send into: Gmail threads only what has the thread's subject.
pub fn thread<'a>(thread_id: Option<&'a str>, thread_subject: &str, subject: &str) -> Option<&'a str> {
    thread_id.filter(|_| same_subject(thread_subject, subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(address: &str, status: &str) -> SendAs {
        SendAs {
            send_as_email: address.to_owned(),
            display_name: "Sales".to_owned(),
            is_primary: false,
            verification_status: Some(status.to_owned()),
        }
    }

    #[test]
    fn s20_an_alias_that_is_not_accepted_is_refused() {
        let aliases = [
            alias("sales@example.com", "accepted"),
            alias("new@example.com", "pending"),
        ];
        let from = |address| sender(Some(&Mailbox::bare(address)), "me@example.com", &aliases);
        assert_eq!(
            from("sales@example.com"),
            Ok(Mailbox::named("Sales", "sales@example.com"))
        );
        assert_eq!(
            from("new@example.com"),
            Err(Problem::AliasNotAccepted("new@example.com".to_owned()))
        );
        assert_eq!(
            from("x@y.example"),
            Err(Problem::AliasNotAccepted("x@y.example".to_owned()))
        );
    }

    #[test]
    fn s20_without_a_sender_the_connected_address_sends() {
        assert_eq!(
            sender(None, "me@example.com", &[]),
            Ok(Mailbox::bare("me@example.com"))
        );
    }

    #[test]
    fn s20_another_subject_starts_another_thread() {
        assert_eq!(thread(Some("t1"), "Offer", "Re: Offer"), Some("t1"));
        assert_eq!(thread(Some("t1"), "Offer", "Something else"), None);
    }
}
