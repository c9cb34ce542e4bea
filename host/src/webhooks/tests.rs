use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{sender::send_due, *};
use crate::{
    body::Body,
    clock::{Clock, ManualClock},
    contract::{Content, Direction, Flags, Mailbox, Message, MessageUpdate},
    crm::{Crm, EmbeddedCrm, NewContact},
    egress::{AddressRule, ClientError, HttpClient, Outgoing, Resolver, Response},
    scope::{ConnectionId, Scope, UserId},
    sqlite::Database,
    store::{Announced, Connection, ConnectionStatus, Put, Registry, SqliteStore, Standing},
};

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 24 * 3_600_000;

/// What a receiver was sent.
#[derive(Clone, Debug)]
struct Sent {
    url: String,
    id: String,
    at: u64,
    signature: String,
    body: String,
}

impl Sent {
    fn says(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver that answers as it is told, and the way there.
struct Receiver {
    status: Mutex<u16>,
    sent: Mutex<Vec<Sent>>,
    address: IpAddr,
}

#[async_trait]
impl HttpClient for Receiver {
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError> {
        assert!(
            request
                .addresses
                .iter()
                .all(|address| address.ip() == self.address)
        );
        let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        let Body::Inline(body) = &request.body else {
            panic!("a body in one piece");
        };
        self.sent.lock().unwrap().push(Sent {
            url: request.url.to_string(),
            id: header("webhook-id"),
            at: header("webhook-timestamp").parse().unwrap(),
            signature: header("webhook-signature"),
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        Ok(Response {
            status: *self.status.lock().unwrap(),
            headers: Vec::new(),
            body: Body::Empty,
            length: None,
        })
    }
}

#[async_trait]
impl Resolver for Receiver {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.address])
    }
}

struct World {
    webhooks: Webhooks,
    crm: EmbeddedCrm,
    store: SqliteStore,
    clock: Arc<ManualClock>,
    receiver: Arc<Receiver>,
    receivers: Receivers,
}

impl World {
    async fn new() -> Self {
        Self::reaching(Ipv4Addr::new(93, 184, 216, 34).into()).await
    }

    /// Every name leads there.
    async fn reaching(address: IpAddr) -> Self {
        let database = Database::in_memory().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let store = SqliteStore::new(database.clone()).unwrap();
        let crm = EmbeddedCrm::with_clock(database.clone(), clock.clone()).unwrap();
        for name in ["t", "other"] {
            crm.create_tenant(&TenantId::new(name), name).await.unwrap();
            let user = UserId::new("ann");
            crm.create_user(&TenantId::new(name), &user, "Ann").await.unwrap();
        }
        let receiver = Arc::new(Receiver {
            status: Mutex::new(204),
            sent: Mutex::default(),
            address,
        });
        Self {
            webhooks: Webhooks::new(database).unwrap(),
            crm,
            store,
            clock,
            receivers: Receivers::over(receiver.clone(), receiver.clone(), AddressRule::PublicOnly),
            receiver,
        }
    }

    async fn tells(&self, tenant: &str, url: &str) -> (Endpoint, SecretString) {
        let tenant = TenantId::new(tenant);
        self.webhooks.add(&tenant, url, self.clock.now()).await.unwrap()
    }

    /// Sends what is to be sent now, and says what was.
    async fn told(&self) -> Vec<Sent> {
        while send_due(&self.webhooks, &self.receivers, &*self.clock)
            .await
            .unwrap()
            > 0
        {}
        std::mem::take(&mut self.receiver.sent.lock().unwrap())
    }

    fn answers(&self, status: u16) {
        *self.receiver.status.lock().unwrap() = status;
    }

    async fn contact(&self) -> String {
        let contact = NewContact {
            name: "Bob".into(),
            addresses: vec!["bob@out.example".into()],
            ..NewContact::default()
        };
        self.crm
            .create_contact(&TenantId::new("t"), contact)
            .await
            .unwrap()
    }

    async fn comes(&self, contact: &str, key: &str) {
        let messages = [message(contact, key)];
        self.crm.put_messages(&scope("t"), &messages).await.unwrap();
    }

    async fn list(&self) -> Endpoint {
        self.webhooks.list(&TenantId::new("t")).await.unwrap().remove(0)
    }
}

fn scope(tenant: &str) -> Scope {
    Scope {
        tenant: TenantId::new(tenant),
        user: UserId::new("ann"),
        connection: ConnectionId::new("c"),
        account: "sub".into(),
    }
}

fn message(contact: &str, key: &str) -> Message {
    let mailbox = |address: &str| Mailbox {
        name: None,
        address: address.into(),
    };
    Message {
        key: key.into(),
        thread: "thread".into(),
        contact_id: contact.into(),
        direction: Direction::Inbound,
        message_id: None,
        subject: "A secret".into(),
        sender: mailbox("bob@out.example"),
        reply_to: Vec::new(),
        to: vec![mailbox("me@corp.example")],
        cc: Vec::new(),
        bcc: Vec::new(),
        received_at: NOW - 1_000,
        dated_at: None,
        content: Content {
            text: "Nobody else's business".into(),
            quoted_at: None,
            html: None,
            truncated: false,
        },
        attachments: Vec::new(),
        flags: Flags {
            unread: true,
            starred: false,
            archived: false,
            trashed: false,
        },
        authentication: None,
        rule: "S10".into(),
    }
}

fn connection(status: ConnectionStatus) -> Connection {
    Connection {
        scope: scope("t"),
        address: "me@corp.example".into(),
        status,
        settings: "{}".into(),
        created_at: NOW,
        last_run_at: None,
        next_run_at: None,
        failures: 0,
        problem: None,
        announced: Announced::default(),
        standing: Standing::default(),
        revision: 0,
    }
}

#[tokio::test]
async fn a_message_that_comes_and_changes_is_told_of_signed_and_without_what_it_says() {
    let world = World::new().await;
    let (_, secret) = world.tells("t", "https://crm.example/hook").await;
    let contact = world.contact().await;
    world.comes(&contact, "k").await;
    let told = world.told().await;
    assert_eq!(told.len(), 1);
    let says = told[0].says();
    assert_eq!(says["type"], "message.created");
    assert_eq!(says["data"]["contact"], contact.as_str());
    assert_eq!(says["data"]["connection"], "c");
    assert_eq!(says["data"]["direction"], "inbound");
    assert_eq!(says["data"]["unread"], true);
    assert_eq!(says["data"]["delivery"], "mailbox");
    assert!(!told[0].body.contains("secret") && !told[0].body.contains("business"));
    assert_eq!(told[0].url, "https://crm.example/hook");
    assert_eq!(told[0].at, NOW / 1_000);
    let expected = sign(&secret, &told[0].id, told[0].at, &told[0].body);
    assert_eq!(told[0].signature, expected);

    let read = MessageUpdate {
        key: "k".into(),
        flags: Some(Flags {
            unread: false,
            starred: true,
            archived: false,
            trashed: false,
        }),
        deleted: false,
        released: false,
        retracted: None,
        undelivered: Vec::new(),
    };
    for _ in 0..2 {
        let updates = std::slice::from_ref(&read);
        world.crm.update_messages(&scope("t"), updates).await.unwrap();
    }
    let told = world.told().await;
    assert_eq!(told.len(), 1, "what changes nothing is no event");
    assert_eq!(told[0].says()["type"], "message.updated");
    assert_eq!(told[0].says()["data"]["starred"], true);
}

#[tokio::test]
async fn a_connection_is_told_of_when_its_state_changes_and_not_after_each_pass() {
    let world = World::new().await;
    world.tells("t", "https://crm.example/hook").await;
    let mut row = connection(ConnectionStatus::Active);
    for change in [None, Some(ConnectionStatus::NeedsReconnect), None] {
        row.status = change.unwrap_or(row.status);
        row.last_run_at = Some(row.last_run_at.unwrap_or(NOW) + 1_000);
        assert_eq!(world.store.put(&row).await.unwrap(), Put::Written);
        row.revision += 1;
    }
    let told: Vec<Value> = world.told().await.iter().map(Sent::says).collect();
    let states: Vec<&Value> = told.iter().map(|says| &says["data"]["status"]).collect();
    assert_eq!(states, [&json!("active"), &json!("needs-reconnect")]);
    assert_eq!(told[0]["type"], "connection.changed");
    assert_eq!(told[0]["data"]["address"], "me@corp.example");
}

#[tokio::test]
async fn s33_no_tenant_is_told_of_anothers_mail_nor_sees_its_webhooks() {
    let world = World::new().await;
    let (others, _) = world.tells("other", "https://other.example/hook").await;
    let contact = world.contact().await;
    world.comes(&contact, "k").await;
    let put = world.store.put(&connection(ConnectionStatus::Active)).await;
    assert_eq!(put.unwrap(), Put::Written);
    assert!(world.told().await.is_empty());
    let tenant = TenantId::new("t");
    assert!(world.webhooks.list(&tenant).await.unwrap().is_empty());
    let removed = world.webhooks.remove(&tenant, &others.id).await;
    assert!(matches!(removed, Err(WebhookError::NotFound)));
    let pinged = world.webhooks.ping(&tenant, &others.id, NOW).await;
    assert!(matches!(pinged, Err(WebhookError::NotFound)));
}

#[tokio::test]
async fn events_wait_in_their_order_while_the_receiver_is_away_and_have_the_same_id_again() {
    let world = World::new().await;
    world.tells("t", "https://crm.example/hook").await;
    let contact = world.contact().await;
    world.answers(503);
    for key in ["one", "two"] {
        world.comes(&contact, key).await;
    }
    let first = world.told().await;
    assert_eq!(first.len(), 1, "the second waits behind the first");
    assert!(world.told().await.is_empty(), "not at once again");
    let failing = world.list().await;
    assert_eq!(failing.failing_since, Some(NOW));
    assert_eq!(failing.error.as_deref(), Some("it answered 503"));
    assert_eq!(failing.waiting, 2);

    world.clock.advance(5_000);
    world.answers(200);
    let told = world.told().await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].id, first[0].id);
    assert!(told[0].at > first[0].at, "the time is that of the try");
    let working = world.list().await;
    assert_eq!((working.failing_since, working.waiting), (None, 0));
}

#[tokio::test]
async fn a_receiver_is_given_up_after_five_days_or_when_it_wants_no_more_and_a_ping_begins_again() {
    let world = World::new().await;
    let (endpoint, _) = world.tells("t", "https://crm.example/hook").await;
    let contact = world.contact().await;
    world.answers(500);
    for day in 0..7 {
        world.comes(&contact, &format!("k{day}")).await;
        world.told().await;
        world.clock.advance(DAY);
    }
    let given_up = world.list().await;
    assert!(given_up.is_given_up);
    assert_eq!(given_up.waiting, 0);
    world.comes(&contact, "after").await;
    assert!(world.told().await.is_empty());

    world.answers(200);
    let tenant = TenantId::new("t");
    let now = world.clock.now();
    world.webhooks.ping(&tenant, &endpoint.id, now).await.unwrap();
    let told = world.told().await;
    assert_eq!(told[0].says()["type"], "ping");
    assert!(!world.list().await.is_given_up);

    world.answers(410);
    world.comes(&contact, "gone").await;
    assert_eq!(world.told().await.len(), 1);
    assert!(world.list().await.is_given_up);
}

#[tokio::test]
async fn an_event_that_is_never_taken_gives_way_to_the_next() {
    let world = World::new().await;
    world.tells("t", "https://crm.example/hook").await;
    let contact = world.contact().await;
    world.comes(&contact, "poison").await;
    world.comes(&contact, "next").await;
    world.answers(500);
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.extend(world.told().await.into_iter().map(|sent| sent.id));
        world.clock.advance(3_600_000);
    }
    let tries = ids.iter().filter(|id| **id == ids[0]).count();
    assert_eq!(tries, 10);
    assert!(
        ids.len() > tries,
        "the next one has its turn before the receiver is given up"
    );
}

#[tokio::test]
async fn only_public_addresses_with_tls_are_told() {
    let world = World::new().await;
    for url in [
        "http://crm.example/hook",
        "https://user:password@crm.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "crm.example",
    ] {
        assert!(world.receivers.check(url).is_err(), "{url}");
    }
    let inside = World::reaching(Ipv4Addr::new(10, 0, 0, 7).into()).await;
    inside.tells("t", "https://intranet.example/hook").await;
    let contact = inside.contact().await;
    inside.comes(&contact, "k").await;
    assert!(inside.told().await.is_empty());
    let error = inside.list().await.error;
    assert_eq!(
        error.as_deref(),
        Some("its name leads to an address that is not public")
    );
}

#[tokio::test]
async fn a_tenant_has_only_so_many() {
    let world = World::new().await;
    for _ in 0..MOST_ENDPOINTS {
        world.tells("t", "https://crm.example/hook").await;
    }
    let tenant = TenantId::new("t");
    let more = world.webhooks.add(&tenant, "https://crm.example/hook", NOW);
    assert!(matches!(more.await, Err(WebhookError::Refused(_))));
    let (_, secret) = world.tells("other", "https://crm.example/hook").await;
    let shown = format!(
        "{:?}",
        world.webhooks.list(&TenantId::new("other")).await.unwrap()
    );
    assert!(!shown.contains(secret.expose_secret()));
}
