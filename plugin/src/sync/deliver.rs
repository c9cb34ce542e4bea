//! From candidates to ledger rows: look (headers first where the thread is unknown), decide, fetch what
//! belongs here, hand it to the CRM, commit. Group by group, so that memory stays bounded and an
//! interrupted pass keeps what it did.

mod attachments;
mod hand_over;
mod in_crm;
mod look;
mod notice;
mod rows;

pub(super) use attachments::put_attachments;
pub(super) use hand_over::put_messages;
pub(super) use notice::look_again as look_for_noticed;

use super::{
    Pass, Step, Stop, claims, correction, matching::Matching, message::Delivery, retract::take_out, sending,
    set_of, sharing::View,
};
use crate::{
    contract::MessageUpdate,
    gmail::{GmailError, Summary},
    ledger::{self, ConnectionRow, Fate, LedgerRow, Stuck, ThreadRow, thread_key},
    mail::{Envelope, Parsed},
    ports::Host,
    rules::{self, Decision, Inputs, Rule, s11_sent},
};
use hand_over::hand_over;
use look::{Look, Looked, Reading, Standing, look_at};
use notice::{Report, take_reports};
use rows::{Rows, row};

/// Messages looked at together. Where a mailbox's minute has few units left, what was looked at has to leave some to fetch
/// what belongs here, or no pass would ever get further.
const GROUP: usize = 16;

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

/// Delivers candidates, group by group, each group committed.
pub(super) async fn deliver<H: Host>(pass: &mut Pass<'_, H>, candidates: Vec<Candidate>) -> Step {
    let mut matching = Matching::of(pass);
    for group in candidates.chunks(GROUP) {
        deliver_group(pass, group, &mut matching).await?;
    }
    Ok(())
}

async fn deliver_group<H: Host>(
    pass: &mut Pass<'_, H>,
    group: &[Candidate],
    matching: &mut Matching,
) -> Step {
    let threads = known_threads(pass, group).await?;
    let (looks, mut stop) = look_at(pass, group, &threads).await;
    let looks = in_crm::look_again(pass, looks).await?;
    let mut rows = Rows {
        threads,
        ..Rows::default()
    };
    let looks = without_bcc_addresses(pass, looks);
    let read = looks.iter().filter_map(|looked| match &looked.look {
        Look::Read(reading) => Some((&reading.summary, &reading.envelope)),
        _ => None,
    });
    matching.learn(pass, &read.collect::<Vec<_>>()).await?;
    let view = View::of(pass, &matching.met).await?;
    let decided = decide(pass, looks, matching, &view, &mut rows).await?;
    let mut handed_over = hand_over(pass, decided, &mut rows).await;
    if handed_over.is_ok() && stop.is_none() {
        handed_over = take_reports(pass, &mut rows).await;
    }
    if let Err(stopped) = handed_over {
        stop = stop.or(Some(stopped));
    }
    let releasing = view.releasing(pass, &rows.contacts).await?;
    rows.more.extend(releasing);
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

/// What was read, BCC addresses taken out of the lists of recipients (S18).
fn without_bcc_addresses<H: Host>(pass: &Pass<'_, H>, mut looks: Vec<Looked>) -> Vec<Looked> {
    for looked in &mut looks {
        if let Look::Read(reading) = &mut looked.look {
            pass.hide(&mut reading.envelope);
            if let Some(parsed) = &mut reading.parsed {
                pass.hide(&mut parsed.envelope);
            }
        }
    }
    looks
}

/// A stop and the message it happened on.
pub(super) struct StoppedAt {
    id: String,
    pub(super) stop: Stop,
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
    let ids = set_of(group.iter().map(|candidate| candidate.thread.as_str()));
    let keys = ids.iter().map(|id| thread_key(id)).collect();
    let rows = ledger::read_many::<ThreadRow>(pass.host, keys).await?;
    Ok(ids
        .into_iter()
        .zip(rows)
        .map(|(id, row)| (id.to_owned(), row.map(|(row, _)| row)))
        .collect())
}

/// A message that belongs here.
struct Wanted {
    summary: Summary,
    envelope: Envelope,
    parsed: Option<Parsed>,
    delivery: Delivery,
}

/// What a message that T06 keeps out may be in the CRM under, its copies included. A copy that came or comes to the BCC
/// address does not say to whom the mail went by Bcc: what this one says keeps that one out as well, whichever is first
/// (S18).
async fn bar<H: Host>(
    pass: &Pass<'_, H>,
    summary: &Summary,
    envelope: &Envelope,
    inputs: &Inputs,
) -> Step<Vec<String>> {
    let mut keys = claims::keys(pass, &[&summary.id]).await?;
    // Without a Message-ID only the whole text says which copies are one.
    let names_blind_people = !envelope.bcc.is_empty() && envelope.message_id.is_some();
    if pass.settings.bcc_address.is_some() && names_blind_people && s11_sent::is_sent(&summary.label_ids) {
        let mail = Parsed {
            envelope: envelope.clone(),
            ..Parsed::default()
        };
        let place = (summary.id.clone(), summary.thread_id.clone());
        for key in claims::bar(pass, &mail, &place, inputs).await? {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// What the CRM is told of a message that this rule keeps out, as it may be there. The rows of its copies are to be
/// committed.
async fn corrections<H: Host>(
    pass: &Pass<'_, H>,
    matching: &Matching,
    (summary, envelope): (&Summary, &Envelope),
    (rule, inputs): (Rule, &Inputs),
    rows: &mut Rows,
) -> Step<Vec<MessageUpdate>> {
    let Some(correction) = correction(rule) else {
        return Ok(Vec::new());
    };
    let keys = if rule == Rule::T06 {
        bar(pass, summary, envelope, inputs).await?
    } else {
        claims::keys(pass, &[&summary.id]).await?
    };
    let may_have_copies = rule == Rule::T06 && s11_sent::is_sent(&summary.label_ids);
    if may_have_copies && pass.features().edit_after_log {
        for key in &keys {
            for (id, row) in claims::rows_at_address(pass, envelope, key).await? {
                let out = take_out(pass, &matching.contacts, &id, row, inputs.clone())?;
                rows.more.extend(out);
            }
        }
    }
    Ok(keys.into_iter().map(correction).collect())
}

async fn decide<H: Host>(
    pass: &Pass<'_, H>,
    looks: Vec<Looked>,
    matching: &Matching,
    view: &View,
    rows: &mut Rows,
) -> Step<Vec<Wanted>> {
    let contacts = &matching.contacts;
    let mut barred = Vec::new();
    let mut wanted = Vec::new();
    for Looked { id, thread, look } in looks {
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
                    standing,
                } = *reading;
                rows.note_sent(&summary);
                // A message the CRM meant to send is that message, however it got sent (S23).
                if let Some(found) = sending::found_in_mailbox(pass, &summary, &envelope).await? {
                    rows.more.extend(found.changes);
                    rows.settle(pass, &id, found.row);
                    continue;
                }
                let evidence = matching.evidence(&summary, &envelope);
                let decision = match standing {
                    Standing::New => view.shared(rules::decide(&evidence, contacts), &evidence),
                    Standing::InCrm => rules::whose(&evidence, contacts),
                };
                if envelope.is_report && standing == Standing::New && !s11_sent::is_sent(&summary.label_ids) {
                    let reading = Reading {
                        summary,
                        envelope,
                        parsed,
                        standing,
                    };
                    rows.reports.push(Report { reading, decision });
                    continue;
                }
                match decision {
                    Decision::Exclude(rule, inputs) => {
                        let (message, why) = ((&summary, &envelope), (rule, &inputs));
                        barred.extend(corrections(pass, matching, message, why, rows).await?);
                        rows.exclude(pass, &summary, &envelope, rule, inputs);
                    }
                    Decision::Deliver {
                        contact,
                        address,
                        direction,
                        rule,
                        inputs,
                    } => {
                        let delivery = Delivery {
                            contact,
                            address,
                            direction,
                            rule,
                            inputs,
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
    pass.tell_crm(barred).await?;
    Ok(wanted)
}
