//! T04, S17: what was read, starred, archived or trashed inside a gap. The mailbox is listed by label; what differs
//! from the ledger is read, as listings lag, and told to the CRM as if history had told it.

use std::collections::BTreeMap;

use super::{
    Pass, Step,
    changes::Changed,
    pull::{Update, update_crm},
};
use crate::{
    gmail::{Folders, GmailError, label},
    ledger::{self, Fate, LedgerRow},
    ports::Host,
    rules::s17_both_ways::bits,
    sync::{gap, message::flags},
};

/// The labels that flags follow from, one bit each.
const LABELS: [&str; 5] = [
    label::UNREAD,
    label::STARRED,
    label::INBOX,
    label::SENT,
    label::TRASH,
];
/// Messages read and told at a time.
const AT_ONCE: usize = 50;

/// Brings the flags of delivered messages up to date that were accepted before this time, ms since the epoch: of
/// later ones history tells.
pub(super) async fn reflag<H: Host>(pass: &Pass<'_, H>, before: u64) -> Step {
    let labelled = labelled(pass).await?;
    let mut differing = Vec::new();
    ledger::for_each::<LedgerRow>(pass.host, ledger::LEDGER, None, |id, row| {
        let Fate::Delivered(delivered) = &row.fate else {
            return;
        };
        let is_live = delivered.is_synced() && row.received_at < before;
        let listed = labels(labelled.get(&number(id)).copied().unwrap_or_default());
        if is_live && delivered.flags.is_some_and(|known| known != bits(flags(&listed))) {
            differing.push((id.to_owned(), row));
        }
    })
    .await?;
    let mut differing = differing.into_iter().peekable();
    while differing.peek().is_some() {
        let mut updates = Vec::new();
        for (id, row) in differing.by_ref().take(AT_ONCE) {
            match pass.gmail.metadata(&id).await {
                Ok(metadata) => updates.push(Update {
                    id,
                    row,
                    changed: Changed {
                        thread: metadata.summary.thread_id,
                        labels: Some(metadata.summary.label_ids),
                        record: metadata.summary.history_id,
                        relabelled: true,
                        deleted: false,
                    },
                }),
                // The next listing finds that it was deleted.
                Err(GmailError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let rows = update_crm(pass, updates).await?;
        pass.commit(rows).await?;
    }
    Ok(())
}

/// The messages since the connection that have some of [`LABELS`].
async fn labelled<H: Host>(pass: &Pass<'_, H>) -> Step<BTreeMap<u64, u8>> {
    let mut labelled: BTreeMap<u64, u8> = BTreeMap::new();
    for (bit, label) in LABELS.into_iter().enumerate() {
        for message in gap::list(pass, Folders::Labelled(label)).await? {
            *labelled.entry(number(&message.id)).or_default() |= 1 << bit;
        }
    }
    Ok(labelled)
}

fn labels(set: u8) -> Vec<String> {
    let chosen = LABELS
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| set >> bit & 1 == 1);
    chosen.map(|(_, label)| label.to_owned()).collect()
}

/// Gmail's ids are 64-bit numbers in hexadecimal; of half a million the numbers are a tenth of the text. Whatever is
/// none is taken for one without labels and read.
fn number(id: &str) -> u64 {
    u64::from_str_radix(id, 16).unwrap_or_default()
}
