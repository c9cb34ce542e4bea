//! One mailbox in one process: the real component in the real sandbox, the simulator behind the HTTP
//! capability without a socket, store and CRM in memory.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http;
use bytes::Bytes;
use gmail_sim::{Config, Sim};
use twinbox_host::{
    body::Body,
    capability::{Capabilities, RECORDED_BYTES, Recorder},
    clock::{Clock, SystemClock},
    contract::{Field, Report, Trigger},
    crm::{EmbeddedCrm, NewContact},
    egress::{Failure, Http, Request, RequestBudget, Response},
    quota::Unmetered,
    random::SeededRandom,
    release::release_of,
    sandbox::{Ended, Limits, Pass, Plugin, Sandbox, SandboxConfig},
    scope::{ConnectionId, Scope, TenantId, UserId},
    sharing::Solo,
    store::{SqliteStore, Store},
    trace::{CONTRACT, Call, End, FORMAT, Header, Redaction, Trace, VERSION},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

use crate::programs::component;

/// What the grant allows.
pub const SCOPE: &str = "https://www.googleapis.com/auth/gmail.modify";

/// The component, compiled, in a sandbox of its own.
pub async fn plugin() -> Arc<Plugin> {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    sandbox.load_file(&component()).await.unwrap()
}

/// One mailbox and what the sync keeps of it.
pub struct World {
    /// The simulated Gmail.
    pub sim: Sim,
    /// The CRM.
    pub crm: EmbeddedCrm,
    plugin: Arc<Plugin>,
    capabilities: Capabilities,
}

impl World {
    /// A mailbox with these contacts, connected.
    pub async fn connected(plugin: Arc<Plugin>, mailbox: &str, contacts: &[String]) -> Self {
        let sim = Sim::new(Config::default());
        sim.create_user(mailbox, "Me");
        let token = sim.issue_token(mailbox, &[SCOPE]).unwrap().access_token;
        let scope = Scope {
            tenant: TenantId::new("t"),
            user: UserId::new("u"),
            connection: ConnectionId::new("c"),
            account: "account".into(),
        };
        let crm = EmbeddedCrm::in_memory().unwrap();
        crm.create_tenant(&scope.tenant, "T").await.unwrap();
        for address in contacts {
            let contact = NewContact {
                name: address.clone(),
                addresses: vec![address.clone()],
                ..NewContact::default()
            };
            crm.create_contact(&scope.tenant, contact).await.unwrap();
        }
        let store = SqliteStore::in_memory().unwrap();
        let lease = store
            .acquire(&scope.connection, 0, u64::MAX / 4)
            .await
            .unwrap()
            .unwrap();
        let capabilities = Capabilities {
            store: Arc::new(store),
            vault: Arc::new(OneGrant(grant(mailbox))),
            crm: Arc::new(crm.clone()),
            quota: Arc::new(Unmetered::new(Arc::new(SystemClock))),
            sharing: Arc::new(Solo),
            clock: Arc::new(SystemClock),
            random: Arc::new(SeededRandom::new(1)),
            http: Arc::new(SimHttp::new(sim.clone(), &token)),
            ..Capabilities::denying(scope, lease)
        };
        let world = Self {
            sim,
            crm,
            plugin,
            capabilities,
        };
        world
            .pass()
            .connect(None, String::new())
            .await
            .result
            .unwrap()
            .unwrap();
        world
    }

    /// The tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.capabilities.scope.tenant
    }

    /// A pass of the connection.
    pub fn pass(&self) -> Pass {
        self.plugin.pass(self.capabilities.clone(), Limits::default())
    }

    /// One run, recorded.
    pub async fn record(&self) -> Trace {
        let recorder = Recorder::new(RECORDED_BYTES);
        let capabilities = self.capabilities.clone().recorded(&recorder);
        let pass = self.plugin.pass(capabilities, Limits::default());
        let call = Call::Run {
            trigger: Trigger::Manual,
            settings: String::new(),
        };
        let ended = recorder.drive(pass.run(Trigger::Manual, String::new())).await;
        Trace {
            header: Header {
                format: FORMAT.to_owned(),
                version: VERSION,
                contract: CONTRACT.to_owned(),
                plugin: release_of(&self.plugin),
                scope: self.capabilities.scope.clone(),
                limits: Limits::default(),
                call,
                recorded_at: SystemClock.now(),
                redaction: Redaction::None,
            },
            steps: recorder.take().unwrap(),
            end: End::Returned {
                value: serde_json::json!({ "ok": ended.result.unwrap() }),
            },
        }
    }

    /// One run.
    pub async fn run(&self) -> Ended<Report> {
        self.pass().run(Trigger::Manual, String::new()).await
    }
}

/// The grant of a mailbox, with the scope that is needed.
pub fn grant(mailbox: &str) -> Grant {
    Grant {
        subject: "account".into(),
        email: mailbox.into(),
        scopes: vec![SCOPE.into()],
    }
}

/// A vault with one grant, whose token [`SimHttp`] attaches itself.
pub struct OneGrant(pub Grant);

#[async_trait]
impl Vault for OneGrant {
    async fn grant(&self, _: &ConnectionId) -> Result<Grant, VaultError> {
        Ok(self.0.clone())
    }

    async fn access_token(
        &self,
        _: &ConnectionId,
        _: Freshness,
    ) -> Result<secrecy::SecretString, VaultError> {
        Err(VaultError::NoGrant)
    }

    async fn holders(&self, _: &ConnectionId) -> Result<Holders, VaultError> {
        Ok(Holders::Last)
    }

    async fn release(&self, _: &ConnectionId) -> Result<(), VaultError> {
        Ok(())
    }
}

/// The simulator as the way out: no socket between.
pub struct SimHttp {
    sim: Sim,
    authorization: String,
}

impl SimHttp {
    /// Requests carry this access token.
    pub fn new(sim: Sim, token: &str) -> Self {
        Self {
            sim,
            authorization: format!("Bearer {token}"),
        }
    }

    /// The answer to a request: status, header fields, body.
    pub fn answer(
        &self,
        method: &str,
        url: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> (u16, Vec<(String, String)>, Bytes) {
        let mut request = http::Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", &self.authorization);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let response = self.sim.handle(request.body(body).unwrap());
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        (parts.status.as_u16(), headers.collect(), body)
    }
}

#[async_trait]
impl Http for SimHttp {
    async fn send(&self, _: &Scope, budget: &RequestBudget, request: Request) -> Result<Response, Failure> {
        budget.take()?;
        let content_type = request
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case("content-type"))
            .map(|field| field.value.clone());
        let body = request.body.collect(usize::MAX).await.unwrap();
        let (status, headers, body) =
            self.answer(&request.method, &request.url, content_type.as_deref(), body);
        let length = Some(body.len() as u64);
        let inline = usize::try_from(request.inline_limit).unwrap_or(usize::MAX);
        Ok(Response {
            status,
            headers: headers
                .into_iter()
                .map(|(name, value)| Field { name, value })
                .collect(),
            body: Body::Inline(body).inline_up_to(inline).await.unwrap(),
            length,
        })
    }
}
