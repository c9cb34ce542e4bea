//! What the provider said about accounts, kept beyond the process and shared with other hosts.
//!
//! Written when something was said, beside the pass; read at the start and every few seconds of use.
//! A host that learns of a penalty late learns it by one request more.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use super::Standing;
use crate::store::StoreError;

/// What was learnt from others is this old at most while turns are taken, ms.
const REFRESH: u64 = 5_000;

/// Keeps what the provider said about accounts.
#[async_trait]
pub trait Penalties: Send + Sync {
    /// Adds what was learnt to what is kept ([`Standing::merged`]), forgets what is over by `now` (ms
    /// since the epoch), and answers everything that holds, whoever learnt it.
    async fn exchange(
        &self,
        learnt: &[(String, Standing)],
        now: u64,
    ) -> Result<Vec<(String, Standing)>, StoreError>;
}

/// What has to be told to the [`Penalties`].
pub(super) struct Memory {
    pub(super) penalties: Arc<dyn Penalties>,
    learnt: Mutex<HashSet<String>>,
    /// One exchange at a time: what an older one answers must not count after a newer one's.
    pub(super) turn: tokio::sync::Mutex<()>,
    exchanged_at: AtomicU64,
}

impl Memory {
    pub(super) fn new(penalties: Arc<dyn Penalties>) -> Self {
        Self {
            penalties,
            learnt: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            exchanged_at: AtomicU64::new(0),
        }
    }

    /// Something was said about this account.
    pub(super) fn learn(&self, accounts: impl IntoIterator<Item = String>) {
        self.learnt().extend(accounts);
    }

    /// Whether something was said that is not kept yet, or is being written just now.
    pub(super) fn is_behind(&self) -> bool {
        !self.learnt().is_empty() || self.turn.try_lock().is_err()
    }

    pub(super) fn take_news(&self) -> Vec<String> {
        self.learnt().drain().collect()
    }

    /// Whether it is time to hear what others learnt; whoever is told so does it.
    pub(super) fn is_stale(&self, now: u64) -> bool {
        let before = self.exchanged_at.load(Ordering::Relaxed);
        now >= before.saturating_add(REFRESH)
            && self
                .exchanged_at
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn learnt(&self) -> MutexGuard<'_, HashSet<String>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
