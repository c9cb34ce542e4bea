//! What the rules need to know beside a message: who the user is, what is kept out, and the contacts of the addresses
//! that matter, asked for once.

use std::collections::BTreeSet;

use super::{Pass, Step};
use crate::{
    contract::Contact,
    gmail::Summary,
    mail::{Envelope, normalise},
    ports::Host,
    rules::{Contacts, Evidence, Own, Privacy, address_key, addresses_that_matter},
};

/// Most addresses of one look-up of contacts.
const ADDRESSES_AT_ONCE: usize = 1_000;

/// What the rules need to know beside a message.
pub(super) struct Matching {
    pub(super) own: Own,
    pub(super) privacy: Privacy,
    pub(super) since: u64,
    pub(super) contacts: Contacts,
    /// Keys of addresses whose contacts are known, or that have none.
    asked: BTreeSet<String>,
    /// Keys of contacts' addresses that the messages learned last have.
    pub(super) met: Vec<String>,
}

impl Matching {
    /// Nothing is asked for yet.
    pub(super) fn of<H: Host>(pass: &Pass<'_, H>) -> Self {
        Self {
            own: pass.own(),
            privacy: pass.privacy(),
            since: pass.since(),
            contacts: Contacts::default(),
            asked: BTreeSet::new(),
            met: Vec::new(),
        }
    }

    /// A message with all that the rules look at.
    pub(super) fn evidence<'a>(&'a self, summary: &'a Summary, envelope: &'a Envelope) -> Evidence<'a> {
        Evidence {
            summary,
            envelope,
            own: &self.own,
            privacy: &self.privacy,
            since: self.since,
        }
    }

    /// Learns whose the addresses of these messages are.
    pub(super) async fn learn<H: Host>(
        &mut self,
        pass: &Pass<'_, H>,
        messages: &[(&Summary, &Envelope)],
    ) -> Step {
        let mut unasked = Vec::new();
        self.met.clear();
        let mut met = Vec::new();
        for (summary, envelope) in messages {
            let matter = addresses_that_matter(&self.evidence(summary, envelope));
            let matter: Vec<String> = matter.iter().map(|(_, address)| (*address).to_owned()).collect();
            for address in matter {
                if address_key(&address).is_some_and(|key| self.asked.insert(key)) {
                    unasked.push(address.clone());
                }
                met.push(address);
            }
        }
        self.contacts.add(find_contacts(pass, &unasked).await?);
        for address in met {
            if let Some((key, _)) = self.contacts.known(&address)
                && !self.met.iter().any(|known| known == key)
            {
                self.met.push(key.to_owned());
            }
        }
        Ok(())
    }
}

/// All contacts of these addresses, and perhaps more, however the CRM spells them.
pub(super) async fn find_contacts<H: Host>(pass: &Pass<'_, H>, addresses: &[String]) -> Step<Vec<Contact>> {
    let mut spellings = Vec::new();
    for address in addresses {
        spellings.extend(
            normalise(address)
                .into_iter()
                .flat_map(|address| address.spellings()),
        );
    }
    let mut found = Vec::new();
    for group in spellings.chunks(ADDRESSES_AT_ONCE) {
        found.extend(pass.host.find_contacts(group.to_vec()).await?);
    }
    Ok(found)
}
