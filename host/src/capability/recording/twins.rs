//! The recording twin of each capability.

use async_trait::async_trait;
use secrecy::SecretString;

use super::{
    super::{
        ANSWER_WITHIN, CRM_WITHIN, Line, LogSink, crm::late as crm_late, oauth::late as vault_late,
        sharing::late as sharing_late, storage::late as store_late, within,
    },
    Pump, Recording, sooner, streams,
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
    trace::{Content, Question, body, plain, response, told},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

#[async_trait]
impl<T: Store + ?Sized> Store for Recording<T> {
    async fn get(&self, of: &ConnectionId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let asked = self.recorder.ask(Question::get(keys));
        asked
            .told_within(ANSWER_WITHIN, store_late, self.inner.get(of, keys))
            .await
    }

    async fn scan(
        &self,
        of: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let asked = self.recorder.ask(Question::scan(prefix, after, limit));
        let page = self.inner.scan(of, prefix, after, limit);
        asked.told_within(ANSWER_WITHIN, store_late, page).await
    }

    async fn commit(
        &self,
        lease: &Lease,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let asked = self.recorder.ask(Question::commit(expectations, changes));
        let late = || CommitError::Store(store_late());
        let commit = self.inner.commit(lease, expectations, changes);
        asked.told_within(ANSWER_WITHIN, late, commit).await
    }

    /// The host's own: passed on.
    async fn acquire(&self, of: &ConnectionId, now: u64, until: u64) -> Result<Option<Lease>, StoreError> {
        self.inner.acquire(of, now, until).await
    }

    /// The host's own: passed on.
    async fn renew(&self, lease: &Lease, until: u64) -> Result<bool, StoreError> {
        self.inner.renew(lease, until).await
    }

    /// The host's own: passed on.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.inner.release(lease).await
    }
}

#[async_trait]
impl<T: Vault + ?Sized> Vault for Recording<T> {
    async fn grant(&self, of: &ConnectionId) -> Result<Grant, VaultError> {
        let asked = self.recorder.ask(Question::grant());
        asked
            .told_within(ANSWER_WITHIN, vault_late, self.inner.grant(of))
            .await
    }

    /// Passed on and never written down.
    async fn access_token(
        &self,
        of: &ConnectionId,
        freshness: Freshness,
    ) -> Result<SecretString, VaultError> {
        self.inner.access_token(of, freshness).await
    }

    /// Never written down: it says something of other tenants (S33). A replay sees from the requests
    /// that follow.
    async fn holders(&self, of: &ConnectionId) -> Result<Holders, VaultError> {
        self.inner.holders(of).await
    }

    async fn release(&self, of: &ConnectionId) -> Result<(), VaultError> {
        let asked = self.recorder.ask(Question::release());
        asked
            .told_within(ANSWER_WITHIN, vault_late, self.inner.release(of))
            .await
    }
}

#[async_trait]
impl<T: Crm + ?Sized> Crm for Recording<T> {
    fn features(&self) -> Features {
        let features = self.inner.features();
        self.called(Question::features(), features);
        features
    }

    async fn find_contacts(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        let asked = self.recorder.ask(Question::find_contacts(addresses));
        let contacts = self.inner.find_contacts(scope, addresses);
        asked.told_within(ANSWER_WITHIN, crm_late, contacts).await
    }

    async fn put_contacts(&self, scope: &Scope, persons: &[Person]) -> Result<Vec<PersonOutcome>, CrmError> {
        let asked = self.recorder.ask(Question::put_contacts(persons));
        let outcomes = self.inner.put_contacts(scope, persons);
        asked.told_within(CRM_WITHIN, crm_late, outcomes).await
    }

    async fn remove_contacts(&self, scope: &Scope, keys: &[String]) -> Result<(), CrmError> {
        let asked = self.recorder.ask(Question::remove_contacts(keys));
        let removed = self.inner.remove_contacts(scope, keys);
        asked.told_within(CRM_WITHIN, crm_late, removed).await
    }

    async fn put_messages(&self, scope: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        let asked = self.recorder.ask(Question::put_messages(messages));
        let outcomes = self.inner.put_messages(scope, messages);
        asked.told_within(CRM_WITHIN, crm_late, outcomes).await
    }

    async fn find_messages(&self, scope: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        let asked = self.recorder.ask(Question::find_messages(keys));
        let ids = self.inner.find_messages(scope, keys);
        asked.told_within(ANSWER_WITHIN, crm_late, ids).await
    }

    async fn update_messages(
        &self,
        scope: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        let asked = self.recorder.ask(Question::update_messages(updates));
        let outcomes = self.inner.update_messages(scope, updates);
        asked.told_within(CRM_WITHIN, crm_late, outcomes).await
    }

    async fn put_attachment(
        &self,
        scope: &Scope,
        key: &str,
        attachment: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        let question = Question::put_attachment(key, attachment, &content);
        let asked = self.recorder.ask(question);
        let (content, pump) = Pump::of(content, &self.recorder, asked.call);
        let outcome = self.inner.put_attachment(scope, key, attachment, content);
        let outcome = Pump::beside(pump, outcome);
        asked.told_within(CRM_WITHIN, crm_late, outcome).await
    }

    async fn open_attachment(
        &self,
        scope: &Scope,
        outbound: &str,
        attachment: &str,
    ) -> Result<Body, CrmError> {
        let question = Question::open_attachment(outbound, attachment);
        let asked = self.recorder.ask(question);
        let opened = self.inner.open_attachment(scope, outbound, attachment);
        let opened = within(sooner(CRM_WITHIN), crm_late, opened);
        let (result, waited) = self.recorder.in_turn(opened).await;
        let call = asked.call;
        asked.answered(waited, told(&result.as_ref().map(body)));
        result.map(|body| streams::given(body, &self.recorder, call))
    }

    async fn changes(&self, scope: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError> {
        let asked = self.recorder.ask(Question::changes(cursor, limit));
        let page = self.inner.changes(scope, cursor, limit);
        asked.told_within(ANSWER_WITHIN, crm_late, page).await
    }

    async fn next_outbound(&self, scope: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        let asked = self.recorder.ask(Question::next_outbound(limit));
        let waiting = self.inner.next_outbound(scope, limit);
        asked.told_within(ANSWER_WITHIN, crm_late, waiting).await
    }

    async fn report_outbound(
        &self,
        scope: &Scope,
        id: &str,
        outcome: &OutboundOutcome,
    ) -> Result<(), CrmError> {
        let asked = self.recorder.ask(Question::report_outbound(id, outcome));
        let report = self.inner.report_outbound(scope, id, outcome);
        asked.told_within(ANSWER_WITHIN, crm_late, report).await
    }
}

#[async_trait]
impl<T: Quota + ?Sized> Quota for Recording<T> {
    async fn acquire(&self, scope: &Scope, units: u32, class: Class) -> Result<(), QuotaError> {
        let asked = self.recorder.ask(Question::acquire(units, class));
        asked.told(self.inner.acquire(scope, units, class)).await
    }

    fn report(&self, scope: &Scope, penalty: Penalty) {
        self.called(Question::penalty(penalty), ());
        self.inner.report(scope, penalty);
    }

    fn in_flight(&self, scope: &Scope) -> u32 {
        let number = self.inner.in_flight(scope);
        self.called(Question::in_flight(), number);
        number
    }
}

#[async_trait]
impl<T: Sharing + ?Sized> Sharing for Recording<T> {
    async fn claim(&self, scope: &Scope, address: &str) -> Result<Standing, SharingError> {
        let asked = self.recorder.ask(Question::claim(address));
        let claim = self.inner.claim(scope, address);
        asked.told_within(ANSWER_WITHIN, sharing_late, claim).await
    }

    async fn standings(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Standing>, SharingError> {
        let asked = self.recorder.ask(Question::standings(addresses));
        let standings = self.inner.standings(scope, addresses);
        asked.told_within(ANSWER_WITHIN, sharing_late, standings).await
    }

    async fn release(&self, scope: &Scope, address: &str) -> Result<(), SharingError> {
        let asked = self.recorder.ask(Question::release_contact(address));
        let release = self.inner.release(scope, address);
        asked.told_within(ANSWER_WITHIN, sharing_late, release).await
    }

    // Not a guest's calls.
    async fn join(&self, scope: &Scope) -> Result<(), SharingError> {
        self.inner.join(scope).await
    }

    async fn leave(&self, scope: &Scope) -> Result<(), SharingError> {
        self.inner.leave(scope).await
    }
}

#[async_trait]
impl<T: Clock + ?Sized> Clock for Recording<T> {
    fn now(&self) -> u64 {
        let now = self.recorder.clamped(self.inner.now());
        self.called(Question::now(), now);
        now
    }

    async fn sleep(&self, milliseconds: u64) {
        let asked = self.recorder.ask(Question::sleep(milliseconds));
        let ((), waited) = self.recorder.in_turn(self.inner.sleep(milliseconds)).await;
        asked.answered(waited, plain(()));
    }
}

impl<T: Random + ?Sized> Random for Recording<T> {
    fn fill(&self, bytes: &mut [u8]) {
        self.inner.fill(bytes);
        self.called(Question::random(bytes.len()), Content::value(bytes));
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
        let asked = self.recorder.ask(Question::send(&request));
        let call = asked.call;
        let (body, pump) = Pump::of(request.body, &self.recorder, call);
        request.body = body;
        let answer = Pump::beside(pump, self.inner.send(scope, budget, request));
        let (result, waited) = self.recorder.in_turn(answer).await;
        asked.answered(
            waited,
            match &result {
                Ok(answer) => response(answer),
                Err(failure) => told(&Err::<(), _>(failure)),
            },
        );
        let mut answer = result?;
        answer.body = streams::given(answer.body, &self.recorder, call);
        Ok(answer)
    }
}

impl<T: LogSink + ?Sized> LogSink for Recording<T> {
    fn write(&self, scope: &Scope, line: Line) {
        self.called(Question::line(&line), ());
        self.inner.write(scope, line);
    }
}
