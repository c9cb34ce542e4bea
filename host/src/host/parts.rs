//! What a host is made of.

use std::sync::Arc;

use async_trait::async_trait;

use super::HostError;
use crate::{
    audit::{AuditLog, MemoryAudits},
    capability::{LogSink, TooLarge, TracingLog},
    clock::{Clock, SystemClock},
    crm::Crm,
    egress::{Egress, Grants},
    quota::{Quota, Unmetered},
    random::{Random, SystemRandom},
    release::Plugins,
    sandbox::{Limits, Plugin},
    sharing::{Sharing, Solo},
    smtp::BccAddresses,
    store::{Registry, Store},
    trace::{Call, Trace},
    vault::Vault,
};

/// What a host is made of. The parts without a default are the embedder's to choose.
pub struct Parts {
    /// The component, and which takes over from it.
    pub plugins: Arc<Plugins>,
    /// The guests' keys.
    pub store: Arc<dyn Store>,
    /// The connections.
    pub registry: Arc<dyn Registry>,
    /// Grants and tokens.
    pub vault: Arc<dyn Vault>,
    /// The CRM.
    pub crm: Arc<dyn Crm>,
    /// The way out.
    pub egress: Arc<Egress>,
    /// Turns at the provider's quota.
    pub quota: Arc<dyn Quota>,
    /// What audits found.
    pub audits: Arc<dyn AuditLog>,
    /// The connections' BCC addresses, if there are any (S18).
    pub bcc_addresses: Option<BccAddresses>,
    /// Claims on contacts.
    pub sharing: Arc<dyn Sharing>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Where the guests' lines go.
    pub log: Arc<dyn LogSink>,
    /// Who is given the traces of passes, if anybody.
    pub witness: Option<Arc<dyn Witness>>,
    /// What a pass may use.
    pub limits: Limits,
    /// What the tenants grant; the manifest's own origins unless told otherwise.
    pub tenant_grants: Grants,
}

impl Parts {
    /// The given parts, and the defaults for the rest: no quota but the provider's own, one tenant per
    /// mailbox, the machine's clock and randomness, the process's log; what audits found is forgotten with
    /// the process.
    pub fn new(
        plugin: Arc<Plugin>,
        state: &(impl Store + Registry + Clone + 'static),
        vault: Arc<dyn Vault>,
        crm: Arc<dyn Crm>,
        egress: Arc<Egress>,
    ) -> Result<Self, HostError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tenant_grants = Grants::parse(&plugin.manifest().origins)
            .map_err(|error| HostError::Manifest(error.to_string()))?;
        Ok(Self {
            plugins: Plugins::fixed(plugin),
            store: Arc::new(state.clone()),
            registry: Arc::new(state.clone()),
            vault,
            crm,
            egress,
            quota: Arc::new(Unmetered::new(clock.clone())),
            audits: Arc::new(MemoryAudits::default()),
            bcc_addresses: None,
            sharing: Arc::new(Solo),
            clock,
            random: Arc::new(SystemRandom),
            log: Arc::new(TracingLog),
            witness: None,
            limits: Limits::default(),
            tenant_grants,
        })
    }
}

/// Is given the traces of passes.
#[async_trait]
pub trait Witness: Send + Sync {
    /// Whether a pass with this call is recorded; then the most bytes of its recording.
    fn wants(&self, call: &Call) -> Option<usize>;

    /// A pass has ended. Its connection is free again; whoever called for the pass waits for this.
    async fn saw(&self, trace: Result<&Trace, TooLarge>);
}
