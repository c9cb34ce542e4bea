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
use secrecy::SecretString;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{
    Freshness, Grant, Holders, KeyRing, Lasting, Provider, Vault, VaultError,
    rows::{self, ACCESS, REFRESH, Row, State, holders_of, read},
};
use crate::{clock::Clock, scope::ConnectionId, sqlite::Database};

/// An access token is not used in the last minute of its life, in milliseconds.
const MARGIN: u64 = 60_000;

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
    /// Until when the refresh token lasts, ms since the epoch, where the provider has said so.
    pub lasts_until: Option<u64>,
}

/// Grants in SQLite. Clones are the same vault.
#[derive(Clone)]
pub struct OAuthVault {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    keys: KeyRing,
    provider: Provider,
    clock: Arc<dyn Clock>,
    locks: Mutex<HashMap<ConnectionId, Weak<AsyncMutex<()>>>>,
}

impl OAuthVault {
    /// The grants in a database that others may use as well.
    pub fn new(
        database: Database,
        keys: impl Into<KeyRing>,
        provider: Provider,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, VaultError> {
        rows::migrate(&database)?;
        Ok(Self {
            inner: Arc::new(Inner {
                database,
                keys: keys.into(),
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
        let record = serde_json::to_string(&tokens.grant).map_err(|_| VaultError::Sealed)?;
        let (keys, id, now) = (self.keys().clone(), connection.clone(), self.now());
        self.database()
            .write(move |sql| {
                let access = rows::seal(sql, &keys, id.as_str(), ACCESS, &tokens.access)?;
                let refresh = rows::seal(sql, &keys, id.as_str(), REFRESH, &tokens.refresh)?;
                sql.prepare_cached(
                    "INSERT INTO vault_grant (connection, subject, record, state, access, refresh, expires_at,
                         generation, granted_at, lasts_until)
                     VALUES (?1, ?2, ?3, 'held', ?4, ?5, ?6, 1, ?7, ?8)
                     ON CONFLICT (connection) DO UPDATE SET subject = excluded.subject,
                         record = excluded.record, state = 'held', access = excluded.access,
                         refresh = excluded.refresh, expires_at = excluded.expires_at,
                         granted_at = excluded.granted_at, lasts_until = excluded.lasts_until,
                         lost_at = NULL, refresher_until = 0, generation = generation + 1",
                )?
                .execute((
                    id.as_str(),
                    &tokens.grant.subject,
                    record,
                    access,
                    refresh,
                    tokens.expires_at,
                    now,
                    tokens.lasts_until,
                ))?;
                Ok(())
            })
            .await
    }

    /// The connections whose grants are from before then, ms since the epoch, in whatever state these are.
    pub async fn granted_before(&self, then: u64) -> Result<Vec<ConnectionId>, VaultError> {
        self.database()
            .call(move |sql| {
                let mut statement = sql.prepare_cached(
                    "SELECT connection FROM vault_grant WHERE granted_at < ?1 ORDER BY connection",
                )?;
                let ids = statement.query_map([then], |row| row.get::<_, String>(0))?;
                let ids = ids.map(|id| id.map(ConnectionId::new));
                Ok(ids.collect::<Result<_, _>>()?)
            })
            .await
    }

    pub(super) fn database(&self) -> &Database {
        &self.inner.database
    }

    pub(super) fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.inner.provider
    }

    pub(super) fn now(&self) -> u64 {
        self.inner.clock.now()
    }

    pub(super) async fn wait(&self, milliseconds: u64) {
        self.inner.clock.sleep(milliseconds).await;
    }

    /// Whether any connection holds a grant of this account.
    pub(super) async fn is_held(&self, subject: &str) -> Result<bool, VaultError> {
        let subject = subject.to_owned();
        self.database()
            .call(move |sql| Ok(holders_of(sql, &subject)? > 0))
            .await
    }

    /// The grant's row, if its tokens can be used.
    async fn held(&self, connection: &ConnectionId) -> Result<Row, VaultError> {
        let connection = connection.clone();
        self.database()
            .call(move |sql| rows::read_held(sql, &connection))
            .await
    }

    /// One at a time per connection, in this process.
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
            return self
                .keys()
                .open_sealed(connection.as_str(), ACCESS, &before.access);
        }
        let guard = self.lock(connection).await;
        // In a task of its own: a caller that gives up must not lose what the provider has answered.
        let (vault, connection) = (self.clone(), connection.clone());
        let refresh = tokio::spawn(async move {
            let _guard = guard;
            vault.refreshed(&connection, before.generation).await
        });
        refresh
            .await
            .unwrap_or_else(|_| Err(VaultError::Unavailable("the refresh was interrupted".into())))
    }

    async fn lasting(&self, connection: &ConnectionId) -> Result<Lasting, VaultError> {
        let connection = connection.clone();
        self.database()
            .call(move |sql| {
                let row = read(sql, &connection)?.ok_or(VaultError::NoGrant)?;
                Ok(row.lasting)
            })
            .await
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
        let left = self
            .database()
            .write(move |sql| -> Result<_, VaultError> {
                let Some(row) = read(sql, &id)? else {
                    return Ok(Left::Nothing);
                };
                sql.execute(
                    "UPDATE vault_grant SET state = 'releasing' WHERE connection = ?1 AND state = 'held'",
                    [id.as_str()],
                )?;
                let others = holders(holders_of(sql, &row.grant.subject)?);
                let is_last = row.state != State::Lost && others == Holders::Last;
                Ok(if is_last {
                    Left::Token(row.refresh)
                } else {
                    Left::Row
                })
            })
            .await?;
        if let Left::Nothing = left {
            return Ok(());
        }
        if let Left::Token(sealed) = left {
            match self.keys().open_sealed(connection.as_str(), REFRESH, &sealed) {
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

/// What is left of a grant that is given up.
enum Left {
    Nothing,
    /// Its row; others need the token.
    Row,
    /// Its row, and the sealed token that nobody else needs.
    Token(Vec<u8>),
}

impl Row {
    /// Whether its access token can be used for a while.
    pub(super) fn is_fresh(&self, now: u64) -> bool {
        self.expires_at > now.saturating_add(MARGIN)
    }
}

fn holders(others: u64) -> Holders {
    if others == 0 {
        Holders::Last
    } else {
        Holders::Others
    }
}
