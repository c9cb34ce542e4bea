//! Time, injected: expiry, leases and waits are tested without waiting, and a simulated world runs on
//! virtual time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use tokio::sync::watch;

/// Tells the time and waits.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, in milliseconds since the Unix epoch, UTC.
    fn now(&self) -> u64;

    /// Waits so many milliseconds.
    async fn sleep(&self, milliseconds: u64);
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep(&self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// A clock that stands still until it is moved. Clones share one time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: Arc<watch::Sender<u64>>,
}

impl ManualClock {
    /// A clock that shows `now`, in milliseconds since the Unix epoch.
    pub fn at(now: u64) -> Self {
        Self {
            time: Arc::new(watch::Sender::new(now)),
        }
    }

    /// Moves it forward and wakes whoever has waited long enough.
    pub fn advance(&self, milliseconds: u64) {
        self.time
            .send_modify(|now| *now = now.saturating_add(milliseconds));
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> u64 {
        *self.time.borrow()
    }

    async fn sleep(&self, milliseconds: u64) {
        let mut time = self.time.subscribe();
        let until = time.borrow().saturating_add(milliseconds);
        // `self` holds the sender, so the channel cannot close while this waits.
        let _ = time.wait_for(|now| *now >= until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_a_sleeper_when_its_time_has_come() {
        let clock = ManualClock::at(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(500).await;
                clock.now()
            }
        });
        tokio::task::yield_now().await;
        clock.advance(499);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(1);
        assert_eq!(sleeper.await.unwrap(), 1_500);
    }
}
