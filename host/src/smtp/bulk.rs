//! Bulk and workflow mail (S22): it never goes through a mailbox, but to the account's provider, by SMTP. Each provider has
//! a queue of its own, so that nobody waits for another's.
//!
//! Each recipient gets a copy by itself, and each copy is sent once as far as SMTP lets anybody know: that it is
//! about to be sent is stored before, and where the provider's answer to a whole message does not come, it is
//! unconfirmed and never tried again by itself (RFC 5321, 4.2.5: who has the dot may have the message).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::task::AbortHandle;

use crate::{
    clock::Clock,
    contract::{Mailbox, Outbound},
    crm::CrmError,
    scope::{ConnectionId, TenantId},
    store::Registry,
};

mod compose;
mod provider;

pub use provider::{ProviderError, Security, SmtpProvider, SmtpSettings};

/// How often the queue is looked at when it was empty.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// First wait after a passing refusal, ms; doubled each time.
const FIRST_BACKOFF: u64 = 60_000;
/// Longest wait, ms.
const LONGEST_BACKOFF: u64 = 3_600_000;
/// Passing refusals of one copy, after which it has failed: about two days.
const MOST_ATTEMPTS: u32 = 48;

/// One copy of a mail, about to be sent: nobody else has it, and if nothing more is heard of it, whether it was
/// sent is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The tenant.
    pub tenant: TenantId,
    /// The connection of the user who wrote it.
    pub connection: ConnectionId,
    /// Which of the mail's copies.
    pub position: u32,
    /// To whom.
    pub recipient: Mailbox,
    /// Passing refusals so far.
    pub attempts: u32,
    /// The mail.
    pub outbound: Outbound,
}

/// What became of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dispatched {
    /// The provider has it.
    Sent,
    /// It was not sent, and it will not be.
    Failed(Refusal),
    /// It was not sent yet; it is tried then, ms since the epoch.
    Later(u64, Refusal),
    /// Whether it was sent cannot be established; why.
    Unconfirmed(String),
}

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Its status code, such as `550`; empty when there was no answer.
    pub status: String,
    /// Its text, or what happened.
    pub text: String,
}

/// Whose mail a provider takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenants {
    /// One's, which has a provider of its own.
    Only(TenantId),
    /// Everyone's but of these.
    AllBut(Vec<TenantId>),
}

/// Where such mail waits: a platform's CRM.
#[async_trait]
pub trait BulkQueue: Send + Sync {
    /// The next copy of these tenants, stored as begun before it is given; `None` when none is due. `now` in ms since the
    /// epoch.
    async fn begin(&self, tenants: &Tenants, now: u64) -> Result<Option<Dispatch>, CrmError>;

    /// What became of a copy that was begun. Idempotent.
    async fn settle(&self, dispatch: &Dispatch, result: &Dispatched) -> Result<(), CrmError>;

    /// The bytes of the mail's attachments, in their order.
    async fn attachments(&self, dispatch: &Dispatch) -> Result<Vec<bytes::Bytes>, CrmError>;
}

/// A copy as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Envelope and header `From`.
    pub sender: String,
    /// The envelope's one recipient.
    pub recipient: String,
    /// RFC 5322 bytes.
    pub raw: Vec<u8>,
}

/// Why a letter was not sent, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// Never will be.
    Refused(Refusal),
    /// Not now.
    Later(Refusal),
    /// Nobody knows; why.
    Unclear(String),
}

/// Who sends it.
#[async_trait]
pub trait BulkProvider: Send + Sync {
    /// Sends one letter, once; it is never tried again inside.
    async fn send(&self, letter: &Letter) -> Result<(), NotSent>;
}

/// For hosts without a provider: bulk mail fails, and says why.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProvider;

impl NoProvider {
    /// From whom nothing is.
    pub fn sender() -> Mailbox {
        Mailbox {
            name: None,
            address: "nobody@localhost".to_owned(),
        }
    }
}

#[async_trait]
impl BulkProvider for NoProvider {
    async fn send(&self, _: &Letter) -> Result<(), NotSent> {
        Err(NotSent::Refused(Refusal {
            status: String::new(),
            text: "no provider for bulk and workflow mail is configured".to_owned(),
        }))
    }
}

/// Sends what waits; it ends when this is dropped.
pub struct BulkSender {
    task: AbortHandle,
}

/// What a sender works with. Clones share it.
#[derive(Clone)]
pub struct Bulk {
    /// Whose mail it is.
    pub tenants: Tenants,
    /// Where mail waits.
    pub queue: Arc<dyn BulkQueue>,
    /// Who sends it.
    pub provider: Arc<dyn BulkProvider>,
    /// Where users' own addresses are, for `Reply-To`.
    pub registry: Arc<dyn Registry>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// From whom all of it is; the only sender there is.
    pub sender: Mailbox,
}

impl BulkSender {
    /// Starts it; at most so many letters a minute.
    pub fn start(bulk: Bulk, per_minute: u32) -> Self {
        let pause = Duration::from_millis(60_000 / u64::from(per_minute.max(1)));
        let task = tokio::spawn(async move {
            loop {
                match bulk.send_next().await {
                    Ok(true) => tokio::time::sleep(pause).await,
                    Ok(false) => tokio::time::sleep(LOOK_AGAIN).await,
                    Err(error) => {
                        tracing::warn!(%error, "bulk mail cannot be had, or what became of it not be stored");
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                }
            }
        });
        Self {
            task: task.abort_handle(),
        }
    }
}

impl Drop for BulkSender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bulk {
    /// Sends one copy, if one is due; whether one was.
    pub async fn send_next(&self) -> Result<bool, CrmError> {
        let Some(dispatch) = self.queue.begin(&self.tenants, self.clock.now()).await? else {
            return Ok(false);
        };
        let result = self.send(&dispatch).await?;
        match &result {
            Dispatched::Sent => tracing::info!(mail = %dispatch.outbound.id, "bulk mail was sent"),
            other => tracing::warn!(mail = %dispatch.outbound.id, ?other, "bulk mail was not sent"),
        }
        self.queue.settle(&dispatch, &result).await?;
        Ok(true)
    }

    async fn send(&self, dispatch: &Dispatch) -> Result<Dispatched, CrmError> {
        let later = |refusal| self.later(dispatch, refusal);
        let attachments = match self.queue.attachments(dispatch).await {
            Ok(attachments) => attachments,
            Err(error) => return Ok(later(said(&error.to_string()))),
        };
        let user = match self.registry.find(&dispatch.connection).await {
            Ok(connection) => connection.map(|connection| connection.address),
            Err(error) => return Ok(later(said(&error.to_string()))),
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(dispatch.outbound.queued_at);
        let letter = match compose::letter(dispatch, &self.sender, user.as_deref(), &attachments, at) {
            Ok(letter) => letter,
            Err(wrong) => return Ok(Dispatched::Failed(said(&wrong.to_string()))),
        };
        Ok(match self.provider.send(&letter).await {
            Ok(()) => Dispatched::Sent,
            Err(NotSent::Refused(refusal)) => Dispatched::Failed(refusal),
            Err(NotSent::Later(refusal)) => later(refusal),
            Err(NotSent::Unclear(why)) => Dispatched::Unconfirmed(why),
        })
    }

    fn later(&self, dispatch: &Dispatch, refusal: Refusal) -> Dispatched {
        if dispatch.attempts >= MOST_ATTEMPTS {
            return Dispatched::Failed(refusal);
        }
        let wait = (FIRST_BACKOFF << dispatch.attempts.min(12)).min(LONGEST_BACKOFF);
        Dispatched::Later(self.clock.now() + wait, refusal)
    }
}

fn said(text: &str) -> Refusal {
    Refusal {
        status: String::new(),
        text: text.to_owned(),
    }
}
