//! T04: history has expired. A new anchor is taken and stored first; then the mailbox is listed by date
//! and whatever the ledger does not know is delivered, and what the mailbox no longer has is marked
//! deleted. Every group is committed, so that an interrupted listing goes on where it was.

use super::{
    Pass, Step, Stop, deletion,
    deliver::{Candidate, deliver},
    reflag::reflag,
    run::Progress,
    set_of,
};
use crate::{
    contract::{Class, Problem},
    gmail::{Folders, MessageRef},
    ledger::{self, ConnectionRow, Fate, LedgerRow, ledger_key},
    mutation::Mutation,
    ports::Host,
    rules::{
        Rule,
        t04_gap::{Gap, list_after},
    },
};

/// Messages delivered from a listing in one pass.
const MESSAGES_PER_PASS: usize = 1_000;
/// Messages whose rows are looked up at the same time.
const LOOKED_UP_AT_ONCE: usize = 500;
/// How far the clocks of host and Gmail may be apart, in milliseconds.
const CLOCKS: u64 = 120_000;
/// How long a message may be in the mailbox before searches find it, in milliseconds: a minute, and what the
/// clocks of host and Gmail may differ.
const SEARCH_LAG: u64 = 60_000 + CLOCKS;
/// The most messages one listing may have: a limit for memory, 16 bytes each.
const MOST_LISTED: usize = 500_000;

/// Takes a new anchor from the profile (never from a message: its history id may be older still).
pub(super) async fn anchor_again<H: Host>(pass: &mut Pass<'_, H>) -> Step {
    let profile = pass.gmail.profile().await?;
    let gap = Gap::found(pass.connection.gap, pass.host.now());
    pass.warn(
        "history has expired: listing by date",
        &[("expired", &gap.expired.to_string())],
    );
    let connection = ConnectionRow {
        cursor: profile.history_id,
        page: None,
        gap: (!pass.settings.has(Mutation::GapLeftOpen)).then_some(gap),
        ..pass.connection.clone()
    };
    pass.commit_connection(connection, Vec::new()).await?;
    Ok(())
}

/// Closes a gap, if there is one to close now.
pub(super) async fn close<H: Host>(pass: &mut Pass<'_, H>) -> Step<Progress> {
    let Some(gap) = pass
        .connection
        .gap
        .filter(|gap| gap.needs_listing(pass.host.now()))
    else {
        return Ok(Progress::Complete);
    };
    pass.gmail.set_class(Class::Backfill);
    // What counts is what searches found when they were asked, however long the rest takes.
    let listed_at = pass.host.now();
    let listed = list(pass, Folders::All).await?;
    let mut missing = unaccounted(pass, &listed).await?;
    let more = missing.len() > MESSAGES_PER_PASS;
    missing.truncate(MESSAGES_PER_PASS);
    if !more {
        missing.extend(come_back(pass).await?);
    }
    deliver(pass, missing).await?;
    if more {
        return Ok(Progress::More);
    }
    // Of what came after the anchor, history tells; by a clock behind Gmail's the anchor is earlier than it was. What is
    // too new for the search now is old enough when the gap is listed once more.
    let before = (gap.anchored_at + CLOCKS).min(listed_at.saturating_sub(SEARCH_LAG));
    mark_deleted(pass, &listed, before).await?;
    drop(listed);
    reflag(pass, before).await?;
    let cursor = if pass.settings.has(Mutation::AnchorAfterListing) {
        pass.gmail.profile().await?.history_id
    } else {
        pass.connection.cursor.clone()
    };
    let connection = ConnectionRow {
        cursor,
        gap: gap.listed(listed_at),
        ..pass.connection.clone()
    };
    pass.commit_connection(connection, Vec::new()).await?;
    pass.gmail.set_class(Class::Live);
    if gap.expired > 1 && pass.connection.gap.is_some() {
        let retry_at = Some(gap.retry_at(pass.host.now()));
        let problem = Problem::ProviderUnavailable("history expires at once".to_owned());
        return Err(Stop { problem, retry_at });
    }
    Ok(Progress::Complete)
}

/// Every message of the mailbox since the connection, spam and trash included. Complete or an error: a
/// partial list would take messages for deleted.
pub(super) async fn list<H: Host>(pass: &Pass<'_, H>, folders: Folders) -> Step<Vec<MessageRef>> {
    let mut listed: Vec<MessageRef> = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let page = pass
            .gmail
            .list(list_after(pass.connection.since), folders, token.as_deref())
            .await?;
        listed.extend(page.messages);
        if listed.len() > MOST_LISTED {
            let message = format!("more than {MOST_LISTED} messages since the connection");
            return Err(Problem::Other(message).into());
        }
        match page.next_page_token {
            Some(next) => token = Some(next),
            None => return Ok(listed),
        }
    }
}

/// The listed messages that have no ledger row.
pub(super) async fn unaccounted<H: Host>(pass: &Pass<'_, H>, listed: &[MessageRef]) -> Step<Vec<Candidate>> {
    let mut missing = Vec::new();
    for group in listed.chunks(LOOKED_UP_AT_ONCE) {
        let keys = group.iter().map(|message| ledger_key(&message.id)).collect();
        let rows = ledger::read_many::<LedgerRow>(pass.host, keys).await?;
        for (message, row) in group.iter().zip(rows) {
            if row.is_none() {
                missing.push(Candidate::new(
                    message.id.clone(),
                    message.thread_id.clone(),
                    None,
                ));
            }
        }
    }
    // Oldest first, as they would have come.
    missing.reverse();
    Ok(missing)
}

/// Messages that a label kept out and that left spam, trash or drafts inside the gap.
async fn come_back<H: Host>(pass: &Pass<'_, H>) -> Step<Vec<Candidate>> {
    let mut back = Vec::new();
    for group in list(pass, Folders::AllButSpamAndTrash)
        .await?
        .chunks(LOOKED_UP_AT_ONCE)
    {
        let rows = ledger::rows_of(pass.host, group.iter().map(|message| &message.id)).await?;
        let excluded = group.iter().zip(rows).filter(
            |(_, row)| matches!(row, Some(row) if matches!(row.fate, Fate::Excluded(Rule::Label(_)))),
        );
        back.extend(
            excluded.map(|(message, _)| Candidate::new(message.id.clone(), message.thread_id.clone(), None)),
        );
    }
    Ok(back)
}

/// Delivered messages that were accepted before this time and that the mailbox no longer has were deleted inside the
/// gap.
async fn mark_deleted<H: Host>(pass: &Pass<'_, H>, listed: &[MessageRef], before: u64) -> Step {
    let present = set_of(listed.iter().map(|message| message.id.as_str()));
    let mut deleted: Vec<(String, LedgerRow)> = Vec::new();
    ledger::for_each::<LedgerRow>(pass.host, ledger::LEDGER, None, |id, row| {
        let old_enough = row.received_at < before;
        let is_live = matches!(&row.fate, Fate::Delivered(delivered) if delivered.is_synced());
        if is_live && old_enough && !present.contains(id) {
            deleted.push((id.to_owned(), row));
        }
    })
    .await?;
    for group in deleted.chunks_mut(LOOKED_UP_AT_ONCE) {
        let mut rows = Vec::new();
        let mut updates = Vec::new();
        for (id, row) in group {
            if let Fate::Delivered(delivered) = &mut row.fate {
                delivered.deleted = true;
                updates.push(deletion(pass.key_of(id, delivered)));
            }
            rows.push(ledger::put(ledger_key(id), row)?);
        }
        pass.tell_crm(updates).await?;
        pass.commit(rows).await?;
    }
    Ok(())
}
