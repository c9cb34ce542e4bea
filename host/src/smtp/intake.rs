//! From the spool to the component, in a pass of the mail's connection: one at a time for each connection,
//! and again, ever later, until it is settled.

use std::{collections::HashSet, time::Duration};

use tokio::task::{AbortHandle, JoinSet};

use super::{Spool, Spooled};
use crate::{
    contract::{Outcome, Problem},
    host::{Host, HostError},
    sandbox::PassError,
    scope::ConnectionId,
    store::StoreError,
};

/// Connections whose mail is handed over at once.
const AT_ONCE: usize = 4;
/// Mails looked at together.
const LOOKED_AT: u32 = 200;
/// How often the spool is looked at when nothing comes: another process may have taken mail.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How often what was left half is swept.
const SWEEP_EVERY: u64 = 600_000;
/// When a connection that is in use is asked again, ms.
const IN_USE: u64 = 1_000;
/// First wait after a failure, ms; doubled each time.
const FIRST_BACKOFF: u64 = 5_000;
/// Longest wait, ms.
const LONGEST_BACKOFF: u64 = 3_600_000;
/// Passes that may end on one mail without an answer before it is kept for another component.
const PATIENCE: u32 = 5;

/// The schedule; it ends when this is dropped.
pub struct IntakeSchedule {
    task: AbortHandle,
}

impl IntakeSchedule {
    /// Starts it for a host.
    pub fn start(host: Host, spool: Spool) -> Self {
        let task = tokio::spawn(run(host, spool)).abort_handle();
        Self { task }
    }
}

impl Drop for IntakeSchedule {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Spool {
    /// Hands over what is due now, each connection's mail in its order; how many were settled. For tests and
    /// for whoever keeps another schedule.
    pub async fn hand_over(&self, host: &Host) -> Result<usize, StoreError> {
        let digest = host.parts().plugins.chosen().await.current.digest().to_owned();
        let mut settled = 0;
        for mail in self.due(host.parts().clock.now(), &digest, LOOKED_AT).await? {
            settled += usize::from(take(host, self, &digest, &mail).await?);
        }
        Ok(settled)
    }
}

async fn run(host: Host, spool: Spool) {
    let mut busy: HashSet<ConnectionId> = HashSet::new();
    let mut handing: JoinSet<ConnectionId> = JoinSet::new();
    let mut swept_at = 0;
    loop {
        let now = host.parts().clock.now();
        if now >= swept_at + SWEEP_EVERY {
            swept_at = now;
            if let Err(error) = spool.sweep(now).await {
                tracing::warn!(%error, "the spool cannot be swept");
            }
        }
        let digest = host.parts().plugins.chosen().await.current.digest().to_owned();
        match spool.due_of_each(now, &digest, LOOKED_AT).await {
            Ok(due) => {
                for mail in due {
                    if busy.len() < AT_ONCE && busy.insert(mail.connection.clone()) {
                        let (host, spool, digest) = (host.clone(), spool.clone(), digest.clone());
                        handing.spawn(async move {
                            if let Err(error) = take(&host, &spool, &digest, &mail).await {
                                tracing::warn!(%error, "what became of a mail was not written down");
                                tokio::time::sleep(LOOK_AGAIN).await;
                            }
                            mail.connection
                        });
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the spool does not answer"),
        }
        tokio::select! {
            Some(done) = handing.join_next(), if !handing.is_empty() => match done {
                Ok(connection) => {
                    busy.remove(&connection);
                }
                Err(error) => {
                    tracing::error!(%error, "an intake's task ended");
                    handing.abort_all();
                    busy.clear();
                }
            },
            () = spool.arrival() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Hands one mail over; whether that settled it.
async fn take(host: &Host, spool: &Spool, digest: &str, mail: &Spooled) -> Result<bool, StoreError> {
    let raw = spool.read(mail).await?;
    let ended = host
        .ingest(
            &mail.connection,
            mail.recipient.clone(),
            raw,
            mail.size,
            mail.received_at,
        )
        .await;
    let now = host.parts().clock.now();
    let attempts = mail.attempts.saturating_add(1);
    match ended {
        Ok(Outcome::Quarantined(reason)) => {
            spool.keep(mail, digest, &reason).await?;
            Ok(true)
        }
        Ok(outcome) => {
            tracing::info!(connection = %mail.connection, ?outcome, "a mail from a BCC address is settled");
            spool.done(mail).await?;
            Ok(true)
        }
        // S06: work that was queued for a connection that was ended goes without an error.
        Err(HostError::UnknownConnection(_) | HostError::Refused(Problem::NotConnected)) => {
            spool.done(mail).await?;
            Ok(true)
        }
        Err(HostError::Busy | HostError::Pass(PassError::Busy)) => {
            spool.postpone(mail, now + IN_USE, mail.attempts).await?;
            Ok(false)
        }
        Err(HostError::Pass(error)) if attempts >= PATIENCE => {
            spool.keep(mail, digest, &error.to_string()).await?;
            Ok(true)
        }
        Err(error) => {
            let due_at = match error.problem() {
                Problem::RateLimited(until) => until,
                _ => now + (FIRST_BACKOFF << mail.attempts.min(12)).min(LONGEST_BACKOFF),
            };
            tracing::warn!(connection = %mail.connection, %error, attempts, "a mail is not taken in yet");
            spool.postpone(mail, due_at, attempts).await?;
            Ok(false)
        }
    }
}
