//! One bounded pass: mail to send, what was done in the CRM, then mail that came.

use super::{
    NOTHING, Pass, Step, Stop, aliases, carry, contacts, deliver, gap, pull, retract, retry, send, sharing,
    watch,
};
use crate::{
    contract::{Counts, Problem, Report, Trigger},
    ledger::ConnectionRow,
    mutation::Mutation,
    ports::Host,
    settings,
};

/// When history is read again after a push that it was not ready for, ms.
const READABLE_AFTER: u64 = 2_000;

/// How a part of a pass ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All there was is done.
    Complete,
    /// There is more: come back at once.
    More,
}

/// Runs a pass. Never fails: what went wrong is in the report.
pub async fn run<H: Host>(host: &H, trigger: Trigger, settings: &str) -> Report {
    let pass = match settings::require(settings) {
        Ok(settings) => Pass::load(host, settings).await,
        Err(problem) => Err(problem),
    };
    match pass {
        Ok(mut pass) => {
            let result = work(&mut pass, &trigger).await;
            report(&pass, result)
        }
        Err(problem) => Report {
            counts: NOTHING,
            problem: Some(problem),
            next: None,
            current_at: None,
            watched_until: None,
        },
    }
}

struct Done {
    progress: Progress,
    next: Option<u64>,
    /// When the listing began that was read to its end.
    current_at: u64,
}

async fn work<H: Host>(pass: &mut Pass<'_, H>, trigger: &Trigger) -> Step<Done> {
    if let Trigger::Push(id) = trigger
        && pass.settings.has(Mutation::PushTrustedAsCursor)
    {
        let connection = ConnectionRow {
            cursor: id.clone(),
            ..pass.connection.clone()
        };
        pass.commit_connection(connection, Vec::new()).await?;
    }
    retract::begin(pass, trigger).await?;
    watch::keep(pass).await?;
    let waiting = send::send_waiting(pass).await?;
    aliases::refresh(pass, trigger).await?;
    retry::retry_quarantined(pass, trigger).await?;
    carry::carry(pass).await?;
    let again = contacts::bring(pass, trigger).await?;
    let current_at = pass.host.now();
    let mut progress = pull::pull(pass).await?;
    if progress == Progress::Complete {
        progress = gap::close(pass).await?;
    }
    sharing::review(pass, trigger).await?;
    if sharing::tell_released(pass).await? == Progress::More {
        progress = Progress::More;
    }
    let noticed = deliver::look_for_noticed(pass).await?;
    if progress == Progress::Complete {
        progress = retract::go_on(pass).await?;
    }
    let settles = pass.connection.gap.map(|gap| gap.settles_at());
    let early = is_ahead(trigger, &pass.connection.cursor).then(|| pass.host.now() + READABLE_AFTER);
    let next = [waiting.next, again, settles, early, noticed]
        .into_iter()
        .flatten()
        .min();
    if waiting.progress == Progress::More {
        progress = Progress::More;
    }
    Ok(Done {
        progress,
        next,
        current_at,
    })
}

/// Whether a push tells of more than history had: it may arrive before its history can be read.
fn is_ahead(trigger: &Trigger, cursor: &str) -> bool {
    let number = |id: &str| id.parse::<u64>().ok();
    match trigger {
        Trigger::Push(id) => number(id) > number(cursor),
        _ => false,
    }
}

fn report<H: Host>(pass: &Pass<'_, H>, result: Step<Done>) -> Report {
    let begun = Report {
        counts: counts(pass),
        problem: None,
        next: None,
        current_at: None,
        watched_until: pass.connection.watch.as_ref().and_then(|watch| watch.until),
    };
    match result {
        Ok(Done {
            progress: Progress::More,
            ..
        }) => Report {
            next: Some(pass.host.now()),
            ..begun
        },
        Ok(Done { next, current_at, .. }) => Report {
            next,
            // While a gap settles, a listing may still bring more of what was there before (T04).
            current_at: pass.connection.gap.is_none().then_some(current_at),
            ..begun
        },
        Err(Stop { problem, retry_at }) => Report {
            problem: Some(problem),
            next: retry_at,
            ..begun
        },
    }
}

/// The pass's counts, what Gmail cost among them.
pub(super) fn counts<H: Host>(pass: &Pass<'_, H>) -> Counts {
    let (tally, others) = (pass.gmail.tally(), pass.counts.get());
    Counts {
        requests: others.requests + tally.requests,
        units: tally.units,
        ..others
    }
}

/// Problems that end a pass for all of it, whatever part met them.
pub(super) fn is_final(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::ReconnectNeeded
            | Problem::NotConnected
            | Problem::Superseded
            | Problem::StorageUnavailable(_)
            | Problem::CrmUnavailable(_)
            | Problem::MailboxUnavailable(_)
            | Problem::ScopeMissing(_)
            | Problem::PluginOverBudget(_)
    )
}
