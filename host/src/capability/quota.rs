//! `quota`: turns at the provider's quota.

use wasmtime::{Result, component::Accessor};

use super::{Context, Imports, taken};
use crate::{
    contract::imports::quota as wit,
    quota::{Class, Penalty, QuotaError},
};

impl wit::Host for Context {
    fn report(&mut self, penalty: wit::Penalty) -> Result<()> {
        let penalty = match penalty {
            wit::Penalty::MailboxUntil(until) => Penalty::MailboxUntil(until),
            wit::Penalty::SendingUntil(until) => Penalty::SendingUntil(until),
            wit::Penalty::ProjectUntil(until) => Penalty::ProjectUntil(until),
            wit::Penalty::Concurrency => Penalty::Concurrency,
        };
        self.capabilities.quota.report(&self.capabilities.scope, penalty);
        Ok(())
    }

    fn in_flight(&mut self) -> Result<u32> {
        Ok(self.capabilities.quota.in_flight(&self.capabilities.scope).max(1))
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Imports {
    async fn acquire(
        accessor: &Accessor<T, Self>,
        units: u32,
        class: wit::Class,
    ) -> Result<Result<(), wit::QuotaError>> {
        let to = taken(accessor);
        let class = match class {
            wit::Class::Send => Class::Send,
            wit::Class::Live => Class::Live,
            wit::Class::Backfill => Class::Backfill,
            wit::Class::Audit => Class::Audit,
        };
        let turn = to.quota.acquire(&to.scope, units, class).await;
        Ok(turn.map_err(|error| match error {
            QuotaError::WaitUntil(until) => wit::QuotaError::WaitUntil(until),
            QuotaError::Refused(why) => wit::QuotaError::Other(why),
        }))
    }
}
