//! What the end of a pass means for its connection.

use std::time::Duration;

use crate::{
    contract::{Problem, Report, Trigger},
    sandbox::{Ended, PassError},
    store::{Announced, Connection, ConnectionStatus, Found, Standing, Used},
};

/// First wait after a pass that failed, ms; doubled each time.
const FIRST_BACKOFF: u64 = 5_000;
/// Failures in a row after which a plugin's own word on when to come back no longer counts.
const TRUSTED_FAILURES: u32 = 3;
/// Longest wait after passes that failed, ms.
const LONGEST_BACKOFF: u64 = 3_600_000;

/// What was known of the connection when a pass began.
pub(super) struct Began {
    pub(super) announced: Announced,
    how: Found,
}

impl Began {
    pub(super) fn of(connection: &Connection, trigger: &Trigger, now: u64) -> Self {
        let asked_for_by_the_last = connection.next_run_at.is_some_and(|at| at <= now);
        let is_polling =
            *trigger == Trigger::Schedule && connection.announced.waiting.is_none() && !asked_for_by_the_last;
        Self {
            announced: connection.announced.clone(),
            how: if is_polling {
                Found::ByPolling
            } else {
                Found::AsAsked
            },
        }
    }

    /// How the pass came to find what it found at the provider, if it found anything.
    pub(super) fn found(&self, report: &Report) -> Option<Found> {
        let counts = &report.counts;
        (counts.seen > 0 || counts.updates_in > 0).then_some(self.how)
    }
}

/// What the end of a pass means for its connection.
pub(super) fn note(connection: &mut Connection, ended: &Result<Report, PassError>, now: u64) {
    // It may have been ended meanwhile (S06).
    if connection.status == ConnectionStatus::Disconnected {
        return;
    }
    if let Err(PassError::Busy) = ended {
        // The host was busy, not the connection at fault.
        connection.next_run_at = Some(now + FIRST_BACKOFF);
        return;
    }
    let (problem, next) = match ended {
        Ok(report) => (report.problem.clone(), report.next),
        Err(error) => (Some(Problem::PluginOverBudget(error.to_string())), None),
    };
    connection.last_run_at = Some(now);
    connection.failures = if problem.is_some() {
        connection.failures.saturating_add(1)
    } else {
        0
    };
    connection.next_run_at = match &problem {
        Some(_) => Some(retry_at(now, next, connection.failures)),
        None => next,
    };
    connection.status = match &problem {
        Some(Problem::ReconnectNeeded) => ConnectionStatus::NeedsReconnect,
        _ => ConnectionStatus::Active,
    };
    connection.problem = problem;
}

/// What is known of a connection after a pass.
pub(super) fn standing(before: &Standing, ended: &Ended<Report>) -> Standing {
    let report = ended.result.as_ref().ok();
    let usage = &ended.usage;
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Standing {
        current_at: report.and_then(|report| report.current_at).or(before.current_at),
        watched_until: report.map_or(before.watched_until, |report| report.watched_until),
        used: Used {
            memory: usage.guest_peak_bytes as u64,
            cpu: milliseconds(usage.cpu),
            wall: milliseconds(usage.wall),
            requests: usage.requests,
            units: report.map_or(0, |report| report.counts.units),
        },
    }
}

/// When to come back after a failure, ms since the epoch: when the plugin says, but after some failures
/// in a row no earlier than the circuit breaker allows.
fn retry_at(now: u64, said: Option<u64>, failures: u32) -> u64 {
    let breaker = match failures.checked_sub(TRUSTED_FAILURES) {
        Some(more) => backoff(more),
        None => 1_000,
    };
    said.map_or(now + backoff(failures), |said| said.max(now + breaker))
}

/// The circuit breaker: how long a connection rests after so many failures in a row, ms.
fn backoff(failures: u32) -> u64 {
    (FIRST_BACKOFF << failures.saturating_sub(1).min(12)).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_connection_rests_ever_longer_up_to_an_hour() {
        assert_eq!(backoff(1), 5_000);
        assert_eq!(backoff(2), 10_000);
        assert_eq!(backoff(40), LONGEST_BACKOFF);
    }

    #[test]
    fn a_plugin_that_always_wants_to_come_back_at_once_is_slowed_down() {
        assert_eq!(retry_at(0, Some(0), 1), 1_000);
        assert_eq!(retry_at(0, Some(0), TRUSTED_FAILURES + 4), backoff(4));
        assert_eq!(retry_at(0, Some(900_000), 9), 900_000);
    }
}
