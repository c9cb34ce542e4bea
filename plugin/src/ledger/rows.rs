//! The rows.

use serde::{Deserialize, Serialize};

use crate::{
    contract::Outcome,
    mail::delivery_status::Failure,
    rules::{Inputs, Rule, t04_gap::Gap},
};

/// Whether a connection syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionState {
    /// It syncs.
    Active,
    /// It was ended (S06).
    Disconnected,
}

/// The connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionRow {
    /// Whether it syncs.
    pub state: ConnectionState,
    /// The mailbox's address.
    pub address: String,
    /// Mail accepted before this is past mail (S04), ms since the epoch.
    pub since: u64,
    /// History id up to which everything is accounted for.
    pub cursor: String,
    /// Page of the listing from `cursor` that comes next, if one was begun.
    pub page: Option<String>,
    /// A gap that listing has to close (T04).
    pub gap: Option<Gap>,
    /// The message on which passes ended, one after the other.
    pub stuck: Option<Stuck>,
    /// The watch that makes Gmail push, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// Where the CRM's changes were read up to (S17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crm_cursor: Option<String>,
    /// The other addresses that the mailbox may send from, as far as they were ever read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Aliases>,
    /// The row after which to look for what the rules no longer allow, if that is under way (T06).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retract: Option<String>,
}

/// The accepted send-as aliases of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aliases {
    /// Their addresses.
    pub addresses: Vec<String>,
    /// When to read them again, ms since the epoch.
    pub due_at: u64,
}

/// Gmail publishes to a topic what happens to the mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The topic.
    pub topic: String,
    /// When to ask for it again, ms since the epoch: in a day, or soon where it was refused.
    pub renew_at: u64,
    /// When it ends, ms since the epoch; none: it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// A message that the provider fails on while it answers for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// Its id.
    pub id: String,
    /// Passes that ended on it.
    pub passes: u32,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// What.
    pub fate: Fate,
    /// Its thread's id.
    pub thread: String,
    /// When the provider accepted it, ms since the epoch; 0 when that was never read.
    pub received_at: u64,
    /// When this was decided, ms since the epoch.
    pub decided_at: u64,
    /// Who sent it, as far as that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// What the rule looked at (T02).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Inputs,
    /// Message-ID of the message that this one is a delivery notice about (S18), without brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concerns: Option<String>,
    /// Everybody whom the headers of mail name that came to the BCC address: the mailbox may have no copy to look at (T06).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<String>,
    /// Version of the component that decided.
    pub version: String,
}

/// What can become of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is in the CRM.
    Delivered(Delivered),
    /// A rule keeps it out.
    Excluded(Rule),
    /// It was gone before it could be read.
    Gone,
    /// It could not be handled; why.
    Quarantined(String),
}

/// Where a message was delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// The contact's id.
    pub contact: String,
    /// The rule that linked it.
    pub rule: Rule,
    /// Its Message-ID, without brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Its key in the CRM where that is not the one of its id: it names a BCC address, or a copy of it came there first (S18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What of it the CRM refused, such as an attachment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The history record up to which the CRM knows its labels: pages of history may come out of order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub labels_at: u64,
    /// The flags that both sides had last, as [`bits`](crate::rules::s17_both_ways::bits) (S17); none: nobody
    /// asked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<u8>,
    /// What the CRM was told last (S17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// Whether these flags were brought to Gmail from the CRM, which so far knows nothing else: history that
    /// tells the same is an echo (S17).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carried: bool,
    /// The last time that both sides changed it without knowing of each other (S17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
    /// Whether it was permanently deleted at the provider since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Whether another tenant keeps the contact since (S31): nothing of the message is carried any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
}

impl Delivered {
    /// Of a message of which nothing more is known yet.
    pub fn new(contact: &str, rule: Rule, message_id: Option<String>) -> Self {
        Self {
            contact: contact.to_owned(),
            rule,
            message_id,
            key: None,
            left_out: Vec::new(),
            labels_at: 0,
            flags: None,
            told: None,
            carried: false,
            conflict: None,
            deleted: false,
            released: false,
        }
    }

    /// Whether what happens to the message on one side is brought to the other.
    pub fn is_synced(&self) -> bool {
        !self.deleted && !self.released
    }
}

/// What was done in the CRM met what was done in Gmail. Flags as [`bits`](crate::rules::s17_both_ways::bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// When it was done in the CRM, ms since the epoch.
    pub at: u64,
    /// What the CRM wanted the flags to be.
    pub wished: u8,
    /// What they became; none: the message was gone.
    pub became: Option<u8>,
}

/// Flags that the CRM was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it had taken them, ms since the epoch. What people did before, they did to the flags before.
    pub at: u64,
    /// The flags before, as [`bits`](crate::rules::s17_both_ways::bits).
    pub before: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl LedgerRow {
    /// In the words of the contract.
    pub fn outcome(&self) -> Outcome {
        match &self.fate {
            Fate::Delivered(delivered) => Outcome::Delivered(delivered.contact.clone()),
            Fate::Excluded(rule) => Outcome::Excluded(rule.name().to_owned()),
            Fate::Gone => Outcome::Gone,
            Fate::Quarantined(reason) => Outcome::Quarantined(reason.clone()),
        }
    }
}

/// Mail that may come two ways, and the key under which the CRM is given it, whichever way is first (S18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The key.
    pub key: String,
    /// How its text begins; see [`opening`](crate::rules::s18_bcc_address::opening).
    pub opening: Vec<u32>,
    /// Its Message-ID, without brackets.
    pub message_id: Option<String>,
    /// Id and thread of its copy in the mailbox, once that was seen.
    pub copy: Option<(String, String)>,
    /// What keeps that copy out, if it names somebody by Bcc of whom nothing is to be synced (T06).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<Inputs>,
}

/// What a reply into a thread needs, and the sign that the thread is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadRow {
    /// Subject of its latest message.
    pub subject: String,
    /// Message-ID of its latest message, without brackets.
    pub message_id: Option<String>,
    /// References of its latest message.
    pub references: Vec<String>,
    /// When its latest message was accepted, ms since the epoch.
    pub latest_at: u64,
    /// Whether strangers write in it, or others than this tenant: then headers are read first again (S10, S31).
    #[serde(default)]
    pub strangers: bool,
}

/// Mail the CRM wants sent (S23).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboundRow {
    /// How far it is.
    pub state: OutboundState,
    /// The Message-ID given to the draft, without brackets.
    pub message_id: String,
    /// Its subject.
    pub subject: String,
    /// Keys of its recipients, sorted.
    pub recipients: Vec<String>,
    /// The contact's id.
    pub contact: String,
    /// References it was given.
    pub references: Vec<String>,
    /// The contact's addresses, claimed before it is sent (S31).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// When it was stored, ms since the epoch.
    pub at: u64,
}

/// When the contacts are looked through, and how far that is (S31).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewRow {
    /// The last contact that was looked at, if there are more.
    pub after: Option<String>,
    /// When the next ones are, ms since the epoch.
    pub due_at: u64,
}

/// A delivery notice whose message was not found yet (S18): a search may lag behind, and so may history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoticeRow {
    /// The notice's thread.
    pub thread: String,
    /// Message-IDs that may be its message's, without brackets.
    pub originals: Vec<String>,
    /// Whom the message has not reached.
    pub failures: Vec<Failure>,
    /// When it was read, ms since the epoch.
    pub since: u64,
    /// When its message is looked for again, ms since the epoch.
    pub due_at: u64,
}

/// How far outbound mail is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutboundState {
    /// A draft is about to be created.
    Preparing,
    /// A draft was created; whether it was sent, Gmail knows.
    Drafted(DraftIds),
    /// It was sent.
    Sent(SentIds),
    /// Neither sending nor the opposite could be established; the user decides.
    Unconfirmed(DraftIds),
    /// It was refused for good.
    Failed(Refused),
}

/// Why a message was refused for good, and what is left of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// For people.
    pub reason: String,
    /// The draft that is to be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
}

/// A draft's ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftIds {
    /// The draft's.
    pub draft: String,
    /// Its message's.
    pub message: String,
    /// Its thread's.
    pub thread: String,
    /// Since when it is unclear whether it was sent, ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear_since: Option<u64>,
}

/// A sent message's ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentIds {
    /// The message's.
    pub message: String,
    /// Its thread's.
    pub thread: String,
    /// When, ms since the epoch.
    pub at: u64,
}

/// Number of a listing of the whole address book.
pub type Listing = u32;

/// How far the address book is in the CRM (S08).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBookRow {
    /// What changed since this was given is listed; none: all are.
    pub sync_token: Option<String>,
    /// The page that comes next, if a listing is under way.
    pub page: Option<String>,
    /// The last listing of all.
    pub listing: Listing,
    /// When it is asked again, ms since the epoch.
    pub due_at: u64,
}

impl AddressBookRow {
    /// Whether what comes next is the first page of all.
    pub fn begins_anew(&self) -> bool {
        self.sync_token.is_none() && self.page.is_none()
    }
}
