//! S16: when several contacts share the address, the one created first gets the message.

use crate::contract::Contact;

/// Whether `a` gets mail of an address that `b` has too. Equal times are settled by the id, so that
/// every pass settles them alike.
pub fn goes_before(a: &Contact, b: &Contact) -> bool {
    (a.created_at, &a.id) < (b.created_at, &b.id)
}

#[cfg(test)]
mod tests {
    use crate::rules::{Contacts, testing::contact};

    #[test]
    fn s16_duplicates_go_to_the_contact_created_first() {
        let mut young = contact("young", "ann@a.example");
        young.created_at = 20;
        let mut old = contact("old", "Ann@A.example");
        old.created_at = 10;
        for order in [[young.clone(), old.clone()], [old, young]] {
            let mut contacts = Contacts::default();
            contacts.add(order);
            assert_eq!(
                contacts
                    .owner("ann@a.example")
                    .map(|owner| owner.contact.id.as_str()),
                Some("old")
            );
        }
    }
}
