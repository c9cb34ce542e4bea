//! The embedded default: claims in SQLite. All processes with the same database share them.
//!
//! The primary key of a claim is account and address, so that a second owner cannot be written. Each call is
//! one transaction and runs the same statements whoever keeps the contact, and whether or not anybody else has the
//! mailbox: neither its answer nor its time tells (S33).

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection as Sql, OptionalExtension};

use super::{Sharing, SharingError, Standing, within_limits};
use crate::{clock::Clock, scope::Scope, sqlite::Database};

/// The most contacts that one connection keeps.
const MOST_HELD: u32 = 1_000_000;

const MIGRATIONS: &[&str] = &["
    CREATE TABLE sharing_member (
        connection TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        tenant TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('here', 'left'))
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sharing_member_by_account ON sharing_member (account, tenant, state);
    CREATE TABLE sharing_claim (
        account TEXT NOT NULL,
        address TEXT NOT NULL,
        tenant TEXT NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (account, address)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sharing_holder (
        account TEXT NOT NULL,
        address TEXT NOT NULL,
        connection TEXT NOT NULL REFERENCES sharing_member (connection),
        PRIMARY KEY (account, address, connection),
        FOREIGN KEY (account, address) REFERENCES sharing_claim (account, address)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sharing_holder_by_connection ON sharing_holder (connection, address);
"];

/// Claims in SQLite. Clones are the same claims.
#[derive(Clone)]
pub struct SqliteSharing {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl SqliteSharing {
    /// Claims in a database that others use as well, dated by this clock.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Result<Self, SharingError> {
        database.migrate("sharing", MIGRATIONS)?;
        Ok(Self { database, clock })
    }

    /// Runs `work` in one transaction, for a connection that has not left.
    async fn as_member<T, F>(&self, scope: &Scope, work: F) -> Result<T, SharingError>
    where
        T: Send + 'static,
        F: FnOnce(&Sql, &Scope) -> Result<T, SharingError> + Send + 'static,
    {
        let scope = scope.clone();
        self.database
            .write(move |sql| {
                // One that was made before claims were kept is taken in here.
                sql.prepare_cached(
                    "INSERT INTO sharing_member (connection, account, tenant, state)
                     VALUES (?1, ?2, ?3, 'here') ON CONFLICT DO NOTHING",
                )?
                .execute(member(&scope))?;
                if state_of(sql, &scope)?.as_deref() != Some("here") {
                    return Err(SharingError::Left);
                }
                work(sql, &scope)
            })
            .await
    }
}

#[async_trait]
impl Sharing for SqliteSharing {
    async fn claim(&self, scope: &Scope, contact_address: &str) -> Result<Standing, SharingError> {
        let address = contact_address.to_owned();
        within_limits(std::slice::from_ref(&address))?;
        let now = self.clock.now();
        self.as_member(scope, move |sql, scope| claim(sql, scope, &address, now))
            .await
    }

    async fn standings(
        &self,
        scope: &Scope,
        contact_addresses: &[String],
    ) -> Result<Vec<Standing>, SharingError> {
        within_limits(contact_addresses)?;
        let (scope, addresses) = (scope.clone(), contact_addresses.to_vec());
        self.database
            .call(move |sql| {
                let standings = addresses.iter().map(|address| standing(sql, &scope, address));
                standings.collect()
            })
            .await
    }

    async fn release(&self, scope: &Scope, contact_address: &str) -> Result<(), SharingError> {
        let address = contact_address.to_owned();
        within_limits(std::slice::from_ref(&address))?;
        self.as_member(scope, move |sql, scope| {
            sql.prepare_cached(
                "DELETE FROM sharing_holder WHERE account = ?1 AND address = ?2 AND connection = ?3",
            )?
            .execute((&scope.account, &address, scope.connection.as_str()))?;
            sql.prepare_cached(
                "DELETE FROM sharing_claim WHERE account = ?1 AND address = ?2 AND NOT EXISTS
                     (SELECT 1 FROM sharing_holder WHERE account = ?1 AND address = ?2)",
            )?
            .execute((&scope.account, &address))?;
            Ok(())
        })
        .await
    }

    async fn join(&self, scope: &Scope) -> Result<(), SharingError> {
        let scope = scope.clone();
        self.database
            .write(move |sql| {
                sql.prepare_cached(
                    "INSERT INTO sharing_member (connection, account, tenant, state)
                     VALUES (?1, ?2, ?3, 'here') ON CONFLICT (connection) DO UPDATE SET
                         account = excluded.account, tenant = excluded.tenant, state = 'here'",
                )?
                .execute(member(&scope))?;
                Ok(())
            })
            .await
    }

    async fn leave(&self, scope: &Scope) -> Result<(), SharingError> {
        let scope = scope.clone();
        self.database
            .write(move |sql| {
                // So that leaving again, as a host does for all ended connections when it starts, writes nothing.
                if state_of(sql, &scope)?.as_deref() == Some("left") {
                    return Ok(());
                }
                leave(sql, &scope)
            })
            .await
    }
}

fn claim(sql: &Sql, scope: &Scope, address: &str, now: u64) -> Result<Standing, SharingError> {
    let connection = scope.connection.as_str();
    let held: u32 = sql
        .prepare_cached("SELECT count(*) FROM sharing_holder WHERE connection = ?1")?
        .query_row([connection], |row| row.get(0))?;
    if held >= MOST_HELD {
        return Err(SharingError::OverLimit(format!("{MOST_HELD} contacts are kept")));
    }
    sql.prepare_cached(
        "INSERT INTO sharing_claim (account, address, tenant, since) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
    )?
    .execute((&scope.account, address, scope.tenant.as_str(), now))?;
    sql.prepare_cached(
        "INSERT INTO sharing_holder (account, address, connection)
         SELECT account, address, ?4 FROM sharing_claim
         WHERE account = ?1 AND address = ?2 AND tenant = ?3 ON CONFLICT DO NOTHING",
    )?
    .execute((&scope.account, address, scope.tenant.as_str(), connection))?;
    standing(sql, scope, address)
}

fn standing(sql: &Sql, scope: &Scope, address: &str) -> Result<Standing, SharingError> {
    let claim: Option<(String, u64)> = sql
        .prepare_cached("SELECT tenant, since FROM sharing_claim WHERE account = ?1 AND address = ?2")?
        .query_row((&scope.account, address), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match claim {
        None => Standing::Open,
        Some((tenant, _)) if tenant == scope.tenant.as_str() => Standing::Kept,
        Some((_, since)) => Standing::Released(since),
    })
}

fn leave(sql: &Sql, scope: &Scope) -> Result<(), SharingError> {
    let connection = scope.connection.as_str();
    sql.prepare_cached(
        "INSERT INTO sharing_member (connection, account, tenant, state) VALUES (?1, ?2, ?3, 'left')
         ON CONFLICT (connection) DO UPDATE SET state = 'left'",
    )?
    .execute(member(scope))?;
    let heir: Option<String> = sql
        .prepare_cached(
            "SELECT connection FROM sharing_member
             WHERE account = ?1 AND tenant = ?2 AND state = 'here' ORDER BY connection LIMIT 1",
        )?
        .query_row((&scope.account, scope.tenant.as_str()), |row| row.get(0))
        .optional()?;
    if let Some(heir) = heir {
        sql.prepare_cached(
            "INSERT INTO sharing_holder (account, address, connection)
             SELECT account, address, ?2 FROM sharing_holder WHERE connection = ?1 ON CONFLICT DO NOTHING",
        )?
        .execute((connection, heir))?;
    }
    let left: Vec<(String, String)> = sql
        .prepare_cached("DELETE FROM sharing_holder WHERE connection = ?1 RETURNING account, address")?
        .query_map([connection], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut free = sql.prepare_cached(
        "DELETE FROM sharing_claim WHERE account = ?1 AND address = ?2 AND NOT EXISTS
             (SELECT 1 FROM sharing_holder WHERE account = ?1 AND address = ?2)",
    )?;
    for claim in left {
        free.execute(claim)?;
    }
    Ok(())
}

fn state_of(sql: &Sql, scope: &Scope) -> Result<Option<String>, SharingError> {
    let state = sql
        .prepare_cached("SELECT state FROM sharing_member WHERE connection = ?1")?
        .query_row([scope.connection.as_str()], |row| row.get(0));
    Ok(state.optional()?)
}

fn member(scope: &Scope) -> (&str, &str, &str) {
    (scope.connection.as_str(), &scope.account, scope.tenant.as_str())
}

impl From<rusqlite::Error> for SharingError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
