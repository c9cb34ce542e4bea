//! Delivery notices (S18): news of the message they are about, not messages of a conversation. Known by their
//! structure (RFC 3464), never by their words. One about nothing but a BCC address is nobody's failure.
//!
//! They are looked at when all other mail of their group was delivered: the message that one is about came
//! before it. Strangers can write notices too: only recipients of a message that is named are told of.

use super::{
    Reading, StoppedAt, Wanted,
    hand_over::hand_over,
    rows::{Rows, row},
};
use crate::{
    contract::{MessageUpdate, Undelivered, UndeliveredKind},
    gmail::{GmailError, Metadata, RawMessage, Summary},
    ledger::{self, Fate, LedgerRow, ledger_key},
    mail::{
        self, Envelope, Source,
        delivery_status::{Failure, failures},
    },
    ports::Host,
    rules::{
        Decision, Rule, address_key, s11_sent,
        s19_attachments::{RAW_LIMIT, answer_limit},
        s23_exactly_once::recipient_keys,
    },
    sync::{Pass, Step, message::Delivery, update},
};

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
        // Of a thread that nothing was delivered of there is nothing to tell, and nothing is read (S10).
        let notice = if rows.knows(&reading.summary.thread_id) {
            let read = read(pass, &reading).await;
            read.map_err(|error| StoppedAt::gmail(&id, error))?
        } else {
            None
        };
        let Some(notice) = notice else {
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
        let told = tell(pass, rows, &reading.summary, &notice).await;
        told.map_err(|stop| StoppedAt {
            id: id.clone(),
            stop,
            is_unanswered: false,
        })?;
        let sender = reading.envelope.sender.map(|sender| sender.address);
        let row = LedgerRow {
            received_at: reading.summary.internal_date,
            sender,
            concerns: notice.original,
            ..row(pass, &reading.summary.thread_id, Fate::Excluded(Rule::S18))
        };
        rows.settle(pass, &id, row);
    }
    hand_over(pass, wanted, rows).await
}

/// What a notice says.
struct Notice {
    failures: Vec<Failure>,
    /// Message-ID of the message it is about, without brackets.
    original: Option<String>,
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
    let original = part(|kind| kind.contains("rfc822") || kind.starts_with("message/global"));
    let original = original.and_then(|original| Envelope::from_raw(original).message_id);
    let original = original.or_else(|| reading.envelope.in_reply_to.first().cloned());
    Ok((!failures.is_empty()).then_some(Notice { failures, original }))
}

/// Tells the CRM whom a message has not reached. The BCC address is nobody.
async fn tell<H: Host>(pass: &Pass<'_, H>, rows: &Rows, summary: &Summary, notice: &Notice) -> Step {
    let failures = notice.failures.iter();
    let mut undelivered: Vec<Undelivered> = failures
        .filter(|failure| !pass.settings.is_logging(&failure.recipient))
        .map(undelivered_to)
        .collect();
    if undelivered.is_empty() || notice.original.is_none() || !pass.features().edit_after_log {
        return Ok(());
    }
    for message in pass.gmail.thread(&summary.thread_id).await? {
        let envelope = Envelope::from_headers(&message.headers());
        if !is_it(&message, &envelope, notice) {
            continue;
        }
        let recipients = recipient_keys(&envelope);
        undelivered
            .retain(|failure| address_key(&failure.recipient).is_some_and(|key| recipients.contains(&key)));
        if let Some(key) = key(pass, rows, &message.summary.id).await?
            && !undelivered.is_empty()
        {
            let news = MessageUpdate {
                undelivered,
                ..update(key, None)
            };
            let told = pass.tell_crm(vec![news]).await?;
            pass.count(|counts| counts.updates_in += told);
        }
        return Ok(());
    }
    Ok(())
}

fn is_it(message: &Metadata, envelope: &Envelope, notice: &Notice) -> bool {
    s11_sent::is_sent(&message.summary.label_ids)
        && (envelope.message_id == notice.original || envelope.original_message_id == notice.original)
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

/// The key of a message that was delivered, now or before.
async fn key<H: Host>(pass: &Pass<'_, H>, rows: &Rows, id: &str) -> Step<Option<String>> {
    let now = rows.ledger.iter().find(|(known, _)| known == id);
    let row = match now {
        Some((_, row)) => Some(row.clone()),
        None => ledger::read::<LedgerRow>(pass.host, &ledger_key(id))
            .await?
            .map(|(row, _)| row),
    };
    Ok(match row.map(|row| row.fate) {
        Some(Fate::Delivered(delivered)) => Some(pass.key_of(id, &delivered)),
        _ => None,
    })
}
