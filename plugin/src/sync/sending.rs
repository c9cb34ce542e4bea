//! One message from the CRM to Gmail, exactly once (S20, S21, S23).
//!
//! `Preparing` is stored, a draft is created, `Drafted` is stored, the draft is sent, `Sent` is stored
//! together with the message's ledger row. Whatever happens between two of these, Gmail's own state
//! says where to go on: only a draft that still exists is ever sent.

mod compose;
mod settle;

use std::fmt::Write;

use super::{Pass, Step, send::Day, sharing};
use crate::{
    contract::{Deferral, Outbound, OutboundKind, OutboundOutcome, Problem, SizeExcess, WhenLimited},
    gmail::{Draft, GmailError, Metadata, Outcome, Summary, Upload, UploadError},
    ledger::{
        self, DraftIds, LedgerRow, OutboundRow, OutboundState, Refused, SentIds, intent_key, ledger_key,
        outbound_key, sent_key,
    },
    mail::Envelope,
    mutation::Mutation,
    ports::Host,
    rules::{
        s21_limits,
        s23_exactly_once::{Likeness, compare, is_named},
        s32_sent_from_one_crm::MESSAGE_ID_MARK,
    },
};
use compose::{Composition, compose, recipients};
use settle::{intent, ledger_row, read_back, settled};

pub(super) use settle::found_in_mailbox;

/// Sends of one draft in one pass, after unclear failures.
const TRIES: u32 = 3;
/// Wait before Gmail is asked what became of an unclear send, in milliseconds.
const SETTLE: u64 = 2_000;
/// After so long an unclear send is shown as unconfirmed, in milliseconds.
const PATIENCE: u64 = 10 * 60_000;
/// How much older than its intent, by Gmail's clock, a draft may be, in milliseconds: a host's clock may be minutes off,
/// and a draft that is overlooked stays in the mailbox for good.
const DRAFT_AGE: u64 = 60 * 60_000;
/// Sent messages outside the thread that are looked at for an unclear send.
const LOOKED_AT: usize = 20;

/// What became of a message for now.
pub(super) enum Fate {
    /// For good.
    Settled(OutboundOutcome),
    /// It goes later.
    Waits(Deferral),
}

/// One message on its way.
struct Errand<'p, 'h, H> {
    pass: &'p mut Pass<'h, H>,
    day: &'p mut Day,
    outbound: &'p Outbound,
}

/// Moves one message on as far as it goes.
pub(super) async fn send<H: Host>(pass: &mut Pass<'_, H>, day: &mut Day, outbound: &Outbound) -> Step<Fate> {
    // S22: the platform sends these by its own provider; they must never reach the mailbox.
    if outbound.kind != OutboundKind::OneToOne {
        let text = "bulk and workflow mail never goes through the mailbox";
        return Ok(failed(Problem::MessageRefused(text.to_owned())));
    }
    let stored = ledger::read::<OutboundRow>(pass.host, &outbound_key(&outbound.id)).await?;
    let mut errand = Errand { pass, day, outbound };
    let Some((row, _)) = stored else {
        return errand.prepare().await;
    };
    match row.state.clone() {
        OutboundState::Preparing => errand.draft(row).await,
        OutboundState::Drafted(ids) | OutboundState::Unconfirmed(ids) => errand.resolve(row, ids).await,
        OutboundState::Sent(ids) => Ok(Fate::Settled(read_back(errand.pass, &ids).await?)),
        OutboundState::Failed(refused) => errand.refused(refused).await,
    }
}

fn failed(problem: Problem) -> Fate {
    Fate::Settled(OutboundOutcome::Failed(problem))
}

/// The problem in words, for a report that is made again.
fn reason(problem: &Problem) -> String {
    match problem {
        Problem::MessageRefused(reason) => reason.clone(),
        Problem::DailyLimit(_) => "the mailbox's limit for a day was reached".to_owned(),
        Problem::TooLarge(excess) => format!("it has {} bytes of at most {}", excess.size, excess.limit),
        other => format!("{other:?}"),
    }
}

impl<H: Host> Errand<'_, '_, H> {
    /// Everything that can be refused is refused here, before anything is sent (S21).
    async fn prepare(&mut self) -> Step<Fate> {
        if let Some(fate) = self.over_limit() {
            return Ok(fate);
        }
        let random = random_text(self.pass);
        let domain = self
            .pass
            .connection
            .address
            .rsplit('@')
            .next()
            .unwrap_or("localhost")
            .to_owned();
        let row = OutboundRow {
            state: OutboundState::Preparing,
            message_id: format!("{random}{MESSAGE_ID_MARK}{domain}"),
            subject: self.outbound.subject.clone(),
            recipients: recipients(self.outbound),
            contact: self.outbound.contact_id.clone(),
            references: Vec::new(),
            claims: Vec::new(),
            at: self.pass.host.now(),
        };
        let composition = match compose(self.pass, self.outbound, &row).await? {
            Ok(composition) => composition,
            Err(problem) => return Ok(failed(problem)),
        };
        let (claims, mut changes) = sharing::to_claim(self.pass, self.outbound).await?;
        let row = OutboundRow {
            subject: composition.subject.clone(),
            references: composition.references.clone(),
            claims,
            ..row
        };
        if !self.pass.settings.has(Mutation::IntentNotStored) {
            changes.push(ledger::put(outbound_key(&self.outbound.id), &row)?);
            self.pass.commit(changes).await?;
        }
        self.upload(row, composition).await
    }

    fn over_limit(&self) -> Option<Fate> {
        let until = s21_limits::blocked_until(&self.day.sent, self.pass.settings.daily_limit)?;
        let problem = Problem::DailyLimit(until);
        Some(match self.outbound.when_limited {
            WhenLimited::Fail => failed(problem),
            WhenLimited::Wait => Fate::Waits(Deferral { until, problem }),
        })
    }

    /// Interrupted between storing the intent and storing the draft: there may be a draft already.
    async fn draft(&mut self, row: OutboundRow) -> Step<Fate> {
        for draft in self.pass.gmail.drafts().await? {
            let metadata = match self.pass.gmail.metadata(&draft.message.id).await {
                Ok(metadata) => metadata,
                Err(GmailError::Gone) => continue,
                Err(error) => return Err(error.into()),
            };
            if metadata.summary.internal_date + DRAFT_AGE < row.at {
                // Drafts come newest first: what is older than the intent is not its draft.
                break;
            }
            if is_named(&Envelope::from_headers(&metadata.headers()), &row.message_id) {
                let (row, ids) = self.drafted(row, draft).await?;
                return self.send_if_allowed(row, ids).await;
            }
        }
        // The day may have filled up meanwhile.
        match self.over_limit() {
            None => {}
            Some(Fate::Settled(OutboundOutcome::Failed(problem))) => {
                return self.fail(row, problem, None).await;
            }
            Some(waits) => return Ok(waits),
        }
        match compose(self.pass, self.outbound, &row).await? {
            Ok(composition) => self.upload(row, composition).await,
            Err(problem) => self.fail(row, problem, None).await,
        }
    }

    async fn upload(&mut self, row: OutboundRow, composition: Composition) -> Step<Fate> {
        let attachment_ids: Vec<String> = self
            .outbound
            .attachments
            .iter()
            .map(|attachment| attachment.id.clone())
            .collect();
        let boundary = random_text(self.pass);
        let mut thread_id = composition.thread_id.as_deref();
        let draft = loop {
            let upload = Upload {
                message: &composition.message,
                thread_id,
                outbound_id: &self.outbound.id,
                attachment_ids: &attachment_ids,
                boundary: &boundary,
            };
            match self.pass.gmail.create_draft(&upload).await {
                Ok(draft) => break draft,
                // The thread is gone from the mailbox: the message starts one of its own.
                Err(UploadError::Gmail(GmailError::Gone)) if thread_id.is_some() => thread_id = None,
                Err(UploadError::Gmail(GmailError::Refused { message, .. })) => {
                    return self.fail(row, Problem::MessageRefused(message), None).await;
                }
                Err(UploadError::Gmail(GmailError::TooLarge)) => {
                    let size = composition.message.size();
                    let limit = s21_limits::LARGEST_MESSAGE;
                    let excess = SizeExcess { size, limit };
                    return self.fail(row, Problem::TooLarge(excess), None).await;
                }
                Err(UploadError::Gmail(error)) => return Err(error.into()),
                Err(UploadError::Attachment(error)) => return Err(error.into()),
            }
        };
        let (row, ids) = self.drafted(row, draft).await?;
        self.dispatch(row, ids).await
    }

    /// Stores the draft before it is sent: from here on Gmail knows what became of it.
    async fn drafted(&mut self, row: OutboundRow, draft: Draft) -> Step<(OutboundRow, DraftIds)> {
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
        let mark = ledger::mark(intent_key(&self.outbound.id));
        let drafted = ledger::put(outbound_key(&self.outbound.id), &row)?;
        if !self.pass.settings.has(Mutation::DraftNotStored) {
            self.pass.commit(vec![drafted, mark]).await?;
        }
        Ok((row, ids))
    }

    /// After an interruption or an unclear failure: what does Gmail say?
    async fn resolve(&mut self, row: OutboundRow, ids: DraftIds) -> Step<Fate> {
        if self.pass.gmail.draft(&ids.draft).await?.is_some() {
            return self.send_if_allowed(row, ids).await;
        }
        self.find_sent(row, ids).await
    }

    /// Sends a draft that was not sent before. The day may have filled up meanwhile.
    async fn send_if_allowed(&mut self, row: OutboundRow, ids: DraftIds) -> Step<Fate> {
        match self.over_limit() {
            None => self.dispatch(row, ids).await,
            Some(Fate::Settled(OutboundOutcome::Failed(problem))) => {
                self.fail(row, problem, Some(ids.draft)).await
            }
            Some(waits) => Ok(waits),
        }
    }

    /// Sends a draft that exists.
    async fn dispatch(&mut self, row: OutboundRow, ids: DraftIds) -> Step<Fate> {
        // Before anybody can see the mail in Sent (S32). Whoever keeps the contact, the mail goes.
        sharing::claim(self.pass, &row.claims).await?;
        for _ in 0..TRIES {
            match self.pass.gmail.send_draft(&ids.draft).await {
                Ok(summary) => return self.sent(row, &summary).await,
                Err(GmailError::Gone) => return self.find_sent(row, ids).await,
                Err(GmailError::Refused { message, .. }) => {
                    let problem = Problem::MessageRefused(message);
                    return self.fail(row, problem, Some(ids.draft)).await;
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
                    self.pass.host.sleep(SETTLE).await;
                    // A draft is used up by being sent, so the one that is still there was not.
                    if self.pass.gmail.draft(&ids.draft).await?.is_none() {
                        return self.find_sent(row, ids).await;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        let until = self.pass.host.now() + 30_000;
        let problem =
            Problem::ProviderUnavailable("sending was not answered; the message is still a draft".to_owned());
        Ok(Fate::Waits(Deferral { until, problem }))
    }

    /// The draft is gone, so it was sent, or somebody deleted it: look for it in its thread, then among the
    /// newest sent messages.
    async fn find_sent(&mut self, row: OutboundRow, ids: DraftIds) -> Step<Fate> {
        if self.pass.settings.has(Mutation::ResentWhenUnclear) {
            return Box::pin(self.draft(row)).await;
        }
        let thread = self.pass.gmail.thread(&ids.thread).await?;
        let mut found = find_in(self.pass, &row, &ids, thread).await?;
        if found.is_none() {
            for message in self.pass.gmail.list_sent().await?.messages.iter().take(LOOKED_AT) {
                match self.pass.gmail.metadata(&message.id).await {
                    Ok(metadata) => found = find_in(self.pass, &row, &ids, vec![metadata]).await?,
                    Err(GmailError::Gone) => {}
                    Err(error) => return Err(error.into()),
                }
                if found.is_some() {
                    break;
                }
            }
        }
        if let Some(summary) = found {
            return self.sent(row, &summary).await;
        }
        self.unclear(row, ids).await
    }

    /// Neither sending nor the opposite can be established, yet or for good.
    async fn unclear(&mut self, row: OutboundRow, ids: DraftIds) -> Step<Fate> {
        let now = self.pass.host.now();
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
        self.pass
            .commit(vec![ledger::put(
                outbound_key(&self.outbound.id),
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
    async fn sent(&mut self, row: OutboundRow, summary: &Summary) -> Step<Fate> {
        let at = if summary.internal_date == 0 {
            self.pass.host.now()
        } else {
            summary.internal_date
        };
        let ids = SentIds {
            message: summary.id.clone(),
            thread: summary.thread_id.clone(),
            at,
        };
        let mut changes = settled(self.pass, &self.outbound.id, row, &ids)?;
        let ledger_row = ledger_row(self.pass, &self.outbound.contact_id, None, &ids);
        changes.push(ledger::put(ledger_key(&ids.message), &ledger_row)?);
        changes.push(ledger::mark(sent_key(at, &ids.message)));
        self.pass.commit(changes).await?;
        self.day.sent.push(at);
        Ok(Fate::Settled(read_back(self.pass, &ids).await?))
    }

    /// Fails for good. Stored before its draft is taken away: a draft that is gone means "sent" in any
    /// other state.
    async fn fail(&mut self, row: OutboundRow, problem: Problem, draft: Option<String>) -> Step<Fate> {
        let refused = Refused {
            reason: reason(&problem),
            draft: draft.clone(),
        };
        let row = OutboundRow {
            state: OutboundState::Failed(refused),
            ..row
        };
        let intent = ledger::remove(intent_key(&self.outbound.id));
        self.pass
            .commit(vec![ledger::put(outbound_key(&self.outbound.id), &row)?, intent])
            .await?;
        if let Some(draft) = draft {
            self.pass.gmail.delete_draft(&draft).await?;
        }
        Ok(failed(problem))
    }

    /// It failed before, and the CRM did not hear of it.
    async fn refused(&mut self, refused: Refused) -> Step<Fate> {
        if let Some(draft) = refused.draft {
            self.pass.gmail.delete_draft(&draft).await?;
        }
        Ok(failed(Problem::MessageRefused(refused.reason)))
    }
}

/// 32 random letters and digits.
fn random_text<H: Host>(pass: &Pass<'_, H>) -> String {
    pass.host.bytes(16).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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
    while let Some(summary) = take_latest(&mut alike) {
        let known = ledger::read::<LedgerRow>(pass.host, &ledger_key(&summary.id)).await?;
        if known.is_none() {
            return Ok(Some(summary));
        }
    }
    Ok(None)
}

fn take_latest(messages: &mut Vec<Summary>) -> Option<Summary> {
    let latest = messages
        .iter()
        .enumerate()
        .max_by_key(|(_, message)| message.internal_date)?;
    let place = latest.0;
    Some(messages.remove(place))
}
