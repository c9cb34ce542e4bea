//! Taking the place of a sealing key while it is in use.
//!
//! 1. The file of keys gets a new one. Every process sees it before it seals again, or when it meets
//!    what the new key has sealed.
//! 2. What the older keys have sealed is sealed anew, in small transactions beside everybody else's.
//! 3. One transaction seals anew what is left and notes that the older keys are retired. Whoever seals
//!    does so within the transaction that writes, and looks there: after this nothing can be sealed with
//!    an older key, however long ago its process has read the file.
//! 4. The file loses the older keys.
//!
//! What ends between two steps is carried on by the next call: a file of several keys is a rotation
//! that is not over.

use std::{collections::BTreeMap, fs::File, fs::TryLockError, io, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rusqlite::Connection as Sql;

use super::{
    KeyError, KeyRing, VaultError,
    rows::{self, ACCESS, FLOW, REFRESH},
    seal::KeyId,
};
use crate::sqlite::Database;

/// Rows of one transaction.
const BATCH: u32 = 50;

/// A rotation that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The key that seals.
    pub current: KeyId,
    /// The keys that open nothing any more.
    pub retired: Vec<KeyId>,
    /// Whether it began with this call, or was carried on.
    pub begun: Begun,
    /// What became of what was sealed.
    pub anew: SealedAnew,
}

/// When a rotation began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// With this call.
    Now,
    /// With an earlier one, which was interrupted.
    Earlier,
}

/// What became of what older keys had sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealedAnew {
    /// Values that were sealed anew.
    pub values: u64,
    /// Values that none of the keys opens: they were of no use before.
    pub unreadable: u64,
}

/// Why keys were not rotated. To call again carries on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The keys are not kept in a file.
    #[error("the sealing keys are not kept in a file")]
    NotInAFile,
    /// Another process rotates them.
    #[error("another rotation is under way")]
    UnderWay,
    /// The file cannot be read or written.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database did not answer.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// What is sealed in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedValues {
    /// Grants.
    pub grants: u64,
    /// Consents under way.
    pub flows: u64,
    /// Values by the key they are sealed with.
    pub by_key: BTreeMap<KeyId, u64>,
}

/// Lets a new key take the place of those in the ring's file, or carries on where an earlier call was
/// interrupted. Vaults of this and other processes may be in use meanwhile.
pub async fn rotate_keys(database: &Database, keys: &KeyRing) -> Result<Rotation, RotateError> {
    let file = keys.file().ok_or(RotateError::NotInAFile)?;
    let _alone = lock(file)?;
    let before = KeyRing::keys_of_file(file)?;
    let begun = if before.ids().count() == 1 {
        keys.add(file)?;
        Begun::Now
    } else {
        keys.reread();
        Begun::Earlier
    };
    let now = KeyRing::keys_of_file(file)?;
    let retired: Vec<KeyId> = now.ids().skip(1).collect();
    let anew = seal_anew(database, keys).await?;
    keys.remove(file, &retired)?;
    Ok(Rotation {
        current: now.current(),
        retired,
        begun,
        anew,
    })
}

/// Seals anew with the ring's newest key what the older ones have sealed, and retires those: from then
/// on they open nothing.
pub async fn seal_anew(database: &Database, keys: &KeyRing) -> Result<SealedAnew, VaultError> {
    rows::migrate(database)?;
    let mut values = 0;
    let (mut grants, mut flows) = (Some(String::new()), Some(Vec::new()));
    while grants.is_some() || flows.is_some() {
        let (after_grant, after_flow, keys) = (grants.take(), flows.take(), keys.clone());
        let done = database
            .write(move |sql| -> Result<_, VaultError> {
                let mut anew = SealedAnew::default();
                let current = keys.keys().current();
                let grants = match after_grant {
                    Some(after) => grants_anew(sql, &keys, current, &after, BATCH, &mut anew)?,
                    None => None,
                };
                let flows = match after_flow {
                    Some(after) => flows_anew(sql, &keys, current, &after, BATCH, &mut anew)?,
                    None => None,
                };
                Ok((anew.values, grants, flows))
            })
            .await?;
        values += done.0;
        (grants, flows) = (done.1, done.2);
    }
    let keys = keys.clone();
    database
        .write(move |sql| {
            let mut anew = SealedAnew {
                values,
                unreadable: 0,
            };
            let in_use = keys.keys();
            grants_anew(sql, &keys, in_use.current(), "", u32::MAX, &mut anew)?;
            flows_anew(sql, &keys, in_use.current(), &[], u32::MAX, &mut anew)?;
            for older in in_use.ids().skip(1) {
                rows::retire(sql, older)?;
            }
            Ok(anew)
        })
        .await
}

/// What is sealed, and with which keys.
pub async fn sealed_values(database: &Database) -> Result<SealedValues, VaultError> {
    rows::migrate(database)?;
    database
        .call(|sql| {
            let mut sealed = SealedValues::default();
            let mut statement = sql.prepare("SELECT access, refresh FROM vault_grant")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                sealed.grants += 1;
                sealed.count(&row.get::<_, Vec<u8>>(0)?);
                sealed.count(&row.get::<_, Vec<u8>>(1)?);
            }
            let mut statement = sql.prepare("SELECT secret FROM vault_flow")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                sealed.flows += 1;
                sealed.count(&row.get::<_, Vec<u8>>(0)?);
            }
            Ok(sealed)
        })
        .await
}

impl SealedValues {
    fn count(&mut self, sealed: &[u8]) {
        if let Some(key) = KeyId::of(sealed) {
            *self.by_key.entry(key).or_default() += 1;
        }
    }
}

/// Seals anew the tokens of so many grants behind a connection's; the last one's connection, if there
/// may be more.
fn grants_anew(
    sql: &Sql,
    keys: &KeyRing,
    current: KeyId,
    after: &str,
    limit: u32,
    anew: &mut SealedAnew,
) -> Result<Option<String>, VaultError> {
    let grants: Vec<(String, Vec<u8>, Vec<u8>)> = sql
        .prepare_cached(
            "SELECT connection, access, refresh FROM vault_grant
             WHERE connection > ?1 AND length(refresh) > 0
                 AND (substr(access, 2, 8) <> ?2 OR substr(refresh, 2, 8) <> ?2)
             ORDER BY connection LIMIT ?3",
        )?
        .query_map((after, current.as_bytes(), limit), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    for (connection, access, refresh) in &grants {
        let access = one_anew(sql, keys, connection, ACCESS, access, anew)?;
        let refresh = one_anew(sql, keys, connection, REFRESH, refresh, anew)?;
        sql.prepare_cached(
            "UPDATE vault_grant SET access = coalesce(?2, access), refresh = coalesce(?3, refresh)
             WHERE connection = ?1",
        )?
        .execute((connection, access, refresh))?;
    }
    Ok(grants.into_iter().next_back().map(|(connection, ..)| connection))
}

/// The same for flows.
fn flows_anew(
    sql: &Sql,
    keys: &KeyRing,
    current: KeyId,
    after: &[u8],
    limit: u32,
    anew: &mut SealedAnew,
) -> Result<Option<Vec<u8>>, VaultError> {
    let flows: Vec<(Vec<u8>, Vec<u8>)> = sql
        .prepare_cached(
            "SELECT state, secret FROM vault_flow WHERE state > ?1 AND substr(secret, 2, 8) <> ?2
             ORDER BY state LIMIT ?3",
        )?
        .query_map((after, current.as_bytes(), limit), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    for (state, secret) in &flows {
        let owner = URL_SAFE_NO_PAD.encode(state);
        if let Some(secret) = one_anew(sql, keys, &owner, FLOW, secret, anew)? {
            sql.prepare_cached("UPDATE vault_flow SET secret = ?2 WHERE state = ?1")?
                .execute((state, secret))?;
        }
    }
    Ok(flows.into_iter().next_back().map(|(state, _)| state))
}

/// A value sealed anew; `None` if none of the keys opens it, as before.
fn one_anew(
    sql: &Sql,
    keys: &KeyRing,
    owner: &str,
    purpose: &str,
    sealed: &[u8],
    anew: &mut SealedAnew,
) -> Result<Option<Vec<u8>>, VaultError> {
    let Ok(secret) = keys.open_sealed(owner, purpose, sealed) else {
        anew.unreadable += 1;
        return Ok(None);
    };
    anew.values += 1;
    rows::seal(sql, keys, owner, purpose, &secret).map(Some)
}

/// One rotation at a time: the system gives the lock back when the process ends, however it ends.
fn lock(file: &Path) -> Result<File, RotateError> {
    let failed = |error: io::Error| RotateError::Key(error.into());
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(file.with_extension("lock"))
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(RotateError::UnderWay),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
