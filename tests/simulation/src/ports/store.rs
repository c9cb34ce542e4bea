//! Store and registry in memory, with the guarantees of the real ones, and a watch over what is
//! committed: a lease that was taken over commits nothing, a cursor never goes back.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use twinbox_host::{
    mailbox::normalised,
    scope::ConnectionId,
    store::{
        Change, CommitError, Connection, Entry, Expectation, Lease, Page, Put, Registry, Store, StoreError,
    },
};

use super::Ports;
use crate::{
    plan::{Port, TrapKind},
    world::State,
};

/// The plugin's row that holds the cursor.
const CONNECTION: &str = "connection";

/// All rows and records.
#[derive(Default)]
pub(crate) struct StoreState {
    pub(crate) registry: BTreeMap<ConnectionId, Connection>,
    rows: BTreeMap<ConnectionId, Rows>,
    fences: Fences,
}

/// Whether the store looks at fences. One that does not is a deliberate bug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fences {
    #[default]
    Checked,
    Ignored,
}

#[derive(Default)]
struct Rows {
    entries: BTreeMap<String, (u64, Vec<u8>)>,
    version: u64,
    fence: u64,
    until: Option<u64>,
}

impl Rows {
    fn entry(&self, key: &str) -> Option<Entry> {
        self.entries.get(key).map(|(version, value)| Entry {
            key: key.to_owned(),
            version: *version,
            value: value.clone(),
        })
    }

    fn cursor(&self) -> Option<u64> {
        let (_, row) = self.entries.get(CONNECTION)?;
        serde_json::from_slice::<Value>(row).ok()?["cursor"]
            .as_str()?
            .parse()
            .ok()
    }
}

impl StoreState {
    /// The store no longer looks at fences.
    pub(crate) fn ignore_fences(&mut self) {
        self.fences = Fences::Ignored;
    }

    /// A process that is alone in its folder gives back what the one before it held.
    pub(crate) fn release_all(&mut self) {
        for rows in self.rows.values_mut() {
            rows.until = None;
        }
    }

    /// Somebody else writes the connection's row as it is.
    pub(crate) fn touch(&mut self, of: &ConnectionId) {
        if let Some(rows) = self.rows.get_mut(of) {
            rows.version += 1;
            let version = rows.version;
            if let Some((known, _)) = rows.entries.get_mut(CONNECTION) {
                *known = version;
            }
        }
    }

    /// Keys and values under a prefix.
    pub(crate) fn scan<'s>(
        &'s self,
        of: &ConnectionId,
        prefix: &'s str,
    ) -> impl Iterator<Item = (&'s str, &'s [u8])> {
        let rows = self.rows.get(of).into_iter();
        rows.flat_map(move |rows| {
            rows.entries
                .range(prefix.to_owned()..)
                .take_while(move |(key, _)| key.starts_with(prefix))
                .map(move |(key, (_, value))| (&key[prefix.len()..], value.as_slice()))
        })
    }
}

impl State {
    fn commit(
        &mut self,
        lease: &Lease,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let ignored = self.store.fences == Fences::Ignored;
        let rows = self.store.rows.entry(lease.connection.clone()).or_default();
        let is_held = lease.fence == rows.fence && rows.until.is_some();
        if !is_held && !ignored {
            self.coverage.hit("commit fenced");
            return Err(CommitError::Fenced);
        }
        let stale = expectations
            .iter()
            .any(|expected| rows.entries.get(&expected.key).map(|(version, _)| *version) != expected.version);
        if stale {
            let current = expectations.iter().map(|expected| rows.entry(&expected.key));
            let current = current.collect();
            self.coverage.hit("commit stale");
            return Err(CommitError::Stale(current));
        }
        let before = rows.cursor();
        for change in changes {
            rows.version += 1;
            match &change.value {
                Some(value) => rows
                    .entries
                    .insert(change.key.clone(), (rows.version, value.clone())),
                None => rows.entries.remove(&change.key),
            };
        }
        let after = rows.cursor();
        if !is_held {
            self.violation("lease", format!("a commit of fence {} came through", lease.fence));
        }
        if after < before {
            self.violation("cursor", format!("went back from {before:?} to {after:?}"));
        }
        Ok(())
    }
}

fn unavailable(_: TrapKind) -> StoreError {
    StoreError::Unavailable("simulated".to_owned())
}

#[async_trait]
impl Store for Ports {
    async fn get(&self, of: &ConnectionId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let line = || format!("get {of} {}", short(keys));
        self.world
            .turn(self.host, Port::StoreRead, line, |world| {
                let state = world.lock();
                let rows = state.store.rows.get(of);
                keys.iter().map(|key| rows?.entry(key)).collect()
            })
            .await
            .or_else(unavailable)
    }

    async fn scan(
        &self,
        of: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let line = || format!("scan {of} {prefix}");
        self.world
            .turn(self.host, Port::StoreRead, line, |world| {
                let state = world.lock();
                let Some(rows) = state.store.rows.get(of) else {
                    return Page::default();
                };
                let mut found = rows
                    .entries
                    .range(prefix.to_owned()..)
                    .take_while(|(key, _)| key.starts_with(prefix))
                    .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
                let page = found.by_ref().take(limit as usize);
                let entries = page.filter_map(|(key, _)| rows.entry(key)).collect();
                let more = found.next().is_some();
                Page { entries, more }
            })
            .await
            .or_else(unavailable)
    }

    async fn commit(
        &self,
        lease: &Lease,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let line = || {
            let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
            format!("{} fence {} {}", lease.connection, lease.fence, short(&keys))
        };
        self.world
            .turn(self.host, Port::Commit, line, |world| {
                world.lock().commit(lease, expectations, changes)
            })
            .await
            .or_else(unavailable)?
    }

    async fn acquire(&self, of: &ConnectionId, now: u64, until: u64) -> Result<Option<Lease>, StoreError> {
        let line = || format!("acquire {of}");
        self.world
            .turn(self.host, Port::Lease, line, |world| {
                let mut state = world.lock();
                let rows = state.store.rows.entry(of.clone()).or_default();
                if rows.until.is_some_and(|until| until > now) {
                    state.coverage.hit("lease held by another");
                    return None;
                }
                let was_abandoned = rows.until.is_some();
                rows.fence += 1;
                rows.until = Some(until);
                let fence = rows.fence;
                if was_abandoned {
                    state.wake_stalled();
                }
                Some(Lease {
                    connection: of.clone(),
                    fence,
                })
            })
            .await
            .or_else(unavailable)
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<bool, StoreError> {
        let line = || format!("renew {}", lease.connection);
        self.world
            .turn(self.host, Port::Lease, line, |world| {
                let mut state = world.lock();
                let rows = state.store.rows.entry(lease.connection.clone()).or_default();
                let is_held = rows.fence == lease.fence && rows.until.is_some();
                if is_held {
                    rows.until = Some(until);
                }
                is_held
            })
            .await
            .or_else(unavailable)
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let line = || format!("release {}", lease.connection);
        self.world
            .turn(self.host, Port::Lease, line, |world| {
                let mut state = world.lock();
                let rows = state.store.rows.entry(lease.connection.clone()).or_default();
                if rows.fence == lease.fence {
                    rows.until = None;
                }
            })
            .await
            .or_else(unavailable)
    }
}

#[async_trait]
impl Registry for Ports {
    async fn put(&self, connection: &Connection) -> Result<Put, StoreError> {
        let id = connection.scope.connection.clone();
        let line = || format!("put {id} {:?}", connection.status);
        self.world
            .turn(self.host, Port::Registry, line, |world| {
                let mut state = world.lock();
                let there = state.store.registry.get(&id).map_or(0, |there| there.revision);
                if there != connection.revision {
                    state.coverage.hit("connection changed meanwhile");
                    return Put::Stale;
                }
                let revision = there + 1;
                let written = Connection {
                    revision,
                    ..connection.clone()
                };
                state.store.registry.insert(id.clone(), written);
                Put::Written
            })
            .await
            .or_else(unavailable)
    }

    async fn find(&self, id: &ConnectionId) -> Result<Option<Connection>, StoreError> {
        let line = || format!("find {id}");
        self.world
            .turn(self.host, Port::Registry, line, |world| {
                world.lock().store.registry.get(id).cloned()
            })
            .await
            .or_else(unavailable)
    }

    async fn list(&self) -> Result<Vec<Connection>, StoreError> {
        let line = || "list".to_owned();
        self.world
            .turn(self.host, Port::Registry, line, |world| {
                world.lock().store.registry.values().cloned().collect()
            })
            .await
            .or_else(unavailable)
    }

    async fn of_mailbox(&self, address: &str) -> Result<Vec<Connection>, StoreError> {
        let line = || format!("of mailbox {address}");
        let mailbox = normalised(address);
        self.world
            .turn(self.host, Port::Registry, line, |world| {
                let state = world.lock();
                let all = state.store.registry.values();
                all.filter(|connection| normalised(&connection.address) == mailbox)
                    .cloned()
                    .collect()
            })
            .await
            .or_else(unavailable)
    }
}

/// The first keys and how many there are.
fn short<T: AsRef<str>>(keys: &[T]) -> String {
    let shown: Vec<&str> = keys.iter().take(6).map(AsRef::as_ref).collect();
    format!("{shown:?} of {}", keys.len())
}
