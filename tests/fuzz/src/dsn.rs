//! Notices about mail that was not delivered (RFC 3464), as Gmail, other servers and attackers write them.
//!
//! What holds of the way that such a message takes: it is known as a report, the addresses that failed are addresses,
//! its text is shown, and status and original message come along as they are; what is read of the status is bounded
//! and on one line each, whatever the bytes.

use twinbox_plugin::mail::{
    Source,
    delivery_status::{failures, original_message_id},
    normalise, parse,
};

use crate::{Choices, mime};

const STATUS: &[&str] = &[
    "Reporting-MTA: dns; googlemail.com",
    "Received-From-MTA: dns; me@acme.example",
    "Arrival-Date: Mon, 01 Sep 2025 10:00:00 -0700 (PDT)",
    "X-Original-Message-ID: <1@acme.example>",
    "",
    "Final-Recipient: rfc822; ann@client.example",
    "Original-Recipient: rfc822;ann@client.example",
    "Action: failed",
    "Action: delayed",
    "ACTION : delivered",
    "Status: 5.1.1",
    "Status: 4.4.1 (x",
    "Status: 999.999.999",
    "Remote-MTA: dns; client.example. (192.0.2.1, the server)",
    "Diagnostic-Code: smtp; 550-5.1.1 The email account does not exist",
    " 550 folded",
    "Last-Attempt-Date: never",
    "Will-Retry-Until:",
    "Final-Recipient: x400; /C=DE",
    "Final-Recipient:",
    ": no name",
    "no colon",
    "\0",
    "Final-Recipient: rfc822; <\"a b\"@x>",
];

const FAILED: &[&str] = &[
    "ann@client.example",
    "bcc+1@in.twinbox.example",
    "Ann <ann@client.example>",
    ",",
    " ",
    "\r\n ",
    "=?utf-8?q?ann=40x.example?=",
    "<>",
    "@",
    "é@x",
    "a@b\r\nBcc: evil@x.example",
];

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let status = lines(&mut choices, STATUS);
    let text = lines(
        &mut choices,
        &[
            "** Address not found **",
            "** Delivery incomplete **",
            "Your message wasn't delivered.",
            "",
            "> quoted",
            "=3D",
        ],
    );
    let failed: String = choices.list(4, |choices| choices.pick(FAILED)).concat();
    let original = choices.pick(&[
        "message/rfc822",
        "text/rfc822-headers",
        "message/global",
        "message/rfc822-headers",
    ]);
    let report_type = choices.pick(&[
        "delivery-status",
        "disposition-notification",
        "\"delivery-status\"",
        "",
        "delivery-status; x=\"",
    ]);
    let raw = format!(
        "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\r\nTo: me@acme.example\r\nAuto-Submitted: auto-replied\r\n\
         Subject: Delivery Status Notification (Failure)\r\nX-Failed-Recipients: {failed}\r\n\
         Content-Type: multipart/report; boundary=\"b0\"; report-type={report_type}\r\n\r\n\
         --b0\r\nContent-Type: text/plain; charset=\"UTF-8\"\r\n\r\n{text}\r\n\
         --b0\r\nContent-Type: message/delivery-status\r\n\r\n{status}\r\n\
         --b0\r\nContent-Type: {original}\r\n\r\nFrom: me@acme.example\r\nSubject: Hello\r\n\r\nText\r\n--b0--\r\n"
    );
    if !failed.contains('\n') && !report_type.contains('"') {
        check_notice(&raw, &status);
    }
    check_failures(bytes);
    check_failures(status.as_bytes());
    mime::check(&choices.damaged(
        raw.into_bytes(),
        &[
            b"--b0\r\n",
            b"\r\n\r\n",
            b"Content-Type: message/delivery-status\r\n",
        ],
    ));
}

/// What holds of what is read of any status.
fn check_failures(status: &[u8]) {
    if let Some(id) = original_message_id(status) {
        assert!(id.len() <= 998 && !id.chars().any(char::is_control), "{id:?}");
    }
    let found = failures(status);
    assert!(found.len() <= 100);
    for failure in found {
        assert!(
            normalise(&failure.recipient).is_some() || failure.recipient.contains('@'),
            "{failure:?}"
        );
        assert!(failure.status.chars().count() <= 40 && failure.diagnostic.chars().count() <= 500);
        let line = format!("{}{}", failure.status, failure.diagnostic);
        assert!(!line.chars().any(char::is_control), "{failure:?}");
    }
}

/// What holds of a notice that is well-formed.
fn check_notice(raw: &str, status: &str) {
    let parsed = parse(raw.as_bytes()).unwrap();
    let is_receipt = raw.contains("report-type=disposition-notification");
    assert_eq!(parsed.envelope.is_report, !is_receipt, "{raw}");
    assert_eq!(parsed.envelope.auto_submitted.as_deref(), Some("auto-replied"));
    let part = parsed
        .attachments
        .iter()
        .find(|part| part.media_type == "message/delivery-status")
        .expect("the status");
    assert_eq!(part.file_name, "delivery-status.txt");
    assert_eq!(part.source, Source::Inline(status.as_bytes().to_vec()));
    let original = parsed.attachments.iter().any(|part| part.part_id == "2");
    assert!(original, "the original message comes along: {raw}");
}

fn lines(choices: &mut Choices<'_>, from: &[&str]) -> String {
    choices.list(14, |choices| choices.pick(from)).join("\r\n")
}
