//! `storage`: the guest's keys, scoped to its connection and fenced by its lease.

use wasmtime::{Result, component::Accessor};

use super::{ANSWER_WITHIN, Context, Imports, taken, within};
use crate::{
    contract::imports::storage as wit,
    store::{Change, CommitError, Entry, Expectation, StoreError},
};

/// The most keys of a get, entries of a scan, changes and bytes of a commit (`wit/storage.wit`).
const KEYS: usize = 1_000;
const ENTRIES: u32 = 1_000;
const CHANGES: usize = 4_000;
const COMMIT_BYTES: usize = 8 << 20;
const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 1 << 20;

impl wit::Host for Context {}

impl<T: Send + 'static> wit::HostWithStore<T> for Imports {
    async fn get(
        accessor: &Accessor<T, Self>,
        keys: Vec<String>,
    ) -> Result<Result<Vec<Option<wit::Entry>>, wit::StorageError>> {
        let to = taken(accessor);
        if let Some(over) = over(keys.len(), KEYS).or_else(|| long(&keys)) {
            return Ok(Err(wit::StorageError::OverLimit(over)));
        }
        let entries = to.store.get(&to.scope.connection, &keys);
        let entries = within(ANSWER_WITHIN, late, entries).await;
        Ok(entries
            .map(|all| all.into_iter().map(|held| held.map(entry)).collect())
            .map_err(error))
    }

    async fn scan(
        accessor: &Accessor<T, Self>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Result<wit::Page, wit::StorageError>> {
        let to = taken(accessor);
        let page = to.store.scan(
            &to.scope.connection,
            &prefix,
            after.as_deref(),
            limit.min(ENTRIES),
        );
        let page = within(ANSWER_WITHIN, late, page).await;
        Ok(page
            .map(|page| wit::Page {
                entries: page.entries.into_iter().map(entry).collect(),
                more: page.more,
            })
            .map_err(error))
    }

    async fn commit(
        accessor: &Accessor<T, Self>,
        expectations: Vec<wit::Expectation>,
        changes: Vec<wit::Change>,
    ) -> Result<Result<(), wit::CommitError>> {
        let to = taken(accessor);
        if let Some(over) = excess(&expectations, &changes) {
            return Ok(Err(wit::CommitError::OverLimit(over)));
        }
        let expectations: Vec<_> = expectations
            .into_iter()
            .map(|wit::Expectation { key, version }| Expectation { key, version })
            .collect();
        let changes: Vec<_> = changes
            .into_iter()
            .map(|wit::Change { key, value }| Change { key, value })
            .collect();
        let commit = to.store.commit(&to.lease, &expectations, &changes);
        let commit = within(ANSWER_WITHIN, || CommitError::Store(late()), commit).await;
        Ok(commit.map_err(|error| match error {
            CommitError::Stale(held) => {
                wit::CommitError::Stale(held.into_iter().map(|held| held.map(entry)).collect())
            }
            CommitError::Fenced => wit::CommitError::Fenced,
            CommitError::Store(StoreError::OverLimit(which)) => wit::CommitError::OverLimit(which),
            CommitError::Store(StoreError::Unavailable(why)) => wit::CommitError::Unavailable(why),
        }))
    }
}

pub(super) fn late() -> StoreError {
    StoreError::Unavailable("no answer in time".into())
}

fn entry(entry: Entry) -> wit::Entry {
    wit::Entry {
        key: entry.key,
        version: entry.version,
        value: entry.value,
    }
}

fn error(error: StoreError) -> wit::StorageError {
    match error {
        StoreError::OverLimit(which) => wit::StorageError::OverLimit(which),
        StoreError::Unavailable(why) => wit::StorageError::Unavailable(why),
    }
}

fn excess(expectations: &[wit::Expectation], changes: &[wit::Change]) -> Option<String> {
    let value = |change: &wit::Change| change.value.as_ref().map_or(0, Vec::len);
    let bytes: usize = changes
        .iter()
        .map(|change| change.key.len() + value(change))
        .sum();
    if bytes > COMMIT_BYTES {
        return Some(format!("{bytes} bytes in one commit"));
    }
    over(expectations.len(), CHANGES)
        .or_else(|| over(changes.len(), CHANGES))
        .or_else(|| long(expectations.iter().map(|expectation| &expectation.key)))
        .or_else(|| long(changes.iter().map(|change| &change.key)))
        .or_else(|| {
            let large = changes.iter().find(|change| value(change) > VALUE_BYTES)?;
            Some(large.key.clone())
        })
}

fn over(number: usize, most: usize) -> Option<String> {
    (number > most).then(|| format!("{number} at once"))
}

fn long<'a>(keys: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let key = keys
        .into_iter()
        .find(|key| key.is_empty() || key.len() > KEY_BYTES)?;
    Some(key.chars().take(64).collect())
}
