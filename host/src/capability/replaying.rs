//! The replaying twin of each capability: answers what a [`Script`] holds, when it is its turn.
//!
//! Once a replay has differed nothing is answered any more: what waits waits for ever, what cannot wait
//! gets a value that no longer counts. Whoever replays ends the pass then.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Capabilities, Denying, Line, LogSink};
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
    trace::{
        Content, Divergence, Likeness, Next, Question, Script, Taken, heard, heard_body, heard_plain,
        heard_response, sha256,
    },
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

/// Answers what was recorded.
#[derive(Clone, Debug)]
pub struct Replaying {
    script: Arc<Script>,
}

impl Replaying {
    /// Answers out of this script.
    pub fn new(script: &Arc<Script>) -> Self {
        Self {
            script: script.clone(),
        }
    }

    /// Capabilities that are all this twin.
    pub fn capabilities(self, scope: Scope) -> Capabilities {
        let twin = Arc::new(self);
        let lease = Lease {
            connection: scope.connection.clone(),
            fence: 0,
        };
        Capabilities {
            scope,
            lease,
            store: twin.clone(),
            vault: twin.clone(),
            crm: twin.clone(),
            quota: twin.clone(),
            sharing: twin.clone(),
            clock: twin.clone(),
            random: twin.clone(),
            http: twin.clone(),
            log: twin,
        }
    }

    /// The answer to a question that waits; never, once the replay has differed.
    async fn answer<T>(
        &self,
        question: &Question,
        body: Body,
        read: impl FnOnce(u64, &Value) -> Option<T> + Send,
    ) -> T {
        let Some(call) = self.script.ask(question) else {
            return std::future::pending().await;
        };
        let mut sent = Sent {
            body: match body {
                Body::Stream(stream) => Some(stream),
                Body::Empty | Body::Inline(_) => None,
            },
            is_taking: false,
        };
        loop {
            match std::future::poll_fn(|task| sent.poll(&self.script, call, task)).await {
                Event::Next(Next::Answer(result)) => {
                    if let Some(answer) = read(call, &result) {
                        return answer;
                    }
                    self.script.diverge(Divergence::Answer { call });
                    return std::future::pending().await;
                }
                Event::Next(Next::Take) => sent.is_taking = true,
                Event::Next(Next::Refuse) => sent.body = None,
                Event::Part(part) => {
                    sent.is_taking = false;
                    self.taken(call, part);
                }
            }
        }
    }

    async fn told<T: DeserializeOwned, E: DeserializeOwned>(&self, question: Question) -> Result<T, E> {
        self.answer(&question, Body::Empty, |_, result| heard(result))
            .await
    }

    /// Holds what was taken from the guest's body against what was taken of the recorded one.
    fn taken(&self, call: u64, part: Option<io::Result<Bytes>>) {
        let wanted = self.script.taken(call);
        let got = match part {
            Some(Ok(part)) => Taken::Part {
                length: part.len() as u64,
                sha256: sha256(&part),
            },
            Some(Err(_)) => Taken::End { broken: true },
            None => Taken::End { broken: false },
        };
        let is_same = match (self.script.likeness(), &wanted, &got) {
            (Likeness::Function, Some(Taken::Part { .. }), Taken::Part { .. }) => true,
            (_, wanted, got) => wanted.as_ref() == Some(got),
        };
        if !is_same {
            let say = |taken: Option<&Taken>| match taken {
                Some(Taken::Part { length, sha256 }) => {
                    format!("{length} bytes, SHA-256 {}", sha256.get(..12).unwrap_or_default())
                }
                Some(Taken::End { broken: true }) => "a broken body".to_owned(),
                Some(Taken::End { broken: false }) => "its end".to_owned(),
                None => "nothing".to_owned(),
            };
            self.script.diverge(Divergence::Body {
                call,
                expected: say(wanted.as_ref()),
                got: say(Some(&got)),
            });
        }
    }

    fn at_once<T: DeserializeOwned>(&self, question: &Question) -> Option<T> {
        let (call, result) = self.script.call(question)?;
        let answer = heard_plain(result);
        if answer.is_none() {
            self.script.diverge(Divergence::Answer { call });
        }
        answer
    }

    fn stream(&self, call: u64) -> Body {
        Body::Stream(Box::pin(Parts {
            script: self.script.clone(),
            call,
        }))
    }
}

/// A body that the guest streams.
struct Sent {
    body: Option<ByteStream>,
    /// Whether its next part is to be taken.
    is_taking: bool,
}

enum Event {
    Next(Next),
    Part(Option<io::Result<Bytes>>),
}

impl Sent {
    fn poll(&mut self, script: &Script, call: u64, task: &mut Task<'_>) -> Poll<Event> {
        if let Poll::Ready(next) = script.poll_next(call, task) {
            return Poll::Ready(Event::Next(next));
        }
        match &mut self.body {
            Some(body) if self.is_taking => body.poll_next_unpin(task).map(Event::Part),
            _ => Poll::Pending,
        }
    }
}

/// A streamed answer.
struct Parts {
    script: Arc<Script>,
    call: u64,
}

impl Stream for Parts {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let part = std::task::ready!(self.script.poll_part(self.call, task));
        Poll::Ready(part.map(|part| part.map_err(|()| io::ErrorKind::UnexpectedEof.into())))
    }
}

#[async_trait]
impl Store for Replaying {
    async fn get(&self, _: &ConnectionId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.told(Question::get(keys)).await
    }

    async fn scan(
        &self,
        _: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        self.told(Question::scan(prefix, after, limit)).await
    }

    async fn commit(
        &self,
        _: &Lease,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        self.told(Question::commit(expectations, changes)).await
    }

    async fn acquire(&self, of: &ConnectionId, now: u64, until: u64) -> Result<Option<Lease>, StoreError> {
        Store::acquire(&Denying, of, now, until).await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<bool, StoreError> {
        Denying.renew(lease, until).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        Store::release(&Denying, lease).await
    }
}

#[async_trait]
impl Vault for Replaying {
    async fn grant(&self, _: &ConnectionId) -> Result<Grant, VaultError> {
        self.told(Question::grant()).await
    }

    /// There is no token in a trace.
    async fn access_token(
        &self,
        of: &ConnectionId,
        freshness: Freshness,
    ) -> Result<SecretString, VaultError> {
        Denying.access_token(of, freshness).await
    }

    /// Parting requests were made for the last holder alone.
    async fn holders(&self, _: &ConnectionId) -> Result<Holders, VaultError> {
        Ok(match self.script.next_function() {
            Some("http.send") => Holders::Last,
            _ => Holders::Others,
        })
    }

    async fn release(&self, _: &ConnectionId) -> Result<(), VaultError> {
        self.told(Question::release()).await
    }
}

#[async_trait]
impl Crm for Replaying {
    fn features(&self) -> Features {
        self.at_once(&Question::features())
            .unwrap_or_else(|| Denying.features())
    }

    async fn find_contacts(&self, _: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        self.told(Question::find_contacts(addresses)).await
    }

    async fn put_messages(&self, _: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        self.told(Question::put_messages(messages)).await
    }

    async fn find_messages(&self, _: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        self.told(Question::find_messages(keys)).await
    }

    async fn update_messages(
        &self,
        _: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        self.told(Question::update_messages(updates)).await
    }

    async fn put_attachment(
        &self,
        _: &Scope,
        key: &str,
        attachment: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        let question = Question::put_attachment(key, attachment, &content);
        self.answer(&question, content, |_, result| heard(result)).await
    }

    async fn open_attachment(&self, _: &Scope, outbound: &str, attachment: &str) -> Result<Body, CrmError> {
        let question = Question::open_attachment(outbound, attachment);
        self.answer(&question, Body::Empty, |call, result| {
            Some(match heard::<Value, CrmError>(result)? {
                Ok(body) => Ok(heard_body(&body, || self.stream(call))?),
                Err(error) => Err(error),
            })
        })
        .await
    }

    async fn changes(&self, _: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError> {
        self.told(Question::changes(cursor, limit)).await
    }

    async fn next_outbound(&self, _: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        self.told(Question::next_outbound(limit)).await
    }

    async fn report_outbound(&self, _: &Scope, id: &str, outcome: &OutboundOutcome) -> Result<(), CrmError> {
        self.told(Question::report_outbound(id, outcome)).await
    }
}

#[async_trait]
impl Quota for Replaying {
    async fn acquire(&self, _: &Scope, units: u32, class: Class) -> Result<(), QuotaError> {
        self.told(Question::acquire(units, class)).await
    }

    fn report(&self, _: &Scope, penalty: Penalty) {
        self.at_once::<()>(&Question::penalty(penalty));
    }

    fn in_flight(&self, _: &Scope) -> u32 {
        self.at_once(&Question::in_flight()).unwrap_or(1)
    }
}

#[async_trait]
impl Sharing for Replaying {
    async fn claim(&self, _: &Scope, address: &str) -> Result<Standing, SharingError> {
        self.told(Question::claim(address)).await
    }

    async fn standings(&self, _: &Scope, addresses: &[String]) -> Result<Vec<Standing>, SharingError> {
        self.told(Question::standings(addresses)).await
    }
}

#[async_trait]
impl Clock for Replaying {
    fn now(&self) -> u64 {
        self.at_once(&Question::now()).unwrap_or(0)
    }

    async fn sleep(&self, milliseconds: u64) {
        let question = Question::sleep(milliseconds);
        let () = self
            .answer(&question, Body::Empty, |_, result| heard_plain(result))
            .await;
    }
}

impl Random for Replaying {
    fn fill(&self, bytes: &mut [u8]) {
        let recorded = self.at_once::<Content>(&Question::random(bytes.len()));
        if let Some(Content(recorded)) = recorded
            && recorded.len() == bytes.len()
        {
            bytes.copy_from_slice(&recorded);
        }
    }
}

#[async_trait]
impl Http for Replaying {
    async fn send(&self, _: &Scope, _: &RequestBudget, mut request: Request) -> Result<Response, Failure> {
        let question = Question::send(&request);
        let body = std::mem::take(&mut request.body);
        self.answer(&question, body, |call, result| match result.get("error") {
            Some(_) => heard::<(), Failure>(result)?.err().map(Err),
            None => heard_response(result, || self.stream(call)).map(Ok),
        })
        .await
    }
}

impl LogSink for Replaying {
    fn write(&self, _: &Scope, line: Line) {
        self.at_once::<()>(&Question::line(&line));
    }
}
