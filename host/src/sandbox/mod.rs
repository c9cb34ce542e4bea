//! Runs components that nobody trusts.
//!
//! One [`Sandbox`] per process holds the engine and its pool; [`Sandbox::load`] makes a [`Plugin`] of
//! a component; [`Plugin::pass`] gives one [`Pass`], which is one fresh instance in one fresh store,
//! used for one call and dropped. A trap, a limit or a timeout ends that pass and nothing else.
//!
//! There is no warm instance: one trap makes an instance unusable for all calls that share it, and a
//! fresh one costs some 26 µs.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

mod cache;
mod engine;
mod limits;
mod pass;
mod plugin;
mod refusal;

pub use engine::Sandbox;
pub use limits::{Limits, Usage};
pub use pass::{Ended, Pass};
pub use plugin::Plugin;

/// How the sandbox is set up.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Passes at the same time; more wait.
    pub concurrency: NonZeroUsize,
    /// How long a pass may wait for its turn.
    pub patience: Duration,
    /// The most linear memory any pass can be given, bytes.
    pub largest_memory: usize,
    /// Where compiled components are kept, with the key that authenticates them; absent: nowhere.
    pub cache: Option<PathBuf>,
    /// How instances are allocated.
    pub allocation: Allocation,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            concurrency: NonZeroUsize::MIN.saturating_add(63),
            patience: Duration::from_secs(30),
            largest_memory: 256 << 20,
            cache: None,
            allocation: Allocation::Pooled,
        }
    }
}

/// How instances are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool; on demand where the machine has no address space for one.
    Pooled,
    /// On demand: slower to start, reserves nothing.
    OnDemand,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It imports something that is not of the contract.
    #[error("the component imports {0}, which is not of twinbox:sync")]
    ForeignImport(String),
    /// It is not a component, or not one of the contract's world.
    #[error("not a component of this contract: {0}")]
    Invalid(String),
    /// It did not say what it is.
    #[error("the component's manifest cannot be read: {0}")]
    Manifest(#[from] PassError),
    /// The engine cannot be set up.
    #[error("the engine cannot be set up: {0}")]
    Engine(String),
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] std::io::Error),
}

/// The limit that ended a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// All memories together are over the limit.
    #[error("the memory limit was reached")]
    Memory,
    /// A table is over the limit.
    #[error("the table limit was reached")]
    Table,
    /// The call stack is exhausted.
    #[error("the call stack was exhausted")]
    Stack,
    /// The guest reached outside of its memory. The stack that compilers keep in there lies first, so its
    /// overflow ends so as well; wasmtime does not always know the address, so the two are one.
    #[error("its own stack was exhausted, or it reached outside of its memory")]
    OutOfBounds,
    /// One call passed too much data to the host.
    #[error("a call passed too much data")]
    CallData,
    /// The guest has computed for too long; waiting does not count.
    #[error("the CPU time was used up")]
    CpuTime,
    /// The pass has taken too long.
    #[error("the time was used up")]
    WallClock,
    /// Too many streams, futures and tasks at the same time.
    #[error("too many handles were open")]
    Handles,
    /// A stream of unknown length broke while the guest read it.
    #[error("a stream broke while it was read")]
    BrokenStream,
}

/// Why a pass has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// A limit ended it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The guest did what it must not, or gave up; for the operator to read.
    #[error("the component trapped: {0}")]
    Trapped(String),
    /// The instance cannot be made.
    #[error("the component cannot be instantiated: {0}")]
    Component(String),
    /// No turn came within the sandbox's patience; nothing was run.
    #[error("the sandbox is busy")]
    Busy,
}
