//! Audits by schedule (T03): one a day for each connection, at a time of day of its own.
//!
//! When an audit is due follows from what the [`AuditLog`](crate::audit::AuditLog) knows, so that a restart
//! neither forgets nor repeats one. An audit and a pass take the same lease: they never run together.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::task::{AbortHandle, JoinSet};

use crate::{
    audit::AuditStanding,
    contract::{AuditMode, Problem},
    host::{Host, HostError},
    sandbox::PassError,
    scope::ConnectionId,
    store::{Connection, ConnectionStatus},
};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// Audits at once: they are not to be felt.
const AT_ONCE: usize = 2;
/// How often the schedule looks what is due, at least.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// What fell due while nobody was there is made up for within so long of the start, ms.
const CATCHING_UP: u64 = HOUR / 2;
/// A connection that was in use is tried again after so long, ms.
const IN_USE: u64 = 60_000;
/// First wait after an audit that failed, ms; doubled each time.
const FIRST_BACKOFF: u64 = 600_000;
/// Longest wait after audits that failed, ms.
const LONGEST_BACKOFF: u64 = 6 * HOUR;
/// What could not be healed in one audit is tried again after so long, ms.
const HEAL_AGAIN: u64 = HOUR;

/// When audits are made, and what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auditing {
    /// What is done about messages that are missing.
    pub mode: AuditMode,
    /// When the day's first audit is, after midnight UTC.
    pub begins: Duration,
    /// Over how long the day's audits are spread; a day at most.
    pub spread: Duration,
}

impl Default for Auditing {
    /// Healing, over the whole day.
    fn default() -> Self {
        Self {
            mode: AuditMode::Heal,
            begins: Duration::ZERO,
            spread: Duration::from_millis(DAY),
        }
    }
}

/// The schedule of audits; it ends when this is dropped.
pub struct AuditSchedule {
    task: AbortHandle,
}

impl AuditSchedule {
    /// Starts it for a host.
    pub fn start(host: Host, auditing: Auditing) -> Self {
        let rule = Rule {
            auditing,
            started_at: host.parts().clock.now(),
        };
        let task = Loop {
            host,
            rule,
            running: HashSet::new(),
            postponed: HashMap::new(),
        };
        Self {
            task: tokio::spawn(task.run()).abort_handle(),
        }
    }
}

impl Drop for AuditSchedule {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Loop {
    host: Host,
    rule: Rule,
    running: HashSet<ConnectionId>,
    /// Connections that were in use, and until when they are left alone.
    postponed: HashMap<ConnectionId, u64>,
}

impl Loop {
    async fn run(mut self) {
        let mut audits: JoinSet<(ConnectionId, Made)> = JoinSet::new();
        loop {
            let wait = self.start_due(&mut audits).await;
            tokio::select! {
                Some(ended) = audits.join_next(), if !audits.is_empty() => match ended {
                    Ok((id, made)) => self.ended(id, made),
                    Err(error) => {
                        tracing::error!(%error, "an audit's task ended");
                        self.running.clear();
                    }
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn ended(&mut self, id: ConnectionId, made: Made) {
        self.running.remove(&id);
        if made == Made::Not {
            self.postponed.insert(id, self.host.parts().clock.now() + IN_USE);
        }
    }

    /// Starts what is due; answers how long nothing more will be.
    async fn start_due(&mut self, audits: &mut JoinSet<(ConnectionId, Made)>) -> Duration {
        let parts = self.host.parts();
        let now = parts.clock.now();
        self.postponed.retain(|_, until| *until > now);
        let (connections, standings) = match tokio::join!(parts.registry.list(), parts.audits.standings()) {
            (Ok(connections), Ok(standings)) => (connections, standings),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "what audits are due cannot be read");
                return LOOK_AGAIN;
            }
        };
        let mut wait = LOOK_AGAIN;
        for connection in &connections {
            let id = &connection.scope.connection;
            if self.running.contains(id) || self.postponed.contains_key(id) {
                continue;
            }
            let Some(due) = self.rule.due_at(connection, standings.get(id)) else {
                continue;
            };
            if due > now {
                wait = wait.min(Duration::from_millis(due - now));
            } else if audits.len() < AT_ONCE {
                self.running.insert(id.clone());
                audits.spawn(audit(self.host.clone(), id.clone(), self.rule.auditing.mode));
            }
        }
        wait
    }
}

/// Whether an audit was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// It was, and what it found or why it failed is kept.
    Kept,
    /// The connection or the host was in use.
    Not,
}

async fn audit(host: Host, id: ConnectionId, mode: AuditMode) -> (ConnectionId, Made) {
    let made = match host.check(&id, mode, Duration::ZERO).await {
        Ok(report) => {
            let (missing, healed) = (report.missing.len(), report.healed);
            if missing > 0 || healed > 0 {
                tracing::warn!(connection = %id, missing, healed, "an audit found messages that were missing");
            } else {
                tracing::info!(connection = %id, listed = report.listed, "audit: nothing is missing");
            }
            Made::Kept
        }
        Err(HostError::Busy | HostError::Pass(PassError::Busy)) => Made::Not,
        Err(error) => {
            tracing::warn!(connection = %id, %error, "an audit failed");
            Made::Kept
        }
    };
    (id, made)
}

/// When an audit is due.
struct Rule {
    auditing: Auditing,
    /// When the schedule began, ms since the epoch.
    started_at: u64,
}

impl Rule {
    /// When the connection's next audit is due, ms since the epoch; `None` while it does not sync.
    fn due_at(&self, connection: &Connection, standing: Option<&AuditStanding>) -> Option<u64> {
        // A connection in trouble has a back-off of its own, and an audit could say no more than its passes.
        if connection.status != ConnectionStatus::Active || connection.problem.is_some() {
            return None;
        }
        let own = hash(connection.scope.connection.as_str());
        let due = match standing {
            Some(standing) if standing.failures > 0 => retry_at(standing),
            Some(AuditStanding {
                last: Some((at, findings)),
                ..
            }) => {
                let next = self.next_slot(own, *at);
                if findings.missing > 0 && self.auditing.mode == AuditMode::Heal {
                    next.min(at + HEAL_AGAIN)
                } else {
                    next
                }
            }
            _ => self.next_slot(own, connection.created_at),
        };
        // After a rest of the host not all that were missed at once.
        Some(if due < self.started_at {
            self.started_at + own % CATCHING_UP
        } else {
            due
        })
    }

    /// The connection's own time of day, the first that is half a day or more after `last`.
    fn next_slot(&self, own: u64, last: u64) -> u64 {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(DAY);
        let spread = milliseconds(self.auditing.spread).clamp(1, DAY);
        let slot = (milliseconds(self.auditing.begins) + own % spread) % DAY;
        let earliest = last.saturating_add(DAY / 2);
        let on_that_day = earliest / DAY * DAY + slot;
        if on_that_day >= earliest {
            on_that_day
        } else {
            on_that_day + DAY
        }
    }
}

fn retry_at(standing: &AuditStanding) -> u64 {
    let backoff = (FIRST_BACKOFF << standing.failures.saturating_sub(1).min(8)).min(LONGEST_BACKOFF);
    let at = standing.tried_at.saturating_add(backoff);
    match &standing.problem {
        Some(Problem::RateLimited(until)) => at.max(*until),
        _ => at,
    }
}

/// FNV-1a: the same in every process.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
