//! One sandbox for all tests, and a world in memory for each.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use tokio::sync::OnceCell;
use twinbox_host::{
    body::Body,
    capability::{Capabilities, Denying, Line, LogSink},
    clock::SystemClock,
    contract::{
        Attachment, ChangePage, Contact, Features, Field, Message, MessageUpdate, Outbound, OutboundOutcome,
        Problem, PutOutcome, Report, Trigger, UpdateOutcome,
    },
    crm::{Crm, CrmError},
    egress::{ClientError, Egress, EgressLimits, Grants, HttpClient, Outgoing, Policy, Resolver, Response},
    quota::Unmetered,
    random::SeededRandom,
    sandbox::{Ended, Limits, Plugin, Sandbox, SandboxConfig},
    scope::{ConnectionId, Scope, TenantId, UserId},
    sharing::Solo,
    store::{Change, CommitError, Entry, Expectation, Lease, Page, Store, StoreError},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

/// The probe as it was built.
pub(crate) fn component() -> PathBuf {
    std::env::var_os("PROBE_COMPONENT").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../target/components/probe.wasm"
            ))
        },
        PathBuf::from,
    )
}

/// The probe, compiled once: every test may be a process of its own.
pub(crate) async fn probe() -> Arc<Plugin> {
    static PROBE: OnceCell<Arc<Plugin>> = OnceCell::const_new();
    PROBE
        .get_or_init(|| async {
            let config = SandboxConfig {
                cache: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/probe-cache").into()),
                ..SandboxConfig::default()
            };
            let sandbox = Sandbox::new(config).unwrap();
            sandbox.load_file(&component()).await.unwrap()
        })
        .await
        .clone()
}

/// Runs one command of the probe.
pub(crate) async fn command(world: &World, limits: Limits, command: &str) -> Ended<Report> {
    let pass = probe().await.pass(world.capabilities(), limits);
    pass.run(Trigger::Manual, command.into()).await
}

/// What the probe said.
pub(crate) fn said(ended: &Ended<Report>) -> &str {
    match ended.result.as_ref().unwrap().problem.as_ref() {
        Some(Problem::Other(text)) => text,
        other => panic!("the probe said {other:?}"),
    }
}

/// Limits that end a test soon.
pub(crate) fn tight() -> Limits {
    Limits {
        memory: 16 << 20,
        cpu: Duration::from_millis(200),
        wall: Duration::from_secs(20),
        requests: 10,
        ..Limits::default()
    }
}

pub(crate) fn scope(tenant: &str) -> Scope {
    Scope {
        tenant: TenantId::new(tenant),
        user: UserId::new("u"),
        connection: ConnectionId::new(format!("{tenant}-c")),
        account: "account".into(),
    }
}

/// One tenant's surroundings; the store may be shared.
pub(crate) struct World {
    pub(crate) scope: Scope,
    pub(crate) fence: u64,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) crm: Arc<Attachments>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) net: Arc<Net>,
    pub(crate) vault: Arc<Tokens>,
    pub(crate) policy: Policy,
    pub(crate) host_grants: Grants,
    pub(crate) limits: EgressLimits,
}

impl World {
    pub(crate) fn new(tenant: &str) -> Self {
        let granted = Grants::parse(["https://mail.example", "https://inside.example"]).unwrap();
        Self {
            scope: scope(tenant),
            fence: 1,
            store: Arc::default(),
            crm: Arc::default(),
            lines: Arc::default(),
            net: Arc::default(),
            vault: Arc::default(),
            policy: Policy {
                manifest: Grants::parse([
                    "https://mail.example",
                    "https://other.example",
                    "https://inside.example",
                ])
                .unwrap(),
                credential: Grants::parse(["https://mail.example"]).unwrap(),
                tenant: granted.clone(),
            },
            host_grants: granted,
            limits: EgressLimits::default(),
        }
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        let lease = Lease {
            connection: self.scope.connection.clone(),
            fence: self.fence,
        };
        let egress = Egress::new(self.host_grants.clone())
            .unwrap()
            .client(self.net.clone())
            .resolver(self.net.clone())
            .limits(self.limits);
        let outlet = Arc::new(egress).outlet(self.policy.clone(), self.vault.clone());
        Capabilities {
            store: self.store.clone(),
            vault: self.vault.clone(),
            crm: self.crm.clone(),
            quota: Arc::new(Unmetered::new(Arc::new(SystemClock))),
            sharing: Arc::new(Solo),
            clock: Arc::new(SystemClock),
            random: Arc::new(SeededRandom::new(1)),
            http: Arc::new(outlet),
            log: self.lines.clone(),
            ..Capabilities::denying(self.scope.clone(), lease)
        }
    }
}

type Keys = BTreeMap<(ConnectionId, String), (u64, Vec<u8>)>;

/// A store in memory; a fence is old once a higher one was seen.
#[derive(Default)]
pub(crate) struct MemoryStore {
    keys: Mutex<Keys>,
    fences: Mutex<HashMap<ConnectionId, u64>>,
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, of: &ConnectionId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let held = self.keys.lock().unwrap();
        Ok(keys
            .iter()
            .map(|key| {
                let (version, value) = held.get(&(of.clone(), key.clone()))?;
                Some(Entry {
                    key: key.clone(),
                    version: *version,
                    value: value.clone(),
                })
            })
            .collect())
    }

    async fn scan(&self, _: &ConnectionId, _: &str, _: Option<&str>, _: u32) -> Result<Page, StoreError> {
        Ok(Page::default())
    }

    async fn commit(
        &self,
        lease: &Lease,
        expected: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let mut fences = self.fences.lock().unwrap();
        let latest = fences.entry(lease.connection.clone()).or_default();
        if *latest > lease.fence {
            return Err(CommitError::Fenced);
        }
        *latest = lease.fence;
        let mut held = self.keys.lock().unwrap();
        let version = |held: &Keys, key: &str| held.get(&(lease.connection.clone(), key.into())).map(|e| e.0);
        if expected.iter().any(|e| version(&held, &e.key) != e.version) {
            return Err(CommitError::Stale(Vec::new()));
        }
        for change in changes {
            let next = version(&held, &change.key).unwrap_or(0) + 1;
            let value = change.value.clone().unwrap_or_default();
            held.insert((lease.connection.clone(), change.key.clone()), (next, value));
        }
        Ok(())
    }

    async fn acquire(&self, _: &ConnectionId, _: u64, _: u64) -> Result<Option<Lease>, StoreError> {
        Ok(None)
    }

    async fn renew(&self, _: &Lease, _: u64) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn release(&self, _: &Lease) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A CRM that takes attachments and counts their bytes.
#[derive(Default)]
pub(crate) struct Attachments {
    pub(crate) stored: Mutex<Vec<usize>>,
    pub(crate) broken: Mutex<Vec<io::ErrorKind>>,
}

#[async_trait]
impl Crm for Attachments {
    fn features(&self) -> Features {
        Denying.features()
    }

    async fn find_contacts(&self, of: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        Denying.find_contacts(of, addresses).await
    }

    async fn put_messages(&self, of: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        Denying.put_messages(of, messages).await
    }

    async fn find_messages(&self, of: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        Denying.find_messages(of, keys).await
    }

    async fn update_messages(
        &self,
        of: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        Denying.update_messages(of, updates).await
    }

    async fn put_attachment(
        &self,
        _: &Scope,
        _: &str,
        _: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        match content.collect(200 << 20).await {
            Ok(bytes) => {
                self.stored.lock().unwrap().push(bytes.len());
                Ok(PutOutcome::Stored(bytes.len().to_string()))
            }
            Err(error) => {
                self.broken.lock().unwrap().push(error.kind());
                Err(CrmError::Unavailable(error.to_string()))
            }
        }
    }

    async fn open_attachment(&self, of: &Scope, outbound: &str, attachment: &str) -> Result<Body, CrmError> {
        Denying.open_attachment(of, outbound, attachment).await
    }

    async fn changes(&self, of: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError> {
        Denying.changes(of, cursor, limit).await
    }

    async fn next_outbound(&self, of: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        Denying.next_outbound(of, limit).await
    }

    async fn report_outbound(&self, of: &Scope, id: &str, outcome: &OutboundOutcome) -> Result<(), CrmError> {
        Denying.report_outbound(of, id, outcome).await
    }
}

#[derive(Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<Line>>);

impl LogSink for Lines {
    fn write(&self, _: &Scope, line: Line) {
        self.0.lock().unwrap().push(line);
    }
}

pub(crate) const TOKEN: &str = "ya29.first-secret";
pub(crate) const NEWER_TOKEN: &str = "ya29.second-secret";

/// A vault with one token and a newer one.
#[derive(Default)]
pub(crate) struct Tokens;

#[async_trait]
impl Vault for Tokens {
    async fn grant(&self, _: &ConnectionId) -> Result<Grant, VaultError> {
        Ok(Grant {
            subject: "1".into(),
            email: "me@mail.example".into(),
            scopes: vec!["mail".into()],
        })
    }

    async fn access_token(&self, _: &ConnectionId, freshness: Freshness) -> Result<SecretString, VaultError> {
        Ok(match freshness {
            Freshness::Valid => TOKEN.into(),
            Freshness::Refreshed => NEWER_TOKEN.into(),
        })
    }

    async fn holders(&self, _: &ConnectionId) -> Result<Holders, VaultError> {
        Ok(Holders::Others)
    }

    async fn release(&self, _: &ConnectionId) -> Result<(), VaultError> {
        Ok(())
    }
}

/// What reached the wire.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) bearer: Option<String>,
}

/// A network in memory. The path says what it answers: `/size/N` streams N bytes, `/short/N` breaks
/// half-way, `/unsized/N` streams without a length, `/hang` never answers, `/401` wants the newer token, and
/// `/redirect` and `/redirect-inside` lead to a metadata service, by its address and by a name.
#[derive(Default)]
pub(crate) struct Net {
    pub(crate) sent: Mutex<Vec<Sent>>,
}

#[async_trait]
impl HttpClient for Net {
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError> {
        use secrecy::ExposeSecret;
        let bearer = request
            .bearer
            .as_ref()
            .map(|token| token.expose_secret().to_owned());
        self.sent.lock().unwrap().push(Sent {
            url: request.url.to_string(),
            addresses: request.addresses.iter().map(ToString::to_string).collect(),
            bearer: bearer.clone(),
        });
        let path = request.url.path().to_owned();
        let mut steps = path.trim_start_matches('/').split('/');
        let (what, size) = (
            steps.next().unwrap_or(""),
            steps.next().map_or(0, |n| n.parse().unwrap_or(0)),
        );
        let location = match what {
            "redirect" => Some("http://169.254.169.254/latest/meta-data/"),
            "redirect-inside" => Some("https://inside.example/latest/meta-data/"),
            _ => None,
        };
        let answer = |status, body, length| {
            let mut headers = vec![
                Field {
                    name: "set-cookie".into(),
                    value: "session=1".into(),
                },
                Field {
                    name: "etag".into(),
                    value: "1".into(),
                },
            ];
            headers.extend(location.map(|value| Field {
                name: "location".into(),
                value: value.into(),
            }));
            Ok(Response {
                status,
                headers,
                body,
                length,
            })
        };
        match what {
            "size" => answer(200, parts(size, size), Some(size)),
            "unsized" => answer(200, parts(size, size), None),
            "short" => answer(200, parts(size, size / 2), Some(size)),
            "short-unsized" => answer(200, parts(size, size / 2), None),
            "401" if bearer.as_deref() != Some(NEWER_TOKEN) => answer(401, Body::Empty, None),
            "redirect" | "redirect-inside" => answer(302, Body::Empty, None),
            "hang" => std::future::pending().await,
            _ => answer(200, Body::Inline(Bytes::from_static(b"hello")), None),
        }
    }
}

/// `given` bytes of `whole`, then an error if that is not all.
fn parts(whole: u64, given: u64) -> Body {
    let part = Bytes::from(vec![9; 64 << 10]);
    let parts = futures_util::stream::unfold(Some(given), move |left| {
        let part = part.clone();
        async move {
            match left? {
                0 if given < whole => Some((Err(io::ErrorKind::ConnectionReset.into()), None)),
                0 => None,
                left => {
                    let size = left.min(part.len() as u64);
                    Some((
                        Ok(part.slice(..usize::try_from(size).unwrap())),
                        Some(left - size),
                    ))
                }
            }
        }
    });
    Body::Stream(Box::pin(parts))
}

#[async_trait]
impl Resolver for Net {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(match name {
            "mail.example" => vec!["93.184.216.34".parse().unwrap()],
            "inside.example" => vec![
                "93.184.216.34".parse().unwrap(),
                "169.254.169.254".parse().unwrap(),
            ],
            _ => Vec::new(),
        })
    }
}
