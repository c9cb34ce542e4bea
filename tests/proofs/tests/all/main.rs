//! What must hold of the contract, of processes that are killed, and of masses of damaged mail. Needs
//! the component (`make component`) and the programs of this profile.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure of these is the test's failure"
)]

mod contract;
mod crash;
mod garbage;
mod keys;
mod site;
mod traces;
