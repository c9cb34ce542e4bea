//! Webhooks: what happens in a tenant is told to the addresses that it names, as Standard Webhooks says
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! What happened is written down by the database itself, by triggers, in the transaction in which it happens
//! ([`schema`]): no crash and no forgotten call loses an event, and none is told of that was rolled back. An event
//! says what happened to what, not what a mail says: for that the receiver asks the API. Each address gets its events
//! in their order, at least once; the same event has the same `webhook-id`. One that does not answer is asked ever
//! less often, and given up after five days.
//!
//! | Event | When |
//! |---|---|
//! | `message.created` | a message came, or was written here |
//! | `message.updated` | its marks, its delivery, or what is known of its recipients changed |
//! | `connection.changed` | a mailbox was connected, has to be connected again, or was disconnected |
//! | `ping` | somebody asked for one |

use std::fmt;

use secrecy::SecretString;

use crate::scope::TenantId;

mod schema;
mod sender;
mod signature;
mod sqlite;

pub use sender::{Receivers, WebhookSender};
pub use sqlite::Webhooks;

use signature::sign;

/// The most addresses of a tenant.
pub const MOST_ENDPOINTS: usize = 20;
/// The longest address, bytes.
pub const LONGEST_URL: usize = 2_000;

/// An address that is told of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where events are sent.
    pub url: String,
    /// When it was made, ms since the epoch.
    pub created_at: u64,
    /// When it took an event last, ms since the epoch.
    pub answered_at: Option<u64>,
    /// Since when it takes none, ms since the epoch.
    pub failing_since: Option<u64>,
    /// Why it took none.
    pub error: Option<String>,
    /// Whether it was given up.
    pub is_given_up: bool,
    /// Events that wait for it.
    pub waiting: u64,
}

/// An event for one address.
pub(crate) struct Event {
    /// The same for each try.
    pub(crate) id: String,
    /// Such as `message.created`.
    pub(crate) kind: String,
    /// When it happened, ms since the epoch.
    pub(crate) at: u64,
    /// What it says, JSON.
    pub(crate) data: String,
    /// Tries so far.
    pub(crate) attempts: u32,
}

/// The next event of an address, and what is needed to send it.
pub(crate) struct Due {
    pub(crate) endpoint: String,
    pub(crate) url: String,
    pub(crate) secret: SecretString,
    pub(crate) failing_since: Option<u64>,
    pub(crate) event: Event,
}

impl fmt::Debug for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Due")
            .field("endpoint", &self.endpoint)
            .field("event", &self.event.id)
            .finish_non_exhaustive()
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// There is no such address in this tenant.
    #[error("there is no such webhook")]
    NotFound,
    /// The address cannot be one; why.
    #[error("{0}")]
    Refused(String),
    /// The database did not do it.
    #[error("the webhooks cannot be read or written: {0}")]
    Database(#[from] rusqlite::Error),
}

#[cfg(test)]
mod tests;
