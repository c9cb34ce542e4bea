//! A first look at candidates: labels are free, headers cost a request, bodies wait for a decision.

use futures_util::{StreamExt, stream};

use super::{Candidate, Known, StoppedAt};
use crate::{
    gmail::{GmailError, RawMessage, Summary},
    ledger::ThreadRow,
    mail::{self, Envelope, Parsed},
    mutation::Mutation,
    ports::Host,
    rules::{
        self, Rule, exclude_early,
        s19_attachments::{SMALL_LIMIT, answer_limit},
    },
    sync::Pass,
};

/// Passes that may end on one message before it is quarantined.
const PATIENCE: u32 = 3;

/// A candidate and what a look at it brought.
pub(super) struct Looked {
    pub(super) id: String,
    pub(super) thread: String,
    pub(super) look: Look,
}

/// What a look at a candidate brought.
pub(super) enum Look {
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
pub(super) struct Reading {
    pub(super) summary: Summary,
    pub(super) envelope: Envelope,
    pub(super) parsed: Option<Parsed>,
    pub(super) standing: Standing,
}

/// Whether the CRM has a message already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not that anything says so.
    New,
    /// It has: what its labels say now does not keep it out.
    InCrm,
}

pub(super) async fn look_at<H: Host>(
    pass: &Pass<'_, H>,
    group: &[Candidate],
    threads: &[(String, Option<ThreadRow>)],
) -> (Vec<Looked>, Option<StoppedAt>) {
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
            Ok(look) => found.push(Looked {
                id: candidate.id.clone(),
                thread: candidate.thread.clone(),
                look,
            }),
            Err(_) if pass.settings.has(Mutation::RowDroppedOnError) => {}
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
        Err(GmailError::Unavailable { .. }) if pass.settings.has(Mutation::OutageQuarantines) => {
            Ok(Look::Unreadable("Gmail did not answer".to_owned()))
        }
        result => result,
    }
}

/// A known thread costs one request, an unknown one headers first (S10: no body of a stranger's mail; T06: nor of
/// anybody's of whom nothing is to be synced).
async fn read<H: Host>(pass: &Pass<'_, H>, id: &str, is_known_thread: bool) -> Result<Look, GmailError> {
    if is_known_thread
        && pass.settings.never_sync.is_empty()
        && let RawMessage::Whole { summary, raw } = pass.gmail.raw(id, answer_limit(SMALL_LIMIT)).await?
    {
        return Ok(match exclude_early(&summary, pass.since()) {
            Some(rule) => Look::Excluded(rule, summary),
            None => parsed(summary, mail::parse(&raw)),
        });
    }
    let metadata = pass.gmail.metadata(id).await?;
    let envelope = Envelope::from_headers(&metadata.headers());
    let summary = metadata.summary;
    Ok(match exclude_early(&summary, pass.since()) {
        Some(rule) => Look::Excluded(rule, summary),
        None => Look::Read(Box::new(Reading {
            summary,
            envelope,
            parsed: None,
            standing: Standing::New,
        })),
    })
}

fn parsed(summary: Summary, result: Result<Parsed, mail::ParseError>) -> Look {
    match result {
        Ok(parsed) => Look::Read(Box::new(Reading {
            summary,
            envelope: parsed.envelope.clone(),
            parsed: Some(parsed),
            standing: Standing::New,
        })),
        Err(error) => Look::Unreadable(error.to_string()),
    }
}
