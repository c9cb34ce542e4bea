//! Base64 in lines of 76 characters (RFC 2045 section 6.8), as the bytes come.
//!
//! What goes out is exactly [`encoded_size`] bytes long, however the input is cut: the size of a message is promised
//! before its attachments are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes that make a line of 76 characters.
const LINE_BYTES: usize = 57;

/// An incremental encoder. Feed it with [`push`](Self::push), end with [`finish`](Self::finish).
#[derive(Debug, Default)]
pub struct Base64Lines {
    /// Bytes that do not fill a line yet, fewer than 57.
    held: Vec<u8>,
}

impl Base64Lines {
    /// An encoder at the beginning of a line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes input and gives the whole lines that come of it, each with its CRLF.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity((self.held.len() + bytes.len()) / LINE_BYTES * 78);
        let mut rest = bytes;
        if !self.held.is_empty() {
            let (fill, after) = rest.split_at(rest.len().min(LINE_BYTES - self.held.len()));
            self.held.extend_from_slice(fill);
            rest = after;
            if self.held.len() == LINE_BYTES {
                write_line(&mut out, &self.held);
                self.held.clear();
            }
        }
        let lines = rest.chunks_exact(LINE_BYTES);
        self.held.extend_from_slice(lines.remainder());
        lines.for_each(|line| write_line(&mut out, line));
        out
    }

    /// The last, shorter line, with its CRLF; nothing when there is none.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.held.is_empty() {
            write_line(&mut out, &self.held);
        }
        out
    }
}

/// How many bytes [`Base64Lines`] makes of `size` bytes.
pub fn encoded_size(size: u64) -> u64 {
    let characters = size.div_ceil(3).saturating_mul(4);
    characters.saturating_add(characters.div_ceil(76).saturating_mul(2))
}

fn write_line(out: &mut Vec<u8>, line: &[u8]) {
    let mut characters = [0; 76];
    // At most 57 bytes come in, so 76 characters always suffice.
    if let Ok(length) = STANDARD.encode_slice(line, &mut characters) {
        out.extend_from_slice(characters.get(..length).unwrap_or_default());
    }
    out.extend_from_slice(b"\r\n");
}
