//! The parts of the library put together the way the program uses them.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use secrecy::SecretString;

use super::{
    failure::Failure,
    folder::{Company, Presence},
    traces::TraceFolder,
};
use crate::{
    Database, Durability, Host, HostError, Parts,
    accounts::Accounts,
    audit::SqliteAudits,
    clock::{Clock, SystemClock},
    contract::PluginManifest,
    crm::EmbeddedCrm,
    egress::{Egress, Grants, Origin, StandIns},
    people::People,
    quota::{Rates, SqlitePenalties, TokenBuckets, Unmetered},
    release::{LARGEST_COMPONENT, Plugins, ReleaseStore},
    sandbox::{Allocation, LoadError, Plugin, Sandbox, SandboxConfig},
    scope::{TenantId, UserId},
    sharing::SqliteSharing,
    smtp::{BccAddresses, Spool},
    store::{SqliteStore, ToldRegistry},
    vault::{ClientConfig, Endpoints, KeyRing, OAuthVault, Provider, SealingKey, SealingKeys},
    webhooks::Webhooks,
};

/// The tenant of the embedded CRM, unless another is named.
pub(super) const TENANT: &str = "home";
/// Its user, unless another is named.
pub(super) const USER: &str = "user";
/// File name of the component beside the program.
const COMPONENT: &str = "twinbox.wasm";
/// An upload that another process began so long ago is taken for dead, ms.
const LONGEST_UPLOAD: u64 = 24 * 3_600_000;

/// What to put together.
pub(super) struct Plan {
    /// Where the state is; in memory without it.
    pub(super) data: Option<PathBuf>,
    /// What its state survives.
    pub(super) durability: Durability,
    pub(super) plugin: Option<PathBuf>,
    pub(super) endpoints: Endpoints,
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    pub(super) redirect_uri: String,
    /// What stands in for the plugin's API origin.
    pub(super) api: Option<String>,
    /// What may be spent in a minute; without it quota is the provider's own affair.
    pub(super) rates: Option<Rates>,
    /// The plugin's settings.
    pub(super) settings: String,
    /// The folder that gets the trace of each pass.
    pub(super) record: Option<PathBuf>,
    /// What comes after the `@` of BCC addresses, if there are any.
    pub(super) bcc_domain: Option<String>,
}

/// Everything that runs.
pub(super) struct Runtime {
    pub(super) host: Host,
    pub(super) crm: EmbeddedCrm,
    pub(super) accounts: Accounts,
    pub(super) people: People,
    /// What came to BCC addresses.
    pub(super) spool: Spool,
    /// Who is told of what happens.
    pub(super) webhooks: Webhooks,
    /// The connections, and who wants to know of their changes.
    pub(super) registry: ToldRegistry,
    presence: Option<Presence>,
    /// ms since the epoch: nothing of this process is older.
    started: u64,
}

impl Runtime {
    pub(super) async fn start(plan: Plan) -> Result<Self, Failure> {
        let started = SystemClock.now();
        let database = open(plan.data.as_deref(), plan.durability)?;
        let loaded = load(plan.plugin.as_deref(), plan.data.as_deref()).await?;
        let plugin = loaded.plugin.clone();
        let state = SqliteStore::new(database.clone())?;
        let presence = match &plan.data {
            Some(folder) => Some(Presence::announce(folder, &state).await?),
            None => None,
        };
        let crm = EmbeddedCrm::new(database.clone())?;
        crm.create_tenant(&TenantId::new(TENANT), "Home").await?;
        crm.create_user(&TenantId::new(TENANT), &UserId::new(USER), "You")
            .await?;
        let people = People::new(database.clone())?;
        let webhooks = Webhooks::new(database.clone())?;
        let audits = SqliteAudits::new(database.clone())?;
        let penalties = Arc::new(SqlitePenalties::new(database.clone())?);
        let sharing = SqliteSharing::new(database.clone(), Arc::new(SystemClock)).map_err(HostError::from)?;
        let releases = ReleaseStore::new(database.clone())?;
        let plugins = loaded.chosen(releases).await?;
        // What the operator configured says what is granted; a version that takes over asks for no more.
        let spool = Spool::new(database.clone())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bcc_addresses = plan
            .bcc_domain
            .as_ref()
            .map(|domain| BccAddresses::new(database.clone(), clock.clone(), domain))
            .transpose()?;
        let vault = vault(&plan, database, plugin.manifest())?;
        let egress = egress(&plan, plugin.manifest())?;
        let mut parts = Parts::new(
            plugin,
            &state,
            Arc::new(vault.clone()),
            Arc::new(crm.clone()),
            Arc::new(egress),
        )?;
        parts.plugins = plugins;
        let registry = ToldRegistry::new(parts.registry.clone());
        parts.registry = Arc::new(registry.clone());
        if let Some(folder) = &plan.record {
            parts.witness = Some(Arc::new(TraceFolder::open(folder)?));
        }
        parts.bcc_addresses = bcc_addresses;
        parts.audits = Arc::new(audits);
        parts.sharing = Arc::new(sharing);
        parts.quota = match plan.rates {
            Some(rates) => Arc::new(TokenBuckets::keeping(parts.clock.clone(), rates, penalties).await?),
            None => Arc::new(Unmetered::keeping(parts.clock.clone(), penalties).await?),
        };
        let host = Host::new(parts)?;
        let accounts = Accounts::new(host.clone(), vault, plan.settings);
        Ok(Self {
            host,
            crm,
            accounts,
            people,
            spool,
            webhooks,
            registry,
            presence,
            started,
        })
    }

    /// Removes uploads that never ended. Those of another process may be under way for up to a day; when this one came
    /// alone, all that are older than it are of the dead.
    pub(super) async fn remove_uploads(&self) -> Result<(), Failure> {
        let company = self.presence.as_ref().map(|presence| presence.company);
        let before = match company {
            None | Some(Company::Alone) => self.started,
            Some(Company::Others) => self.started.saturating_sub(LONGEST_UPLOAD),
        };
        let removed = self.crm.remove_uploads(before).await?;
        if removed > 0 {
            tracing::info!(removed, "uploads that were cut short are removed");
        }
        Ok(())
    }
}

pub(super) fn open(data: Option<&Path>, durability: Durability) -> Result<Database, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            "storage-unavailable",
            error,
            "Check that the data folder can be written.",
        )
    };
    match data {
        None => Database::in_memory().map_err(|error| failed(&error)),
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            Database::open(&folder.join("twinbox.db"), durability).map_err(|error| failed(&error))
        }
    }
}

/// A component and what it was loaded with.
pub(super) struct Loaded {
    pub(super) plugin: Arc<Plugin>,
    bytes: Bytes,
    sandbox: Arc<Sandbox>,
    cache: Option<PathBuf>,
}

impl Loaded {
    /// The components that the store has chosen, beginning with this one.
    async fn chosen(self, store: ReleaseStore) -> Result<Arc<Plugins>, Failure> {
        let trial = SandboxConfig {
            concurrency: NonZeroUsize::MIN.saturating_add(1),
            allocation: Allocation::OnDemand,
            cache: self.cache,
            ..SandboxConfig::default()
        };
        Ok(Plugins::open(self.sandbox, trial, store, self.plugin, self.bytes).await?)
    }
}

/// Loads the component: the one named, or the one beside the program.
pub(super) async fn load(plugin: Option<&Path>, data: Option<&Path>) -> Result<Loaded, Failure> {
    let path = match plugin {
        Some(path) => path.to_owned(),
        None => beside_the_program()?,
    };
    // Compiling takes a second or more; what was compiled is kept, authenticated by a key beside it.
    let cache = data.map_or_else(
        || path.parent().map(|folder| folder.join(".twinbox-cache")),
        |data| Some(data.join("cache")),
    );
    let sandbox = Sandbox::new(SandboxConfig {
        cache: cache.clone(),
        ..SandboxConfig::default()
    })?;
    let bytes = read_component(&path)?;
    Ok(Loaded {
        plugin: sandbox.load(bytes.clone()).await?,
        bytes,
        sandbox,
        cache,
    })
}

/// The bytes of a component, if there are not too many.
pub(super) fn read_component(path: &Path) -> Result<Bytes, Failure> {
    let unreadable = |error| LoadError::File(path.to_owned(), error);
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > LARGEST_COMPONENT as u64 {
        return Err(unreadable(std::io::Error::other("the file is too large for a component")).into());
    }
    Ok(std::fs::read(path).map_err(unreadable)?.into())
}

fn beside_the_program() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let folder = program.parent().unwrap_or(Path::new("."));
    // Built by cargo alone, the program has its component one folder up.
    let places = [
        folder.join(COMPONENT),
        folder.join("../component").join(COMPONENT),
    ];
    places.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let happened = format!("there is no component at {}", places[0].display());
        Failure::configuration(happened, "Build it with `make build`, or name it with --plugin.")
    })
}

fn vault(plan: &Plan, database: Database, manifest: &PluginManifest) -> Result<OAuthVault, Failure> {
    let keys = match &plan.data {
        Some(folder) => keys(folder)?,
        None => SealingKeys::new(SealingKey::from_bytes(&rand::random()), Vec::new()).into(),
    };
    let mut scopes = vec!["openid".to_owned(), "email".to_owned()];
    scopes.extend(manifest.scopes.iter().cloned());
    let client = ClientConfig {
        client_id: plan.client_id.clone(),
        client_secret: plan.client_secret.clone(),
        redirect_uri: plan.redirect_uri.clone(),
        scopes,
    };
    let provider = Provider::new(plan.endpoints.clone(), client).map_err(|error| {
        Failure::configuration(error, "Check [origins] and public_url in the configuration.")
    })?;
    Ok(OAuthVault::new(database, keys, provider, Arc::new(SystemClock))?)
}

/// The sealing keys of a data folder.
pub(super) fn keys(folder: &Path) -> Result<KeyRing, Failure> {
    KeyRing::open(&folder.join("sealing.key"))
        .map_err(|error| Failure::configuration(error, "Restore sealing.key, or connect again without it."))
}

fn egress(plan: &Plan, manifest: &PluginManifest) -> Result<Egress, Failure> {
    let advice = "Origins look like https://host or http://host:port.";
    let wrong = |error: &dyn std::fmt::Display| Failure::configuration(error, advice);
    let grants = Grants::parse(&manifest.origins).map_err(|error| wrong(&error))?;
    let egress = Egress::new(grants).map_err(|error| wrong(&error))?;
    let Some(api) = &plan.api else { return Ok(egress) };
    let mut stand_ins = StandIns::default();
    for origin in &manifest.origins {
        let real = Origin::parse(origin).map_err(|error| wrong(&error))?;
        let stand_in = Origin::parse(api).map_err(|error| wrong(&error))?;
        stand_ins = stand_ins.with(real, stand_in);
    }
    Ok(egress.stand_ins(stand_ins))
}
