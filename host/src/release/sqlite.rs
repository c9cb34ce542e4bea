//! The choice, the chosen components and what shadow passes showed, in SQLite. A component lies in the
//! database as it came and is checked against its digest when it is loaded.

use bytes::Bytes;
use rusqlite::{Connection as Sql, OptionalExtension};

use super::{Choice, ReleaseError, ShadowSummary};
use crate::{sqlite::Database, store::StoreError, trace::Release};

const MIGRATIONS: &[&str] = &["
    CREATE TABLE release_component (
        digest TEXT PRIMARY KEY,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE TABLE release_choice (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        record TEXT NOT NULL
    ) STRICT;
    CREATE TABLE release_shadow (
        digest TEXT PRIMARY KEY,
        record TEXT NOT NULL
    ) STRICT;
"];

/// Which component runs, for whoever works on this database.
#[derive(Clone, Debug)]
pub struct ReleaseStore {
    database: Database,
}

impl ReleaseStore {
    /// The choice in a database that others use as well.
    pub fn new(database: Database) -> Result<Self, StoreError> {
        database.migrate("release", MIGRATIONS)?;
        Ok(Self { database })
    }

    /// What was chosen.
    pub async fn choice(&self) -> Result<Choice, StoreError> {
        self.database.call(|sql| read_choice(sql)).await
    }

    /// Changes the choice and keeps the component that it then names; those that nothing names any more are removed.
    pub(super) async fn change(
        &self,
        component: Option<(Release, Bytes)>,
        change: impl FnOnce(&mut Choice) -> Result<(), ReleaseError> + Send + 'static,
    ) -> Result<Choice, ReleaseError> {
        self.database
            .write(move |sql| {
                let mut choice = read_choice(sql)?;
                change(&mut choice)?;
                if let Some((release, bytes)) = component {
                    sql.execute(
                        "INSERT INTO release_component (digest, bytes) VALUES (?1, ?2)
                         ON CONFLICT (digest) DO NOTHING",
                        (release.digest, &bytes[..]),
                    )?;
                }
                choice.generation += 1;
                let record = serde_json::to_string(&choice).map_err(unreadable)?;
                sql.execute(
                    "INSERT INTO release_choice (id, record) VALUES (1, ?1)
                     ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                    [record],
                )?;
                forget_unnamed(sql, &choice)?;
                Ok(choice)
            })
            .await
    }

    /// A component that was kept.
    pub(super) async fn component(&self, release: &Release) -> Result<Bytes, StoreError> {
        let release = release.clone();
        self.database
            .call(move |sql| {
                let bytes: Option<Vec<u8>> = sql
                    .query_row(
                        "SELECT bytes FROM release_component WHERE digest = ?1",
                        [&release.digest],
                        |row| row.get(0),
                    )
                    .optional()?;
                let bytes = bytes.ok_or_else(|| unreadable(format!("{release} is not there")))?;
                Ok(bytes.into())
            })
            .await
    }

    /// What the shadow passes of a candidate showed.
    pub async fn summary(&self, release: &Release) -> Result<ShadowSummary, StoreError> {
        let digest = release.digest.clone();
        self.database.call(move |sql| read_summary(sql, &digest)).await
    }

    /// Adds what a shadow pass showed.
    pub(super) async fn add(
        &self,
        release: &Release,
        add: impl FnOnce(&mut ShadowSummary) + Send + 'static,
    ) -> Result<(), StoreError> {
        let digest = release.digest.clone();
        self.database
            .write(move |sql| {
                let mut summary = read_summary(sql, &digest)?;
                add(&mut summary);
                let record = serde_json::to_string(&summary).map_err(unreadable)?;
                sql.execute(
                    "INSERT INTO release_shadow (digest, record) VALUES (?1, ?2)
                     ON CONFLICT (digest) DO UPDATE SET record = excluded.record",
                    (digest, record),
                )?;
                Ok(())
            })
            .await
    }

    /// A trial begins anew.
    pub(super) async fn forget_summary(&self, release: &Release) -> Result<(), StoreError> {
        let digest = release.digest.clone();
        self.database
            .write(move |sql| {
                sql.execute("DELETE FROM release_shadow WHERE digest = ?1", [digest])?;
                Ok(())
            })
            .await
    }
}

impl From<rusqlite::Error> for ReleaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

fn read_choice(sql: &Sql) -> Result<Choice, StoreError> {
    let record: Option<String> = sql
        .prepare_cached("SELECT record FROM release_choice WHERE id = 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    match record {
        Some(record) => serde_json::from_str(&record).map_err(unreadable),
        None => Ok(Choice::default()),
    }
}

fn read_summary(sql: &Sql, digest: &str) -> Result<ShadowSummary, StoreError> {
    let record: Option<String> = sql
        .query_row(
            "SELECT record FROM release_shadow WHERE digest = ?1",
            [digest],
            |row| row.get(0),
        )
        .optional()?;
    match record {
        Some(record) => serde_json::from_str(&record).map_err(unreadable),
        None => Ok(ShadowSummary::default()),
    }
}

fn forget_unnamed(sql: &Sql, choice: &Choice) -> rusqlite::Result<()> {
    let named = [
        &choice.current,
        &choice.previous,
        &choice.candidate,
        &choice.configured,
    ];
    let digests: Vec<&str> = named
        .into_iter()
        .flatten()
        .map(|release| release.digest.as_str())
        .collect();
    let mut statement = sql.prepare("SELECT digest FROM release_component")?;
    let kept: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for digest in kept.iter().filter(|digest| !digests.contains(&digest.as_str())) {
        sql.execute("DELETE FROM release_component WHERE digest = ?1", [digest])?;
        sql.execute("DELETE FROM release_shadow WHERE digest = ?1", [digest])?;
    }
    Ok(())
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("a record cannot be read or written: {error}"))
}
