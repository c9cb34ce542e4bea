//! One time for the simulator and the host, which moves when it is told to and when somebody waits.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use twinbox_host::clock::Clock;

/// A clock whose waits are over at once. Clones share one time.
#[derive(Clone, Debug)]
pub struct LeapingClock {
    time: Arc<AtomicI64>,
}

impl LeapingClock {
    /// The host's side of a simulator's manual clock, in ms since the epoch.
    pub fn of(time: Arc<AtomicI64>) -> Self {
        Self { time }
    }

    /// Moves it forward.
    pub fn advance(&self, milliseconds: u64) {
        let step = i64::try_from(milliseconds).expect("less than an age");
        self.time.fetch_add(step, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for LeapingClock {
    fn now(&self) -> u64 {
        u64::try_from(self.time.load(Ordering::SeqCst)).expect("after 1970")
    }

    async fn sleep(&self, milliseconds: u64) {
        self.advance(milliseconds);
        // Whoever waits side by side gets a turn.
        tokio::task::yield_now().await;
    }
}
