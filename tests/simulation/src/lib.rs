//! Deterministic simulation: the real component in the real sandbox, behind the real host, in a world of
//! which every part is simulated in this process. One thread, one time, one seed.
//!
//! A seed becomes a [`Plan`]: who is there, what arrives, what people do in Gmail and in the CRM, what
//! fails, and at which call a host dies. [`Laboratory::run`] lets it happen, waits until everything has
//! come to rest, and compares the end with what the rules promise: nothing lost, nothing doubled, nothing
//! where it does not belong. The same plan happens the same way every time, so a failing one can be made
//! smaller ([`shrink`]) and looked at.
#![allow(
    clippy::indexing_slicing,
    reason = "indices come from plans, which are made together with what they index"
)]

mod coverage;
mod director;
mod gmail;
mod laboratory;
mod model;
mod mutation;
mod plan;
mod ports;
mod shrink;
mod sweep;
mod world;

pub use coverage::{Coverage, everything, out_of_reach};
pub use laboratory::{Laboratory, Outcome, Telling};
pub use model::Violation;
pub use mutation::Mutation;
pub use plan::{Event, Plan, Shape, What, Worlds};
pub use shrink::shrink;
pub use sweep::{Failure, Sweep, sweep};
