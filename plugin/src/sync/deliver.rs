//! From candidates to ledger rows: look (headers first where the thread is unknown), decide, fetch what
//! belongs here, hand it to the CRM, commit. Group by group, so that memory stays bounded and an
//! interrupted pass keeps what it did.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};

use super::{
    Pass, Step, Stop,
    message::{Delivery, attachment, message},
    sending,
};
use crate::{
    contract::{Change, CrmError, Message, Problem, PutOutcome},
    gmail::{Gmail, GmailError, RawMessage, Summary},
    ledger::{
        self, ConnectionRow, Delivered, Fate, LedgerRow, Stuck, ThreadRow, VERSION, ledger_key,
        quarantine_key, sent_key, thread_key,
    },
    mail::{self, AttachmentDecoder, Envelope, Parsed, Source},
    ports::{Host, Incoming, Sink},
    rules::{
        self, Contacts, Decision, Evidence, Rule, addresses_that_matter, exclude_early, s11_sent,
        s19_attachments::{Fetch, RAW_LIMIT, SMALL_LIMIT, answer_limit, fetch},
    },
};

/// Messages looked at together.
const GROUP: usize = 32;
/// Passes that may end on one message before it is quarantined.
const PATIENCE: u32 = 3;
/// Most addresses of one look-up of contacts.
const ADDRESSES_AT_ONCE: usize = 1_000;

/// A message that may belong here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: String,
    thread: String,
    known: Known,
}

/// What is known of a candidate before it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// That it exists, and perhaps its labels.
    Labels(Option<Vec<String>>),
    /// That it was deleted.
    Deleted,
}

impl Candidate {
    pub(super) fn new(id: String, thread: String, labels: Option<Vec<String>>) -> Self {
        Self {
            id,
            thread,
            known: Known::Labels(labels),
        }
    }

    pub(super) fn deleted(id: String, thread: String) -> Self {
        Self {
            id,
            thread,
            known: Known::Deleted,
        }
    }
}

/// What a look at a candidate brought.
enum Look {
    /// Nothing to look at.
    Gone,
    /// A rule needs no more than labels or time.
    Excluded(Rule, Summary),
    /// Headers, and the whole message where it was fetched at once.
    Read(Box<Reading>),
    /// It can never be read.
    Unreadable(String),
}

/// A message as far as it was read.
struct Reading {
    summary: Summary,
    envelope: Envelope,
    parsed: Option<Parsed>,
}

/// Delivers candidates, group by group, each group committed.
pub(super) async fn deliver<H: Host>(pass: &mut Pass<'_, H>, candidates: Vec<Candidate>) -> Step {
    let mut contacts = KnownContacts::default();
    for group in candidates.chunks(GROUP) {
        deliver_group(pass, group, &mut contacts).await?;
    }
    Ok(())
}

async fn deliver_group<H: Host>(
    pass: &mut Pass<'_, H>,
    group: &[Candidate],
    contacts: &mut KnownContacts,
) -> Step {
    let threads = known_threads(pass, group).await?;
    let (looks, mut stop) = look_at(pass, group, &threads).await;
    let mut rows = Rows {
        threads,
        ..Rows::default()
    };
    let decided = decide(pass, looks, contacts, &mut rows).await?;
    if let Err(stopped) = hand_over(pass, decided, &mut rows).await {
        stop = stop.or(Some(stopped));
    }
    let connection = ConnectionRow {
        stuck: stuck(pass, stop.as_ref(), rows.settled > 0),
        ..pass.connection.clone()
    };
    let changes = rows.into_changes()?;
    pass.commit_connection(connection, changes).await?;
    match stop {
        Some(stopped) => Err(stopped.stop),
        None => Ok(()),
    }
}

/// A stop and the message it happened on.
struct StoppedAt {
    id: String,
    stop: Stop,
    is_unanswered: bool,
}

impl StoppedAt {
    fn gmail(id: &str, error: GmailError) -> Self {
        let is_unanswered = matches!(error, GmailError::Unavailable { .. });
        Self {
            id: id.to_owned(),
            stop: error.into(),
            is_unanswered,
        }
    }
}

/// Gmail failing on one message while it answers for others is that message's own fault in the end; an
/// outage is nobody's.
fn stuck<H: Host>(pass: &Pass<'_, H>, stop: Option<&StoppedAt>, others_settled: bool) -> Option<Stuck> {
    let before = pass.connection.stuck.clone();
    match stop {
        Some(stop) if stop.is_unanswered => {
            let passes = before
                .filter(|stuck| stuck.id == stop.id)
                .map_or(0, |stuck| stuck.passes);
            // The first time, others must have been answered; after that the message stands alone.
            (others_settled || passes > 0).then(|| Stuck {
                id: stop.id.clone(),
                passes: passes + 1,
            })
        }
        _ => before,
    }
}

async fn known_threads<H: Host>(
    pass: &Pass<'_, H>,
    group: &[Candidate],
) -> Step<Vec<(String, Option<ThreadRow>)>> {
    let ids: BTreeSet<&str> = group.iter().map(|candidate| candidate.thread.as_str()).collect();
    let keys = ids.iter().map(|id| thread_key(id)).collect();
    let rows = ledger::read_many::<ThreadRow>(pass.host, keys).await?;
    Ok(ids
        .into_iter()
        .zip(rows)
        .map(|(id, row)| (id.to_owned(), row.map(|(row, _)| row)))
        .collect())
}

async fn look_at<H: Host>(
    pass: &Pass<'_, H>,
    group: &[Candidate],
    threads: &[(String, Option<ThreadRow>)],
) -> (Vec<(String, String, Look)>, Option<StoppedAt>) {
    let given_up = pass
        .connection
        .stuck
        .as_ref()
        .filter(|stuck| stuck.passes >= PATIENCE);
    let looks = stream::iter(group).map(|candidate| async move {
        if given_up.is_some_and(|stuck| stuck.id == candidate.id) {
            let reason = format!("Gmail failed on it in {PATIENCE} passes");
            return (candidate, Ok(Look::Unreadable(reason)));
        }
        let is_known = threads
            .iter()
            .any(|(id, row)| *id == candidate.thread && row.as_ref().is_some_and(|row| !row.strangers));
        (candidate, look(pass, candidate, is_known).await)
    });
    // In order, so that what is delivered does not depend on which answer came first.
    let results: Vec<_> = looks.buffered(pass.gmail.in_flight()).collect().await;
    let mut found = Vec::with_capacity(results.len());
    let mut stop = None;
    for (candidate, result) in results {
        match result {
            Ok(look) => found.push((candidate.id.clone(), candidate.thread.clone(), look)),
            Err(error) => stop = stop.or(Some(StoppedAt::gmail(&candidate.id, error))),
        }
    }
    (found, stop)
}

async fn look<H: Host>(
    pass: &Pass<'_, H>,
    candidate: &Candidate,
    is_known_thread: bool,
) -> Result<Look, GmailError> {
    let labels = match &candidate.known {
        Known::Deleted => return Ok(Look::Gone),
        Known::Labels(labels) => labels,
    };
    if let Some(labels) = labels
        && let Some(rule) = rules::labels::excluded(labels)
    {
        let summary = Summary {
            id: candidate.id.clone(),
            thread_id: candidate.thread.clone(),
            label_ids: labels.clone(),
            ..Summary::default()
        };
        return Ok(Look::Excluded(Rule::Label(rule), summary));
    }
    match read(pass, &candidate.id, is_known_thread).await {
        Err(GmailError::Gone) => Ok(Look::Gone),
        Err(GmailError::Refused { status, message }) => {
            Ok(Look::Unreadable(format!("Gmail: {status} {message}")))
        }
        result => result,
    }
}

/// A known thread costs one request, an unknown one headers first (S10: no body of a stranger's mail).
async fn read<H: Host>(pass: &Pass<'_, H>, id: &str, is_known_thread: bool) -> Result<Look, GmailError> {
    if is_known_thread
        && let RawMessage::Whole { summary, raw } = pass.gmail.raw(id, answer_limit(SMALL_LIMIT)).await?
    {
        return Ok(match exclude_early(&summary, pass.connection.since) {
            Some(rule) => Look::Excluded(rule, summary),
            None => parsed(summary, mail::parse(&raw)),
        });
    }
    let metadata = pass.gmail.metadata(id).await?;
    let envelope = Envelope::from_headers(&metadata.headers());
    let summary = metadata.summary;
    Ok(match exclude_early(&summary, pass.connection.since) {
        Some(rule) => Look::Excluded(rule, summary),
        None => Look::Read(Box::new(Reading {
            summary,
            envelope,
            parsed: None,
        })),
    })
}

fn parsed(summary: Summary, result: Result<Parsed, mail::ParseError>) -> Look {
    match result {
        Ok(parsed) => Look::Read(Box::new(Reading {
            summary,
            envelope: parsed.envelope.clone(),
            parsed: Some(parsed),
        })),
        Err(error) => Look::Unreadable(error.to_string()),
    }
}

/// Contacts looked up in this pass, and addresses that have none.
#[derive(Default)]
struct KnownContacts {
    contacts: Contacts,
    asked: BTreeSet<String>,
}

impl KnownContacts {
    async fn learn<H: Host>(&mut self, pass: &Pass<'_, H>, addresses: impl Iterator<Item = String>) -> Step {
        let unknown: Vec<String> = addresses
            .filter(|address| self.asked.insert(address.clone()))
            .collect();
        for group in unknown.chunks(ADDRESSES_AT_ONCE) {
            self.contacts.add(pass.host.find_contacts(group.to_vec()).await?);
        }
        Ok(())
    }
}

/// A message that belongs here.
struct Wanted {
    summary: Summary,
    envelope: Envelope,
    parsed: Option<Parsed>,
    delivery: Delivery,
}

async fn decide<H: Host>(
    pass: &Pass<'_, H>,
    looks: Vec<(String, String, Look)>,
    contacts: &mut KnownContacts,
    rows: &mut Rows,
) -> Step<Vec<Wanted>> {
    let own_address = pass.connection.address.as_str();
    let since = pass.connection.since;
    let mut addresses = Vec::new();
    for (_, _, look) in &looks {
        if let Look::Read(reading) = look {
            addresses.extend(addresses_that_matter(&Evidence {
                summary: &reading.summary,
                envelope: &reading.envelope,
                own_address,
                since,
            }));
        }
    }
    contacts.learn(pass, addresses.into_iter()).await?;

    let mut wanted = Vec::new();
    for (id, thread, look) in looks {
        match look {
            Look::Gone => rows.settle(pass, &id, row(pass, &thread, Fate::Gone)),
            Look::Unreadable(reason) => rows.quarantine(pass, &id, &thread, reason),
            Look::Excluded(rule, summary) => {
                rows.settle(
                    pass,
                    &id,
                    LedgerRow {
                        received_at: summary.internal_date,
                        ..row(pass, &thread, Fate::Excluded(rule))
                    },
                );
            }
            Look::Read(reading) => {
                let Reading {
                    summary,
                    envelope,
                    parsed,
                } = *reading;
                rows.note_sent(&summary);
                // A message the CRM meant to send is that message, however it got sent (S23).
                if let Some(found) = sending::found_in_mailbox(pass, &summary, &envelope).await? {
                    rows.more.extend(found.changes);
                    rows.settle(pass, &id, found.row);
                    continue;
                }
                let evidence = Evidence {
                    summary: &summary,
                    envelope: &envelope,
                    own_address,
                    since,
                };
                match rules::decide(&evidence, &contacts.contacts) {
                    Decision::Exclude(rule) => rows.exclude(pass, &summary, &envelope, rule),
                    Decision::Deliver {
                        contact,
                        direction,
                        rule,
                    } => {
                        let delivery = Delivery {
                            contact,
                            direction,
                            rule,
                        };
                        wanted.push(Wanted {
                            summary,
                            envelope,
                            parsed,
                            delivery,
                        });
                    }
                }
            }
        }
    }
    Ok(wanted)
}

/// Fetches what is not read yet and gives it to the CRM: the small ones together, each large one by
/// itself.
async fn hand_over<H: Host>(
    pass: &Pass<'_, H>,
    wanted: Vec<Wanted>,
    rows: &mut Rows,
) -> Result<(), StoppedAt> {
    let (small, large): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .partition(|wanted| wanted.parsed.is_some() || fetch(wanted.summary.size_estimate) == Fetch::Small);
    let fetched: Vec<_> = stream::iter(small)
        .map(|wanted| async move {
            let result = match wanted.parsed {
                Some(_) => Ok(None),
                None => fetch_body(&pass.gmail, &wanted.summary).await.map(Some),
            };
            (wanted, result)
        })
        .buffered(pass.gmail.in_flight())
        .collect()
        .await;
    let mut stop = None;
    let mut ready = Vec::new();
    for (wanted, result) in fetched {
        match accept(pass, wanted, result, rows) {
            Ok(message) => ready.extend(message),
            Err(stopped) => stop = stop.or(Some(stopped)),
        }
    }
    put(pass, ready, rows).await?;
    if let Some(stopped) = stop {
        return Err(stopped);
    }
    for wanted in large {
        let result = fetch_body(&pass.gmail, &wanted.summary).await.map(Some);
        let ready = accept(pass, wanted, result, rows)?;
        put(pass, ready.into_iter().collect(), rows).await?;
    }
    Ok(())
}

/// A message's body, or why it cannot be taken apart.
type Body = Result<Parsed, mail::ParseError>;

async fn fetch_body<H: Host>(gmail: &Gmail<'_, H>, summary: &Summary) -> Result<Body, GmailError> {
    if fetch(summary.size_estimate) != Fetch::Parts
        && let RawMessage::Whole { raw, .. } = gmail.raw(&summary.id, answer_limit(RAW_LIMIT)).await?
    {
        return Ok(mail::parse(&raw));
    }
    Ok(mail::from_full(gmail.full(&summary.id).await?.payload))
}

/// A message ready for the CRM.
struct Ready {
    wanted: Wanted,
    parsed: Parsed,
}

fn accept<H: Host>(
    pass: &Pass<'_, H>,
    mut wanted: Wanted,
    fetched: Result<Option<Body>, GmailError>,
    rows: &mut Rows,
) -> Result<Option<Ready>, StoppedAt> {
    let Summary { id, thread_id, .. } = &wanted.summary;
    let parsed = match fetched {
        Ok(None) => wanted.parsed.take(),
        Ok(Some(Ok(parsed))) => Some(parsed),
        Ok(Some(Err(error))) => {
            rows.quarantine(pass, id, thread_id, error.to_string());
            None
        }
        Err(GmailError::Gone) => {
            rows.settle(pass, id, row(pass, thread_id, Fate::Gone));
            None
        }
        Err(GmailError::Refused { status, message }) => {
            rows.quarantine(pass, id, thread_id, format!("Gmail: {status} {message}"));
            None
        }
        Err(GmailError::TooLarge) => {
            rows.quarantine(pass, id, thread_id, "its text alone is too large".to_owned());
            None
        }
        Err(error) => return Err(StoppedAt::gmail(id, error)),
    };
    Ok(parsed.map(|parsed| Ready { wanted, parsed }))
}

async fn put<H: Host>(pass: &Pass<'_, H>, ready: Vec<Ready>, rows: &mut Rows) -> Result<(), StoppedAt> {
    if ready.is_empty() {
        return Ok(());
    }
    let messages: Vec<Message> = ready
        .iter()
        .map(|ready| message(pass, &ready.wanted.summary, &ready.parsed, &ready.wanted.delivery))
        .collect();
    let at = |id: &str, stop: Stop| StoppedAt {
        id: id.to_owned(),
        stop,
        is_unanswered: false,
    };
    let first = ready[0].wanted.summary.id.clone();
    let outcomes = put_messages(pass, messages)
        .await
        .map_err(|stop| at(&first, stop))?;
    for (ready, outcome) in ready.into_iter().zip(outcomes) {
        let Summary { id, thread_id, .. } = ready.wanted.summary.clone();
        match outcome {
            PutOutcome::Stored(_) | PutOutcome::Already(_) => {
                let left_out = put_attachments(pass, &ready).await?;
                rows.deliver(pass, &ready, left_out);
            }
            PutOutcome::Refused(reason) => {
                rows.quarantine(pass, &id, &thread_id, format!("refused by the CRM: {reason}"));
            }
            PutOutcome::Unknown => {
                let problem = Problem::CrmUnavailable("did not say what became of a message".to_owned());
                return Err(at(&id, problem.into()));
            }
        }
    }
    Ok(())
}

/// Puts messages. One whose outcome is unknown is looked for before it is put again, once.
async fn put_messages<H: Host>(pass: &Pass<'_, H>, messages: Vec<Message>) -> Step<Vec<PutOutcome>> {
    if pass.features().server_idempotency {
        let mut outcomes = pass.host.put_messages(messages.clone()).await?;
        for (message, outcome) in messages.into_iter().zip(&mut outcomes) {
            if *outcome == PutOutcome::Unknown {
                *outcome = put_if_absent(pass, message).await?;
            }
        }
        return Ok(outcomes);
    }
    let mut outcomes = Vec::with_capacity(messages.len());
    for message in messages {
        let outcome = match put_if_absent(pass, message.clone()).await? {
            PutOutcome::Unknown => put_if_absent(pass, message).await?,
            outcome => outcome,
        };
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

async fn put_if_absent<H: Host>(pass: &Pass<'_, H>, message: Message) -> Step<PutOutcome> {
    if let Some(Some(id)) = pass.host.find_messages(vec![message.key.clone()]).await?.pop() {
        return Ok(PutOutcome::Already(id));
    }
    Ok(pass
        .host
        .put_messages(vec![message])
        .await?
        .pop()
        .unwrap_or(PutOutcome::Unknown))
}

/// Puts the attachments; answers what of them the CRM refused.
async fn put_attachments<H: Host>(pass: &Pass<'_, H>, ready: &Ready) -> Result<Vec<String>, StoppedAt> {
    let mut left_out = Vec::new();
    if !pass.features().attachments {
        return Ok(left_out);
    }
    let id = &ready.wanted.summary.id;
    let key = pass.message_key(id);
    for part in &ready.parsed.attachments {
        let stopped = |stop: Stop| StoppedAt {
            id: id.clone(),
            stop,
            is_unanswered: false,
        };
        let outcome = match &part.source {
            Source::Inline(bytes) => pass
                .host
                .put_attachment(&key, attachment(part), bytes.clone())
                .await
                .map_err(|error| stopped(error.into()))?,
            Source::Remote { attachment_id } => {
                match stream_attachment(pass, id, &key, part, attachment_id).await {
                    Ok(outcome) => outcome,
                    Err(StreamError::Gmail(GmailError::Gone)) => PutOutcome::Refused("it is gone".to_owned()),
                    Err(StreamError::Gmail(error)) => return Err(StoppedAt::gmail(id, error)),
                    Err(StreamError::Crm(error)) => return Err(stopped(error.into())),
                    Err(StreamError::Content(reason)) => PutOutcome::Refused(reason),
                }
            }
        };
        match outcome {
            PutOutcome::Stored(_) | PutOutcome::Already(_) => {}
            PutOutcome::Refused(reason) => left_out.push(format!("{}: {reason}", part.file_name)),
            PutOutcome::Unknown => {
                let text = "did not say what became of an attachment".to_owned();
                return Err(stopped(Problem::CrmUnavailable(text).into()));
            }
        }
    }
    Ok(left_out)
}

enum StreamError {
    Gmail(GmailError),
    Crm(CrmError),
    Content(String),
}

/// Gmail to CRM without ever being whole in memory: answer, base64, bytes (S19).
async fn stream_attachment<H: Host>(
    pass: &Pass<'_, H>,
    id: &str,
    key: &str,
    part: &mail::Attachment,
    attachment_id: &str,
) -> Result<PutOutcome, StreamError> {
    let body = pass
        .gmail
        .attachment(id, attachment_id)
        .await
        .map_err(StreamError::Gmail)?;
    let (mut sink, outcome) = pass.host.put_attachment_streamed(key, attachment(part));
    let pump = async {
        let result = decode_into(body, &mut sink).await;
        drop(sink);
        result
    };
    let (pumped, outcome) = futures_util::join!(pump, outcome);
    match pumped {
        Ok(size) if size == part.size => outcome.map_err(StreamError::Crm),
        Ok(size) => Err(StreamError::Content(format!(
            "Gmail announced {} bytes and gave {size}",
            part.size
        ))),
        Err(reason) => match outcome {
            Ok(refused @ PutOutcome::Refused(_)) => Ok(refused),
            _ => Err(StreamError::Content(reason)),
        },
    }
}

async fn decode_into<S: crate::ports::Source>(
    body: Incoming<S>,
    sink: &mut impl Sink,
) -> Result<u64, String> {
    let mut decoder = AttachmentDecoder::new();
    let mut pass_on = async |bytes: &[u8]| {
        let bytes = decoder.push(bytes).map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            return Ok(());
        }
        sink.write(bytes)
            .await
            .map_err(|_| "the CRM takes no more".to_owned())
    };
    match body {
        Incoming::Whole(bytes) => pass_on(&bytes).await?,
        Incoming::Stream(mut stream) => {
            while let Some(bytes) = stream.next().await {
                pass_on(&bytes).await?;
            }
        }
    }
    decoder.finish().map_err(|error| error.to_string())
}

fn row<H: Host>(pass: &Pass<'_, H>, thread: &str, fate: Fate) -> LedgerRow {
    LedgerRow {
        fate,
        thread: thread.to_owned(),
        received_at: 0,
        decided_at: pass.host.now(),
        sender: None,
        version: VERSION.to_owned(),
    }
}

/// What a group's commit will hold.
#[derive(Default)]
struct Rows {
    ledger: Vec<(String, LedgerRow)>,
    threads: Vec<(String, Option<ThreadRow>)>,
    sent: Vec<String>,
    more: Vec<Change>,
    settled: usize,
}

impl Rows {
    fn settle<H: Host>(&mut self, pass: &Pass<'_, H>, id: &str, row: LedgerRow) {
        pass.count(|counts| {
            counts.seen += 1;
            match &row.fate {
                Fate::Delivered(_) => counts.delivered += 1,
                Fate::Excluded(_) => counts.excluded += 1,
                Fate::Gone => counts.gone += 1,
                Fate::Quarantined(_) => counts.quarantined += 1,
            }
        });
        self.settled += 1;
        self.ledger.push((id.to_owned(), row));
    }

    fn quarantine<H: Host>(&mut self, pass: &Pass<'_, H>, id: &str, thread: &str, reason: String) {
        pass.warn("quarantined", &[("message", id), ("reason", &reason)]);
        self.settle(pass, id, row(pass, thread, Fate::Quarantined(reason)));
    }

    fn exclude<H: Host>(&mut self, pass: &Pass<'_, H>, summary: &Summary, envelope: &Envelope, rule: Rule) {
        if rule == Rule::S10
            && let Some(thread) = self.thread(&summary.thread_id)
        {
            thread.strangers = true;
        }
        let row = LedgerRow {
            received_at: summary.internal_date,
            sender: envelope.sender.as_ref().map(|sender| sender.address.clone()),
            ..row(pass, &summary.thread_id, Fate::Excluded(rule))
        };
        self.settle(pass, &summary.id, row);
    }

    fn deliver<H: Host>(&mut self, pass: &Pass<'_, H>, ready: &Ready, left_out: Vec<String>) {
        let Wanted {
            summary,
            envelope,
            delivery,
            ..
        } = &ready.wanted;
        let delivered = Delivered {
            contact: delivery.contact.id.clone(),
            rule: delivery.rule,
            message_id: envelope.message_id.clone(),
            left_out,
            deleted: false,
        };
        let row = LedgerRow {
            received_at: summary.internal_date,
            sender: envelope.sender.as_ref().map(|sender| sender.address.clone()),
            ..row(pass, &summary.thread_id, Fate::Delivered(delivered))
        };
        self.settle(pass, &summary.id, row);
        let latest = ThreadRow {
            subject: envelope.subject.clone(),
            message_id: envelope.message_id.clone(),
            references: envelope.references.clone(),
            latest_at: summary.internal_date,
            strangers: false,
        };
        let Some((_, thread)) = self.threads.iter_mut().find(|(id, _)| *id == summary.thread_id) else {
            self.threads.push((summary.thread_id.clone(), Some(latest)));
            return;
        };
        match thread {
            Some(known) if known.latest_at > latest.latest_at => {}
            Some(known) => {
                *known = ThreadRow {
                    strangers: known.strangers,
                    ..latest
                }
            }
            None => *thread = Some(latest),
        }
    }

    fn thread(&mut self, id: &str) -> Option<&mut ThreadRow> {
        self.threads.iter_mut().find(|(known, _)| known == id)?.1.as_mut()
    }

    /// Whoever sent it, with whatever client: it counts for the mailbox's day (S21).
    fn note_sent(&mut self, summary: &Summary) {
        if s11_sent::is_sent(&summary.label_ids) {
            self.sent.push(sent_key(summary.internal_date, &summary.id));
        }
    }

    fn into_changes(self) -> Step<Vec<Change>> {
        let mut changes = Vec::with_capacity(self.ledger.len() + self.threads.len());
        for (id, row) in &self.ledger {
            changes.push(ledger::put(ledger_key(id), row)?);
            if matches!(row.fate, Fate::Quarantined(_)) {
                changes.push(ledger::put(quarantine_key(id), &VERSION)?);
            }
        }
        for (id, row) in &self.threads {
            if let Some(row) = row {
                changes.push(ledger::put(thread_key(id), row)?);
            }
        }
        changes.extend(self.sent.into_iter().map(ledger::mark));
        changes.extend(self.more);
        Ok(changes)
    }
}
