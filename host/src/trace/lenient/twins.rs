//! What such a world answers beside rows and grants.

use async_trait::async_trait;

use super::{Lenient, NO_ANSWER, Question, heard, lock};
use crate::{
    body::Body,
    capability::{Denying, Line, LogSink},
    clock::Clock,
    contract::{
        Attachment, ChangePage, Contact, Features, Message, MessageUpdate, Outbound, OutboundOutcome, Person,
        PersonOutcome, PutOutcome, UpdateOutcome,
    },
    crm::{Crm, CrmError},
    egress::{Failure, FailureKind, Http, Request, RequestBudget, Response},
    quota::{Class, Penalty, Quota, QuotaError},
    random::Random,
    scope::Scope,
    sharing::{Sharing, SharingError, Standing},
    trace::{heard_body, heard_response},
};

#[async_trait]
impl Crm for Lenient {
    fn features(&self) -> Features {
        let read = || self.live().map(|live| live.crm.features());
        self.facts.features.or_else(read).unwrap_or_else(|| {
            self.note("crm.supported", "", "nothing is supported");
            Denying.features()
        })
    }

    async fn find_contacts(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        if let Some(result) = self.same_result(&Question::find_contacts(addresses)) {
            return result;
        }
        let (mut found, unknown) = self.facts.contacts(addresses);
        if unknown.is_empty() {
            return Ok(found);
        }
        if let Some(live) = self.live() {
            for contact in live.crm.find_contacts(scope, &unknown).await? {
                if !found.iter().any(|known| known.id == contact.id) {
                    found.push(contact);
                }
            }
        } else {
            self.note("crm.find-contacts", unknown.join(" "), "no contact");
        }
        Ok(found)
    }

    async fn put_contacts(&self, _: &Scope, persons: &[Person]) -> Result<Vec<PersonOutcome>, CrmError> {
        let recorded = self.same_result(&Question::put_contacts(persons));
        let stored = |person: &Person| PersonOutcome::Stored(format!("rehearsed {}", person.key));
        recorded.unwrap_or_else(|| Ok(persons.iter().map(stored).collect()))
    }

    async fn remove_contacts(&self, _: &Scope, keys: &[String]) -> Result<(), CrmError> {
        let recorded = self.same_result(&Question::remove_contacts(keys));
        recorded.unwrap_or(Ok(()))
    }

    async fn put_messages(&self, _: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        let recorded = self.same_result(&Question::put_messages(messages));
        let stored = |message: &Message| PutOutcome::Stored(format!("rehearsed {}", message.key));
        recorded.unwrap_or_else(|| Ok(messages.iter().map(stored).collect()))
    }

    async fn find_messages(&self, scope: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        if let Some(result) = self.same_result(&Question::find_messages(keys)) {
            return result;
        }
        let known: Option<Vec<Option<String>>> = keys
            .iter()
            .map(|key| self.facts.message_ids.get(key).cloned())
            .collect();
        if let Some(known) = known {
            return Ok(known);
        }
        if let Some(live) = self.live() {
            return live.crm.find_messages(scope, keys).await;
        }
        self.note("crm.find-messages", keys.join(" "), "no message");
        let known = |key: &String| self.facts.message_ids.get(key).cloned().flatten();
        Ok(keys.iter().map(known).collect())
    }

    async fn update_messages(
        &self,
        _: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        let recorded = self.same_result(&Question::update_messages(updates));
        recorded.unwrap_or_else(|| Ok(vec![UpdateOutcome::Done; updates.len()]))
    }

    async fn put_attachment(
        &self,
        _: &Scope,
        key: &str,
        attachment: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        let question = Question::put_attachment(key, attachment, &content);
        let is_whole = drained(content).await;
        if let Some(result) = self.same_result(&question) {
            return result;
        }
        if !is_whole {
            return Err(CrmError::Unavailable("the content is not whole".to_owned()));
        }
        Ok(PutOutcome::Stored(format!("rehearsed {key} {}", attachment.part)))
    }

    async fn open_attachment(
        &self,
        scope: &Scope,
        outbound: &str,
        attachment: &str,
    ) -> Result<Body, CrmError> {
        if let Some(recorded) = self.same(&Question::open_attachment(outbound, attachment)) {
            let opened = heard::<serde_json::Value, CrmError>(&recorded.result);
            let body = match opened {
                Some(Ok(body)) => heard_body(&body, || recorded.stream()),
                Some(Err(error)) => return Err(error),
                None => None,
            };
            return body.ok_or(CrmError::NotFound);
        }
        if let Some(live) = self.live() {
            return live.crm.open_attachment(scope, outbound, attachment).await;
        }
        self.note(
            "crm.open-attachment",
            format!("{outbound} {attachment}"),
            NO_ANSWER,
        );
        Err(CrmError::Unavailable(NO_ANSWER.to_owned()))
    }

    async fn changes(&self, _: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError> {
        if let Some(result) = self.same_result(&Question::changes(cursor, limit)) {
            return result;
        }
        self.note("crm.changes", cursor.unwrap_or_default(), "no change");
        Ok(ChangePage {
            changes: Vec::new(),
            cursor: cursor.unwrap_or_default().to_owned(),
            more: false,
        })
    }

    async fn next_outbound(&self, _: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        if let Some(result) = self.same_result(&Question::next_outbound(limit)) {
            return result;
        }
        self.note("crm.next-outbound", limit.to_string(), "no mail waits");
        Ok(Vec::new())
    }

    async fn report_outbound(&self, _: &Scope, id: &str, outcome: &OutboundOutcome) -> Result<(), CrmError> {
        let recorded = self.same_result(&Question::report_outbound(id, outcome));
        recorded.unwrap_or(Ok(()))
    }
}

#[async_trait]
impl Quota for Lenient {
    async fn acquire(&self, scope: &Scope, units: u32, class: Class) -> Result<(), QuotaError> {
        if let Some(result) = self.same_result(&Question::acquire(units, class)) {
            return result;
        }
        // It may be for a request that goes out: after everybody else's.
        match &self.live {
            Some(live) => live.capabilities.quota.acquire(scope, units, Class::Audit).await,
            None => Ok(()),
        }
    }

    fn report(&self, _: &Scope, _: Penalty) {}

    fn in_flight(&self, _: &Scope) -> u32 {
        self.facts.in_flight.unwrap_or(1)
    }
}

#[async_trait]
impl Sharing for Lenient {
    async fn claim(&self, _: &Scope, address: &str) -> Result<Standing, SharingError> {
        let recorded = self.same_result(&Question::claim(address));
        recorded.unwrap_or(Ok(Standing::Kept))
    }

    async fn standings(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Standing>, SharingError> {
        if let Some(result) = self.same_result(&Question::standings(addresses)) {
            return result;
        }
        let known = |address: &String| self.facts.standings.get(address).copied();
        if let Some(standings) = addresses.iter().map(known).collect() {
            return Ok(standings);
        }
        if let Some(live) = self.live() {
            return live.sharing.standings(scope, addresses).await;
        }
        self.note("sharing.standings", addresses.join(" "), "open");
        let standing = |address| known(address).unwrap_or(Standing::Open);
        Ok(addresses.iter().map(standing).collect())
    }

    async fn release(&self, _: &Scope, address: &str) -> Result<(), SharingError> {
        let recorded = self.same_result(&Question::release_contact(address));
        recorded.unwrap_or(Ok(()))
    }

    async fn join(&self, _: &Scope) -> Result<(), SharingError> {
        Ok(())
    }

    async fn leave(&self, _: &Scope) -> Result<(), SharingError> {
        Ok(())
    }
}

#[async_trait]
impl Clock for Lenient {
    fn now(&self) -> u64 {
        let mut time = lock(&self.time);
        let next = time.recorded.pop_front().unwrap_or(0);
        time.latest = time.latest.max(next);
        time.latest
    }

    /// Over at once, and time has passed.
    async fn sleep(&self, milliseconds: u64) {
        {
            let mut time = lock(&self.time);
            time.latest = time.latest.saturating_add(milliseconds);
        }
        tokio::task::yield_now().await;
    }
}

impl Random for Lenient {
    fn fill(&self, bytes: &mut [u8]) {
        let recorded = lock(&self.chance).pop_front();
        match recorded {
            Some(recorded) if recorded.len() == bytes.len() => bytes.copy_from_slice(&recorded),
            _ => self.seeded.fill(bytes),
        }
    }
}

#[async_trait]
impl Http for Lenient {
    async fn send(
        &self,
        scope: &Scope,
        budget: &RequestBudget,
        mut request: Request,
    ) -> Result<Response, Failure> {
        let question = Question::send(&request);
        if let Some(recorded) = self.same(&question) {
            drained(std::mem::take(&mut request.body)).await;
            if let Some(Err(failure)) = heard::<serde::de::IgnoredAny, Failure>(&recorded.result) {
                return Err(failure);
            }
            let result = recorded.result.clone();
            let response = heard_response(&result, || recorded.stream());
            let Some(mut response) = response else {
                return Err(unanswered());
            };
            let limit = usize::try_from(request.inline_limit).unwrap_or(usize::MAX);
            response.body = response
                .body
                .inline_up_to(limit)
                .await
                .map_err(|_| Failure::sent(FailureKind::Interrupted))?;
            return Ok(response);
        }
        if request.method == "GET"
            && let Some(live) = self.live()
        {
            return live.http.send(scope, budget, request).await;
        }
        drained(std::mem::take(&mut request.body)).await;
        self.note(
            "http.send",
            format!("{} {}", request.method, request.url),
            NO_ANSWER,
        );
        Err(unanswered())
    }
}

impl LogSink for Lenient {
    fn write(&self, _: &Scope, _: Line) {}
}

fn unanswered() -> Failure {
    Failure {
        kind: FailureKind::Other(NO_ANSWER.to_owned()),
        request_sent: false,
        retryable: false,
    }
}

/// Reads a body to its end; whether it was whole.
async fn drained(body: Body) -> bool {
    use futures_util::StreamExt;
    let mut stream = body.into_stream();
    while let Some(part) = stream.next().await {
        if part.is_err() {
            return false;
        }
    }
    true
}
