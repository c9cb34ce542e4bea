//! Penalties in SQLite: all processes with the same database share them.

use async_trait::async_trait;
use rusqlite::{Connection as Sql, Row};

use super::{Penalties, Standing};
use crate::{sqlite::Database, store::StoreError};

/// Accounts that are kept at most; those whose penalties end first are forgotten.
const MOST: u32 = 10_000;

const MIGRATIONS: &[&str] = &["
    CREATE TABLE quota_standing (
        account TEXT PRIMARY KEY,
        until INTEGER NOT NULL,
        sending_until INTEGER NOT NULL,
        in_flight INTEGER NOT NULL,
        narrowed_at INTEGER NOT NULL,
        ends_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX quota_standing_by_end ON quota_standing (ends_at);
"];

/// Penalties in SQLite.
#[derive(Clone, Debug)]
pub struct SqlitePenalties {
    database: Database,
}

impl SqlitePenalties {
    /// Penalties in a database that others use as well.
    pub fn new(database: Database) -> Result<Self, StoreError> {
        database.migrate("quota", MIGRATIONS)?;
        Ok(Self { database })
    }
}

#[async_trait]
impl Penalties for SqlitePenalties {
    async fn exchange(
        &self,
        learnt: &[(String, Standing)],
        now: u64,
    ) -> Result<Vec<(String, Standing)>, StoreError> {
        let learnt = learnt.to_vec();
        if learnt.is_empty() {
            return self.database.call(move |sql| standing(sql, now)).await;
        }
        self.database
            .write(move |sql| {
                for (account, said) in learnt {
                    add(sql, &account, said)?;
                }
                forget(sql, now)?;
                standing(sql, now)
            })
            .await
    }
}

fn add(sql: &Sql, account: &str, said: Standing) -> Result<(), StoreError> {
    let known = sql
        .prepare_cached(
            "SELECT account, until, sending_until, in_flight, narrowed_at FROM quota_standing WHERE account = ?1",
        )?
        .query_map([account], read)?
        .next()
        .transpose()?;
    let merged = known.map_or(said, |(_, known)| known.merged(said));
    sql.prepare_cached(
        "INSERT OR REPLACE INTO quota_standing (account, until, sending_until, in_flight, narrowed_at, ends_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        account,
        merged.until,
        merged.sending_until,
        merged.in_flight,
        merged.narrowed_at,
        merged.ends_at(),
    ))?;
    Ok(())
}

fn forget(sql: &Sql, now: u64) -> Result<(), StoreError> {
    sql.prepare_cached("DELETE FROM quota_standing WHERE ends_at <= ?1")?
        .execute([now])?;
    sql.prepare_cached(
        "DELETE FROM quota_standing WHERE account IN
         (SELECT account FROM quota_standing ORDER BY ends_at DESC LIMIT -1 OFFSET ?1)",
    )?
    .execute([MOST])?;
    Ok(())
}

fn standing(sql: &Sql, now: u64) -> Result<Vec<(String, Standing)>, StoreError> {
    let mut statement = sql.prepare_cached(
        "SELECT account, until, sending_until, in_flight, narrowed_at FROM quota_standing
         WHERE ends_at > ?1 ORDER BY ends_at DESC LIMIT ?2",
    )?;
    let rows = statement.query_map((now, MOST), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(String, Standing)> {
    let standing = Standing {
        until: row.get(1)?,
        sending_until: row.get(2)?,
        in_flight: row.get(3)?,
        narrowed_at: row.get(4)?,
    };
    Ok((row.get(0)?, standing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn penalties() -> SqlitePenalties {
        SqlitePenalties::new(Database::in_memory().unwrap()).unwrap()
    }

    fn until(until: u64) -> Standing {
        Standing {
            until,
            ..Standing::default()
        }
    }

    #[tokio::test]
    async fn what_is_over_is_forgotten_and_the_rest_is_there_for_everybody() {
        let penalties = penalties();
        let learnt = [("a".into(), until(1_000)), ("b".into(), until(9_000))];
        penalties.exchange(&learnt, 0).await.unwrap();
        let standing = penalties.clone().exchange(&[], 1_000).await.unwrap();
        assert_eq!(standing, [("b".to_owned(), until(9_000))]);
        penalties
            .exchange(&[("c".into(), until(9_500))], 1_000)
            .await
            .unwrap();
        let rows: rusqlite::Result<u32> = penalties
            .database
            .call(|sql| sql.query_row("SELECT count(*) FROM quota_standing", [], |row| row.get(0)))
            .await;
        assert_eq!(rows.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_shorter_word_does_not_undo_a_longer_one() {
        let penalties = penalties();
        penalties
            .exchange(&[("a".into(), until(9_000))], 0)
            .await
            .unwrap();
        let sending = Standing {
            sending_until: 5_000,
            ..until(2_000)
        };
        let standing = penalties.exchange(&[("a".into(), sending)], 0).await.unwrap();
        let both = Standing {
            sending_until: 5_000,
            ..until(9_000)
        };
        assert_eq!(standing, [("a".to_owned(), both)]);
    }

    #[tokio::test]
    async fn no_more_accounts_are_kept_than_fit() {
        let penalties = penalties();
        let learnt: Vec<_> = (0..u64::from(MOST) + 50)
            .map(|n| (format!("{n}"), until(1_000 + n)))
            .collect();
        penalties.exchange(&learnt, 0).await.unwrap();
        let standing = penalties.exchange(&[("x".into(), until(1))], 0).await.unwrap();
        assert_eq!(standing.len(), MOST as usize);
        assert_eq!(standing[0].0, format!("{}", MOST + 49));
    }
}
