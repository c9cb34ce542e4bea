//! T04: a 404 of history.list re-anchors and closes the gap by date, without duplicates, without
//! looping.

use serde::{Deserialize, Serialize};

/// Searches lag behind writes: a gap is listed once more after so long, in milliseconds.
const SETTLE: u64 = 10 * 60_000;
/// First wait after an anchor that was expired as soon as it was given, in milliseconds.
const FIRST_WAIT: u64 = 60_000;
/// Longest wait, in milliseconds.
const LONGEST_WAIT: u64 = 3_600_000;
/// How much earlier than the connection's anchor the listing starts, in milliseconds: dates of a search
/// are whole seconds. What is too old is kept out by S04 all the same.
const OVERLAP: u64 = 600_000;

/// A gap that has to be closed by listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When the new anchor was taken, ms since the epoch.
    pub anchored_at: u64,
    /// Anchors that expired one after the other.
    pub expired: u32,
    /// When everything listed was accounted for, if it was.
    pub closed_at: Option<u64>,
}

impl Gap {
    /// A gap found now; one that was open already counts.
    pub fn found(before: Option<Self>, now: u64) -> Self {
        Self {
            anchored_at: now,
            expired: before.map_or(0, |gap| gap.expired) + 1,
            closed_at: None,
        }
    }

    /// Whether to list the mailbox now: until it is closed, and once more when searches have settled.
    pub fn needs_listing(&self, now: u64) -> bool {
        self.closed_at.is_none() || now >= self.anchored_at + SETTLE
    }

    /// The gap after a complete listing: gone when searches had settled.
    pub fn listed(self, now: u64) -> Option<Self> {
        (now < self.anchored_at + SETTLE).then_some(Self {
            closed_at: Some(now),
            ..self
        })
    }

    /// When to try again if the anchor itself has expired: ever later, never in a loop. The listing by
    /// date goes on meanwhile.
    pub fn retry_at(&self, now: u64) -> u64 {
        now + (FIRST_WAIT << self.expired.saturating_sub(1).min(6)).min(LONGEST_WAIT)
    }

    /// When to list again.
    pub fn settles_at(&self) -> u64 {
        self.anchored_at + SETTLE
    }
}

/// Where the listing starts, in seconds since the epoch, for a connection made at `since` (ms).
pub fn list_after(since: u64) -> u64 {
    since.saturating_sub(OVERLAP) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t04_a_gap_is_listed_now_and_once_more_when_searches_have_settled() {
        let gap = Gap::found(None, 1_000);
        assert!(gap.needs_listing(1_000));
        let listed = gap.listed(2_000).unwrap();
        assert!(!listed.needs_listing(2_000));
        assert!(listed.needs_listing(gap.settles_at()));
        assert_eq!(listed.listed(gap.settles_at()), None);
    }

    #[test]
    fn t04_an_anchor_that_expires_at_once_is_tried_ever_later() {
        let first = Gap::found(None, 0);
        let second = Gap::found(Some(first), 0);
        assert_eq!(first.retry_at(0), FIRST_WAIT);
        assert_eq!(second.retry_at(0), 2 * FIRST_WAIT);
        let tenth = (0..9).fold(first, |gap, _| Gap::found(Some(gap), 0));
        assert_eq!(tenth.retry_at(0), LONGEST_WAIT);
    }
}
