//! A platform that brings its CRM and takes the defaults for the rest.
//!
//! `cargo run -p twinbox-host --example embed`, after `make component`.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use twinbox_host::{
    Database, Durability, Host, Parts,
    accounts::Accounts,
    choices::Wanted,
    clock::SystemClock,
    crm::{Crm, EmbeddedCrm},
    egress::{Egress, Grants},
    sandbox::{Sandbox, SandboxConfig},
    schedule::{AuditSchedule, Auditing, LocalSchedule, Polling},
    scope::{TenantId, UserId},
    store::SqliteStore,
    vault::{ClientConfig, Endpoints, KeyRing, OAuthVault, Provider},
};

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::temp_dir().join("twinbox-embed");
    std::fs::create_dir_all(&folder)?;
    let plugin = Sandbox::new(SandboxConfig::default())?;
    let plugin = plugin
        .load_file(Path::new("target/components/twinbox.wasm"))
        .await?;
    let database = Database::open(&folder.join("twinbox.db"), Durability::PowerLoss)?;
    let crm: Arc<dyn Crm> = Arc::new(EmbeddedCrm::new(database.clone())?); // yours instead
    let client = ClientConfig {
        client_id: "your-client-id".to_owned(),
        client_secret: "your-client-secret".to_owned().into(),
        redirect_uri: "https://crm.example/oauth/callback".to_owned(),
        scopes: [
            &["openid".to_owned(), "email".to_owned()],
            &plugin.manifest().scopes[..],
        ]
        .concat(),
    };
    let provider = Provider::new(Endpoints::default(), client)?;
    let keys = KeyRing::open(&folder.join("sealing.key"))?;
    let vault = OAuthVault::new(database.clone(), keys, provider, Arc::new(SystemClock))?;
    let egress = Arc::new(Egress::new(Grants::parse(&plugin.manifest().origins)?)?);
    let state = SqliteStore::new(database)?;
    let host = Host::new(Parts::new(plugin, &state, Arc::new(vault.clone()), crm, egress)?)?;
    let _schedule = LocalSchedule::start(host.clone(), Polling::default());
    let _audits = AuditSchedule::start(host.clone(), Auditing::default());

    // Where a user presses "Connect Gmail": send the browser there; `finish` takes what it brings back.
    let accounts = Accounts::new(host, vault, String::new());
    let (tenant, user) = (TenantId::new("acme"), UserId::new("sam"));
    println!(
        "{}",
        accounts
            .begin(&tenant, &user, "browser-session", Wanted::default())
            .await?
    );
    Ok(())
}
