//! The embedded default: a small CRM in SQLite.
//!
//! Every query names the tenant, so no id of another tenant's row reaches it (S33). A message that
//! is written here is one row from the moment it is queued; what becomes of it changes that row, so
//! it is in its conversation exactly once (S23). Only what people do here is written to the change
//! log: what the sync writes never comes back to it as a change (S17).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{Crm, CrmError};
use crate::{
    body::Body,
    clock::{Clock, SystemClock},
    contract::{
        Attachment, ChangePage, Contact, Features, Message, MessageUpdate, Outbound, OutboundOutcome, Person,
        PersonOutcome, PutOutcome, UpdateOutcome,
    },
    scope::{ConnectionId, Scope, TenantId},
    sqlite::Database,
};

mod address_book;
mod attachments;
mod bulk;
mod content;
mod mailbox;
mod outbound;
mod pages;
mod people;
mod records;
mod schema;
mod traffic;

pub use outbound::{NewAttachment, NewOutbound};
pub use pages::{Conversation, Counts, Marks, Paging};
pub use people::{Imported, NewContact, Outranked, Secrecy};
pub use records::{Delivery, StoredMessage};
pub use traffic::Hour;

/// The longest text or HTML body, in bytes.
const BODY_LIMIT: u64 = 1 << 20;
/// The longest subject, in characters.
const SUBJECT_LIMIT: u32 = 998;
/// The most addresses, messages, keys or updates of one call.
const CALL_LIMIT: usize = 1_000;
/// Events a slow subscriber may be behind before it misses some.
const EVENTS_KEPT: usize = 1_024;

/// Something changed; for live pages and for waking the sync.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrmEvent {
    /// A message is new in a conversation.
    MessageStored {
        /// The tenant.
        tenant: TenantId,
        /// The contact whose conversation it is in.
        contact: String,
        /// The message.
        message: String,
    },
    /// A message has changed.
    MessageUpdated {
        /// The tenant.
        tenant: TenantId,
        /// The contact whose conversation it is in.
        contact: String,
        /// The message.
        message: String,
    },
    /// Mail waits to be sent.
    OutboundQueued {
        /// The tenant.
        tenant: TenantId,
        /// The connection it goes through.
        connection: ConnectionId,
        /// The message.
        message: String,
    },
    /// The address book brought contacts, or took some away.
    ContactsChanged {
        /// The tenant.
        tenant: TenantId,
    },
    /// A person changed a message: `Crm::changes` has more.
    ChangeLogged {
        /// The tenant.
        tenant: TenantId,
        /// The connection it came through.
        connection: ConnectionId,
    },
}

/// The CRM in SQLite. Clones are the same CRM.
#[derive(Clone)]
pub struct EmbeddedCrm {
    database: Database,
    clock: Arc<dyn Clock>,
    events: broadcast::Sender<CrmEvent>,
}

impl EmbeddedCrm {
    /// The CRM in a database that others may use as well, by the machine's clock.
    pub fn new(database: Database) -> Result<Self, CrmError> {
        Self::with_clock(database, Arc::new(SystemClock))
    }

    /// The CRM in a database, by this clock.
    pub fn with_clock(database: Database, clock: Arc<dyn Clock>) -> Result<Self, CrmError> {
        database.migrate("crm", schema::MIGRATIONS)?;
        database.call_blocking(people::index)?;
        Ok(Self {
            database,
            clock,
            events: broadcast::Sender::new(EVENTS_KEPT),
        })
    }

    /// A CRM that ends with its last clone.
    pub fn in_memory() -> Result<Self, CrmError> {
        Self::new(Database::in_memory()?)
    }

    /// Removes uploads that began before a moment, ms since the epoch, and never ended; how many there were.
    /// Opening the CRM removes none: another process may be in the middle of one.
    pub async fn remove_uploads(&self, begun_before: u64) -> Result<usize, CrmError> {
        self.database
            .write(move |sql| Ok(content::remove_pending(sql, begun_before)?))
            .await
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<CrmEvent> {
        self.events.subscribe()
    }

    /// An event that nobody listens to is no error.
    fn announce(&self, events: impl IntoIterator<Item = CrmEvent>) {
        for event in events {
            let _ = self.events.send(event);
        }
    }
}

impl std::fmt::Debug for EmbeddedCrm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedCrm").finish_non_exhaustive()
    }
}

#[async_trait]
impl Crm for EmbeddedCrm {
    fn features(&self) -> Features {
        Features {
            server_idempotency: true,
            deltas: true,
            attachments: true,
            edit_after_log: true,
            outbound: true,
            address_book: true,
            body_limit: BODY_LIMIT,
            subject_limit: SUBJECT_LIMIT,
        }
    }

    async fn find_contacts(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        within_call_limit(addresses)?;
        let (tenant, addresses) = (scope.tenant.clone(), addresses.to_vec());
        self.database
            .call(move |sql| people::alike(sql, &tenant, &addresses))
            .await
    }

    async fn put_contacts(&self, scope: &Scope, persons: &[Person]) -> Result<Vec<PersonOutcome>, CrmError> {
        within_call_limit(persons)?;
        let (owner, persons, now) = (scope.clone(), persons.to_vec(), self.clock.now());
        let outcomes = self
            .database
            .write(move |sql| address_book::put(sql, &owner, &persons, now))
            .await?;
        let tenant = scope.tenant.clone();
        self.announce([CrmEvent::ContactsChanged { tenant }]);
        Ok(outcomes)
    }

    async fn remove_contacts(&self, scope: &Scope, keys: &[String]) -> Result<(), CrmError> {
        within_call_limit(keys)?;
        let (owner, keys) = (scope.clone(), keys.to_vec());
        self.database
            .write(move |sql| address_book::remove(sql, &owner, &keys))
            .await?;
        let tenant = scope.tenant.clone();
        self.announce([CrmEvent::ContactsChanged { tenant }]);
        Ok(())
    }

    async fn put_messages(&self, scope: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        within_call_limit(messages)?;
        let (writer, written) = (scope.clone(), messages.to_vec());
        let outcomes = self
            .database
            .write(move |sql| mailbox::put(sql, &writer, &written))
            .await?;
        self.announce(messages.iter().zip(&outcomes).filter_map(|(message, outcome)| {
            let PutOutcome::Stored(id) = outcome else {
                return None;
            };
            Some(CrmEvent::MessageStored {
                tenant: scope.tenant.clone(),
                contact: message.contact_id.clone(),
                message: id.clone(),
            })
        }));
        Ok(outcomes)
    }

    async fn find_messages(&self, scope: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        within_call_limit(keys)?;
        let (tenant, keys) = (scope.tenant.clone(), keys.to_vec());
        self.database
            .call(move |sql| {
                keys.iter()
                    .map(|key| Ok(records::by_key(sql, &tenant, key)?.map(|found| found.id)))
                    .collect()
            })
            .await
    }

    async fn update_messages(
        &self,
        scope: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        within_call_limit(updates)?;
        let (tenant, updates) = (scope.tenant.clone(), updates.to_vec());
        let (outcomes, events) = self
            .database
            .write(move |sql| mailbox::update(sql, &tenant, &updates))
            .await?;
        self.announce(events);
        Ok(outcomes)
    }

    async fn put_attachment(
        &self,
        scope: &Scope,
        message_key: &str,
        attachment: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        self.store_attachment(scope, message_key, attachment, content)
            .await
    }

    async fn open_attachment(
        &self,
        scope: &Scope,
        outbound_id: &str,
        attachment_id: &str,
    ) -> Result<Body, CrmError> {
        self.outbound_attachment(scope, outbound_id, attachment_id).await
    }

    async fn changes(&self, scope: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError> {
        let cursor = match cursor.map(str::parse::<u64>) {
            None => None,
            Some(Ok(sequence)) => Some(sequence),
            Some(Err(_)) => return Err(CrmError::Refused("this is no cursor of this CRM".into())),
        };
        let scope = scope.clone();
        self.database
            .call(move |sql| mailbox::changes(sql, &scope, cursor, CALL_LIMIT.min(limit as usize)))
            .await
    }

    async fn next_outbound(&self, scope: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        let (scope, now) = (scope.clone(), self.clock.now());
        self.database
            .call(move |sql| outbound::waiting(sql, &scope, now, CALL_LIMIT.min(limit as usize)))
            .await
    }

    async fn report_outbound(
        &self,
        scope: &Scope,
        id: &str,
        outcome: &OutboundOutcome,
    ) -> Result<(), CrmError> {
        let (writer, id, outcome) = (scope.clone(), id.to_owned(), outcome.clone());
        let events = self
            .database
            .write(move |sql| outbound::report(sql, &writer, &id, &outcome))
            .await?;
        self.announce(events);
        Ok(())
    }
}

impl From<rusqlite::Error> for CrmError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

fn within_call_limit<T>(items: &[T]) -> Result<(), CrmError> {
    if items.len() > CALL_LIMIT {
        return Err(CrmError::Refused(format!(
            "{} in one call; the limit is {CALL_LIMIT}",
            items.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
