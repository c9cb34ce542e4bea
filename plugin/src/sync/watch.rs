//! Push: Gmail is asked once a day to publish what happens to the mailbox. A notification is a hint and never a
//! cursor, so that a watch that fails or ends costs time and no mail.

use super::{Pass, Step, Stop, run::is_final};
use crate::{
    gmail::GmailError,
    ledger::{ConnectionRow, Watch},
    ports::Host,
};

/// Google: at least every seven days, best daily
/// (<https://developers.google.com/workspace/gmail/api/guides/push#renewing_mailbox_watch>).
const RENEWED_AFTER: u64 = 24 * 3_600_000;
/// So much earlier at most, by chance, so that mailboxes connected together do not come together for ever, ms.
const JITTER: u64 = 2 * 3_600_000;
/// When to ask again after a refusal, ms.
const REFUSED_FOR: u64 = 3_600_000;

/// Keeps the mailbox watched, where the settings name a topic.
pub(super) async fn keep<H: Host>(pass: &mut Pass<'_, H>) -> Step {
    let Some(topic) = pass.settings.push_topic.clone() else {
        return Ok(());
    };
    let now = pass.host.now();
    let is_watched = |watch: &Watch| watch.topic == topic && now < watch.renew_at;
    if pass.connection.watch.as_ref().is_some_and(is_watched) {
        return Ok(());
    }
    let (lasts, until) = match pass.gmail.watch(&topic).await {
        Ok(until) => (RENEWED_AFTER - jitter(&pass.host.bytes(8)), until),
        Err(error) => (refused(pass, error)?, None),
    };
    let renew_at = now + lasts;
    let watch = Watch {
        topic,
        renew_at,
        until,
    };
    let connection = ConnectionRow {
        watch: Some(watch),
        ..pass.connection.clone()
    };
    pass.commit_connection(connection, Vec::new()).await?;
    Ok(())
}

/// Mail goes on without a watch, if it goes on at all. Where Gmail may not publish to the topic it answers as it does for
/// a mailbox that is turned off; whether it is, the pass will see.
fn refused<H: Host>(pass: &Pass<'_, H>, error: GmailError) -> Result<u64, Stop> {
    let is_unavailable = matches!(error, GmailError::MailboxUnavailable(_));
    let stop = Stop::from(error);
    if (is_final(&stop.problem) && !is_unavailable) || stop.retry_at.is_some() {
        return Err(stop);
    }
    pass.warn("no watch", &[("problem", &format!("{:?}", stop.problem))]);
    Ok(REFUSED_FOR)
}

fn jitter(random: &[u8]) -> u64 {
    let number = random
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    number % JITTER
}
