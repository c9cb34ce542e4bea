//! What was met: how often each kind of trouble struck, over any number of worlds.

use std::collections::BTreeMap;

use gmail_sim::FaultKind;

use crate::{
    plan::{Port, TrapKind, is_reachable},
    world::is_possible,
};

/// What happens beside faults and traps.
const EVENTS: [&str; 43] = [
    "BCC copy came after the mailbox's",
    "BCC copy came alone",
    "BCC copy came first",
    "BCC copy came twice",
    "BCC copy met a pass",
    "BCC copy of an ended connection",
    "BCC copy put off",
    "BCC copy refused",
    "CRM outage",
    "Gmail outage",
    "access tokens expired",
    "address changed",
    "audit at the end",
    "audit beside everything else",
    "bulk mail at the mailbox",
    "changed in the CRM",
    "clock jumped",
    "contact claimed",
    "contact claimed in vain",
    "contact free again",
    "contact released",
    "commit fenced",
    "commit stale",
    "connection changed meanwhile",
    "consent for another account than the mailbox",
    "consent for another mailbox than asked for",
    "consent without a box",
    "conversation made private or open",
    "explained",
    "grant gone",
    "grant kept for another tenant",
    "grant revoked",
    "grant withdrawn",
    "history expired",
    "host died with a BCC copy",
    "lease held by another",
    "lists changed",
    "mailbox blocked",
    "notice in a thread of its own",
    "notice in the thread of its message",
    "push",
    "recipient shown as not reached",
    "taken out of a CRM",
];

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

    /// Whether a host stood still for longer than its lease.
    pub(crate) fn has_stalled(&self) -> bool {
        self.counts.keys().any(|name| name.starts_with("stall at "))
    }

    /// Whether something may have been done twice, or by one who did not know what was done.
    pub(crate) fn has_repeated(&self) -> bool {
        let repeats = |name: &String| {
            name.starts_with("crash ")
                || name.starts_with("stall at ")
                || name.ends_with(" fails after effect")
                || name.ends_with(" outcome unknown")
        };
        self.counts.keys().any(repeats)
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

/// Everything that can go wrong in a world, by the names under which it is counted.
pub fn everything() -> Vec<String> {
    let faults = FaultKind::ALL.iter().filter(|kind| is_reachable(kind));
    let faults = faults.map(|kind| format!("Gmail: {}", kind.name()));
    let traps = TrapKind::ALL.into_iter().flat_map(|kind| {
        let possible = Port::ALL.into_iter().filter(move |port| is_possible(kind, *port));
        possible.map(move |port| trap_name(kind, port))
    });
    let events = EVENTS.into_iter().map(str::to_owned);
    faults.chain(traps).chain(events).collect()
}

/// Faults of the simulator that nothing in a world can meet yet, because nothing asks for what they strike.
pub fn out_of_reach() -> Vec<&'static str> {
    let faults = FaultKind::ALL.iter().filter(|kind| !is_reachable(kind));
    faults.map(|kind| kind.name()).collect()
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
