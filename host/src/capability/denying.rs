//! The default value of every capability: refuses.
//!
//! A manifest is read with these, and a platform that forgets to supply a capability has one of
//! these rather than something that works.

use async_trait::async_trait;

use super::{Line, LogSink};
use crate::{
    body::Body,
    clock::Clock,
    contract::{
        Attachment, ChangePage, Contact, Features, Message, MessageUpdate, Outbound, OutboundOutcome,
        PutOutcome, UpdateOutcome,
    },
    crm::{Crm, CrmError},
    egress::{Denial, Failure, Http, Request, RequestBudget, Response},
    quota::{Class, Penalty, Quota, QuotaError},
    random::Random,
    scope::{ConnectionId, Scope},
    sharing::{Sharing, SharingError, Standing},
    store::{Change, CommitError, Entry, Expectation, Lease, Page, Store, StoreError},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

use secrecy::SecretString;

/// Refuses everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Denying;

const WHY: &str = "not granted";

fn no_store() -> StoreError {
    StoreError::Unavailable(WHY.into())
}

#[async_trait]
impl Store for Denying {
    async fn get(&self, _: &ConnectionId, _: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        Err(no_store())
    }

    async fn scan(&self, _: &ConnectionId, _: &str, _: Option<&str>, _: u32) -> Result<Page, StoreError> {
        Err(no_store())
    }

    async fn commit(&self, _: &Lease, _: &[Expectation], _: &[Change]) -> Result<(), CommitError> {
        Err(no_store().into())
    }

    async fn acquire(&self, _: &ConnectionId, _: u64, _: u64) -> Result<Option<Lease>, StoreError> {
        Err(no_store())
    }

    async fn renew(&self, _: &Lease, _: u64) -> Result<bool, StoreError> {
        Err(no_store())
    }

    async fn release(&self, _: &Lease) -> Result<(), StoreError> {
        Err(no_store())
    }
}

#[async_trait]
impl Vault for Denying {
    async fn grant(&self, _: &ConnectionId) -> Result<Grant, VaultError> {
        Err(VaultError::NoGrant)
    }

    async fn access_token(&self, _: &ConnectionId, _: Freshness) -> Result<SecretString, VaultError> {
        Err(VaultError::NoGrant)
    }

    async fn holders(&self, _: &ConnectionId) -> Result<Holders, VaultError> {
        Err(VaultError::NoGrant)
    }

    async fn release(&self, _: &ConnectionId) -> Result<(), VaultError> {
        Err(VaultError::Unavailable(WHY.into()))
    }
}

fn no_crm<T>() -> Result<T, CrmError> {
    Err(CrmError::Refused(WHY.into()))
}

#[async_trait]
impl Crm for Denying {
    fn features(&self) -> Features {
        Features {
            server_idempotency: false,
            deltas: false,
            attachments: false,
            edit_after_log: false,
            outbound: false,
            address_book: false,
            body_limit: 0,
            subject_limit: 0,
        }
    }

    async fn find_contacts(&self, _: &Scope, _: &[String]) -> Result<Vec<Contact>, CrmError> {
        no_crm()
    }

    async fn put_messages(&self, _: &Scope, _: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        no_crm()
    }

    async fn find_messages(&self, _: &Scope, _: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        no_crm()
    }

    async fn update_messages(&self, _: &Scope, _: &[MessageUpdate]) -> Result<Vec<UpdateOutcome>, CrmError> {
        no_crm()
    }

    async fn put_attachment(
        &self,
        _: &Scope,
        _: &str,
        _: &Attachment,
        _: Body,
    ) -> Result<PutOutcome, CrmError> {
        no_crm()
    }

    async fn open_attachment(&self, _: &Scope, _: &str, _: &str) -> Result<Body, CrmError> {
        no_crm()
    }

    async fn changes(&self, _: &Scope, _: Option<&str>, _: u32) -> Result<ChangePage, CrmError> {
        no_crm()
    }

    async fn next_outbound(&self, _: &Scope, _: u32) -> Result<Vec<Outbound>, CrmError> {
        no_crm()
    }

    async fn report_outbound(&self, _: &Scope, _: &str, _: &OutboundOutcome) -> Result<(), CrmError> {
        no_crm()
    }
}

#[async_trait]
impl Quota for Denying {
    async fn acquire(&self, _: &Scope, _: u32, _: Class) -> Result<(), QuotaError> {
        Err(QuotaError::Refused(WHY.into()))
    }

    fn report(&self, _: &Scope, _: Penalty) {}

    fn in_flight(&self, _: &Scope) -> u32 {
        1
    }
}

#[async_trait]
impl Sharing for Denying {
    async fn claim(&self, _: &Scope, _: &str) -> Result<Standing, SharingError> {
        Err(SharingError::Unavailable(WHY.into()))
    }

    async fn standings(&self, _: &Scope, _: &[String]) -> Result<Vec<Standing>, SharingError> {
        Err(SharingError::Unavailable(WHY.into()))
    }

    async fn release(&self, _: &Scope, _: &str) -> Result<(), SharingError> {
        Err(SharingError::Unavailable(WHY.into()))
    }

    async fn join(&self, _: &Scope) -> Result<(), SharingError> {
        Err(SharingError::Unavailable(WHY.into()))
    }

    async fn leave(&self, _: &Scope) -> Result<(), SharingError> {
        Err(SharingError::Unavailable(WHY.into()))
    }
}

/// Time stands still at the epoch, and waiting ends at once.
#[async_trait]
impl Clock for Denying {
    fn now(&self) -> u64 {
        0
    }

    async fn sleep(&self, _: u64) {}
}

/// All zeros.
impl Random for Denying {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[async_trait]
impl Http for Denying {
    async fn send(&self, _: &Scope, _: &RequestBudget, _: Request) -> Result<Response, Failure> {
        Err(Denial::HostGrant.into())
    }
}

impl LogSink for Denying {
    fn write(&self, _: &Scope, _: Line) {}
}
