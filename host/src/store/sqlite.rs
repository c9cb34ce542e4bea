//! The embedded default: state in SQLite.
//!
//! Keys are blobs, so their order is the order of their bytes. One row per connection holds the
//! fence of its lease and the counter its versions come from: it only ever goes up, so a version is
//! never used twice, not even for a key that was removed in between.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection as Sql, OptionalExtension, Row, params};

use super::{
    Change, CommitError, Connection, Entry, Expectation, Lease, Page, Put, Registry, Store, StoreError,
};
use crate::{
    mailbox::normalised,
    scope::ConnectionId,
    sqlite::{Database, Durability},
};

/// The longest key, in bytes.
const KEY_LIMIT: usize = 512;
/// The longest value, in bytes.
const VALUE_LIMIT: usize = 1 << 20;
/// The most changes, and the most expectations, of one commit.
const CHANGES_LIMIT: usize = 4_000;
/// The most bytes of one commit, and of one answer.
const BYTES_LIMIT: usize = 8 << 20;
/// The most keys of one `get`, and the most entries of one page.
const KEYS_LIMIT: usize = 1_000;

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE store_entry (
        connection TEXT NOT NULL,
        key BLOB NOT NULL,
        version INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (connection, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE store_lease (
        connection TEXT PRIMARY KEY,
        fence INTEGER NOT NULL,
        until INTEGER,
        version INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE store_connection (
        id TEXT PRIMARY KEY,
        created_at INTEGER NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX store_connection_by_age ON store_connection (created_at, id);
",
    "
    ALTER TABLE store_connection ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
",
    // Filled by `name_mailboxes`: SQL cannot tell which addresses are one mailbox.
    "
    ALTER TABLE store_connection ADD COLUMN mailbox TEXT;
    CREATE INDEX store_connection_by_mailbox ON store_connection (mailbox, created_at, id);
",
];

/// State in SQLite.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// State in a database file, which is created if it is absent.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::new(Database::open(path, Durability::default())?)
    }

    /// State that ends with the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::new(Database::in_memory()?)
    }

    /// State in a database that others use as well.
    pub fn new(database: Database) -> Result<Self, StoreError> {
        database.migrate("store", MIGRATIONS)?;
        database.call_blocking(name_mailboxes)?;
        Ok(Self { database })
    }

    /// Gives all leases back. For whoever knows that no process lives that holds one: a lease of a dead
    /// process would otherwise keep its connection waiting until it expires. Fences go on counting.
    pub async fn release_all(&self) -> Result<(), StoreError> {
        self.database
            .write(|sql| {
                sql.execute("UPDATE store_lease SET until = NULL", [])?;
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(
        &self,
        connection: &ConnectionId,
        keys: &[String],
    ) -> Result<Vec<Option<Entry>>, StoreError> {
        if keys.len() > KEYS_LIMIT {
            return Err(StoreError::OverLimit(format!("{} keys", keys.len())));
        }
        let (connection, keys) = (connection.clone(), keys.to_vec());
        self.database
            .call(move |sql| read(sql, &connection, keys.iter().map(String::as_str)))
            .await
    }

    async fn scan(
        &self,
        connection: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let limit = KEYS_LIMIT.min(limit as usize);
        let (connection, prefix) = (connection.clone(), prefix.to_owned());
        let after = after.map(str::to_owned);
        self.database
            .call(move |sql| page(sql, &connection, &prefix, after.as_deref(), limit))
            .await
    }

    async fn commit(
        &self,
        lease: &Lease,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        check_limits(expectations, changes)?;
        let (lease, expectations, changes) = (lease.clone(), expectations.to_vec(), changes.to_vec());
        self.database
            .write(move |sql| {
                let mut version = held_version(sql, &lease)?.ok_or(CommitError::Fenced)?;
                let connection = &lease.connection;
                check_expectations(sql, connection, &expectations)?;
                for change in &changes {
                    version += 1;
                    apply(sql, connection, change, version)?;
                }
                sql.prepare_cached("UPDATE store_lease SET version = ?2 WHERE connection = ?1")?
                    .execute((connection.as_str(), version))?;
                Ok(())
            })
            .await
    }

    async fn acquire(
        &self,
        connection: &ConnectionId,
        now: u64,
        until: u64,
    ) -> Result<Option<Lease>, StoreError> {
        let connection = connection.clone();
        self.database
            .write(move |sql| {
                let fence: Option<u64> = sql
                    .prepare_cached(
                        "INSERT INTO store_lease (connection, fence, until) VALUES (?1, 1, ?3)
                         ON CONFLICT (connection) DO UPDATE SET fence = fence + 1, until = excluded.until
                         WHERE until IS NULL OR until <= ?2
                         RETURNING fence",
                    )?
                    .query_row((connection.as_str(), now, until), |row| row.get(0))
                    .optional()?;
                Ok(fence.map(|fence| Lease { connection, fence }))
            })
            .await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<bool, StoreError> {
        let lease = lease.clone();
        self.database
            .write(move |sql| {
                let changed = sql.execute(
                    "UPDATE store_lease SET until = ?3
                     WHERE connection = ?1 AND fence = ?2 AND until IS NOT NULL",
                    (lease.connection.as_str(), lease.fence, until),
                )?;
                Ok(changed == 1)
            })
            .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.database
            .write(move |sql| {
                sql.execute(
                    "UPDATE store_lease SET until = NULL WHERE connection = ?1 AND fence = ?2",
                    (lease.connection.as_str(), lease.fence),
                )?;
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl Registry for SqliteStore {
    async fn put(&self, connection: &Connection) -> Result<Put, StoreError> {
        let read = connection.revision;
        let written = Connection {
            revision: read + 1,
            ..connection.clone()
        };
        let record = serde_json::to_string(&written).map_err(unreadable)?;
        self.database
            .write(move |sql| {
                let id = written.scope.connection.as_str();
                let there: Option<u64> = sql
                    .prepare_cached("SELECT revision FROM store_connection WHERE id = ?1")?
                    .query_row([id], |row| row.get(0))
                    .optional()?;
                if there.unwrap_or_default() != read {
                    return Ok(Put::Stale);
                }
                sql.prepare_cached(
                    "INSERT INTO store_connection (id, created_at, record, revision, mailbox)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (id) DO UPDATE SET
                       created_at = excluded.created_at, record = excluded.record,
                       revision = excluded.revision, mailbox = excluded.mailbox",
                )?
                .execute((
                    id,
                    written.created_at,
                    record,
                    written.revision,
                    normalised(&written.address),
                ))?;
                Ok(Put::Written)
            })
            .await
    }

    async fn find(&self, id: &ConnectionId) -> Result<Option<Connection>, StoreError> {
        let id = id.clone();
        self.database
            .call(move |sql| {
                sql.prepare_cached("SELECT record FROM store_connection WHERE id = ?1")?
                    .query_row([id.as_str()], |row| row.get::<_, String>(0))
                    .optional()?
                    .map(|record| serde_json::from_str(&record).map_err(unreadable))
                    .transpose()
            })
            .await
    }

    async fn list(&self) -> Result<Vec<Connection>, StoreError> {
        self.database
            .call(|sql| {
                let mut statement =
                    sql.prepare_cached("SELECT record FROM store_connection ORDER BY created_at, id")?;
                let records = statement.query_map([], |row| row.get::<_, String>(0))?;
                connections(records)
            })
            .await
    }

    async fn of_mailbox(&self, address: &str) -> Result<Vec<Connection>, StoreError> {
        let mailbox = normalised(address);
        self.database
            .call(move |sql| {
                let mut statement = sql.prepare_cached(
                    "SELECT record FROM store_connection WHERE mailbox = ?1 ORDER BY created_at, id",
                )?;
                let records = statement.query_map([mailbox], |row| row.get::<_, String>(0))?;
                connections(records)
            })
            .await
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

fn connections(
    records: impl Iterator<Item = rusqlite::Result<String>>,
) -> Result<Vec<Connection>, StoreError> {
    records
        .map(|record| serde_json::from_str(&record?).map_err(unreadable))
        .collect()
}

/// Fills in whose mailbox it is where an older version wrote the row. One that cannot be read stays as it is
/// and is found when it is asked for.
fn name_mailboxes(sql: &Sql) -> rusqlite::Result<()> {
    let mut unnamed = sql.prepare("SELECT id, record FROM store_connection WHERE mailbox IS NULL")?;
    let mut name =
        sql.prepare("UPDATE store_connection SET mailbox = ?2 WHERE id = ?1 AND mailbox IS NULL")?;
    let rows = unnamed.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let rows: Vec<(String, String)> = rows.collect::<rusqlite::Result<_>>()?;
    for (id, record) in rows {
        if let Ok(connection) = serde_json::from_str::<Connection>(&record) {
            name.execute((id, normalised(&connection.address)))?;
        }
    }
    Ok(())
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("a record cannot be read or written: {error}"))
}

fn check_limits(expectations: &[Expectation], changes: &[Change]) -> Result<(), StoreError> {
    if changes.len() > CHANGES_LIMIT || expectations.len() > CHANGES_LIMIT {
        let count = changes.len().max(expectations.len());
        return Err(StoreError::OverLimit(format!("{count} changes or expectations")));
    }
    let expected = expectations.iter().map(|expectation| &expectation.key);
    for key in expected.chain(changes.iter().map(|change| &change.key)) {
        if key.len() > KEY_LIMIT {
            return Err(StoreError::OverLimit(key.chars().take(KEY_LIMIT).collect()));
        }
    }
    let mut total = 0;
    for change in changes {
        let length = change.value.as_ref().map_or(0, Vec::len);
        total += change.key.len() + length;
        if length > VALUE_LIMIT || total > BYTES_LIMIT {
            return Err(StoreError::OverLimit(change.key.clone()));
        }
    }
    Ok(())
}

/// The connection's version counter, if this lease is still the one that holds it.
fn held_version(sql: &Sql, lease: &Lease) -> rusqlite::Result<Option<u64>> {
    sql.prepare_cached(
        "SELECT version FROM store_lease WHERE connection = ?1 AND fence = ?2 AND until IS NOT NULL",
    )?
    .query_row((lease.connection.as_str(), lease.fence), |row| row.get(0))
    .optional()
}

fn check_expectations(
    sql: &Sql,
    connection: &ConnectionId,
    expectations: &[Expectation],
) -> Result<(), CommitError> {
    let mut statement =
        sql.prepare_cached("SELECT version FROM store_entry WHERE connection = ?1 AND key = ?2")?;
    for expectation in expectations {
        let version: Option<u64> = statement
            .query_row((connection.as_str(), expectation.key.as_bytes()), |row| {
                row.get(0)
            })
            .optional()?;
        if version != expectation.version {
            let keys = expectations.iter().map(|expectation| expectation.key.as_str());
            return Err(CommitError::Stale(read(sql, connection, keys)?));
        }
    }
    Ok(())
}

fn apply(sql: &Sql, connection: &ConnectionId, change: &Change, version: u64) -> rusqlite::Result<()> {
    match &change.value {
        Some(value) => sql
            .prepare_cached(
                "INSERT INTO store_entry (connection, key, version, value) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (connection, key) DO UPDATE SET version = excluded.version, value = excluded.value",
            )?
            .execute((connection.as_str(), change.key.as_bytes(), version, value))?,
        None => sql
            .prepare_cached("DELETE FROM store_entry WHERE connection = ?1 AND key = ?2")?
            .execute((connection.as_str(), change.key.as_bytes()))?,
    };
    Ok(())
}

fn read<'k>(
    sql: &Sql,
    connection: &ConnectionId,
    keys: impl Iterator<Item = &'k str>,
) -> Result<Vec<Option<Entry>>, StoreError> {
    let mut statement =
        sql.prepare_cached("SELECT key, version, value FROM store_entry WHERE connection = ?1 AND key = ?2")?;
    let mut total = 0;
    keys.map(|key| {
        let entry = statement
            .query_row((connection.as_str(), key.as_bytes()), entry)
            .optional()?;
        total += entry.as_ref().map_or(0, size);
        if total > BYTES_LIMIT {
            return Err(StoreError::OverLimit(key.to_owned()));
        }
        Ok(entry)
    })
    .collect()
}

fn page(
    sql: &Sql,
    connection: &ConnectionId,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page, StoreError> {
    let mut statement = sql.prepare_cached(
        "SELECT key, version, value FROM store_entry
         WHERE connection = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) AND (?4 IS NULL OR key > ?4)
         ORDER BY key",
    )?;
    // The lower bound of both, so that a late page does not walk over the earlier ones.
    let from = after.map_or(prefix, |after| after.max(prefix));
    let mut rows = statement.query(params![
        connection.as_str(),
        from.as_bytes(),
        above(prefix),
        after.map(str::as_bytes),
    ])?;
    let mut page = Page::default();
    let mut total = 0;
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        total += size(&entry);
        if page.entries.len() == limit || (total > BYTES_LIMIT && !page.entries.is_empty()) {
            page.more = true;
            break;
        }
        page.entries.push(entry);
    }
    Ok(page)
}

/// The least bytes above all keys with this prefix. UTF-8 has no byte 0xff, so the last byte can
/// always be raised.
fn above(prefix: &str) -> Option<Vec<u8>> {
    let mut bytes = prefix.as_bytes().to_vec();
    *bytes.last_mut()? += 1;
    Some(bytes)
}

fn size(entry: &Entry) -> usize {
    entry.key.len() + entry.value.len()
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let key = String::from_utf8(row.get(0)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
    })?;
    Ok(Entry {
        key,
        version: row.get(1)?,
        value: row.get(2)?,
    })
}

#[cfg(test)]
mod tests;
