//! Signing in with a password, and the sessions that come of it.

use std::time::Duration;

use rusqlite::OptionalExtension;
use secrecy::SecretString;

use super::{
    People, PeopleError, Person, TEXT_LIMIT, digest, fold,
    persons::{COLUMNS, person},
    secret,
};

/// A session ends after so long without a request.
pub const IDLE: Duration = Duration::from_hours(12);
/// A session ends after so long, whatever happens.
pub const LIFETIME: Duration = Duration::from_hours(30 * 24);
/// How often a session's last request is noted, ms.
const NOTED: u64 = 60_000;
/// Sessions of one person; the oldest goes.
const SESSIONS: u32 = 50;

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Nobody has this login and this password.
    #[error("the login or the password is wrong")]
    Wrong,
    /// There were too many tries; when the next is looked at, ms since the epoch.
    #[error("there were too many tries")]
    Wait(u64),
    /// It could not be looked at.
    #[error(transparent)]
    Failed(#[from] PeopleError),
}

impl People {
    /// Lets a person in: who they are, and the secret of a new session, which is told only here.
    pub async fn sign_in(
        &self,
        login: &str,
        password: SecretString,
    ) -> Result<(Person, String), SignInError> {
        let person = self.proved(login, password).await?;
        let (secret, login, now) = (secret(), person.login.clone(), self.clock.now());
        let hash = digest(&secret);
        self.database
            .write(move |sql| {
                sql.execute(
                    "DELETE FROM people_session WHERE created_at < ?1 OR seen_at < ?2",
                    (earliest(now, LIFETIME), earliest(now, IDLE)),
                )?;
                sql.execute(
                    "DELETE FROM people_session WHERE hash IN (SELECT hash FROM people_session
                     WHERE login = ?1 ORDER BY created_at DESC LIMIT -1 OFFSET ?2)",
                    (&login, SESSIONS - 1),
                )?;
                sql.execute(
                    "INSERT INTO people_session (hash, login, created_at, seen_at) VALUES (?1, ?2, ?3, ?3)",
                    (hash, &login, now),
                )?;
                Ok::<_, PeopleError>(())
            })
            .await?;
        Ok((person, secret))
    }

    /// Who has this login and this password. Tries are counted ([`SignInError::Wait`]).
    pub async fn proved(&self, login: &str, password: SecretString) -> Result<Person, SignInError> {
        let login = fold(login);
        if login.is_empty() || login.len() > TEXT_LIMIT {
            return Err(SignInError::Wrong);
        }
        let entered = self.throttle.enter(&login, self.clock.now());
        entered.map_err(SignInError::Wait)?;
        let wanted = login.clone();
        let found = self
            .database
            .call(move |sql| {
                let query =
                    format!("SELECT {COLUMNS}, password FROM people_person AS person WHERE login = ?1");
                let mut statement = sql.prepare_cached(&query)?;
                let found = statement
                    .query_row([wanted], |row| Ok((person(row)?, row.get::<_, String>(6)?)))
                    .optional()?;
                Ok::<_, PeopleError>(found)
            })
            .await?;
        let (person, hash) = found.unzip();
        match (person, self.matches(password, hash).await?) {
            (Some(person), true) => {
                self.throttle.passed(&login);
                Ok(person)
            }
            _ => Err(SignInError::Wrong),
        }
    }

    /// Whose session this is, if it has not ended.
    pub async fn session(&self, secret: &str) -> Result<Option<Person>, PeopleError> {
        let (hash, now) = (digest(secret), self.clock.now());
        self.database
            .call(move |sql| {
                let query = format!(
                    "SELECT {COLUMNS}, seen_at FROM people_session JOIN people_person AS person USING (login)
                     WHERE hash = ?1 AND people_session.created_at >= ?2 AND seen_at >= ?3"
                );
                let found = sql
                    .prepare_cached(&query)?
                    .query_row((hash, earliest(now, LIFETIME), earliest(now, IDLE)), |row| {
                        Ok((person(row)?, row.get::<_, u64>(6)?))
                    })
                    .optional()?;
                let Some((person, seen_at)) = found else {
                    return Ok(None);
                };
                if now.saturating_sub(seen_at) > NOTED {
                    sql.prepare_cached("UPDATE people_session SET seen_at = ?2 WHERE hash = ?1")?
                        .execute((hash, now))?;
                }
                Ok(Some(person))
            })
            .await
    }

    /// Ends a session. Idempotent.
    pub async fn sign_out(&self, secret: &str) -> Result<(), PeopleError> {
        let hash = digest(secret);
        self.database
            .write(move |sql| {
                sql.execute("DELETE FROM people_session WHERE hash = ?1", [hash])?;
                Ok(())
            })
            .await
    }
}

/// When something must have happened to be no longer ago than this, ms since the epoch.
fn earliest(now: u64, ago: Duration) -> u64 {
    now.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
}
