//! Runs mail-sync components in a sandbox, one per tenant, and supplies what they import.
//!
//! A [`Host`] is made of a component ([`sandbox`]), state ([`store`]), grants ([`vault`]), a CRM
//! ([`crm`]) and one way out ([`egress`]); each is a trait with a default, so that a platform brings
//! its [`Crm`](crm::Crm) and takes the rest as it is. [`schedule`] says who runs when.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a failure of these is the test's failure"
    )
)]

pub mod accounts;
pub mod api;
pub mod audit;
pub mod body;
pub mod capability;
pub mod choices;
pub mod clock;
mod contact_file;
pub mod contract;
pub mod crm;
pub mod deliverability;
pub mod egress;
mod explained;
mod hex;
mod host;
mod key_file;
pub mod mailbox;
pub mod people;
pub mod privacy;
pub mod problem;
#[cfg(feature = "program")]
#[doc(hidden)]
pub mod program;
pub mod push;
pub mod quota;
pub mod random;
pub mod release;
pub mod sandbox;
pub mod schedule;
pub mod scope;
pub mod sharing;
pub mod smtp;
pub mod spans;
mod sqlite;
pub mod store;
mod tls;
pub mod trace;
pub mod vault;
pub mod web;
pub mod webhooks;

pub use host::{Host, HostError, Parts, Ran, Witness};
pub use sqlite::{Database, Durability};
