//! API tokens: for programs, each acting for one person and with that in one tenant. Shown once, when it
//! is made.

use rusqlite::OptionalExtension;
use secrecy::SecretString;

use super::{
    People, PeopleError, Person, TEXT_LIMIT, digest, fold,
    persons::{COLUMNS, found, person},
    secret,
};
use crate::scope::TenantId;

/// How tokens begin, so that scanners for leaked secrets can know them.
const PREFIX: &str = "twinbox_";
/// The longest token that is looked up, in bytes.
const LONGEST: usize = 128;
/// Tokens of one person.
const TOKENS: u32 = 100;
/// How often a token's last use is noted, ms.
const NOTED: u64 = 60_000;

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Whom it acts for.
    pub login: String,
    /// What it is for, in the operator's words.
    pub name: String,
    /// Until when, ms since the epoch; absent: until it is revoked.
    pub expires_at: Option<u64>,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id, to revoke it by. Not a secret.
    pub id: String,
    /// Whom it acts for.
    pub person: Person,
    /// What it is for.
    pub name: String,
    /// Since when, ms since the epoch.
    pub created_at: u64,
    /// Until when, ms since the epoch; absent: until it is revoked.
    pub expires_at: Option<u64>,
    /// When it was used last, to about a minute, ms since the epoch.
    pub used_at: Option<u64>,
}

/// A token that was just made.
#[derive(Debug)]
pub struct MadeToken {
    /// The token.
    pub token: Token,
    /// What its bearer sends; told only here.
    pub secret: SecretString,
}

impl People {
    /// Makes a token.
    pub async fn create_token(&self, new: NewToken) -> Result<MadeToken, PeopleError> {
        let name = new.name.trim().to_owned();
        if name.is_empty() || name.len() > TEXT_LIMIT || name.contains(char::is_control) {
            return Err(PeopleError::Invalid(format!(
                "a token's name is 1 to {TEXT_LIMIT} bytes"
            )));
        }
        let secret = format!("{PREFIX}{}", secret());
        let (login, now) = (fold(&new.login), self.clock.now());
        let (hash, id) = (digest(&secret), format!("{:016x}", rand::random::<u64>()));
        let token = self
            .database
            .write(move |sql| {
                let count: u32 = sql.query_row(
                    "SELECT count(*) FROM people_token WHERE login = ?1",
                    [&login],
                    |row| row.get(0),
                )?;
                if count >= TOKENS {
                    return Err(PeopleError::Invalid(format!(
                        "a person has at most {TOKENS} tokens: revoke one"
                    )));
                }
                let query = format!("SELECT {COLUMNS} FROM people_person AS person WHERE login = ?1");
                let person = sql.query_row(&query, [&login], person).optional()?;
                let person = person.ok_or(PeopleError::Unknown)?;
                sql.execute(
                    "INSERT INTO people_token (id, hash, login, name, created_at, expires_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    (&id, hash, &login, &name, now, new.expires_at),
                )?;
                Ok(Token {
                    id,
                    person,
                    name,
                    created_at: now,
                    expires_at: new.expires_at,
                    used_at: None,
                })
            })
            .await?;
        Ok(MadeToken {
            token,
            secret: secret.into(),
        })
    }

    /// All tokens, or those of one tenant; oldest first.
    pub async fn tokens(&self, tenant: Option<&TenantId>) -> Result<Vec<Token>, PeopleError> {
        let tenant = tenant.map(|tenant| tenant.as_str().to_owned());
        self.database
            .call(move |sql| {
                let query = format!(
                    "SELECT {COLUMNS}, id, people_token.name, people_token.created_at, expires_at, used_at
                     FROM people_token JOIN people_person AS person USING (login)
                     WHERE ?1 IS NULL OR tenant = ?1 ORDER BY people_token.created_at, id"
                );
                let mut statement = sql.prepare_cached(&query)?;
                let tokens = statement
                    .query_map([tenant], |row| {
                        Ok(Token {
                            person: person(row)?,
                            id: row.get(6)?,
                            name: row.get(7)?,
                            created_at: row.get(8)?,
                            expires_at: row.get(9)?,
                            used_at: row.get(10)?,
                        })
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(tokens)
            })
            .await
    }

    /// Revokes a token by its id: from the next request on it opens nothing.
    pub async fn revoke_token(&self, id: &str) -> Result<(), PeopleError> {
        let id = id.to_owned();
        self.database
            .write(move |sql| found(sql.execute("DELETE FROM people_token WHERE id = ?1", [id])?))
            .await
    }

    /// Whom this token acts for, if it is one and has not expired.
    pub async fn bearer(&self, secret: &str) -> Result<Option<Person>, PeopleError> {
        if secret.len() > LONGEST || !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let (hash, now) = (digest(secret), self.clock.now());
        self.database
            .call(move |sql| {
                let query = format!(
                    "SELECT {COLUMNS}, coalesce(used_at, 0) FROM people_token
                     JOIN people_person AS person USING (login)
                     WHERE hash = ?1 AND coalesce(expires_at > ?2, 1)"
                );
                let found = sql
                    .prepare_cached(&query)?
                    .query_row((hash, now), |row| Ok((person(row)?, row.get::<_, u64>(6)?)))
                    .optional()?;
                let Some((person, used_at)) = found else {
                    return Ok(None);
                };
                if now.saturating_sub(used_at) > NOTED {
                    sql.prepare_cached("UPDATE people_token SET used_at = ?2 WHERE hash = ?1")?
                        .execute((hash, now))?;
                }
                Ok(Some(person))
            })
            .await
    }
}
