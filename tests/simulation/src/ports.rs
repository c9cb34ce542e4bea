//! The world as a host sees it: each capability trait over [`World::turn`].

use std::sync::Arc;

use async_trait::async_trait;
use twinbox_host::{
    capability::{Line, LogSink},
    clock::Clock,
    scope::Scope,
};

use crate::{plan::Port, world::World};

pub(crate) mod crm;
pub(crate) mod sharing;
pub(crate) mod store;
pub(crate) mod vault;
pub(crate) mod wire;

/// What one host is given of the world. Clones are the same host's.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) world: Arc<World>,
    /// Which host it is.
    pub(crate) host: usize,
}

#[async_trait]
impl Clock for Ports {
    fn now(&self) -> u64 {
        let state = self.world.lock();
        state.now.saturating_add_signed(state.skew[self.host])
    }

    async fn sleep(&self, milliseconds: u64) {
        let line = || format!("{milliseconds} ms");
        self.world
            .turn_after(milliseconds, self.host, Port::Sleep, line, |_| ())
            .await;
    }
}

impl LogSink for Ports {
    fn write(&self, _: &Scope, line: Line) {
        let mut state = self.world.lock();
        let now = state.now;
        state.trace.line(now, || {
            format!("host {} says: {} {:?}", self.host, line.message, line.fields)
        });
    }
}

/// Stands in for a host where a service that all of them share waits: no host's trouble strikes it.
const SERVICE: usize = usize::MAX;

/// The true time, the same for all hosts: what a shared service goes by.
pub(crate) struct TrueTime(pub(crate) Ports);

#[async_trait]
impl Clock for TrueTime {
    fn now(&self) -> u64 {
        self.0.world.lock().now
    }

    async fn sleep(&self, milliseconds: u64) {
        let line = || format!("{milliseconds} ms");
        self.0
            .world
            .turn_after(milliseconds, SERVICE, Port::Sleep, line, |_| ())
            .await;
    }
}
