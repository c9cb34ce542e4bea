//! From a notification that Pub/Sub posts to the message in the CRM: the host as `serve` wires it, with its database
//! on the disk and each commit synced, and a simulator in the same process that answers at once. What is measured is
//! the engine's own time, and the disk's.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http;
use gmail_sim::{Config, Consent, Decision, Delivery, PushEndpoint, Server, Sim};
use proofs::{programs::component, wire::SimWire};
use tokio::{net::TcpListener, sync::broadcast};
use twinbox_host::{
    Database, Durability, Host, Parts,
    accounts::{Accounts, Connected},
    audit::SqliteAudits,
    choices::Wanted,
    clock::SystemClock,
    crm::{CrmEvent, EmbeddedCrm, NewContact},
    egress::{Egress, Grants},
    people::{People, Person},
    push::{Inbox, PushReceiver, TrustedSender},
    quota::{Rates, SqlitePenalties, TokenBuckets},
    release::{Plugins, ReleaseStore},
    sandbox::{Allocation, Sandbox, SandboxConfig},
    schedule::{LocalSchedule, Polling},
    scope::{TenantId, UserId},
    store::SqliteStore,
    vault::{Callback, ClientConfig, Endpoints, OAuthVault, Provider, SealingKey, SealingKeys},
    web::{PUSH_PATH, WebState, push_router, router},
};

use crate::{Figure, Limit, memory::MAILBOX, quantile};

const WARM_UP: usize = 40;
const SAMPLES: usize = 400;
/// Conversations that answers come in.
const THREADS: usize = 20;
const ANN: &str = "ann@known.example";
const ROBOT: &str = "push@p.iam.gserviceaccount.com";
const SUBSCRIPTION: &str = "projects/p/subscriptions/s";
/// Time in which a pass comes to its end after its message is in the CRM.
const REST: Duration = Duration::from_millis(40);
/// Without quota nothing would be counted, and with Google's a hundred messages would take a minute.
const RATES: Rates = Rates {
    account: 100_000_000,
    project: 100_000_000,
};

/// One notification and one message at a time; every second one answers in a thread that is known.
pub(crate) async fn to_crm(show: &mut impl FnMut(Figure)) {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path()).await;
    let (mut all, mut known, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..WARM_UP + SAMPLES {
        let is_answer = number % 2 == 1;
        let took = rig
            .arrives(number, is_answer.then_some(number / 2 % THREADS))
            .await;
        if number >= WARM_UP {
            all.push(took);
            if is_answer { &mut known } else { &mut new }.push(took);
        }
    }
    let mut figure = |name, values: &mut [f64], share, limit| {
        let value = quantile(values, share);
        let unit = "ms";
        show(Figure {
            name,
            value,
            unit,
            limit,
        });
    };
    figure("push-to-crm-p50", &mut all, 0.5, Limit::AtMost(10.0));
    figure("push-to-crm-p99", &mut all, 0.99, Limit::AtMost(30.0));
    figure("push-to-crm-known-thread-p50", &mut known, 0.5, Limit::None);
    figure("push-to-crm-new-thread-p50", &mut new, 0.5, Limit::None);
}

struct Rig {
    sim: Sim,
    events: broadcast::Receiver<CrmEvent>,
    endpoint: PushEndpoint,
    client: reqwest::Client,
    _schedule: Arc<LocalSchedule>,
    _google: Server,
}

impl Rig {
    async fn start(folder: &Path) -> Self {
        let mut config = Config::default();
        config.behaviour.push_rate_limited = false;
        let sim = Sim::new(config);
        sim.create_user(MAILBOX, "Me");
        let google = Server::start(sim.clone()).await.unwrap();
        let database = Database::open(&folder.join("twinbox.db"), Durability::PowerLoss).unwrap();
        let crm = EmbeddedCrm::new(database.clone()).unwrap();
        let (tenant, user) = (TenantId::new("home"), UserId::new("user"));
        crm.create_tenant(&tenant, "Home").await.unwrap();
        crm.create_user(&tenant, &user, "You").await.unwrap();
        let ann = NewContact {
            name: "Ann".into(),
            addresses: vec![ANN.into()],
            ..NewContact::default()
        };
        crm.create_contact(&tenant, ann).await.unwrap();
        let (host, vault) = host(folder, &database, &crm, &sim, &google.origin()).await;
        let settings = r#"{"push-topic": "projects/p/topics/t"}"#.to_owned();
        let accounts = Accounts::new(host.clone(), vault, settings);
        connect(&accounts, &sim, &tenant, &user).await;

        let polling = Polling {
            interval: Duration::from_secs(30),
            jitter: Duration::from_millis(7_500),
            pushed: Duration::from_mins(10),
        };
        let schedule = LocalSchedule::start(host.clone(), polling);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{PUSH_PATH}", listener.local_addr().unwrap());
        let parts = host.parts();
        let inbox = Inbox::new(parts.registry.clone(), parts.clock.clone(), schedule.clone());
        let endpoints = endpoints(&google.origin());
        let sender = TrustedSender::new(&endpoints, url.clone(), ROBOT.into(), parts.clock.clone());
        let receiver = PushReceiver::new(inbox, sender.unwrap()).of_subscription(SUBSCRIPTION.into());
        let connections = Connected::new(accounts, schedule.clone());
        let people = People::new(database.clone()).unwrap();
        let state = WebState::new(crm.clone(), people, Arc::new(connections))
            .open_to(Person::everybody(tenant, user));
        let pages = router(state).merge(push_router(Arc::new(receiver)));
        tokio::spawn(async move { axum::serve(listener, pages).await });
        // The first pass, which watches the mailbox.
        while sim.mailbox(MAILBOX).unwrap().watches.is_empty() {
            tokio::time::sleep(REST).await;
        }
        tokio::time::sleep(REST).await;
        sim.take_notifications();
        Self {
            sim,
            events: crm.subscribe(),
            endpoint: PushEndpoint {
                audience: url.clone(),
                url,
                service_account: ROBOT.into(),
                subscription: SUBSCRIPTION.into(),
            },
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            _schedule: schedule,
            _google: google,
        }
    }

    /// Mail comes, of a new thread or of a known one, and its notification is posted: how long it then takes until
    /// the CRM has the message, ms.
    async fn arrives(&mut self, number: usize, answers: Option<usize>) -> f64 {
        let (subject, reference) = match answers {
            Some(thread) => {
                let root = thread * 2;
                let reference = format!("In-Reply-To: <{root}@x>\r\nReferences: <{root}@x>\r\n");
                (format!("Re: Subject {root}"), reference)
            }
            None => (format!("Subject {number}"), String::new()),
        };
        let raw = format!(
            "From: Ann <{ANN}>\r\nTo: {MAILBOX}\r\nSubject: {subject}\r\nMessage-ID: <{number}@x>\r\n{reference}\
             MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>This is message {number}.</p>\r\n"
        );
        self.sim.deliver(&Delivery::new(MAILBOX, raw)).unwrap();
        let push = self.sim.take_pushes(&self.endpoint).pop().unwrap();
        let (head, body) = push.into_parts();
        let request = self
            .client
            .post(&self.endpoint.url)
            .headers(head.headers)
            .body(body);
        let began = Instant::now();
        let (answer, took) = tokio::join!(request.send(), stored(&mut self.events, began));
        assert_eq!(answer.unwrap().status(), http::StatusCode::OK);
        tokio::time::sleep(REST).await;
        took.as_secs_f64() * 1e3
    }
}

/// How long it takes until the CRM says that it has a new message.
async fn stored(events: &mut broadcast::Receiver<CrmEvent>, since: Instant) -> Duration {
    loop {
        if let CrmEvent::MessageStored { .. } = events.recv().await.unwrap() {
            return since.elapsed();
        }
    }
}

/// As the program puts it together.
async fn host(
    folder: &Path,
    database: &Database,
    crm: &EmbeddedCrm,
    sim: &Sim,
    google: &str,
) -> (Host, OAuthVault) {
    let bytes: bytes::Bytes = std::fs::read(component()).unwrap().into();
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let plugin = sandbox.load(bytes.clone()).await.unwrap();
    let trial = SandboxConfig {
        allocation: Allocation::OnDemand,
        cache: Some(folder.join("cache")),
        ..SandboxConfig::default()
    };
    let releases = ReleaseStore::new(database.clone()).unwrap();
    let plugins = Plugins::open(sandbox, trial, releases, plugin.clone(), bytes).await;
    let vault = vault(database, google, &plugin.manifest().scopes);
    let grants = Grants::parse(&plugin.manifest().origins).unwrap();
    let wire = Arc::new(SimWire::new(sim.clone()));
    let egress = Egress::over(wire.clone(), wire, grants);
    let state = SqliteStore::new(database.clone()).unwrap();
    let mut parts = Parts::new(
        plugin,
        &state,
        Arc::new(vault.clone()),
        Arc::new(crm.clone()),
        Arc::new(egress),
    )
    .unwrap();
    parts.plugins = plugins.unwrap();
    parts.audits = Arc::new(SqliteAudits::new(database.clone()).unwrap());
    let penalties = Arc::new(SqlitePenalties::new(database.clone()).unwrap());
    let buckets = TokenBuckets::keeping(parts.clock.clone(), RATES, penalties).await;
    parts.quota = Arc::new(buckets.unwrap());
    (Host::new(parts).unwrap(), vault)
}

fn vault(database: &Database, google: &str, scopes: &[String]) -> OAuthVault {
    let demo = gmail_sim::Client::demo();
    let sign_in = ["openid".to_owned(), "email".to_owned()];
    let client = ClientConfig {
        client_id: demo.id,
        client_secret: demo.secret.unwrap_or_default().into(),
        redirect_uri: "http://127.0.0.1:9/oauth/callback".to_owned(),
        scopes: sign_in.into_iter().chain(scopes.iter().cloned()).collect(),
    };
    let provider = Provider::new(endpoints(google), client).unwrap();
    let keys = SealingKeys::new(SealingKey::from_bytes(&[7; 32]), Vec::new());
    OAuthVault::new(database.clone(), keys, provider, Arc::new(SystemClock)).unwrap()
}

fn endpoints(google: &str) -> Endpoints {
    let at = |path: &str| format!("{google}{path}");
    Endpoints {
        authorize: at("/o/oauth2/v2/auth"),
        token: at("/token"),
        revoke: at("/revoke"),
        jwks: at("/oauth2/v3/certs"),
        userinfo: at("/v1/userinfo"),
        ..Endpoints::default()
    }
}

/// The user consents.
async fn connect(accounts: &Accounts, sim: &Sim, tenant: &TenantId, user: &UserId) {
    let session = "a browser";
    sim.set_consent(Consent::Auto {
        account: Some(MAILBOX.to_owned()),
        decision: Decision::All,
    });
    let wanted = Wanted {
        address: Some(MAILBOX.to_owned()),
        ..Wanted::default()
    };
    let page = accounts.begin(tenant, user, session, wanted).await.unwrap();
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let answer = browser.get(page).send().await.unwrap();
    let back = reqwest::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    let value = |wanted: &str| {
        let found = back.query_pairs().find(|(name, _)| name == wanted);
        found.unwrap().1.into_owned()
    };
    let callback = Callback::Code(value("code").into());
    let connected = accounts.finish(&value("state"), session, callback).await;
    connected.unwrap();
}
