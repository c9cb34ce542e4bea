//! Mail that is sent: whatever its author writes into a field stays in that field, and what was composed says the same
//! when it is parsed.

use twinbox_plugin::mail::{
    Base64Lines, Disposition, Mailbox, Outgoing, OutgoingAttachment, Piece, Source, parse,
    references_for_reply,
    text::{clean_body, clean_line},
};

use crate::Choices;

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (outgoing, contents) = input(&mut choices);
    check(&outgoing, &contents);
    let ids = choices.list(300, Choices::text);
    let references = references_for_reply(&ids, ids.last().map(String::as_str));
    assert!(references.len() <= 100);
    assert!(
        references
            .iter()
            .all(|id| id.bytes().all(|byte| byte.is_ascii_graphic()))
    );
}

fn input(choices: &mut Choices<'_>) -> (Outgoing, Vec<Vec<u8>>) {
    let contents = choices.list(4, |choices| choices.bytes(300));
    let attachments = contents.iter().map(|content| OutgoingAttachment {
        file_name: choices.text(),
        media_type: match choices.below(3) {
            0 => choices.text(),
            1 => "message/rfc822".to_owned(),
            _ => "image/png".to_owned(),
        },
        size: content.len() as u64,
        content_id: choices.option(|choices| {
            if choices.yes() {
                choices.text()
            } else {
                "a@b".to_owned()
            }
        }),
        disposition: if choices.yes() {
            Disposition::Inline
        } else {
            Disposition::Attachment
        },
    });
    let attachments = attachments.collect();
    let outgoing = Outgoing {
        sender: mailbox(choices),
        to: choices.list(4, mailbox),
        cc: choices.list(3, mailbox),
        bcc: choices.list(3, mailbox),
        reply_to: choices.list(2, mailbox),
        subject: choices.text(),
        text: body(choices),
        html: choices.option(body),
        in_reply_to: choices.option(id),
        references: choices.list(3, id),
        message_id: id(choices),
        date_ms: choices.number().cast_signed(),
        boundary_seed: choices.text(),
        attachments,
    };
    (outgoing, contents)
}

fn mailbox(choices: &mut Choices<'_>) -> Mailbox {
    const ADDRESSES: &[&str] = &[
        "ann@client.example",
        "\"a b\"@client.example",
        "ann@münchen.example",
        "o'neil+tag@client.example",
        "ann@[127.0.0.1]",
    ];
    let address = if choices.once_in(6) {
        choices.text()
    } else {
        choices.pick(ADDRESSES).to_owned()
    };
    Mailbox {
        name: choices.option(Choices::text),
        address,
    }
}

fn id(choices: &mut Choices<'_>) -> String {
    if choices.once_in(8) {
        choices.text()
    } else {
        format!("<{}@client.example>", choices.byte())
    }
}

fn body(choices: &mut Choices<'_>) -> String {
    const LINES: &[&str] = &[
        "Hello", "\r\n", "\n", ".", "From me", "--=_m_", "=_a_x", "é", "日本", " ", "\t", "=", "\0",
        "\u{2028}",
    ];
    let mut text: String = (0..choices.below(12)).map(|_| choices.pick(LINES)).collect();
    if choices.once_in(6) {
        text.push_str(&"x".repeat(choices.below(3_000)));
    }
    text
}

/// What holds of any mail to send with these contents of its attachments.
fn check(outgoing: &Outgoing, contents: &[Vec<u8>]) {
    let Ok(composed) = outgoing.compose() else {
        return;
    };
    let mut raw = Vec::new();
    for piece in &composed.pieces {
        match piece {
            Piece::Bytes(bytes) => raw.extend_from_slice(bytes),
            Piece::Attachment { index, .. } => {
                let mut lines = Base64Lines::new();
                raw.extend(lines.push(&contents[*index]));
                raw.extend(lines.finish());
            }
        }
    }
    assert_eq!(composed.size(), raw.len() as u64, "the size is known beforehand");
    check_head(&raw);
    let parsed = parse(&raw).unwrap();
    let envelope = &parsed.envelope;
    for (sent, read) in [
        (std::slice::from_ref(&outgoing.sender), &envelope.from),
        (&outgoing.to, &envelope.to),
        (&outgoing.cc, &envelope.cc),
        (&outgoing.bcc, &envelope.bcc),
        (&outgoing.reply_to, &envelope.reply_to),
    ] {
        let keys = |list: &[Mailbox]| -> Vec<_> {
            list.iter()
                .map(|mailbox| mailbox.normal().unwrap().key())
                .collect()
        };
        assert_eq!(keys(sent), keys(read), "{}", String::from_utf8_lossy(&raw));
        let names = |list: &[Mailbox]| -> Vec<_> {
            list.iter()
                .map(|mailbox| spaced(&clean_line(mailbox.name.as_deref().unwrap_or_default(), 200)))
                .collect()
        };
        assert_eq!(names(sent), names(read), "{}", String::from_utf8_lossy(&raw));
    }
    assert_eq!(envelope.subject.trim(), clean_line(&outgoing.subject, 900).trim());
    let text = clean_body(outgoing.text.clone());
    assert_eq!(parsed.text.unwrap_or_default().trim_end(), text.trim_end());
    let mut read: Vec<&[u8]> = Vec::new();
    for attachment in &parsed.attachments {
        if let Source::Inline(content) = &attachment.source {
            read.push(content);
        }
    }
    for content in contents {
        assert!(read.contains(&content.as_slice()), "an attachment is lost");
    }
}

/// Folding may double or halve white space between words; nothing else of a name may change.
fn spaced(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The head has the fields that a message has, each once, in lines that are whole.
fn check_head(raw: &[u8]) {
    const FIELDS: [&str; 15] = [
        "Date",
        "From",
        "Reply-To",
        "To",
        "Cc",
        "Bcc",
        "Subject",
        "Message-ID",
        "X-Twinbox-Message-ID",
        "X-Mailer",
        "In-Reply-To",
        "References",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    let end = raw
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .expect("an end of the head");
    let head = std::str::from_utf8(&raw[..end]).expect("a head of ASCII");
    assert!(head.is_ascii() && !head.contains('\0'), "{head:?}");
    let mut seen = Vec::new();
    for line in head.split("\r\n") {
        assert!(
            !line.contains(['\r', '\n']) && line.len() <= 998 && !line.trim().is_empty(),
            "{line:?} in {head:?}"
        );
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let (name, _) = line.split_once(':').expect("a field");
        assert!(FIELDS.contains(&name), "{name:?} in {head:?}");
        assert!(!seen.contains(&name), "{name} twice in {head:?}");
        seen.push(name);
    }
}
