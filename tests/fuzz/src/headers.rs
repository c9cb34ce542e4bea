//! Header fields: what they say is bounded, on one line, and the same from Gmail's list as from raw bytes.

use twinbox_plugin::mail::{
    Envelope, Mailbox,
    envelope::{MAX_MESSAGE_ID_BYTES, MAX_REFERENCES, MAX_SUBJECT_CHARS},
    message_ids, normalise, parse_mailboxes, reply_subject, same_subject,
};

use crate::Choices;

const NAMES: &[&str] = &[
    "From",
    "from",
    "To",
    "Cc",
    "BCC",
    "Reply-To",
    "Sender",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "List-Id",
    "Auto-Submitted",
    "Precedence",
    "Content-Type",
    "Authentication-Results",
    "X-Failed-Recipients",
    "X-Google-Original-Message-ID",
    "Received",
    "X-Other",
    "Content-Disposition",
    "Resent-From",
];

const PIECES: &[&str] = &[
    "Ann Example",
    "ann@client.example",
    "<ann@client.example>",
    "\"Ann, Example\"",
    "\"",
    "\\",
    "(comment)",
    "(",
    ")",
    "((((",
    "<",
    ">",
    "<>",
    ",",
    ";",
    ":",
    "friends:",
    "undisclosed-recipients:;",
    "@",
    "@@",
    "a@b@c",
    "ann @ client . example",
    "\"a b\"@client.example",
    "ann@[127.0.0.1]",
    "ann@[IPv6:::1]",
    "ann@münchen.example",
    "ann@xn--mnchen-3ya.example",
    "ann+tag@gmail.com",
    "A.N.N@googlemail.com",
    "mailto:ann@client.example",
    "=?utf-8?q?Ann_=C3=89?=",
    "=?utf-8?b?w4k=?=",
    "=?utf-8?q?a=0D=0ABcc:_evil@x.example?=",
    "=?utf-8?q?=22?=",
    "=?utf-7?q?+AEE-?=",
    "=?x-unknown?q?a?=",
    "=?utf-8?b?",
    "?=",
    "=?iso-2022-jp?b?GyRCJCIbKEI=?=",
    "<1@a>",
    "<1@a> <2@b>",
    "<1@a",
    "1@a>",
    "<<1@a>>",
    "<a b@c>",
    "\r\n ",
    "\r\n\t",
    "\n ",
    "\r ",
    "\t",
    " ",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{200b}",
    "é",
    "日本",
    "Re: ",
    "AW: ",
    "Fwd: ",
    "回复：",
    "RE[2]: ",
    "Mon, 1 Sep 2025 10:00:00 +0000",
    "31 Feb 99999 25:61:61 -9999",
    "0",
    "multipart/report; report-type=delivery-status",
    "text/html; charset=",
    "multipart/mixed; boundary=\"",
    "mx.google.com; spf=pass",
    "auto-replied",
    "bulk",
    "=",
    ".",
    "..",
    "-",
    "_",
];

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let fields = choices.list(12, |choices| (choices.pick(NAMES).to_owned(), value(choices)));
    let envelope = Envelope::from_headers(&fields);
    check_envelope(&envelope);
    check_same(&fields, &envelope);
    for (_, value) in &fields {
        check_value(value);
    }
    let (a, b) = (value(&mut choices), value(&mut choices));
    check_subjects(&a, &b);
    check_envelope(&Envelope::from_raw(choices.rest()));
}

fn value(choices: &mut Choices<'_>) -> String {
    if choices.once_in(12) {
        let piece = choices.pick(PIECES);
        return piece.repeat(choices.below(2_000));
    }
    (0..choices.below(8)).map(|_| choices.pick(PIECES)).collect()
}

/// What holds of any headers.
pub fn check_envelope(envelope: &Envelope) {
    let Envelope {
        message_id,
        original_message_id,
        in_reply_to,
        references,
        sender,
        from,
        reply_to,
        to,
        cc,
        bcc,
        subject,
        list_id,
        auto_submitted,
        precedence,
        content_type,
        authentication_results,
        failed_recipients,
        ..
    } = envelope;
    for id in [message_id, original_message_id]
        .into_iter()
        .flatten()
        .chain(in_reply_to)
        .chain(references)
    {
        assert!(!id.is_empty() && id.len() <= MAX_MESSAGE_ID_BYTES, "{id:?}");
        assert!(
            !id.contains(|c: char| c.is_control() || c.is_whitespace() || c == '<'),
            "{id:?}"
        );
    }
    assert!(in_reply_to.len() <= MAX_REFERENCES && references.len() <= MAX_REFERENCES);
    let lists = [from, reply_to, to, cc, bcc, failed_recipients];
    for mailbox in lists.into_iter().flatten().chain(sender) {
        check_mailbox(mailbox);
    }
    assert!(subject.chars().count() <= MAX_SUBJECT_CHARS);
    let words = [
        list_id,
        auto_submitted,
        precedence,
        content_type,
        authentication_results,
    ];
    for line in words.into_iter().flatten().chain([subject]) {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(
            line.chars().count() <= 4_000,
            "{} characters",
            line.chars().count()
        );
    }
    assert!(!envelope.is_report || content_type.as_deref() == Some("multipart/report"));
    assert!(envelope.ancestors().len() <= 2 * MAX_REFERENCES);
}

fn check_mailbox(mailbox: &Mailbox) {
    assert!(
        mailbox.address.contains('@') && mailbox.address.len() <= 320,
        "{mailbox:?}"
    );
    assert!(!mailbox.address.contains(char::is_control), "{mailbox:?}");
    if let Some(name) = &mailbox.name {
        assert!(!name.is_empty() && name.chars().count() <= 300, "{mailbox:?}");
        assert!(!name.contains(char::is_control), "{mailbox:?}");
    }
    if let Some(normal) = mailbox.normal() {
        let written = normal.as_string();
        assert_eq!(
            normalise(&written),
            Some(normal.clone()),
            "comparable once, comparable for ever"
        );
        assert!(!written.contains(char::is_control), "{written:?}");
        assert_eq!(
            normalise(&normal.key()).map(|again| again.key()),
            Some(normal.key())
        );
        assert_eq!(normal.without_tag().without_tag(), normal.without_tag());
    }
}

/// The same fields are the same headers, however they were fetched.
fn check_same(fields: &[(String, String)], envelope: &Envelope) {
    // A line break followed by something else than white space would be the end of the field in raw bytes.
    let folds = |value: &str| !value.contains(['\r', '\n', '\0']);
    if !fields.iter().all(|(_, value)| folds(value)) {
        return;
    }
    let mut raw = String::new();
    for (name, value) in fields {
        raw.extend([name, ": ", value.trim(), "\r\n"]);
    }
    raw.push_str("\r\nBody\r\n");
    assert_eq!(&Envelope::from_raw(raw.as_bytes()), envelope, "{raw:?}");
}

fn check_value(value: &str) {
    for mailbox in parse_mailboxes(value) {
        check_mailbox(&mailbox);
    }
    for id in message_ids(value) {
        assert!(
            !id.contains(|c: char| c.is_control() || c.is_whitespace()),
            "{id:?}"
        );
    }
}

fn check_subjects(a: &str, b: &str) {
    let reply = reply_subject(a);
    assert!(!reply.contains(char::is_control), "{reply:?}");
    assert_eq!(reply_subject(&reply), reply, "a reply to a reply");
    assert_eq!(same_subject(a, b), same_subject(b, a));
    assert!(same_subject(a, a));
}
