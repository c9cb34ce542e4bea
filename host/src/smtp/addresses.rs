//! BCC addresses (S18): one for each connection, which nobody can guess. A user who has given theirs away
//! gets another; the one before is nobody's from then on.

use std::sync::Arc;

use rusqlite::{Connection as Sql, OptionalExtension};

use crate::{clock::Clock, scope::ConnectionId, sqlite::Database, store::StoreError};

const MIGRATIONS: &[&str] = &["
    CREATE TABLE bcc_address (
        local TEXT PRIMARY KEY,
        connection TEXT NOT NULL,
        made_at INTEGER NOT NULL,
        retired_at INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX bcc_address_in_use ON bcc_address (connection) WHERE retired_at IS NULL;
"];

/// RFC 4648, lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of it in an address: 130 bits.
const SECRET: usize = 26;

/// The BCC addresses of a host's connections. Clones are the same.
#[derive(Clone)]
pub struct BccAddresses {
    database: Database,
    clock: Arc<dyn Clock>,
    domain: String,
}

impl BccAddresses {
    /// Addresses at this domain.
    pub fn new(database: Database, clock: Arc<dyn Clock>, domain: &str) -> Result<Self, StoreError> {
        database.migrate("bcc", MIGRATIONS)?;
        Ok(Self {
            database,
            clock,
            domain: domain.to_ascii_lowercase(),
        })
    }

    /// The address of a connection, made when it is first asked for.
    pub async fn of(&self, connection: &ConnectionId) -> Result<String, StoreError> {
        let known = connection.clone();
        let found: Option<String> = self
            .database
            .call(move |sql| -> Result<_, StoreError> { Ok(in_use(sql, &known)?) })
            .await?;
        match found {
            Some(local) => Ok(self.at_domain(&local)),
            None => {
                self.make(connection, |sql, connection, _| in_use(sql, connection))
                    .await
            }
        }
    }

    /// A new address for a connection; mail to the one before is refused from now on.
    pub async fn rotate(&self, connection: &ConnectionId) -> Result<String, StoreError> {
        self.make(connection, |sql, connection, now| {
            sql.execute(
                "UPDATE bcc_address SET retired_at = ?2 WHERE connection = ?1 AND retired_at IS NULL",
                (connection.as_str(), now),
            )?;
            Ok(None)
        })
        .await
    }

    /// Whose address it is now, in any case.
    pub async fn find(&self, address: &str) -> Result<Option<ConnectionId>, StoreError> {
        let Some((local, domain)) = address.rsplit_once('@') else {
            return Ok(None);
        };
        if !domain.trim_end_matches('.').eq_ignore_ascii_case(&self.domain) {
            return Ok(None);
        }
        let local = local.to_ascii_lowercase();
        self.database
            .call(move |sql| {
                let found: Option<String> = sql
                    .prepare_cached(
                        "SELECT connection FROM bcc_address WHERE local = ?1 AND retired_at IS NULL",
                    )?
                    .query_row([local], |row| row.get(0))
                    .optional()?;
                Ok(found.map(ConnectionId::new))
            })
            .await
    }

    /// Inserts a new one unless `before` finds one that stays.
    async fn make(
        &self,
        connection: &ConnectionId,
        before: fn(&Sql, &ConnectionId, u64) -> rusqlite::Result<Option<String>>,
    ) -> Result<String, StoreError> {
        let (connection, now, new) = (connection.clone(), self.clock.now(), local_part());
        let local = self
            .database
            .write(move |sql| -> Result<String, StoreError> {
                if let Some(local) = before(sql, &connection, now)? {
                    return Ok(local);
                }
                sql.execute(
                    "INSERT INTO bcc_address (local, connection, made_at) VALUES (?1, ?2, ?3)",
                    (&new, connection.as_str(), now),
                )?;
                Ok(new)
            })
            .await?;
        Ok(self.at_domain(&local))
    }

    fn at_domain(&self, local: &str) -> String {
        format!("{local}@{}", self.domain)
    }
}

impl std::fmt::Debug for BccAddresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BccAddresses")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

fn in_use(sql: &Sql, connection: &ConnectionId) -> rusqlite::Result<Option<String>> {
    sql.prepare_cached("SELECT local FROM bcc_address WHERE connection = ?1 AND retired_at IS NULL")?
        .query_row([connection.as_str()], |row| row.get(0))
        .optional()
}

fn local_part() -> String {
    let bytes: [u8; SECRET] = rand::random();
    let secret = bytes
        .iter()
        .map(|byte| char::from(BASE32[usize::from(byte % 32)]));
    "log-".chars().chain(secret).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn s18_an_address_is_one_connections_until_it_is_rotated() {
        let database = Database::in_memory().unwrap();
        let addresses = BccAddresses::new(database, Arc::new(SystemClock), "Log.Example.com").unwrap();
        let (one, two) = (ConnectionId::new("c1"), ConnectionId::new("c2"));
        let address = addresses.of(&one).await.unwrap();
        assert_eq!(addresses.of(&one).await.unwrap(), address);
        assert_ne!(addresses.of(&two).await.unwrap(), address);
        assert!(address.starts_with("log-") && address.ends_with("@log.example.com") && address.len() == 46);
        for spelt in [address.clone(), address.to_uppercase()] {
            assert_eq!(
                addresses.find(&spelt).await.unwrap(),
                Some(one.clone()),
                "{spelt}"
            );
        }
        let elsewhere = address.replace("log.example.com", "example.com");
        assert_eq!(addresses.find(&elsewhere).await.unwrap(), None);

        let new = addresses.rotate(&one).await.unwrap();
        assert_eq!(addresses.of(&one).await.unwrap(), new);
        assert_eq!(addresses.find(&address).await.unwrap(), None);
        assert_eq!(addresses.find(&new).await.unwrap(), Some(one));
    }
}
