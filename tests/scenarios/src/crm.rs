//! The embedded CRM, which fails when a test wants it to.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use twinbox_host::{
    body::Body,
    contract::{
        Attachment, ChangePage, Contact, Features, Message, MessageUpdate, Outbound, OutboundOutcome, Person,
        PersonOutcome, PutOutcome, UpdateOutcome,
    },
    crm::{Crm, CrmError, EmbeddedCrm},
    scope::Scope,
};

/// What the CRM does wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum CrmFault {
    /// Refuses every message with this subject, for its own sake.
    RefuseSubject(String),
    /// Fails a put of messages, after letting so many through.
    FailPut {
        /// Puts that pass before.
        after: u32,
        /// The error, once.
        error: CrmError,
    },
    /// Stores the messages of one put and then says it does not know.
    ForgetPut,
    /// Fails one call that updates messages, after letting so many through.
    FailUpdate(u32),
    /// Fails one report of what became of outbound mail, and takes no note of it.
    FailReport(CrmError),
}

/// The CRM the host is given.
pub(crate) struct FaultyCrm {
    inner: EmbeddedCrm,
    faults: Mutex<Vec<CrmFault>>,
}

impl FaultyCrm {
    pub(crate) fn new(inner: EmbeddedCrm) -> Self {
        Self {
            inner,
            faults: Mutex::default(),
        }
    }

    pub(crate) fn inject(&self, fault: CrmFault) {
        self.lock().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<CrmFault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, wanted: impl Fn(&CrmFault) -> bool) -> Option<CrmFault> {
        let mut faults = self.lock();
        let position = faults.iter().position(wanted)?;
        Some(faults.remove(position))
    }

    fn refuses(&self, message: &Message) -> bool {
        let refused = CrmFault::RefuseSubject(message.subject.clone());
        self.lock().contains(&refused)
    }

    /// Whether this call that updates messages fails.
    fn fails_update(&self) -> bool {
        let mut faults = self.lock();
        let position = faults
            .iter()
            .position(|fault| matches!(fault, CrmFault::FailUpdate(_)));
        let Some(position) = position else { return false };
        if let CrmFault::FailUpdate(after) = &mut faults[position]
            && *after > 0
        {
            *after -= 1;
            return false;
        }
        faults.remove(position);
        true
    }

    /// The error that strikes this put, if any.
    fn failed_put(&self) -> Result<(), CrmError> {
        let mut faults = self.lock();
        let Some(position) = faults
            .iter()
            .position(|fault| matches!(fault, CrmFault::FailPut { .. }))
        else {
            return Ok(());
        };
        if let CrmFault::FailPut { after, error } = &mut faults[position] {
            if *after == 0 {
                let error = error.clone();
                faults.remove(position);
                return Err(error);
            }
            *after -= 1;
        }
        Ok(())
    }
}

#[async_trait]
impl Crm for FaultyCrm {
    fn features(&self) -> Features {
        self.inner.features()
    }

    async fn find_contacts(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        self.inner.find_contacts(scope, addresses).await
    }

    async fn put_contacts(&self, scope: &Scope, persons: &[Person]) -> Result<Vec<PersonOutcome>, CrmError> {
        self.failed_put()?;
        self.inner.put_contacts(scope, persons).await
    }

    async fn remove_contacts(&self, scope: &Scope, keys: &[String]) -> Result<(), CrmError> {
        self.inner.remove_contacts(scope, keys).await
    }

    async fn put_messages(&self, scope: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        self.failed_put()?;
        let mut outcomes = Vec::with_capacity(messages.len());
        for message in messages {
            if self.refuses(message) {
                outcomes.push(PutOutcome::Refused("no such mail here".into()));
                continue;
            }
            outcomes.extend(
                self.inner
                    .put_messages(scope, std::slice::from_ref(message))
                    .await?,
            );
        }
        if self.take(|fault| *fault == CrmFault::ForgetPut).is_some() {
            return Ok(vec![PutOutcome::Unknown; messages.len()]);
        }
        Ok(outcomes)
    }

    async fn find_messages(&self, scope: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        self.inner.find_messages(scope, keys).await
    }

    async fn update_messages(
        &self,
        scope: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        if self.fails_update() {
            return Err(CrmError::Unavailable("down".into()));
        }
        self.inner.update_messages(scope, updates).await
    }

    async fn put_attachment(
        &self,
        scope: &Scope,
        message_key: &str,
        attachment: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        self.inner
            .put_attachment(scope, message_key, attachment, content)
            .await
    }

    async fn open_attachment(
        &self,
        scope: &Scope,
        outbound_id: &str,
        attachment_id: &str,
    ) -> Result<Body, CrmError> {
        self.inner
            .open_attachment(scope, outbound_id, attachment_id)
            .await
    }

    async fn changes(&self, scope: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError> {
        self.inner.changes(scope, cursor, limit).await
    }

    async fn next_outbound(&self, scope: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        self.inner.next_outbound(scope, limit).await
    }

    async fn report_outbound(
        &self,
        scope: &Scope,
        id: &str,
        outcome: &OutboundOutcome,
    ) -> Result<(), CrmError> {
        match self.take(|fault| matches!(fault, CrmFault::FailReport(_))) {
            Some(CrmFault::FailReport(error)) => Err(error),
            _ => self.inner.report_outbound(scope, id, outcome).await,
        }
    }
}
