use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use tower::ServiceExt;
use url::Url;

use super::*;
use crate::{
    accounts::Chosen,
    audit::AuditStanding,
    choices::{Choices, GOOGLE_CONTACTS, Wanted},
    clock::ManualClock,
    contract::{
        Attachment, Authentication, Content, Direction, Disposition, Explanation, Flags, Mailbox, Message,
        OptionalScope, OutboundOutcome, PreviewRange, Problem, PutOutcome, Subject, Trigger, WhenLimited,
    },
    crm::{Crm, Imported, Marks, NewContact},
    deliverability::{self, Question, Report, Table},
    egress::AddressRule,
    privacy::{AssignedUsers, Privacy},
    scope::{ConnectionId, Scope, TenantId, UserId},
    sqlite::Database,
    store::{Announced, Connection, ConnectionStatus, Registry, SqliteStore, Standing, ToldRegistry},
    vault::Callback,
    webhooks::{Receivers, Webhooks},
};

mod api;
mod audits;
mod connecting;
mod conversing;
mod importing;
mod operations;
mod privacy;
mod programs;
mod reading;
mod safety;
mod signing_in;
mod writing;

const NOW: u64 = 1_772_357_400_000;

/// Connections that note what is asked of them.
#[derive(Default)]
struct Links {
    list: Mutex<Vec<Connection>>,
    woken: Mutex<Vec<(ConnectionId, Trigger)>>,
    begun: Mutex<Vec<(String, Wanted)>>,
    chosen: Mutex<Vec<Choices>>,
    refusal: Mutex<Option<Problem>>,
    audited: Mutex<Vec<ConnectionId>>,
    audits: Mutex<HashMap<ConnectionId, AuditStanding>>,
    explained: Mutex<Vec<Explanation>>,
    asked: Mutex<Vec<Subject>>,
}

#[async_trait]
impl Connections for Links {
    async fn list(&self, _: &TenantId) -> Result<Vec<Connection>, Trouble> {
        Ok(self.list.lock().unwrap().clone())
    }

    async fn set_privacy(&self, id: &ConnectionId, privacy: &Privacy) -> Result<(), Trouble> {
        for known in self.list.lock().unwrap().iter_mut() {
            if known.scope.connection == *id {
                known.settings = privacy.in_settings(&known.settings);
            }
        }
        Ok(())
    }

    fn retract(&self, id: &ConnectionId) {
        self.wake(id, Trigger::Retract);
    }

    fn audit(&self, id: &ConnectionId) {
        self.audited.lock().unwrap().push(id.clone());
    }

    async fn explain(&self, _: &ConnectionId, subject: Subject) -> Result<Vec<Explanation>, Trouble> {
        self.asked.lock().unwrap().push(subject);
        Ok(self.explained.lock().unwrap().clone())
    }

    async fn preview(&self, id: &ConnectionId, range: PreviewRange) -> Result<Vec<Explanation>, Trouble> {
        self.explain(id, Subject::Preview(range)).await
    }

    async fn check_domain(&self, question: &Question) -> Result<Report, Trouble> {
        let table = Table::new().mx("example.com", 1, "smtp.google.com");
        Ok(deliverability::check(&table, question).await)
    }

    async fn begin(&self, _: &TenantId, _: &UserId, session: &str, wanted: Wanted) -> Result<Url, Trouble> {
        self.begun.lock().unwrap().push((session.into(), wanted));
        Ok(Url::parse("https://accounts.example/consent?state=s").unwrap())
    }

    async fn offers(&self) -> Vec<OptionalScope> {
        vec![OptionalScope {
            setting: GOOGLE_CONTACTS.into(),
            scope: "https://www.googleapis.com/auth/contacts.readonly".into(),
        }]
    }

    async fn choose(&self, _: &ConnectionId, choices: &Choices) -> Result<Chosen, Trouble> {
        self.chosen.lock().unwrap().push(choices.clone());
        let needs_consent = choices.has(GOOGLE_CONTACTS);
        Ok(if needs_consent {
            Chosen::ConsentNeeded
        } else {
            Chosen::Done
        })
    }

    async fn finish(&self, state: &str, session: &str, _: Callback) -> Result<Connection, Trouble> {
        if let Some(problem) = &*self.refusal.lock().unwrap() {
            return Err(problem.into());
        }
        let begun = self
            .begun
            .lock()
            .unwrap()
            .iter()
            .any(|(known, _)| known == session);
        if state != "s" || !begun {
            return Err(Trouble::new(
                "unknown-flow",
                "It is not under way.",
                "Start again.",
            ));
        }
        let made = connection("t", "ann", "c2");
        self.list.lock().unwrap().push(made.clone());
        Ok(made)
    }

    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), Trouble> {
        for known in self.list.lock().unwrap().iter_mut() {
            if known.scope.connection == *connection {
                known.status = ConnectionStatus::Disconnected;
            }
        }
        Ok(())
    }

    async fn audits(&self, _: &TenantId) -> Result<HashMap<ConnectionId, AuditStanding>, Trouble> {
        Ok(self.audits.lock().unwrap().clone())
    }

    fn now(&self) -> u64 {
        NOW
    }

    fn wake(&self, connection: &ConnectionId, why: Trigger) {
        self.woken.lock().unwrap().push((connection.clone(), why));
    }
}

/// The pages of tenant `t`, user `ann`, with the contact Bob, in one browser.
struct Site {
    crm: EmbeddedCrm,
    links: Arc<Links>,
    clock: Arc<ManualClock>,
    registry: ToldRegistry,
    router: Router,
    bob: String,
    cookie: String,
    csrf: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Site {
    async fn new() -> Self {
        Self::with_undo(Duration::ZERO).await
    }

    /// Where mail is held back for so long.
    async fn with_undo(undo: Duration) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let database = Database::in_memory().unwrap();
        let crm = EmbeddedCrm::with_clock(database.clone(), clock.clone()).unwrap();
        for tenant in ["t", "other"] {
            crm.create_tenant(&TenantId::new(tenant), tenant).await.unwrap();
        }
        let bob = contact(&crm, "t", "Bob <b>", "bob@example.com").await;
        let links = Arc::new(Links::default());
        links.list.lock().unwrap().push(connection("t", "ann", "c"));
        let people = People::new(Database::in_memory().unwrap()).unwrap();
        let ann = Person::everybody(TenantId::new("t"), UserId::new("ann"));
        let state = WebState::new(crm.clone(), people, links.clone()).open_to(ann);
        let registry = Arc::new(SqliteStore::new(Database::in_memory().unwrap()).unwrap());
        let registry = ToldRegistry::new(registry);
        let mut state = telling(state, database).watching(registry.clone());
        state.undo = undo;
        let mut site = Self {
            crm,
            links,
            clock,
            registry,
            router: router(state),
            bob,
            cookie: String::new(),
            csrf: String::new(),
        };
        let page = site.get("/contacts").await;
        let cookie = page.header(header::SET_COOKIE);
        site.cookie = cookie.split(';').next().unwrap().to_owned();
        site.csrf = value_of(&site.get("/contacts").await.text, "csrf");
        site
    }

    async fn get(&self, path: &str) -> Answer {
        self.request(request("GET", path, &self.cookie), Body::empty())
            .await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("csrf", &self.csrf)
            .extend_pairs(fields)
            .finish();
        let kind = "application/x-www-form-urlencoded";
        let request = request("POST", path, &self.cookie).header(header::CONTENT_TYPE, kind);
        self.request(request, Body::from(body)).await
    }

    /// Sends the writing form: fields in order, then files.
    async fn send(&self, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> Answer {
        self.upload("/send", fields, files).await
    }

    async fn upload(&self, path: &str, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        for (name, bytes) in files {
            let head = format!(
                "--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\nContent-Type: application/pdf\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--x--\r\n");
        let kind = "multipart/form-data; boundary=x";
        let request = request("POST", path, &self.cookie).header(header::CONTENT_TYPE, kind);
        self.request(request, Body::from(body)).await
    }

    async fn request(&self, request: axum::http::request::Builder, body: Body) -> Answer {
        let response = self
            .router
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn put(&self, message: Message) -> String {
        put(&self.crm, "t", message).await
    }
}

/// The same pages with webhooks, in the database of their CRM.
fn telling(state: WebState, database: Database) -> WebState {
    SqliteStore::new(database.clone()).unwrap();
    let webhooks = Webhooks::new(database).unwrap();
    state.telling(webhooks, Receivers::new(AddressRule::PublicOnly).unwrap())
}

fn request(method: &str, path: &str, cookie: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost:8080")
        .header(header::COOKIE, cookie)
}

/// The value of the first input with this name.
fn value_of(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\"")).unwrap();
    let (_, rest) = rest.split_once("value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

async fn contact(crm: &EmbeddedCrm, tenant: &str, name: &str, address: &str) -> String {
    let contact = NewContact {
        name: name.into(),
        addresses: vec![address.into()],
        ..NewContact::default()
    };
    crm.create_contact(&TenantId::new(tenant), contact).await.unwrap()
}

async fn put(crm: &EmbeddedCrm, tenant: &str, message: Message) -> String {
    let outcome = crm
        .put_messages(&scope(tenant, "ann", "c"), &[message])
        .await
        .unwrap();
    match outcome.into_iter().next() {
        Some(PutOutcome::Stored(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn scope(tenant: &str, user: &str, connection: &str) -> Scope {
    Scope {
        tenant: TenantId::new(tenant),
        user: UserId::new(user),
        connection: ConnectionId::new(connection),
        account: "sub".into(),
    }
}

fn connection(tenant: &str, user: &str, id: &str) -> Connection {
    Connection {
        scope: scope(tenant, user, id),
        address: format!("{user}@example.com"),
        status: ConnectionStatus::Active,
        settings: "{}".into(),
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

fn mailbox(address: &str) -> Mailbox {
    Mailbox {
        name: None,
        address: address.into(),
    }
}

/// A message from Bob to Ann.
fn message(key: &str, contact: &str) -> Message {
    Message {
        key: key.into(),
        thread: "thread-1".into(),
        contact_id: contact.into(),
        direction: Direction::Inbound,
        message_id: Some("<1@example.com>".into()),
        subject: "Hello & <welcome>".into(),
        sender: mailbox("bob@example.com"),
        reply_to: Vec::new(),
        to: vec![mailbox("ann@example.com")],
        cc: vec![mailbox("carl@example.com")],
        bcc: Vec::new(),
        received_at: NOW,
        dated_at: None,
        content: Content {
            text: "How are you?\n> old text".into(),
            quoted_at: Some(13),
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
        authentication: Some(Authentication {
            spf: Some("pass".into()),
            dkim: None,
            dmarc: Some("fail".into()),
        }),
        rule: "S10".into(),
    }
}

fn attachment(part: &str, name: &str, media_type: &str, size: usize) -> Attachment {
    Attachment {
        part: part.into(),
        name: name.into(),
        media_type: media_type.into(),
        size: size as u64,
        content_id: None,
        disposition: Disposition::Attached,
    }
}
