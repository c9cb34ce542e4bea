//! The report of `--once`: every message accounted for, counted where it ended, not where it was sent.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{
    failure::Failure,
    runtime::{Runtime, TENANT},
    simulator::Usage,
};
use crate::{
    contract::{AuditMode, AuditReport, Problem},
    scope::{ConnectionId, TenantId},
};

/// What became of the mail.
pub(super) struct Report {
    total: usize,
    /// Messages in the CRM.
    delivered: u64,
    audit: AuditReport,
    gmail: Usage,
    seconds: f64,
    peak: usize,
}

/// Asks the CRM and the ledger what became of `total` messages.
pub(super) async fn make(
    runtime: &Runtime,
    connection: &ConnectionId,
    total: usize,
    before: Usage,
    after: Usage,
    seconds: f64,
    peak: usize,
) -> Result<Report, Failure> {
    let counts = runtime.crm.counts(&TenantId::new(TENANT)).await?;
    let audit = runtime.host.audit(connection, AuditMode::ReportOnly).await?;
    let gmail = Usage {
        requests: after.requests.saturating_sub(before.requests),
        units: after.units.saturating_sub(before.units),
    };
    Ok(Report {
        total,
        delivered: counts.messages,
        audit,
        gmail,
        seconds,
        peak,
    })
}

/// Problems that waiting does not cure.
pub(super) fn is_final(problem: &Problem) -> bool {
    !matches!(
        problem,
        Problem::RateLimited(_)
            | Problem::ProviderUnavailable(_)
            | Problem::CrmUnavailable(_)
            | Problem::StorageUnavailable(_)
    )
}

impl Report {
    /// Messages that ended nowhere: those the CRM and the ledger together do not account for, or that the
    /// mailbox has and the ledger does not.
    pub(super) fn missing(&self) -> u64 {
        let excluded: u64 = self
            .audit
            .excluded
            .iter()
            .map(|excluded| u64::from(excluded.count))
            .sum();
        let ended =
            self.delivered + excluded + self.audit.quarantined.len() as u64 + u64::from(self.audit.gone);
        let unaccounted = (self.total as u64).saturating_sub(ended);
        unaccounted.max(self.audit.missing.len() as u64)
    }

    pub(super) fn json(&self) -> Value {
        let excluded: BTreeMap<&str, u32> = self
            .audit
            .excluded
            .iter()
            .map(|excluded| (excluded.rule.as_str(), excluded.count))
            .collect();
        let quarantined: Vec<Value> = self
            .audit
            .quarantined
            .iter()
            .map(|message| json!({ "id": message.id, "reason": message.reason }))
            .collect();
        json!({
            "messages": {
                "total": self.total,
                "delivered": self.delivered,
                "excluded": excluded,
                "quarantined": quarantined,
                "missing": self.missing(),
            },
            "gmail": { "requests": self.gmail.requests, "quota_units": self.gmail.units },
            "seconds": (self.seconds * 1_000.0).round() / 1_000.0,
            "guest_peak_bytes": self.peak,
        })
    }

    pub(super) fn text(&self) -> String {
        let excluded: Vec<String> = self
            .audit
            .excluded
            .iter()
            .map(|excluded| format!("{} by {}", excluded.count, excluded.rule))
            .collect();
        format!(
            "{} messages: {} delivered, excluded: {}, {} quarantined, {} missing\n\
             Gmail: {} requests, {} quota units; {:.2} s; guest memory at most {:.1} MiB",
            self.total,
            self.delivered,
            if excluded.is_empty() {
                "none".to_owned()
            } else {
                excluded.join(", ")
            },
            self.audit.quarantined.len(),
            self.missing(),
            self.gmail.requests,
            self.gmail.units,
            self.seconds,
            mebibytes(self.peak),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
