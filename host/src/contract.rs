//! The contract's types and bindings, generated from `wit/`. The only module that touches them:
//! everything else uses the names exported here.
//!
//! Two generations, because records derive serde's traits and what carries a stream cannot.

mod records {
    #![allow(missing_docs, reason = "generated; the documentation is in wit/")]
    #![allow(clippy::pedantic, clippy::unwrap_used, reason = "generated")]
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package twinbox:records;
            world records {
                import twinbox:sync/types@0.1.0;
                import twinbox:sync/messages@0.1.0;
                import twinbox:sync/passes@0.1.0;
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
        PutOutcome, Sent, UpdateOutcome, WhenLimited,
    },
    passes::{
        AuditMode, AuditReport, Budget, Connected, Counts, Explanation, Outcome, PluginManifest, Quarantined,
        Report, RuleCount, SettingsError, Subject, Trigger,
    },
    types::{AddressMismatch, Field, Mailbox, Problem, SizeExcess},
};
pub(crate) use world::{MailSync, MailSyncPre, exports, twinbox::sync as imports};
