//! Requests of programs by their idempotency keys: what was answered is answered again, and nothing is
//! done twice (draft-ietf-httpapi-idempotency-key-header-07). Kept for a day, so that a program may repeat
//! what it got no answer to.

use rusqlite::OptionalExtension;

use super::{People, PeopleError, Person};

/// The longest key, in bytes.
pub const LONGEST_KEY: usize = 255;
/// The longest answer that is kept, in bytes.
pub const LONGEST_ANSWER: usize = 256 << 10;
/// How long answers are kept, ms.
const KEPT: u64 = 24 * 3_600_000;
/// After so long a request without an answer is taken for dead, ms.
const UNDER_WAY: u64 = 120_000;
/// Answers that are kept for one person; the oldest go.
const REQUESTS: u32 = 10_000;

/// An answer, to be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type; empty without a body.
    pub media_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: the request is to be done, and its answer told.
    Never,
    /// It is being done.
    UnderWay,
    /// Another request had this key.
    Otherwise,
    /// It was done.
    Answered(Answer),
}

impl People {
    /// Begins a request; `digest` is what it asks for.
    pub async fn begin_request(
        &self,
        person: &Person,
        key: &str,
        digest: [u8; 32],
    ) -> Result<Asked, PeopleError> {
        let (tenant, user) = owner(person);
        let (key, now) = (key.to_owned(), self.clock.now());
        self.database
            .write(move |sql| {
                sql.prepare_cached("DELETE FROM people_request WHERE at < ?1")?
                    .execute([now.saturating_sub(KEPT)])?;
                let found = sql
                    .prepare_cached(
                        "SELECT digest, at, status, media_type, body FROM people_request
                         WHERE tenant = ?1 AND user = ?2 AND key = ?3",
                    )?
                    .query_row((&tenant, &user, &key), |row| {
                        let status: Option<u16> = row.get(2)?;
                        let answer = status.map(|status| {
                            Ok::<_, rusqlite::Error>(Answer {
                                status,
                                media_type: row.get(3)?,
                                body: row.get(4)?,
                            })
                        });
                        Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, u64>(1)?, answer.transpose()?))
                    })
                    .optional()?;
                match found {
                    Some((before, ..)) if before != digest => return Ok(Asked::Otherwise),
                    Some((_, _, Some(answer))) => return Ok(Asked::Answered(answer)),
                    Some((_, at, None)) if now.saturating_sub(at) < UNDER_WAY => return Ok(Asked::UnderWay),
                    _ => {}
                }
                sql.prepare_cached(
                    "INSERT OR REPLACE INTO people_request (tenant, user, key, digest, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((&tenant, &user, &key, digest, now))?;
                sql.prepare_cached(
                    "DELETE FROM people_request WHERE tenant = ?1 AND user = ?2 AND key IN
                     (SELECT key FROM people_request WHERE tenant = ?1 AND user = ?2 ORDER BY at DESC LIMIT -1 OFFSET ?3)",
                )?
                .execute((&tenant, &user, REQUESTS))?;
                Ok(Asked::Never)
            })
            .await
    }

    /// Keeps what a request was answered; `None` forgets it, so that it can be tried again.
    pub async fn end_request(
        &self,
        person: &Person,
        key: &str,
        answer: Option<Answer>,
    ) -> Result<(), PeopleError> {
        let (tenant, user) = owner(person);
        let key = key.to_owned();
        self.database
            .write(move |sql| {
                match answer {
                    Some(answer) => sql
                        .prepare_cached(
                            "UPDATE people_request SET status = ?4, media_type = ?5, body = ?6
                             WHERE tenant = ?1 AND user = ?2 AND key = ?3",
                        )?
                        .execute((tenant, user, key, answer.status, answer.media_type, answer.body))?,
                    None => sql
                        .prepare_cached(
                            "DELETE FROM people_request WHERE tenant = ?1 AND user = ?2 AND key = ?3",
                        )?
                        .execute((tenant, user, key))?,
                };
                Ok(())
            })
            .await
    }
}

fn owner(person: &Person) -> (String, String) {
    (person.tenant.as_str().to_owned(), person.user.as_str().to_owned())
}
