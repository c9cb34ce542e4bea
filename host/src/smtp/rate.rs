//! How much mail one address may get: a flood at one is slowed down, and nobody else notices.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// Keys kept at once; the fullest bucket is the least to be missed.
const MOST_KEYS: usize = 10_000;

/// So much at once, and so much a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// At once.
    pub(super) burst: u32,
    /// A minute, from then on.
    pub(super) per_minute: u32,
}

/// A bucket for each key.
pub(super) struct Buckets<K> {
    rate: Rate,
    /// What is left, in 1/60,000 of a token, and when that was, ms since the epoch.
    left: Mutex<HashMap<K, (u64, u64)>>,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            left: Mutex::default(),
        }
    }

    /// Takes one token; `false` if there is none. `now` in ms since the epoch.
    pub(super) fn take(&self, key: &K, now: u64) -> bool {
        let full = u64::from(self.rate.burst) * 60_000;
        let mut buckets = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_KEYS && !buckets.contains_key(key) {
            let fullest = buckets.iter().max_by_key(|(_, (left, _))| *left);
            if let Some(fullest) = fullest.map(|(key, _)| key.clone()) {
                buckets.remove(&fullest);
            }
        }
        let (left, at) = buckets.entry(key.clone()).or_insert((full, now));
        let gained = now
            .saturating_sub(*at)
            .saturating_mul(self.rate.per_minute.into());
        *left = left.saturating_add(gained).min(full);
        *at = now.max(*at);
        let enough = *left >= 60_000;
        if enough {
            *left -= 60_000;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_slowed_down_and_others_are_not() {
        let buckets = Buckets::new(Rate {
            burst: 3,
            per_minute: 6,
        });
        let taken = (0..10).filter(|_| buckets.take(&"a", 1_000)).count();
        assert_eq!(taken, 3);
        assert!(buckets.take(&"b", 1_000));
        assert!(!buckets.take(&"a", 10_999));
        assert!(buckets.take(&"a", 11_000));
        assert!(!buckets.take(&"a", 11_000));
    }
}
