//! A world in memory that costs next to nothing, for both sides of the comparison: the component gets it
//! through the host's capabilities, the native plugin through its ports.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use gmail_sim::{Config, Delivery, Sim};
use proofs::world::{SCOPE, SimHttp};
use twinbox_host::{
    body::Body,
    contract::{
        Attachment, ChangePage, Contact, Features, Field, Message, MessageUpdate, Outbound, OutboundOutcome,
        PutOutcome, UpdateOutcome,
    },
    crm::{Crm, CrmError},
    egress::{Failure, Http, Request, RequestBudget, Response},
    scope::{ConnectionId, Scope},
    store::{Change, CommitError, Entry, Expectation, Lease, Page, Store, StoreError},
};

pub(crate) const MAILBOX: &str = "me@twinbox.example";

/// Status, header fields, body.
type Answer = (u16, Vec<(String, String)>, Bytes);
type Rows = BTreeMap<String, (u64, Vec<u8>)>;

/// The world.
pub(crate) struct Memory {
    sim: Sim,
    http: SimHttp,
    /// Each request is answered by the simulator once.
    answers: Mutex<HashMap<String, Answer>>,
    rows: Mutex<Rows>,
    contacts: HashMap<String, Contact>,
    put: Mutex<Vec<Put>>,
}

/// What the CRM was given of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) key: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
}

impl Memory {
    /// A mailbox that nothing has come to yet; every one of these addresses is a contact's.
    pub(crate) fn new(addresses: &[String]) -> Arc<Self> {
        let sim = Sim::new(Config::default());
        sim.create_user(MAILBOX, "Me");
        let token = sim.issue_token(MAILBOX, &[SCOPE]).unwrap().access_token;
        let contact = |address: &String| Contact {
            id: address.clone(),
            name: address.clone(),
            addresses: vec![address.clone()],
            created_at: 0,
            assigned_user: None,
            private: false,
        };
        Arc::new(Self {
            http: SimHttp::new(sim.clone(), &token),
            sim,
            answers: Mutex::default(),
            rows: Mutex::default(),
            contacts: addresses
                .iter()
                .map(|address| (address.clone(), contact(address)))
                .collect(),
            put: Mutex::default(),
        })
    }

    /// Mail comes.
    pub(crate) fn arrive(&self, raw: &[u8]) {
        self.sim.deliver(&Delivery::new(MAILBOX, raw.to_vec())).unwrap();
        lock(&self.answers).clear();
    }

    pub(crate) fn rows(&self) -> Rows {
        lock(&self.rows).clone()
    }

    /// As it was before a run.
    pub(crate) fn reset(&self, rows: &Rows) {
        lock(&self.rows).clone_from(rows);
        lock(&self.put).clear();
    }

    pub(crate) fn was_put(&self) -> Vec<Put> {
        lock(&self.put).clone()
    }

    pub(crate) fn answer(&self, method: &str, url: &str, content_type: Option<&str>, body: Bytes) -> Answer {
        let question = format!("{method} {url} {}", String::from_utf8_lossy(&body));
        if let Some(known) = lock(&self.answers).get(&question) {
            return known.clone();
        }
        let answer = self.http.answer(method, url, content_type, body);
        lock(&self.answers).insert(question, answer.clone());
        answer
    }

    pub(crate) fn find(&self, addresses: &[String]) -> Vec<Contact> {
        let known = addresses
            .iter()
            .filter_map(|address| self.contacts.get(&address.to_lowercase()));
        known.cloned().collect()
    }

    pub(crate) fn note(&self, put: Put) {
        lock(&self.put).push(put);
    }

    pub(crate) fn read(&self, key: &str) -> Option<(u64, Vec<u8>)> {
        lock(&self.rows).get(key).cloned()
    }

    /// Keys with their versions and values, and whether more follow.
    pub(crate) fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> (Vec<(String, u64, Vec<u8>)>, bool) {
        let rows = lock(&self.rows);
        let mut found = rows
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
            .map(|(key, (version, value))| (key.clone(), *version, value.clone()));
        let page = found.by_ref().take(limit as usize).collect();
        (page, found.next().is_some())
    }

    /// Whether the expected versions were there and the changes were made.
    pub(crate) fn change<'a>(
        &self,
        mut expected: impl Iterator<Item = (&'a str, Option<u64>)>,
        changes: impl Iterator<Item = (String, Option<Vec<u8>>)>,
    ) -> bool {
        let mut rows = lock(&self.rows);
        if !expected.all(|(key, version)| rows.get(key).map(|row| row.0) == version) {
            return false;
        }
        for (key, value) in changes {
            let version = rows.get(&key).map_or(1, |row| row.0 + 1);
            match value {
                Some(value) => rows.insert(key, (version, value)),
                None => rows.remove(&key),
            };
        }
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Http for Memory {
    async fn send(&self, _: &Scope, budget: &RequestBudget, request: Request) -> Result<Response, Failure> {
        budget.take()?;
        let body = request.body.collect(usize::MAX).await.unwrap();
        let content_type = request.headers.first().map(|field| field.value.as_str());
        let (status, headers, body) = self.answer(&request.method, &request.url, content_type, body);
        assert!(body.len() as u64 <= request.inline_limit, "the mail is small");
        Ok(Response {
            status,
            headers: headers
                .into_iter()
                .map(|(name, value)| Field { name, value })
                .collect(),
            body: Body::Inline(body),
            length: None,
        })
    }
}

#[async_trait]
impl Store for Memory {
    async fn get(&self, _: &ConnectionId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let entry = |key: &String| {
            self.read(key).map(|(version, value)| Entry {
                key: key.clone(),
                version,
                value,
            })
        };
        Ok(keys.iter().map(entry).collect())
    }

    async fn scan(
        &self,
        _: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let (found, more) = self.range(prefix, after, limit);
        let entries = found
            .into_iter()
            .map(|(key, version, value)| Entry { key, version, value });
        Ok(Page {
            entries: entries.collect(),
            more,
        })
    }

    async fn commit(
        &self,
        _: &Lease,
        expected: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let expected = expected
            .iter()
            .map(|expected| (expected.key.as_str(), expected.version));
        let changes = changes
            .iter()
            .map(|change| (change.key.clone(), change.value.clone()));
        if self.change(expected, changes) {
            Ok(())
        } else {
            Err(CommitError::Fenced)
        }
    }

    async fn acquire(&self, of: &ConnectionId, _: u64, _: u64) -> Result<Option<Lease>, StoreError> {
        Ok(Some(Lease {
            connection: of.clone(),
            fence: 1,
        }))
    }

    async fn renew(&self, _: &Lease, _: u64) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn release(&self, _: &Lease) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What this CRM can do.
const FEATURES: Features = Features {
    server_idempotency: true,
    deltas: false,
    attachments: true,
    edit_after_log: true,
    outbound: false,
    address_book: false,
    body_limit: 1 << 20,
    subject_limit: 998,
};

#[async_trait]
impl Crm for Memory {
    fn features(&self) -> Features {
        FEATURES
    }

    async fn find_contacts(&self, _: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        Ok(self.find(addresses))
    }

    async fn put_messages(&self, _: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        let put = messages.iter().map(|message| {
            self.note(Put {
                key: message.key.clone(),
                subject: message.subject.clone(),
                text: message.content.text.clone(),
                html: message.content.html.clone(),
            });
            PutOutcome::Stored(message.key.clone())
        });
        Ok(put.collect())
    }

    async fn find_messages(&self, _: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        Ok(vec![None; keys.len()])
    }

    async fn update_messages(
        &self,
        _: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        Ok(updates.iter().map(|_| UpdateOutcome::Done).collect())
    }

    async fn put_attachment(
        &self,
        _: &Scope,
        key: &str,
        _: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        content.collect(usize::MAX).await.unwrap();
        Ok(PutOutcome::Stored(key.to_owned()))
    }

    async fn open_attachment(&self, _: &Scope, _: &str, _: &str) -> Result<Body, CrmError> {
        Err(CrmError::NotFound)
    }

    async fn changes(&self, _: &Scope, _: Option<&str>, _: u32) -> Result<ChangePage, CrmError> {
        Err(CrmError::Unsupported)
    }

    async fn next_outbound(&self, _: &Scope, _: u32) -> Result<Vec<Outbound>, CrmError> {
        Ok(Vec::new())
    }

    async fn report_outbound(&self, _: &Scope, _: &str, _: &OutboundOutcome) -> Result<(), CrmError> {
        Ok(())
    }
}
