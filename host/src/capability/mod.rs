//! What a pass may use: one thin file per WIT import over the host's traits.
//!
//! A host function copies what it needs out of the store in one short closure and then works without
//! it: the store is never held across an await. Whom a call is for comes from [`Capabilities`],
//! which the host made; nothing a guest says can name another tenant (S33).

use std::{sync::Arc, time::Duration};

use wasmtime::component::{Accessor, HasData};

use crate::{
    clock::Clock,
    contract::types_only,
    crm::Crm,
    egress::{Http, RequestBudget},
    quota::Quota,
    random::Random,
    scope::Scope,
    sharing::Sharing,
    store::{Lease, Store},
    vault::Vault,
};

mod clock;
mod crm;
pub mod denying;
mod gate;
mod http;
mod log;
mod oauth;
mod pipe;
mod quota;
mod random;
pub mod recording;
mod replaying;
mod sharing;
mod storage;

pub use denying::Denying;
pub(crate) use gate::{Released, drive};
pub use log::{Line, LogSink, Severity, TracingLog};
pub(crate) use pipe::Producer;
pub use recording::{RECORDED_BYTES, Recorder, Recording, TooLarge};
pub use replaying::Replaying;

/// How long storage, sharing and the vault may take to answer a guest.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long the CRM may take, attachments included.
const CRM_WITHIN: Duration = Duration::from_mins(2);

/// Everything one pass may use, and on whose behalf.
#[derive(Clone)]
pub struct Capabilities {
    /// Whom the pass is for.
    pub scope: Scope,
    /// The right to write.
    pub lease: Lease,
    /// The guest's keys.
    pub store: Arc<dyn Store>,
    /// Grants and tokens.
    pub vault: Arc<dyn Vault>,
    /// The CRM.
    pub crm: Arc<dyn Crm>,
    /// Turns at the provider's quota.
    pub quota: Arc<dyn Quota>,
    /// Claims on contacts.
    pub sharing: Arc<dyn Sharing>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// The way out; an [`Outlet`](crate::egress::Outlet) in service.
    pub http: Arc<dyn Http>,
    /// Where the guest's lines go.
    pub log: Arc<dyn LogSink>,
}

impl Capabilities {
    /// All capabilities refuse, until they are replaced.
    pub fn denying(scope: Scope, lease: Lease) -> Self {
        let denying = Arc::new(Denying);
        Self {
            scope,
            lease,
            store: denying.clone(),
            vault: denying.clone(),
            crm: denying.clone(),
            quota: denying.clone(),
            sharing: denying.clone(),
            clock: denying.clone(),
            random: denying.clone(),
            http: denying.clone(),
            log: denying,
        }
    }

    /// The same capabilities, each writing down what it is asked and what it answers.
    #[must_use]
    pub fn recorded(self, recorder: &Arc<Recorder>) -> Self {
        Self {
            store: Arc::new(Recording::new(self.store, recorder)),
            vault: Arc::new(Recording::new(self.vault, recorder)),
            crm: Arc::new(Recording::new(self.crm, recorder)),
            quota: Arc::new(Recording::new(self.quota, recorder)),
            sharing: Arc::new(Recording::new(self.sharing, recorder)),
            clock: Arc::new(Recording::new(self.clock, recorder)),
            random: Arc::new(Recording::new(self.random, recorder)),
            http: Arc::new(Recording::new(self.http, recorder)),
            log: Arc::new(Recording::new(self.log, recorder)),
            ..self
        }
    }
}

/// One pass's share of the capabilities, inside the store.
pub(crate) struct Context {
    capabilities: Arc<Capabilities>,
    requests: Arc<RequestBudget>,
    lines: log::Allowance,
    latest: u64,
    over: pipe::Over,
}

impl Context {
    pub(crate) fn new(capabilities: Capabilities, requests: Arc<RequestBudget>) -> Self {
        Self {
            capabilities: Arc::new(capabilities),
            requests,
            lines: log::Allowance::default(),
            latest: 0,
            over: pipe::Over::default(),
        }
    }

    /// Tells streams that are still read from outside whether the pass came to its end.
    pub(crate) fn over(&self) -> pipe::Over {
        self.over.clone()
    }
}

// Interfaces of types alone have no functions; the linker asks for them all the same.
impl types_only::types::Host for Context {}
impl types_only::messages::Host for Context {}
impl types_only::passes::Host for Context {}

/// What host functions see of the store's data.
pub(crate) struct Imports;

impl HasData for Imports {
    type Data<'a> = &'a mut Context;
}

/// The capabilities, out of the store.
fn taken<T: Send + 'static>(accessor: &Accessor<T, Imports>) -> Arc<Capabilities> {
    accessor.with(|mut access| access.get().capabilities.clone())
}

/// The answer, or `late` when it does not come in time.
async fn within<T, E>(
    limit: Duration,
    late: impl FnOnce() -> E,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(late()),
    }
}
