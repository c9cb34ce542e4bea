//! A message as it is stored, and how it is read.

use rusqlite::{Connection as Sql, OptionalExtension, Row};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{CrmError, CrmEvent};
use crate::{
    contract::{Attachment, Deferral, Flags, Message, OutboundKind, Problem, Undelivered, UndeliveredKind},
    scope::{ConnectionId, TenantId},
};

/// Recipients kept that one message has not reached.
const MOST_UNDELIVERED: usize = 1_000;

/// How a message left, or that it came by the sync.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// It came from the mailbox.
    Mailbox,
    /// Written here; waits for the next pass.
    Queued,
    /// Written here; waits until a time, for a reason.
    Deferred(Deferral),
    /// Written here and sent, once.
    Sent,
    /// Written here, not sent, and it will not be.
    Failed(Problem),
    /// Written here; whether it was sent cannot be established (S23).
    Unconfirmed(Problem),
    /// Written here and withdrawn before it was sent.
    Cancelled,
}

impl Delivery {
    /// Whether `next_outbound` still brings it.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Queued | Self::Deferred(_))
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// The CRM's id; of mail that is written here also the outbound id.
    pub id: String,
    /// The connection it came or goes through.
    pub connection: ConnectionId,
    /// What it says. `key` and `thread` are empty and `received_at` is when it was queued until mail
    /// that is written here has been sent; the part of its attachments is their outbound id.
    pub message: Message,
    /// The parts whose bytes are here.
    pub stored_parts: Vec<String>,
    /// How it left.
    pub delivery: Delivery,
    /// Permanently deleted at the provider, or deleted here.
    pub deleted: bool,
    /// S31: this tenant no longer syncs the contact.
    pub released: bool,
    /// Recipients that it has not reached (S18, S22).
    pub undelivered: Vec<Undelivered>,
    /// Until when mail that is written here is held back, so that its writer can think again; ms since the epoch.
    pub held_until: Option<u64>,
    /// Which way mail goes that is written here; absent for mail of the mailbox (S22).
    pub kind: Option<OutboundKind>,
}

/// What is needed to change a message.
pub(super) struct Located {
    pub(super) id: String,
    pub(super) contact: String,
    pub(super) connection: String,
    pub(super) delivery: Delivery,
    pub(super) key: Option<String>,
    pub(super) flags: Flags,
    pub(super) deleted: bool,
    pub(super) released: bool,
}

impl Located {
    pub(super) fn updated(&self, tenant: &TenantId) -> CrmEvent {
        CrmEvent::MessageUpdated {
            tenant: tenant.clone(),
            contact: self.contact.clone(),
            message: self.id.clone(),
        }
    }
}

const LOCATED: &str =
    "id, contact, connection, delivery, key, unread, starred, archived, trashed, deleted, released";

/// The tenant's message with this key.
pub(super) fn by_key(sql: &Sql, tenant: &TenantId, key: &str) -> Result<Option<Located>, CrmError> {
    locate(sql, "key", tenant, key)
}

/// The tenant's message with this id.
pub(super) fn by_id(sql: &Sql, tenant: &TenantId, id: &str) -> Result<Option<Located>, CrmError> {
    locate(sql, "id", tenant, id)
}

fn locate(sql: &Sql, column: &str, tenant: &TenantId, value: &str) -> Result<Option<Located>, CrmError> {
    let query = format!("SELECT {LOCATED} FROM crm_message WHERE tenant = ?1 AND {column} = ?2");
    let found = sql
        .prepare_cached(&query)?
        .query_row((tenant.as_str(), value), |row| {
            let delivery: String = row.get(3)?;
            let located = Located {
                id: row.get(0)?,
                contact: row.get(1)?,
                connection: row.get(2)?,
                delivery: Delivery::Mailbox,
                key: row.get(4)?,
                flags: flags(row, 5)?,
                deleted: row.get(9)?,
                released: row.get(10)?,
            };
            Ok((located, delivery))
        })
        .optional()?;
    found
        .map(|(located, delivery)| {
            Ok(Located {
                delivery: decode(&delivery)?,
                ..located
            })
        })
        .transpose()
}

fn flags(row: &Row<'_>, first: usize) -> rusqlite::Result<Flags> {
    Ok(Flags {
        unread: row.get(first)?,
        starred: row.get(first + 1)?,
        archived: row.get(first + 2)?,
        trashed: row.get(first + 3)?,
    })
}

/// The columns that [`stored`] reads.
pub(super) const STORED: &str = "id, connection, record, delivery, deleted, released, unread, starred, archived, trashed, undelivered, held_until,
    json_extract(outbound, '$.kind')";

/// A message without its attachments; [`with_attachments`] adds them.
pub(super) fn stored(row: &Row<'_>) -> Result<StoredMessage, CrmError> {
    let message: Message = decode(&row.get::<_, String>(2)?)?;
    Ok(StoredMessage {
        id: row.get(0)?,
        connection: ConnectionId::new(row.get::<_, String>(1)?),
        message: Message {
            flags: flags(row, 6)?,
            ..message
        },
        stored_parts: Vec::new(),
        delivery: decode(&row.get::<_, String>(3)?)?,
        deleted: row.get(4)?,
        released: row.get(5)?,
        undelivered: known_undelivered(row.get(10)?)?,
        held_until: row.get(11)?,
        kind: kind(row.get(12)?)?,
    })
}

/// The kind in the column `outbound`.
fn kind(column: Option<String>) -> Result<Option<OutboundKind>, CrmError> {
    let kind = column.map(|name| decode(&serde_json::Value::from(name).to_string()));
    kind.transpose()
}

/// The recipients in the column `undelivered`.
fn known_undelivered(column: Option<String>) -> Result<Vec<Undelivered>, CrmError> {
    column.map_or(Ok(Vec::new()), |text| decode(&text))
}

/// Adds recipients that a message has not reached; of one the latest counts, but what is final stays. Whether
/// that changed anything.
pub(super) fn add_undelivered(sql: &Sql, id: &str, news: &[Undelivered]) -> Result<bool, CrmError> {
    if news.is_empty() {
        return Ok(false);
    }
    let column: Option<String> = sql
        .prepare_cached("SELECT undelivered FROM crm_message WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let mut known = known_undelivered(column)?;
    let before = known.clone();
    for undelivered in news {
        let is_same = |other: &&mut Undelivered| other.recipient.eq_ignore_ascii_case(&undelivered.recipient);
        match known.iter_mut().find(is_same) {
            Some(there) if there.kind == UndeliveredKind::Failed && undelivered.kind != there.kind => {}
            Some(there) => *there = undelivered.clone(),
            None => known.push(undelivered.clone()),
        }
    }
    known.truncate(MOST_UNDELIVERED);
    if known == before {
        return Ok(false);
    }
    sql.prepare_cached("UPDATE crm_message SET undelivered = ?2 WHERE id = ?1")?
        .execute((id, encode(&known)?))?;
    Ok(true)
}

pub(super) fn with_attachments(sql: &Sql, mut message: StoredMessage) -> Result<StoredMessage, CrmError> {
    let mut statement = sql.prepare_cached(
        "SELECT record, content IS NOT NULL FROM crm_attachment WHERE message = ?1 ORDER BY position",
    )?;
    let mut rows = statement.query([&message.id])?;
    while let Some(row) = rows.next()? {
        let attachment: Attachment = decode(&row.get::<_, String>(0)?)?;
        if row.get(1)? {
            message.stored_parts.push(attachment.part.clone());
        }
        message.message.attachments.push(attachment);
    }
    Ok(message)
}

pub(super) fn encode(value: &impl Serialize) -> Result<String, CrmError> {
    serde_json::to_string(value).map_err(|error| CrmError::Unavailable(error.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, CrmError> {
    serde_json::from_str(text).map_err(|error| {
        // Serde's text may quote the record: its place is enough.
        CrmError::Unavailable(format!("a record cannot be read, column {}", error.column()))
    })
}

pub(super) fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
