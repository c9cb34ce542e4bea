//! What the twin answers, capability by capability.

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;

use super::{
    super::{Denying, Line, LogSink},
    Replaying,
};
use crate::{
    body::Body,
    clock::Clock,
    contract::{
        Attachment, ChangePage, Contact, Features, Message, MessageUpdate, Outbound, OutboundOutcome, Person,
        PersonOutcome, PutOutcome, UpdateOutcome,
    },
    crm::{Crm, CrmError},
    egress::{Failure, Http, Request, RequestBudget, Response},
    quota::{Class, Penalty, Quota, QuotaError},
    random::Random,
    scope::{ConnectionId, Scope},
    sharing::{Sharing, SharingError, Standing},
    store::{Change, CommitError, Entry, Expectation, Lease, Page, Store, StoreError},
    trace::{Content, Question, heard, heard_body, heard_plain, heard_response},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

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

    async fn put_contacts(&self, _: &Scope, persons: &[Person]) -> Result<Vec<PersonOutcome>, CrmError> {
        self.told(Question::put_contacts(persons)).await
    }

    async fn remove_contacts(&self, _: &Scope, keys: &[String]) -> Result<(), CrmError> {
        self.told(Question::remove_contacts(keys)).await
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

    async fn release(&self, _: &Scope, address: &str) -> Result<(), SharingError> {
        self.told(Question::release_contact(address)).await
    }

    async fn join(&self, _: &Scope) -> Result<(), SharingError> {
        Ok(())
    }

    async fn leave(&self, _: &Scope) -> Result<(), SharingError> {
        Ok(())
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
