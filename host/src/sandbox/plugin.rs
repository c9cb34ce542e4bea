//! A component that was loaded.

use std::sync::Arc;

use super::{Limits, Pass, PassError, Sandbox, cache::Known, pass::Program};
use crate::{
    capability::Capabilities,
    contract::PluginManifest,
    scope::{ConnectionId, Scope, TenantId, UserId},
    store::Lease,
};

/// A component, compiled and linked, that says what it is. Makes passes.
pub struct Plugin {
    sandbox: Arc<Sandbox>,
    program: Arc<Program>,
    known: Known,
}

impl Plugin {
    pub(super) fn new(sandbox: Arc<Sandbox>, program: Arc<Program>, known: Known) -> Self {
        Self {
            sandbox,
            program,
            known,
        }
    }

    /// Asks a component what it is.
    pub(super) async fn ask(
        sandbox: &Arc<Sandbox>,
        program: &Arc<Program>,
    ) -> Result<PluginManifest, PassError> {
        let pass = Pass::new(sandbox.clone(), program.clone(), nobody(), Limits::default());
        pass.manifest().await.result
    }

    /// What the component says it is and needs.
    pub fn manifest(&self) -> &PluginManifest {
        &self.known.manifest
    }

    /// SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.known.digest
    }

    /// The interfaces it imports.
    pub fn imports(&self) -> Vec<String> {
        let kind = self.program.pre.component().component_type();
        kind.imports(self.sandbox.engine())
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// One pass with these capabilities, within these limits and the manifest's own budget.
    pub fn pass(&self, capabilities: Capabilities, limits: Limits) -> Pass {
        let limits = limits.capped_by(&self.known.manifest.budget);
        Pass::new(self.sandbox.clone(), self.program.clone(), capabilities, limits)
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
