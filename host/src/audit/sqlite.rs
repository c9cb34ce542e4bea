//! What audits found, in SQLite.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::{Connection as Sql, OptionalExtension};
use serde::de::DeserializeOwned;

use super::{AuditLog, AuditStanding, Audited, KEPT};
use crate::{scope::ConnectionId, sqlite::Database, store::StoreError};

const MIGRATIONS: &[&str] = &["
    CREATE TABLE audit_report (
        id INTEGER PRIMARY KEY,
        connection TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_report_by_connection ON audit_report (connection, id);
    CREATE TABLE audit_standing (
        connection TEXT PRIMARY KEY,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// What audits found, in SQLite.
#[derive(Clone, Debug)]
pub struct SqliteAudits {
    database: Database,
}

impl SqliteAudits {
    /// Audits in a database that others use as well.
    pub fn new(database: Database) -> Result<Self, StoreError> {
        database.migrate("audit", MIGRATIONS)?;
        Ok(Self { database })
    }
}

#[async_trait]
impl AuditLog for SqliteAudits {
    async fn add(&self, connection: &ConnectionId, audited: &Audited) -> Result<(), StoreError> {
        let (connection, audited) = (connection.clone(), audited.clone());
        self.database
            .write(move |sql| {
                let id = connection.as_str();
                let standing = standing(sql, id)?.unwrap_or_default().after(&audited);
                sql.prepare_cached(
                    "INSERT OR REPLACE INTO audit_standing (connection, record) VALUES (?1, ?2)",
                )?
                .execute((id, written(&standing)?))?;
                sql.prepare_cached("INSERT INTO audit_report (connection, record) VALUES (?1, ?2)")?
                    .execute((id, written(&audited)?))?;
                sql.prepare_cached(
                    "DELETE FROM audit_report WHERE id IN
                     (SELECT id FROM audit_report WHERE connection = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)",
                )?
                .execute((id, KEPT))?;
                Ok(())
            })
            .await
    }

    async fn standings(&self) -> Result<HashMap<ConnectionId, AuditStanding>, StoreError> {
        self.database
            .call(|sql| {
                let mut statement = sql.prepare_cached("SELECT connection, record FROM audit_standing")?;
                let rows = statement
                    .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
                rows.map(|row| {
                    let (id, record) = row?;
                    Ok((ConnectionId::new(id), read(&record)?))
                })
                .collect()
            })
            .await
    }

    async fn latest(&self, connection: &ConnectionId) -> Result<Vec<Audited>, StoreError> {
        let connection = connection.clone();
        self.database
            .call(move |sql| {
                let mut statement = sql.prepare_cached(
                    "SELECT record FROM audit_report WHERE connection = ?1 ORDER BY id DESC",
                )?;
                let rows = statement.query_map([connection.as_str()], |row| row.get::<_, String>(0))?;
                rows.map(|row| read(&row?)).collect()
            })
            .await
    }
}

fn standing(sql: &Sql, connection: &str) -> Result<Option<AuditStanding>, StoreError> {
    let record: Option<String> = sql
        .prepare_cached("SELECT record FROM audit_standing WHERE connection = ?1")?
        .query_row([connection], |row| row.get(0))
        .optional()?;
    record.map(|record| read(&record)).transpose()
}

fn read<T: DeserializeOwned>(record: &str) -> Result<T, StoreError> {
    serde_json::from_str(record).map_err(unreadable)
}

fn written(record: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("a record cannot be read or written: {error}"))
}
