//! Writes down what a pass asks and what it is answered, for people and for replay.
//!
//! An event is written when its answer is delivered, before the guest can see it; `asked` is the order
//! in which the questions came, so a replay can tell both orders apart. Tokens are never written; of
//! bodies only length and SHA-256.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::StreamExt;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Line, LogSink};
use crate::{
    body::{Body, ByteStream},
    clock::Clock,
    contract::{
        Attachment, ChangePage, Contact, Features, Message, MessageUpdate, Outbound, OutboundOutcome,
        PutOutcome, UpdateOutcome,
    },
    crm::{Crm, CrmError},
    egress::{Failure, Http, Request, RequestBudget, Response},
    quota::{Class, Penalty, Quota, QuotaError},
    random::Random,
    scope::{ConnectionId, Scope},
    sharing::{Sharing, SharingError, Standing},
    store::{Change, CommitError, Entry, Expectation, Lease, Page, Store, StoreError},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the order of answers, from 0.
    pub delivered: u64,
    /// Place in the order of questions, from 0.
    pub asked: u64,
    /// The capability, such as `storage`.
    pub interface: String,
    /// The function, such as `commit`.
    pub function: String,
    /// What was asked.
    pub arguments: Value,
    /// What was answered: `{"ok": …}` or `{"error": …}`.
    pub result: Value,
}

/// The events of one pass.
#[derive(Debug, Default)]
pub struct Recorder {
    asked: AtomicU64,
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    /// An empty recording.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What was recorded so far, in the order of answers.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(self: &Arc<Self>, interface: &'static str, function: &'static str, arguments: Value) -> Asked {
        Asked {
            recorder: self.clone(),
            place: self.asked.fetch_add(1, Ordering::SeqCst),
            interface,
            function,
            arguments,
        }
    }
}

/// A question that has no answer yet. Dropped without one (the guest walked away, the pass ended), it
/// leaves no event: nothing was delivered.
struct Asked {
    recorder: Arc<Recorder>,
    place: u64,
    interface: &'static str,
    function: &'static str,
    arguments: Value,
}

impl Asked {
    fn answered(self, result: Value) {
        let mut events = self
            .recorder
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let delivered = events.len() as u64;
        events.push(Event {
            delivered,
            asked: self.place,
            interface: self.interface.to_owned(),
            function: self.function.to_owned(),
            arguments: self.arguments,
            result,
        });
    }

    /// The answer, written down.
    fn delivered<T: Serialize, E: Serialize>(self, result: Result<T, E>) -> Result<T, E> {
        self.answered(match &result {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error }),
        });
        result
    }

    /// The answer, written down in words where its error has no other form.
    fn told<T: Serialize, E: std::fmt::Display>(self, result: Result<T, E>) -> Result<T, E> {
        self.answered(match &result {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error.to_string() }),
        });
        result
    }
}

/// A capability whose use is written down.
pub struct Recording<T: ?Sized> {
    inner: Arc<T>,
    recorder: Arc<Recorder>,
}

impl<T: ?Sized> Recording<T> {
    /// `inner`, written down in `recorder`.
    pub fn new(inner: Arc<T>, recorder: &Arc<Recorder>) -> Self {
        Self {
            inner,
            recorder: recorder.clone(),
        }
    }
}

#[async_trait]
impl<T: Store + ?Sized> Store for Recording<T> {
    async fn get(&self, of: &ConnectionId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let asked = self.recorder.ask("storage", "get", json!({ "keys": keys }));
        asked.told(self.inner.get(of, keys).await)
    }

    async fn scan(
        &self,
        of: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let arguments = json!({ "prefix": prefix, "after": after, "limit": limit });
        let asked = self.recorder.ask("storage", "scan", arguments);
        asked.told(self.inner.scan(of, prefix, after, limit).await)
    }

    async fn commit(
        &self,
        lease: &Lease,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let arguments = json!({ "expectations": expectations, "changes": changes });
        let asked = self.recorder.ask("storage", "commit", arguments);
        let result = self.inner.commit(lease, expectations, changes).await;
        asked.answered(match &result {
            Ok(()) => json!({ "ok": null }),
            Err(CommitError::Stale(held)) => json!({ "error": { "stale": held } }),
            Err(CommitError::Fenced) => json!({ "error": "fenced" }),
            Err(CommitError::Store(error)) => json!({ "error": error.to_string() }),
        });
        result
    }

    async fn acquire(&self, of: &ConnectionId, now: u64, until: u64) -> Result<Option<Lease>, StoreError> {
        self.inner.acquire(of, now, until).await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<bool, StoreError> {
        self.inner.renew(lease, until).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.inner.release(lease).await
    }
}

#[async_trait]
impl<T: Vault + ?Sized> Vault for Recording<T> {
    async fn grant(&self, of: &ConnectionId) -> Result<Grant, VaultError> {
        let asked = self.recorder.ask("oauth", "grant", Value::Null);
        asked.told(self.inner.grant(of).await)
    }

    /// Passed on and never written down.
    async fn access_token(
        &self,
        of: &ConnectionId,
        freshness: Freshness,
    ) -> Result<SecretString, VaultError> {
        self.inner.access_token(of, freshness).await
    }

    /// Never written down: it says something of other tenants (S33).
    async fn holders(&self, of: &ConnectionId) -> Result<Holders, VaultError> {
        self.inner.holders(of).await
    }

    async fn release(&self, of: &ConnectionId) -> Result<(), VaultError> {
        let asked = self.recorder.ask("oauth", "release", Value::Null);
        asked.told(self.inner.release(of).await)
    }
}

#[async_trait]
impl<T: Crm + ?Sized> Crm for Recording<T> {
    fn features(&self) -> Features {
        let features = self.inner.features();
        let asked = self.recorder.ask("crm", "supported", Value::Null);
        asked.answered(json!({ "ok": features }));
        features
    }

    async fn find_contacts(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        let asked = self
            .recorder
            .ask("crm", "find-contacts", json!({ "addresses": addresses }));
        asked.delivered(self.inner.find_contacts(scope, addresses).await)
    }

    async fn put_messages(&self, scope: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        let messages_shown: Vec<Value> = messages.iter().map(shown).collect();
        let asked = self
            .recorder
            .ask("crm", "put-messages", json!({ "messages": messages_shown }));
        asked.delivered(self.inner.put_messages(scope, messages).await)
    }

    async fn find_messages(&self, scope: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        let asked = self.recorder.ask("crm", "find-messages", json!({ "keys": keys }));
        asked.delivered(self.inner.find_messages(scope, keys).await)
    }

    async fn update_messages(
        &self,
        scope: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        let asked = self
            .recorder
            .ask("crm", "update-messages", json!({ "updates": updates }));
        asked.delivered(self.inner.update_messages(scope, updates).await)
    }

    async fn put_attachment(
        &self,
        scope: &Scope,
        message_key: &str,
        attachment: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        let (content, seen) = watched(content);
        let arguments = json!({ "message-key": message_key, "attachment": attachment });
        let mut asked = self.recorder.ask("crm", "put-attachment", arguments);
        let result = self
            .inner
            .put_attachment(scope, message_key, attachment, content)
            .await;
        asked.arguments["content"] = seen.fingerprint();
        asked.delivered(result)
    }

    async fn open_attachment(
        &self,
        scope: &Scope,
        outbound: &str,
        attachment: &str,
    ) -> Result<Body, CrmError> {
        let arguments = json!({ "outbound-id": outbound, "attachment-id": attachment });
        let asked = self.recorder.ask("crm", "open-attachment", arguments);
        match self.inner.open_attachment(scope, outbound, attachment).await {
            Ok(body) => {
                asked.answered(json!({ "ok": fingerprint(&body) }));
                Ok(body)
            }
            Err(error) => asked.delivered::<(), _>(Err(error)).map(|()| Body::Empty),
        }
    }

    async fn changes(&self, scope: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError> {
        let arguments = json!({ "cursor": cursor, "limit": limit });
        let asked = self.recorder.ask("crm", "changes", arguments);
        asked.delivered(self.inner.changes(scope, cursor, limit).await)
    }

    async fn next_outbound(&self, scope: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        let asked = self
            .recorder
            .ask("crm", "next-outbound", json!({ "limit": limit }));
        let result = self.inner.next_outbound(scope, limit).await;
        asked.answered(match &result {
            Ok(waiting) => json!({ "ok": waiting.iter().map(shown).collect::<Vec<_>>() }),
            Err(error) => json!({ "error": error }),
        });
        result
    }

    async fn report_outbound(
        &self,
        scope: &Scope,
        id: &str,
        outcome: &OutboundOutcome,
    ) -> Result<(), CrmError> {
        let arguments = json!({ "id": id, "outcome": outcome });
        let asked = self.recorder.ask("crm", "report-outbound", arguments);
        asked.delivered(self.inner.report_outbound(scope, id, outcome).await)
    }
}

#[async_trait]
impl<T: Quota + ?Sized> Quota for Recording<T> {
    async fn acquire(&self, scope: &Scope, units: u32, class: Class) -> Result<(), QuotaError> {
        let arguments = json!({ "units": units, "class": class });
        let asked = self.recorder.ask("quota", "acquire", arguments);
        asked.delivered(self.inner.acquire(scope, units, class).await)
    }

    fn report(&self, scope: &Scope, penalty: Penalty) {
        let asked = self
            .recorder
            .ask("quota", "report", json!({ "penalty": penalty }));
        self.inner.report(scope, penalty);
        asked.answered(json!({ "ok": null }));
    }

    fn in_flight(&self, scope: &Scope) -> u32 {
        let number = self.inner.in_flight(scope);
        let asked = self.recorder.ask("quota", "in-flight", Value::Null);
        asked.answered(json!({ "ok": number }));
        number
    }
}

#[async_trait]
impl<T: Sharing + ?Sized> Sharing for Recording<T> {
    async fn claim(&self, scope: &Scope, address: &str) -> Result<Standing, SharingError> {
        let asked = self
            .recorder
            .ask("sharing", "claim", json!({ "contact-address": address }));
        asked.delivered(self.inner.claim(scope, address).await)
    }

    async fn standings(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Standing>, SharingError> {
        let arguments = json!({ "contact-addresses": addresses });
        let asked = self.recorder.ask("sharing", "standings", arguments);
        asked.delivered(self.inner.standings(scope, addresses).await)
    }
}

#[async_trait]
impl<T: Clock + ?Sized> Clock for Recording<T> {
    fn now(&self) -> u64 {
        let now = self.inner.now();
        self.recorder
            .ask("clock", "now", Value::Null)
            .answered(json!({ "ok": now }));
        now
    }

    async fn sleep(&self, ms: u64) {
        let asked = self.recorder.ask("clock", "sleep", json!({ "milliseconds": ms }));
        self.inner.sleep(ms).await;
        asked.answered(json!({ "ok": null }));
    }
}

impl<T: Random + ?Sized> Random for Recording<T> {
    fn fill(&self, bytes: &mut [u8]) {
        self.inner.fill(bytes);
        let asked = self
            .recorder
            .ask("random", "bytes", json!({ "length": bytes.len() }));
        asked.answered(json!({ "ok": bytes }));
    }
}

#[async_trait]
impl<T: Http + ?Sized> Http for Recording<T> {
    async fn send(
        &self,
        scope: &Scope,
        budget: &RequestBudget,
        mut request: Request,
    ) -> Result<Response, Failure> {
        let (body, seen) = watched(request.body);
        request.body = body;
        let mut asked = self.recorder.ask(
            "http",
            "send",
            json!({
                "method": request.method,
                "url": request.url,
                "headers": request.headers,
                "credential": request.credential,
                "inline-limit": request.inline_limit,
            }),
        );
        let result = self.inner.send(scope, budget, request).await;
        asked.arguments["body"] = seen.fingerprint();
        asked.answered(match &result {
            Ok(response) => json!({ "ok": {
                "status": response.status,
                "headers": response.headers,
                "body": fingerprint(&response.body),
                "length": response.length,
            }}),
            Err(failure) => json!({ "error": failure }),
        });
        result
    }
}

impl<T: LogSink + ?Sized> LogSink for Recording<T> {
    fn write(&self, scope: &Scope, line: Line) {
        let asked = self.recorder.ask("log", "write", json!(line));
        self.inner.write(scope, line);
        asked.answered(json!({ "ok": null }));
    }
}

/// A message as it is written down: its text and HTML by length and SHA-256.
fn shown(message: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(message).unwrap_or_default();
    for pointer in ["/content/text", "/content/html", "/text", "/html"] {
        if let Some(body) = value.pointer_mut(pointer)
            && let Some(text) = body.as_str()
        {
            *body = digest(text.as_bytes());
        }
    }
    value
}

fn fingerprint(body: &Body) -> Value {
    match body {
        Body::Empty => json!("empty"),
        Body::Inline(bytes) => digest(bytes),
        Body::Stream(_) => json!("stream"),
    }
}

fn digest(bytes: &[u8]) -> Value {
    json!({ "length": bytes.len(), "sha256": hex(&Sha256::digest(bytes)) })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What was seen of a body that was read by somebody else.
struct Seen {
    whole: Option<Value>,
    stream: Arc<Mutex<(u64, Sha256)>>,
}

impl Seen {
    fn fingerprint(&self) -> Value {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "length": stream.0, "sha256": hex(&stream.1.clone().finalize()) })
    }
}

/// The same body, and what will have been seen of it.
fn watched(body: Body) -> (Body, Seen) {
    let stream_seen = Arc::new(Mutex::new((0, Sha256::new())));
    let seen = |whole| Seen {
        whole,
        stream: stream_seen.clone(),
    };
    match body {
        Body::Stream(stream) => (Body::Stream(tapped(stream, stream_seen.clone())), seen(None)),
        whole => {
            let seen = seen(Some(fingerprint(&whole)));
            (whole, seen)
        }
    }
}

fn tapped(stream: ByteStream, seen: Arc<Mutex<(u64, Sha256)>>) -> ByteStream {
    Box::pin(stream.map(move |part: io::Result<bytes::Bytes>| {
        if let Ok(part) = &part {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.0 += part.len() as u64;
            seen.1.update(part);
        }
        part
    }))
}
