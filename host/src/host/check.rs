//! An audit as people and the schedule ask for it (T03): of a mailbox that is up to date, waited for, and
//! written down.

use std::time::Duration;

use super::{Host, HostError};
use crate::{
    audit::{Audited, Findings},
    contract::{AuditMode, AuditReport, Trigger},
    sandbox::PassError,
    scope::ConnectionId,
};

/// Passes before an audit at most.
const MOST_PASSES: u32 = 1_000;
/// How often a lease that is held is asked for again, ms.
const ASK_AGAIN: u64 = 250;

impl Host {
    /// Brings the connection up to date and compares its mailbox with its ledger; what that found is kept.
    /// What came while it was at it is not taken for missing. A pass that is under way is waited for so
    /// long.
    ///
    /// # Errors
    ///
    /// [`HostError::Busy`] when that pass did not end in time: nothing was done or kept. Otherwise why the
    /// pass or the audit failed, which is kept too.
    pub async fn check(
        &self,
        id: &ConnectionId,
        mode: AuditMode,
        patience: Duration,
    ) -> Result<AuditReport, HostError> {
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX >> 1);
        let until = self.parts.clock.now().saturating_add(milliseconds);
        let found = self.compare(id, mode, until).await;
        let result = match &found {
            Err(HostError::Busy | HostError::Pass(PassError::Busy) | HostError::UnknownConnection(_)) => {
                return found;
            }
            Ok(report) => Ok(Findings::from(report)),
            Err(error) => Err(error.problem()),
        };
        let at = self.parts.clock.now();
        if let Err(error) = self.parts.audits.add(id, &Audited { at, result }).await {
            tracing::warn!(connection = %id, %error, "what an audit found was not kept");
        }
        found
    }

    async fn compare(
        &self,
        id: &ConnectionId,
        mode: AuditMode,
        until: u64,
    ) -> Result<AuditReport, HostError> {
        self.catch_up(id, until).await?;
        let report = self
            .patiently(until, || self.audit(id, AuditMode::ReportOnly))
            .await?;
        if report.missing.is_empty() {
            return Ok(report);
        }
        // What came between that pass and the list, history knows by now.
        self.catch_up(id, until).await?;
        self.patiently(until, || self.audit(id, mode)).await
    }

    /// Passes until there is no more to do.
    async fn catch_up(&self, id: &ConnectionId, until: u64) -> Result<(), HostError> {
        for _ in 0..MOST_PASSES {
            let ran = self.patiently(until, || self.run(id, Trigger::Manual)).await?;
            if let Some(problem) = ran.report.problem {
                return Err(HostError::Refused(problem));
            }
            if ran.report.next.is_none_or(|next| next > self.parts.clock.now()) {
                break;
            }
        }
        Ok(())
    }

    /// Does it when the connection's lease is free.
    pub(super) async fn patiently<T, F>(&self, until: u64, call: impl Fn() -> F) -> Result<T, HostError>
    where
        F: Future<Output = Result<T, HostError>>,
    {
        loop {
            match Box::pin(call()).await {
                Err(HostError::Busy) if self.parts.clock.now() < until => {
                    self.parts.clock.sleep(ASK_AGAIN).await;
                }
                result => return result,
            }
        }
    }
}
