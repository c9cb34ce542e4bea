//! The recorded rows, which the component's commits change.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::store::{Change, CommitError, Entry, Expectation, Page};

/// What is known of one row.
pub(super) enum Row {
    /// It is there.
    Held(Entry),
    /// It is not there.
    Absent,
    /// The recording does not say.
    Unknown,
}

/// What is known of the rows.
#[derive(Default)]
pub(super) struct Rows {
    /// Rows that are known, and keys that are known to have none.
    known: BTreeMap<String, Option<Entry>>,
    /// Keys that the recorded pass wrote: what it read of them later was its own.
    written: HashSet<String>,
    /// Prefixes of which all rows were read.
    scanned: Vec<String>,
    version: u64,
}

impl Rows {
    /// Takes over what an answer says about the rows as they were before the pass.
    pub(super) fn learn(&mut self, function: &str, arguments: &Value, result: &Value) {
        match function {
            "storage.get" => {
                let keys: Vec<String> = from(&arguments["keys"]);
                let entries: Vec<Option<Entry>> = from(&result["ok"]);
                for (key, entry) in keys.into_iter().zip(entries) {
                    self.was(key, entry);
                }
            }
            "storage.scan" => {
                let page: Page = from(&result["ok"]);
                if result.get("ok").is_some() && !page.more && arguments["after"].is_null() {
                    self.scanned.push(from(&arguments["prefix"]));
                }
                for entry in page.entries {
                    self.was(entry.key.clone(), Some(entry));
                }
            }
            "storage.commit" => self.learn_commit(arguments, result),
            _ => {}
        }
    }

    fn learn_commit(&mut self, arguments: &Value, result: &Value) {
        let expectations: Vec<Expectation> = from(&arguments["expectations"]);
        if let Some(stale) = result.pointer("/error/stale") {
            let held: Vec<Option<Entry>> = from(stale);
            for (expectation, entry) in expectations.into_iter().zip(held) {
                self.was(expectation.key, entry);
            }
            return;
        }
        if result.get("ok").is_none() {
            return;
        }
        for expectation in expectations {
            if expectation.version.is_none() {
                self.was(expectation.key, None);
            }
        }
        let changes: Vec<Change> = from(&arguments["changes"]);
        self.written.extend(changes.into_iter().map(|change| change.key));
    }

    fn was(&mut self, key: String, entry: Option<Entry>) {
        let version = entry.as_ref().map_or(0, |entry| entry.version);
        self.version = self.version.max(version);
        if !self.written.contains(&key) {
            self.known.entry(key).or_insert(entry);
        }
    }

    /// The row now.
    pub(super) fn get(&self, key: &str) -> Row {
        match self.known.get(key) {
            Some(Some(entry)) => Row::Held(entry.clone()),
            Some(None) => Row::Absent,
            None if self.scanned.iter().any(|prefix| key.starts_with(prefix)) => Row::Absent,
            None => Row::Unknown,
        }
    }

    /// Takes over what was read for real.
    pub(super) fn read(&mut self, key: String, entry: Option<Entry>) {
        self.known.entry(key).or_insert(entry);
    }

    /// Whether the recorded pass wrote this key.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.written.contains(key)
    }

    /// Whether all rows with this prefix are known.
    pub(super) fn is_scanned(&self, prefix: &str) -> bool {
        self.scanned
            .iter()
            .any(|scanned| prefix.starts_with(scanned.as_str()))
    }

    /// The rows that are known, in order.
    pub(super) fn scan(&self, prefix: &str, after: Option<&str>) -> Vec<Entry> {
        self.known
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .filter_map(|(_, entry)| entry.clone())
            .collect()
    }

    /// Writes to the copy, if the expectations hold as far as is known.
    pub(super) fn commit(
        &mut self,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let holds = |expectation: &Expectation| match self.known.get(&expectation.key) {
            Some(held) => held.as_ref().map(|entry| entry.version) == expectation.version,
            None => true,
        };
        if !expectations.iter().all(holds) {
            let held = expectations
                .iter()
                .map(|expectation| self.known.get(&expectation.key).cloned().flatten());
            return Err(CommitError::Stale(held.collect()));
        }
        for change in changes {
            self.version += 1;
            let entry = change.value.as_ref().map(|value| Entry {
                key: change.key.clone(),
                version: self.version,
                value: value.clone(),
            });
            self.known.insert(change.key.clone(), entry);
        }
        Ok(())
    }
}

fn from<T: serde::de::DeserializeOwned + Default>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}
