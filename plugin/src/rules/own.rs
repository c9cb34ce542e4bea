//! The user's own addresses: the mailbox's, its accepted send-as aliases, and others the user has named. None of them
//! is ever the contact (S10, S11): mail to oneself has no conversation, and an alias in To is the user.

use crate::mail::{NormalAddress, normalise};

/// The user's own addresses, compared as mailboxes: tags do not count.
#[derive(Clone, Debug, Default)]
pub struct Own(Vec<NormalAddress>);

impl Own {
    /// These; what is no address is nobody's.
    pub fn of<'a>(addresses: impl Iterator<Item = &'a str>) -> Self {
        Self(addresses.filter_map(normalise).collect())
    }

    /// Whether mail to this address is mail to the user.
    pub fn has(&self, address: &str) -> bool {
        normalise(address).is_some_and(|address| self.0.iter().any(|own| address.is_of_mailbox(own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_aliases_dots_and_tags_of_ones_own_are_oneself() {
        let own = Own::of(["mia.meyer@gmail.com", "sales@acme.example"].into_iter());
        for address in [
            "MiaMeyer+news@googlemail.com",
            "Sales@ACME.example",
            "sales+x@acme.example",
        ] {
            assert!(own.has(address), "{address}");
        }
        for address in ["mia@gmail.com", "s.ales@acme.example", "not an address"] {
            assert!(!own.has(address), "{address}");
        }
    }
}
