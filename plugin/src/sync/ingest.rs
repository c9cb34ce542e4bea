//! Mail that came to the BCC address (S18): decided like mail the user sent, and in the CRM under the same
//! key as its copy in the mailbox, whichever comes first ([`claims`]). Whatever becomes of it has a row (T01).

use super::{
    Pass, Step, aliases,
    claims::{self, Copy},
    correction,
    deliver::{put_attachments, put_messages},
    matching::Matching,
    message::{Delivery, message},
    sharing::{View, contact_row},
};
use crate::{
    contract::{Change, Message, MessageUpdate, Outcome, Problem, PutOutcome, Trigger},
    gmail::{Summary, label},
    ledger::{self, Claim, Delivered, Fate, LedgerRow, VERSION, bcc_key, held_key, ledger_key},
    mail::{self, Envelope, Parsed},
    mutation::Mutation,
    ports::Host,
    rules::{
        Decision, Inputs, Rule,
        s18_bcc_address::{decide, is_by_user},
        t06_privacy::people,
    },
    settings,
};

/// Bytes by which mail is named that cannot be read.
const NAMED_BY: usize = 64 * 1024;

/// Mail that came to the BCC address.
#[derive(Debug)]
pub struct Mail {
    /// The address.
    pub recipient: String,
    /// RFC 5322 bytes. More than [`mail::MAX_RAW_BYTES`] are too many.
    pub raw: Vec<u8>,
    /// When it came, ms since the epoch.
    pub received_at: u64,
}

/// Takes it in. Idempotent: what was decided stays decided, but what could not be handled is tried again.
pub async fn ingest<H: Host>(host: &H, mail: Mail, settings: &str) -> Result<Outcome, Problem> {
    let mut settings = settings::require(settings)?;
    // It was the connection's when the mail came.
    settings.bcc_address.get_or_insert_with(|| mail.recipient.clone());
    let mut pass = Pass::load(host, settings).await?;
    take(&mut pass, &mail).await.map_err(|stop| stop.problem)
}

async fn take<H: Host>(pass: &mut Pass<'_, H>, mail: &Mail) -> Step<Outcome> {
    let envelope = Envelope::from_raw(&mail.raw);
    if envelope.from.is_empty() {
        return quarantine(pass, mail, "it does not say who wrote it".to_owned()).await;
    }
    if !is_by_user(&envelope, &pass.own()) {
        // An alias may have been accepted since they were read.
        aliases::refresh(pass, &Trigger::Reconnected).await?;
    }
    let parsed = if is_by_user(&envelope, &pass.own()) {
        mail::parse_in_place(&mail.raw)
    } else {
        // Nothing more is read of somebody else's mail (S10).
        Ok(Parsed {
            envelope,
            ..Parsed::default()
        })
    };
    let parsed = match parsed {
        Ok(parsed) => as_sent(pass, parsed),
        Err(error) => return quarantine(pass, mail, error.to_string()).await,
    };
    let name = claims::name_of(&parsed);
    let known = ledger::read::<LedgerRow>(pass.host, &bcc_key(&name)).await?;
    if let Some((row, _)) = known.filter(|(row, _)| stays(row, mail)) {
        return Ok(row.outcome());
    }
    let (decision, view) = decision(pass, mail, &parsed).await?;
    let barred = match &decision {
        Decision::Deliver { .. } => barred_by_its_copy(pass, &parsed).await?,
        Decision::Exclude(..) => None,
    };
    let decision = barred.map_or(decision, |inputs| Decision::Exclude(Rule::T06, inputs));
    let mut more = Vec::new();
    let (fate, inputs) = match decision {
        Decision::Exclude(rule, inputs) => {
            if let Some(correction) = correction(rule) {
                correct(pass, &parsed, correction).await?;
            }
            (Fate::Excluded(rule), inputs)
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
                inputs: inputs.clone(),
            };
            let fate = deliver(pass, mail, &parsed, &delivery).await?;
            if matches!(fate, Fate::Delivered(_)) {
                let Delivery { contact, address, .. } = &delivery;
                more.push(ledger::mark(held_key(address, &bcc_key(&name))));
                more.extend(contact_row(contact, address));
                more.extend(view.releasing(pass, std::slice::from_ref(address)).await?);
            }
            (fate, inputs)
        }
    };
    let decided = Decided { fate, inputs, more };
    settle(pass, &name, mail, &parsed.envelope, decided).await
}

/// What became of it, and why.
struct Decided {
    fate: Fate,
    inputs: Inputs,
    /// What is committed with it.
    more: Vec<Change>,
}

/// Corrects what a call that died may have put into the CRM.
async fn correct<H: Host>(
    pass: &Pass<'_, H>,
    parsed: &Parsed,
    correction: impl FnOnce(String) -> MessageUpdate,
) -> Step {
    if let Some(claim) = claims::known(pass, parsed).await?
        && !is_in_crm(pass, &claim).await?
    {
        pass.tell_crm(vec![correction(claim.key)]).await?;
    }
    Ok(())
}

/// What keeps the copy in the mailbox out, or had it taken out: it alone says to whom the mail went by Bcc (T06).
async fn barred_by_its_copy<H: Host>(pass: &Pass<'_, H>, parsed: &Parsed) -> Step<Option<Inputs>> {
    let Some(Claim {
        barred,
        copy: Some((id, _)),
        ..
    }) = claims::known(pass, parsed).await?
    else {
        return Ok(None);
    };
    if barred.is_some() {
        return Ok(barred);
    }
    let row = ledger::read::<LedgerRow>(pass.host, &ledger_key(&id)).await?;
    let is_out = |row: &LedgerRow| matches!(row.fate, Fate::Excluded(Rule::T06));
    Ok(row.map(|(row, _)| row).filter(is_out).map(|row| row.inputs))
}

/// Whether what was decided of another copy holds for this one. What could not be handled is tried again; and of a mail
/// that came several times, the first time is when it came (S04, S31).
fn stays(row: &LedgerRow, mail: &Mail) -> bool {
    match row.fate {
        Fate::Quarantined(_) => false,
        Fate::Excluded(Rule::S04 | Rule::S31) => row.received_at <= mail.received_at,
        _ => true,
    }
}

/// As the copy in the mailbox has it.
fn as_sent<H: Host>(pass: &Pass<'_, H>, mut parsed: Parsed) -> Parsed {
    pass.hide(&mut parsed.envelope);
    // Not Gmail's own verdict, whatever it says.
    parsed.envelope.authentication_results = None;
    parsed
}

/// As on mail that the user sent: by the same rules, and as far as it is this tenant's (S30 to S32).
async fn decision<H: Host>(pass: &Pass<'_, H>, mail: &Mail, parsed: &Parsed) -> Step<(Decision, View)> {
    let summary = sent(mail);
    let mut matching = Matching::of(pass);
    matching.learn(pass, &[(&summary, &parsed.envelope)]).await?;
    let view = View::of(pass, &matching.met).await?;
    let evidence = matching.evidence(&summary, &parsed.envelope);
    let decided = decide(&evidence, &matching.contacts);
    Ok((view.shared(decided, &evidence), view))
}

async fn deliver<H: Host>(
    pass: &Pass<'_, H>,
    mail: &Mail,
    parsed: &Parsed,
    delivery: &Delivery,
) -> Step<Fate> {
    let claim = if pass.settings.has(Mutation::BccCopyLoggedTwice) {
        Claim {
            key: claims::key_of_mail(pass, &claims::name_of(parsed)),
            opening: Vec::new(),
            message_id: None,
            copy: None,
            barred: None,
        }
    } else {
        let copy = Copy {
            mail: parsed,
            place: None,
        };
        match claims::settle(pass, &[copy]).await?.pop().flatten() {
            Some(claim) => claim,
            None => return Ok(Fate::Quarantined("too many mails are like it".to_owned())),
        }
    };
    let message_id = parsed.envelope.message_id.clone();
    let mut delivered = Delivered {
        key: Some(claim.key.clone()),
        ..Delivered::new(&delivery.contact.id, Rule::S18, message_id)
    };
    if is_in_crm(pass, &claim).await? {
        return Ok(Fate::Delivered(delivered));
    }
    let thread = claim.copy.as_ref().map(|(_, thread)| pass.thread_key(thread));
    let message = Message {
        thread: thread.unwrap_or_else(|| claim.key.clone()),
        key: claim.key.clone(),
        ..message(pass, &sent(mail), parsed, delivery)
    };
    match put_messages(pass, vec![message]).await?.pop() {
        Some(PutOutcome::Stored(_) | PutOutcome::Already(_)) => {}
        Some(PutOutcome::Refused(reason)) => {
            return Ok(Fate::Quarantined(format!("refused by the CRM: {reason}")));
        }
        Some(PutOutcome::Unknown) | None => {
            let problem = Problem::CrmUnavailable("did not say what became of a message".to_owned());
            return Err(problem.into());
        }
    }
    let put = put_attachments(pass, "", &claim.key, &parsed.attachments, &mail.raw).await;
    delivered.left_out = put.map_err(|stopped| stopped.stop)?;
    Ok(Fate::Delivered(delivered))
}

/// Whether the copy in the mailbox was delivered, attachments and all.
async fn is_in_crm<H: Host>(pass: &Pass<'_, H>, claim: &Claim) -> Step<bool> {
    let Some((id, _)) = &claim.copy else {
        return Ok(false);
    };
    let row = ledger::read::<LedgerRow>(pass.host, &ledger_key(id)).await?;
    Ok(row.is_some_and(|(row, _)| matches!(row.fate, Fate::Delivered(_))))
}

/// What Gmail would say of it.
fn sent(mail: &Mail) -> Summary {
    Summary {
        label_ids: vec![label::SENT.to_owned()],
        internal_date: mail.received_at,
        ..Summary::default()
    }
}

async fn quarantine<H: Host>(pass: &Pass<'_, H>, mail: &Mail, reason: String) -> Step<Outcome> {
    pass.warn("quarantined", &[("reason", &reason)]);
    let decided = Decided {
        fate: Fate::Quarantined(reason),
        inputs: Inputs::new(),
        more: Vec::new(),
    };
    settle(pass, &unread_name(mail), mail, &Envelope::default(), decided).await
}

/// A name for mail of which nothing can be read.
fn unread_name(mail: &Mail) -> String {
    let beginning = &mail.raw[..mail.raw.len().min(NAMED_BY)];
    claims::name_of(&Parsed {
        text: Some(String::from_utf8_lossy(beginning).into_owned()),
        ..Parsed::default()
    })
}

async fn settle<H: Host>(
    pass: &Pass<'_, H>,
    name: &str,
    mail: &Mail,
    envelope: &Envelope,
    Decided { fate, inputs, more }: Decided,
) -> Step<Outcome> {
    let named = people(envelope).filter(|_| matches!(fate, Fate::Delivered(_)));
    let mut people: Vec<String> = Vec::new();
    for person in named {
        people.push(person.address.clone());
    }
    let row = LedgerRow {
        fate,
        thread: String::new(),
        received_at: mail.received_at,
        decided_at: pass.host.now(),
        sender: envelope.sender.as_ref().map(|sender| sender.address.clone()),
        inputs,
        concerns: None,
        people,
        version: VERSION.to_owned(),
    };
    let mut changes = more;
    changes.push(ledger::put(bcc_key(name), &row)?);
    let unread = unread_name(mail);
    if unread != name {
        // An earlier version could not read it.
        changes.push(ledger::remove(bcc_key(&unread)));
    }
    pass.commit(changes).await?;
    Ok(row.outcome())
}
