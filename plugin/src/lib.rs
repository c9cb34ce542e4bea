//! The Twinbox component: every decision about mail. No I/O of its own, no clock of its own.
//!
//! [`sync`] moves mail between what [`gmail`] and [`people`] say and what the CRM is given; [`rules`] decide who gets
//! it, [`mail`] knows what a message is, [`ledger`] what became of it. Everything outside is a port
//! ([`ports`]), which the component fills with the contract's imports ([`contract`]).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a failure of these is the test's failure"
    )
)]
#![allow(
    async_fn_in_trait,
    clippy::future_not_send,
    reason = "one instance is one thread; no port crosses one"
)]

pub mod contract;
pub mod gmail;
pub mod ledger;
pub mod mail;
pub mod mutation;
pub mod people;
pub mod ports;
pub mod rules;
pub mod settings;
pub mod sync;

// Its exports have names that native linkers do not take.
#[cfg(target_family = "wasm")]
#[allow(unreachable_pub, reason = "the exporting macro is generated")]
mod component;

use contract::{Budget, OptionalScope, PluginManifest};

/// Uses the memory that is there from the beginning before it asks for more, which the standard library's does not.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What the plugin says of itself.
pub fn manifest() -> PluginManifest {
    let origins = [gmail::API_ORIGIN, people::API_ORIGIN].map(str::to_owned);
    PluginManifest {
        name: "twinbox-gmail".to_owned(),
        version: ledger::VERSION.to_owned(),
        provider: "Gmail".to_owned(),
        description: "Keeps a Gmail mailbox and a CRM's conversations the same, both ways.".to_owned(),
        origins: origins.to_vec(),
        credential_origins: origins.to_vec(),
        scopes: vec![gmail::SCOPE_MODIFY.to_owned()],
        optional_scopes: vec![OptionalScope {
            setting: settings::GOOGLE_CONTACTS.to_owned(),
            scope: people::SCOPE.to_owned(),
        }],
        budget: Budget {
            memory: 64 * 1024 * 1024,
            cpu: 30_000,
            wall: 600_000,
            requests: 5_000,
        },
        settings_schema: settings::SCHEMA.to_owned(),
    }
}
