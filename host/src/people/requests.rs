//! Requests of programs by their idempotency keys: what was answered is answered again, and nothing is
//! done twice (draft-ietf-httpapi-idempotency-key-header-07). Answers are kept for a day, so that a program
//! may repeat what it got no answer to. A request that was begun and never ended, as when the process died,
//! may have been done: its key stays under way.

use rusqlite::OptionalExtension;

use super::{People, PeopleError, Person};

/// The longest key, in bytes.
pub const LONGEST_KEY: usize = 255;
/// The longest answer that is kept, in bytes.
pub const LONGEST_ANSWER: usize = 256 << 10;
/// How long answers are kept, ms.
const KEPT: u64 = 24 * 3_600_000;
/// Requests that are kept of one person; the oldest answers go first.
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
    /// It was begun, and what became of it is not known, or not yet.
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
                sql.prepare_cached("DELETE FROM people_request WHERE at < ?1 AND status IS NOT NULL")?
                    .execute([now.saturating_sub(KEPT)])?;
                let found = sql
                    .prepare_cached(
                        "SELECT digest, status, media_type, body FROM people_request
                         WHERE tenant = ?1 AND user = ?2 AND key = ?3",
                    )?
                    .query_row((&tenant, &user, &key), |row| {
                        let status: Option<u16> = row.get(1)?;
                        let answer = status.map(|status| {
                            Ok::<_, rusqlite::Error>(Answer {
                                status,
                                media_type: row.get(2)?,
                                body: row.get(3)?,
                            })
                        });
                        Ok((row.get::<_, [u8; 32]>(0)?, answer.transpose()?))
                    })
                    .optional()?;
                match found {
                    Some((before, _)) if before != digest => return Ok(Asked::Otherwise),
                    Some((_, Some(answer))) => return Ok(Asked::Answered(answer)),
                    Some((_, None)) => return Ok(Asked::UnderWay),
                    None => {}
                }
                sql.prepare_cached(
                    "INSERT INTO people_request (tenant, user, key, digest, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((&tenant, &user, &key, digest, now))?;
                sql.prepare_cached(
                    "DELETE FROM people_request WHERE tenant = ?1 AND user = ?2 AND key IN
                     (SELECT key FROM people_request WHERE tenant = ?1 AND user = ?2 ORDER BY status IS NULL DESC, at DESC LIMIT -1 OFFSET ?3)",
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
