//! Writing header fields: folding, encoded words (RFC 2047), parameters (RFC 2231).
//!
//! mail-builder puts encoded words into quotation marks, names and file names alike, which RFC 2047 section 5 forbids
//! and strict readers show undecoded; so this is done here. Lines stay within 78 columns where a word allows it. Callers
//! pass cleaned text; line breaks that come in all the same are written as spaces.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Lines are folded before this column (RFC 5322 section 2.1.1).
const MAX_COLUMN: usize = 76;
/// Bytes of UTF-8 in one encoded word: 56 characters of base64 and 12 of frame, under the 75 of RFC 2047 section 2.
const ENCODED_WORD_BYTES: usize = 42;
/// Characters of an encoded parameter value on one line.
const PARAMETER_CHARS: usize = 50;

/// Writes one header field.
pub(super) struct FieldWriter<'o> {
    out: &'o mut Vec<u8>,
    column: usize,
}

impl<'o> FieldWriter<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, name: &str) -> Self {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        Self {
            out,
            column: name.len() + 1,
        }
    }

    /// A word, after a space or on a new line.
    pub(super) fn word(mut self, word: &str) -> Self {
        let fits = self.column + 1 + word.len() <= MAX_COLUMN;
        // A field must not begin with an empty line (RFC 5322 section 3.2.2), so the first word stays on its line.
        if fits || self.out.last() == Some(&b':') {
            self.out.push(b' ');
            self.column += 1;
        } else {
            self.out.extend_from_slice(b"\r\n ");
            self.column = 1;
        }
        self.out.extend(
            word.bytes()
                .map(|b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { b }),
        );
        self.column += word.len();
        self
    }

    /// Unstructured text (a subject).
    pub(super) fn text(self, text: &str) -> Self {
        let plain = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
            && !text.contains("=?")
            && !text.contains("  ")
            && text.split(' ').all(|word| word.len() < MAX_COLUMN);
        if plain {
            text.split(' ').fold(self, FieldWriter::word)
        } else {
            self.encoded_words(text)
        }
    }

    /// A display name: as words, quoted, or encoded.
    pub(super) fn phrase(self, name: &str) -> Self {
        let ascii = name.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
            && !name.contains("=?")
            && name.len() < 60;
        if !ascii {
            self.encoded_words(name)
        } else if name
            .split(' ')
            .all(|word| !word.is_empty() && word.chars().all(is_atom_text))
        {
            self.word(name)
        } else {
            self.word(&format!(
                "\"{}\"",
                name.replace('\\', "\\\\").replace('"', "\\\"")
            ))
        }
    }

    /// `; name=value`, as RFC 2231 says when the value is long or not plain ASCII.
    pub(super) fn parameter(mut self, name: &str, value: &str) -> Self {
        self.out.push(b';');
        self.column += 1;
        let plain = value.len() <= PARAMETER_CHARS
            && value
                .bytes()
                .all(|b| b == b' ' || (b.is_ascii_graphic() && !matches!(b, b'"' | b'\\')))
            && !value.contains("=?");
        if plain {
            return self.word(&format!("{name}=\"{value}\""));
        }
        let pieces = percent_encoded(value);
        if let [piece] = pieces.as_slice() {
            return self.word(&format!("{name}*=utf-8''{piece}"));
        }
        for (i, piece) in pieces.iter().enumerate() {
            let charset = if i == 0 { "utf-8''" } else { "" };
            let more = if i + 1 < pieces.len() { ";" } else { "" };
            self = self.word(&format!("{name}*{i}*={charset}{piece}{more}"));
        }
        self
    }

    pub(super) fn end(self) {
        self.out.extend_from_slice(b"\r\n");
    }

    fn encoded_words(mut self, text: &str) -> Self {
        let mut rest = text;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.floor_char_boundary(ENCODED_WORD_BYTES));
            self = self.word(&format!("=?UTF-8?B?{}?=", STANDARD.encode(chunk)));
            rest = after;
        }
        self
    }
}

/// `atext` of RFC 5322 section 3.2.3.
pub(super) fn is_atom_text(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

/// The value percent-encoded, in pieces that end between characters.
fn percent_encoded(value: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in value.chars() {
        let mut encoded = String::new();
        let mut buffer = [0; 4];
        for b in c.encode_utf8(&mut buffer).bytes() {
            if b.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&b) {
                encoded.push(char::from(b));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{b:02X}");
            }
        }
        match pieces.last_mut() {
            Some(piece) if piece.len() + encoded.len() <= PARAMETER_CHARS => {
                piece.push_str(&encoded);
            }
            _ => pieces.push(encoded),
        }
    }
    pieces
}
