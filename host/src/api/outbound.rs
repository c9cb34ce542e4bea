//! Writing mail. Queued once under its `Idempotency-Key` (S23), which is therefore not optional here.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequest, Multipart, Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    extract::Body,
    idempotency,
    problem::{Problem, Unchanged},
    types::Message,
};
use crate::{
    contract::{OutboundKind, WhenLimited},
    web::{Desk, Letter, NotQueued, Trouble, Upload, WebState, queue, writers_key},
};

/// The most bytes of a request, as for the form.
pub(super) const REQUEST_LIMIT: usize = 64 << 20;

/// The longest that mail is held back, seconds.
const LONGEST_HOLD: u16 = 600;

/// Whether a `POST` to this path writes mail.
pub(super) fn is_mail(path: &str) -> bool {
    path.strip_prefix(super::PREFIX) == Some("/messages")
}

/// Mail to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MailToSend {
    /// The contact whose conversation it belongs to; absent: the first recipient who is one.
    #[serde(default)]
    contact: String,
    /// Id of the message it answers; absent: none.
    #[serde(default)]
    reply: Option<String>,
    /// To, each as `name <address>` or an address; without any recipient, the contact's first address.
    #[serde(default)]
    to: Vec<String>,
    /// Cc.
    #[serde(default)]
    cc: Vec<String>,
    /// Bcc.
    #[serde(default)]
    bcc: Vec<String>,
    /// Subject, at most 998 characters.
    #[serde(default)]
    subject: String,
    /// Plain text, at most 1 MiB.
    text: String,
    /// At the day's limit: `fail`, or `wait` until it can be sent.
    #[serde(default)]
    when_limited: Limited,
    /// `one-to-one` goes through the mailbox, `bulk` and `workflow` by the account's provider.
    #[serde(default)]
    kind: Way,
    /// Id of a message whose attachments go along; absent: none.
    #[serde(default)]
    attachments_of: Option<String>,
    /// How long it is held back so that it can be withdrawn, seconds; 600 at most.
    #[serde(default)]
    #[schema(maximum = 600)]
    hold_seconds: u16,
}

/// A form with files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes")]
pub(super) struct MailWithFiles {
    /// The mail, as JSON. Comes first.
    message: MailToSend,
    /// Its files, at most 100 and 25 MiB.
    files: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Limited {
    #[default]
    Fail,
    Wait,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Way {
    #[default]
    OneToOne,
    Bulk,
    Workflow,
}

/// Queues mail. With files it is a form whose first field, `message`, is the JSON.
#[utoipa::path(post, operation_id = "sendMessage", path = "/messages", tag = "messages",
    params(("Idempotency-Key" = String, Header, description = "16 to 64 letters, digits, `-` and `_`: the mail is sent once under this key")),
    request_body(content(
        (MailToSend = "application/json"),
        (MailWithFiles = "multipart/form-data"),
    )),
    responses((status = 202, body = Message, description = "It waits to be sent; `delivery` of the message says what becomes of it"), Unchanged))]
pub(super) async fn send(
    desk: Desk,
    State(site): State<WebState>,
    request: Request,
) -> Result<(StatusCode, Json<Message>), Problem> {
    let key = idempotency::key(request.headers())?;
    let key = key.and_then(|key| writers_key(&desk, "api", &key));
    let key = key.ok_or_else(|| {
        let status = StatusCode::BAD_REQUEST;
        Problem::malformed(
            status,
            "mail needs an Idempotency-Key of 16 to 64 letters, digits, - and _",
        )
    })?;
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let is_form = kind.is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"multipart/"));
    let (mail, files, size) = if is_form {
        let form = Multipart::from_request(request, &site).await;
        let form =
            form.map_err(|rejection| Problem::malformed(rejection.status(), &rejection.body_text()))?;
        let upload = Upload::of_a_program(form).await?;
        let mail = serde_json::from_str(upload.text("message"))
            .map_err(|error| Problem::malformed(StatusCode::BAD_REQUEST, &format!("message: {error}")))?;
        (mail, upload.files, upload.size)
    } else {
        let Body(mail) = Body::<MailToSend>::from_request(request, &site).await?;
        (mail, Vec::new(), 0)
    };
    let MailToSend {
        contact,
        reply,
        to,
        cc,
        bcc,
        subject,
        text,
        when_limited,
        kind: way,
        attachments_of,
        hold_seconds,
    } = mail;
    if hold_seconds > LONGEST_HOLD {
        return Err(Problem::invalid(
            "Mail is not held back that long.",
            "Give 600 seconds at most.",
        ));
    }
    let letter = Letter {
        key,
        contact,
        reply: reply.unwrap_or_default(),
        to: to.join("\n"),
        cc: cc.join("\n"),
        bcc: bcc.join("\n"),
        // A line of its own, whatever is in it.
        subject: subject.split_whitespace().collect::<Vec<_>>().join(" "),
        text: text.replace("\r\n", "\n"),
        when_limited: match when_limited {
            Limited::Fail => WhenLimited::Fail,
            Limited::Wait => WhenLimited::Wait,
        },
        kind: match way {
            Way::OneToOne => OutboundKind::OneToOne,
            Way::Bulk => OutboundKind::Bulk,
            Way::Workflow => OutboundKind::Workflow,
        },
        hold: Duration::from_secs(hold_seconds.into()),
        carries: attachments_of.unwrap_or_default(),
        files,
        size,
    };
    match queue(&desk, letter).await {
        Ok(stored) => Ok((StatusCode::ACCEPTED, Json(stored.into()))),
        Err(NotQueued::Letter(StatusCode::CONFLICT, _)) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            Trouble::new(
                "idempotency-key-used",
                "Another mail was queued under this idempotency key.",
                "Give each mail a key of its own.",
            ),
        )),
        Err(NotQueued::Letter(status, trouble)) => Err(Problem::new(status, trouble)),
        Err(NotQueued::Failure(failure)) => Err(failure.into()),
    }
}
