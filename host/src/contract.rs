//! The contract's types and bindings, generated from `wit/`. The only module that touches them:
//! everything else uses the names exported here.
//!
//! Two generations, because records derive serde's traits and what carries a stream cannot. What a
//! component exports is listed by hand ([`Exports`]): the generated bindings look all of it up and check
//! all its types for each instance, where a pass needs one function.

use std::marker::PhantomData;

use wasmtime::{
    AsContextMut,
    component::{Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc},
};

mod records {
    #![allow(missing_docs, reason = "generated; the documentation is in wit/")]
    #![allow(clippy::pedantic, clippy::unwrap_used, reason = "generated")]
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package twinbox:records;
            world records {
                import twinbox:sync/types@0.2.0;
                import twinbox:sync/messages@0.2.0;
                import twinbox:sync/passes@0.2.0;
            }
        ",
        world: "twinbox:records/records",
        additional_derives: [PartialEq, serde::Deserialize, serde::Serialize],
    });
}

pub(crate) mod world {
    #![allow(missing_docs, reason = "generated; the documentation is in wit/")]
    #![allow(clippy::pedantic, clippy::unwrap_used, reason = "generated")]
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "twinbox:sync/mail-sync",
        include_component_type: true,
        imports: { default: trappable },
        // All through an accessor, so that every call is made the same way.
        exports: { default: async | store },
        with: {
            "twinbox:sync/types": super::records::twinbox::sync::types,
            "twinbox:sync/messages": super::records::twinbox::sync::messages,
            "twinbox:sync/passes": super::records::twinbox::sync::passes,
        },
    });
}

pub(crate) use records::twinbox::sync as types_only;
pub use records::twinbox::sync::{
    messages::{
        Attachment, Authentication, Change, ChangePage, Contact, Content, Deferral, Direction, Disposition,
        Features, Flags, Message, MessageUpdate, Outbound, OutboundAttachment, OutboundKind, OutboundOutcome,
        Person, PersonOutcome, PutOutcome, Sent, Undelivered, UndeliveredKind, UpdateOutcome, WhenLimited,
    },
    passes::{
        AuditMode, AuditReport, Budget, Connected, Counts, Explanation, OptionalScope, Outcome,
        PluginManifest, PreviewRange, Quarantined, Report, RuleCount, SettingsError, Subject, Trigger,
    },
    types::{AddressMismatch, Field, Mailbox, Problem, SizeExcess},
};
pub(crate) use world::{MailSync, exports::twinbox::sync::sync::IngestedMail, twinbox::sync as imports};

/// The contract, encoded: changes when it does.
pub(crate) const WORLD: &[u8] = world::COMPONENT_TYPE;

/// Where a component's functions are, and their types.
pub(crate) struct Exports {
    pub(crate) manifest: Export<(), PluginManifest>,
    pub(crate) validate_settings: Export<(String,), Result<(), Vec<SettingsError>>>,
    pub(crate) connect: Export<(Option<String>, String), Result<Connected, Problem>>,
    pub(crate) run: Export<(Trigger, String), Report>,
    pub(crate) ingest: Export<(IngestedMail, String), Result<Outcome, Problem>>,
    pub(crate) audit: Export<(AuditMode, String), Result<AuditReport, Problem>>,
    pub(crate) explain: Export<(Subject, String), Result<Vec<Explanation>, Problem>>,
    pub(crate) disconnect: Export<(), Result<(), Problem>>,
}

impl Exports {
    const INTERFACE: &str = "twinbox:sync/sync@0.2.0";

    /// Looks all of them up, by name; fails when one is absent.
    pub(crate) fn of(component: &Component) -> wasmtime::Result<Self> {
        let interface = component
            .get_export_index(None, Self::INTERFACE)
            .ok_or_else(|| wasmtime::format_err!("it does not export {}", Self::INTERFACE))?;
        let named = |name: &str| {
            component
                .get_export_index(Some(&interface), name)
                .ok_or_else(|| wasmtime::format_err!("{} has no {name}", Self::INTERFACE))
        };
        Ok(Self {
            manifest: Export::at(named("manifest")?),
            validate_settings: Export::at(named("validate-settings")?),
            connect: Export::at(named("connect")?),
            run: Export::at(named("run")?),
            ingest: Export::at(named("ingest")?),
            audit: Export::at(named("audit")?),
            explain: Export::at(named("explain")?),
            disconnect: Export::at(named("disconnect")?),
        })
    }

    /// Checks the types of all of them: a component that is not of this contract is found when it is
    /// loaded, not when a pass needs the function that differs.
    pub(crate) fn check(&self, mut store: impl AsContextMut, instance: Instance) -> wasmtime::Result<()> {
        self.manifest.of(&mut store, instance)?;
        self.validate_settings.of(&mut store, instance)?;
        self.connect.of(&mut store, instance)?;
        self.run.of(&mut store, instance)?;
        self.ingest.of(&mut store, instance)?;
        self.audit.of(&mut store, instance)?;
        self.explain.of(&mut store, instance)?;
        self.disconnect.of(&mut store, instance)?;
        Ok(())
    }
}

/// A function that a component exports: where it is, what it takes, what it answers.
pub(crate) struct Export<P, R> {
    index: ComponentExportIndex,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> Export<P, R>
where
    P: ComponentNamedList + Lower,
    (R,): ComponentNamedList + Lift,
{
    fn at(index: ComponentExportIndex) -> Self {
        Self {
            index,
            types: PhantomData,
        }
    }

    /// The function in an instance, its type checked.
    pub(crate) fn of(
        &self,
        store: impl AsContextMut,
        instance: Instance,
    ) -> wasmtime::Result<TypedFunc<P, (R,)>> {
        instance.get_typed_func(store, self.index)
    }
}
