//! `POST /send`: queues mail, once per form (S23).

use axum::{
    extract::multipart::{Multipart, MultipartRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    Desk, addresses,
    compose::{self, Draft},
    connections::Trouble,
    failure::Failure,
    guard::Visitor,
    message::place_of,
    upload::{FILES_LIMIT, Upload},
};
use crate::{
    contract::{Mailbox, OutboundKind, Problem, SizeExcess, Trigger},
    crm::{CrmError, NewOutbound, StoredMessage},
    store::Connection,
};

/// The most bytes of a request. More than files may have, so that what is a little too large gets an
/// answer instead of a broken connection.
pub(super) const REQUEST_LIMIT: usize = 64 << 20;

/// Queues the mail of a form and shows it in its conversation. What is not right brings the form back
/// as it was filled in.
pub(super) async fn send(
    desk: Desk,
    visitor: Visitor,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Failure> {
    let form = form.map_err(|rejection| Failure::bad_form(rejection.status()))?;
    let upload = Upload::read(&desk.site, &visitor, form).await?;
    let draft = draft(&upload);
    match queue(&desk, &draft, upload).await {
        Ok(place) => Ok(Redirect::to(&place).into_response()),
        Err(NotQueued::Failure(failure)) => Err(failure),
        Err(NotQueued::Draft(status, trouble)) => {
            let page = compose::written(&desk, &visitor, &draft, Some(&trouble)).await?;
            Ok((status, page).into_response())
        }
    }
}

enum NotQueued {
    /// Something in the draft is not right.
    Draft(StatusCode, Trouble),
    Failure(Failure),
}

impl From<Failure> for NotQueued {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<&Problem> for NotQueued {
    fn from(problem: &Problem) -> Self {
        let status = match problem {
            Problem::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::Draft(status, problem.into())
    }
}

impl From<CrmError> for NotQueued {
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::Refused(why) => Self::Draft(
                StatusCode::UNPROCESSABLE_ENTITY,
                Trouble::new(
                    "refused",
                    format!("The message was not accepted: {why}."),
                    "Change it and send it again.",
                ),
            ),
            other => Self::Failure(other.into()),
        }
    }
}

struct Recipients {
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
}

async fn queue(desk: &Desk, draft: &Draft, upload: Upload) -> Result<String, NotQueued> {
    let key = request_key(desk, upload.text("key"))?;
    let mailbox = compose::mailbox(desk)
        .await?
        .ok_or(NotQueued::from(&Problem::NotConnected))?;
    if upload.size > FILES_LIMIT {
        return Err((&Problem::TooLarge(SizeExcess {
            size: upload.size,
            limit: FILES_LIMIT,
        }))
            .into());
    }
    let recipients = recipients(desk, draft).await?;
    let (thread, in_reply_to) = answered(desk, draft, &mailbox).await?;
    let outlines: Vec<_> = upload.files.iter().map(super::upload::Spooled::outline).collect();
    let connection = mailbox.scope.connection;
    let id = desk
        .crm
        .queue_outbound(NewOutbound {
            tenant: desk.tenant.clone(),
            user: desk.user.clone(),
            connection: connection.clone(),
            contact: draft.contact.clone(),
            thread,
            in_reply_to,
            sender: None,
            to: recipients.to.clone(),
            cc: recipients.cc.clone(),
            bcc: recipients.bcc.clone(),
            subject: draft.subject.clone(),
            text: draft.text.clone(),
            html: None,
            attachments: upload
                .files
                .into_iter()
                .map(super::upload::Spooled::into_attachment)
                .collect(),
            when_limited: draft.when_limited(),
            kind: OutboundKind::OneToOne,
            idempotency_key: Some(key),
        })
        .await?;
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    if !says(&stored, draft, &recipients, &outlines) {
        return Err(NotQueued::Draft(
            StatusCode::CONFLICT,
            Trouble::new(
                "form-used",
                "This form had already sent another message.",
                "Send this one with the form below.",
            ),
        ));
    }
    desk.connections.wake(&connection, Trigger::Outbound);
    Ok(place_of(&stored.message.contact_id, &id))
}

fn draft(upload: &Upload) -> Draft {
    let line = |name: &str| {
        let text = upload.text(name);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    Draft {
        contact: line("contact"),
        reply: line("reply"),
        to: line("to"),
        cc: line("cc"),
        bcc: line("bcc"),
        subject: line("subject"),
        text: upload.text("text").to_owned(),
        wait: upload.text("limited") == "wait",
    }
}

/// The form's key under the user's name: users do not meet each other's keys.
fn request_key(desk: &Desk, key: &str) -> Result<String, NotQueued> {
    let fits = (16..=64).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits {
        Ok(format!("web/{}/{key}", desk.user))
    } else {
        Err(Failure::bad_form(StatusCode::BAD_REQUEST).into())
    }
}

async fn recipients(desk: &Desk, draft: &Draft) -> Result<Recipients, NotQueued> {
    let parse = |list: &str| {
        addresses::parse(list).map_err(|wrong| NotQueued::from(&Problem::RecipientInvalid(wrong)))
    };
    if draft.contact.is_empty() {
        return Err(NotQueued::Draft(
            StatusCode::UNPROCESSABLE_ENTITY,
            Trouble::new(
                "recipient-invalid",
                "No contact was chosen.",
                "Choose whose conversation the message belongs to.",
            ),
        ));
    }
    let contact = desk
        .crm
        .contact(&desk.tenant, &draft.contact)
        .await
        .map_err(Failure::from)?;
    let mut recipients = Recipients {
        to: parse(&draft.to)?,
        cc: parse(&draft.cc)?,
        bcc: parse(&draft.bcc)?,
    };
    if recipients.to.is_empty() && recipients.cc.is_empty() && recipients.bcc.is_empty() {
        let Some(address) = contact.addresses.first() else {
            return Err((&Problem::RecipientInvalid(String::new())).into());
        };
        recipients.to = parse(address)?;
    }
    Ok(recipients)
}

/// Thread and key of the message it answers. A thread is one mailbox's own: an answer that goes
/// through another connection begins a new one there.
async fn answered(
    desk: &Desk,
    draft: &Draft,
    mailbox: &Connection,
) -> Result<(Option<String>, Option<String>), NotQueued> {
    if draft.reply.is_empty() {
        return Ok((None, None));
    }
    let stored = desk.crm.message(&desk.tenant, &draft.reply).await?;
    let message = stored.message;
    if message.contact_id != draft.contact {
        return Err(Failure::not_found().into());
    }
    if stored.connection != mailbox.scope.connection {
        return Ok((None, None));
    }
    let given = |text: String| (!text.is_empty()).then_some(text);
    Ok((given(message.thread), given(message.key)))
}

/// Whether the mail that is stored under the form's key is this draft. It is not when a form that was
/// sent was changed and sent again: that must not look as if it were sent (S23).
fn says(stored: &StoredMessage, draft: &Draft, recipients: &Recipients, files: &[(String, u64)]) -> bool {
    let message = &stored.message;
    let attached = message
        .attachments
        .iter()
        .map(|attachment| (attachment.name.as_str(), attachment.size));
    message.subject == draft.subject
        && message.content.text == draft.text
        && message.to == recipients.to
        && message.cc == recipients.cc
        && message.bcc == recipients.bcc
        && attached.eq(files.iter().map(|(name, size)| (name.as_str(), *size)))
}
