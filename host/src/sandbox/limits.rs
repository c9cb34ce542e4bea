//! What a pass may use, what it did use, and who stops it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wasmtime::{CallHook, ResourceLimiter, Result};

use super::Refusal;
use crate::contract::Budget;

/// What one pass may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Linear memory, all memories together, bytes.
    pub memory: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Time inside the guest.
    pub cpu: Duration,
    /// Time in all.
    pub wall: Duration,
    /// HTTP requests.
    pub requests: u32,
    /// Bytes that one call may pass from the guest to the host.
    pub call_data: usize,
    /// Handles (streams, futures, tasks) at the same time.
    pub handles: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            table_elements: 20_000,
            cpu: Duration::from_secs(30),
            wall: Duration::from_mins(10),
            requests: 10_000,
            // Twice the largest inline body.
            call_data: 128 << 20,
            handles: 10_000,
        }
    }
}

impl Limits {
    /// These limits, or what a manifest asks for where that is less.
    #[must_use]
    pub fn capped_by(self, budget: &Budget) -> Self {
        Self {
            memory: self
                .memory
                .min(usize::try_from(budget.memory).unwrap_or(usize::MAX)),
            cpu: self.cpu.min(Duration::from_millis(budget.cpu)),
            wall: self.wall.min(Duration::from_millis(budget.wall)),
            requests: self.requests.min(budget.requests),
            ..self
        }
    }
}

/// What a pass did use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most linear memory at any time, all memories together, bytes.
    pub guest_peak_bytes: usize,
    /// Time inside the guest.
    pub cpu: Duration,
    /// Time in all, the wait for a turn not counted.
    pub wall: Duration,
    /// HTTP requests.
    pub requests: u32,
}

/// Counts memory over all memories of a store: wasmtime's own limits count each for itself.
#[derive(Debug)]
pub(super) struct Limiter {
    memory: usize,
    table_elements: usize,
    memory_used: usize,
    table_used: usize,
    /// What the growth under way adds, taken back if it fails.
    memory_asked: usize,
    table_asked: usize,
    pub(super) peak: usize,
}

impl Limiter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            memory: limits.memory,
            table_elements: limits.table_elements,
            memory_used: 0,
            table_used: 0,
            memory_asked: 0,
            table_asked: 0,
            peak: 0,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.memory_asked = 0;
            return Ok(false);
        }
        let asked = desired.saturating_sub(current);
        let used = self.memory_used.saturating_add(asked);
        if used > self.memory {
            // A trap rather than a failed growth: guests abort on either, and this one says why.
            return Err(Refusal::Memory.into());
        }
        self.memory_used = used;
        self.memory_asked = asked;
        self.peak = self.peak.max(used);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        self.memory_used -= std::mem::take(&mut self.memory_asked).min(self.memory_used);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.table_asked = 0;
            return Ok(false);
        }
        let asked = desired.saturating_sub(current);
        let used = self.table_used.saturating_add(asked);
        if used > self.table_elements {
            return Err(Refusal::Table.into());
        }
        self.table_used = used;
        self.table_asked = asked;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        self.table_used -= std::mem::take(&mut self.table_asked).min(self.table_used);
        Ok(())
    }
}

/// Runs while the guest runs and stands still while the host works or everybody waits; knows too how long the pass
/// has taken in all.
#[derive(Debug)]
pub(super) struct Stopwatch {
    began: Instant,
    wall: Duration,
    cpu: Duration,
    spent: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    pub(super) fn new(limits: &Limits, began: Instant) -> Self {
        Self {
            began,
            wall: limits.wall,
            cpu: limits.cpu,
            spent: Duration::ZERO,
            since: None,
        }
    }

    /// Time inside the guest so far.
    pub(super) fn spent(&self) -> Duration {
        self.spent + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(super) fn crossing(&mut self, hook: CallHook) {
        self.spent = self.spent();
        self.since = hook.exiting_host().then(Instant::now);
    }

    /// Stops a guest that computes. One that waits is stopped by a timer, which sees the others only when the
    /// executor next looks at its timers: with a guest on each of its threads that can be many ticks later.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.spent() > self.cpu {
            return Err(Refusal::CpuTime);
        }
        if self.began.elapsed() > self.wall {
            return Err(Refusal::WallClock);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory: usize) -> Limiter {
        Limiter::new(&Limits {
            memory,
            ..Limits::default()
        })
    }

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        let error = limiter.memory_growing(0, 60, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Refusal::Memory));
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert_eq!(limiter.peak, 100);
    }

    #[test]
    fn a_growth_that_fails_is_given_back() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(limiter.memory_growing(0, 100, None).unwrap());
    }

    #[test]
    fn a_growth_over_the_memorys_own_maximum_takes_nothing() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(60, 90, Some(80)).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(limiter.memory_growing(0, 40, None).unwrap());
    }
}
