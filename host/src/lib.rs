//! Runs mail-sync components in a sandbox, one per tenant, and supplies what they import.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")
)]

pub mod body;
pub mod clock;
pub mod contract;
pub mod crm;
pub mod problem;
pub mod scope;
pub mod sqlite;
pub mod store;
pub mod vault;
pub mod web;
