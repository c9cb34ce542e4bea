//! A pass, written down so that it can be run again without a network, a clock or a CRM (T05).
//!
//! A [`Trace`] holds what the guest asked and what it was given, in one order: a replay that keeps this
//! order gives the guest the same pass, since nothing else reaches it. `docs/trace.md` describes the file.
//!
//! - [`Trace::read`] and [`Trace::write`]: the file;
//! - [`replay`]: the same pass again, call by call, or where it first differs;
//! - [`rehearse`]: another component, or other inputs, on what was recorded, nothing written;
//! - [`Decisions`]: what a pass decided, and how two passes differ;
//! - [`redact`]: the same pass with stand-ins for what people wrote.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    contract::{AuditMode, PluginManifest, Subject, Trigger},
    sandbox::{Limits, PassError, Refusal},
    scope::Scope,
};

mod content;
mod decisions;
mod divergence;
mod end;
mod file;
mod lenient;
mod question;
mod redact;
mod rehearse;
mod replay;
mod script;
mod secrets;

pub use content::Content;
pub use decisions::{Decisions, Difference, Kind};
pub use divergence::Divergence;
pub use end::End;
pub use file::{ReadError, ReadLimits};
pub use redact::{RedactError, redact};
pub use rehearse::{Rehearsal, RehearsalError, Unanswered, rehearse};
pub use replay::{Replayed, replay};
pub use script::Script;

pub(crate) use content::{bytes_form, optional_bytes_form, sha256};
pub(crate) use end::Returned;
pub(crate) use lenient::Lenient;
pub(crate) use question::{
    Question, body, heard, heard_body, heard_plain, heard_response, plain, response, told,
};
pub(crate) use script::{Likeness, Next, Taken};

/// What the first member of every trace says.
pub const FORMAT: &str = "twinbox-trace";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The contract whose calls these are.
pub const CONTRACT: &str = "twinbox:sync@0.2.0";

/// One recorded pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Whose pass it was and how it began.
    pub header: Header,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// How it ended.
    pub end: End,
}

/// Whose pass it was and how it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// [`CONTRACT`].
    pub contract: String,
    /// The component that ran.
    pub plugin: Release,
    /// Whom the pass was for. The guest never sees it.
    pub scope: Scope,
    /// What the pass could use.
    pub limits: Limits,
    /// The export that was called.
    pub call: Call,
    /// When, ms since the epoch.
    pub recorded_at: u64,
    /// What was taken out of it.
    pub redaction: Redaction,
}

/// A version of a component.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Release {
    /// Its name, such as `twinbox-gmail`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
}

impl Release {
    /// The version that this manifest and digest are of.
    pub fn of(manifest: &PluginManifest, digest: &str) -> Self {
        Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: digest.to_owned(),
        }
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = self.digest.get(..12).unwrap_or(&self.digest);
        write!(f, "{} {} ({short})", self.name, self.version)
    }
}

/// What was taken out of a trace. Tokens are never in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redaction {
    /// Nothing more.
    #[default]
    None,
    /// What people wrote, their names, and the local parts of their addresses.
    Bodies,
}

/// The export that was called, with its arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "export", rename_all = "kebab-case")]
pub enum Call {
    /// A connection begins.
    Connect {
        /// The mailbox that was asked for.
        expected_address: Option<String>,
        /// The settings, JSON.
        settings: String,
    },
    /// One bounded pass.
    Run {
        /// Why it started.
        trigger: Trigger,
        /// The settings, JSON.
        settings: String,
    },
    /// A comparison of mailbox and ledger.
    Audit {
        /// What it does about what is missing.
        mode: AuditMode,
        /// The settings, JSON.
        settings: String,
    },
    /// An explanation.
    Explain {
        /// Of what.
        subject: Subject,
        /// The settings, JSON.
        #[serde(default)]
        settings: String,
    },
    /// A connection ends.
    Disconnect,
}

impl Call {
    /// The export's name.
    pub fn export(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Run { .. } => "run",
            Self::Audit { .. } => "audit",
            Self::Explain { .. } => "explain",
            Self::Disconnect => "disconnect",
        }
    }
}

/// One thing that happened between guest and host. Calls are numbered in the order of their questions,
/// from 0; bodies go by the number of their call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// A call that cannot wait: question and answer at once.
    Called {
        /// Its number.
        call: u64,
        /// Interface and function, such as `clock.now`.
        function: String,
        /// What was asked.
        arguments: Value,
        /// What was answered.
        result: Value,
    },
    /// A question.
    Asked {
        /// Its number.
        call: u64,
        /// Interface and function, such as `storage.commit`.
        function: String,
        /// What was asked.
        arguments: Value,
    },
    /// The answer to a question, before the guest could see it.
    Answered {
        /// The question's number.
        call: u64,
        /// Whether the guest went on before the answer came.
        waited: bool,
        /// `{"ok": …}` or `{"error": …}`.
        result: Value,
    },
    /// The guest walked away from a question.
    Dropped {
        /// The question's number.
        call: u64,
    },
    /// The host is ready to take the next part of a body that the guest streams.
    Take {
        /// The call that sends the body.
        call: u64,
    },
    /// The host took a part of a body that the guest streams.
    Taken {
        /// The call that sends the body.
        call: u64,
        /// Bytes.
        length: u64,
        /// SHA-256 in hexadecimal.
        sha256: String,
    },
    /// A body that the guest streams came to its end.
    TakenAll {
        /// The call that sends the body.
        call: u64,
        /// Whether the end came too early or too late.
        broken: bool,
    },
    /// The host takes no more of a body that the guest streams.
    Refused {
        /// The call that sends the body.
        call: u64,
    },
    /// The guest was given a part of a streamed answer.
    Given {
        /// The call whose answer it is.
        call: u64,
        /// Whether the guest went on before the part came.
        waited: bool,
        /// The part.
        part: Content,
    },
    /// A streamed answer came to its end.
    GivenAll {
        /// The call whose answer it is.
        call: u64,
        /// Whether the guest went on before the end came.
        waited: bool,
        /// Whether the end came too early.
        broken: bool,
    },
}

/// A pass that was ended by how long it took is not a matter of what it was told.
pub(crate) fn is_cut(error: &PassError) -> bool {
    matches!(
        error,
        PassError::Refused(Refusal::WallClock | Refusal::CpuTime) | PassError::Busy
    )
}
