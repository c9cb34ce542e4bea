//! Refreshing: one at a time for each connection, in all processes that share the database.
//!
//! Within a process a lock queues the callers; between processes a row says who refreshes and until
//! when that is believed. What a refresh has learned is written only to the generation it began with.

use secrecy::SecretString;

use super::{
    OAuthVault, VaultError,
    rows::{self, ACCESS, REFRESH, Row},
};
use crate::scope::ConnectionId;

/// How long a refresh of another process is waited for, in milliseconds: longer than an exchange with
/// the provider may take (`http`).
const TURN: u64 = 30_000;
/// How long between two looks at it, in milliseconds.
const LOOK_AGAIN: u64 = 100;

/// Whose turn it is.
enum Turn {
    /// The caller's, with this grant.
    Own(Row),
    /// Nobody's: somebody else has refreshed meanwhile.
    Over(Row),
    /// Another process's.
    Others,
}

impl OAuthVault {
    /// A newer access token than that of generation `before`. The caller holds the connection's lock.
    pub(super) async fn refreshed(
        &self,
        connection: &ConnectionId,
        before: u64,
    ) -> Result<SecretString, VaultError> {
        let refresher: i64 = rand::random();
        let row = loop {
            match self.turn(connection, before, refresher).await? {
                Turn::Own(row) => break row,
                Turn::Over(row) => return self.keys().open_sealed(connection.as_str(), ACCESS, &row.access),
                Turn::Others => self.wait(LOOK_AGAIN).await,
            }
        };
        let refreshed = self.refresh(connection, &row).await;
        if refreshed.is_err() {
            self.end_turn(connection, refresher).await;
        }
        refreshed
    }

    async fn turn(&self, connection: &ConnectionId, before: u64, refresher: i64) -> Result<Turn, VaultError> {
        let (connection, now) = (connection.clone(), self.now());
        self.database()
            .write(move |sql| {
                let row = rows::read_held(sql, &connection)?;
                if row.generation != before && row.is_fresh(now) {
                    return Ok(Turn::Over(row));
                }
                let taken = sql
                    .prepare_cached(
                        "UPDATE vault_grant SET refresher = ?2, refresher_until = ?3
                         WHERE connection = ?1 AND refresher_until <= ?4",
                    )?
                    .execute((connection.as_str(), refresher, now.saturating_add(TURN), now))?;
                Ok(if taken == 1 { Turn::Own(row) } else { Turn::Others })
            })
            .await
    }

    /// Nobody has to wait for a refresh that failed. If this fails too, its time runs out.
    async fn end_turn(&self, connection: &ConnectionId, refresher: i64) {
        let id = connection.clone();
        let ended: Result<(), VaultError> = self
            .database()
            .write(move |sql| {
                sql.execute(
                    "UPDATE vault_grant SET refresher_until = 0 WHERE connection = ?1 AND refresher = ?2",
                    (id.as_str(), refresher),
                )?;
                Ok(())
            })
            .await;
        if let Err(error) = ended {
            tracing::warn!(%connection, %error, "a refresh that failed is waited for until its time is over");
        }
    }

    async fn refresh(&self, connection: &ConnectionId, row: &Row) -> Result<SecretString, VaultError> {
        let refresh = self
            .keys()
            .open_sealed(connection.as_str(), REFRESH, &row.refresh)?;
        let answer = match self.provider().refresh(&refresh).await {
            Ok(answer) => answer,
            Err(VaultError::ReconnectNeeded) => {
                self.lose(connection, row.generation).await?;
                return Err(VaultError::ReconnectNeeded);
            }
            Err(error) => return Err(error),
        };
        let now = self.now();
        let expires_at = now.saturating_add(answer.lifetime);
        let lasts_until = answer
            .refresh_lifetime
            .map(|lifetime| now.saturating_add(lifetime));
        // RFC 6749, 6: an answer without a refresh token leaves the old one in force.
        let (access, refresh) = (answer.access.clone(), answer.refresh.unwrap_or(refresh));
        let (keys, id, generation) = (self.keys().clone(), connection.clone(), row.generation);
        self.database()
            .write(move |sql| -> Result<(), VaultError> {
                let access = rows::seal(sql, &keys, id.as_str(), ACCESS, &access)?;
                let refresh = rows::seal(sql, &keys, id.as_str(), REFRESH, &refresh)?;
                sql.prepare_cached(
                    "UPDATE vault_grant SET access = ?3, refresh = ?4, expires_at = ?5,
                         lasts_until = coalesce(?6, lasts_until), refresher_until = 0,
                         generation = generation + 1
                     WHERE connection = ?1 AND generation = ?2 AND state = 'held'",
                )?
                .execute((
                    id.as_str(),
                    generation,
                    access,
                    refresh,
                    expires_at,
                    lasts_until,
                ))?;
                Ok(())
            })
            .await?;
        Ok(answer.access)
    }

    /// S07: notes that the provider has ended the grant.
    async fn lose(&self, connection: &ConnectionId, generation: u64) -> Result<(), VaultError> {
        let (connection, now) = (connection.clone(), self.now());
        self.database()
            .write(move |sql| {
                sql.execute(
                    "UPDATE vault_grant SET state = 'lost', access = x'', refresh = x'', lost_at = ?3
                     WHERE connection = ?1 AND generation = ?2 AND state = 'held'",
                    (connection.as_str(), generation, now),
                )?;
                Ok(())
            })
            .await
    }
}
