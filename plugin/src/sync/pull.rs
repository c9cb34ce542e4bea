//! Mail that came: history from the cursor, page by page. Each page's messages are decided, delivered
//! and committed in small groups; the cursor moves in the commit of the last group (T01).

use std::collections::BTreeMap;

use super::{
    Pass, Step,
    changes::{Changed, fold, fold_as_listed},
    deliver::{Candidate, deliver},
    gap,
    message::flags,
    run::Progress,
};
use crate::{
    contract::{Change, Flags, MessageUpdate},
    gmail::{GmailError, HistoryPage},
    ledger::{self, ConnectionRow, Fate, LedgerRow, Told, ledger_key, quarantine_key},
    mutation::Mutation,
    ports::Host,
    rules::{Rule, labels, s17_both_ways::bits},
};

/// Messages looked at in one pass, after which it ends at the next page.
const MESSAGES_PER_PASS: u32 = 1_000;
/// Pages read in one pass: empty ones count too.
const PAGES_PER_PASS: u32 = 50;

/// Pulls until the mailbox has no more, or the pass has done its share.
pub(super) async fn pull<H: Host>(pass: &mut Pass<'_, H>) -> Step<Progress> {
    for _ in 0..PAGES_PER_PASS {
        let connection = pass.connection.clone();
        let page = match pass
            .gmail
            .history(&connection.cursor, connection.page.as_deref())
            .await
        {
            Ok(page) => page,
            Err(GmailError::Gone) => {
                gap::anchor_again(pass).await?;
                return Ok(Progress::Complete);
            }
            // A page token that Gmail no longer takes: list again from the cursor.
            Err(GmailError::Refused { .. }) if connection.page.is_some() => {
                pass.commit_connection(
                    ConnectionRow {
                        page: None,
                        ..connection
                    },
                    Vec::new(),
                )
                .await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        take_page(pass, page).await?;
        if pass.connection.page.is_none() {
            return Ok(Progress::Complete);
        }
        if pass.counts.get().seen >= MESSAGES_PER_PASS {
            return Ok(Progress::More);
        }
    }
    Ok(Progress::More)
}

async fn take_page<H: Host>(pass: &mut Pass<'_, H>, page: HistoryPage) -> Step {
    let next_page = page
        .next_page_token
        .filter(|_| !pass.settings.has(Mutation::LaterPagesSkipped));
    let after = match next_page {
        Some(token) => ConnectionRow {
            page: Some(token),
            ..pass.connection.clone()
        },
        None => ConnectionRow {
            page: None,
            cursor: page.history_id,
            ..pass.connection.clone()
        },
    };
    let changes = if pass.settings.has(Mutation::LabelChangesUnordered) {
        fold_as_listed(&page.history)
    } else {
        fold(&page.history)
    };
    let mut known = ledger::rows_of(pass.host, changes.keys()).await?;
    if pass.settings.has(Mutation::PageAppliedTwice) {
        known.fill(None);
    }
    if pass.settings.has(Mutation::CursorBeforeMessages) {
        pass.commit_connection(after.clone(), Vec::new()).await?;
    }
    let sorted = sort(changes, known);
    let mut rows = sorted.rows;
    rows.extend(update_crm(pass, sorted.updates).await?);
    deliver(pass, sorted.candidates).await?;
    // A stuck message that was got over is stuck no more.
    let after = ConnectionRow { stuck: None, ..after };
    pass.commit_connection(after, rows).await?;
    Ok(())
}

/// What a page's changes ask for.
#[derive(Default)]
struct Sorted {
    candidates: Vec<Candidate>,
    updates: Vec<Update>,
    rows: Vec<Change>,
}

/// A delivered message that changed.
struct Update {
    id: String,
    row: LedgerRow,
    changed: Changed,
}

fn sort(changes: BTreeMap<String, Changed>, known: Vec<Option<LedgerRow>>) -> Sorted {
    let mut sorted = Sorted::default();
    for ((id, changed), row) in changes.into_iter().zip(known) {
        match row {
            None if changed.deleted => {
                sorted.candidates.push(Candidate::deleted(id, changed.thread));
            }
            None => sorted
                .candidates
                .push(Candidate::new(id, changed.thread, changed.labels)),
            Some(row) => match &row.fate {
                // Every autosave of a draft leaves a deleted message behind: its row goes with it.
                Fate::Excluded(Rule::Label(_)) if changed.deleted => {
                    sorted.rows.push(ledger::remove(ledger_key(&id)));
                }
                Fate::Excluded(Rule::Label(_)) if left_its_label(&changed) => {
                    sorted
                        .candidates
                        .push(Candidate::new(id, changed.thread, changed.labels));
                }
                Fate::Quarantined(_) if changed.deleted => {
                    sorted
                        .candidates
                        .push(Candidate::deleted(id.clone(), changed.thread));
                    sorted.rows.push(ledger::remove(quarantine_key(&id)));
                }
                Fate::Delivered(_) => sorted.updates.push(Update { id, row, changed }),
                _ => {}
            },
        }
    }
    sorted
}

/// A draft that was sent, spam that was none, a message out of the trash: to be decided anew.
fn left_its_label(changed: &Changed) -> bool {
    changed
        .labels
        .as_ref()
        .is_none_or(|labels| labels::excluded(labels).is_none())
}

/// Brings read, starred, archived, trashed and deleted to the CRM (S17): from the page alone, unless it
/// lacks the labels.
async fn update_crm<H: Host>(pass: &Pass<'_, H>, updates: Vec<Update>) -> Step<Vec<Change>> {
    let mut changed_rows = Vec::new();
    let mut messages = Vec::new();
    let mut interim = Vec::new();
    for Update { id, mut row, changed } in updates {
        let Fate::Delivered(delivered) = &mut row.fate else {
            continue;
        };
        let is_known = changed.record <= delivered.labels_at && !changed.deleted;
        if is_known && !pass.settings.has(Mutation::LabelChangesUnordered) {
            continue;
        }
        if changed.deleted && pass.settings.has(Mutation::DeletionsIgnored) {
            continue;
        }
        let flags = match changed.labels.as_deref() {
            Some(labels) => Some(flags(labels)),
            None if changed.relabelled && !changed.deleted => ask_for_flags(pass, &id).await?,
            None => None,
        };
        if flags.is_none() && !changed.deleted {
            continue;
        }
        let is_same = flags.is_some_and(|flags| delivered.flags == Some(bits(flags)));
        let is_echo = delivered.carried && is_same && !changed.deleted;
        let mut before = None;
        if !is_echo || pass.settings.has(Mutation::EchoNotSuppressed) {
            if std::mem::take(&mut delivered.carried) {
                before = Some(delivered.clone());
            }
            messages.push(MessageUpdate {
                key: pass.message_key(&id),
                flags,
                deleted: changed.deleted,
                released: false,
            });
        }
        let told_before = delivered.flags.filter(|_| !is_echo);
        delivered.flags = flags.map(bits).or(delivered.flags);
        delivered.labels_at = delivered.labels_at.max(changed.record);
        delivered.deleted |= changed.deleted;
        if let Some(before) = before {
            let fate = Fate::Delivered(before);
            let before = LedgerRow { fate, ..row.clone() };
            interim.push(ledger::put(ledger_key(&id), &before)?);
        }
        changed_rows.push((id, row, told_before));
    }
    // From here on the CRM may know otherwise, also if this pass dies before it can say so.
    if !interim.is_empty() {
        pass.commit(interim).await?;
    }
    if !messages.is_empty() && pass.features().edit_after_log {
        let number = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        pass.host.update_messages(messages).await?;
        pass.count(|counts| counts.updates_in += number);
    }
    let at = pass.host.now();
    let mut rows = Vec::with_capacity(changed_rows.len());
    for (id, mut row, told_before) in changed_rows {
        if let (Fate::Delivered(delivered), Some(before)) = (&mut row.fate, told_before) {
            delivered.told = Some(Told { at, before });
        }
        rows.push(ledger::put(ledger_key(&id), &row)?);
    }
    Ok(rows)
}

/// The flags of a message whose labels history left out; `None` when it is gone.
async fn ask_for_flags<H: Host>(pass: &Pass<'_, H>, id: &str) -> Step<Option<Flags>> {
    match pass.gmail.metadata(id).await {
        Ok(metadata) => Ok(Some(flags(&metadata.summary.label_ids))),
        Err(GmailError::Gone) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
