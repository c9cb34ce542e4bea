//! What was taken in the last minute.

use std::collections::VecDeque;

use super::Class;

/// The provider's sliding minute, and a second for requests that arrive later than their turn, ms.
const MINUTE: u64 = 61_000;
/// Turns are counted together for so long, ms.
const SLOT: u64 = 500;

/// What was taken in the last minute. The provider counts by a sliding minute, so a bucket that
/// refills while it is used would let nearly twice a minute's units through in one.
pub(super) struct Window {
    rate: u64,
    /// When each slot ends, ms since the epoch, and what was taken in it, oldest first.
    slots: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Window {
    pub(super) fn new(rate: u64) -> Self {
        Self {
            rate,
            slots: VecDeque::new(),
            sum: 0,
        }
    }

    /// When `units` can be taken, with the class's reserve left behind.
    pub(super) fn ready_at(&mut self, units: u64, class: Class, now: u64) -> u64 {
        self.forget(now);
        let most = usable(self.rate, class);
        let fits = |sum: u64| units == 0 || sum.saturating_add(units) <= most;
        if fits(self.sum) {
            return now;
        }
        let mut left = self.sum;
        for (end, taken) in &self.slots {
            left -= taken;
            if fits(left) {
                return end + MINUTE;
            }
        }
        now + MINUTE
    }

    /// What was taken in the minute before.
    pub(super) fn taken(&mut self, now: u64) -> u64 {
        self.forget(now);
        self.sum
    }

    /// What was taken longer ago counts no more.
    fn forget(&mut self, now: u64) {
        while let Some(&(end, taken)) = self.slots.front()
            && end + MINUTE <= now
        {
            self.slots.pop_front();
            self.sum -= taken;
        }
    }

    pub(super) fn take(&mut self, units: u64, now: u64) {
        let end = (now / SLOT + 1) * SLOT;
        match self.slots.back_mut() {
            Some((last, taken)) if *last >= end => *taken += units,
            _ => self.slots.push_back((end, units)),
        }
        self.sum += units;
    }
}

/// What of a minute's units a class may take.
pub(super) fn usable(rate: u64, class: Class) -> u64 {
    rate - rate / 100 * class.reserve()
}
