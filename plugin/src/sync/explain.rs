//! T02: which rule decided, and on what. T06: what the rules would decide, as a dry run. Headers alone are read, and
//! nothing is written.

use super::{Pass, Step, crm_problem, matching::Matching, sharing::View};
use crate::{
    contract::{Class, Explanation, Field, Outcome, PreviewRange, Problem, Subject},
    gmail::{Folders, GmailError, MessageRef, Metadata},
    ledger::{
        self, BCC, CONNECTION, Conflict, ConnectionRow, Fate, LEDGER, LedgerRow, QUARANTINE, VERSION, bcc_key,
    },
    mail::{Envelope, message_ids, normalise},
    ports::Host,
    rules::{
        self, Contacts, Decision, Inputs, Rule, input, name_and_value, s04_no_past_mail::is_past,
        s17_both_ways::from_bits,
    },
    settings,
};

/// The most messages of one contact that are explained.
const MOST: usize = 500;
/// The most messages of one dry run, at 20 units each.
const MOST_PREVIEWED: u32 = 500;

/// Explains a message, all of a contact, all that is quarantined, or what would become of mail.
pub async fn explain<H: Host>(
    host: &H,
    subject: Subject,
    settings: &str,
) -> Result<Vec<Explanation>, Problem> {
    let Some((connection, _)) = ledger::read::<ConnectionRow>(host, CONNECTION).await? else {
        return Err(Problem::NotConnected);
    };
    let pass = match Pass::load(host, settings::require(settings)?).await {
        Ok(pass) => Some(pass),
        // The ledger of a connection that was ended still tells what it did.
        Err(Problem::NotConnected) => None,
        Err(problem) => return Err(problem),
    };
    if let Some(pass) = &pass {
        pass.gmail.set_class(Class::Audit);
    }
    let explained = match (subject, &pass) {
        (Subject::Message(id), _) => by_ids(host, pass.as_ref(), &connection, vec![id]).await,
        (Subject::MessageId(message_id), _) => {
            let ids = with_message_id(host, pass.as_ref(), &message_id).await;
            match ids {
                Ok(ids) => by_ids(host, pass.as_ref(), &connection, ids).await,
                Err(stop) => Err(stop),
            }
        }
        (Subject::Quarantined, _) => Ok(quarantined(host, &connection).await?),
        (Subject::Contact(address), _) => Ok(of_contact(host, &connection, address).await?),
        (Subject::Preview(range), Some(pass)) => preview(pass, range).await,
        (Subject::Preview(_), None) => return Err(Problem::NotConnected),
    };
    explained.map_err(|stop| stop.problem)
}

/// These messages: from the ledger, and from the mailbox what the ledger lacks.
async fn by_ids<H: Host>(
    host: &H,
    pass: Option<&Pass<'_, H>>,
    connection: &ConnectionRow,
    ids: Vec<String>,
) -> Step<Vec<Explanation>> {
    let rows = ledger::rows_of(host, &ids).await?;
    let mut explained = Vec::with_capacity(ids.len());
    for (id, row) in ids.into_iter().zip(rows) {
        // Mail that came to the BCC address alone has a row of its own (S18).
        let row = match row {
            Some(row) => Some(row),
            None => ledger::read(host, &bcc_key(&id)).await?.map(|(row, _)| row),
        };
        match (row, pass) {
            (Some(row), _) => explained.push(explanation(&id, &row, connection)),
            (None, Some(pass)) => explained.extend(unseen(pass, &id).await?),
            (None, None) => {}
        }
    }
    Ok(explained)
}

/// A message without a row, if the mailbox has it: missing, unless it is past mail, which needs no row.
async fn unseen<H: Host>(pass: &Pass<'_, H>, id: &str) -> Step<Option<Explanation>> {
    let mut metadata = match pass.gmail.metadata(id).await {
        Ok(metadata) => metadata,
        // Not there, or no id of Gmail's.
        Err(GmailError::Gone | GmailError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if is_past(metadata.summary.internal_date, pass.connection.since) {
        // S04 comes before whatever its labels say.
        metadata.summary.label_ids.clear();
    }
    let mut matching = Matching::of(pass);
    let mut foreseen = foresee(pass, &mut matching, vec![metadata]).await?;
    let Some(mut explanation) = foreseen.pop() else {
        return Ok(None);
    };
    let would_be = match &explanation.outcome {
        Outcome::Excluded(rule) if *rule == Rule::S04.name() => return Ok(Some(explanation)),
        Outcome::Delivered(contact) => format!("delivered to {contact}"),
        _ => format!("excluded by {}", explanation.rule),
    };
    explanation.inputs.push(field("would-be", &would_be));
    explanation.outcome = Outcome::Missing;
    Ok(Some(explanation))
}

/// The ids of the messages with a Message-ID: as Gmail finds them, and as the ledger remembers what is gone.
async fn with_message_id<H: Host>(
    host: &H,
    pass: Option<&Pass<'_, H>>,
    message_id: &str,
) -> Step<Vec<String>> {
    let Some(wanted) = message_ids(message_id).into_iter().next() else {
        return Ok(Vec::new());
    };
    let searched = match pass {
        Some(pass) => pass.gmail.with_message_id(&wanted).await,
        None => Ok(Vec::new()),
    };
    let mut ids = Vec::new();
    ids.extend(searched.iter().flatten().map(|message| message.id.clone()));
    let mut visit = |id: &str, row: LedgerRow| {
        let is_it = matches!(&row.fate, Fate::Delivered(delivered)
            if delivered.message_id.as_ref() == Some(&wanted));
        if is_it && !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    };
    for prefix in [LEDGER, BCC] {
        ledger::for_each(host, prefix, None, &mut visit).await?;
    }
    match searched {
        Err(error) if ids.is_empty() => Err(error.into()),
        _ => Ok(ids),
    }
}

/// What could not be handled, of the mailbox and of what came to the BCC address.
async fn quarantined<H: Host>(host: &H, connection: &ConnectionRow) -> Result<Vec<Explanation>, Problem> {
    let mut ids = Vec::new();
    ledger::for_each::<String>(host, QUARANTINE, None, |id, _| {
        if ids.len() < MOST {
            ids.push(id.to_owned());
        }
    })
    .await?;
    let mut explanations = Vec::new();
    for (id, row) in ids.iter().zip(ledger::rows_of(host, &ids).await?) {
        let row = row.filter(|row| matches!(row.fate, Fate::Quarantined(_)));
        explanations.extend(row.map(|row| explanation(id, &row, connection)));
    }
    ledger::for_each::<LedgerRow>(host, BCC, None, |id, row| {
        if matches!(row.fate, Fate::Quarantined(_)) {
            explanations.push(explanation(id, &row, connection));
        }
    })
    .await?;
    explanations.sort_by_key(|explanation| explanation.decided_at);
    explanations.truncate(MOST);
    Ok(explanations)
}

/// All that was delivered to the contacts with an address, and what is about the address or was kept out for its sake.
async fn of_contact<H: Host>(
    host: &H,
    connection: &ConnectionRow,
    address: String,
) -> Result<Vec<Explanation>, Problem> {
    let mut contacts = Contacts::default();
    let mut wanted = None;
    if let Some(address) = normalise(&address) {
        contacts.add(
            host.find_contacts(address.spellings())
                .await
                .map_err(crm_problem)?,
        );
        wanted = Some(address);
    }
    let owner = contacts.owner(&address);
    let ids: Vec<&str> = owner
        .iter()
        .flat_map(|owner| std::iter::once(&owner.contact.id).chain(&owner.others))
        .map(String::as_str)
        .collect();
    let is_it = |text: &str| {
        let address = normalise(text);
        address
            .zip(wanted.as_ref())
            .is_some_and(|(address, wanted)| address.is_of_mailbox(wanted) || wanted.is_of_mailbox(&address))
    };
    let mut explanations = Vec::new();
    let mut visit = |id: &str, row: LedgerRow| {
        let is_delivered = matches!(&row.fate, Fate::Delivered(delivered)
            if ids.contains(&delivered.contact.as_str()));
        let is_about = || {
            row.sender.as_deref().is_some_and(is_it)
                || row.inputs.iter().any(|input| match name_and_value(input) {
                    ("contact" | "retracted-from" | "created-later", id) => ids.contains(&id),
                    (_, value) => is_it(value),
                })
        };
        if explanations.len() < MOST && (is_delivered || is_about()) {
            explanations.push(explanation(id, &row, connection));
        }
    };
    for prefix in [LEDGER, BCC] {
        ledger::for_each(host, prefix, None, &mut visit).await?;
    }
    Ok(explanations)
}

/// The newest mail, as the rules would decide if it came now.
async fn preview<H: Host>(pass: &Pass<'_, H>, range: PreviewRange) -> Step<Vec<Explanation>> {
    let most = range.most.min(MOST_PREVIEWED) as usize;
    let mut listed: Vec<MessageRef> = Vec::new();
    let mut token: Option<String> = None;
    while listed.len() < most {
        let after = range.since / 1_000;
        let page = pass.gmail.list(after, Folders::All, token.as_deref()).await?;
        listed.extend(page.messages);
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    listed.truncate(most);
    let ids: Vec<&str> = listed.iter().map(|message| message.id.as_str()).collect();
    let mut messages = Vec::with_capacity(ids.len());
    for answer in pass.gmail.metadata_of(&ids).await {
        match answer {
            Ok(metadata) => messages.push(metadata),
            Err(GmailError::Gone) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut matching = Matching::of(pass);
    // What came before the connection shows as well as the rest what the rules do.
    matching.since = 0;
    foresee(pass, &mut matching, messages).await
}

/// What the rules would decide now; what the CRM sent is there already.
async fn foresee<H: Host>(
    pass: &Pass<'_, H>,
    matching: &mut Matching,
    messages: Vec<Metadata>,
) -> Step<Vec<Explanation>> {
    let mut read = Vec::with_capacity(messages.len());
    for metadata in messages {
        let mut envelope = Envelope::from_headers(&metadata.headers());
        pass.hide(&mut envelope);
        read.push((metadata.summary, envelope));
    }
    let known: Vec<_> = read
        .iter()
        .map(|(summary, envelope)| (summary, envelope))
        .collect();
    matching.learn(pass, &known).await?;
    let view = View::of(pass, &matching.met).await?;
    let rows = ledger::rows_of(pass.host, read.iter().map(|(summary, _)| &summary.id)).await?;
    let mut explanations = Vec::with_capacity(read.len());
    for ((summary, envelope), row) in read.into_iter().zip(rows) {
        let row = row.filter(|row| matches!(&row.fate, Fate::Delivered(it) if it.rule == Rule::S20));
        if let Some(row) = row {
            explanations.push(explanation(&summary.id, &row, &pass.connection));
            continue;
        }
        let evidence = matching.evidence(&summary, &envelope);
        let (outcome, rule, mut inputs) =
            match view.shared(rules::decide(&evidence, &matching.contacts), &evidence) {
                Decision::Deliver {
                    contact,
                    rule,
                    inputs,
                    ..
                } => (Outcome::Delivered(contact.id), rule, inputs),
                Decision::Exclude(rule, inputs) => (Outcome::Excluded(rule.name().to_owned()), rule, inputs),
            };
        inputs.push(input("subject", &envelope.subject));
        explanations.push(Explanation {
            id: summary.id,
            outcome,
            rule: rule.name().to_owned(),
            inputs: told_inputs(
                &Known {
                    thread: &summary.thread_id,
                    received_at: summary.internal_date,
                    sender: envelope.sender.as_ref().map(|sender| sender.address.as_str()),
                    rule: Some(rule),
                },
                &inputs,
                &pass.connection,
            ),
            decided_at: pass.host.now(),
            version: VERSION.to_owned(),
        });
    }
    Ok(explanations)
}

fn explanation(id: &str, row: &LedgerRow, connection: &ConnectionRow) -> Explanation {
    let rule = match &row.fate {
        Fate::Delivered(delivered) => Some(delivered.rule),
        Fate::Excluded(rule) => Some(*rule),
        Fate::Gone | Fate::Quarantined(_) => None,
    };
    let known = Known {
        thread: &row.thread,
        received_at: row.received_at,
        sender: row.sender.as_deref(),
        rule,
    };
    let mut inputs = told_inputs(&known, &row.inputs, connection);
    inputs.extend(row.concerns.as_deref().map(|id| field("notice-about", id)));
    if let Fate::Delivered(delivered) = &row.fate {
        inputs.extend(
            delivered
                .conflict
                .map(|conflict| field("changed-on-both-sides", &told(conflict))),
        );
        if delivered.released {
            inputs.push(field("released", Rule::S31.meaning()));
        }
        inputs.extend(delivered.left_out.iter().map(|text| field("left-out", text)));
        if delivered.deleted {
            inputs.push(field("deleted-in-the-mailbox", "yes"));
        }
    }
    Explanation {
        id: id.to_owned(),
        outcome: row.outcome(),
        rule: rule.map_or("", |rule| rule.name()).to_owned(),
        inputs,
        decided_at: row.decided_at,
        version: row.version.clone(),
    }
}

/// What is told of every message.
struct Known<'k> {
    thread: &'k str,
    received_at: u64,
    sender: Option<&'k str>,
    rule: Option<Rule>,
}

fn told_inputs(known: &Known<'_>, looked_at: &Inputs, connection: &ConnectionRow) -> Vec<Field> {
    let mut inputs = vec![
        field("thread", known.thread),
        field("received-at", &known.received_at.to_string()),
    ];
    inputs.extend(known.sender.map(|sender| field("sender", sender)));
    if known.rule == Some(Rule::S04) {
        inputs.push(field("connected-at", &connection.since.to_string()));
    }
    inputs.extend(looked_at.iter().map(|input| {
        let (name, value) = name_and_value(input);
        field(name, value)
    }));
    inputs.extend(known.rule.map(|rule| field("meaning", rule.meaning())));
    inputs
}

/// A conflict in words.
fn told(conflict: Conflict) -> String {
    let words = |flags: u8| {
        let flags = from_bits(flags);
        let names = [
            (flags.unread, "unread"),
            (flags.starred, "starred"),
            (flags.archived, "archived"),
            (flags.trashed, "trashed"),
        ];
        let named: Vec<&str> = names
            .iter()
            .filter_map(|(is_set, name)| is_set.then_some(*name))
            .collect();
        format!("[{}]", named.join(" "))
    };
    let became = conflict.became.map_or_else(|| "deleted".to_owned(), words);
    format!(
        "at {} the CRM wished {}, it became {became}",
        conflict.at,
        words(conflict.wished)
    )
}

fn field(name: &str, value: &str) -> Field {
    Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}
