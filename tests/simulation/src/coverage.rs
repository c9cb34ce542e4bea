//! What was met: how often each kind of trouble struck, over any number of worlds.

use std::collections::BTreeMap;

use crate::plan::{Port, TrapKind};

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<String, u64>,
}

impl Coverage {
    /// Counts something.
    pub(crate) fn hit(&mut self, name: &str) {
        self.add(name, 1);
    }

    /// Counts something that happened so often.
    pub(crate) fn add(&mut self, name: &str, number: u64) {
        match self.counts.get_mut(name) {
            Some(count) => *count += number,
            None => {
                self.counts.insert(name.to_owned(), number);
            }
        }
    }

    pub(crate) fn hit_trap(&mut self, kind: TrapKind, port: Port) {
        self.hit(&trap_name(kind, port));
    }

    /// Adds what another world met.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            self.add(name, *count);
        }
    }

    /// How often something was met.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// All counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

/// The name under which a trap is counted.
pub(crate) fn trap_name(kind: TrapKind, port: Port) -> String {
    match kind {
        TrapKind::CrashBefore => format!("crash before {port:?}"),
        TrapKind::CrashAfter => format!("crash after {port:?}"),
        TrapKind::Stall => format!("stall at {port:?}"),
        TrapKind::FailBefore => format!("{port:?} fails before effect"),
        TrapKind::FailAfter => format!("{port:?} fails after effect"),
        TrapKind::CrmLimited => format!("{port:?} rate-limited"),
        TrapKind::CrmUnknown => format!("{port:?} outcome unknown"),
    }
}
