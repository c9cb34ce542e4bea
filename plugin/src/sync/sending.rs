//! One message from the CRM to Gmail, exactly once (S20, S21, S23).
//!
//! `Preparing` is stored, a draft is created, `Drafted` is stored, the draft is sent, `Sent` is stored
//! together with the message's ledger row. Whatever happens between two of these, Gmail's own state
//! says where to go on: only a draft that still exists is ever sent.

use super::{Pass, Step, message, send::Day};
use crate::{
    contract::{
        Change, Deferral, Mailbox as ContractMailbox, Outbound, OutboundKind, OutboundOutcome, Problem, Sent,
    },
    gmail::{Draft, GmailError, Metadata, Outcome, SendAs, Summary, Upload, UploadError},
    ledger::{
        self, Delivered, DraftIds, Fate as LedgerFate, INTENTS, LedgerRow, OutboundRow, OutboundState,
        SentIds, ThreadRow, VERSION, intent_key, ledger_key, outbound_key, sent_key, thread_key,
    },
    mail::{
        ComposeError, Composed, Disposition, Envelope, Mailbox, Outgoing, OutgoingAttachment,
        references_for_reply, reply_subject,
    },
    ports::Host,
    rules::{
        Rule, s03_right_mailbox, s11_sent, s20_one_to_one,
        s21_limits::{self, AtLimit},
        s23_exactly_once::{Intent, Likeness, compare, compare_headers, recipient_keys},
    },
};

/// Sends of one draft in one pass, after unclear failures.
const TRIES: u32 = 3;
/// Wait before Gmail is asked what became of an unclear send, in milliseconds.
const SETTLE: u64 = 2_000;
/// After so long an unclear send is shown as unconfirmed, in milliseconds.
const PATIENCE: u64 = 10 * 60_000;
/// Sent messages outside the thread that are looked at for an unclear send.
const LOOKED_AT: usize = 20;

/// What became of a message for now.
pub(super) enum Fate {
    /// For good.
    Settled(OutboundOutcome),
    /// It goes later.
    Waits(Deferral),
}

/// Moves one message on as far as it goes.
pub(super) async fn send<H: Host>(pass: &mut Pass<'_, H>, day: &mut Day, outbound: &Outbound) -> Step<Fate> {
    // S22: the platform sends these by its own provider; they must never reach the mailbox.
    if outbound.kind != OutboundKind::OneToOne {
        let problem =
            Problem::MessageRefused("bulk and workflow mail never goes through the mailbox".to_owned());
        return Ok(failed(problem));
    }
    let stored = ledger::read::<OutboundRow>(pass.host, &outbound_key(&outbound.id)).await?;
    match stored.map(|(row, _)| row) {
        None => prepare(pass, day, outbound).await,
        Some(row) => match row.state.clone() {
            OutboundState::Preparing => draft(pass, day, outbound, row).await,
            OutboundState::Drafted(ids) => resolve(pass, day, outbound, row, ids).await,
            OutboundState::Sent(ids) => Ok(Fate::Settled(read_back(pass, &ids).await?)),
            OutboundState::Unconfirmed(ids) => resolve(pass, day, outbound, row, ids).await,
            OutboundState::Failed => Ok(failed(Problem::MessageRefused(
                "refused before; send it anew".to_owned(),
            ))),
        },
    }
}

fn failed(problem: Problem) -> Fate {
    Fate::Settled(OutboundOutcome::Failed(problem))
}

/// Everything that can be refused is refused here, before anything is sent (S21).
async fn prepare<H: Host>(pass: &mut Pass<'_, H>, day: &mut Day, outbound: &Outbound) -> Step<Fate> {
    if let Some(fate) = over_limit(pass, day, outbound) {
        return Ok(fate);
    }
    let random: String = pass
        .host
        .bytes(16)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let domain = pass
        .connection
        .address
        .rsplit('@')
        .next()
        .unwrap_or("localhost")
        .to_owned();
    let row = OutboundRow {
        state: OutboundState::Preparing,
        message_id: format!("{random}.twinbox@{domain}"),
        subject: outbound.subject.clone(),
        recipients: recipients(outbound),
        contact: outbound.contact_id.clone(),
        references: Vec::new(),
        at: pass.host.now(),
    };
    let composition = match compose(pass, outbound, &row).await? {
        Ok(composition) => composition,
        Err(problem) => return Ok(failed(problem)),
    };
    let row = OutboundRow {
        subject: composition.subject.clone(),
        references: composition.references.clone(),
        ..row
    };
    pass.commit(vec![ledger::put(outbound_key(&outbound.id), &row)?])
        .await?;
    upload(pass, day, outbound, row, composition).await
}

fn over_limit<H: Host>(pass: &Pass<'_, H>, day: &Day, outbound: &Outbound) -> Option<Fate> {
    let until = s21_limits::blocked_until(&day.sent, pass.settings.daily_limit)?;
    let problem = Problem::DailyLimit(until);
    Some(match s21_limits::at_limit(outbound.when_limited) {
        AtLimit::Fail => failed(problem),
        AtLimit::Wait => Fate::Waits(Deferral { until, problem }),
    })
}

/// Interrupted between storing the intent and storing the draft: there may be a draft already.
async fn draft<H: Host>(
    pass: &mut Pass<'_, H>,
    day: &mut Day,
    outbound: &Outbound,
    row: OutboundRow,
) -> Step<Fate> {
    for draft in pass.gmail.drafts().await? {
        let metadata = match pass.gmail.metadata(&draft.message.id).await {
            Ok(metadata) => metadata,
            Err(GmailError::Gone) => continue,
            Err(error) => return Err(error.into()),
        };
        if metadata.summary.internal_date + SETTLE * 60 < row.at {
            // Drafts come newest first: what is older than the intent is not its draft.
            break;
        }
        if Envelope::from_headers(&metadata.headers()).message_id.as_deref() == Some(&row.message_id) {
            return send_drafted(pass, day, outbound, row, draft).await;
        }
    }
    match compose(pass, outbound, &row).await? {
        Ok(composition) => upload(pass, day, outbound, row, composition).await,
        Err(problem) => fail(pass, outbound, row, problem).await,
    }
}

async fn upload<H: Host>(
    pass: &mut Pass<'_, H>,
    day: &mut Day,
    outbound: &Outbound,
    row: OutboundRow,
    composition: Composition,
) -> Step<Fate> {
    let attachment_ids: Vec<String> = outbound
        .attachments
        .iter()
        .map(|attachment| attachment.id.clone())
        .collect();
    let boundary: String = pass
        .host
        .bytes(16)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut thread_id = composition.thread_id.as_deref();
    let draft = loop {
        let upload = Upload {
            message: &composition.message,
            thread_id,
            outbound_id: &outbound.id,
            attachment_ids: &attachment_ids,
            boundary: &boundary,
        };
        match pass.gmail.create_draft(&upload).await {
            Ok(draft) => break draft,
            // The thread is gone from the mailbox: the message starts one of its own.
            Err(UploadError::Gmail(GmailError::Gone)) if thread_id.is_some() => thread_id = None,
            Err(UploadError::Gmail(GmailError::Refused { message, .. })) => {
                return fail(pass, outbound, row, Problem::MessageRefused(message)).await;
            }
            Err(UploadError::Gmail(GmailError::TooLarge)) => {
                let size = composition.message.size();
                let limit = s21_limits::LARGEST_MESSAGE;
                let excess = crate::contract::SizeExcess { size, limit };
                return fail(pass, outbound, row, Problem::TooLarge(excess)).await;
            }
            Err(UploadError::Gmail(error)) => return Err(error.into()),
            Err(UploadError::Attachment(error)) => return Err(error.into()),
        }
    };
    send_drafted(pass, day, outbound, row, draft).await
}

/// Stores the draft, then sends it: from here on Gmail knows what became of it.
async fn send_drafted<H: Host>(
    pass: &mut Pass<'_, H>,
    day: &mut Day,
    outbound: &Outbound,
    row: OutboundRow,
    draft: Draft,
) -> Step<Fate> {
    let ids = DraftIds {
        draft: draft.id,
        message: draft.message.id,
        thread: draft.message.thread_id,
        unclear_since: None,
    };
    let row = OutboundRow {
        state: OutboundState::Drafted(ids.clone()),
        ..row
    };
    let mark = ledger::mark(intent_key(&outbound.id));
    pass.commit(vec![ledger::put(outbound_key(&outbound.id), &row)?, mark])
        .await?;
    dispatch(pass, day, outbound, row, ids).await
}

/// After an interruption or an unclear failure: what does Gmail say?
async fn resolve<H: Host>(
    pass: &mut Pass<'_, H>,
    day: &mut Day,
    outbound: &Outbound,
    row: OutboundRow,
    ids: DraftIds,
) -> Step<Fate> {
    if pass.gmail.draft(&ids.draft).await?.is_some() {
        // It was not sent. The day may have filled up meanwhile.
        if let Some(fate) = over_limit(pass, day, outbound) {
            return Ok(match fate {
                Fate::Settled(OutboundOutcome::Failed(problem)) => fail(pass, outbound, row, problem).await?,
                waits => waits,
            });
        }
        return dispatch(pass, day, outbound, row, ids).await;
    }
    find_sent(pass, day, outbound, row, ids).await
}

/// Sends a draft that exists.
async fn dispatch<H: Host>(
    pass: &mut Pass<'_, H>,
    day: &mut Day,
    outbound: &Outbound,
    row: OutboundRow,
    ids: DraftIds,
) -> Step<Fate> {
    for _ in 0..TRIES {
        match pass.gmail.send_draft(&ids.draft).await {
            Ok(summary) => return sent(pass, day, outbound, row, &summary).await,
            Err(GmailError::Gone) => return find_sent(pass, day, outbound, row, ids).await,
            Err(GmailError::Refused { message, .. }) => {
                return fail(pass, outbound, row, Problem::MessageRefused(message)).await;
            }
            Err(GmailError::RateLimited { until, .. }) => {
                return Ok(Fate::Waits(Deferral {
                    until,
                    problem: Problem::RateLimited(until),
                }));
            }
            Err(GmailError::Unavailable {
                outcome: Outcome::Unknown,
                ..
            }) => {
                pass.host.sleep(SETTLE).await;
                // A draft is used up by being sent, so the one that is still there was not.
                if pass.gmail.draft(&ids.draft).await?.is_none() {
                    return find_sent(pass, day, outbound, row, ids).await;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let until = pass.host.now() + 30_000;
    let problem =
        Problem::ProviderUnavailable("sending was not answered; the message is still a draft".to_owned());
    Ok(Fate::Waits(Deferral { until, problem }))
}

/// The draft is gone, so it was sent, or somebody deleted it: look for it in its thread, then among the
/// newest sent messages.
async fn find_sent<H: Host>(
    pass: &mut Pass<'_, H>,
    day: &mut Day,
    outbound: &Outbound,
    row: OutboundRow,
    ids: DraftIds,
) -> Step<Fate> {
    let thread = pass.gmail.thread(&ids.thread).await?;
    let mut found = find_in(pass, &row, &ids, thread).await?;
    if found.is_none() {
        for message in pass.gmail.list_sent().await?.messages.iter().take(LOOKED_AT) {
            match pass.gmail.metadata(&message.id).await {
                Ok(metadata) => found = find_in(pass, &row, &ids, vec![metadata]).await?,
                Err(GmailError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
            if found.is_some() {
                break;
            }
        }
    }
    if let Some(summary) = found {
        return sent(pass, day, outbound, row, &summary).await;
    }
    unclear(pass, outbound, row, ids).await
}

/// The message that was meant. One that is only alike must be in no ledger row: what has one came
/// another way. Of several the newest is meant, for the draft was sent last.
async fn find_in<H: Host>(
    pass: &Pass<'_, H>,
    row: &OutboundRow,
    ids: &DraftIds,
    messages: Vec<Metadata>,
) -> Step<Option<Summary>> {
    let intent = intent(row, ids);
    let mut alike = Vec::new();
    for message in messages {
        match compare(&message, &intent) {
            Some(Likeness::Exact) => return Ok(Some(message.summary)),
            Some(Likeness::Alike) => alike.push(message.summary),
            None => {}
        }
    }
    alike.sort_by_key(|summary| summary.internal_date);
    while let Some(summary) = alike.pop() {
        let known = ledger::read::<LedgerRow>(pass.host, &ledger_key(&summary.id)).await?;
        if known.is_none() {
            return Ok(Some(summary));
        }
    }
    Ok(None)
}

fn intent<'r>(row: &'r OutboundRow, ids: &'r DraftIds) -> Intent<'r> {
    Intent {
        draft_message_id: &ids.message,
        message_id: &row.message_id,
        subject: &row.subject,
        recipients: &row.recipients,
        at: row.at,
    }
}

/// Neither sending nor the opposite can be established, yet or for good.
async fn unclear<H: Host>(
    pass: &mut Pass<'_, H>,
    outbound: &Outbound,
    row: OutboundRow,
    ids: DraftIds,
) -> Step<Fate> {
    let now = pass.host.now();
    let since = ids.unclear_since.unwrap_or(now);
    let ids = DraftIds {
        unclear_since: Some(since),
        ..ids
    };
    let problem = Problem::ProviderUnavailable("Gmail does not say whether it was sent".to_owned());
    let waits = now < since + PATIENCE;
    let state = if waits {
        OutboundState::Drafted(ids)
    } else {
        OutboundState::Unconfirmed(ids)
    };
    pass.commit(vec![ledger::put(
        outbound_key(&outbound.id),
        &OutboundRow { state, ..row },
    )?])
    .await?;
    if waits {
        return Ok(Fate::Waits(Deferral {
            until: now + 30_000,
            problem,
        }));
    }
    Ok(Fate::Settled(OutboundOutcome::Unconfirmed(problem)))
}

/// It was sent: stored together with its ledger row, so that the sync knows it when it meets it.
async fn sent<H: Host>(
    pass: &mut Pass<'_, H>,
    day: &mut Day,
    outbound: &Outbound,
    row: OutboundRow,
    summary: &Summary,
) -> Step<Fate> {
    let at = if summary.internal_date == 0 {
        pass.host.now()
    } else {
        summary.internal_date
    };
    let ids = SentIds {
        message: summary.id.clone(),
        thread: summary.thread_id.clone(),
        at,
    };
    let mut changes = settled(pass, &outbound.id, row, &ids)?;
    let ledger_row = ledger_row(pass, &outbound.contact_id, None, &ids);
    changes.push(ledger::put(ledger_key(&ids.message), &ledger_row)?);
    changes.push(ledger::mark(sent_key(at, &ids.message)));
    pass.commit(changes).await?;
    day.sent.push(at);
    Ok(Fate::Settled(read_back(pass, &ids).await?))
}

/// The rows that say a message was sent, but for its ledger row.
fn settled<H: Host>(
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
    Ok(vec![
        ledger::put(outbound_key(outbound_id), &row)?,
        ledger::remove(intent_key(outbound_id)),
        ledger::put(thread_key(&ids.thread), &thread)?,
    ])
}

fn ledger_row<H: Host>(
    pass: &Pass<'_, H>,
    contact: &str,
    message_id: Option<String>,
    ids: &SentIds,
) -> LedgerRow {
    let delivered = Delivered {
        contact: contact.to_owned(),
        rule: Rule::S20,
        message_id,
        left_out: Vec::new(),
        deleted: false,
    };
    LedgerRow {
        fate: LedgerFate::Delivered(delivered),
        thread: ids.thread.clone(),
        received_at: ids.at,
        decided_at: pass.host.now(),
        sender: Some(pass.connection.address.clone()),
        version: VERSION.to_owned(),
    }
}

/// Gmail rewrites Message-ID, and From when it likes another better: read what it made of them. A
/// message that is sent is sent, whether or not this works.
async fn read_back<H: Host>(pass: &mut Pass<'_, H>, ids: &SentIds) -> Step<OutboundOutcome> {
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

async fn fail<H: Host>(
    pass: &mut Pass<'_, H>,
    outbound: &Outbound,
    row: OutboundRow,
    problem: Problem,
) -> Step<Fate> {
    let row = OutboundRow {
        state: OutboundState::Failed,
        ..row
    };
    let intent = ledger::remove(intent_key(&outbound.id));
    pass.commit(vec![ledger::put(outbound_key(&outbound.id), &row)?, intent])
        .await?;
    Ok(failed(problem))
}

/// A message met in the mailbox that is one the CRM meant to send.
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    pub(super) row: LedgerRow,
}

/// Whether this sent message is one whose sending was unclear. The CRM is told; the rows are for the
/// caller's commit.
pub(super) async fn found_in_mailbox<H: Host>(
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

/// A message as it will be sent.
struct Composition {
    message: Composed,
    subject: String,
    references: Vec<String>,
    thread_id: Option<String>,
}

/// Composes; the inner error is the message's own fault.
async fn compose<H: Host>(
    pass: &Pass<'_, H>,
    outbound: &Outbound,
    row: &OutboundRow,
) -> Step<Result<Composition, Problem>> {
    let aliases = aliases(pass, outbound).await?;
    let asked = outbound.sender.as_ref().map(from_contract);
    let sender = match s20_one_to_one::sender(asked.as_ref(), &pass.connection.address, &aliases) {
        Ok(sender) => sender,
        Err(problem) => return Ok(Err(problem)),
    };
    let thread = thread(pass, outbound).await?;
    let subject = match &thread {
        Some((_, row)) if outbound.subject.trim().is_empty() => reply_subject(&row.subject),
        _ => outbound.subject.clone(),
    };
    let parent = parent(pass, outbound, thread.as_ref().map(|(_, row)| row)).await?;
    let known_references = thread.as_ref().map_or(&[][..], |(_, row)| &row.references[..]);
    let references = match &parent {
        Some(parent) => references_for_reply(known_references, Some(parent)),
        None => Vec::new(),
    };
    let outgoing = Outgoing {
        sender,
        to: outbound.to.iter().map(from_contract).collect(),
        cc: outbound.cc.iter().map(from_contract).collect(),
        bcc: outbound.bcc.iter().map(from_contract).collect(),
        reply_to: Vec::new(),
        subject: subject.clone(),
        text: outbound.text.clone(),
        html: outbound.html.clone(),
        in_reply_to: parent,
        references: references.clone(),
        message_id: row.message_id.clone(),
        date_ms: i64::try_from(row.at).unwrap_or(i64::MAX),
        boundary_seed: row
            .message_id
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect(),
        attachments: outbound.attachments.iter().map(attachment).collect(),
    };
    let message = match outgoing.compose() {
        Ok(message) => message,
        Err(error) => return Ok(Err(compose_problem(error))),
    };
    if let Err(problem) = s21_limits::check_size(message.size()) {
        return Ok(Err(problem));
    }
    let thread_id = thread
        .as_ref()
        .and_then(|(id, row)| s20_one_to_one::thread(Some(id), &row.subject, &subject));
    let thread_id = thread_id.map(str::to_owned);
    Ok(Ok(Composition {
        message,
        subject,
        references,
        thread_id,
    }))
}

/// The aliases, when a sender other than the connected address was asked for.
async fn aliases<H: Host>(pass: &Pass<'_, H>, outbound: &Outbound) -> Step<Vec<SendAs>> {
    match &outbound.sender {
        Some(sender) if !s03_right_mailbox::same(&sender.address, &pass.connection.address) => {
            Ok(pass.gmail.send_as().await?)
        }
        _ => Ok(Vec::new()),
    }
}

async fn thread<H: Host>(pass: &Pass<'_, H>, outbound: &Outbound) -> Step<Option<(String, ThreadRow)>> {
    let Some(id) = outbound.thread.as_deref().and_then(|key| pass.id_in(key)) else {
        return Ok(None);
    };
    let row = ledger::read::<ThreadRow>(pass.host, &thread_key(id)).await?;
    Ok(row.map(|(row, _)| (id.to_owned(), row)))
}

/// The Message-ID of the message that is answered: the one the user chose, else the thread's latest.
async fn parent<H: Host>(
    pass: &Pass<'_, H>,
    outbound: &Outbound,
    thread: Option<&ThreadRow>,
) -> Step<Option<String>> {
    if let Some(id) = outbound.in_reply_to.as_deref().and_then(|key| pass.id_in(key))
        && let Some((row, _)) = ledger::read::<LedgerRow>(pass.host, &ledger_key(id)).await?
        && let LedgerFate::Delivered(Delivered {
            message_id: Some(message_id),
            ..
        }) = row.fate
    {
        return Ok(Some(message_id));
    }
    Ok(thread.and_then(|row| row.message_id.clone()))
}

fn compose_problem(error: ComposeError) -> Problem {
    match error {
        ComposeError::Address { address, .. } => Problem::RecipientInvalid(address),
        ComposeError::NoRecipient => Problem::RecipientInvalid(String::new()),
        other => Problem::MessageRefused(other.to_string()),
    }
}

fn from_contract(mailbox: &ContractMailbox) -> Mailbox {
    Mailbox {
        name: mailbox.name.clone(),
        address: mailbox.address.clone(),
    }
}

fn attachment(attachment: &crate::contract::OutboundAttachment) -> OutgoingAttachment {
    OutgoingAttachment {
        file_name: attachment.name.clone(),
        media_type: attachment.media_type.clone(),
        size: attachment.size,
        content_id: attachment.content_id.clone(),
        disposition: match attachment.disposition {
            crate::contract::Disposition::Attached => Disposition::Attachment,
            crate::contract::Disposition::Inline => Disposition::Inline,
        },
    }
}

fn recipients(outbound: &Outbound) -> Vec<String> {
    let envelope = Envelope {
        to: outbound.to.iter().map(from_contract).collect(),
        cc: outbound.cc.iter().map(from_contract).collect(),
        bcc: outbound.bcc.iter().map(from_contract).collect(),
        ..Envelope::default()
    };
    recipient_keys(&envelope)
}
