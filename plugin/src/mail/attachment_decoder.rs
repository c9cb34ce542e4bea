//! Gmail's answer to `messages.attachments.get`, decoded while it streams in.
//!
//! The answer is `{"size": n, "data": "<base64url>"}`, up to 35 MB of it. The decoder keeps a few bytes of state, so an
//! attachment passes through without ever being whole. It takes the keys in any order, padding or none, both base64
//! alphabets and JSON's escapes (`\u003d`, `\/`): Gmail's answers have been seen in several of these forms.

use super::charset::{hex_value, sextet};

/// The longest key that is looked at; a longer one is not ours.
const MAX_KEY_BYTES: usize = 64;
/// The deepest nesting inside a value that is passed over.
const MAX_SKIP_DEPTH: usize = 64;

/// An incremental decoder.
#[derive(Debug, Default)]
pub struct AttachmentDecoder {
    state: State,
    escape: Escape,
    key: Vec<u8>,
    bits: u32,
    held_bits: u32,
    padded: bool,
    has_data: bool,
    announced: Option<u64>,
    total: u64,
}

/// Why an answer is not an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachmentError {
    /// Not the JSON object that was expected.
    #[error("the answer is not a JSON object")]
    NotJson,
    /// The answer ended too early.
    #[error("the answer ended before its end")]
    Truncated,
    /// An object without `data`, or with two.
    #[error("the answer has no data, or has it twice")]
    NoData,
    /// `data` is not base64.
    #[error("the data is not base64")]
    NotBase64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    BeforeKey,
    Key,
    BeforeColon,
    BeforeValue,
    Data,
    Number,
    SkippedString,
    /// Inside an object or array that is passed over.
    Skipped(usize),
    SkippedInner(usize),
    Literal,
    AfterValue,
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Started,
    Unicode {
        digits: u8,
        value: u32,
    },
}

impl AttachmentDecoder {
    /// A decoder at the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the answer and gives the content they hold.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, AttachmentError> {
        let mut out = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
        for &b in bytes {
            // The common case first: a character of the data.
            if self.state == State::Data && self.escape == Escape::None && b != b'"' && b != b'\\' {
                self.data(b, &mut out)?;
            } else {
                self.step(b, &mut out)?;
            }
        }
        self.total += out.len() as u64;
        Ok(out)
    }

    /// Ends the answer: the number of bytes decoded in all. An answer that is cut off is an error.
    pub fn finish(self) -> Result<u64, AttachmentError> {
        match self.state {
            State::End if self.has_data => Ok(self.total),
            State::End => Err(AttachmentError::NoData),
            _ => Err(AttachmentError::Truncated),
        }
    }

    /// The `size` that Gmail announced, once it has been read.
    pub fn announced_size(&self) -> Option<u64> {
        self.announced
    }

    fn step(&mut self, b: u8, out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        match self.state {
            State::Key | State::Data | State::SkippedString | State::SkippedInner(_) => {
                return self.in_string(b, out);
            }
            State::Skipped(depth) => return self.skip(b, depth),
            State::Number | State::Literal => {
                if !matches!(b, b',' | b'}') && !b.is_ascii_whitespace() {
                    return self.scalar(b);
                }
                self.state = State::AfterValue;
            }
            _ => {}
        }
        if b.is_ascii_whitespace() {
            return Ok(());
        }
        self.state = match (self.state, b) {
            (State::Start, b'{') | (State::AfterValue, b',') => State::BeforeKey,
            (State::BeforeKey, b'"') => {
                self.key.clear();
                State::Key
            }
            (State::BeforeColon, b':') => State::BeforeValue,
            (State::BeforeValue, b'"') if self.key == b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    return Err(AttachmentError::NoData);
                }
                State::Data
            }
            (State::BeforeValue, b'"') => State::SkippedString,
            (State::BeforeValue, b'{' | b'[') => State::Skipped(1),
            (State::BeforeValue, b'0'..=b'9') if self.key == b"size" => {
                self.announced = Some(u64::from(b - b'0'));
                State::Number
            }
            (State::BeforeValue, b) if b.is_ascii_alphanumeric() || b == b'-' => State::Literal,
            (State::BeforeKey | State::AfterValue, b'}') => State::End,
            _ => return Err(AttachmentError::NotJson),
        };
        Ok(())
    }

    fn scalar(&mut self, b: u8) -> Result<(), AttachmentError> {
        match (self.state, b) {
            (State::Number, b'0'..=b'9') => {
                let size = self.announced.unwrap_or_default();
                self.announced = Some(size.saturating_mul(10).saturating_add(u64::from(b - b'0')));
                Ok(())
            }
            (State::Literal, b) if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.') => Ok(()),
            _ => Err(AttachmentError::NotJson),
        }
    }

    fn skip(&mut self, b: u8, depth: usize) -> Result<(), AttachmentError> {
        self.state = match b {
            b'"' => State::SkippedInner(depth),
            b'{' | b'[' if depth >= MAX_SKIP_DEPTH => return Err(AttachmentError::NotJson),
            b'{' | b'[' => State::Skipped(depth + 1),
            b'}' | b']' if depth == 1 => State::AfterValue,
            b'}' | b']' => State::Skipped(depth - 1),
            _ => return Ok(()),
        };
        Ok(())
    }

    fn in_string(&mut self, b: u8, out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        let character = match self.escape {
            Escape::None => match b {
                b'\\' => {
                    self.escape = Escape::Started;
                    return Ok(());
                }
                b'"' => return self.end_string(),
                b => b,
            },
            Escape::Started if b == b'u' => {
                self.escape = Escape::Unicode { digits: 0, value: 0 };
                return Ok(());
            }
            Escape::Started => {
                self.escape = Escape::None;
                match b {
                    b'n' | b'r' | b't' => b'\n',
                    b'"' | b'\\' | b'/' => b,
                    // `\b` and `\f`: outside every alphabet.
                    _ => 0,
                }
            }
            Escape::Unicode { digits, value } => {
                if !b.is_ascii_hexdigit() {
                    return Err(AttachmentError::NotJson);
                }
                let value = value << 4 | u32::from(hex_value(b));
                if digits < 3 {
                    self.escape = Escape::Unicode {
                        digits: digits + 1,
                        value,
                    };
                    return Ok(());
                }
                self.escape = Escape::None;
                u8::try_from(value).ok().filter(u8::is_ascii).unwrap_or(0)
            }
        };
        match self.state {
            State::Key if self.key.len() < MAX_KEY_BYTES => {
                self.key.push(character);
                Ok(())
            }
            State::Data => self.data(character, out),
            _ => Ok(()),
        }
    }

    fn end_string(&mut self) -> Result<(), AttachmentError> {
        self.state = match self.state {
            State::Key => State::BeforeColon,
            State::SkippedInner(depth) => State::Skipped(depth),
            // A lone character holds six bits: no byte, so one was lost.
            State::Data if self.held_bits == 6 => return Err(AttachmentError::NotBase64),
            _ => State::AfterValue,
        };
        Ok(())
    }

    fn data(&mut self, b: u8, out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        match sextet(b) {
            Some(six) if !self.padded => {
                self.bits = (self.bits << 6 | u32::from(six)) & 0xffff;
                self.held_bits += 6;
                if self.held_bits >= 8 {
                    self.held_bits -= 8;
                    out.push((self.bits >> self.held_bits & 0xff) as u8);
                }
                Ok(())
            }
            None if b == b'=' => {
                self.padded = true;
                Ok(())
            }
            None if matches!(b, b'\n' | b'\r' | b' ' | b'\t') => Ok(()),
            _ => Err(AttachmentError::NotBase64),
        }
    }
}
