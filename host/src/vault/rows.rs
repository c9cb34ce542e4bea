//! The vault's tables. What is sealed is sealed within the transaction that writes it: a key that was
//! retired before it ([`super::rotate`]) is seen there and seals no more.

use rusqlite::{Connection as Sql, OptionalExtension};
use secrecy::SecretString;

use super::{Grant, KeyRing, Lasting, VaultError, seal::KeyId};
use crate::{scope::ConnectionId, sqlite::Database};

/// What an access token is sealed for.
pub(super) const ACCESS: &str = "access";
/// What a refresh token is sealed for.
pub(super) const REFRESH: &str = "refresh";
/// What the secret of a flow is sealed for.
pub(super) const FLOW: &str = "flow";

const MIGRATIONS: &[&str] = &[
    "
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
",
    "
    ALTER TABLE vault_grant ADD COLUMN granted_at INTEGER;
    ALTER TABLE vault_grant ADD COLUMN lasts_until INTEGER;
    ALTER TABLE vault_grant ADD COLUMN lost_at INTEGER;
    ALTER TABLE vault_grant ADD COLUMN refresher INTEGER;
    ALTER TABLE vault_grant ADD COLUMN refresher_until INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE vault_retired_key (
        id BLOB PRIMARY KEY
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE vault_flow ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
",
];

/// Brings the vault's tables up to date.
pub(super) fn migrate(database: &Database) -> rusqlite::Result<()> {
    database.migrate("vault", MIGRATIONS)
}

/// How a grant is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Held,
    Lost,
    Releasing,
}

/// A grant as it is stored.
pub(super) struct Row {
    pub(super) grant: Grant,
    pub(super) state: State,
    pub(super) access: Vec<u8>,
    pub(super) refresh: Vec<u8>,
    pub(super) expires_at: u64,
    pub(super) generation: u64,
    pub(super) lasting: Lasting,
}

/// The grant of a connection.
pub(super) fn read(sql: &Sql, connection: &ConnectionId) -> Result<Option<Row>, VaultError> {
    let row = sql
        .prepare_cached(
            "SELECT record, state, access, refresh, expires_at, generation, granted_at, lasts_until, lost_at
             FROM vault_grant WHERE connection = ?1",
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
                lasting: Lasting {
                    granted_at: row.get(6)?,
                    until: row.get(7)?,
                    lost_at: row.get(8)?,
                },
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

/// The grant of a connection, if its tokens can be used.
pub(super) fn read_held(sql: &Sql, connection: &ConnectionId) -> Result<Row, VaultError> {
    let row = read(sql, connection)?.ok_or(VaultError::NoGrant)?;
    match row.state {
        State::Held => Ok(row),
        State::Lost => Err(VaultError::ReconnectNeeded),
        State::Releasing => Err(VaultError::NoGrant),
    }
}

/// Connections of any tenant that hold a grant of this account.
pub(super) fn holders_of(sql: &Sql, subject: &str) -> rusqlite::Result<u64> {
    sql.prepare_cached("SELECT count(*) FROM vault_grant WHERE subject = ?1 AND state = 'held'")?
        .query_row([subject], |row| row.get(0))
}

/// Seals for a row that the transaction of `sql` writes.
pub(super) fn seal(
    sql: &Sql,
    keys: &KeyRing,
    owner: &str,
    purpose: &str,
    secret: &SecretString,
) -> Result<Vec<u8>, VaultError> {
    let sealed = keys.seal(owner, purpose, secret)?;
    if !is_retired(sql, &sealed)? {
        return Ok(sealed);
    }
    keys.reread();
    let sealed = keys.seal(owner, purpose, secret)?;
    if is_retired(sql, &sealed)? {
        return Err(VaultError::Unavailable(
            "the sealing key was retired by a rotation: put the newest key file back".into(),
        ));
    }
    Ok(sealed)
}

/// Nothing is sealed with this key any more, from this transaction on.
pub(super) fn retire(sql: &Sql, key: KeyId) -> rusqlite::Result<()> {
    sql.execute(
        "INSERT OR IGNORE INTO vault_retired_key (id) VALUES (?1)",
        [key.as_bytes()],
    )?;
    Ok(())
}

fn is_retired(sql: &Sql, sealed: &[u8]) -> Result<bool, VaultError> {
    let key = KeyId::of(sealed).ok_or(VaultError::Sealed)?;
    Ok(sql
        .prepare_cached("SELECT 1 FROM vault_retired_key WHERE id = ?1")?
        .exists([key.as_bytes()])?)
}

impl From<rusqlite::Error> for VaultError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
