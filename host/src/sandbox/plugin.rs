//! A component that was loaded.

use std::sync::Arc;

use super::{Limits, LoadError, Pass, Sandbox, pass::Guest};
use crate::{
    capability::Capabilities,
    contract::{MailSyncPre, PluginManifest},
    scope::{ConnectionId, Scope, TenantId, UserId},
    store::Lease,
};

/// A component, compiled and linked, that says what it is. Makes passes.
pub struct Plugin {
    sandbox: Arc<Sandbox>,
    pre: MailSyncPre<Guest>,
    manifest: PluginManifest,
    digest: String,
}

impl Plugin {
    /// Asks the component what it is, once.
    pub(super) async fn read(
        sandbox: Arc<Sandbox>,
        pre: MailSyncPre<Guest>,
        digest: String,
    ) -> Result<Self, LoadError> {
        let pass = Pass::new(sandbox.clone(), pre.clone(), nobody(), Limits::default());
        let manifest = pass.manifest().await.result?;
        Ok(Self {
            sandbox,
            pre,
            manifest,
            digest,
        })
    }

    /// What the component says it is and needs.
    pub fn manifest(&self) -> &PluginManifest {
        &self.manifest
    }

    /// SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The interfaces it imports.
    pub fn imports(&self) -> Vec<String> {
        let kind = self.pre.instance_pre().component().component_type();
        kind.imports(self.pre.engine())
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// One pass with these capabilities, within these limits and the manifest's own budget.
    pub fn pass(&self, capabilities: Capabilities, limits: Limits) -> Pass {
        let limits = limits.capped_by(&self.manifest.budget);
        Pass::new(self.sandbox.clone(), self.pre.clone(), capabilities, limits)
    }

    /// A pass that may do nothing, for what needs no connection: `validate-settings`.
    pub fn idle_pass(&self) -> Pass {
        self.pass(nobody(), Limits::default())
    }
}

/// On nobody's behalf.
fn nobody() -> Capabilities {
    let connection = ConnectionId::new("");
    let scope = Scope {
        tenant: TenantId::new(""),
        user: UserId::new(""),
        connection: connection.clone(),
        account: String::new(),
    };
    Capabilities::denying(scope, Lease { connection, fence: 0 })
}
