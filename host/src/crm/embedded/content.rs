//! Bytes of attachments, in chunks: neither in nor out are they ever whole in memory.
//!
//! New bytes are pending (without a size) until the transaction that refers to them publishes them;
//! no row refers to pending bytes. What a crash leaves pending is removed by [`remove_pending`], which spares
//! what another process may still be writing.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use rusqlite::Connection as Sql;

use super::CrmError;
use crate::{body::Body, sqlite::Database};

/// Bytes in one row.
const CHUNK: usize = 256 << 10;

/// Why bytes were not taken.
pub(super) enum Rejected {
    /// More than the limit.
    OverLimit,
    /// Anything else.
    Crm(CrmError),
}

impl From<rusqlite::Error> for Rejected {
    fn from(error: rusqlite::Error) -> Self {
        Self::Crm(error.into())
    }
}

impl From<CrmError> for Rejected {
    fn from(error: CrmError) -> Self {
        Self::Crm(error)
    }
}

/// Bytes that nothing refers to yet. They are removed when this is dropped before `publish`.
pub(super) struct Pending {
    database: Database,
    id: u64,
    size: u64,
}

impl Pending {
    /// Writes all bytes of a body, at most `limit`; `now` is ms since the epoch.
    pub(super) async fn write(
        database: &Database,
        body: Body,
        limit: u64,
        now: u64,
    ) -> Result<Self, Rejected> {
        let id = database
            .write(move |sql| -> rusqlite::Result<u64> {
                sql.execute("INSERT INTO crm_content (size, begun) VALUES (NULL, ?1)", [now])?;
                Ok(sql.last_insert_rowid().unsigned_abs())
            })
            .await?;
        let mut pending = Self {
            database: database.clone(),
            id,
            size: 0,
        };
        let mut stream = body.into_stream();
        let mut buffer = BytesMut::new();
        let mut position = 0_u64;
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| {
                CrmError::Unavailable(format!("the attachment broke off: {}", error.kind()))
            })?;
            pending.size += bytes.len() as u64;
            if pending.size > limit {
                return Err(Rejected::OverLimit);
            }
            buffer.extend_from_slice(&bytes);
            while buffer.len() >= CHUNK {
                pending.append(position, buffer.split_to(CHUNK).freeze()).await?;
                position += 1;
            }
        }
        if !buffer.is_empty() {
            pending.append(position, buffer.freeze()).await?;
        }
        Ok(pending)
    }

    /// How many bytes there are.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Publishes the bytes within the caller's transaction; their id. Keep `self` until the
    /// transaction has ended and call [`Pending::keep`] when it was committed.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            id: self.id,
            size: self.size,
        }
    }

    /// The bytes were published and stay.
    pub(super) fn keep(mut self) {
        self.id = 0;
    }

    async fn append(&self, position: u64, bytes: Bytes) -> rusqlite::Result<()> {
        let id = self.id;
        self.database
            .write(move |sql| {
                sql.prepare_cached("INSERT INTO crm_chunk (content, position, bytes) VALUES (?1, ?2, ?3)")?
                    .execute((id, position, &bytes[..]))?;
                Ok(())
            })
            .await
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let (id, database) = (self.id, self.database.clone());
        if id == 0 {
            return;
        }
        // Without a runtime the process is ending: the next start removes what is pending.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let removed: rusqlite::Result<()> =
                    database.write(move |sql| remove_if_pending(sql, id)).await;
                if let Err(error) = removed {
                    tracing::warn!(%error, "pending bytes of an attachment stay until the next start");
                }
            });
        }
    }
}

/// Pending bytes on their way into a transaction.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    id: u64,
    size: u64,
}

impl Ticket {
    /// How many bytes there are.
    pub(super) fn size(self) -> u64 {
        self.size
    }

    /// Publishes the bytes; the id to refer to.
    pub(super) fn publish(self, sql: &Sql) -> rusqlite::Result<u64> {
        sql.prepare_cached("UPDATE crm_content SET size = ?2 WHERE id = ?1")?
            .execute((self.id, self.size))?;
        Ok(self.id)
    }
}

/// Removes what was begun before a moment, ms since the epoch, and is pending still; how many there were.
pub(super) fn remove_pending(sql: &Sql, before: u64) -> rusqlite::Result<usize> {
    sql.execute(
        "DELETE FROM crm_content WHERE size IS NULL AND begun < ?1",
        [before],
    )
}

fn remove_if_pending(sql: &Sql, id: u64) -> rusqlite::Result<()> {
    sql.execute("DELETE FROM crm_content WHERE id = ?1 AND size IS NULL", [id])?;
    Ok(())
}

/// Published bytes: inline when they are one chunk, otherwise read chunk by chunk.
pub(super) async fn read(database: &Database, id: u64, size: u64) -> Result<Body, CrmError> {
    if size == 0 {
        return Ok(Body::Empty);
    }
    let first = chunk(database, id, 0).await?;
    if first.len() as u64 == size {
        return Ok(Body::Inline(first));
    }
    let left = size.saturating_sub(first.len() as u64);
    let rest = stream::try_unfold(
        (database.clone(), 1_u64, left),
        move |(database, position, left)| async move {
            if left == 0 {
                return Ok::<_, io::Error>(None);
            }
            let bytes = chunk(&database, id, position).await.map_err(io::Error::other)?;
            let left = left.saturating_sub(bytes.len() as u64);
            Ok(Some((bytes, (database, position + 1, left))))
        },
    );
    let first = stream::once(async move { Ok(first) });
    Ok(Body::Stream(Box::pin(first.chain(rest))))
}

async fn chunk(database: &Database, id: u64, position: u64) -> rusqlite::Result<Bytes> {
    database
        .call(move |sql| {
            sql.prepare_cached("SELECT bytes FROM crm_chunk WHERE content = ?1 AND position = ?2")?
                .query_row((id, position), |row| row.get::<_, Vec<u8>>(0))
                .map(Bytes::from)
        })
        .await
}
