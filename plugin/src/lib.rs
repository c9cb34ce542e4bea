//! The Twinbox component: every decision about mail. No I/O of its own, no clock of its own.
//!
//! [`sync`] moves mail between what [`gmail`] says and what the CRM is given; [`rules`] decide who gets
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
pub mod ports;
pub mod rules;
pub mod settings;
pub mod sync;

use contract::{
    AuditMode, AuditReport, Budget, Connected, Explanation, Guest, Imports, IngestedMail, Outcome,
    PluginManifest, Problem, Report, SettingsError, Subject, Trigger,
};

/// What the plugin says of itself.
pub fn manifest() -> PluginManifest {
    PluginManifest {
        name: "twinbox-gmail".to_owned(),
        version: ledger::VERSION.to_owned(),
        provider: "Gmail".to_owned(),
        description: "Keeps a Gmail mailbox and a CRM's conversations the same, both ways.".to_owned(),
        origins: vec![gmail::API_ORIGIN.to_owned()],
        credential_origins: vec![gmail::API_ORIGIN.to_owned()],
        scopes: vec![gmail::SCOPE_MODIFY.to_owned()],
        budget: Budget {
            memory: 64 * 1024 * 1024,
            cpu: 30_000,
            wall: 600_000,
            requests: 5_000,
        },
        settings_schema: settings::SCHEMA.to_owned(),
    }
}

struct Component;

impl Guest for Component {
    fn manifest() -> PluginManifest {
        manifest()
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsError>> {
        settings::parse(&settings).map(|_| ())
    }

    async fn connect(expected_address: Option<String>, settings: String) -> Result<Connected, Problem> {
        sync::connect(&Imports, expected_address.as_deref(), &settings).await
    }

    async fn run(trigger: Trigger, settings: String) -> Report {
        sync::run(&Imports, trigger, &settings).await
    }

    async fn ingest(_mail: IngestedMail, _settings: String) -> Result<Outcome, Problem> {
        Err(Problem::Other("this version has no BCC address".to_owned()))
    }

    async fn audit(mode: AuditMode, settings: String) -> Result<AuditReport, Problem> {
        sync::audit(&Imports, mode, &settings).await
    }

    async fn explain(subject: Subject) -> Result<Vec<Explanation>, Problem> {
        sync::explain(&Imports, subject).await
    }

    async fn disconnect() -> Result<(), Problem> {
        sync::disconnect(&Imports).await
    }
}

contract::export!(Component);
