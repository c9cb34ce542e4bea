//! Delivery notices (S18): news of the message they are about, not messages of a conversation. Known by their
//! structure (RFC 3464), never by their words. One about nothing but a BCC address is nobody's failure.
//!
//! They are looked at when all other mail of their group was delivered: the message that one is about came
//! before it. It is looked for in the notice's thread and then, by the Message-ID that the notice gives back, in the
//! mailbox: not every server answers into the thread. What is not found is looked for again for an hour, as searches
//! lag behind. Strangers can write notices too: only recipients of a message that is named are told of.

use super::{
    Reading, StoppedAt, Wanted,
    hand_over::hand_over,
    rows::{Rows, row},
};
use crate::{
    contract::{Class, MessageUpdate, Undelivered, UndeliveredKind, UpdateOutcome},
    gmail::{GmailError, Metadata, RawMessage},
    ledger::{
        self, BCC, Delivered, Fate, LedgerRow, NOTICES, NoticeRow, ThreadRow, ledger_key, notice_key,
        thread_key,
    },
    mail::{
        self, Envelope, Source,
        delivery_status::{Failure, failures, original_message_id},
    },
    ports::Host,
    rules::{
        Decision, Rule, address_key, s11_sent,
        s19_attachments::{RAW_LIMIT, answer_limit},
        s23_exactly_once::recipient_keys,
    },
    sync::{Pass, Step, message::Delivery, update},
};

/// Message-IDs that one notice is looked for by.
const MOST_ORIGINALS: usize = 3;
/// Messages looked at of those that a search finds.
const MOST_FOUND: usize = 5;
/// Notices whose messages are looked for in one pass.
const PER_PASS: u32 = 50;
/// When a message is looked for again, ms; the time is doubled each time.
const FIRST_AGAIN: u64 = 60_000;
/// How long a message is looked for, ms.
const LOOKED_FOR: u64 = 3_600_000;

/// A report, and whose it is if it is no notice.
pub(super) struct Report {
    pub(super) reading: Reading,
    pub(super) decision: Decision,
}

/// Takes the reports of a group.
pub(super) async fn take_reports<H: Host>(pass: &Pass<'_, H>, rows: &mut Rows) -> Result<(), StoppedAt> {
    let mut wanted = Vec::new();
    for Report { reading, decision } in std::mem::take(&mut rows.reports) {
        let id = reading.summary.id.clone();
        let read = read(pass, &reading).await;
        let Some(notice) = read.map_err(|error| StoppedAt::gmail(&id, error))? else {
            match decision {
                Decision::Exclude(rule, inputs) => {
                    rows.exclude(pass, &reading.summary, &reading.envelope, rule, inputs);
                }
                Decision::Deliver {
                    contact,
                    address,
                    direction,
                    rule,
                    inputs,
                } => wanted.push(Wanted {
                    summary: reading.summary,
                    envelope: reading.envelope,
                    parsed: reading.parsed,
                    delivery: Delivery {
                        contact,
                        address,
                        direction,
                        rule,
                        inputs,
                    },
                }),
            }
            continue;
        };
        let told = settle(pass, rows, &reading, &notice).await;
        told.map_err(|stop| StoppedAt {
            id,
            stop,
            is_unanswered: false,
        })?;
    }
    hand_over(pass, wanted, rows).await
}

/// Tells of a notice, or notes that its message is to be looked for; its row.
async fn settle<H: Host>(pass: &Pass<'_, H>, rows: &mut Rows, reading: &Reading, notice: &Notice) -> Step {
    let summary = &reading.summary;
    let thread = rows
        .knows(&summary.thread_id)
        .then_some(summary.thread_id.as_str());
    if tell(pass, rows, thread, notice).await? == Told::NotYet {
        let now = pass.host.now();
        let row = NoticeRow {
            thread: summary.thread_id.clone(),
            originals: notice.originals.clone(),
            failures: notice.failures.clone(),
            since: now,
            due_at: now + FIRST_AGAIN,
        };
        rows.more.push(ledger::put(notice_key(&summary.id), &row)?);
    }
    let sender = reading.envelope.sender.as_ref();
    let row = LedgerRow {
        received_at: summary.internal_date,
        sender: sender.map(|sender| sender.address.clone()),
        concerns: notice.originals.first().cloned(),
        ..row(pass, &summary.thread_id, Fate::Excluded(Rule::S18))
    };
    rows.settle(pass, &summary.id, row);
    Ok(())
}

/// Looks again for the messages of notices, where it is time; when it is for the next one, ms since the epoch.
pub(in crate::sync) async fn look_again<H: Host>(pass: &Pass<'_, H>) -> Step<Option<u64>> {
    let waiting = ledger::page::<NoticeRow>(pass.host, NOTICES, None, PER_PASS).await?;
    if waiting.rows.is_empty() {
        return Ok(None);
    }
    // Whoever writes many notices does not hold up mail.
    pass.gmail.set_class(Class::Audit);
    let (mut next, mut changes) = (None, Vec::new());
    for (id, mut row) in waiting.rows {
        let now = pass.host.now();
        if row.due_at <= now {
            let known = ledger::read::<ThreadRow>(pass.host, &thread_key(&row.thread)).await?;
            let notice = Notice {
                failures: std::mem::take(&mut row.failures),
                originals: std::mem::take(&mut row.originals),
            };
            let thread = known.is_some().then_some(row.thread.as_str());
            let told = match tell(pass, &Rows::default(), thread, &notice).await {
                Ok(told) => told,
                Err(stop) => {
                    // What was found until now is not looked for again.
                    pass.commit(changes).await?;
                    return Err(stop);
                }
            };
            let age = now.saturating_sub(row.since);
            if told == Told::Settled || age >= LOOKED_FOR {
                changes.push(ledger::remove(notice_key(&id)));
                continue;
            }
            row = NoticeRow {
                due_at: now + age.max(FIRST_AGAIN),
                failures: notice.failures,
                originals: notice.originals,
                ..row
            };
            changes.push(ledger::put(notice_key(&id), &row)?);
        }
        next = Some(next.map_or(row.due_at, |next: u64| next.min(row.due_at)));
    }
    pass.commit(changes).await?;
    pass.gmail.set_class(Class::Live);
    Ok(next)
}

/// What a notice says.
struct Notice {
    failures: Vec<Failure>,
    /// Message-IDs that may be those of the message it is about, without brackets, the likeliest first.
    originals: Vec<String>,
}

async fn read<H: Host>(pass: &Pass<'_, H>, reading: &Reading) -> Result<Option<Notice>, GmailError> {
    let fetched = match &reading.parsed {
        Some(_) => None,
        None => match pass.gmail.raw(&reading.summary.id, answer_limit(RAW_LIMIT)).await {
            Ok(RawMessage::Whole { raw, .. }) => mail::parse(&raw).ok(),
            Ok(_) | Err(GmailError::Gone | GmailError::Refused { .. }) => None,
            Err(error) => return Err(error),
        },
    };
    let Some(parsed) = reading.parsed.as_ref().or(fetched.as_ref()) else {
        return Ok(None);
    };
    let part = |is_it: fn(&str) -> bool| {
        parsed.attachments.iter().find_map(|part| match &part.source {
            Source::Inline(bytes) if is_it(&part.media_type) => Some(bytes.as_slice()),
            _ => None,
        })
    };
    let Some(status) = part(|kind| kind.ends_with("delivery-status")) else {
        return Ok(None);
    };
    let failures = failures(status);
    let returned = part(|kind| kind.contains("rfc822") || kind.starts_with("message/global"));
    let returned = returned.and_then(|returned| Envelope::from_raw(returned).message_id);
    let named = returned.into_iter().chain(original_message_id(status));
    let mut originals: Vec<String> = Vec::new();
    for id in named.chain(reading.envelope.in_reply_to.iter().cloned()) {
        if originals.len() < MOST_ORIGINALS && !originals.contains(&id) {
            originals.push(id);
        }
    }
    Ok((!failures.is_empty()).then_some(Notice { failures, originals }))
}

/// What became of a notice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// There is nothing more to do.
    Settled,
    /// Its message may be found later.
    NotYet,
}

/// Tells the CRM whom a message has not reached. The BCC address is nobody. `thread` is the notice's, if something of it
/// was delivered.
async fn tell<H: Host>(pass: &Pass<'_, H>, rows: &Rows, thread: Option<&str>, notice: &Notice) -> Step<Told> {
    let failures = notice.failures.iter();
    let mut undelivered: Vec<Undelivered> = failures
        .filter(|failure| !pass.settings.is_logging(&failure.recipient))
        .map(undelivered_to)
        .collect();
    if undelivered.is_empty() || notice.originals.is_empty() || !pass.features().edit_after_log {
        return Ok(Told::Settled);
    }
    let failures = undelivered.len();
    // Nobody but Gmail's copy knows whom the mail went to by Bcc, and that may be found later.
    let mut names_everybody = true;
    let (id, row, recipients) = match find(pass, thread, notice).await? {
        Some((id, envelope)) => {
            let Some(row) = row_of(pass, rows, &id).await? else {
                return Ok(Told::NotYet);
            };
            // It was a draft when it was decided on, and is sent by now: history tells of that next.
            if matches!(row.fate, Fate::Excluded(Rule::Label(_))) {
                return Ok(Told::NotYet);
            }
            (id, row, recipient_keys(&envelope))
        }
        None => match logged(pass, notice).await? {
            Some((id, row)) => {
                names_everybody = false;
                let people = row.people.iter();
                let people = people.filter_map(|person| address_key(person)).collect();
                (id, row, people)
            }
            None => return Ok(Told::NotYet),
        },
    };
    undelivered
        .retain(|failure| address_key(&failure.recipient).is_some_and(|key| recipients.contains(&key)));
    let told = undelivered.len();
    if let Fate::Delivered(delivered) = &row.fate
        && is_told_of(delivered)
        && !undelivered.is_empty()
    {
        let news = MessageUpdate {
            undelivered,
            ..update(pass.key_of(&id, delivered), None)
        };
        // Mail from the CRM itself is known there by its key when it was told that it is sent.
        if pass.host.update_messages(vec![news]).await?.pop() != Some(UpdateOutcome::Done) {
            return Ok(Told::NotYet);
        }
        pass.count(|counts| counts.updates_in += 1);
    }
    Ok(if names_everybody || told == failures {
        Told::Settled
    } else {
        Told::NotYet
    })
}

/// Of a released contact nothing is told (S31), but who writes too late hears what becomes of their own letter.
fn is_told_of(delivered: &Delivered) -> bool {
    !delivered.released || delivered.rule == Rule::S20
}

/// The message that a notice is about, with its headers: in the notice's thread, or anywhere in the mailbox.
async fn find<H: Host>(
    pass: &Pass<'_, H>,
    thread: Option<&str>,
    notice: &Notice,
) -> Step<Option<(String, Envelope)>> {
    if let Some(thread) = thread {
        for message in pass.gmail.thread(thread).await? {
            if let Some(envelope) = envelope_if(&message, notice) {
                return Ok(Some((message.summary.id, envelope)));
            }
        }
    }
    for original in &notice.originals {
        let found = pass.gmail.with_message_id(original).await?;
        let ids: Vec<&str> = found
            .iter()
            .map(|message| message.id.as_str())
            .take(MOST_FOUND)
            .collect();
        for answer in pass.gmail.metadata_of(&ids).await {
            match answer {
                Ok(message) => {
                    if let Some(envelope) = envelope_if(&message, notice) {
                        return Ok(Some((message.summary.id, envelope)));
                    }
                }
                Err(GmailError::Gone | GmailError::Refused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(None)
}

/// The mail that a notice is about, if it came to the BCC address alone: the mailbox has no copy to be found (S18).
async fn logged<H: Host>(pass: &Pass<'_, H>, notice: &Notice) -> Step<Option<(String, LedgerRow)>> {
    if pass.settings.bcc_address.is_none() {
        return Ok(None);
    }
    let mut found = None;
    ledger::for_each::<LedgerRow>(pass.host, BCC, None, |name, row| {
        let is_it = matches!(&row.fate, Fate::Delivered(delivered)
            if delivered.message_id.as_ref().is_some_and(|id| notice.originals.contains(id)));
        if is_it && found.is_none() {
            found = Some((name.to_owned(), row));
        }
    })
    .await?;
    Ok(found)
}

/// The headers of a message, if it is the one that a notice is about.
fn envelope_if(message: &Metadata, notice: &Notice) -> Option<Envelope> {
    let envelope = Envelope::from_headers(&message.headers());
    let is_named = |id: &Option<String>| id.as_ref().is_some_and(|id| notice.originals.contains(id));
    let is_it = s11_sent::is_sent(&message.summary.label_ids)
        && (is_named(&envelope.message_id) || is_named(&envelope.original_message_id));
    is_it.then_some(envelope)
}

fn undelivered_to(failure: &Failure) -> Undelivered {
    Undelivered {
        recipient: failure.recipient.clone(),
        kind: if failure.is_final {
            UndeliveredKind::Failed
        } else {
            UndeliveredKind::Delayed
        },
        status: failure.status.clone(),
        diagnostic: failure.diagnostic.clone(),
    }
}

/// What became of a message, now or before.
async fn row_of<H: Host>(pass: &Pass<'_, H>, rows: &Rows, id: &str) -> Step<Option<LedgerRow>> {
    let now = rows.ledger.iter().find(|(known, _)| known == id);
    if let Some((_, row)) = now {
        return Ok(Some(row.clone()));
    }
    let row = ledger::read::<LedgerRow>(pass.host, &ledger_key(id)).await?;
    Ok(row.map(|(row, _)| row))
}
