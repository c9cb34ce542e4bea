//! Who may use the embedded CRM's pages and its API: people with passwords, the sessions of their
//! browsers, and API tokens that act for them.
//!
//! What always holds: of a password only its Argon2id hash is kept (RFC 9106), of a session or a token
//! only the SHA-256 of what its bearer has. A session or token says who its bearer is, and with that the
//! tenant: no request names a tenant of its own (S33). What belongs to a person ends with the person, in
//! the same transaction. Guessing is slowed down for each login ([`throttle`](self)), known or not.
//! Source: OWASP's cheat sheets on password storage and session management, NIST SP 800-63B-4.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{
    clock::{Clock, SystemClock},
    scope::{TenantId, UserId},
    sqlite::Database,
};

mod password;
mod persons;
mod requests;
mod sessions;
mod throttle;
mod tokens;

pub use password::{LONGEST_PASSWORD, SHORTEST_PASSWORD, new_password};
pub use persons::NewPerson;
pub use requests::{Answer, Asked, LONGEST_ANSWER, LONGEST_KEY};
pub use sessions::{IDLE, LIFETIME, SignInError};
pub use tokens::{MadeToken, NewToken, Token};

/// The longest login and the longest name, in bytes.
const TEXT_LIMIT: usize = 254;

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE people_person (
        login TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        user TEXT NOT NULL,
        name TEXT NOT NULL,
        role TEXT NOT NULL,
        password TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        UNIQUE (tenant, user)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE people_session (
        hash BLOB PRIMARY KEY,
        login TEXT NOT NULL REFERENCES people_person (login) ON DELETE CASCADE,
        created_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX people_session_by_login ON people_session (login, created_at);
    CREATE TABLE people_token (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        login TEXT NOT NULL REFERENCES people_person (login) ON DELETE CASCADE,
        name TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        used_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX people_token_by_login ON people_token (login);
",
    "
    CREATE TABLE people_request (
        tenant TEXT NOT NULL,
        user TEXT NOT NULL,
        key TEXT NOT NULL,
        digest BLOB NOT NULL,
        at INTEGER NOT NULL,
        status INTEGER,
        media_type TEXT,
        body BLOB,
        PRIMARY KEY (tenant, user, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX people_request_by_time ON people_request (at);
",
];

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Their own mailbox, and the tenant's contacts and conversations.
    User,
    /// That, and the tenant's operation: all its connections and tokens.
    Admin,
}

impl Role {
    /// As it is written on the command line and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// What they sign in with: unique on the server, in lower case.
    pub login: String,
    /// Their tenant. Everything they see is this tenant's.
    pub tenant: TenantId,
    /// Who they are in that tenant: connections and assigned contacts name this id.
    pub user: UserId,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Since when, ms since the epoch.
    pub created_at: u64,
}

impl Person {
    /// A user of a tenant who has no account: whoever comes where nobody signs in.
    pub fn everybody(tenant: TenantId, user: UserId) -> Self {
        Self {
            login: String::new(),
            name: user.as_str().to_owned(),
            tenant,
            user,
            role: Role::Admin,
            created_at: 0,
        }
    }
}

/// Why something about people could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// The login, or the user of this tenant, has an account already.
    #[error("there is an account with this login or for this user already")]
    Taken,
    /// There is nobody with this login, or no such token.
    #[error("there is no such account or token")]
    Unknown,
    /// It breaks a rule; which.
    #[error("{0}")]
    Invalid(String),
    /// The database did not answer.
    #[error("the accounts cannot be read or written: {0}")]
    Unavailable(String),
}

impl From<rusqlite::Error> for PeopleError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => Self::Taken,
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Everybody who may come in. Clones are the same people.
#[derive(Clone)]
pub struct People {
    database: Database,
    clock: Arc<dyn Clock>,
    throttle: Arc<throttle::Throttle>,
    /// Hashing takes 19 MiB and some milliseconds of a core: so many at once.
    hashing: Arc<Semaphore>,
}

impl People {
    /// People in a database that others use as well, by the machine's clock.
    pub fn new(database: Database) -> Result<Self, PeopleError> {
        Self::with_clock(database, Arc::new(SystemClock))
    }

    /// People in a database, by this clock.
    pub fn with_clock(database: Database, clock: Arc<dyn Clock>) -> Result<Self, PeopleError> {
        database.migrate("people", MIGRATIONS)?;
        Ok(Self {
            database,
            clock,
            throttle: Arc::default(),
            hashing: Arc::new(Semaphore::new(password::AT_ONCE)),
        })
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

/// A login as it is kept: in lower case, without white space around it.
fn fold(login: &str) -> String {
    login.trim().to_lowercase()
}

/// What is kept of a secret that is random, and so cannot be guessed from this.
fn digest(secret: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(secret).into()
}

/// 256 bits nobody can guess, as text that fits into a cookie or a header.
fn secret() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests;
