//! Mail the CRM wants sent: what waits, one after the other, within the mailbox's day (S21).

use super::{
    Pass, Step, Stop,
    run::{Progress, is_final},
    sending::{self, Fate},
};
use crate::{
    contract::{Class, Deferral, OutboundOutcome, Problem},
    ledger::{self, SENT},
    mutation::Mutation,
    ports::Host,
    rules::s21_limits::WINDOW,
};

/// Messages sent in one pass.
const PER_PASS: u32 = 20;

/// Old marks removed in one pass.
const REMOVED_AT_ONCE: usize = 1_000;

/// What is left of sending.
pub(super) struct Waiting {
    pub(super) progress: Progress,
    /// When the first deferred message may go, ms since the epoch.
    pub(super) next: Option<u64>,
}

/// Sends what waits.
pub(super) async fn send_waiting<H: Host>(pass: &mut Pass<'_, H>) -> Step<Waiting> {
    if !pass.features().outbound {
        return Ok(Waiting {
            progress: Progress::Complete,
            next: None,
        });
    }
    let waiting = pass.host.next_outbound(PER_PASS).await?;
    let full = waiting.len() >= PER_PASS as usize;
    let mut day = Day::load(pass).await?;
    let mut next: Option<u64> = None;
    let mut settled = 0;
    pass.gmail.set_class(Class::Send);
    for mut outbound in waiting {
        // What is written in the CRM is logged there already (S18).
        for list in [&mut outbound.to, &mut outbound.cc, &mut outbound.bcc] {
            list.retain(|mailbox| !pass.settings.is_logging(&mailbox.address));
        }
        let fate = sending::send(pass, &mut day, &outbound).await;
        let outcome = match fate {
            Ok(Fate::Settled(outcome)) => outcome,
            Ok(Fate::Waits(deferral)) => OutboundOutcome::Deferred(deferral),
            Err(stop) if is_final(&stop.problem) => return Err(stop),
            // A passing trouble of the provider: this one waits, the others may go.
            Err(Stop { problem, retry_at }) => {
                let until = retry_at.unwrap_or_else(|| pass.host.now() + 30_000);
                OutboundOutcome::Deferred(Deferral { until, problem })
            }
        };
        match &outcome {
            OutboundOutcome::Sent(_) => pass.count(|counts| counts.sent += 1),
            OutboundOutcome::Deferred(deferral) => {
                pass.count(|counts| counts.unsent += 1);
                next = Some(next.map_or(deferral.until, |next| next.min(deferral.until)));
            }
            _ => pass.count(|counts| counts.unsent += 1),
        }
        if !matches!(outcome, OutboundOutcome::Deferred(_)) {
            settled += 1;
        }
        pass.host.report_outbound(&outbound.id, outcome).await?;
    }
    pass.gmail.set_class(Class::Live);
    // More only if this pass made room: deferred mail comes again by its time.
    let progress = if full && settled > 0 {
        Progress::More
    } else {
        Progress::Complete
    };
    Ok(Waiting { progress, next })
}

/// What the mailbox sent in the last 24 hours, with whatever client.
pub(super) struct Day {
    /// Times, ascending, ms since the epoch.
    pub(super) sent: Vec<u64>,
}

impl Day {
    /// Reads the marks, and removes those that no longer count.
    async fn load<H: Host>(pass: &Pass<'_, H>) -> Result<Self, Problem> {
        let start = pass.host.now().saturating_sub(WINDOW);
        let marks = ledger::keys(pass.host, SENT, None).await?;
        let is_old = |mark: &&String| ledger::sent_time(mark).is_none_or(|time| time < start);
        let old = marks.iter().filter(is_old).take(REMOVED_AT_ONCE);
        let removals = old.map(|mark| ledger::remove(format!("{SENT}{mark}"))).collect();
        pass.commit(removals).await?;
        if pass.settings.has(Mutation::DayNotCounted) {
            return Ok(Self { sent: Vec::new() });
        }
        Ok(Self {
            sent: marks
                .iter()
                .filter_map(|mark| ledger::sent_time(mark))
                .filter(|&time| time >= start)
                .collect(),
        })
    }
}
