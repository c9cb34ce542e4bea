//! Who keeps a contact when several tenants connect one mailbox (S30 to S32). No answer names
//! another tenant or says how many there are (S33).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::scope::Scope;

/// How a tenant stands with one contact of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nobody keeps the contact: everyone sees the mail (S30).
    Open,
    /// This tenant keeps it (S31).
    Kept,
    /// Another one keeps it: this tenant no longer syncs it (S31).
    Released,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SharingError {
    /// Not now.
    #[error("claims are not available: {0}")]
    Unavailable(String),
}

/// Claims of tenants on contacts, per account.
#[async_trait]
pub trait Sharing: Send + Sync {
    /// Takes the contact for the scope's tenant unless it is kept already; the standing after it.
    /// Atomic and idempotent.
    async fn claim(&self, scope: &Scope, contact_address: &str) -> Result<Standing, SharingError>;

    /// Standings of these normalised addresses, in the order asked.
    async fn standings(
        &self,
        scope: &Scope,
        contact_addresses: &[String],
    ) -> Result<Vec<Standing>, SharingError>;
}

/// One tenant per mailbox: what it claims it keeps, and everything else is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Solo;

#[async_trait]
impl Sharing for Solo {
    async fn claim(&self, _scope: &Scope, _contact_address: &str) -> Result<Standing, SharingError> {
        Ok(Standing::Kept)
    }

    async fn standings(
        &self,
        _scope: &Scope,
        contact_addresses: &[String],
    ) -> Result<Vec<Standing>, SharingError> {
        Ok(vec![Standing::Open; contact_addresses.len()])
    }
}
