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
    update,
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
pub(super) struct Update {
    pub(super) id: String,
    pub(super) row: LedgerRow,
    pub(super) changed: Changed,
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
/// lacks the labels. The rows are to be committed.
pub(super) async fn update_crm<H: Host>(pass: &Pass<'_, H>, updates: Vec<Update>) -> Step<Vec<Change>> {
    let mut news = News::default();
    for update in updates {
        if !is_news(pass, &update) {
            continue;
        }
        let flags = flags_now(pass, &update).await?;
        if flags.is_some() || update.changed.deleted {
            news.add(pass, update, flags)?;
        }
    }
    // From here on the CRM may know otherwise, also if this pass dies before it can say so.
    if !news.interim.is_empty() {
        pass.commit(news.interim).await?;
    }
    let told = pass.tell_crm(news.messages).await?;
    pass.count(|counts| counts.updates_in += told);
    let at = pass.host.now();
    let rows = news.rows.into_iter().map(|(id, mut row, told_before)| {
        if let (Fate::Delivered(delivered), Some(before)) = (&mut row.fate, told_before) {
            delivered.told = Some(Told { at, before });
        }
        ledger::put(ledger_key(&id), &row).map_err(Into::into)
    });
    rows.collect()
}

/// Whether the CRM may not know of it yet.
fn is_news<H: Host>(pass: &Pass<'_, H>, Update { row, changed, .. }: &Update) -> bool {
    if matches!(&row.fate, Fate::Delivered(delivered) if delivered.released) {
        return false;
    }
    if changed.deleted {
        return !pass.settings.has(Mutation::DeletionsIgnored);
    }
    let labels_at = match &row.fate {
        Fate::Delivered(delivered) => delivered.labels_at,
        _ => return false,
    };
    changed.record > labels_at || pass.settings.has(Mutation::LabelChangesUnordered)
}

/// The flags of a message, where they may have changed.
async fn flags_now<H: Host>(pass: &Pass<'_, H>, Update { id, row, changed }: &Update) -> Step<Option<Flags>> {
    let carried = match &row.fate {
        Fate::Delivered(delivered) if delivered.carried => delivered.flags,
        _ => None,
    };
    match changed.labels.as_deref() {
        // The record may tell how it was before what was carried to Gmail since: two changes made in the CRM one after the
        // other have two records. Gmail itself says how it is.
        Some(labels) if carried.is_some_and(|carried| carried != bits(flags(labels))) && !changed.deleted => {
            ask_for_flags(pass, id).await
        }
        Some(labels) => Ok(Some(flags(labels))),
        None if changed.relabelled && !changed.deleted => ask_for_flags(pass, id).await,
        None => Ok(None),
    }
}

/// What the CRM will be told, and the ledger will hold.
#[derive(Default)]
struct News {
    messages: Vec<MessageUpdate>,
    /// Rows to commit before the CRM is told: of flags that came from there it will know more than that.
    interim: Vec<Change>,
    /// Rows to commit afterwards, with the flags that the CRM was told otherwise of.
    rows: Vec<(String, LedgerRow, Option<u8>)>,
}

impl News {
    fn add<H: Host>(
        &mut self,
        pass: &Pass<'_, H>,
        Update { id, mut row, changed }: Update,
        flags: Option<Flags>,
    ) -> Step {
        let Fate::Delivered(delivered) = &mut row.fate else {
            return Ok(());
        };
        let is_same = flags.is_some_and(|flags| delivered.flags == Some(bits(flags)));
        let is_echo = delivered.carried && is_same && !changed.deleted;
        let told_before = delivered.flags.filter(|_| !is_echo);
        if !is_echo || pass.settings.has(Mutation::EchoNotSuppressed) {
            let was_carried = std::mem::take(&mut delivered.carried);
            let before = was_carried.then(|| Fate::Delivered(delivered.clone()));
            self.messages.push(MessageUpdate {
                deleted: changed.deleted,
                ..update(pass.key_of(&id, delivered), flags)
            });
            if let Some(fate) = before {
                let before = LedgerRow { fate, ..row.clone() };
                self.interim.push(ledger::put(ledger_key(&id), &before)?);
            }
        }
        if let Fate::Delivered(delivered) = &mut row.fate {
            delivered.flags = flags.map(bits).or(delivered.flags);
            delivered.labels_at = delivered.labels_at.max(changed.record);
            delivered.deleted |= changed.deleted;
        }
        self.rows.push((id, row, told_before));
        Ok(())
    }
}

/// The flags of a message whose labels history left out; `None` when it is gone.
async fn ask_for_flags<H: Host>(pass: &Pass<'_, H>, id: &str) -> Step<Option<Flags>> {
    match pass.gmail.metadata(id).await {
        Ok(metadata) => Ok(Some(flags(&metadata.summary.label_ids))),
        Err(GmailError::Gone) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
