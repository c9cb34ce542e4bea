//! A message (RFC 5322, RFC 2045) with stand-ins, byte for byte as long as it was.
//!
//! Works on lines and boundaries alone: what is malformed stays malformed in the same way.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{text::StandIns, units};

/// Parts inside parts beyond which a part is taken for text.
const DEEPEST: usize = 50;

/// The message with stand-ins.
pub(super) fn mail(raw: &[u8], stand_ins: &StandIns) -> Vec<u8> {
    let mut walk = Walk {
        lines: raw.split_inclusive(|byte| *byte == b'\n').collect(),
        at: 0,
        out: Vec::with_capacity(raw.len()),
        boundaries: Vec::new(),
        stand_ins,
    };
    walk.entity();
    while walk.at < walk.lines.len() {
        walk.leaf(&Kind::default());
    }
    walk.out
}

/// The value of a header field, on one line.
pub(super) fn header_value(name: &str, value: &str, stand_ins: &StandIns) -> String {
    match name.to_ascii_lowercase().as_str() {
        "mime-version" | "content-transfer-encoding" | "date" | "auto-submitted" | "precedence" => {
            value.to_owned()
        }
        "content-type" | "content-disposition" => parameters(value, stand_ins),
        "message-id" | "in-reply-to" | "references" | "content-id" => ids(value, stand_ins),
        "authentication-results" | "x-failed-recipients" => stand_ins.in_addresses(value),
        // A delivery report (RFC 3464, 2.2 and 2.3).
        "action" | "status" | "arrival-date" | "last-attempt-date" | "will-retry-until" => value.to_owned(),
        "original-recipient" | "final-recipient" | "reporting-mta" | "received-from-mta" | "remote-mta"
        | "diagnostic-code" => typed(value, stand_ins),
        _ => encoded_words(value, stand_ins),
    }
}

/// A value after its type, such as `rfc822; ann@example.com`.
fn typed(value: &str, stand_ins: &StandIns) -> String {
    match value.split_once(';') {
        Some((kind, rest)) => format!("{kind};{}", stand_ins.in_prose(rest)),
        None => stand_ins.in_prose(value),
    }
}

/// Message-IDs. What stands between them is people's: older clients write names there.
fn ids(value: &str, stand_ins: &StandIns) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(open) = rest.find('<') {
        let close = rest[open..].find('>').map_or(rest.len(), |at| open + at);
        out.push_str(&stand_ins.in_prose(&rest[..open]));
        out.push_str(&stand_ins.in_addresses(&rest[open..close]));
        rest = &rest[close..];
    }
    out.push_str(&stand_ins.in_prose(rest));
    out
}

/// What a part is.
#[derive(Default)]
struct Kind {
    media_type: String,
    boundary: Option<Vec<u8>>,
    encoding: String,
}

struct Walk<'m> {
    lines: Vec<&'m [u8]>,
    at: usize,
    out: Vec<u8>,
    boundaries: Vec<Vec<u8>>,
    stand_ins: &'m StandIns,
}

impl Walk<'_> {
    /// Header and body of a message or part, up to the boundary that ends it.
    fn entity(&mut self) {
        let kind = self.header();
        let is_deep = self.boundaries.len() >= DEEPEST;
        match &kind.boundary {
            Some(boundary) if kind.media_type.starts_with("multipart/") && !is_deep => {
                self.boundaries.push(boundary.clone());
                self.leaf(&Kind::default());
                while let Some(line) = self.lines.get(self.at) {
                    if !starts_boundary(line, boundary) {
                        break;
                    }
                    self.out.extend_from_slice(line);
                    self.at += 1;
                    if ends_boundary(line, boundary) {
                        break;
                    }
                    self.entity();
                }
                self.boundaries.pop();
                self.leaf(&Kind::default());
            }
            _ if kind.media_type == "message/rfc822" && is_plain(&kind.encoding) && !is_deep => {
                self.entity();
            }
            _ if is_of_fields(&kind.media_type) && is_plain(&kind.encoding) => {
                while self
                    .lines
                    .get(self.at)
                    .is_some_and(|line| !self.is_boundary(line))
                {
                    self.header();
                }
            }
            _ => self.leaf(&kind),
        }
    }

    fn header(&mut self) -> Kind {
        let mut kind = Kind::default();
        while let Some(line) = self.lines.get(self.at) {
            if matches!(*line, b"\r\n" | b"\n") {
                self.out.extend_from_slice(line);
                self.at += 1;
                break;
            }
            if self.is_boundary(line) {
                break;
            }
            let mut field = line.to_vec();
            self.at += 1;
            while let Some(more) = self.lines.get(self.at)
                && matches!(more.first(), Some(b' ' | b'\t'))
            {
                field.extend_from_slice(more);
                self.at += 1;
            }
            self.field(&field, &mut kind);
        }
        kind
    }

    fn field(&mut self, field: &[u8], kind: &mut Kind) {
        let Some(colon) = field.iter().position(|byte| *byte == b':') else {
            let changed = self.stand_ins.in_bytes(field, false);
            self.out.extend_from_slice(&changed);
            return;
        };
        let (name, value) = field.split_at(colon + 1);
        let name_text = String::from_utf8_lossy(&name[..colon]).to_ascii_lowercase();
        match name_text.as_str() {
            "content-type" => {
                let text = String::from_utf8_lossy(value);
                let media_type = text.split(';').next().unwrap_or_default();
                kind.media_type = media_type.trim().to_ascii_lowercase();
                kind.boundary = parameter(&text, "boundary").map(String::into_bytes);
            }
            "content-transfer-encoding" => {
                kind.encoding = String::from_utf8_lossy(value).trim().to_ascii_lowercase();
            }
            _ => {}
        }
        self.out.extend_from_slice(name);
        let changed = match std::str::from_utf8(value) {
            Ok(text) => header_value(&name_text, text, self.stand_ins).into_bytes(),
            Err(_) => self.stand_ins.in_bytes(value, false),
        };
        self.out.extend_from_slice(&changed);
    }

    /// Lines up to the next boundary.
    fn leaf(&mut self, kind: &Kind) {
        let start = self.at;
        while self
            .lines
            .get(self.at)
            .is_some_and(|line| !self.is_boundary(line))
        {
            self.at += 1;
        }
        let body = self.lines.get(start..self.at).unwrap_or_default().concat();
        let is_text = kind.media_type.is_empty() || kind.media_type.starts_with("text/");
        let is_html = kind.media_type == "text/html";
        let changed = match kind.encoding.as_str() {
            "base64" => base64_lines(&body, self.stand_ins, is_text, is_html),
            "quoted-printable" if is_text => units::changed(&body, b'=', self.stand_ins, is_html),
            _ => self.stand_ins.in_bytes(&body, is_html),
        };
        self.out.extend_from_slice(&changed);
    }

    fn is_boundary(&self, line: &[u8]) -> bool {
        self.boundaries
            .iter()
            .any(|boundary| starts_boundary(line, boundary))
    }
}

fn starts_boundary(line: &[u8], boundary: &[u8]) -> bool {
    line.strip_prefix(b"--")
        .is_some_and(|rest| rest.starts_with(boundary))
}

fn ends_boundary(line: &[u8], boundary: &[u8]) -> bool {
    line.get(2 + boundary.len()..)
        .is_some_and(|rest| rest.starts_with(b"--"))
}

/// Whether a part has header fields for a body, in blocks.
fn is_of_fields(media_type: &str) -> bool {
    matches!(
        media_type,
        "message/delivery-status"
            | "message/global-delivery-status"
            | "message/disposition-notification"
            | "message/feedback-report"
            | "text/rfc822-headers"
            | "message/global-headers"
    )
}

fn is_plain(encoding: &str) -> bool {
    matches!(encoding, "" | "7bit" | "8bit" | "binary")
}

/// A parameter of a field (RFC 2045, 5.1).
fn parameter(text: &str, wanted: &str) -> Option<String> {
    text.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.to_owned())
    })
}

/// A field whose parameters may hold a file's name.
fn parameters(value: &str, stand_ins: &StandIns) -> String {
    let mut out = String::with_capacity(value.len());
    for (number, parameter) in value.split_inclusive(';').enumerate() {
        let name = parameter
            .split('=')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let is_name = name.starts_with("name") || name.starts_with("filename");
        match parameter.split_once('=') {
            Some((before, after)) if number > 0 && is_name => {
                out.push_str(before);
                out.push('=');
                out.push_str(&file_name(after, name.ends_with('*'), stand_ins));
            }
            _ => out.push_str(parameter),
        }
    }
    out
}

/// The value of a parameter with what surrounds it.
fn file_name(value: &str, is_extended: bool, stand_ins: &StandIns) -> String {
    let content = |character: char| !character.is_whitespace() && character != '"' && character != ';';
    let start = value.find(content).unwrap_or(value.len());
    let end = value.rfind(content).map_or(start, |at| {
        at + value[at..].chars().next().map_or(0, char::len_utf8)
    });
    let (before, rest) = value.split_at(start);
    let (name, after) = rest.split_at(end - start);
    let changed = if is_extended {
        // charset'language'percent-encoded
        let text = name.rfind('\'').map_or(0, |at| at + 1);
        let (charset, text) = name.split_at(text);
        let changed = units::changed(text.as_bytes(), b'%', stand_ins, false);
        format!("{charset}{}", String::from_utf8_lossy(&changed))
    } else if name.contains("=?") {
        encoded_words(name, stand_ins)
    } else {
        stand_ins.in_file_name(name)
    };
    format!("{before}{changed}{after}")
}

/// Prose with encoded words in it (RFC 2047).
fn encoded_words(text: &str, stand_ins: &StandIns) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(word) = rest.find("=?").and_then(|at| Word::read(rest, at)) {
        out.push_str(&stand_ins.in_prose(&rest[..word.start]));
        out.push_str(&rest[word.start..word.text.start]);
        let encoded = &rest[word.text.clone()];
        if word.is_base64 {
            let changed = base64_lines(encoded.as_bytes(), stand_ins, true, false);
            out.push_str(&String::from_utf8_lossy(&changed));
        } else {
            let changed = units::changed(encoded.as_bytes(), b'=', stand_ins, false);
            out.push_str(&String::from_utf8_lossy(&changed));
        }
        out.push_str("?=");
        rest = &rest[word.text.end + 2..];
    }
    out.push_str(&stand_ins.in_prose(rest));
    out
}

/// `=?charset?encoding?text?=`.
struct Word {
    start: usize,
    is_base64: bool,
    text: std::ops::Range<usize>,
}

impl Word {
    fn read(text: &str, start: usize) -> Option<Self> {
        let charset = start + 2 + text.get(start + 2..)?.find('?')?;
        let encoding = text.get(charset + 1..charset + 2)?;
        let is_base64 = encoding.eq_ignore_ascii_case("b");
        if !is_base64 && !encoding.eq_ignore_ascii_case("q") {
            return None;
        }
        let from = charset + 3;
        if text.get(charset + 2..from)? != "?" {
            return None;
        }
        let length = text.get(from..)?.find("?=")?;
        Some(Self {
            start,
            is_base64,
            text: from..from + length,
        })
    }
}

/// Base64 in lines: decoded, changed, encoded, and laid out as it was.
pub(super) fn base64_lines(encoded: &[u8], stand_ins: &StandIns, is_text: bool, is_html: bool) -> Vec<u8> {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let digits: Vec<u8> = encoded.iter().copied().filter(is_digit).collect();
    let alphabet = if digits.iter().any(|digit| b"-_".contains(digit)) {
        URL_SAFE
    } else {
        STANDARD
    };
    let lenient = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet, lenient);
    let changed = match engine.decode(&digits) {
        Ok(bytes) if is_text => engine.encode(stand_ins.in_bytes(&bytes, is_html)),
        Ok(bytes) => engine.encode(StandIns::in_binary(&bytes)),
        Err(_) => "A".repeat(digits.len()),
    };
    let mut changed = changed.bytes();
    encoded
        .iter()
        .map(|byte| {
            if is_digit(byte) {
                changed.next().unwrap_or(b'A')
            } else {
                *byte
            }
        })
        .collect()
}
