//! Who is in the address book is in the CRM, where that was ticked (S08).

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Judge, User};
use crate::plan::AddressBook;

impl Judge<'_> {
    /// Who is in the address book and can be written to is in the CRM, where that was ticked, and nobody else (S08).
    pub(super) fn judge_book(&self, user: &User<'_>, found: &mut Found) {
        let is_ticked = self.plan.shape.tenants[user.number].book == AddressBook::Ticked;
        // Whoever had another address before may have brought some by that one.
        let is_first_address = self.plan.shape.user(user.number) == user.number;
        if !is_ticked && is_first_address && !self.crm.persons.is_empty() {
            found.push((
                "S08",
                format!("tenant {} has persons it never asked for", self.tenant),
            ));
        }
        // No lease can keep a host that stood still from telling the CRM what it knew before.
        // A new connection does not know whom an earlier one brought.
        let is_first = user.lives.len() == 1;
        if !is_ticked || !is_first || self.active(user).is_none() || self.state.coverage.has_stalled() {
            return;
        }
        let wanted: BTreeMap<(String, String), (String, Vec<String>)> = self
            .book
            .iter()
            .filter(|person| !person.contact.addresses.is_empty())
            .map(|person| {
                let key = (self.view.email.clone(), person.resource_name.clone());
                let name = person.contact.name.clone().unwrap_or_default();
                let mut seen = BTreeSet::new();
                let mut addresses = person.contact.addresses.clone();
                addresses.retain(|address| seen.insert(address.clone()));
                (key, (name, addresses))
            })
            .collect();
        if self.crm.persons != wanted {
            let got = &self.crm.persons;
            let text = format!(
                "tenant {} has the persons {got:?} instead of {wanted:?}",
                self.tenant
            );
            found.push(("S08", text));
        }
    }
}
