use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, http::StatusCode, routing::get};
use gmail_sim::{PushEndpoint, Sim, TokenFlaw};
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    contract::Trigger,
    schedule::Schedule,
    scope::{ConnectionId, Scope, TenantId, UserId},
    store::{Announced, Connection, ConnectionStatus, Put, Registry, SqliteStore, Standing, StoreError},
    vault::Endpoints,
};

mod pulling;
mod receiving;
mod verifying;

const NOW: u64 = 1_790_000_000_000;
const ANN: &str = "ann@gmail.com";
const AUDIENCE: &str = "https://crm.example.com/push/gmail";
const ROBOT: &str = "push@p.iam.gserviceaccount.com";
const SUBSCRIPTION: &str = "projects/p/subscriptions/s";

/// A receiver, a store with Ann's connection `c`, a Google that signs and publishes keys.
struct Setting {
    sim: Sim,
    issuer: Issuer,
    clock: ManualClock,
    time: Arc<std::sync::atomic::AtomicI64>,
    store: Arc<Rows>,
    woken: Arc<Woken>,
    receiver: PushReceiver,
}

impl Setting {
    async fn new() -> Self {
        let (sim_clock, time) = gmail_sim::Clock::manual(NOW.cast_signed());
        let sim = Sim::new(gmail_sim::Config {
            clock: sim_clock,
            ..gmail_sim::Config::default()
        });
        let issuer = Issuer::start(sim.clone()).await;
        let clock = ManualClock::at(NOW);
        let store = Arc::new(Rows::default());
        let woken = Arc::new(Woken::default());
        let setting = Self {
            receiver: receiver(&issuer, &clock, &store, &woken),
            sim,
            issuer,
            clock,
            time,
            store,
            woken,
        };
        setting.put(connection("t", "c", ANN)).await;
        setting
    }

    /// What Google would send with a push, if it had this flaw.
    fn authorization(&self, flaw: Option<TokenFlaw>) -> Option<String> {
        let token = self.sim.push_token(&endpoint(), flaw)?;
        Some(format!("Bearer {token}"))
    }

    async fn put(&self, connection: Connection) {
        assert_eq!(self.store.put(&connection).await.unwrap(), Put::Written);
    }

    async fn row(&self, id: &str) -> Connection {
        let found = self.store.find(&ConnectionId::new(id)).await.unwrap();
        found.unwrap()
    }

    /// A push request from our subscription.
    async fn push(&self, address: &str, history_id: impl Into<Value>) -> PushAnswer {
        let authorization = self.authorization(None);
        self.request(authorization.as_deref(), &envelope(address, history_id))
            .await
    }

    async fn request(&self, authorization: Option<&str>, body: &str) -> PushAnswer {
        match self.receiver.admit(authorization).await {
            Ok(()) => self.receiver.receive(body.as_bytes()).await,
            Err(answer) => answer,
        }
    }

    /// Time passes for everybody.
    fn advance(&self, milliseconds: u64) {
        self.clock.advance(milliseconds);
        self.time.fetch_add(milliseconds.cast_signed(), Ordering::SeqCst);
    }

    fn woken(&self) -> Vec<(String, Trigger)> {
        std::mem::take(&mut self.woken.0.lock().unwrap())
    }
}

fn endpoint() -> PushEndpoint {
    PushEndpoint {
        url: AUDIENCE.into(),
        audience: AUDIENCE.into(),
        service_account: ROBOT.into(),
        subscription: SUBSCRIPTION.into(),
    }
}

fn receiver(issuer: &Issuer, clock: &ManualClock, store: &Arc<Rows>, woken: &Arc<Woken>) -> PushReceiver {
    let inbox = Inbox::new(store.clone(), Arc::new(clock.clone()), woken.clone());
    let endpoints = Endpoints {
        jwks: issuer.url.clone(),
        ..Endpoints::default()
    };
    let clock = Arc::new(clock.clone());
    let sender = TrustedSender::new(&endpoints, AUDIENCE.into(), ROBOT.into(), clock).unwrap();
    PushReceiver::new(inbox, sender)
}

fn envelope(address: &str, history_id: impl Into<Value>) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let data = json!({"emailAddress": address, "historyId": history_id.into()}).to_string();
    json!({"message": {"data": STANDARD.encode(data), "messageId": "1"}, "subscription": SUBSCRIPTION})
        .to_string()
}

fn connection(tenant: &str, id: &str, address: &str) -> Connection {
    Connection {
        scope: Scope {
            tenant: TenantId::new(tenant),
            user: UserId::new("u"),
            connection: ConnectionId::new(id),
            account: "sub".into(),
        },
        address: address.into(),
        status: ConnectionStatus::Active,
        settings: String::new(),
        created_at: NOW,
        last_run_at: Some(NOW),
        next_run_at: None,
        failures: 0,
        problem: None,
        announced: Announced::default(),
        standing: Standing::default(),
        revision: 0,
    }
}

/// The issuer's keys on a local port.
struct Issuer {
    url: String,
    fetched: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
}

impl Issuer {
    async fn start(sim: Sim) -> Self {
        let (fetched, down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let state = (fetched.clone(), down.clone());
        let keys = move || {
            let (sim, (fetched, down)) = (sim.clone(), state.clone());
            async move {
                fetched.fetch_add(1, Ordering::SeqCst);
                // Long enough for callers to pile up.
                tokio::time::sleep(Duration::from_millis(50)).await;
                if down.load(Ordering::SeqCst) {
                    return Err(StatusCode::SERVICE_UNAVAILABLE);
                }
                let request = axum::http::Request::get("http://localhost/oauth2/v3/certs");
                let answer = sim.handle(request.body(bytes::Bytes::new()).unwrap());
                Ok(([("cache-control", "public, max-age=3600")], answer.into_body()))
            }
        };
        let router = Router::new().route("/certs", get(keys));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/certs", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, fetched, down }
    }

    fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

/// Notes who is woken.
#[derive(Default)]
struct Woken(Mutex<Vec<(String, Trigger)>>);

impl Schedule for Woken {
    fn wake(&self, connection: &ConnectionId, trigger: Trigger) {
        self.0.lock().unwrap().push((connection.to_string(), trigger));
    }
}

/// A registry that counts what is written, and can fail.
struct Rows {
    store: SqliteStore,
    written: AtomicUsize,
    down: AtomicBool,
    /// Somebody else writes each row just before the next write.
    overtaken: AtomicBool,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            store: SqliteStore::in_memory().unwrap(),
            written: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            overtaken: AtomicBool::new(false),
        }
    }
}

impl Rows {
    fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("down".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Registry for Rows {
    async fn put(&self, connection: &Connection) -> Result<Put, StoreError> {
        self.check()?;
        if self.overtaken.swap(false, Ordering::SeqCst) {
            let there = self.store.find(&connection.scope.connection).await?;
            if let Some(mut there) = there {
                there.failures += 1;
                let _ = self.store.put(&there).await?;
            }
        }
        self.written.fetch_add(1, Ordering::SeqCst);
        self.store.put(connection).await
    }

    async fn find(&self, id: &ConnectionId) -> Result<Option<Connection>, StoreError> {
        self.check()?;
        self.store.find(id).await
    }

    async fn list(&self) -> Result<Vec<Connection>, StoreError> {
        self.check()?;
        self.store.list().await
    }

    async fn of_mailbox(&self, address: &str) -> Result<Vec<Connection>, StoreError> {
        self.check()?;
        self.store.of_mailbox(address).await
    }
}
