//! The pages over a large CRM, as a process of their own, so that its memory is theirs alone. It says its
//! address on standard output, and for each line of its input stores one message, as a sync does.

use std::{io::BufRead, path::Path, sync::Arc};

use async_trait::async_trait;
use reqwest::Url;
use tokio::net::TcpListener;
use twinbox_host::{
    Database, Durability,
    choices::Wanted,
    contract::{Content, Direction, Flags, Mailbox, Message, PutOutcome, Trigger},
    crm::{Crm, EmbeddedCrm, NewContact},
    people::{People, Person},
    privacy::Privacy,
    scope::{ConnectionId, Scope, TenantId, UserId},
    store::Connection,
    vault::Callback,
    web::{Connections, Trouble, WebState, router},
};

use super::{CONTACTS, MESSAGES};

/// Messages of one call, as many as a sync hands over at once.
const BATCH: usize = 100;
const START: u64 = 1_772_357_400_000;

/// Serves until its input ends.
pub(crate) async fn run(folder: &Path) {
    let scope = Scope {
        tenant: TenantId::new("home"),
        user: UserId::new("user"),
        connection: ConnectionId::new("connection"),
        account: "account".into(),
    };
    let database = Database::open(&folder.join("twinbox.db"), Durability::PowerLoss).unwrap();
    let crm = EmbeddedCrm::new(database.clone()).unwrap();
    let contacts = fill(&crm, &scope).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let state = WebState::new(crm.clone(), People::new(database).unwrap(), Arc::new(Nothing))
        .open_to(Person::everybody(scope.tenant.clone(), scope.user.clone()));
    tokio::spawn(async move { axum::serve(listener, router(state).into_make_service()).await });
    let (lines, mut asked) = tokio::sync::mpsc::channel::<()>(1);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines() {
            lines.blocking_send(()).unwrap();
        }
    });
    let mut number = MESSAGES;
    while asked.recv().await.is_some() {
        put(&crm, &scope, &[message(number, &contacts[0])]).await;
        println!("{}", contacts[0]);
        number += 1;
    }
}

/// Each contact has as many messages as each other. Answers the contacts.
async fn fill(crm: &EmbeddedCrm, scope: &Scope) -> Vec<String> {
    crm.create_tenant(&scope.tenant, "Home").await.unwrap();
    crm.create_user(&scope.tenant, &scope.user, "You").await.unwrap();
    let mut contacts = Vec::with_capacity(CONTACTS);
    for number in 0..CONTACTS {
        let contact = NewContact {
            name: format!("Contact {number}"),
            addresses: vec![format!("contact{number}@known.example")],
            ..NewContact::default()
        };
        contacts.push(crm.create_contact(&scope.tenant, contact).await.unwrap());
    }
    for first in (0..MESSAGES).step_by(BATCH) {
        let numbers = first..first + BATCH;
        let messages: Vec<_> = numbers
            .map(|number| message(number, &contacts[number % CONTACTS]))
            .collect();
        put(crm, scope, &messages).await;
    }
    contacts
}

async fn put(crm: &EmbeddedCrm, scope: &Scope, messages: &[Message]) {
    let outcomes = crm.put_messages(scope, messages).await.unwrap();
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, PutOutcome::Stored(_)))
    );
}

fn message(number: usize, contact: &str) -> Message {
    let mailbox = |address: String| Mailbox { name: None, address };
    Message {
        key: format!("key-{number}"),
        thread: format!("thread-{number}"),
        contact_id: contact.into(),
        direction: Direction::Inbound,
        message_id: Some(format!("<{number}@known.example>")),
        subject: super::subject(number),
        sender: mailbox(format!("contact{}@known.example", number % CONTACTS)),
        reply_to: Vec::new(),
        to: vec![mailbox("me@own.example".into())],
        cc: Vec::new(),
        bcc: Vec::new(),
        received_at: START + number as u64 * 1_000,
        dated_at: None,
        content: Content {
            text: format!("This is message {number}.\n").repeat(20),
            quoted_at: None,
            html: Some(format!("<p>This is message {number}.</p>").repeat(20)),
            truncated: false,
        },
        attachments: Vec::new(),
        flags: Flags {
            unread: number.is_multiple_of(3),
            starred: false,
            archived: false,
            trashed: false,
        },
        authentication: None,
        rule: "S10".into(),
    }
}

/// No mailbox is connected: the pages are measured, not the sync.
struct Nothing;

#[async_trait]
impl Connections for Nothing {
    async fn list(&self, _: &TenantId) -> Result<Vec<Connection>, Trouble> {
        Ok(Vec::new())
    }

    async fn set_privacy(&self, _: &ConnectionId, _: &Privacy) -> Result<(), Trouble> {
        Err(none())
    }

    fn retract(&self, _: &ConnectionId) {}

    async fn begin(&self, _: &TenantId, _: &UserId, _: &str, _: Wanted) -> Result<Url, Trouble> {
        Err(none())
    }

    async fn finish(&self, _: &str, _: &str, _: Callback) -> Result<Connection, Trouble> {
        Err(none())
    }

    async fn disconnect(&self, _: &ConnectionId) -> Result<(), Trouble> {
        Err(none())
    }

    fn wake(&self, _: &ConnectionId, _: Trigger) {}
}

fn none() -> Trouble {
    Trouble::new("no-mailbox", "There is no mailbox here.", "Connect none.")
}
