//! What a world is made of before anything happens in it.

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use gmail_sim::{Behaviour, Client, Config, Limits, Quota as SimQuota, Redirects, Server, Sim, Table};
use twinbox_host::{
    Database, Host, Parts, Witness,
    accounts::Accounts,
    audit::SqliteAudits,
    clock::Clock,
    crm::{EmbeddedCrm, NewContact},
    egress::{Egress, Grants, Origin, StandIns},
    quota::{Quota, Rates, SqlitePenalties, TokenBuckets, Unmetered},
    scope::{TenantId, UserId},
    sharing::SqliteSharing,
    smtp::BccAddresses,
    store::SqliteStore,
    vault::{ClientConfig, Endpoints, OAuthVault, Provider, SealingKey, SealingKeys},
};

use crate::{
    ANN, BCC_DOMAIN, LeapingClock, ME, World, component,
    crm::FaultyCrm,
    traces::Traces,
    wire::Wire,
    world::{Platform, Seat},
};

/// When every world begins, ms since the epoch (2026-09-21).
const BEGINNING: i64 = 1_790_000_000_000;
/// Units a minute of a whole project.
const PROJECT_PER_MINUTE: u64 = 1_200_000;

/// Whether Google's quota is enforced, and the host keeps to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaRule {
    /// Counted only.
    Off,
    /// Enforced by the simulator, kept to by the host's token buckets.
    Enforced(Table),
}

/// A world to be made.
pub struct Setup {
    behaviour: Behaviour,
    quota: QuotaRule,
    project_per_minute: u64,
    settings: String,
    contacts: Vec<NewContact>,
    traces: Option<Arc<Traces>>,
    releases: Releases,
    bcc: bool,
}

/// Whether other versions of the component may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Releases {
    /// One for ever.
    Fixed,
    /// As a program has them.
    Kept,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            behaviour: Behaviour::default(),
            quota: QuotaRule::Off,
            project_per_minute: PROJECT_PER_MINUTE,
            settings: String::new(),
            contacts: vec![contact("Ann", &[ANN], 1)],
            traces: None,
            releases: Releases::Fixed,
            bcc: false,
        }
    }
}

impl Setup {
    /// Turns a switch of the simulator.
    #[must_use]
    pub fn behaviour(mut self, change: impl FnOnce(&mut Behaviour)) -> Self {
        change(&mut self.behaviour);
        self
    }

    /// Sets what is done about quota.
    #[must_use]
    pub fn quota(mut self, quota: QuotaRule) -> Self {
        self.quota = quota;
        self
    }

    /// Sets the units a minute that the whole project has, where quota is enforced.
    #[must_use]
    pub fn project_units(mut self, per_minute: u64) -> Self {
        self.project_per_minute = per_minute;
        self
    }

    /// Sets the plugin's settings, JSON.
    #[must_use]
    pub fn settings(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.settings);
        self
    }

    /// Adds a contact, created after those that are there; each address gets a mailbox.
    #[must_use]
    pub fn contact(mut self, name: &str, addresses: &[&str]) -> Self {
        let order = self.contacts.len() as u64 + 1;
        self.contacts.push(contact(name, addresses, order));
        self
    }

    /// Keeps a trace of every pass.
    #[must_use]
    pub fn recorded(mut self) -> Self {
        self.traces = Some(Arc::default());
        self
    }

    /// Gives connections BCC addresses.
    #[must_use]
    pub fn with_bcc_addresses(mut self) -> Self {
        self.bcc = true;
        self
    }

    /// Lets other versions of the component take over; a pass may compute for two seconds.
    #[must_use]
    pub fn with_releases(mut self) -> Self {
        self.releases = Releases::Kept;
        self
    }

    /// A world in which the user has connected the mailbox.
    pub async fn connected(self) -> World {
        let mut world = self.unconnected().await;
        world.connect().await.expect("a connection");
        world.requests();
        world
    }

    /// A world in which nothing is connected yet.
    pub async fn unconnected(self) -> World {
        let (sim_clock, time) = gmail_sim::Clock::manual(BEGINNING);
        let clock = LeapingClock::of(time);
        let config = Config {
            clock: sim_clock,
            quota: match self.quota {
                QuotaRule::Off => SimQuota::Count(Table::New),
                QuotaRule::Enforced(table) => SimQuota::Enforce(table),
            },
            limits: Limits {
                project_units_per_minute: self.project_per_minute,
                ..Limits::default()
            },
            behaviour: self.behaviour.clone(),
            clients: vec![Client {
                redirects: Redirects::AnyLoopback,
                ..Client::demo()
            }],
            ..Config::default()
        };
        let sim = Sim::new(config);
        sim.create_user(ME, "Mia Meyer");
        for contact in &self.contacts {
            for address in &contact.addresses {
                sim.create_user(address, &contact.name);
            }
        }
        let server = Server::start(sim.clone()).await.expect("a free port");
        let platform = platform(&self, sim, server, clock).await;
        let seat = Seat {
            tenant: TenantId::new("home"),
            user: UserId::new("mia"),
            mailbox: ME.to_owned(),
        };
        let world = World::new(Arc::new(platform), seat).await;
        for contact in self.contacts {
            world.create_contact(contact).await;
        }
        world
    }
}

async fn platform(setup: &Setup, sim: Sim, server: Server, clock: LeapingClock) -> Platform {
    let plugin = component::plugin().await;
    let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let database = Database::in_memory().expect("a database");
    let state = SqliteStore::new(database.clone()).expect("a store");
    let crm = EmbeddedCrm::with_clock(database.clone(), shared_clock.clone()).expect("a CRM");
    let faulty = Arc::new(FaultyCrm::new(crm.clone()));
    let wire = Arc::new(Wire::new());
    let sharing = SqliteSharing::new(database.clone(), shared_clock.clone()).expect("claims");

    let origin = server.origin();
    let mut stand_ins = StandIns::default();
    for real in &plugin.manifest().origins {
        stand_ins = stand_ins.with(Origin::parse(real).unwrap(), Origin::parse(&origin).unwrap());
    }
    let grants = Grants::parse(&plugin.manifest().origins).unwrap();
    let egress = Egress::new(grants)
        .unwrap()
        .stand_ins(stand_ins)
        .client(wire.clone());

    let vault = vault(
        &origin,
        &plugin.manifest().scopes,
        database.clone(),
        shared_clock.clone(),
    );
    let mut parts = Parts::new(
        plugin,
        &state,
        Arc::new(vault.clone()),
        faulty.clone(),
        Arc::new(egress),
    )
    .expect("parts");
    parts.clock = shared_clock.clone();
    if setup.releases == Releases::Kept {
        parts.plugins = component::releases(database.clone()).await;
        parts.limits.cpu = Duration::from_secs(2);
    }
    parts.witness = setup.traces.clone().map(|traces| traces as Arc<dyn Witness>);
    let rates = match setup.quota {
        QuotaRule::Off => None,
        QuotaRule::Enforced(table) => Some(Rates {
            account: table.per_user_minute(),
            project: setup.project_per_minute,
        }),
    };
    parts.quota = quota(shared_clock, rates, &database).await;
    parts.audits = Arc::new(SqliteAudits::new(database.clone()).expect("a log"));
    parts.sharing = Arc::new(sharing);
    if setup.bcc {
        let addresses = BccAddresses::new(database.clone(), parts.clock.clone(), BCC_DOMAIN);
        parts.bcc_addresses = Some(addresses.expect("addresses"));
    }
    let host = Host::new(parts).expect("a host");
    let accounts = Accounts::new(host.clone(), vault.clone(), setup.settings.clone());
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a browser");
    Platform {
        sim,
        origin,
        _server: server,
        clock,
        host,
        accounts,
        vault,
        settings: setup.settings.clone(),
        rates,
        crm,
        faulty,
        wire,
        traces: setup.traces.clone(),
        database,
        browser,
        serial: AtomicU32::new(0),
    }
}

/// What another process would begin with, over the same database.
pub(crate) async fn restarted(platform: &Platform) -> (Host, Accounts) {
    let before = platform.host.parts();
    let parts = Parts {
        plugins: before.plugins.clone(),
        store: before.store.clone(),
        registry: before.registry.clone(),
        vault: before.vault.clone(),
        crm: before.crm.clone(),
        egress: before.egress.clone(),
        quota: quota(before.clock.clone(), platform.rates, &platform.database).await,
        audits: Arc::new(SqliteAudits::new(platform.database.clone()).expect("a log")),
        bcc_addresses: before.bcc_addresses.clone(),
        sharing: before.sharing.clone(),
        clock: before.clock.clone(),
        random: before.random.clone(),
        log: before.log.clone(),
        witness: before.witness.clone(),
        limits: before.limits,
        tenant_grants: before.tenant_grants.clone(),
    };
    let host = Host::new(parts).expect("a host");
    let accounts = Accounts::new(host.clone(), platform.vault.clone(), platform.settings.clone());
    (host, accounts)
}

async fn quota(clock: Arc<dyn Clock>, rates: Option<Rates>, database: &Database) -> Arc<dyn Quota> {
    let penalties = Arc::new(SqlitePenalties::new(database.clone()).expect("penalties"));
    match rates {
        None => Arc::new(Unmetered::keeping(clock, penalties).await.expect("a quota")),
        Some(rates) => Arc::new(
            TokenBuckets::keeping(clock, rates, penalties)
                .await
                .expect("a quota"),
        ),
    }
}

fn vault(origin: &str, scopes: &[String], database: Database, clock: Arc<dyn Clock>) -> OAuthVault {
    let at = |path: &str| format!("{origin}{path}");
    let endpoints = Endpoints {
        authorize: at("/o/oauth2/v2/auth"),
        token: at("/token"),
        revoke: at("/revoke"),
        jwks: at("/oauth2/v3/certs"),
        userinfo: at("/v1/userinfo"),
        ..Endpoints::default()
    };
    let demo = Client::demo();
    let sign_in = ["openid".to_owned(), "email".to_owned()];
    let config = ClientConfig {
        client_id: demo.id,
        client_secret: demo.secret.unwrap_or_default().into(),
        redirect_uri: "http://127.0.0.1:9/oauth/callback".to_owned(),
        scopes: sign_in.into_iter().chain(scopes.iter().cloned()).collect(),
    };
    let provider = Provider::new(endpoints, config).expect("a provider");
    let keys = SealingKeys::new(SealingKey::from_bytes(&[7; 32]), Vec::new());
    OAuthVault::new(database, keys, provider, clock).expect("a vault")
}

fn contact(name: &str, addresses: &[&str], created_at: u64) -> NewContact {
    NewContact {
        name: name.to_owned(),
        addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        assigned_user: None,
        created_at: Some(created_at),
    }
}
