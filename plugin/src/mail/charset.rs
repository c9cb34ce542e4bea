//! Bytes to text, without ever failing.
//!
//! The label in a message is a hint: it may be unknown (`utf-8*fr`, `x-unknown`), a lie (`us-ascii` over UTF-8) or absent.
//! Decoding is mail-parser's (`full_encoding`, which is encoding_rs for the multi-byte sets); here is what to do when the
//! label does not help. No mail is refused for its charset: one bad message must not stop a mailbox.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

/// How the bytes of a part are encoded for transport (RFC 2045 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    /// 7bit, 8bit, binary, and everything unknown.
    Identity,
    /// Base64.
    Base64,
    /// Quoted-printable.
    QuotedPrintable,
}

impl TransferEncoding {
    pub(super) fn from_label(label: &str) -> Self {
        let label = label.trim().trim_matches(['"', ';']);
        if label.eq_ignore_ascii_case("base64") {
            Self::Base64
        } else if label.eq_ignore_ascii_case("quoted-printable") {
            Self::QuotedPrintable
        } else {
            Self::Identity
        }
    }

    /// The content without its transport encoding; damaged input gives what can be read of it.
    pub(super) fn decode(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Identity => Cow::Borrowed(bytes),
            Self::Base64 => Cow::Owned(base64_decode(bytes).unwrap_or_else(|| lenient_base64(bytes))),
            Self::QuotedPrintable => {
                Cow::Owned(quoted_printable_decode(bytes).unwrap_or_else(|| lenient_quoted_printable(bytes)))
            }
        }
    }
}

/// Content without its transport encoding, a part at a time.
pub struct Decoding<'a> {
    rest: &'a [u8],
    encoding: TransferEncoding,
    sextets: Sextets,
}

impl<'a> Decoding<'a> {
    /// About so many encoded bytes are decoded at a time.
    const PART: usize = 64 * 1024;

    pub(super) fn new(encoded: &'a [u8], encoding: TransferEncoding) -> Self {
        Self {
            rest: encoded,
            encoding,
            sextets: Sextets::default(),
        }
    }

    /// Escapes do not go beyond a line.
    fn split_at(&self) -> usize {
        let at = self.rest.len().min(Self::PART);
        if self.encoding != TransferEncoding::QuotedPrintable {
            return at;
        }
        let rest_of_line = self.rest[at..].iter().position(|byte| *byte == b'\n');
        rest_of_line.map_or(self.rest.len(), |end| at + end + 1)
    }
}

impl Iterator for Decoding<'_> {
    type Item = Vec<u8>;

    /// Never none at all.
    fn next(&mut self) -> Option<Vec<u8>> {
        while !self.rest.is_empty() {
            let (part, rest) = self.rest.split_at(self.split_at());
            self.rest = rest;
            let decoded = match self.encoding {
                TransferEncoding::Base64 => self.sextets.decode(part),
                encoding => encoding.decode(part).into_owned(),
            };
            if !decoded.is_empty() {
                return Some(decoded);
            }
        }
        None
    }
}

/// Text in the charset that `label` names; without a usable label UTF-8, and failing that windows-1252.
pub(super) fn decode_text(bytes: Cow<'_, [u8]>, label: Option<&str>) -> String {
    let label = label.map(bare_label).filter(|label| !label.is_empty());
    let claims_ascii_or_utf8 = label.is_none_or(|label| {
        ["utf-8", "utf8", "us-ascii", "ascii"]
            .iter()
            .any(|known| label.eq_ignore_ascii_case(known))
    });
    if !claims_ascii_or_utf8 && let Some(decoder) = label.and_then(|label| charset_decoder(label.as_bytes()))
    {
        return decoder(&bytes);
    }
    match String::from_utf8(bytes.into_owned()) {
        Ok(text) => text,
        Err(error)
            if label.is_some_and(|label| {
                label.len() >= 3 && label.as_bytes()[..3].eq_ignore_ascii_case(b"utf")
            }) =>
        {
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        }
        Err(error) => decode_windows_1252(error.as_bytes()),
    }
}

/// A header value as text: UTF-8 where it is, windows-1252 where it is not.
pub(super) fn decode_header_bytes(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| decode_windows_1252(bytes), str::to_owned)
}

fn decode_windows_1252(bytes: &[u8]) -> String {
    charset_decoder(b"windows-1252").map_or_else(
        || String::from_utf8_lossy(bytes).into_owned(),
        |decoder| decoder(bytes),
    )
}

/// The label without quotes, white space and a language suffix (`utf-8*fr`, RFC 2231 section 5).
fn bare_label(label: &str) -> &str {
    label
        .split('*')
        .next()
        .unwrap_or(label)
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | '='))
}

fn lenient_base64(bytes: &[u8]) -> Vec<u8> {
    Sextets::default().decode(bytes)
}

/// Reads what is base64 and passes over the rest (RFC 2045 section 6.8 asks for this).
#[derive(Default)]
struct Sextets {
    group: u32,
    held: u32,
}

impl Sextets {
    /// The bytes that are complete now.
    fn decode(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
        for &b in bytes {
            let Some(six) = sextet(b) else { continue };
            self.group = self.group << 6 | u32::from(six);
            self.held += 6;
            if self.held >= 8 {
                self.held -= 8;
                out.push((self.group >> self.held & 0xff) as u8);
            }
        }
        out
    }
}

/// The six bits of a base64 or base64url character.
pub(super) fn sextet(b: u8) -> Option<u8> {
    match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Decodes the escapes that are escapes and leaves every other `=` as it is (RFC 2045 section 6.7, note on robustness).
fn lenient_quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        if b != b'=' {
            out.push(b);
            continue;
        }
        match after {
            [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..] => rest = tail,
            [high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex_value(*high) << 4 | hex_value(*low));
                rest = tail;
            }
            _ => out.push(b),
        }
    }
    out
}

pub(super) fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}
