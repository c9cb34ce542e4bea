//! A message as it will be sent: sender, thread, references, exact size.

use crate::{
    contract::{self, Mailbox as ContractMailbox, Outbound, OutboundAttachment, Problem},
    gmail::SendAs,
    ledger::{self, Delivered, Fate, LedgerRow, OutboundRow, ThreadRow, ledger_key, thread_key},
    mail::{
        ComposeError, Composed, Disposition, Envelope, Mailbox, Outgoing, OutgoingAttachment,
        references_for_reply, reply_subject,
    },
    ports::Host,
    rules::{s03_right_mailbox, s20_one_to_one, s21_limits, s23_exactly_once::recipient_keys},
    sync::{Pass, Step, claims},
};

/// A message as it will be sent.
pub(super) struct Composition {
    pub(super) message: Composed,
    pub(super) subject: String,
    pub(super) references: Vec<String>,
    pub(super) thread_id: Option<String>,
}

/// Composes; the inner error is the message's own fault.
pub(super) async fn compose<H: Host>(
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
    let Some(key) = outbound.thread.as_deref() else {
        return Ok(None);
    };
    let id = if let Some(id) = pass.id_in(key) {
        Some(id.to_owned())
    } else {
        // The thread of mail that came to the BCC address first is that of its copy (S18).
        let copy = claims::with_key(pass, key).await?.and_then(|claim| claim.copy);
        copy.map(|(_, thread)| thread)
    };
    let Some(id) = id else { return Ok(None) };
    let row = ledger::read::<ThreadRow>(pass.host, &thread_key(&id)).await?;
    Ok(row.map(|(row, _)| (id, row)))
}

/// The Message-ID of the message that is answered: the one the user chose, else the thread's latest.
async fn parent<H: Host>(
    pass: &Pass<'_, H>,
    outbound: &Outbound,
    thread: Option<&ThreadRow>,
) -> Step<Option<String>> {
    if let Some(id) = outbound.in_reply_to.as_deref().and_then(|key| pass.id_in(key))
        && let Some((row, _)) = ledger::read::<LedgerRow>(pass.host, &ledger_key(id)).await?
        && let Fate::Delivered(Delivered {
            message_id: Some(message_id),
            ..
        }) = row.fate
    {
        return Ok(Some(message_id));
    }
    if let Some(key) = &outbound.in_reply_to
        && let Some(claim) = claims::with_key(pass, key).await?
    {
        return Ok(claim.message_id);
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

fn attachment(attachment: &OutboundAttachment) -> OutgoingAttachment {
    OutgoingAttachment {
        file_name: attachment.name.clone(),
        media_type: attachment.media_type.clone(),
        size: attachment.size,
        content_id: attachment.content_id.clone(),
        disposition: match attachment.disposition {
            contract::Disposition::Attached => Disposition::Attachment,
            contract::Disposition::Inline => Disposition::Inline,
        },
    }
}

pub(super) fn recipients(outbound: &Outbound) -> Vec<String> {
    let envelope = Envelope {
        to: outbound.to.iter().map(from_contract).collect(),
        cc: outbound.cc.iter().map(from_contract).collect(),
        bcc: outbound.bcc.iter().map(from_contract).collect(),
        ..Envelope::default()
    };
    recipient_keys(&envelope)
}
