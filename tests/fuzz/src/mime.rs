//! MIME to message: what a sender can put into a mail, and what becomes of it in the CRM.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use twinbox_plugin::mail::{Attachment, ParseError, Parsed, Source, parse, quoted_from};

use crate::{Choices, headers, html, seeds};

/// Pieces that mean something to a parser of mail.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"--",
    b"--b0\r\n",
    b"--b0--\r\n",
    b"--b1",
    b"\r\n--b0\r\n\r\n",
    b"\0",
    b"=",
    b"=\r\n",
    b"=3D",
    b"=?utf-8?q?",
    b"?=",
    b"=?iso-2022-jp?b?GyRC?=",
    b"Content-Type: multipart/mixed; boundary=b0\r\n",
    b"Content-Type: multipart/mixed; boundary=\"b0\"\r\n\r\n--b0\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: text/html; charset=utf-16\r\n",
    b"Content-Type: text/plain; charset=\"\r\n",
    b"Content-Type: multipart/alternative; boundary=\"\"\r\n",
    b"Content-Type: multipart/digest; boundary=b1\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Disposition: attachment; filename=\"../../a\0b\"\r\n",
    b"Content-Disposition: inline\r\n",
    b"Content-ID: <<a>\r\n",
    b"filename*0*=utf-8''%ff%00",
    b"filename*1=",
    b"name=\"=?utf-8?q?a=2Fb?=\"",
    b"charset=utf-7",
    b"boundary=",
    b";",
    b"\"",
    b"\\\"",
    b"(",
    b" ",
    b"\t",
    b":",
    b"\xff\xfe",
    b"\x80",
    b"Subject: ",
    b"From: ",
    b"begin 644 a\r\n",
];

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(4) {
        0 => {
            let message = WellFormed::new(&mut choices);
            message.check();
            check(&choices.damaged(message.raw, TOKENS));
        }
        1 => check(&broken(&mut choices)),
        _ => {
            let seed = seeds::message(&mut choices);
            check(&choices.damaged(seed, TOKENS));
        }
    }
}

/// Pieces of messages, one after the other.
pub(crate) fn broken(choices: &mut Choices<'_>) -> Vec<u8> {
    choices.list(60, |choices| choices.pick(TOKENS)).concat()
}

/// What holds of any bytes that are taken for a message.
pub fn check(raw: &[u8]) {
    let parsed = match parse(raw) {
        Ok(parsed) => parsed,
        Err(ParseError::NoHeaders | ParseError::TooManyParts) => return,
        Err(error @ ParseError::TooLarge { .. }) => panic!("{error}"),
    };
    assert_eq!(
        parse(raw).as_ref(),
        Ok(&parsed),
        "the same bytes are the same message"
    );
    headers::check_envelope(&parsed.envelope);
    check_texts(&parsed, raw.len());
    check_attachments(&parsed.attachments, raw.len());
}

/// Text is fit to be stored and shown, and no longer than decoding and escaping can make it.
fn check_texts(parsed: &Parsed, size: usize) {
    for (what, text, times) in [("text", &parsed.text, 40), ("html", &parsed.html, 30)] {
        let Some(text) = text else { continue };
        let unfit = text
            .chars()
            .find(|c| c.is_ascii_control() && !matches!(c, '\n' | '\t'));
        assert_eq!(unfit, None, "in the {what}");
        assert!(
            text.len() <= times * size + 1_000,
            "{what}: {} bytes out of {size}",
            text.len()
        );
    }
    if let Some(text) = &parsed.text
        && let Some(at) = quoted_from(text)
    {
        assert!(text.is_char_boundary(at), "the fold is between characters");
        assert!(at == 0 || text[..at].ends_with('\n'), "the fold is between lines");
        assert!(!text[..at].trim().is_empty(), "something is left to see");
    }
    if let Some(text) = &parsed.html {
        html::check(text);
    }
}

fn check_attachments(attachments: &[Attachment], size: usize) {
    let mut ids = BTreeSet::new();
    let mut bytes = 0;
    for attachment in attachments {
        let id = &attachment.part_id;
        assert!(id.bytes().all(|b| b.is_ascii_digit() || b == b'.'), "part {id:?}");
        assert!(ids.insert(id), "part {id:?} is there twice");
        let name = &attachment.file_name;
        assert!(!name.is_empty() && name.chars().count() <= 200, "{name:?}");
        assert!(
            !name.chars().any(|c| c.is_control() || "/\\<>:\"|?*".contains(c)),
            "{name:?}"
        );
        assert!(!name.starts_with('.') && !name.ends_with('.'), "{name:?}");
        let media_type = &attachment.media_type;
        assert!(
            !media_type.is_empty() && !media_type.chars().any(char::is_control),
            "{media_type:?}"
        );
        assert_eq!(*media_type, media_type.to_ascii_lowercase());
        if let Some(id) = &attachment.content_id {
            assert!(!id.is_empty() && !id.chars().any(char::is_control), "{id:?}");
        }
        let Source::Inline(content) = &attachment.source else {
            panic!("nothing is elsewhere: {attachment:?}");
        };
        assert_eq!(attachment.size, content.len() as u64);
        bytes += content.len();
    }
    assert!(bytes <= size, "{bytes} bytes of attachments out of {size}");
}

/// A message that breaks no rule, and what it says.
struct WellFormed {
    raw: Vec<u8>,
    /// Words that a reader has to find, each of them in one part.
    words: Vec<String>,
    /// The files that it carries.
    files: Vec<Vec<u8>>,
}

impl WellFormed {
    fn new(choices: &mut Choices<'_>) -> Self {
        let mut message = Self {
            raw: Vec::new(),
            words: Vec::new(),
            files: Vec::new(),
        };
        let entity = message.entity(choices, 0);
        message.raw = b"From: Ann <ann@client.example>\r\nTo: me@acme.example\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n".to_vec();
        message.raw.extend(entity);
        message
    }

    /// Nothing that it says is lost: each word is in the text or in the HTML or in an attachment, each file is an
    /// attachment, byte for byte.
    fn check(&self) {
        let parsed = parse(&self.raw).unwrap();
        let contents: Vec<&[u8]> = parsed
            .attachments
            .iter()
            .map(|attachment| match &attachment.source {
                Source::Inline(content) => content.as_slice(),
                Source::InPlace(_) | Source::Remote { .. } => panic!("nothing is elsewhere"),
            })
            .collect();
        for word in &self.words {
            let shown = [&parsed.text, &parsed.html]
                .into_iter()
                .flatten()
                .any(|text| text.contains(word));
            let carried = contents
                .iter()
                .any(|content| content.windows(word.len()).any(|part| part == word.as_bytes()));
            assert!(
                shown || carried,
                "{word} is lost of {}",
                String::from_utf8_lossy(&self.raw)
            );
        }
        for file in &self.files {
            assert!(
                contents.contains(&file.as_slice()),
                "a file is lost of {}",
                String::from_utf8_lossy(&self.raw)
            );
        }
    }

    fn entity(&mut self, choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
        match choices.below(8) {
            0..=2 if depth < 8 => self.multipart(choices, depth),
            3 | 4 => self.file(choices),
            kind => self.text(choices, if kind == 5 { "html" } else { "plain" }),
        }
    }

    fn multipart(&mut self, choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
        let kind = choices.pick(&[
            "mixed",
            "alternative",
            "related",
            "signed",
            "report",
            "parallel",
            "x-unknown",
        ]);
        let boundary = format!(
            "{}{depth}_{}",
            choices.pick(&["b", "=_", "--", "a b", "'():"]),
            self.words.len()
        );
        let parts: Vec<Vec<u8>> = (0..=choices.below(4))
            .map(|_| self.entity(choices, depth + 1))
            .collect();
        let mut raw =
            format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n\r\n").into_bytes();
        if choices.yes() {
            raw.extend_from_slice(b"A preamble.\r\n");
        }
        for part in parts {
            raw.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            raw.extend(part);
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        if choices.yes() {
            raw.extend_from_slice(b"An epilogue.\r\n");
        }
        raw
    }

    fn text(&mut self, choices: &mut Choices<'_>, kind: &str) -> Vec<u8> {
        let word = format!("word{}end", self.words.len());
        let text = choices.pick(&[
            "",
            "é and ü. ",
            "> quoted\r\n",
            "On Mon, 1 Sep 2025, Mia wrote:\r\n",
            "=3D=\r\n",
            ".\r\n",
        ]);
        let text = if kind == "html" {
            format!("<p>{word} {text}</p>\r\n")
        } else {
            format!("{text}{word}\r\n")
        };
        self.words.push(word);
        let charset = choices.pick(&["utf-8", "iso-8859-1", "windows-1252", "UTF-8"]);
        let bytes: Vec<u8> = if charset.eq_ignore_ascii_case("utf-8") {
            text.into_bytes()
        } else {
            text.chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect()
        };
        let disposition = choices.pick(&[
            "",
            "Content-Disposition: inline\r\n",
            "Content-Disposition: attachment; filename=a.txt\r\n",
        ]);
        let mut raw =
            format!("Content-Type: text/{kind}; charset=\"{charset}\"\r\n{disposition}").into_bytes();
        raw.extend(encoded(choices, &bytes));
        raw
    }

    fn file(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        // With a number, so that no file is the end of another one.
        let mut bytes = format!("{}:", self.files.len()).into_bytes();
        bytes.extend(choices.bytes(200));
        let kind = choices.pick(&[
            "image/png",
            "application/pdf",
            "application/octet-stream",
            "text/calendar",
        ]);
        let disposition = choices.pick(&[
            "attachment",
            "inline",
            "attachment; filename=\"a b.pdf\"",
            "inline; filename*=utf-8''%e2%82%ac.png",
        ]);
        let mut raw = format!(
            "Content-Type: {kind}\r\nContent-Disposition: {disposition}\r\nContent-ID: <{}@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            self.files.len()
        )
        .into_bytes();
        raw.extend(lines(&bytes));
        self.files.push(bytes);
        raw
    }
}

/// The bytes with their transfer encoding and its header field.
fn encoded(choices: &mut Choices<'_>, bytes: &[u8]) -> Vec<u8> {
    let (name, content) = match choices.below(3) {
        0 => ("8bit", bytes.to_vec()),
        1 => ("base64", lines(bytes)),
        _ => {
            let escaped = bytes.iter().flat_map(|byte| match byte {
                b'=' | 0x80.. => format!("={byte:02X}").into_bytes(),
                byte => vec![*byte],
            });
            ("Quoted-Printable", escaped.collect())
        }
    };
    let mut raw = format!("Content-Transfer-Encoding: {name}\r\n\r\n").into_bytes();
    raw.extend(content);
    raw
}

fn lines(bytes: &[u8]) -> Vec<u8> {
    let encoded = STANDARD.encode(bytes);
    encoded
        .as_bytes()
        .chunks(76)
        .flat_map(|line| [line, b"\r\n"].concat())
        .collect()
}
