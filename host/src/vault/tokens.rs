//! The embedded default: grants in SQLite, their tokens sealed.
//!
//! A grant is held, lost (the provider said `invalid_grant`), or being released. Each new access
//! token raises the grant's generation; what a refresh learned is written only to the generation it
//! began with, so an old refresh never ends a grant that was made anew meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use async_trait::async_trait;
use rusqlite::{Connection as Sql, OptionalExtension};
use secrecy::SecretString;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{Freshness, Grant, Holders, Provider, SealingKeys, Vault, VaultError};
use crate::{clock::Clock, scope::ConnectionId, sqlite::Database};

/// An access token is not used in the last minute of its life, in milliseconds.
const MARGIN: u64 = 60_000;

const ACCESS: &str = "access";
const REFRESH: &str = "refresh";

const MIGRATIONS: &[&str] = &["
    CREATE TABLE vault_grant (
        connection TEXT PRIMARY KEY,
        subject TEXT NOT NULL,
        record TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('held', 'lost', 'releasing')),
        access BLOB NOT NULL,
        refresh BLOB NOT NULL,
        expires_at INTEGER NOT NULL,
        generation INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX vault_grant_by_subject ON vault_grant (subject, state);
    CREATE TABLE vault_flow (
        state BLOB PRIMARY KEY,
        session BLOB NOT NULL,
        secret BLOB NOT NULL,
        expected TEXT,
        data TEXT NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX vault_flow_by_expiry ON vault_flow (expires_at);
"];

/// A grant with its tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// What was granted.
    pub grant: Grant,
    /// The access token.
    pub access: SecretString,
    /// The refresh token.
    pub refresh: SecretString,
    /// When the access token expires, ms since the epoch.
    pub expires_at: u64,
}

/// Grants in SQLite. Clones are the same vault.
#[derive(Clone)]
pub struct OAuthVault {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    keys: SealingKeys,
    provider: Provider,
    clock: Arc<dyn Clock>,
    locks: Mutex<HashMap<ConnectionId, Weak<AsyncMutex<()>>>>,
}

impl OAuthVault {
    /// The grants in a database that others may use as well.
    pub fn new(
        database: Database,
        keys: SealingKeys,
        provider: Provider,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, VaultError> {
        database.migrate("vault", MIGRATIONS)?;
        Ok(Self {
            inner: Arc::new(Inner {
                database,
                keys,
                provider,
                clock,
                locks: Mutex::default(),
            }),
        })
    }

    /// Stores a grant for a connection, in place of the one it had. That one is not revoked: at Google
    /// this could end the new one too.
    pub async fn adopt(&self, connection: &ConnectionId, tokens: Tokens) -> Result<(), VaultError> {
        let _guard = self.lock(connection).await;
        let sealed = self.seal(connection, &tokens.access, &tokens.refresh)?;
        let record = serde_json::to_string(&tokens.grant).map_err(|_| VaultError::Sealed)?;
        let connection = connection.clone();
        self.database()
            .write(move |sql| {
                sql.prepare_cached(
                    "INSERT INTO vault_grant
                         (connection, subject, record, state, access, refresh, expires_at, generation)
                     VALUES (?1, ?2, ?3, 'held', ?4, ?5, ?6, 1)
                     ON CONFLICT (connection) DO UPDATE SET subject = excluded.subject,
                         record = excluded.record, state = 'held', access = excluded.access,
                         refresh = excluded.refresh, expires_at = excluded.expires_at,
                         generation = generation + 1",
                )?
                .execute((
                    connection.as_str(),
                    &tokens.grant.subject,
                    record,
                    sealed.access,
                    sealed.refresh,
                    tokens.expires_at,
                ))?;
                Ok(())
            })
            .await
    }

    pub(super) fn database(&self) -> &Database {
        &self.inner.database
    }

    pub(super) fn keys(&self) -> &SealingKeys {
        &self.inner.keys
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.inner.provider
    }

    pub(super) fn now(&self) -> u64 {
        self.inner.clock.now()
    }

    /// Whether any connection holds a grant of this account.
    pub(super) async fn is_held(&self, subject: &str) -> Result<bool, VaultError> {
        let subject = subject.to_owned();
        self.database()
            .call(move |sql| Ok(holders_of(sql, &subject)? > 0))
            .await
    }

    async fn row(&self, connection: &ConnectionId) -> Result<Row, VaultError> {
        let connection = connection.clone();
        self.database()
            .call(move |sql| read(sql, &connection)?.ok_or(VaultError::NoGrant))
            .await
    }

    /// The grant's row, if its tokens can be used.
    async fn held(&self, connection: &ConnectionId) -> Result<Row, VaultError> {
        let row = self.row(connection).await?;
        match row.state {
            State::Held => Ok(row),
            State::Lost => Err(VaultError::ReconnectNeeded),
            State::Releasing => Err(VaultError::NoGrant),
        }
    }

    /// Refreshes, as the one who has the connection's lock.
    async fn refresh(&self, connection: &ConnectionId, row: &Row) -> Result<SecretString, VaultError> {
        let refresh = self.keys().open(connection.as_str(), REFRESH, &row.refresh)?;
        let answer = match self.provider().refresh(&refresh).await {
            Ok(answer) => answer,
            Err(VaultError::ReconnectNeeded) => {
                self.lose(connection, row.generation).await?;
                return Err(VaultError::ReconnectNeeded);
            }
            Err(error) => return Err(error),
        };
        // RFC 6749, 6: an answer without a refresh token leaves the old one in force.
        let sealed = self.seal(
            connection,
            &answer.access,
            answer.refresh.as_ref().unwrap_or(&refresh),
        )?;
        let expires_at = self.now().saturating_add(answer.lifetime);
        let (connection, generation) = (connection.clone(), row.generation);
        self.database()
            .write(move |sql| -> Result<(), VaultError> {
                sql.prepare_cached(
                    "UPDATE vault_grant SET access = ?3, refresh = ?4, expires_at = ?5,
                         generation = generation + 1
                     WHERE connection = ?1 AND generation = ?2",
                )?
                .execute((
                    connection.as_str(),
                    generation,
                    sealed.access,
                    sealed.refresh,
                    expires_at,
                ))?;
                Ok(())
            })
            .await?;
        Ok(answer.access)
    }

    /// S07: notes that the provider has ended the grant.
    async fn lose(&self, connection: &ConnectionId, generation: u64) -> Result<(), VaultError> {
        let connection = connection.clone();
        self.database()
            .write(move |sql| {
                sql.execute(
                    "UPDATE vault_grant SET state = 'lost', access = x'', refresh = x''
                     WHERE connection = ?1 AND generation = ?2 AND state = 'held'",
                    (connection.as_str(), generation),
                )?;
                Ok(())
            })
            .await
    }

    fn seal(
        &self,
        connection: &ConnectionId,
        access: &SecretString,
        refresh: &SecretString,
    ) -> Result<Sealed, VaultError> {
        Ok(Sealed {
            access: self.keys().seal(connection.as_str(), ACCESS, access)?,
            refresh: self.keys().seal(connection.as_str(), REFRESH, refresh)?,
        })
    }

    /// One at a time per connection.
    async fn lock(&self, connection: &ConnectionId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.inner.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.get(connection).and_then(Weak::upgrade).unwrap_or_else(|| {
                locks.retain(|_, lock| lock.strong_count() > 0);
                let lock = Arc::default();
                locks.insert(connection.clone(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }
}

impl std::fmt::Debug for OAuthVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OAuthVault").finish_non_exhaustive()
    }
}

#[async_trait]
impl Vault for OAuthVault {
    async fn grant(&self, connection: &ConnectionId) -> Result<Grant, VaultError> {
        Ok(self.held(connection).await?.grant)
    }

    async fn access_token(
        &self,
        connection: &ConnectionId,
        freshness: Freshness,
    ) -> Result<SecretString, VaultError> {
        let before = self.held(connection).await?;
        if freshness == Freshness::Valid && before.is_fresh(self.now()) {
            return self.keys().open(connection.as_str(), ACCESS, &before.access);
        }
        let guard = self.lock(connection).await;
        let now = self.held(connection).await?;
        if now.generation != before.generation && now.is_fresh(self.now()) {
            return self.keys().open(connection.as_str(), ACCESS, &now.access);
        }
        // In a task of its own: a caller that gives up must not lose what the provider has answered.
        let (vault, connection) = (self.clone(), connection.clone());
        let refresh = tokio::spawn(async move {
            let _guard = guard;
            vault.refresh(&connection, &now).await
        });
        refresh
            .await
            .unwrap_or_else(|_| Err(VaultError::Unavailable("the refresh was interrupted".into())))
    }

    async fn holders(&self, connection: &ConnectionId) -> Result<Holders, VaultError> {
        let connection = connection.clone();
        self.database()
            .call(move |sql| {
                let own = read(sql, &connection)?.ok_or(VaultError::NoGrant)?;
                let all = holders_of(sql, &own.grant.subject)?;
                Ok(holders(all - u64::from(own.state == State::Held)))
            })
            .await
    }

    async fn release(&self, connection: &ConnectionId) -> Result<(), VaultError> {
        let _guard = self.lock(connection).await;
        let id = connection.clone();
        // First no holder any more, then revoked, then gone: of two that release at the same time the
        // later one revokes, and what a crash interrupts is done again by the next call.
        let last = self
            .database()
            .write(move |sql| -> Result<_, VaultError> {
                let Some(row) = read(sql, &id)? else {
                    return Ok(None);
                };
                sql.execute(
                    "UPDATE vault_grant SET state = 'releasing' WHERE connection = ?1 AND state = 'held'",
                    [id.as_str()],
                )?;
                let others = holders(holders_of(sql, &row.grant.subject)?);
                Ok((row.state != State::Lost && others == Holders::Last).then_some(row.refresh))
            })
            .await?;
        if let Some(sealed) = last {
            match self.keys().open(connection.as_str(), REFRESH, &sealed) {
                Ok(token) => self.provider().revoke(&token).await,
                Err(error) => tracing::warn!(%error, "a token was not revoked"),
            }
        }
        let id = connection.clone();
        self.database()
            .write(move |sql| {
                sql.execute("DELETE FROM vault_grant WHERE connection = ?1", [id.as_str()])?;
                Ok(())
            })
            .await
    }
}

impl From<rusqlite::Error> for VaultError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

struct Sealed {
    access: Vec<u8>,
    refresh: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Lost,
    Releasing,
}

struct Row {
    grant: Grant,
    state: State,
    access: Vec<u8>,
    refresh: Vec<u8>,
    expires_at: u64,
    generation: u64,
}

impl Row {
    fn is_fresh(&self, now: u64) -> bool {
        self.expires_at > now.saturating_add(MARGIN)
    }
}

fn read(sql: &Sql, connection: &ConnectionId) -> Result<Option<Row>, VaultError> {
    let row = sql
        .prepare_cached(
            "SELECT record, state, access, refresh, expires_at, generation FROM vault_grant
             WHERE connection = ?1",
        )?
        .query_row([connection.as_str()], |row| {
            let state = match row.get::<_, String>(1)?.as_str() {
                "held" => State::Held,
                "lost" => State::Lost,
                _ => State::Releasing,
            };
            let record: String = row.get(0)?;
            let row = Row {
                grant: Grant {
                    subject: String::new(),
                    email: String::new(),
                    scopes: Vec::new(),
                },
                state,
                access: row.get(2)?,
                refresh: row.get(3)?,
                expires_at: row.get(4)?,
                generation: row.get(5)?,
            };
            Ok((record, row))
        })
        .optional()?;
    row.map(|(record, row)| {
        let grant = serde_json::from_str(&record).map_err(|_| VaultError::Sealed)?;
        Ok(Row { grant, ..row })
    })
    .transpose()
}

/// Connections of any tenant that hold a grant of this account.
fn holders_of(sql: &Sql, subject: &str) -> rusqlite::Result<u64> {
    sql.prepare_cached("SELECT count(*) FROM vault_grant WHERE subject = ?1 AND state = 'held'")?
        .query_row([subject], |row| row.get(0))
}

fn holders(others: u64) -> Holders {
    if others == 0 {
        Holders::Last
    } else {
        Holders::Others
    }
}
