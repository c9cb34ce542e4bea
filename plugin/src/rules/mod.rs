//! Who gets it: pure functions, one module per rule of the product, named by its number.
//!
//! [`decide`] puts them together: what Gmail says of a message and which contacts its addresses belong
//! to, in; a [`Decision`] with the rule that made it, out (T02).

use serde::{Deserialize, Serialize};

use crate::{
    contract::{Contact, Direction},
    gmail::Summary,
    mail::Envelope,
};

pub mod labels;
pub mod s03_right_mailbox;
pub mod s04_no_past_mail;
pub mod s08_google_contacts;
pub mod s10_inbound;
pub mod s11_sent;
pub mod s12_forwarded;
pub mod s13_user_in_copy;
pub mod s14_copies;
pub mod s15_primary_recipient;
pub mod s16_duplicates;
pub mod s17_both_ways;
pub mod s18_bcc_address;
pub mod s19_attachments;
pub mod s20_one_to_one;
pub mod s21_limits;
pub mod s23_exactly_once;
pub mod t04_gap;

pub use labels::LabelRule;

/// A rule that links a message to a contact or keeps it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rule {
    /// Mail from before the connection.
    S04,
    /// Mail from a contact; mail from strangers stays out.
    S10,
    /// Mail the user sent.
    S11,
    /// Mail the user forwarded.
    S12,
    /// Mail from a contact to somebody else, the user in copy.
    S13,
    /// Mail that came to the BCC address, and notices about that address.
    S18,
    /// Mail sent by the CRM itself, which has it already.
    S20,
    /// A draft, spam, trash or a chat.
    #[serde(untagged)]
    Label(LabelRule),
}

impl Rule {
    /// Its name as people are shown it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Label(rule) => rule.name(),
            Self::S04 => "S04",
            Self::S10 => "S10",
            Self::S11 => "S11",
            Self::S12 => "S12",
            Self::S13 => "S13",
            Self::S18 => "S18",
            Self::S20 => "S20",
        }
    }

    /// What it means, for an explanation (T02).
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Label(_) => "a draft, spam, trash or chat is not mail of a conversation",
            Self::S04 => "mail from before the connection is never included",
            Self::S10 => "mail from a contact belongs to that contact; mail from strangers is not synced",
            Self::S11 => "mail the user sends belongs to the first recipient that is a contact",
            Self::S12 => "mail the user forwards is treated as sent",
            Self::S13 => "mail from a contact with the user in copy belongs to that contact",
            Self::S18 => {
                "what the user sends to the BCC address belongs to the first recipient that is a contact"
            }
            Self::S20 => "mail sent from the CRM is in the CRM already",
        }
    }
}

/// What is known of a message when the rules decide.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Ids, labels, time.
    pub summary: &'a Summary,
    /// The headers.
    pub envelope: &'a Envelope,
    /// The connection's own address.
    pub own_address: &'a str,
    /// Mail accepted before this is past mail, ms since the epoch.
    pub since: u64,
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It belongs to this contact.
    Deliver {
        /// The contact.
        contact: Contact,
        /// Which way it went.
        direction: Direction,
        /// The rule that says so.
        rule: Rule,
    },
    /// It stays out.
    Exclude(Rule),
}

/// What can be decided before any contact is looked up.
pub fn exclude_early(summary: &Summary, since: u64) -> Option<Rule> {
    labels::excluded(&summary.label_ids)
        .map(Rule::Label)
        .or_else(|| s04_no_past_mail::is_past(summary.internal_date, since).then_some(Rule::S04))
}

/// The addresses whose contacts [`decide`] needs to know, in the order in which they count.
pub fn addresses_that_matter(evidence: &Evidence<'_>) -> Vec<String> {
    match direction(evidence.summary) {
        Direction::Inbound => s10_inbound::senders(evidence.envelope),
        Direction::Outbound => s15_primary_recipient::candidates(evidence.envelope),
    }
    .into_iter()
    .filter(|address| !s03_right_mailbox::same(address, evidence.own_address))
    .collect()
}

/// Decides. `contacts` holds at least the contacts of [`addresses_that_matter`].
pub fn decide(evidence: &Evidence<'_>, contacts: &Contacts) -> Decision {
    if let Some(rule) = exclude_early(evidence.summary, evidence.since) {
        return Decision::Exclude(rule);
    }
    whose(evidence, contacts)
}

/// Decides whose conversation a message belongs to, whatever its labels and time say.
pub fn whose(evidence: &Evidence<'_>, contacts: &Contacts) -> Decision {
    let direction = direction(evidence.summary);
    let rule = match direction {
        Direction::Inbound if s13_user_in_copy::applies(evidence.envelope, evidence.own_address) => Rule::S13,
        Direction::Inbound => Rule::S10,
        Direction::Outbound if s12_forwarded::is_forwarded(evidence.envelope) => Rule::S12,
        Direction::Outbound => Rule::S11,
    };
    let owner = addresses_that_matter(evidence)
        .iter()
        .find_map(|address| contacts.owner(address).cloned());
    match owner {
        Some(contact) => Decision::Deliver {
            contact,
            direction,
            rule,
        },
        // A stranger stays a stranger, whoever else is in copy.
        None => Decision::Exclude(if direction == Direction::Inbound {
            Rule::S10
        } else {
            rule
        }),
    }
}

/// Outbound is what carries SENT; mail to oneself carries INBOX too and is outbound all the same.
pub fn direction(summary: &Summary) -> Direction {
    if s11_sent::is_sent(&summary.label_ids) {
        Direction::Outbound
    } else {
        Direction::Inbound
    }
}

/// Contacts by address.
#[derive(Clone, Debug, Default)]
pub struct Contacts {
    by_key: std::collections::BTreeMap<String, Contact>,
}

impl Contacts {
    /// Adds contacts under all their addresses; one that was created earlier wins an address (S16).
    pub fn add(&mut self, contacts: impl IntoIterator<Item = Contact>) {
        for contact in contacts {
            for address in &contact.addresses {
                let Some(key) = address_key(address) else { continue };
                match self.by_key.get(&key) {
                    Some(known) if !s16_duplicates::goes_before(&contact, known) => {}
                    _ => {
                        self.by_key.insert(key, contact.clone());
                    }
                }
            }
        }
    }

    /// The contact that gets mail of this address.
    pub fn owner(&self, address: &str) -> Option<&Contact> {
        self.by_key.get(&address_key(address)?)
    }
}

/// What two spellings of one address have in common.
pub fn address_key(address: &str) -> Option<String> {
    crate::mail::normalise(address).map(|normal| normal.as_string())
}

#[cfg(test)]
pub(crate) mod testing {
    //! Builders for evidence.

    use super::*;
    use crate::mail::parse_mailboxes;

    pub(crate) const OWN: &str = "me@example.com";
    pub(crate) const SINCE: u64 = 1_000_000;

    pub(crate) fn contact(id: &str, address: &str) -> Contact {
        Contact {
            id: id.to_owned(),
            name: id.to_owned(),
            addresses: vec![address.to_owned()],
            created_at: 1,
            assigned_user: None,
        }
    }

    pub(crate) fn envelope(from: &str, to: &str, cc: &str) -> Envelope {
        let from = parse_mailboxes(from);
        Envelope {
            sender: from.first().cloned(),
            from,
            to: parse_mailboxes(to),
            cc: parse_mailboxes(cc),
            ..Envelope::default()
        }
    }

    pub(crate) fn summary(labels: &[&str]) -> Summary {
        Summary {
            id: "1".to_owned(),
            thread_id: "1".to_owned(),
            label_ids: labels.iter().map(|&label| label.to_owned()).collect(),
            internal_date: SINCE + 1,
            size_estimate: 100,
            history_id: 1,
        }
    }

    pub(crate) fn decide_with(summary: &Summary, envelope: &Envelope, contacts: &[Contact]) -> Decision {
        let mut known = Contacts::default();
        known.add(contacts.iter().cloned());
        decide(
            &Evidence {
                summary,
                envelope,
                own_address: OWN,
                since: SINCE,
            },
            &known,
        )
    }

    pub(crate) fn delivered_to(decision: &Decision) -> Option<(&str, Rule)> {
        match decision {
            Decision::Deliver { contact, rule, .. } => Some((&contact.id, *rule)),
            Decision::Exclude(_) => None,
        }
    }
}
