//! Mail that was taken and is not handed over yet, in the database of everything else.
//!
//! A mail is there when the transaction that says for whom it is has been committed; only then is it
//! acknowledged. Bytes are written in chunks while they come, so that none is ever whole in memory. What a
//! crash leaves half is nobody's and is swept.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use rusqlite::{Connection as Sql, Row};
use tokio::sync::Notify;

use crate::{body::Body, scope::ConnectionId, sqlite::Database, store::StoreError};

const MIGRATIONS: &[&str] = &["
    CREATE TABLE smtp_mail (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        size INTEGER,
        began_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE smtp_chunk (
        mail INTEGER NOT NULL REFERENCES smtp_mail (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        UNIQUE (mail, position)
    ) STRICT;
    CREATE TABLE smtp_delivery (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        mail INTEGER NOT NULL REFERENCES smtp_mail (id),
        connection TEXT NOT NULL,
        recipient TEXT NOT NULL,
        received_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        kept_by TEXT,
        reason TEXT
    ) STRICT;
    CREATE INDEX smtp_delivery_due ON smtp_delivery (due_at);
    CREATE INDEX smtp_delivery_of ON smtp_delivery (connection);
    CREATE INDEX smtp_delivery_mail ON smtp_delivery (mail);
"];

/// Bytes in one row.
const CHUNK: usize = 256 << 10;
/// What is half after so long was left by a crash, ms.
const ABANDONED: u64 = 2 * 3_600_000;

/// Mail on its way to the component. Clones are the same.
#[derive(Clone, Debug)]
pub struct Spool {
    database: Database,
    arrived: Arc<Notify>,
}

/// One mail for one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    pub(super) id: u64,
    mail: u64,
    /// Bytes.
    pub size: u64,
    /// For whom.
    pub connection: ConnectionId,
    /// The BCC address that it came to.
    pub recipient: String,
    /// When, ms since the epoch.
    pub received_at: u64,
    /// How often it could not be handed over.
    pub attempts: u32,
    /// Why the component could not handle it, if that is how it is.
    pub reason: Option<String>,
}

/// How much is in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) mails: u64,
    pub(super) bytes: u64,
}

/// How much one connection has in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeldOf {
    /// Of what came to one of its addresses.
    pub(super) address: Held,
    /// Of all that it ever had.
    pub(super) connection: Held,
}

impl Spool {
    /// The spool in a database.
    pub fn new(database: Database) -> Result<Self, StoreError> {
        database.migrate("smtp", MIGRATIONS)?;
        Ok(Self {
            database,
            arrived: Arc::default(),
        })
    }

    /// What waits or was kept for a connection, the oldest first.
    pub async fn of(&self, connection: &ConnectionId) -> Result<Vec<Spooled>, StoreError> {
        let connection = connection.clone();
        self.database
            .call(move |sql| {
                let query = format!("{SPOOLED} WHERE d.connection = ?1 ORDER BY d.id LIMIT 1000");
                let mut statement = sql.prepare_cached(&query)?;
                let rows = statement.query_map([connection.as_str()], spooled)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    pub(super) async fn held(
        &self,
        connection: &ConnectionId,
        recipient: &str,
    ) -> Result<HeldOf, StoreError> {
        let (connection, recipient) = (connection.clone(), recipient.to_owned());
        self.database
            .call(move |sql| {
                let held = sql
                    .prepare_cached(
                        "SELECT count(*), coalesce(sum(m.size), 0), count(*) FILTER (WHERE d.recipient = ?2),
                             coalesce(sum(m.size) FILTER (WHERE d.recipient = ?2), 0)
                         FROM smtp_delivery d JOIN smtp_mail m ON m.id = d.mail WHERE d.connection = ?1",
                    )?
                    .query_row([connection.as_str(), &recipient], |row| {
                        let held = |first: usize| {
                            let (mails, bytes) = (row.get(first)?, row.get(first + 1)?);
                            Ok::<_, rusqlite::Error>(Held { mails, bytes })
                        };
                        Ok(HeldOf {
                            connection: held(0)?,
                            address: held(2)?,
                        })
                    })?;
                Ok(held)
            })
            .await
    }

    /// What is due, the oldest first: also what another component than this one could not handle.
    pub(super) async fn due(&self, now: u64, digest: &str, limit: u32) -> Result<Vec<Spooled>, StoreError> {
        let digest = digest.to_owned();
        self.database
            .call(move |sql| {
                let query = format!(
                    "{SPOOLED} WHERE d.due_at <= ?1 AND (d.kept_by IS NULL OR d.kept_by <> ?2) ORDER BY d.id LIMIT ?3"
                );
                let mut statement = sql.prepare_cached(&query)?;
                let rows = statement.query_map((now, digest, limit), spooled)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Of each connection the mail that is due first, so that many for one are in nobody's way; those that wait longest
    /// before the others.
    pub(super) async fn due_of_each(
        &self,
        now: u64,
        digest: &str,
        limit: u32,
    ) -> Result<Vec<Spooled>, StoreError> {
        let digest = digest.to_owned();
        self.database
            .call(move |sql| {
                let query = format!(
                    "{SPOOLED} WHERE d.id IN (
                         SELECT min(id) FROM smtp_delivery
                         WHERE due_at <= ?1 AND (kept_by IS NULL OR kept_by <> ?2) GROUP BY connection)
                     ORDER BY d.due_at, d.id LIMIT ?3"
                );
                let mut statement = sql.prepare_cached(&query)?;
                let rows = statement.query_map((now, digest, limit), spooled)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// The bytes of a mail.
    pub async fn read(&self, mail: &Spooled) -> Result<Body, StoreError> {
        let (id, size) = (mail.mail, mail.size);
        let first = chunk(&self.database, id, 0).await?;
        if first.len() as u64 == size {
            return Ok(Body::Inline(first));
        }
        let rest = stream::try_unfold(
            (self.database.clone(), 0_u64, 0_u64),
            move |(database, position, read)| async move {
                if read >= size {
                    return Ok(None);
                }
                let bytes = chunk(&database, id, position)
                    .await
                    .map_err(std::io::Error::other)?;
                let read = read + bytes.len() as u64;
                Ok::<_, std::io::Error>(Some((bytes, (database, position + 1, read))))
            },
        );
        Ok(Body::Stream(Box::pin(rest)))
    }

    /// It was handed over, or is nobody's any more.
    pub async fn done(&self, mail: &Spooled) -> Result<(), StoreError> {
        let (id, content) = (mail.id, mail.mail);
        self.database
            .write(move |sql| {
                sql.execute("DELETE FROM smtp_delivery WHERE id = ?1", [id])?;
                sql.execute(
                    "DELETE FROM smtp_mail WHERE id = ?1
                     AND NOT EXISTS (SELECT 1 FROM smtp_delivery WHERE mail = ?1)",
                    [content],
                )?;
                Ok(())
            })
            .await
    }

    /// It is tried again then, ms since the epoch.
    pub(super) async fn postpone(
        &self,
        mail: &Spooled,
        due_at: u64,
        attempts: u32,
    ) -> Result<(), StoreError> {
        let id = mail.id;
        self.database
            .write(move |sql| {
                sql.execute(
                    "UPDATE smtp_delivery SET due_at = ?2, attempts = ?3 WHERE id = ?1",
                    (id, due_at, attempts),
                )?;
                Ok(())
            })
            .await
    }

    /// This component cannot handle it: it stays until another one tries (T01).
    pub(super) async fn keep(&self, mail: &Spooled, digest: &str, reason: &str) -> Result<(), StoreError> {
        let (id, digest, reason) = (mail.id, digest.to_owned(), reason.to_owned());
        self.database
            .write(move |sql| {
                sql.execute(
                    "UPDATE smtp_delivery SET kept_by = ?2, reason = ?3, attempts = 0 WHERE id = ?1",
                    (id, digest, reason),
                )?;
                Ok(())
            })
            .await
    }

    /// Removes what was left half.
    pub(super) async fn sweep(&self, now: u64) -> Result<(), StoreError> {
        let before = now.saturating_sub(ABANDONED);
        self.database
            .write(move |sql| {
                sql.execute(
                    "DELETE FROM smtp_mail WHERE size IS NULL AND began_at < ?1",
                    [before],
                )?;
                Ok(())
            })
            .await
    }

    /// Waits until mail comes by this spool.
    pub(super) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Mail that begins to come.
    pub(super) fn receive(&self, now: u64) -> Receiving {
        Receiving {
            spool: self.clone(),
            began_at: now,
            mail: None,
            chunks: 0,
            size: 0,
            buffer: BytesMut::new(),
        }
    }
}

/// A mail that is coming. What was written of it goes when this is dropped before [`finish`](Self::finish).
pub(super) struct Receiving {
    spool: Spool,
    began_at: u64,
    mail: Option<u64>,
    chunks: u64,
    size: u64,
    buffer: BytesMut,
}

impl Receiving {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Takes more bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= CHUNK {
            let chunk = self.buffer.split_to(CHUNK).freeze();
            let (mail, position, began_at) = (self.mail, self.chunks, self.began_at);
            let mail = self
                .spool
                .database
                .write(move |sql| -> Result<u64, StoreError> {
                    let mail = begun(sql, mail, began_at)?;
                    append(sql, mail, position, &chunk)?;
                    Ok(mail)
                })
                .await?;
            self.mail = Some(mail);
            self.chunks += 1;
        }
        Ok(())
    }

    /// All has come, for these: written down when this returns.
    pub(super) async fn finish(
        mut self,
        recipients: Vec<(ConnectionId, String)>,
        received_at: u64,
    ) -> Result<(), StoreError> {
        let (mail, position, began_at, size) = (self.mail, self.chunks, self.began_at, self.size);
        let rest = std::mem::take(&mut self.buffer).freeze();
        self.spool
            .database
            .write(move |sql| -> Result<(), StoreError> {
                let mail = begun(sql, mail, began_at)?;
                if !rest.is_empty() {
                    append(sql, mail, position, &rest)?;
                }
                sql.execute("UPDATE smtp_mail SET size = ?2 WHERE id = ?1", (mail, size))?;
                for (connection, recipient) in recipients {
                    sql.execute(
                        "INSERT INTO smtp_delivery (mail, connection, recipient, received_at, due_at)
                         VALUES (?1, ?2, ?3, ?4, ?4)",
                        (mail, connection.as_str(), recipient, received_at),
                    )?;
                }
                Ok(())
            })
            .await?;
        self.mail = None;
        self.spool.arrived.notify_one();
        Ok(())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let Some(mail) = self.mail else { return };
        let database = self.spool.database.clone();
        // Without a runtime the process is ending: what is half is swept later.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let removed = database
                    .write(move |sql| -> Result<(), StoreError> {
                        sql.execute("DELETE FROM smtp_mail WHERE id = ?1 AND size IS NULL", [mail])?;
                        Ok(())
                    })
                    .await;
                if let Err(error) = removed {
                    tracing::warn!(%error, "half a mail stays in the spool until it is swept");
                }
            });
        }
    }
}

fn begun(sql: &Sql, mail: Option<u64>, began_at: u64) -> rusqlite::Result<u64> {
    if let Some(mail) = mail {
        return Ok(mail);
    }
    sql.execute("INSERT INTO smtp_mail (began_at) VALUES (?1)", [began_at])?;
    Ok(sql.last_insert_rowid().unsigned_abs())
}

fn append(sql: &Sql, mail: u64, position: u64, bytes: &[u8]) -> rusqlite::Result<()> {
    sql.prepare_cached("INSERT INTO smtp_chunk (mail, position, bytes) VALUES (?1, ?2, ?3)")?
        .execute((mail, position, bytes))?;
    Ok(())
}

async fn chunk(database: &Database, mail: u64, position: u64) -> Result<Bytes, StoreError> {
    database
        .call(move |sql| {
            let bytes: Vec<u8> = sql
                .prepare_cached("SELECT bytes FROM smtp_chunk WHERE mail = ?1 AND position = ?2")?
                .query_row((mail, position), |row| row.get(0))?;
            Ok(bytes.into())
        })
        .await
}

const SPOOLED: &str =
    "SELECT d.id, d.mail, m.size, d.connection, d.recipient, d.received_at, d.attempts, d.reason
     FROM smtp_delivery d JOIN smtp_mail m ON m.id = d.mail";

fn spooled(row: &Row<'_>) -> rusqlite::Result<Spooled> {
    Ok(Spooled {
        id: row.get(0)?,
        mail: row.get(1)?,
        size: row.get(2)?,
        connection: ConnectionId::new(row.get::<_, String>(3)?),
        recipient: row.get(4)?,
        received_at: row.get(5)?,
        attempts: row.get(6)?,
        reason: row.get(7)?,
    })
}
