//! What the proofs and the benchmark share: real mail, the programs as they were built, and a world in
//! one process around the real component.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "in tests and benchmarks, a failed unwrap is the failure"
)]

pub mod mail;
pub mod mutate;
pub mod programs;
pub mod wire;
pub mod world;
