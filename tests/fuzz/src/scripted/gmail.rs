//! What Gmail says, or nearly: JSON of the right shape with values of the fuzzer's choosing, or an error, or damaged.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{ANN, ME};
use crate::{Choices, mime, seeds};

/// What Gmail says to this request, or nearly.
pub(super) fn answer(url: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let value = if choices.once_in(12) {
        json!({"error": {"code": choices.number(), "message": choices.text(), "status": choices.text(),
            "errors": [{"reason": choices.pick(&["rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "failedPrecondition", "insufficientPermissions", "x"])}]}})
    } else if path.ends_with("/profile") {
        json!({"emailAddress": ME, "historyId": id(choices)})
    } else if path.ends_with("/history") {
        json!({"historyId": id(choices), "nextPageToken": choices.once_in(4).then(|| choices.text()), "history": choices.list(4, record)})
    } else if path.ends_with("/messages") {
        json!({"messages": choices.list(6, reference), "nextPageToken": choices.once_in(4).then(|| choices.text())})
    } else if path.contains("/attachments/") {
        json!({"size": choices.number(), "data": URL_SAFE_NO_PAD.encode(choices.bytes(300))})
    } else if path.contains("/messages/") {
        message(url, choices)
    } else if path.ends_with("/sendAs") {
        json!({"sendAs": [{"sendAsEmail": ME, "isPrimary": true, "verificationStatus": "accepted"}, {"sendAsEmail": choices.text()}]})
    } else if path.contains("/threads/") {
        json!({"messages": choices.list(4, |choices| message("format=metadata", choices))})
    } else if path.ends_with("/drafts") && !path.contains("/upload/") {
        json!({"drafts": choices.list(3, |choices| json!({"id": id(choices), "message": reference(choices)}))})
    } else if path.contains("/drafts") {
        json!({"id": id(choices), "message": reference(choices), "threadId": id(choices), "labelIds": ["SENT"]})
    } else {
        json!({})
    };
    let text = value.to_string().into_bytes();
    if choices.once_in(10) {
        choices.damaged(text, &[b"{", b"[", b"null", b"\"", b"-1", b"1e999", b"\\ud800"])
    } else {
        text
    }
}

pub(super) fn id(choices: &mut Choices<'_>) -> String {
    match choices.below(24) {
        0 => choices.text(),
        1 => "9".repeat(choices.below(700)),
        number => format!("{}", 1_000 + number % 6),
    }
}

fn reference(choices: &mut Choices<'_>) -> Value {
    json!({"id": id(choices), "threadId": id(choices), "labelIds": labels(choices)})
}

fn labels(choices: &mut Choices<'_>) -> Option<Vec<String>> {
    const LABELS: &[&str] = &[
        "INBOX",
        "UNREAD",
        "SENT",
        "DRAFT",
        "SPAM",
        "TRASH",
        "STARRED",
        "CHAT",
        "CATEGORY_UPDATES",
        "Label_1",
        "",
    ];
    (!choices.once_in(6)).then(|| choices.list(4, |choices| choices.pick(LABELS).to_owned()))
}

fn record(choices: &mut Choices<'_>) -> Value {
    let changes = |choices: &mut Choices<'_>| {
        choices.list(
            3,
            |choices| json!({"message": reference(choices), "labelIds": labels(choices)}),
        )
    };
    json!({"id": id(choices), "messagesAdded": changes(choices), "messagesDeleted": changes(choices),
        "labelsAdded": changes(choices), "labelsRemoved": changes(choices)})
}

fn message(url: &str, choices: &mut Choices<'_>) -> Value {
    let mut message = reference(choices);
    message["internalDate"] = if choices.once_in(6) {
        json!(choices.number())
    } else {
        json!("1790000100000")
    };
    message["sizeEstimate"] = json!(if choices.once_in(8) {
        choices.number()
    } else {
        2_000
    });
    if url.contains("format=raw") {
        let mut raw = format!("From: Ann <{ANN}>\r\n").into_bytes();
        raw.extend(if choices.yes() {
            seeds::message(choices)
        } else {
            mime::broken(choices)
        });
        message["raw"] = json!(URL_SAFE_NO_PAD.encode(choices.damaged(raw, &[])));
    } else {
        message["payload"] = part(choices, 0);
        let headers = message["payload"]["headers"].as_array_mut().expect("a list");
        headers.push(json!({"name": "From", "value": if choices.once_in(6) { choices.text() } else { ANN.to_owned() }}));
        headers.push(json!({"name": "To", "value": ME}));
    }
    message
}

fn part(choices: &mut Choices<'_>, depth: usize) -> Value {
    const TYPES: &[&str] = &[
        "text/plain",
        "text/html",
        "multipart/mixed",
        "multipart/alternative",
        "image/png",
        "message/rfc822",
        "",
        "x",
    ];
    let parts = if depth < 5 {
        choices.list(3, |choices| part(choices, depth + 1))
    } else {
        Vec::new()
    };
    json!({"partId": choices.text(), "mimeType": choices.pick(TYPES), "filename": choices.text(), "parts": parts,
        "headers": choices.list(4, |choices| json!({"name": choices.pick(&["Subject", "Content-Type", "Message-ID", "References", "Date", "Bcc", "x"]), "value": choices.text()})),
        "body": {"size": choices.number(), "attachmentId": choices.once_in(3).then(|| choices.text()),
            "data": choices.option(|choices| URL_SAFE_NO_PAD.encode(choices.text()))}})
}
