//! The host as an embedder sees it: the probe, a hostile component, in the real sandbox.
//!
//! Needs `target/components/probe.wasm` (or the file that `PROBE_COMPONENT` names).
#![allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod cache;
mod deliverability;
mod harness;
mod hostile;
mod isolation;
mod limits;
mod recording;
mod streams;
mod way_out;
mod wire;
