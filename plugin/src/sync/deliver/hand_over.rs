//! What belongs here, fetched and given to the CRM.

use futures_util::{StreamExt, stream};

use super::{
    StoppedAt, Wanted,
    attachments::put_attachments,
    rows::{Rows, row},
};
use crate::{
    contract::{Direction, Message, Problem, PutOutcome},
    gmail::{Gmail, GmailError, RawMessage, Summary},
    ledger::{Fate, Told},
    mail::{self, Parsed},
    mutation::Mutation,
    ports::Host,
    rules::{
        s17_both_ways::bits,
        s19_attachments::{Fetch, RAW_LIMIT, answer_limit, fetch},
    },
    sync::{
        Pass, Step, Stop,
        claims::{self, Copy},
        message::{flags, message},
        update,
    },
};

/// Fetches what is not read yet and gives it to the CRM: the small ones together, each large one by
/// itself.
pub(super) async fn hand_over<H: Host>(
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
pub(super) struct Ready {
    pub(super) wanted: Wanted,
    pub(super) parsed: Parsed,
    /// Under which the CRM is given it.
    pub(super) key: String,
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
    Ok(parsed.map(|mut parsed| {
        pass.hide(&mut parsed.envelope);
        let key = pass.message_key(&wanted.summary.id);
        Ready { wanted, parsed, key }
    }))
}

async fn put<H: Host>(pass: &Pass<'_, H>, mut ready: Vec<Ready>, rows: &mut Rows) -> Result<(), StoppedAt> {
    if ready.is_empty() {
        return Ok(());
    }
    let at = |id: &str, stop: Stop| StoppedAt {
        id: id.to_owned(),
        stop,
        is_unanswered: false,
    };
    let first = ready[0].wanted.summary.id.clone();
    claim(pass, &mut ready).await.map_err(|stop| at(&first, stop))?;
    let messages = ready.iter().map(|ready| Message {
        key: ready.key.clone(),
        ..message(pass, &ready.wanted.summary, &ready.parsed, &ready.wanted.delivery)
    });
    let outcomes = put_messages(pass, messages.collect())
        .await
        .map_err(|stop| at(&first, stop))?;
    update_known(pass, &ready, &outcomes)
        .await
        .map_err(|stop| at(&first, stop))?;
    let told_at = pass.host.now();
    for (ready, outcome) in ready.into_iter().zip(outcomes) {
        let Summary { id, thread_id, .. } = ready.wanted.summary.clone();
        match outcome {
            PutOutcome::Stored(_) | PutOutcome::Already(_) => {
                let left_out = put_attachments(pass, &id, &ready.key, &ready.parsed.attachments, &[]).await?;
                // What was done to one that was there is not undone by what the CRM was told just now.
                let told = matches!(outcome, PutOutcome::Already(_)).then(|| Told {
                    at: told_at,
                    before: bits(flags(&ready.wanted.summary.label_ids)),
                });
                rows.deliver(pass, &ready, left_out, told);
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

/// What the user sent may come to the BCC address too: both copies have one key (S18).
async fn claim<H: Host>(pass: &Pass<'_, H>, ready: &mut [Ready]) -> Step {
    if pass.settings.bcc_address.is_none() {
        return Ok(());
    }
    let is_sent = |ready: &&mut Ready| ready.wanted.delivery.direction == Direction::Outbound;
    let mut sent: Vec<&mut Ready> = ready.iter_mut().filter(is_sent).collect();
    let copies: Vec<Copy<'_>> = sent
        .iter()
        .map(|ready| Copy {
            mail: &ready.parsed,
            place: Some((
                ready.wanted.summary.id.clone(),
                ready.wanted.summary.thread_id.clone(),
            )),
        })
        .collect();
    let claims = claims::settle(pass, &copies).await?;
    for (ready, claim) in sent.iter_mut().zip(claims) {
        if let Some(claim) = claim {
            ready.key = claim.key;
        }
    }
    Ok(())
}

/// What the CRM had already may have been read or starred since it was put.
async fn update_known<H: Host>(pass: &Pass<'_, H>, ready: &[Ready], outcomes: &[PutOutcome]) -> Step {
    let known = ready
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| matches!(outcome, PutOutcome::Already(_)));
    let updates =
        known.map(|(ready, _)| update(ready.key.clone(), Some(flags(&ready.wanted.summary.label_ids))));
    pass.tell_crm(updates.collect()).await?;
    Ok(())
}

/// Puts messages. One whose outcome is unknown is looked for before it is put again, once.
pub(in crate::sync) async fn put_messages<H: Host>(
    pass: &Pass<'_, H>,
    messages: Vec<Message>,
) -> Step<Vec<PutOutcome>> {
    if pass.features().server_idempotency || pass.settings.has(Mutation::PageAppliedTwice) {
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
