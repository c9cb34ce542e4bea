//! What came, counted, for whoever shows metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Refusal;

/// What has come since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushCounts {
    /// Notifications that asked for passes.
    pub accepted: u64,
    /// Notifications that came again, or after a newer one.
    pub repeated: u64,
    /// Notifications for mailboxes that nobody has connected, or not any more.
    pub unknown_mailbox: u64,
    /// Proved to come from our subscription, and not to be read.
    pub unreadable: u64,
    /// The store, or the keys that prove a sender, could not be had: Pub/Sub delivers again.
    pub unavailable: u64,
    /// Requests that did not prove their sender, by reason ([`Refusal::reason`]).
    pub refused: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) unknown_mailbox: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) unavailable: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub(super) fn refused(&self, refusal: Refusal) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(refusal.reason()).or_default() += 1;
    }

    pub(super) fn read(&self) -> PushCounts {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        PushCounts {
            accepted: value(&self.accepted),
            repeated: value(&self.repeated),
            unknown_mailbox: value(&self.unknown_mailbox),
            unreadable: value(&self.unreadable),
            unavailable: value(&self.unavailable),
            refused: refused.clone(),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
