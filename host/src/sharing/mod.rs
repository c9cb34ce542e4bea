//! Who keeps a contact when several tenants connect one mailbox (S30 to S32). No answer names
//! another tenant or says how many there are (S33).
//!
//! A mailbox is a provider's account ([`Scope::account`]), a contact its normalised address: nothing else of a
//! contact is the same in two tenants. A claim is the tenant's, held by those of its connections that made it. It
//! ends with the last of them: when the plugin releases it, or when the connection leaves.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::scope::Scope;

mod sqlite;
#[cfg(test)]
mod tests;

pub use sqlite::SqliteSharing;

/// The most addresses of one call.
const ADDRESSES_LIMIT: usize = 1_000;
/// The longest address, in bytes (RFC 5321: 64 + 1 + 255).
const ADDRESS_LIMIT: usize = 320;

/// How a tenant stands with one contact of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nobody keeps the contact: everyone sees the mail (S30).
    Open,
    /// This tenant keeps it (S31).
    Kept,
    /// Another one keeps it since this time, ms since the epoch: this tenant no longer syncs what came
    /// since (S31).
    Released(u64),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SharingError {
    /// Not now.
    #[error("claims are not available: {0}")]
    Unavailable(String),
    /// Too many addresses, or one that is too long; which.
    #[error("over the limit: {0}")]
    OverLimit(String),
    /// The connection has left: it claims nothing any more.
    #[error("the connection was ended")]
    Left,
}

/// Claims of tenants on contacts, per account. Addresses are normalised by whoever asks.
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

    /// The scope's connection keeps the contact no longer; whoever else keeps it goes on. Idempotent.
    async fn release(&self, scope: &Scope, contact_address: &str) -> Result<(), SharingError>;

    /// The scope's connection begins, or begins again after it had left. Idempotent.
    async fn join(&self, scope: &Scope) -> Result<(), SharingError>;

    /// The scope's connection ends: it claims nothing from here on, not even by a pass that another process
    /// still has under way. What it holds goes to another connection of its tenant and account, if there is
    /// one, and is free otherwise. Idempotent.
    async fn leave(&self, scope: &Scope) -> Result<(), SharingError>;
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

    async fn release(&self, _scope: &Scope, _contact_address: &str) -> Result<(), SharingError> {
        Ok(())
    }

    async fn join(&self, _scope: &Scope) -> Result<(), SharingError> {
        Ok(())
    }

    async fn leave(&self, _scope: &Scope) -> Result<(), SharingError> {
        Ok(())
    }
}

/// Refuses what no contact has.
fn within_limits(addresses: &[String]) -> Result<(), SharingError> {
    if addresses.len() > ADDRESSES_LIMIT {
        return Err(SharingError::OverLimit(format!(
            "{} addresses in one call",
            addresses.len()
        )));
    }
    match addresses.iter().find(|address| address.len() > ADDRESS_LIMIT) {
        Some(address) => Err(SharingError::OverLimit(format!(
            "an address of {} bytes",
            address.len()
        ))),
        None => Ok(()),
    }
}
