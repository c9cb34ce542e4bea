//! What became of it: every message the sync looked at has a row (T01), and the rows the passes need
//! lie beside it. One connection's storage holds
//!
//! | key | what |
//! |---|---|
//! | `connection` | [`ConnectionRow`] |
//! | `ledger/<message id>` | [`LedgerRow`] |
//! | `bcc/<fingerprint>` | [`LedgerRow`] of mail that came to the BCC address (S18) |
//! | `mail/<fingerprint>` | [`Claim`]s: under which key mail that may come two ways is in the CRM (S18) |
//! | `quarantine/<message id>` | version of the component that could not handle it |
//! | `thread/<thread id>` | [`ThreadRow`] |
//! | `out/<outbound id>` | [`OutboundRow`] |
//! | `intent/<outbound id>` | nothing; it may have been sent and nobody knows yet (S23) |
//! | `address-book` | [`AddressBookRow`] |
//! | `person/<resource name>` | the [`Listing`] after which the CRM was given the person |
//! | `contact/<address>` | an address of a contact that mail was delivered or sent to, as the CRM spells it (S31) |
//! | `held/<address>/<message id>` | nothing; the CRM has the message and was not told that it is released (S31) |
//! | `held/<address>/bcc/<fingerprint>` | the same of mail that came to the BCC address |
//! | `releasing/<address>` | nothing; the contact was released, and the CRM is being told (S31) |
//! | `review` | [`ReviewRow`] |
//! | `notice/<message id>` | [`NoticeRow`] |
//! | `sent/<ms, 13 digits>/<message id>` | nothing; counts for the daily limit (S21) |

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    contract::{Change, CommitError, Entry, Expectation, Outcome, Problem, StorageError},
    mail::delivery_status::Failure,
    ports::Storage,
    rules::{Inputs, Rule, t04_gap::Gap},
};

/// The component's version, kept with what it decided.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Key of the connection's row.
pub const CONNECTION: &str = "connection";
/// Most keys of one read.
const READ_AT_ONCE: usize = 1_000;

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
    /// Its key in the CRM where that is not the one of its id: another copy of it came first (S18).
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

/// Prefix of [`ledger_key`].
pub const LEDGER: &str = "ledger/";

/// Key of a message's row.
pub fn ledger_key(id: &str) -> String {
    format!("{LEDGER}{id}")
}

/// Key of a quarantined message.
pub fn quarantine_key(id: &str) -> String {
    format!("{QUARANTINE}{id}")
}

/// Key of a thread's row.
pub fn thread_key(id: &str) -> String {
    format!("thread/{id}")
}

/// Key of outbound mail.
pub fn outbound_key(id: &str) -> String {
    format!("out/{id}")
}

/// Key of a contact's address.
pub fn contact_key(address: &str) -> String {
    format!("{CONTACTS}{address}")
}

/// Prefix of [`held_key`] of one contact. No domain has a slash, so none is the beginning of another's.
pub fn held_prefix(address: &str) -> String {
    format!("held/{address}/")
}

/// Key of a message of a contact that the CRM has, by what [`row_key`] takes.
pub fn held_key(address: &str, id: &str) -> String {
    format!("{}{id}", held_prefix(address))
}

/// Key of a contact that is being released.
pub fn releasing_key(address: &str) -> String {
    format!("{RELEASING}{address}")
}

/// Key of the row of what is held: a message of the mailbox, or mail that came to the BCC address.
pub fn row_key(held: &str) -> String {
    if held.starts_with(BCC) {
        held.to_owned()
    } else {
        ledger_key(held)
    }
}

/// Key of a notice whose message is looked for.
pub fn notice_key(id: &str) -> String {
    format!("{NOTICES}{id}")
}

/// Prefix of [`notice_key`].
pub const NOTICES: &str = "notice/";
/// Prefix of [`contact_key`].
pub const CONTACTS: &str = "contact/";
/// Prefix of [`releasing_key`].
pub const RELEASING: &str = "releasing/";
/// Key of [`ReviewRow`].
pub const REVIEW: &str = "review";
/// Prefix of [`quarantine_key`].
pub const QUARANTINE: &str = "quarantine/";
/// Prefix of [`sent_key`].
pub const SENT: &str = "sent/";
/// Prefix of [`intent_key`].
pub const INTENTS: &str = "intent/";
/// Prefix of [`bcc_key`].
pub const BCC: &str = "bcc/";

/// Key of the row of mail that came to the BCC address.
pub fn bcc_key(fingerprint: &str) -> String {
    format!("{BCC}{fingerprint}")
}

/// Key of the [`Claim`]s of mail with this fingerprint.
pub fn claims_key(fingerprint: &str) -> String {
    format!("mail/{fingerprint}")
}

/// Key of [`AddressBookRow`].
pub const ADDRESS_BOOK: &str = "address-book";
/// Prefix of [`person_key`].
pub const PERSONS: &str = "person/";

/// Key of a person's row.
pub fn person_key(resource_name: &str) -> String {
    format!("{PERSONS}{resource_name}")
}

/// Key of the mark that outbound mail has a draft of which it is not settled whether it was sent.
pub fn intent_key(id: &str) -> String {
    format!("{INTENTS}{id}")
}

/// A change that writes a mark.
pub fn mark(key: String) -> Change {
    Change {
        key,
        value: Some(Vec::new()),
    }
}

/// Key of the mark that a message was sent at this time.
pub fn sent_key(at: u64, id: &str) -> String {
    format!("{SENT}{at:013}/{id}")
}

/// The time in a key made by [`sent_key`].
pub fn sent_time(key: &str) -> Option<u64> {
    key.strip_prefix(SENT)
        .unwrap_or(key)
        .split('/')
        .next()?
        .parse()
        .ok()
}

/// A change that writes a row.
pub fn put<T: Serialize>(key: String, row: &T) -> Result<Change, Problem> {
    let value = serde_json::to_vec(row).map_err(|error| Problem::Other(format!("{key}: {error}")))?;
    Ok(Change {
        key,
        value: Some(value),
    })
}

/// A change that removes a row.
pub fn remove(key: String) -> Change {
    Change { key, value: None }
}

/// Reads one row with its version.
pub async fn read<T: DeserializeOwned>(host: &impl Storage, key: &str) -> Result<Option<(T, u64)>, Problem> {
    let mut rows = read_many(host, vec![key.to_owned()]).await?;
    Ok(rows.pop().flatten())
}

/// Reads rows with their versions, in the order of their keys.
pub async fn read_many<T: DeserializeOwned>(
    host: &impl Storage,
    keys: Vec<String>,
) -> Result<Vec<Option<(T, u64)>>, Problem> {
    let mut rows = Vec::with_capacity(keys.len());
    for keys in keys.chunks(READ_AT_ONCE) {
        for entry in host.get(keys.to_vec()).await.map_err(storage_problem)? {
            rows.push(entry.map(|entry| decode(&entry)).transpose()?);
        }
    }
    Ok(rows)
}

/// The rows of these messages, in the order of their ids, which are what [`row_key`] takes.
pub async fn rows_of(
    host: &impl Storage,
    ids: impl IntoIterator<Item = &String>,
) -> Result<Vec<Option<LedgerRow>>, Problem> {
    let keys = ids.into_iter().map(|id| row_key(id)).collect();
    let rows = read_many::<LedgerRow>(host, keys).await?;
    Ok(rows.into_iter().map(|row| row.map(|(row, _)| row)).collect())
}

/// Rows under a prefix, each with its key's rest.
pub struct Rows<T> {
    /// In the order of their keys.
    pub rows: Vec<(String, T)>,
    /// The key after which there are more.
    pub next: Option<String>,
}

/// At most so many rows under a prefix, after a key.
pub async fn page<T: DeserializeOwned>(
    host: &impl Storage,
    prefix: &str,
    after: Option<String>,
    limit: u32,
) -> Result<Rows<T>, Problem> {
    let page = host.scan(prefix, after, limit).await.map_err(storage_problem)?;
    let next = page
        .entries
        .last()
        .filter(|_| page.more)
        .map(|last| last.key.clone());
    let mut rows = Vec::with_capacity(page.entries.len());
    for entry in &page.entries {
        let key = entry.key.strip_prefix(prefix).unwrap_or(&entry.key);
        rows.push((key.to_owned(), decode(entry)?.0));
    }
    Ok(Rows { rows, next })
}

/// Every row under a prefix, a page at a time, in the order of their keys.
pub async fn for_each<T: DeserializeOwned>(
    host: &impl Storage,
    prefix: &str,
    after: Option<String>,
    mut visit: impl FnMut(&str, T),
) -> Result<(), Problem> {
    let mut after = after;
    loop {
        let page = page::<T>(host, prefix, after.take(), 500).await?;
        for (key, row) in page.rows {
            visit(&key, row);
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// The keys under a prefix, without it.
pub async fn keys(host: &impl Storage, prefix: &str, after: Option<String>) -> Result<Vec<String>, Problem> {
    let mut keys = Vec::new();
    let mut after = after;
    loop {
        let page = host
            .scan(prefix, after.take(), 1_000)
            .await
            .map_err(storage_problem)?;
        keys.extend(
            page.entries
                .iter()
                .filter_map(|entry| Some(entry.key.strip_prefix(prefix)?.to_owned())),
        );
        match page.entries.last() {
            Some(last) if page.more => after = Some(last.key.clone()),
            _ => return Ok(keys),
        }
    }
}

/// Commits, with the problem a failure means.
pub async fn commit(
    host: &impl Storage,
    expectations: Vec<Expectation>,
    changes: Vec<Change>,
) -> Result<(), Problem> {
    if changes.is_empty() {
        return Ok(());
    }
    host.commit(expectations, changes)
        .await
        .map_err(|error| match error {
            // The fence and the connection's version say the same: somebody else has the connection now.
            CommitError::Fenced | CommitError::Stale(_) => Problem::Superseded,
            CommitError::OverLimit(key) => Problem::Other(format!("storage limit: {key}")),
            CommitError::Unavailable(message) | CommitError::Other(message) => {
                Problem::StorageUnavailable(message)
            }
        })
}

fn decode<T: DeserializeOwned>(entry: &Entry) -> Result<(T, u64), Problem> {
    let row = serde_json::from_slice(&entry.value)
        .map_err(|error| Problem::Other(format!("row {} cannot be read: {error}", entry.key)))?;
    Ok((row, entry.version))
}

/// The problem a storage failure means.
pub fn storage_problem(error: StorageError) -> Problem {
    match error {
        StorageError::OverLimit(key) => Problem::Other(format!("storage limit: {key}")),
        StorageError::Unavailable(message) | StorageError::Other(message) => {
            Problem::StorageUnavailable(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t01_every_fate_survives_storage() {
        let delivered = Delivered {
            key: Some("bcc/x".to_owned()),
            flags: Some(5),
            told: Some(Told { at: 1, before: 0 }),
            carried: true,
            conflict: Some(Conflict {
                at: 1,
                wished: 3,
                became: None,
            }),
            released: true,
            ..Delivered::new("c1", Rule::S10, None)
        };
        let label = Rule::Label(crate::rules::LabelRule::Draft);
        for fate in [
            Fate::Delivered(delivered),
            Fate::Excluded(Rule::S04),
            Fate::Excluded(label),
            Fate::Gone,
            Fate::Quarantined("x".to_owned()),
        ] {
            let text = serde_json::to_string(&fate).unwrap();
            assert_eq!(serde_json::from_str::<Fate>(&text).unwrap(), fate, "{text}");
        }
    }

    #[test]
    fn s21_sent_marks_sort_by_time() {
        assert!(sent_key(999, "b") < sent_key(1_000, "a"));
        assert_eq!(sent_time(&sent_key(1_234, "x")), Some(1_234));
    }
}
