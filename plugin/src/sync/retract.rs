//! T06: what the rules no longer allow leaves the CRM. Row by row of the ledger, so many in a pass; how far it came is in
//! the connection's row, and commits together with what became of the messages. To do a part of it again changes nothing.
//! Where Gmail stops the reading in the middle of a part (its quota may be smaller than a part needs), what was read until
//! then is done and committed, so that every pass gets further.
//!
//! Who is in a message, its headers say: nobody else keeps that. Of a message that the mailbox has no more, the sender and
//! the contact's address are what is left to go by; of mail that came to the BCC address (S18) its own row has everybody.
//! Mail that was written in the CRM stays (S20).

use super::{Pass, Step, claims, matching::Matching, retraction, run::Progress};
use crate::{
    contract::{Change, Class, Problem, Trigger},
    gmail::{GmailError, Summary, label},
    ledger::{
        self, BCC, ConnectionRow, Fate, LEDGER, LedgerRow, VERSION, held_key, row_key, storage_problem,
        thread_key,
    },
    mail::{Envelope, Mailbox},
    ports::Host,
    rules::{Contacts, Inputs, Rule, input, name_and_value, s11_sent},
};

/// Name of the input that says whose conversation a message was taken out of.
const RETRACTED_FROM: &str = "retracted-from";
/// Rows looked at in one pass. One that needs a look at its message's headers costs 20 units.
const PER_PASS: u32 = 200;

/// Notes that it is to be done, if that is what the pass is for.
pub(super) async fn begin<H: Host>(pass: &mut Pass<'_, H>, trigger: &Trigger) -> Step {
    if *trigger != Trigger::Retract {
        return Ok(());
    }
    if !pass.features().edit_after_log {
        return Err(Problem::Other("this CRM cannot take messages out again".to_owned()).into());
    }
    let connection = ConnectionRow {
        retract: Some(String::new()),
        ..pass.connection.clone()
    };
    Ok(pass.commit_connection(connection, Vec::new()).await?)
}

/// Does the next part of it, if it is under way.
pub(super) async fn go_on<H: Host>(pass: &mut Pass<'_, H>) -> Step<Progress> {
    let Some(after) = pass.connection.retract.clone() else {
        return Ok(Progress::Complete);
    };
    pass.gmail.set_class(Class::Audit);
    let page = page(pass, after).await?;
    let candidates = page.rows.into_iter().filter(|(_, row)| may_be_retracted(row));
    let (messages, stopped) = read(pass, candidates.collect()).await;
    let next = match (&stopped, messages.last()) {
        (None, _) => page.next,
        (Some(_), Some(last)) => Some(row_key(&last.id)),
        (Some(_), None) => pass.connection.retract.clone(),
    };
    let mut matching = Matching::of(pass);
    let read = messages
        .iter()
        .map(|message| (&message.summary, &message.envelope));
    matching.learn(pass, &read.collect::<Vec<_>>()).await?;
    let (mut updates, mut changes) = (Vec::new(), Vec::new());
    for Found {
        id,
        row,
        summary,
        envelope,
    } in messages
    {
        let Fate::Delivered(delivered) = &row.fate else {
            continue;
        };
        let contact = matching.contacts.with_id(&delivered.contact);
        let Some(mut inputs) = matching.privacy.bars(&envelope, &matching.own, contact) else {
            continue;
        };
        inputs.push(input(RETRACTED_FROM, &delivered.contact));
        let key = pass.key_of(&id, delivered);
        let contacts = &matching.contacts;
        if !id.starts_with(BCC) {
            if s11_sent::is_sent(&summary.label_ids) {
                // Its copies do not say to whom it went by Bcc.
                for (copy, row) in claims::rows_at_address(pass, &envelope, &key).await? {
                    changes.extend(take_out(pass, contacts, &copy, row, inputs.clone())?);
                }
            }
            updates.push(retraction(key));
        } else if !is_told_of_its_copy(pass, &key).await? {
            updates.push(retraction(key));
        }
        changes.extend(take_out(pass, contacts, &id, row, inputs)?);
    }
    let told = pass.tell_crm(updates).await?;
    pass.count(|counts| counts.retracted += told);
    let connection = ConnectionRow {
        retract: next.clone(),
        ..pass.connection.clone()
    };
    pass.commit_connection(connection, changes).await?;
    if let Some(error) = stopped {
        return Err(error.into());
    }
    pass.gmail.set_class(Class::Live);
    Ok(if next.is_some() {
        Progress::More
    } else {
        Progress::Complete
    })
}

/// The next rows of the ledger, and after them those of what came to the BCC address, each with what [`row_key`] takes.
async fn page<H: Host>(pass: &Pass<'_, H>, after: String) -> Step<ledger::Rows<LedgerRow>> {
    let prefix = if after.starts_with(BCC) { BCC } else { LEDGER };
    let after = (!after.is_empty()).then_some(after);
    let mut page = ledger::page::<LedgerRow>(pass.host, prefix, after, PER_PASS).await?;
    if prefix == BCC {
        for (id, _) in &mut page.rows {
            *id = format!("{BCC}{id}");
        }
    } else if page.next.is_none() {
        let first = pass.host.scan(BCC, None, 1).await.map_err(storage_problem)?;
        page.next = (!first.entries.is_empty()).then(|| BCC.to_owned());
    }
    Ok(page)
}

/// Whether the copy in the mailbox of what has this key was taken out, and the CRM was told.
async fn is_told_of_its_copy<H: Host>(pass: &Pass<'_, H>, key: &str) -> Step<bool> {
    let Some(id) = claims::id_of(pass, key).await? else {
        return Ok(false);
    };
    let row = ledger::rows_of(pass.host, [&id]).await?.pop().flatten();
    // One that was kept out from the beginning was never told of under this key.
    Ok(row.is_some_and(|row| {
        row.inputs
            .iter()
            .any(|input| name_and_value(input).0 == RETRACTED_FROM)
    }))
}

fn may_be_retracted(row: &LedgerRow) -> bool {
    matches!(&row.fate, Fate::Delivered(delivered) if delivered.rule != Rule::S20)
}

/// What is written of a message that leaves the CRM; its id is what [`row_key`] takes.
pub(super) fn take_out<H: Host>(
    pass: &Pass<'_, H>,
    contacts: &Contacts,
    id: &str,
    row: LedgerRow,
    inputs: Inputs,
) -> Step<Vec<Change>> {
    let mut changes = Vec::new();
    let known = matched(&row).and_then(|address| contacts.known(address));
    changes.extend(known.map(|(key, _)| ledger::remove(held_key(key, id))));
    // Its thread's row has its subject.
    changes.extend((!row.thread.is_empty()).then(|| ledger::remove(thread_key(&row.thread))));
    let row = LedgerRow {
        fate: Fate::Excluded(Rule::T06),
        people: Vec::new(),
        inputs,
        decided_at: pass.host.now(),
        version: VERSION.to_owned(),
        ..row
    };
    changes.push(ledger::put(row_key(id), &row)?);
    Ok(changes)
}

/// A message of the CRM and who is in it.
struct Found {
    id: String,
    row: LedgerRow,
    summary: Summary,
    envelope: Envelope,
}

/// The messages of these rows up to the first that Gmail does not tell of now, and why it does not.
async fn read<H: Host>(
    pass: &Pass<'_, H>,
    rows: Vec<(String, LedgerRow)>,
) -> (Vec<Found>, Option<GmailError>) {
    let mut ids: Vec<&str> = rows.iter().map(|(id, _)| id.as_str()).collect();
    // All of one page, or none.
    ids.retain(|id| !id.starts_with(BCC));
    let mut answers = pass.gmail.metadata_of(&ids).await.into_iter();
    let mut found = Vec::with_capacity(rows.len());
    for (id, row) in rows {
        let (summary, envelope) = match answers.next().unwrap_or(Err(GmailError::Gone)) {
            Ok(metadata) => {
                let mut envelope = Envelope::from_headers(&metadata.headers());
                pass.hide(&mut envelope);
                (metadata.summary, envelope)
            }
            Err(GmailError::Gone | GmailError::Refused { .. }) => what_is_left(&row),
            Err(error) => return (found, Some(error)),
        };
        found.push(Found {
            id,
            row,
            summary,
            envelope,
        });
    }
    (found, None)
}

/// The address by which its contact was found.
fn matched(row: &LedgerRow) -> Option<&str> {
    let mut inputs = row.inputs.iter().map(|input| name_and_value(input));
    inputs
        .find(|(name, _)| *name == "address")
        .map(|(_, address)| address)
}

/// What the ledger knows of the people in a message.
fn what_is_left(row: &LedgerRow) -> (Summary, Envelope) {
    let mut to: Vec<Mailbox> = row.people.iter().map(Mailbox::bare).collect();
    let mut cc = Vec::new();
    if to.is_empty() {
        to.extend(matched(row).map(Mailbox::bare));
        // Who else was in it nobody knows any more: a stranger keeps it from being called internal.
        cc.push(Mailbox::bare(String::new()));
    }
    let envelope = Envelope {
        sender: row.sender.clone().map(Mailbox::bare),
        to,
        cc,
        ..Envelope::default()
    };
    // Its recipients count as well as its sender: all of them are asked for.
    let summary = Summary {
        label_ids: vec![label::SENT.to_owned()],
        ..Summary::default()
    };
    (summary, envelope)
}
