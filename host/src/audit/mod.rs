//! What audits found (T03): the latest few of each connection, and what is known of it from all.
//!
//! An audit compares the mailbox with the ledger; [`Host::check`](crate::Host::check) makes one and adds it
//! here, whoever asked for it. [`MemoryAudits`] forgets with the process; [`SqliteAudits`] does not.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    contract::{AuditReport, Problem},
    scope::ConnectionId,
    store::StoreError,
};

mod memory;
mod sqlite;

pub use memory::MemoryAudits;
pub use sqlite::SqliteAudits;

/// Audits of a connection that are kept.
pub const KEPT: usize = 14;

/// What an audit found, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Messages of the mailbox since the connection, as the provider lists them.
    pub listed: u32,
    /// Ledger rows delivered.
    pub delivered: u32,
    /// Ledger rows excluded, by rule.
    pub excluded: BTreeMap<String, u32>,
    /// Ledger rows gone.
    pub gone: u32,
    /// Ledger rows quarantined.
    pub quarantined: u32,
    /// Listed messages that no ledger row accounts for.
    pub missing: u32,
    /// How many were missing and were brought in.
    pub healed: u32,
}

impl Findings {
    /// How many rows are excluded, by whatever rule.
    pub fn excluded_in_all(&self) -> u32 {
        self.excluded
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// For people: `587 delivered, 413 excluded, nothing missing`.
    pub fn summary(&self) -> String {
        let mut words = vec![
            format!("{} delivered", self.delivered),
            format!("{} excluded", self.excluded_in_all()),
        ];
        let counts = [
            (self.gone, "gone"),
            (self.quarantined, "quarantined"),
            (self.healed, "healed"),
        ];
        let some = counts.iter().filter(|(count, _)| *count > 0);
        words.extend(some.map(|(count, what)| format!("{count} {what}")));
        words.push(match self.missing {
            0 => "nothing missing".to_owned(),
            missing => format!("{missing} missing"),
        });
        words.join(", ")
    }
}

impl From<&AuditReport> for Findings {
    fn from(report: &AuditReport) -> Self {
        let excluded = report.excluded.iter();
        Self {
            listed: report.listed,
            delivered: report.delivered,
            excluded: excluded.map(|of| (of.rule.clone(), of.count)).collect(),
            gone: report.gone,
            quarantined: number(report.quarantined.len()),
            missing: number(report.missing.len()),
            healed: report.healed,
        }
    }
}

/// An audit that was made, or that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audited {
    /// When it ended, ms since the epoch.
    pub at: u64,
    /// What it found, or why it found nothing.
    pub result: Result<Findings, Problem>,
}

/// What all audits of a connection say together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditStanding {
    /// When the last one that did not fail ended, ms since the epoch, and what it found.
    pub last: Option<(u64, Findings)>,
    /// When the last one ended, failed or not, ms since the epoch.
    pub tried_at: u64,
    /// How many failed since the last one that did not.
    pub failures: u32,
    /// Why the last one failed, if it did.
    pub problem: Option<Problem>,
    /// Messages that were missing and were brought in, since the connection.
    pub healed: u64,
}

impl AuditStanding {
    /// The same after one more audit.
    #[must_use]
    pub fn after(self, audited: &Audited) -> Self {
        match &audited.result {
            Ok(findings) => Self {
                healed: self.healed.saturating_add(findings.healed.into()),
                last: Some((audited.at, findings.clone())),
                tried_at: audited.at,
                failures: 0,
                problem: None,
            },
            Err(problem) => Self {
                tried_at: audited.at,
                failures: self.failures.saturating_add(1),
                problem: Some(problem.clone()),
                ..self
            },
        }
    }
}

/// Keeps what audits found. Not reachable by any guest.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Adds an audit; of a connection's audits the latest [`KEPT`] stay.
    async fn add(&self, connection: &ConnectionId, audited: &Audited) -> Result<(), StoreError>;

    /// What is known of each connection that was ever audited.
    async fn standings(&self) -> Result<HashMap<ConnectionId, AuditStanding>, StoreError>;

    /// A connection's audits, the latest first.
    async fn latest(&self, connection: &ConnectionId) -> Result<Vec<Audited>, StoreError>;
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
