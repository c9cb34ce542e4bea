//! `clock`: the only time the guest has.

use wasmtime::{Result, component::Accessor};

use super::{Context, Imports, taken};
use crate::contract::imports::clock::{Host, HostWithStore};

impl Host for Context {
    fn now(&mut self) -> Result<u64> {
        self.latest = self.latest.max(self.capabilities.clock.now());
        Ok(self.latest)
    }
}

impl<T: Send + 'static> HostWithStore<T> for Imports {
    async fn sleep(accessor: &Accessor<T, Self>, milliseconds: u64) -> Result<()> {
        taken(accessor).clock.sleep(milliseconds).await;
        Ok(())
    }
}
