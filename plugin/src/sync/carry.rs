//! What people did in the CRM goes to Gmail (S17), before history is read: so a change made in Gmail
//! meanwhile is seen on top of it, and neither undoes the other.

use std::collections::BTreeMap;

use super::{Pass, Step, claims, deletion, message::flags, update};
use crate::{
    contract::{Change, CrmError, Flags, MessageUpdate, RemoteChange},
    gmail::{GmailError, Summary},
    ledger::{self, Conflict, ConnectionRow, Delivered, Fate, ledger_key},
    ports::Host,
    rules::s17_both_ways::{Trash, asked, bits, from_bits, met, rebased},
};

/// Changes taken at a time: so many requests at most are made again after an interruption.
const CHANGES_AT_ONCE: u32 = 32;
/// How long after the CRM was told something it is told again rather than trusted to know, ms: what people
/// do and what it is told may cross, and clocks differ.
const UNSETTLED: u64 = 10 * 60_000;
/// Pages of changes taken in one pass.
const PAGES_PER_PASS: u32 = 20;

/// Carries over what waits, page by page, each committed with the place it reached.
pub(super) async fn carry<H: Host>(pass: &mut Pass<'_, H>) -> Step {
    if !pass.features().deltas {
        return Ok(());
    }
    for _ in 0..PAGES_PER_PASS {
        let cursor = pass.connection.crm_cursor.clone();
        let page = match pass.host.changes(cursor, CHANGES_AT_ONCE).await {
            Ok(page) => page,
            Err(CrmError::Unsupported) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let rows = carry_page(pass, page.changes).await?;
        let connection = ConnectionRow {
            crm_cursor: Some(page.cursor),
            ..pass.connection.clone()
        };
        if connection != pass.connection || !rows.is_empty() {
            pass.commit_connection(connection, rows).await?;
        }
        if !page.more {
            break;
        }
    }
    Ok(())
}

async fn carry_page<H: Host>(pass: &Pass<'_, H>, changes: Vec<RemoteChange>) -> Step<Vec<Change>> {
    let wishes = last_words(pass, changes).await?;
    let known = ledger::rows_of(pass.host, wishes.keys()).await?;
    let mut rows = Vec::new();
    let mut answers = Vec::new();
    for ((id, wish), mut row) in wishes.into_iter().zip(known) {
        let delivered = match row.as_mut().map(|row| &mut row.fate) {
            Some(Fate::Delivered(delivered)) if delivered.is_synced() => Some(delivered),
            Some(_) => continue,
            // A pass that died put it there: it is known when it is delivered once more.
            None => None,
        };
        let Some(answer) = carry_wish(pass, &id, wish, delivered).await? else {
            continue;
        };
        answers.extend(answer);
        if let Some(row) = row {
            rows.push(ledger::put(ledger_key(&id), &row)?);
        }
    }
    pass.tell_crm(answers).await?;
    Ok(rows)
}

/// What somebody did to a message in the CRM.
struct Wish {
    /// The message's key there.
    key: String,
    flags: Flags,
    at: u64,
}

/// The last word on each message of this mailbox counts.
async fn last_words<H: Host>(pass: &Pass<'_, H>, changes: Vec<RemoteChange>) -> Step<BTreeMap<String, Wish>> {
    let mut wishes = BTreeMap::new();
    for change in changes {
        // A message of another mailbox stays as it is there (S05), and so does one that is in none (S18).
        let Some(id) = claims::id_of(pass, &change.key).await? else {
            continue;
        };
        // Deleted there is the trash here.
        let flags = Flags {
            trashed: change.flags.trashed || change.deleted,
            ..change.flags
        };
        let wish = Wish {
            key: change.key,
            flags,
            at: change.at,
        };
        wishes.insert(id, wish);
    }
    Ok(wishes)
}

/// Fulfils one wish. `None` when there was nothing to do; otherwise what the CRM has to hear of it, if it cannot
/// know already.
async fn carry_wish<H: Host>(
    pass: &Pass<'_, H>,
    id: &str,
    wish: Wish,
    mut delivered: Option<&mut Delivered>,
) -> Step<Option<Option<MessageUpdate>>> {
    let known = delivered.as_ref().and_then(|delivered| delivered.flags);
    let known = known.map(from_bits);
    let told = delivered.as_ref().and_then(|delivered| delivered.told);
    let meant = match (told, known) {
        (Some(told), Some(known)) if wish.at <= told.at => rebased(from_bits(told.before), wish.flags, known),
        _ => wish.flags,
    };
    let was_told = told.is_some_and(|told| pass.host.now() < told.at + UNSETTLED);
    let flags = match carry_message(pass, id, meant, known).await? {
        Some(Now::Is(flags)) => Some(flags),
        Some(Now::Gone) => None,
        // It is so already, but the CRM may have been told otherwise after it was done.
        None if was_told => Some(known.unwrap_or(meant)),
        None => return Ok(None),
    };
    let is_as_wished = flags == Some(wish.flags);
    if let Some(delivered) = &mut delivered {
        delivered.deleted = flags.is_none();
        delivered.flags = flags.map(bits).or(delivered.flags);
        delivered.carried = is_as_wished && !was_told;
        if met(wish.flags, meant, flags) {
            delivered.conflict = Some(Conflict {
                at: wish.at,
                wished: bits(wish.flags),
                became: flags.map(bits),
            });
        }
    }
    if is_as_wished && !was_told {
        return Ok(Some(None));
    }
    let answer = match flags {
        Some(flags) => update(wish.key, Some(flags)),
        None => deletion(wish.key),
    };
    Ok(Some(Some(answer)))
}

/// A message after a change was carried over.
enum Now {
    /// It is so: Gmail may make something else of it than was asked for.
    Is(Flags),
    /// It is gone from the mailbox.
    Gone,
}

/// Makes one message in Gmail what the CRM wants it to be; `None` when there is nothing to change.
async fn carry_message<H: Host>(
    pass: &Pass<'_, H>,
    id: &str,
    wants: Flags,
    known: Option<Flags>,
) -> Step<Option<Now>> {
    let mut changed = change(pass, id, wants, known).await;
    // Now and then Gmail says of a message that is there that it is gone: reading it says so twice.
    if let Err(GmailError::Gone) = changed {
        changed = match pass.gmail.metadata(id).await {
            Ok(metadata) => {
                let known = flags(&metadata.summary.label_ids);
                change(pass, id, wants, Some(known)).await
            }
            Err(error) => Err(error),
        };
    }
    let now = match changed {
        Ok(Some(summary)) => Now::Is(flags(&summary.label_ids)),
        Ok(None) => return Ok(None),
        Err(GmailError::Gone) => Now::Gone,
        // What Gmail will never do stands in nobody's way.
        Err(GmailError::Refused { status, message }) => {
            let status = status.to_string();
            let fields = [("status", status.as_str()), ("message", message.as_str())];
            pass.warn("Gmail refuses a change made in the CRM", &fields);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    pass.count(|counts| counts.updates_out += 1);
    Ok(Some(now))
}

/// The message after the change; `None` when there is nothing to change.
async fn change<H: Host>(
    pass: &Pass<'_, H>,
    id: &str,
    wants: Flags,
    known: Option<Flags>,
) -> Result<Option<Summary>, GmailError> {
    let known = match known {
        Some(known) => known,
        None => flags(&pass.gmail.metadata(id).await?.summary.label_ids),
    };
    let asked = asked(known, wants);
    if asked.is_nothing() {
        return Ok(None);
    }
    let mut answer = None;
    if asked.trash == Some(Trash::OutOf) {
        answer = Some(pass.gmail.untrash(id).await?);
    }
    if !asked.add.is_empty() || !asked.remove.is_empty() {
        answer = Some(pass.gmail.modify(id, &asked.add, &asked.remove).await?);
    }
    if asked.trash == Some(Trash::Into) {
        answer = Some(pass.gmail.trash(id).await?);
    }
    Ok(answer)
}
