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

pub mod contacts;
pub mod labels;
pub mod own;
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
pub mod s30_everyone_first;
pub mod s31_who_replies_keeps;
pub mod s32_sent_from_one_crm;
pub mod t04_gap;
pub mod t06_privacy;
pub mod t08_authentication;

pub use contacts::{Contacts, Owner, address_key};
pub use labels::LabelRule;
pub use own::Own;
pub use s30_everyone_first::AssignedUsers;
pub use t06_privacy::Privacy;

/// The most addresses that are named as those of no contact.
const NAMED: usize = 5;

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
    /// Mail of a contact that is another user's.
    S30,
    /// Mail of a contact that another tenant keeps.
    S31,
    /// Mail that another tenant's CRM sent.
    S32,
    /// Mail that people want to keep out.
    T06,
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
            Self::S30 => "S30",
            Self::S31 => "S31",
            Self::S32 => "S32",
            Self::T06 => "T06",
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
                "what the user sends to the BCC address belongs to the first recipient that is a contact; a delivery notice is \
                 news of the mail it is about"
            }
            Self::S20 => "mail sent from the CRM is in the CRM already",
            Self::S30 => "mail of a contact goes to the user it is assigned to",
            Self::S31 => "the contact is released: the CRM account whose user replied to it keeps it",
            Self::S32 => "mail sent from a CRM is logged in that CRM alone",
            Self::T06 => {
                "mail of the never-sync list, among colleagues, or of a private conversation stays out"
            }
        }
    }
}

/// What a rule looked at, each `name: value`: for an explanation (T02). Never anything of a body.
pub type Inputs = Vec<String>;

/// One of [`Inputs`].
pub fn input(name: &str, value: &str) -> String {
    format!("{name}{IS}{value}")
}

/// The name and the value of an [`input`].
pub fn name_and_value(input: &str) -> (&str, &str) {
    input.split_once(IS).unwrap_or((input, ""))
}

/// Nothing that a local part may have in it: a trace without names finds the address behind it (T05).
const IS: &str = ": ";

/// Where an address stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `X-Original-From`, of a list.
    OriginalFrom,
    /// `From`.
    From,
    /// `Sender`, where there is no `From`.
    Sender,
    /// `Reply-To`.
    ReplyTo,
    /// The list it came through.
    List,
    /// `To`.
    To,
    /// `Cc`.
    Cc,
    /// Nowhere, or `Bcc`.
    Bcc,
}

impl Place {
    /// Its name as people are shown it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OriginalFrom => "original-from",
            Self::From => "from",
            Self::Sender => "sender",
            Self::ReplyTo => "reply-to",
            Self::List => "list",
            Self::To => "to",
            Self::Cc => "cc",
            Self::Bcc => "bcc",
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
    /// The user's own addresses.
    pub own: &'a Own,
    /// What people want to keep out.
    pub privacy: &'a Privacy,
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
        /// What it looked at.
        inputs: Inputs,
    },
    /// It stays out, by this rule, which looked at this.
    Exclude(Rule, Inputs),
}

/// What can be decided before any contact is looked up.
pub fn exclude_early(summary: &Summary, since: u64) -> Option<Rule> {
    labels::excluded(&summary.label_ids)
        .map(Rule::Label)
        .or_else(|| s04_no_past_mail::is_past(summary.internal_date, since).then_some(Rule::S04))
}

/// The addresses whose contacts [`decide`] needs to know, in the order in which they count.
pub fn addresses_that_matter<'a>(evidence: &Evidence<'a>) -> Vec<(Place, &'a str)> {
    let mut addresses = candidates(evidence);
    addresses.retain(|(_, address)| !evidence.own.has(address));
    addresses
}

fn candidates<'a>(evidence: &Evidence<'a>) -> Vec<(Place, &'a str)> {
    match direction(evidence.summary) {
        Direction::Inbound => s10_inbound::senders(evidence.envelope),
        Direction::Outbound => s15_primary_recipient::candidates(evidence.envelope),
    }
}

/// Decides. `contacts` holds at least the contacts of [`addresses_that_matter`].
pub fn decide(evidence: &Evidence<'_>, contacts: &Contacts) -> Decision {
    if let Some(rule) = exclude_early(evidence.summary, evidence.since) {
        return Decision::Exclude(rule, Inputs::new());
    }
    whose(evidence, contacts)
}

/// Decides whose conversation a message belongs to, whatever its labels and time say.
pub fn whose(evidence: &Evidence<'_>, contacts: &Contacts) -> Decision {
    let direction = direction(evidence.summary);
    let mut found = Inputs::new();
    let rule = match direction {
        Direction::Inbound => match s13_user_in_copy::place(evidence.envelope, evidence.own) {
            Some(place) => {
                found.push(input("user-in", place.name()));
                Rule::S13
            }
            None => Rule::S10,
        },
        Direction::Outbound => match s12_forwarded::prefix(evidence.envelope) {
            Some(prefix) => {
                found.push(input("subject-begins-with", prefix));
                Rule::S12
            }
            None => Rule::S11,
        },
    };
    let addresses = addresses_that_matter(evidence);
    let owner = addresses
        .iter()
        .find_map(|(place, address)| Some((*place, *address, contacts.known(address)?)));
    let Some((place, address, (key, owner))) = owner else {
        // A stranger stays a stranger, whoever else is in copy.
        let rule = if direction == Direction::Inbound {
            Rule::S10
        } else {
            rule
        };
        return Decision::Exclude(rule, nobodys(evidence, &addresses));
    };
    if let Some(inputs) = evidence
        .privacy
        .bars(evidence.envelope, evidence.own, Some(&owner.contact))
    {
        return Decision::Exclude(Rule::T06, inputs);
    }
    let mut inputs = vec![input("address", address), input("in", place.name())];
    inputs.extend(found);
    inputs.extend(
        owner
            .others
            .iter()
            .take(NAMED)
            .map(|id| input("created-later", id)),
    );
    Decision::Deliver {
        contact: owner.contact.clone(),
        address: key.to_owned(),
        direction,
        rule,
        inputs,
    }
}

/// What was looked at when nobody was found.
fn nobodys(evidence: &Evidence<'_>, addresses: &[(Place, &str)]) -> Inputs {
    if addresses.is_empty() {
        let own = candidates(evidence);
        return own
            .iter()
            .take(NAMED)
            .map(|(_, address)| input("own-address", address))
            .collect();
    }
    addresses
        .iter()
        .take(NAMED)
        .map(|(_, address)| input("no-contact", address))
        .collect()
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
    let contact_id = input("contact", &contact.id);
    if !s30_everyone_first::sees(contact, viewer.user, viewer.whose) {
        let assigned = contact.assigned_user.as_deref().unwrap_or_default();
        Decision::Exclude(Rule::S30, vec![contact_id, input("assigned-user", assigned)])
    } else if s32_sent_from_one_crm::is_from_a_crm(label_ids, evidence.envelope) {
        Decision::Exclude(Rule::S32, vec![contact_id])
    } else if s31_who_replies_keeps::is_released(standing, *direction, *internal_date) {
        let Standing::Released(since) = standing else {
            return decision;
        };
        let since = input("released-at", &since.to_string());
        Decision::Exclude(Rule::S31, vec![contact_id, since])
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

#[cfg(test)]
mod tests {
    use super::{s32_sent_from_one_crm::MESSAGE_ID_MARK, testing::*, *};

    fn shared_with(labels: &[&str], mail: &Envelope, ann: &Contact, standing: Standing) -> Decision {
        let summary = summary(labels);
        let evidence = Evidence {
            summary: &summary,
            envelope: mail,
            own: &Own::of([OWN].into_iter()),
            privacy: &Privacy::default(),
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
        assert_eq!(excluded_by(&released), Some(Rule::S31));
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
        assert_eq!(excluded_by(&kept), Some(Rule::S32));
        let stranger = contact("bob", "bob@b.example");
        let decision = shared_with(&["SENT"], &mail, &stranger, Standing::Open);
        assert_eq!(excluded_by(&decision), Some(Rule::S11));
    }

    #[test]
    fn s30_what_is_another_users_is_told_so_whoever_keeps_it() {
        let mut ann = contact("ann", "ann@client.example");
        ann.assigned_user = Some("tom".to_owned());
        let mail = envelope("ann@client.example", OWN, "");
        let decision = shared_with(&["INBOX"], &mail, &ann, Standing::Released(0));
        assert_eq!(excluded_by(&decision), Some(Rule::S30));
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
            private: false,
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
                own: &Own::of([OWN].into_iter()),
                privacy: &Privacy::default(),
                since: SINCE,
            },
            &known,
        )
    }

    pub(crate) fn excluded_by(decision: &Decision) -> Option<Rule> {
        match decision {
            Decision::Exclude(rule, _) => Some(*rule),
            Decision::Deliver { .. } => None,
        }
    }

    pub(crate) fn inputs_of(decision: &Decision) -> &[String] {
        let (Decision::Deliver { inputs, .. } | Decision::Exclude(_, inputs)) = decision;
        inputs
    }

    pub(crate) fn delivered_to(decision: &Decision) -> Option<(&str, Rule)> {
        match decision {
            Decision::Deliver { contact, rule, .. } => Some((&contact.id, *rule)),
            Decision::Exclude(..) => None,
        }
    }
}
