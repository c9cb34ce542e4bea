//! State that must survive the process: the guests' keys, fenced by leases, and the connections.
//!
//! Shaped for several hosts on one database from the first day: a lease carries a fence that goes
//! up each time it is taken, and the fence is checked inside the commit's own transaction, so a
//! pass that was overtaken can write nothing more.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::scope::{ConnectionId, Scope};

mod announced;
mod sqlite;
mod told;

pub use announced::{Announced, Found, News};
pub use sqlite::SqliteStore;
pub use told::ToldRegistry;

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Goes up with every write of this key, also across removals; never 0.
    pub version: u64,
    /// Its bytes.
    #[serde(with = "crate::trace::bytes_form")]
    pub value: Vec<u8>,
}

/// Part of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// In ascending order of their keys, as bytes.
    pub entries: Vec<Entry>,
    /// Whether more follow the last one.
    pub more: bool,
}

/// What must hold for a commit to happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The key.
    pub key: String,
    /// The version it must have; `None`: it must not exist.
    pub version: Option<u64>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The new value; `None` removes the key.
    #[serde(with = "crate::trace::optional_bytes_form")]
    pub value: Option<Vec<u8>>,
}

/// The right to run one pass of a connection, until it expires or somebody else takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The connection.
    pub connection: ConnectionId,
    /// Goes up each time the lease is taken.
    pub fence: u64,
}

/// Why the store did not answer.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StoreError {
    /// A key, value or number is over its limit; which.
    #[error("over the limit: {0}")]
    OverLimit(String),
    /// Not now.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

/// Why nothing was written.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CommitError {
    /// An expectation did not hold; what the keys of all expectations hold now.
    #[error("a key has changed since it was read")]
    Stale(Vec<Option<Entry>>),
    /// The lease has been taken by another pass, or given back.
    #[error("another pass holds the connection")]
    Fenced,
    /// As [`StoreError`]. Whether it was written is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The guests' keys. Every method is scoped to one connection: no call can reach another's keys.
#[async_trait]
pub trait Store: Send + Sync {
    /// The entries of these keys, in the order asked.
    async fn get(&self, connection: &ConnectionId, keys: &[String])
    -> Result<Vec<Option<Entry>>, StoreError>;

    /// Entries whose key begins with `prefix` and is greater than `after`, at most `limit`.
    async fn scan(
        &self,
        connection: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError>;

    /// All changes or none, if all expectations hold and the lease's fence is still the latest.
    async fn commit(
        &self,
        lease: &Lease,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError>;

    /// Takes the lease if it is free or has expired by `now`; `None` while somebody holds it. Times
    /// in milliseconds since the epoch.
    async fn acquire(
        &self,
        connection: &ConnectionId,
        now: u64,
        until: u64,
    ) -> Result<Option<Lease>, StoreError>;

    /// Extends a lease that is still held; `false` when it was taken over.
    async fn renew(&self, lease: &Lease, until: u64) -> Result<bool, StoreError>;

    /// Gives a lease back. Nothing happens when it was taken over.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;
}

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionStatus {
    /// Consent was given, the plugin has not confirmed it yet; it does not sync.
    Connecting,
    /// It syncs.
    Active,
    /// S07: waits for the user to connect again.
    NeedsReconnect,
    /// S06: ended; its messages stay.
    Disconnected,
}

/// What the host knows of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Whom it is for.
    pub scope: Scope,
    /// The mailbox's address.
    pub address: String,
    /// How it is.
    pub status: ConnectionStatus,
    /// The plugin's settings, JSON.
    pub settings: String,
    /// When it was made, ms since the epoch.
    pub created_at: u64,
    /// When its last pass ended, ms since the epoch.
    pub last_run_at: Option<u64>,
    /// When its next pass is due, ms since the epoch.
    pub next_run_at: Option<u64>,
    /// Passes that failed since the last one that did not.
    pub failures: u32,
    /// What the last pass complained of.
    pub problem: Option<crate::contract::Problem>,
    /// What push notifications have told of it since it was connected.
    #[serde(default)]
    pub announced: Announced,
    /// What its passes said of it last.
    #[serde(default)]
    pub standing: Standing,
    /// The revision that was read: 1 when it was written first, one more with each change; 0 before it
    /// was ever written.
    #[serde(default)]
    pub revision: u64,
}

/// What passes said of a connection last, for whoever watches over it. Times in ms since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Whatever the provider had by then is accounted for.
    pub current_at: Option<u64>,
    /// Until when the provider pushes what happens to the mailbox.
    pub watched_until: Option<u64>,
    /// What the last pass used.
    pub used: Used,
}

/// What a pass used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Used {
    /// The most memory at any time, bytes.
    pub memory: u64,
    /// Time inside the component, ms.
    pub cpu: u64,
    /// Time in all, ms.
    pub wall: u64,
    /// HTTP requests.
    pub requests: u32,
    /// The provider's quota units.
    pub units: u32,
}

/// What became of a [`Registry::put`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// It is written, with the next revision.
    Written,
    /// Nothing is written: another revision is there than the one that was read.
    Stale,
}

/// The connections, for the host itself. Not reachable by any guest.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Writes a connection, new or changed, if the revision it was read at is the one that is there: a
    /// host that stood still must not undo what another did meanwhile, a disconnect for one (S06).
    async fn put(&self, connection: &Connection) -> Result<Put, StoreError>;

    /// One connection.
    async fn find(&self, id: &ConnectionId) -> Result<Option<Connection>, StoreError>;

    /// All connections, oldest first.
    async fn list(&self) -> Result<Vec<Connection>, StoreError>;

    /// All connections of a mailbox, of any tenant and in any state, however its address is written
    /// ([`crate::mailbox::normalised`]); oldest first.
    async fn of_mailbox(&self, address: &str) -> Result<Vec<Connection>, StoreError>;
}
