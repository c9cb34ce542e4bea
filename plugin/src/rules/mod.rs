//! Who gets it: pure functions, one module per rule of the product, named by its number.
//!
//! [`decide`] puts them together: what Gmail says of a message and which contacts its addresses belong
//! to, in; a [`Decision`] with the rule that made it, out (T02).

use serde::{Deserialize, Serialize};

use crate::{
    contract::{Contact, Direction, Standing},
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
pub mod s19_attachments;
pub mod s20_one_to_one;
pub mod s21_limits;
pub mod s23_exactly_once;
pub mod s30_everyone_first;
pub mod s31_who_replies_keeps;
pub mod s32_sent_from_one_crm;
pub mod t04_gap;
pub mod t08_authentication;

pub use labels::LabelRule;
pub use s30_everyone_first::AssignedUsers;

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
    /// Mail sent by the CRM itself, which has it already.
    S20,
    /// Mail of a contact that is another user's.
    S30,
    /// Mail of a contact that another tenant keeps.
    S31,
    /// Mail that another tenant's CRM sent.
    S32,
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
            Self::S20 => "S20",
            Self::S30 => "S30",
            Self::S31 => "S31",
            Self::S32 => "S32",
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
            Self::S20 => "mail sent from the CRM is in the CRM already",
            Self::S30 => "mail of a contact goes to the user it is assigned to",
            Self::S31 => "the contact is released: the CRM account whose user replied to it keeps it",
            Self::S32 => "mail sent from a CRM is logged in that CRM alone",
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
        /// The [`address_key`] of its address that the message has.
        address: String,
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
        .find_map(|address| contacts.known(address));
    match owner {
        Some((address, contact)) => Decision::Deliver {
            contact: contact.clone(),
            address: address.to_owned(),
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

/// Whose contacts are synced, and who keeps them.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// The connected user.
    pub user: &'a str,
    /// Whose contacts are synced (S30).
    pub whose: AssignedUsers,
    /// Standings by [`address_key`] (S31); one that is absent is open.
    pub standings: &'a [(String, Standing)],
}

/// The decision as far as it is this tenant's and this user's: of a shared mailbox not everything is (S30 to S32).
pub fn shared(decision: Decision, evidence: &Evidence<'_>, viewer: &Viewer<'_>) -> Decision {
    let Decision::Deliver {
        contact,
        address,
        direction,
        ..
    } = &decision
    else {
        return decision;
    };
    let Summary {
        label_ids,
        internal_date,
        ..
    } = evidence.summary;
    let standing = viewer.standings.iter().find(|(key, _)| key == address);
    let standing = standing.map_or(Standing::Open, |(_, standing)| *standing);
    if !s30_everyone_first::sees(contact, viewer.user, viewer.whose) {
        Decision::Exclude(Rule::S30)
    } else if s32_sent_from_one_crm::is_from_a_crm(label_ids, evidence.envelope) {
        Decision::Exclude(Rule::S32)
    } else if s31_who_replies_keeps::is_released(standing, *direction, *internal_date) {
        Decision::Exclude(Rule::S31)
    } else {
        decision
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
        self.known(address).map(|(_, contact)| contact)
    }

    /// The same, with the address's [`address_key`].
    pub fn known(&self, address: &str) -> Option<(&str, &Contact)> {
        let (key, contact) = self.by_key.get_key_value(&address_key(address)?)?;
        Some((key, contact))
    }
}

/// What two spellings of one address have in common.
pub fn address_key(address: &str) -> Option<String> {
    crate::mail::normalise(address).map(|normal| normal.as_string())
}

#[cfg(test)]
mod tests {
    use super::{s32_sent_from_one_crm::MESSAGE_ID_MARK, testing::*, *};

    fn shared_with(labels: &[&str], mail: &Envelope, ann: &Contact, standing: Standing) -> Decision {
        let summary = summary(labels);
        let evidence = Evidence {
            summary: &summary,
            envelope: mail,
            own_address: OWN,
            since: SINCE,
        };
        let viewer = Viewer {
            user: "mia",
            whose: AssignedUsers::Own,
            standings: &[("ann@client.example".to_owned(), standing)],
        };
        let decision = decide_with(&summary, mail, std::slice::from_ref(ann));
        shared(decision, &evidence, &viewer)
    }

    #[test]
    fn s31_the_primary_recipient_decides_and_nobody_comes_after_one_that_is_released() {
        let ann = contact("ann", "ann@client.example");
        let mail = envelope("ANN@client.example", OWN, "");
        let released = shared_with(&["INBOX"], &mail, &ann, Standing::Released(SINCE));
        assert_eq!(released, Decision::Exclude(Rule::S31));
        for standing in [Standing::Open, Standing::Kept, Standing::Released(SINCE + 2)] {
            let decision = shared_with(&["INBOX"], &mail, &ann, standing);
            assert_eq!(delivered_to(&decision), Some(("ann", Rule::S10)));
        }
    }

    #[test]
    fn s32_mail_from_a_crm_stays_out_even_where_the_contact_is_kept_and_strangers_stay_strangers() {
        let ann = contact("ann", "ann@client.example");
        let mut mail = envelope(OWN, "ann@client.example", "");
        mail.message_id = Some(format!("1{MESSAGE_ID_MARK}example.com"));
        let kept = shared_with(&["SENT"], &mail, &ann, Standing::Kept);
        assert_eq!(kept, Decision::Exclude(Rule::S32));
        let stranger = contact("bob", "bob@b.example");
        let decision = shared_with(&["SENT"], &mail, &stranger, Standing::Open);
        assert_eq!(decision, Decision::Exclude(Rule::S11));
    }

    #[test]
    fn s30_what_is_another_users_is_told_so_whoever_keeps_it() {
        let mut ann = contact("ann", "ann@client.example");
        ann.assigned_user = Some("tom".to_owned());
        let mail = envelope("ann@client.example", OWN, "");
        let decision = shared_with(&["INBOX"], &mail, &ann, Standing::Released(0));
        assert_eq!(decision, Decision::Exclude(Rule::S30));
    }
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
