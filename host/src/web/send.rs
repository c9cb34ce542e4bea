//! `POST /send`: queues mail, once per form (S23).

use axum::{
    extract::multipart::{Multipart, MultipartRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    Desk,
    compose::{self, Draft, Filled},
    failure::Failure,
    guard::Visitor,
    message::place_of,
    outbox::{Letter, NotQueued, queue, writers_key},
    upload::Upload,
};
use crate::contract::OutboundKind;

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
    let letter = letter(&desk, &draft, upload)?;
    match queue(&desk, letter).await {
        Ok(stored) => {
            let place = place_of(&stored.message.contact_id, &stored.id);
            Ok(Redirect::to(&place).into_response())
        }
        Err(NotQueued::Failure(failure)) => Err(failure),
        Err(NotQueued::Letter(status, trouble)) => {
            let page = compose::written(&desk, &visitor, &draft, Some(&trouble)).await?;
            Ok((status, page).into_response())
        }
    }
}

fn letter(desk: &Desk, draft: &Draft, upload: Upload) -> Result<Letter, Failure> {
    let key = writers_key(desk, "web", upload.text("key"));
    let key = key.ok_or_else(|| Failure::bad_form(StatusCode::BAD_REQUEST))?;
    Ok(Letter {
        key,
        contact: draft.contact.clone(),
        reply: draft.reply.clone(),
        to: draft.to.clone(),
        cc: draft.cc.clone(),
        bcc: draft.bcc.clone(),
        subject: draft.subject.clone(),
        text: draft.text.clone(),
        when_limited: draft.when_limited(),
        kind: draft.kind,
        hold: desk.site.undo,
        carries: if draft.carries {
            draft.forwards.clone()
        } else {
            String::new()
        },
        size: upload.size,
        files: upload.files,
    })
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
        forwards: line("forwards"),
        carries: !upload.text("carries").is_empty(),
        wait: upload.text("limited") == "wait",
        place: line("place"),
        filled: Filled::Written,
        kind: match upload.text("kind") {
            "bulk" => OutboundKind::Bulk,
            "workflow" => OutboundKind::Workflow,
            _ => OutboundKind::OneToOne,
        },
    }
}
