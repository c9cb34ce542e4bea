//! Whose address it is. Addresses are compared in their [`key`](crate::mail::NormalAddress::key): without case, domains in
//! ASCII, and as Gmail does where the address is Gmail's. A tag (`ann+news@…`) leads to the plain address where no
//! contact has the address itself; never the other way round, for nobody can be asked for all tags of an address.

use std::collections::BTreeMap;

use super::s16_duplicates;
use crate::{contract::Contact, mail::normalise};

/// Contacts by address.
#[derive(Clone, Debug, Default)]
pub struct Contacts {
    by_key: BTreeMap<String, Owner>,
}

/// The contact that gets the mail of an address.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The contact.
    pub contact: Contact,
    /// Ids of others that have the address too and were created later (S16).
    pub others: Vec<String>,
}

impl Contacts {
    /// Adds contacts under all their addresses; one that was created earlier wins an address (S16).
    pub fn add(&mut self, contacts: impl IntoIterator<Item = Contact>) {
        for contact in contacts {
            for address in &contact.addresses {
                let Some(key) = address_key(address) else { continue };
                match self.by_key.get_mut(&key) {
                    None => {
                        let contact = contact.clone();
                        let others = Vec::new();
                        self.by_key.insert(key, Owner { contact, others });
                    }
                    Some(owner) => owner.meet(&contact),
                }
            }
        }
    }

    /// Who gets the mail of this address.
    pub fn owner(&self, address: &str) -> Option<&Owner> {
        self.known(address).map(|(_, owner)| owner)
    }

    /// The same, with the [`address_key`] of the contact's address that it is.
    pub fn known(&self, address: &str) -> Option<(&str, &Owner)> {
        let address = normalise(address)?;
        let exact = self.by_key.get_key_value(&address.key());
        let found = exact.or_else(|| self.by_key.get_key_value(&address.without_tag().key()));
        found.map(|(key, owner)| (key.as_str(), owner))
    }

    /// The contact with this id, if it was added.
    pub fn with_id(&self, id: &str) -> Option<&Contact> {
        let mut owners = self.by_key.values();
        owners
            .find(|owner| owner.contact.id == id)
            .map(|owner| &owner.contact)
    }
}

impl Owner {
    /// Another contact with the same address, or the same once more.
    fn meet(&mut self, other: &Contact) {
        if other.id == self.contact.id || self.others.contains(&other.id) {
            return;
        }
        let later = if s16_duplicates::goes_before(other, &self.contact) {
            std::mem::replace(&mut self.contact, other.clone()).id
        } else {
            other.id.clone()
        };
        self.others.push(later);
    }
}

/// What the spellings of one address have in common.
pub fn address_key(address: &str) -> Option<String> {
    normalise(address).map(|normal| normal.key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::contact;

    fn owner<'c>(contacts: &'c Contacts, address: &str) -> Option<&'c str> {
        contacts.owner(address).map(|owner| owner.contact.id.as_str())
    }

    fn known(contacts: &[(&str, &str)]) -> Contacts {
        let mut known = Contacts::default();
        known.add(contacts.iter().map(|(id, address)| contact(id, address)));
        known
    }

    #[test]
    fn s10_case_and_forms_of_a_domain_do_not_matter() {
        let known = known(&[
            ("ann", "Ann@B\u{fc}cher.example"),
            ("bob", "bob@xn--mller-kva.example"),
        ]);
        assert_eq!(owner(&known, "ANN@xn--bcher-kva.EXAMPLE"), Some("ann"));
        assert_eq!(owner(&known, "bob@m\u{fc}ller.example"), Some("bob"));
    }

    #[test]
    fn s10_dots_and_googlemail_do_not_matter_for_gmail_and_matter_elsewhere() {
        let known = known(&[("ann", "ann.lee@googlemail.com"), ("bob", "b.ob@corp.example")]);
        assert_eq!(owner(&known, "AnnLee@gmail.com"), Some("ann"));
        assert_eq!(owner(&known, "bob@corp.example"), None);
    }

    #[test]
    fn s10_a_tag_leads_to_the_plain_address_unless_a_contact_has_the_tag() {
        let known = known(&[("ann", "ann@x.example"), ("crm", "ann+crm@x.example")]);
        assert_eq!(owner(&known, "ann+news@x.example"), Some("ann"));
        assert_eq!(owner(&known, "ann+crm@x.example"), Some("crm"));
        assert_eq!(owner(&known, "ann@x.example"), Some("ann"));
    }

    #[test]
    fn s16_who_lost_an_address_is_known() {
        let mut young = contact("young", "ann@x.example");
        young.created_at = 9;
        let mut known = Contacts::default();
        known.add([young.clone(), contact("old", "Ann@x.example"), young]);
        let owner = known.owner("ann@x.example").unwrap();
        assert_eq!(
            (owner.contact.id.as_str(), &owner.others[..]),
            ("old", &["young".to_owned()][..])
        );
    }
}
