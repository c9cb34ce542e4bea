//! The contract: types generated from `wit/`, and the ports over the generated imports. The only
//! module that touches generated names; everything else uses what is exported here.

pub(crate) mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        unsafe_code,
        unused_qualifications,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        clippy::crate_in_macro_def,
        reason = "generated; the documentation is in wit/"
    )]
    wit_bindgen::generate!({
        path: "../wit",
        world: "mail-sync",
        generate_all,
        // There are no constructors to run: to look whether they ran would write a page of memory in each pass.
        disable_run_ctors_once_workaround: true,
        pub_export_macro: true,
        default_bindings_module: "crate::contract::bindings",
        additional_derives: [PartialEq],
        additional_derives_ignore: ["body", "streamed", "request", "response", "ingested-mail"],
    });
}

mod imports;

pub use bindings::{
    exports::twinbox::sync::sync::{Guest, IngestedMail},
    twinbox::sync::{
        crm::CrmError,
        http::{Credential, Denial, FailureKind},
        log::Level,
        messages::{
            Attachment, Authentication, Change as RemoteChange, ChangePage, Contact, Content, Deferral,
            Direction, Disposition, Features, Flags, Message, MessageUpdate, Outbound, OutboundAttachment,
            OutboundKind, OutboundOutcome, Person, PersonOutcome, PutOutcome, Sent, Undelivered,
            UndeliveredKind, UpdateOutcome, WhenLimited,
        },
        oauth::{Granted, OauthError},
        passes::{
            AuditMode, AuditReport, Budget, Connected, Counts, Explanation, OptionalScope, Outcome,
            PluginManifest, PreviewRange, Quarantined, Report, RuleCount, SettingsError, Subject, Trigger,
        },
        quota::{Class, Penalty, QuotaError},
        sharing::{SharingError, Standing},
        storage::{Change, CommitError, Entry, Expectation, Page, StorageError},
        types::{AddressMismatch, Field, Mailbox, Problem, SizeExcess},
    },
};
pub use imports::Imports;
#[cfg(target_family = "wasm")]
pub(crate) use imports::whole;

/// Exports a type that implements [`Guest`] as the component's `sync` interface.
#[cfg(target_family = "wasm")]
#[allow(clippy::crate_in_macro_def, reason = "used in this crate alone")]
macro_rules! export {
    ($component:ident) => {
        #[allow(
            unsafe_code,
            reason = "generated: the component model's calling convention"
        )]
        const _: () = {
    crate::contract::bindings::export!($component with_types_in crate::contract::bindings);
        };
    };
}
#[cfg(target_family = "wasm")]
pub(crate) use export;
