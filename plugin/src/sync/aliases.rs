//! The other addresses of the mailbox, read once a day and kept in the connection's row: so that mail to or from one of
//! them is known for the user's own without a request for each message.

use super::{Pass, Step};
use crate::{
    contract::Trigger,
    gmail::{GmailError, SendAs},
    ledger::{Aliases, ConnectionRow},
    ports::Host,
};

/// How often they are read, ms.
const READ_EVERY: u64 = 24 * 3_600_000;
/// When to try again after a failure, ms.
const AGAIN_AFTER: u64 = 3_600_000;
/// The most that are kept. Gmail allows 99 (<https://support.google.com/mail/answer/22370>).
const MOST: usize = 100;

/// Those that count: Gmail keeps them as the sender.
pub(super) fn accepted(all: Vec<SendAs>, now: u64) -> Aliases {
    let accepted = all.into_iter().filter(SendAs::is_accepted);
    Aliases {
        addresses: accepted.take(MOST).map(|alias| alias.send_as_email).collect(),
        due_at: now + READ_EVERY,
    }
}

/// Reads them, if it is time. Mail never waits for them, unless they were never read.
pub(super) async fn refresh<H: Host>(pass: &mut Pass<'_, H>, trigger: &Trigger) -> Step {
    let now = pass.host.now();
    let known = pass.connection.aliases.clone();
    let is_asked_for = *trigger == Trigger::Reconnected;
    if known.as_ref().is_some_and(|known| now < known.due_at) && !is_asked_for {
        return Ok(());
    }
    let aliases = match (pass.gmail.send_as().await, known) {
        (Ok(all), _) => accepted(all, now),
        (Err(error @ GmailError::ReconnectNeeded), _) | (Err(error), None) => return Err(error.into()),
        (Err(error), Some(known)) => {
            pass.warn("the aliases could not be read", &[("why", &error.to_string())]);
            Aliases {
                due_at: now + AGAIN_AFTER,
                ..known
            }
        }
    };
    let connection = ConnectionRow {
        aliases: Some(aliases),
        ..pass.connection.clone()
    };
    Ok(pass.commit_connection(connection, Vec::new()).await?)
}
