//! T06: what would be synced and is not, because people want it so.
//!
//! - Never-sync: an address (as a mailbox: dots of Gmail and tags do not count) or a domain with all its subdomains. One
//!   of them anywhere in From, Sender, Reply-To, To, Cc or Bcc keeps the message out.
//! - Internal: everybody in the message is a colleague or the user. Colleagues are the people of the internal domains and
//!   their subdomains; unless told otherwise that is the mailbox's own domain, if it is not one that Gmail gives to
//!   anybody.
//! - Private: people made the contact's conversation private in the CRM.

use super::{Inputs, Own, input};
use crate::{
    contract::Contact,
    mail::{Envelope, Mailbox, NormalAddress, domain, is_consumer, normalise},
    settings::Settings,
};

/// What the user's settings say.
#[derive(Clone, Debug, Default)]
pub struct Privacy {
    never: Vec<(String, Listed)>,
    internal: Vec<String>,
}

/// Whom an entry of the never-sync list means.
#[derive(Clone, Debug, PartialEq)]
pub enum Listed {
    /// A mailbox.
    Address(NormalAddress),
    /// Everybody of a domain and its subdomains.
    Domain(String),
}

impl Listed {
    /// Reads an entry: an address, or a domain with or without an `@` before it.
    pub fn of(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        let bare = entry.strip_prefix('@').unwrap_or(entry);
        if bare.contains('@') {
            return normalise(bare).map(Self::Address);
        }
        domain(bare).map(Self::Domain)
    }

    fn means(&self, address: &NormalAddress) -> bool {
        match self {
            Self::Address(listed) => address.is_of_mailbox(listed),
            Self::Domain(domain) => is_within(address.domain(), domain),
        }
    }
}

impl Privacy {
    /// What these settings say for a mailbox.
    pub fn of(settings: &Settings, mailbox: &str) -> Self {
        let never = settings.never_sync.iter();
        let never = never.filter_map(|entry| Some((entry.clone(), Listed::of(entry)?)));
        let internal = match &settings.internal_domains {
            Some(domains) => domains.iter().filter_map(|entry| domain(entry)).collect(),
            None => normalise(mailbox)
                .map(|address| address.domain().to_owned())
                .filter(|domain| !is_consumer(domain))
                .into_iter()
                .collect(),
        };
        Self {
            never: never.collect(),
            internal,
        }
    }

    /// Why a message of this contact stays out; `None` where it does not.
    pub fn bars(&self, envelope: &Envelope, own: &Own, contact: Option<&Contact>) -> Option<Inputs> {
        let mut inputs = self
            .never_sync(envelope)
            .or_else(|| private(contact?))
            .or_else(|| self.among_colleagues(envelope, own))?;
        inputs.extend(contact.map(|contact| input("contact", &contact.id)));
        Some(inputs)
    }

    fn never_sync(&self, envelope: &Envelope) -> Option<Inputs> {
        if self.never.is_empty() {
            return None;
        }
        people(envelope).find_map(|mailbox| {
            let address = mailbox.normal()?;
            let (entry, _) = self.never.iter().find(|(_, listed)| listed.means(&address))?;
            Some(vec![
                input("never-sync", entry),
                input("address", &mailbox.address),
            ])
        })
    }

    fn among_colleagues(&self, envelope: &Envelope, own: &Own) -> Option<Inputs> {
        let colleague = |mailbox: &Mailbox| {
            let address = mailbox.normal()?;
            let domain = self
                .internal
                .iter()
                .find(|domain| is_within(address.domain(), domain))?;
            Some(domain.as_str())
        };
        let mut domains: Vec<&str> = Vec::new();
        for mailbox in people(envelope) {
            match colleague(mailbox) {
                Some(domain) if domains.contains(&domain) => {}
                Some(domain) => domains.push(domain),
                None if own.has(&mailbox.address) => {}
                None => return None,
            }
        }
        (!domains.is_empty()).then(|| vec![input("internal-domains", &domains.join(", "))])
    }
}

fn private(contact: &Contact) -> Option<Inputs> {
    contact.private.then(|| vec![input("private", "yes")])
}

/// Everybody whom the headers name.
pub fn people(envelope: &Envelope) -> impl Iterator<Item = &Mailbox> {
    let authors = envelope
        .from
        .iter()
        .chain(&envelope.sender)
        .chain(&envelope.reply_to);
    let authors = authors.chain(&envelope.original_from);
    authors
        .chain(&envelope.to)
        .chain(&envelope.cc)
        .chain(&envelope.bcc)
}

/// Whether a domain is this one or below it.
fn is_within(domain: &str, listed: &str) -> bool {
    let above = domain.strip_suffix(listed);
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{OWN, contact, envelope};

    fn privacy(never: &[&str], internal: Option<&[&str]>) -> Privacy {
        let list = |entries: &[&str]| entries.iter().map(|&entry| entry.to_owned()).collect();
        let settings = Settings {
            never_sync: list(never),
            internal_domains: internal.map(list),
            ..Settings::default()
        };
        Privacy::of(&settings, OWN)
    }

    fn bars(privacy: &Privacy, from: &str, to: &str, cc: &str) -> Option<String> {
        let own = Own::of([OWN].into_iter());
        let inputs = privacy.bars(&envelope(from, to, cc), &own, None)?;
        Some(inputs.join(" "))
    }

    #[test]
    fn t06_never_sync_means_a_mailbox_or_a_domain_with_its_subdomains_wherever_it_stands() {
        let privacy = privacy(&["bob@x.example", "@law.example"], Some(&[]));
        assert_eq!(
            bars(&privacy, "Bob+x@X.example", OWN, "").as_deref(),
            Some("never-sync: bob@x.example address: Bob+x@X.example")
        );
        assert!(bars(&privacy, "ann@a.example", OWN, "eve@mail.law.example").is_some());
        assert!(bars(&privacy, OWN, "ann@a.example, eve@law.example", "").is_some());
        for other in ["al@x.example", "eve@in-law.example", "eve@law.example.org"] {
            assert_eq!(bars(&privacy, other, OWN, ""), None, "{other}");
        }
    }

    #[test]
    fn t06_mail_among_colleagues_alone_is_internal() {
        let privacy = privacy(&[], None);
        let found = bars(&privacy, "boss@example.com", OWN, "al@dev.example.com");
        assert_eq!(found.as_deref(), Some("internal-domains: example.com"));
        assert_eq!(
            bars(&privacy, "boss@example.com", OWN, "ann@client.example"),
            None
        );
        assert_eq!(bars(&privacy, "ann@client.example", OWN, ""), None);
        let mut form = envelope("forms@example.com", OWN, "");
        form.reply_to = vec![Mailbox::bare("ann@client.example")];
        assert_eq!(privacy.bars(&form, &Own::default(), None), None);
    }

    #[test]
    fn t06_a_domain_that_gmail_gives_to_anybody_is_nobodys_own() {
        let privacy = Privacy::of(&Settings::default(), "mia@gmail.com");
        let own = Own::of(["mia@gmail.com"].into_iter());
        let mail = envelope("ann@gmail.com", "mia@gmail.com", "");
        assert_eq!(privacy.bars(&mail, &own, None), None);
    }

    #[test]
    fn t06_mail_of_a_private_contact_stays_out() {
        let mut ann = contact("ann", "ann@client.example");
        let mail = envelope("ann@client.example", OWN, "");
        let privacy = privacy(&[], None);
        assert_eq!(privacy.bars(&mail, &Own::default(), Some(&ann)), None);
        ann.private = true;
        let inputs = privacy.bars(&mail, &Own::default(), Some(&ann)).unwrap();
        assert_eq!(inputs, ["private: yes", "contact: ann"]);
    }
}
