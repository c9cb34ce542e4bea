//! Whose conversation a message belongs to (S10 to S16, S30).

use twinbox_host::contract::{Contact, Direction};

use super::{
    Judge, Mail, User,
    mail::{header, untagged},
};
use crate::{
    director::user_id,
    plan::{Sees, Shape},
};

/// Whose conversation a message belongs to.
pub(super) struct Owner {
    pub(super) contact: Contact,
    pub(super) direction: Direction,
    /// The contact's address that the message has.
    pub(super) address: String,
}

impl Judge<'_> {
    /// S10 to S16: whose conversation it belongs to, in some user's sync (S30).
    pub(super) fn contact(&self, mail: &Mail<'_>) -> Option<Owner> {
        let addresses = match mail.direction {
            Direction::Outbound => [header(&mail.raw, "To"), header(&mail.raw, "Cc")].concat(),
            Direction::Inbound => header(&mail.raw, "From"),
        };
        let mut addresses = addresses
            .into_iter()
            .filter(|address| !self.is_the_users(address));
        addresses.find_map(|address| {
            // A tag leads to the plain address; no contact has one here.
            let address = untagged(&address);
            let contact = self.owner_of(&address)?.clone();
            Some(Owner {
                contact,
                direction: mail.direction,
                address,
            })
        })
    }

    /// Who of the contacts with this address gets the mail (S16).
    pub(super) fn owner_of(&self, address: &str) -> Option<&Contact> {
        let contacts = self.crm.contacts.iter();
        let with_address = contacts.filter(|contact| {
            contact
                .addresses
                .iter()
                .any(|known| known.eq_ignore_ascii_case(address))
        });
        with_address.min_by_key(|contact| contact.created_at)
    }

    /// Whether the connected user's sync brings a contact's mail (S30).
    pub(super) fn sees(&self, user: &User<'_>, contact: &Contact) -> bool {
        let is_anybodys = self.plan.shape.tenants[user.number].sees == Sees::Any;
        let user = user_id(self.plan.shape.user(user.number));
        let assigned = contact.assigned_user.as_ref();
        is_anybodys || assigned.is_none_or(|assigned| assigned == user.as_str())
    }

    /// Whether an address is the owner's of the mailbox.
    pub(super) fn is_the_users(&self, address: &str) -> bool {
        let has_alias = self.plan.shape.aliases.contains(&self.mailbox);
        let address = untagged(address);
        address == self.view.email || (has_alias && address == Shape::alias(self.mailbox))
    }
}
