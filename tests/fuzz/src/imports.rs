//! The host's functions, called by a hostile component with arbitrary values, over the real store, CRM, quota and way
//! out: the host does not panic, the pass ends as a pass may end, and another tenant's entries and messages are what
//! they were.

use std::{
    fmt::Write as _,
    io,
    net::IpAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use twinbox_host::{
    Database,
    body::Body,
    capability::Capabilities,
    clock::Clock,
    contract::{Field, Trigger},
    crm::{Counts, EmbeddedCrm, NewContact},
    egress::{ClientError, Egress, Grants, HttpClient, Outgoing, Policy, Resolver, Response},
    quota::{Rates, TokenBuckets},
    random::SeededRandom,
    sandbox::{Limits, PassError, Plugin},
    scope::{ConnectionId, Scope, TenantId, UserId},
    sharing::{Sharing, SqliteSharing, Standing},
    store::{Change, Entry, Lease, SqliteStore, Store},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

use crate::exports::{load, runtime};

const LIMITS: Limits = Limits {
    memory: 32 << 20,
    table_elements: 20_000,
    cpu: Duration::from_secs(10),
    // Some calls wait for ever: what they wait for is the fuzzer's to choose.
    wall: Duration::from_millis(200),
    requests: 50,
    call_data: 128 << 20,
    handles: 1_000,
};

/// What the neighbour keeps.
const KEY: &str = "secret";
/// A contact that both tenants have, and that the one we guard keeps.
const ANN: &str = "ann@client.example";

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    runtime().block_on(async {
        let world = World::new().await;
        let before = world.neighbours().await;
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let pass = probe().pass(world.capabilities("theirs"), LIMITS);
        let ended = pass.run(Trigger::Manual, format!("arbitrary {hex}.")).await;
        match &ended.result {
            Ok(_) | Err(PassError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
        let next = probe()
            .pass(world.capabilities("theirs"), LIMITS)
            .run(Trigger::Manual, "nop".into())
            .await;
        assert!(next.result.is_ok(), "{:?}", next.result);
        assert_eq!(world.neighbours().await, before, "the neighbour's are touched");
    });
}

fn probe() -> &'static Arc<Plugin> {
    static PROBE: LazyLock<Arc<Plugin>> = LazyLock::new(|| load("probe.wasm"));
    &PROBE
}

/// Two tenants on one host.
struct World {
    store: Arc<SqliteStore>,
    crm: EmbeddedCrm,
    sharing: SqliteSharing,
    clock: Arc<Leaping>,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(Leaping(AtomicU64::new(1_790_000_000_000)));
        let database = Database::in_memory().expect("a database");
        let world = Self {
            store: Arc::new(SqliteStore::in_memory().expect("a store")),
            crm: EmbeddedCrm::in_memory().expect("a CRM"),
            sharing: SqliteSharing::new(database, clock.clone()).expect("claims"),
            clock,
        };
        let kept = world.sharing.claim(&scope("ours"), ANN).await;
        kept.expect("a claim");
        for tenant in ["ours", "theirs"] {
            let contact = NewContact {
                name: "Ann".into(),
                addresses: vec![ANN.into()],
                ..NewContact::default()
            };
            world
                .crm
                .create_tenant(&TenantId::new(tenant), tenant)
                .await
                .expect("a tenant");
            world
                .crm
                .create_contact(&TenantId::new(tenant), contact)
                .await
                .expect("a contact");
        }
        let connection = scope("ours").connection;
        let lease = world
            .store
            .acquire(&connection, 0, 1 << 60)
            .await
            .expect("a store")
            .expect("a lease");
        let change = Change {
            key: KEY.into(),
            value: Some(b"ours alone".to_vec()),
        };
        world
            .store
            .commit(&lease, &[], &[change])
            .await
            .expect("a commit");
        world
            .store
            .acquire(&scope("theirs").connection, 0, 1 << 60)
            .await
            .expect("a store")
            .expect("a lease");
        world
    }

    /// What the other tenant has.
    async fn neighbours(&self) -> (Vec<Entry>, Counts, Vec<Standing>) {
        let page = self
            .store
            .scan(&scope("ours").connection, "", None, 1_000)
            .await
            .expect("a page");
        let kept = self.sharing.standings(&scope("ours"), &[ANN.to_owned()]).await;
        (
            page.entries,
            self.crm.counts(&TenantId::new("ours")).await.expect("counts"),
            kept.expect("standings"),
        )
    }

    fn capabilities(&self, tenant: &str) -> Capabilities {
        let scope = scope(tenant);
        let lease = Lease {
            connection: scope.connection.clone(),
            fence: 1,
        };
        let policy = Policy {
            manifest: grants(&[
                "https://mail.example",
                "https://other.example",
                "https://inside.example",
            ]),
            credential: grants(&["https://mail.example"]),
            tenant: grants(GRANTED),
        };
        let clock = self.clock.clone();
        Capabilities {
            store: self.store.clone(),
            vault: Arc::new(OneGrant),
            crm: Arc::new(self.crm.clone()),
            quota: Arc::new(TokenBuckets::new(
                clock.clone(),
                Rates {
                    account: 6_000,
                    project: 100_000,
                },
            )),
            sharing: Arc::new(self.sharing.clone()),
            clock,
            random: Arc::new(SeededRandom::new(1)),
            http: Arc::new(egress().outlet(policy, Arc::new(OneGrant))),
            ..Capabilities::denying(scope, lease)
        }
    }
}

const GRANTED: &[&str] = &["https://mail.example", "https://inside.example"];

fn grants(origins: &[&str]) -> Grants {
    Grants::parse(origins).expect("origins")
}

/// The way out, made once: its client reads the machine's certificates.
fn egress() -> &'static Arc<Egress> {
    static EGRESS: LazyLock<Arc<Egress>> = LazyLock::new(|| {
        let egress = Egress::new(grants(GRANTED)).expect("a way out");
        Arc::new(egress.client(Arc::new(Net)).resolver(Arc::new(Net)))
    });
    &EGRESS
}

fn scope(tenant: &str) -> Scope {
    Scope {
        tenant: TenantId::new(tenant),
        user: UserId::new("u"),
        connection: ConnectionId::new(format!("{tenant}-c")),
        account: "account".into(),
    }
}

/// A network that answers what the path says: `/size/N`, `/unsized/N`, `/short/N`, `/401`, `/redirect`.
struct Net;

#[async_trait]
impl HttpClient for Net {
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError> {
        for address in &request.addresses {
            assert_eq!(
                address.ip(),
                IpAddr::from([93, 184, 216, 34]),
                "only what was checked is reached"
            );
        }
        assert_eq!(
            request.url.host_str().map(|host| host.trim_end_matches('.')),
            Some("mail.example"),
            "only what is granted is reached"
        );
        let path = request.url.path().to_owned();
        let mut steps = path.trim_start_matches('/').split('/');
        let (what, size) = (
            steps.next().unwrap_or_default(),
            steps.next().and_then(|size| size.parse().ok()).unwrap_or(10_u64),
        );
        let size = size.min(200_000);
        let status = match what {
            "401" => 401,
            "redirect" => 302,
            _ => 200,
        };
        let whole = Bytes::from(vec![9; usize::try_from(size).unwrap_or_default()]);
        let mut parts: Vec<io::Result<Bytes>> = whole
            .chunks(7_000)
            .map(|part| Ok(Bytes::copy_from_slice(part)))
            .collect();
        if what == "short" {
            parts.truncate(parts.len() / 2);
            parts.push(Err(io::ErrorKind::ConnectionReset.into()));
        }
        // Whoever sends a stream is read to its end.
        let _ = request.body.collect(64 << 20).await;
        Ok(Response {
            status,
            headers: vec![Field {
                name: "location".into(),
                value: "http://169.254.169.254/".into(),
            }],
            body: Body::Stream(Box::pin(stream::iter(parts))),
            length: (what != "unsized").then_some(size),
        })
    }
}

#[async_trait]
impl Resolver for Net {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(match name.trim_end_matches('.') {
            "mail.example" => vec![IpAddr::from([93, 184, 216, 34])],
            _ => vec![IpAddr::from([169, 254, 169, 254])],
        })
    }
}

/// A wait is over at once, and time has passed.
struct Leaping(AtomicU64);

#[async_trait]
impl Clock for Leaping {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    async fn sleep(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds.min(1 << 40), Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

struct OneGrant;

#[async_trait]
impl Vault for OneGrant {
    async fn grant(&self, _: &ConnectionId) -> Result<Grant, VaultError> {
        Ok(Grant {
            subject: "1".into(),
            email: "me@acme.example".into(),
            scopes: Vec::new(),
        })
    }

    async fn access_token(
        &self,
        _: &ConnectionId,
        _: Freshness,
    ) -> Result<secrecy::SecretString, VaultError> {
        Ok("ya29.secret".into())
    }

    async fn holders(&self, _: &ConnectionId) -> Result<Holders, VaultError> {
        Ok(Holders::Others)
    }

    async fn release(&self, _: &ConnectionId) -> Result<(), VaultError> {
        Ok(())
    }
}
