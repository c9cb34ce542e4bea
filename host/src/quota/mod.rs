//! Turns at the provider's quota, shared by all connections of one provider project.
//!
//! [`TokenBuckets`] counts each turn twice: for the account and for the project. The lower a class,
//! the more of a minute's units it leaves to those before it, so that mail somebody waits for never
//! queues behind an audit. A wait of more than 30 s is not made: the pass ends and comes back.
//! What the provider said about an account outlives the process where [`Penalties`] keep it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::scope::Scope;

mod accounts;
mod buckets;
mod penalties;
mod sqlite;
mod window;

pub use accounts::Standing;
pub use buckets::{LONGEST_WAIT, TokenBuckets, Unmetered};
pub use penalties::Penalties;
pub use sqlite::SqlitePenalties;

/// Who goes first, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A person waits for their mail to be sent.
    Send,
    /// New mail.
    Live,
    /// Mail from a gap.
    Backfill,
    /// Checking.
    Audit,
}

impl Class {
    /// The share of a minute's units, in percent, that this class leaves to those before it.
    pub(crate) fn reserve(self) -> u64 {
        match self {
            Self::Send => 0,
            Self::Live => 10,
            Self::Backfill => 25,
            Self::Audit => 50,
        }
    }
}

/// What the provider said. Times in ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Penalty {
    /// Nothing more for this mailbox until then.
    MailboxUntil(u64),
    /// No sending from this mailbox until then.
    SendingUntil(u64),
    /// Nothing more for the whole project until then.
    ProjectUntil(u64),
    /// Too many requests at the same time for this mailbox.
    Concurrency,
}

/// Why no turn came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum QuotaError {
    /// None before then, ms since the epoch.
    #[error("no turn before {0}")]
    WaitUntil(u64),
    /// No turn will ever come; why.
    #[error("{0}")]
    Refused(String),
}

/// Turns at the provider's quota.
#[async_trait]
pub trait Quota: Send + Sync {
    /// Waits for a turn of so many of the provider's units.
    async fn acquire(&self, scope: &Scope, units: u32, class: Class) -> Result<(), QuotaError>;

    /// Takes note of what the provider said.
    fn report(&self, scope: &Scope, penalty: Penalty);

    /// How many requests the mailbox may have in flight now; at least 1.
    fn in_flight(&self, scope: &Scope) -> u32;

    /// What of a minute's units is taken, where that is counted.
    fn used(&self, _scope: &Scope) -> Option<Used> {
        None
    }

    /// A pass has ended: what was reported outlives the process from here on, where it does at all. Does
    /// nothing by default.
    async fn keep(&self) {}
}

/// How an account stands with its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Units taken in the last minute.
    pub units: u64,
    /// Units of a minute; absent: no rate is set.
    pub of: Option<u64>,
    /// Nothing more before then, as the provider said, ms since the epoch; 0: it said nothing.
    pub barred_until: u64,
    /// No sending before then, likewise.
    pub sending_barred_until: u64,
}

/// What the provider allows, in its units per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// For each account.
    pub account: u64,
    /// For the whole project.
    pub project: u64,
}

#[cfg(test)]
mod tests;
