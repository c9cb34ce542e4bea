//! A message is known to be sent: the rows that say so, and what the CRM is told.

use crate::{
    contract::{Change, OutboundOutcome, Problem, Sent},
    gmail::Summary,
    ledger::{
        self, Delivered, DraftIds, Fate, INTENTS, LedgerRow, OutboundRow, OutboundState, SentIds, ThreadRow,
        VERSION, held_key, intent_key, outbound_key, thread_key,
    },
    mail::Envelope,
    ports::Host,
    rules::{
        Rule, s11_sent,
        s23_exactly_once::{Intent, Likeness, compare_headers},
    },
    sync::{Pass, Step, message},
};

/// The rows that say a message was sent, but for its ledger row.
pub(in crate::sync) fn settled<H: Host>(
    pass: &Pass<'_, H>,
    outbound_id: &str,
    row: OutboundRow,
    ids: &SentIds,
) -> Result<Vec<Change>, Problem> {
    let thread = ThreadRow {
        subject: row.subject.clone(),
        message_id: Some(row.message_id.clone()),
        references: row.references.clone(),
        latest_at: ids.at.max(pass.connection.since),
        strangers: false,
    };
    let row = OutboundRow {
        state: OutboundState::Sent(ids.clone()),
        ..row
    };
    let mut changes = vec![
        ledger::put(outbound_key(outbound_id), &row)?,
        ledger::remove(intent_key(outbound_id)),
        ledger::put(thread_key(&ids.thread), &thread)?,
    ];
    let held = row.claims.first().map(|address| held_key(address, &ids.message));
    changes.extend(held.map(ledger::mark));
    Ok(changes)
}

pub(in crate::sync) fn ledger_row<H: Host>(
    pass: &Pass<'_, H>,
    contact: &str,
    message_id: Option<String>,
    ids: &SentIds,
) -> LedgerRow {
    LedgerRow {
        fate: Fate::Delivered(Delivered::new(contact, Rule::S20, message_id)),
        thread: ids.thread.clone(),
        received_at: ids.at,
        decided_at: pass.host.now(),
        sender: Some(pass.connection.address.clone()),
        inputs: Vec::new(),
        concerns: None,
        people: Vec::new(),
        version: VERSION.to_owned(),
    }
}

/// Gmail rewrites Message-ID, and From when it likes another better: read what it made of them. A
/// message that is sent is sent, whether or not this works.
pub(in crate::sync) async fn read_back<H: Host>(
    pass: &mut Pass<'_, H>,
    ids: &SentIds,
) -> Step<OutboundOutcome> {
    let envelope = match pass.gmail.metadata(&ids.message).await {
        Ok(metadata) => Some((
            Envelope::from_headers(&metadata.headers()),
            metadata.summary.internal_date,
        )),
        Err(error) => {
            pass.warn(
                "a sent message could not be read back",
                &[("reason", &error.to_string())],
            );
            None
        }
    };
    if let Some((envelope, at)) = &envelope {
        remember_thread(pass, ids, envelope, *at).await?;
    }
    Ok(OutboundOutcome::Sent(sent_report(
        pass,
        ids,
        envelope.as_ref().map(|(envelope, _)| envelope),
    )))
}

async fn remember_thread<H: Host>(
    pass: &mut Pass<'_, H>,
    ids: &SentIds,
    envelope: &Envelope,
    at: u64,
) -> Step {
    let key = thread_key(&ids.thread);
    let known = ledger::read::<ThreadRow>(pass.host, &key)
        .await?
        .map(|(row, _)| row);
    if known.as_ref().is_some_and(|row| row.latest_at > at.max(ids.at)) {
        return Ok(());
    }
    let row = ThreadRow {
        subject: envelope.subject.clone(),
        message_id: envelope.message_id.clone(),
        references: envelope.references.clone(),
        latest_at: at.max(ids.at),
        strangers: known.is_some_and(|row| row.strangers),
    };
    pass.commit(vec![ledger::put(key, &row)?]).await?;
    Ok(())
}

fn sent_report<H: Host>(pass: &Pass<'_, H>, ids: &SentIds, envelope: Option<&Envelope>) -> Sent {
    Sent {
        key: pass.message_key(&ids.message),
        thread: pass.thread_key(&ids.thread),
        message_id: envelope.and_then(|envelope| Some(format!("<{}>", envelope.message_id.as_ref()?))),
        sender: envelope.and_then(|envelope| envelope.sender.as_ref().map(message::mailbox)),
        at: ids.at,
    }
}

/// A message met in the mailbox that is one the CRM meant to send.
pub(in crate::sync) struct Found {
    pub(in crate::sync) changes: Vec<Change>,
    pub(in crate::sync) row: LedgerRow,
}

/// Whether this sent message is one whose sending was unclear. The CRM is told; the rows are for the
/// caller's commit.
pub(in crate::sync) async fn found_in_mailbox<H: Host>(
    pass: &Pass<'_, H>,
    summary: &Summary,
    envelope: &Envelope,
) -> Step<Option<Found>> {
    if !s11_sent::is_sent(&summary.label_ids) {
        return Ok(None);
    }
    for id in ledger::keys(pass.host, INTENTS, None).await? {
        let Some((row, _)) = ledger::read::<OutboundRow>(pass.host, &outbound_key(&id)).await? else {
            continue;
        };
        let (OutboundState::Drafted(drafted) | OutboundState::Unconfirmed(drafted)) = &row.state else {
            continue;
        };
        match compare_headers(summary, envelope, &intent(&row, drafted)) {
            Some(Likeness::Exact) => {}
            // A draft that still exists was not sent: this is mail that the user wrote.
            Some(Likeness::Alike) if pass.gmail.draft(&drafted.draft).await?.is_none() => {}
            _ => continue,
        }
        let ids = SentIds {
            message: summary.id.clone(),
            thread: summary.thread_id.clone(),
            at: summary.internal_date,
        };
        let report = sent_report(pass, &ids, Some(envelope));
        pass.host
            .report_outbound(&id, OutboundOutcome::Sent(report))
            .await?;
        pass.count(|counts| counts.sent += 1);
        let ledger_row = ledger_row(pass, &row.contact, envelope.message_id.clone(), &ids);
        return Ok(Some(Found {
            changes: settled(pass, &id, row, &ids)?,
            row: ledger_row,
        }));
    }
    Ok(None)
}

/// What was meant, for comparison with what is there.
pub(in crate::sync) fn intent<'r>(row: &'r OutboundRow, ids: &'r DraftIds) -> Intent<'r> {
    Intent {
        draft_message_id: &ids.message,
        message_id: &row.message_id,
        subject: &row.subject,
        recipients: &row.recipients,
        at: row.at,
    }
}
