//! The Twinbox component: every decision about mail.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")
)]

pub mod contract;
pub mod gmail;
pub mod mail;
pub mod ports;
pub mod rules;
