//! The MIME tree of a message, with ranges into its bytes instead of copies.

use std::ops::Range;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, MimeHeaders, PartType};

use crate::headers::unfold;

/// Deepest nesting of messages in messages that is shown.
const MAX_NESTING: usize = 8;
/// Deepest nesting of parts that is shown; the tree is walked recursively.
const MAX_DEPTH: usize = 100;

/// One node of the MIME tree, numbered as Gmail does: `""`, `0`, `0.1`.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) id: String,
    pub(crate) mime_type: String,
    pub(crate) filename: String,
    /// Name and unfolded value.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content: Content,
    pub(crate) parts: Vec<Part>,
}

/// Where the content of a part lies and how it is written.
#[derive(Debug)]
pub(crate) struct Content {
    range: Range<usize>,
    encoding: Encoding,
    /// Bytes once decoded.
    pub(crate) size: usize,
    pub(crate) kind: Kind,
}

/// How Gmail hands out the content of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A container: no content of its own.
    Container,
    /// In `body.data`.
    Inline,
    /// By `attachments.get`.
    Attachment,
}

impl Content {
    /// Everything from a byte on, as it stands.
    pub(crate) fn plain(range: Range<usize>) -> Self {
        Self {
            size: range.len(),
            range,
            encoding: Encoding::None,
            kind: Kind::Inline,
        }
    }

    /// The content, decoded, out of the bytes of its message.
    pub(crate) fn read(&self, raw: &[u8]) -> Vec<u8> {
        decode(raw.get(self.range.clone()).unwrap_or_default(), self.encoding)
    }
}

impl Part {
    /// Whether a predicate holds somewhere in the tree.
    pub(crate) fn any(&self, test: &dyn Fn(&Part) -> bool) -> bool {
        test(self) || self.parts.iter().any(|part| part.any(test))
    }

    /// The part with a number.
    pub(crate) fn find(&self, id: &str) -> Option<&Part> {
        if self.id == id {
            Some(self)
        } else {
            self.parts.iter().find_map(|part| part.find(id))
        }
    }
}

/// The tree below a part; numbering begins at `id`.
pub(crate) fn build_part(
    message: &mail_parser::Message<'_>,
    index: u32,
    id: String,
    raw: &[u8],
    nesting: usize,
) -> Part {
    let Some(part) = message.parts.get(index as usize) else {
        return empty_part(id);
    };
    let headers = part
        .headers
        .iter()
        .filter_map(|header| raw_header(header, raw))
        .collect();
    let body = part.offset_body as usize..(part.offset_end as usize).min(raw.len());
    let mime_type = part.content_type().map_or_else(
        || "text/plain".to_owned(),
        |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("plain")).to_lowercase(),
    );
    let filename = part.attachment_name().unwrap_or_default().to_owned();
    let child = |position: usize| {
        if id.is_empty() {
            position.to_string()
        } else {
            format!("{id}.{position}")
        }
    };
    let parts = match &part.body {
        _ if id.matches('.').count() >= MAX_DEPTH => Vec::new(),
        PartType::Multipart(children) => children
            .iter()
            .enumerate()
            .map(|(position, index)| build_part(message, *index, child(position), raw, nesting))
            .collect(),
        PartType::Message(inner) if part.encoding == Encoding::None && nesting < MAX_NESTING => {
            vec![build_part(inner, 0, child(0), raw, nesting + 1)]
        }
        _ => Vec::new(),
    };
    let disposed = part
        .content_disposition()
        .is_some_and(|found| found.ctype().eq_ignore_ascii_case("attachment"));
    let kind = if matches!(part.body, PartType::Multipart(_)) {
        Kind::Container
    } else if disposed || !filename.is_empty() || !mime_type.starts_with("text/") {
        Kind::Attachment
    } else {
        Kind::Inline
    };
    let size = match kind {
        Kind::Container => 0,
        _ => decode(raw.get(body.clone()).unwrap_or_default(), part.encoding).len(),
    };
    Part {
        id,
        mime_type,
        filename,
        headers,
        content: Content {
            range: body,
            encoding: part.encoding,
            size,
            kind,
        },
        parts,
    }
}

fn empty_part(id: String) -> Part {
    Part {
        id,
        mime_type: "text/plain".to_owned(),
        filename: String::new(),
        headers: Vec::new(),
        content: Content {
            range: 0..0,
            encoding: Encoding::None,
            size: 0,
            kind: Kind::Inline,
        },
        parts: Vec::new(),
    }
}

fn raw_header(header: &mail_parser::Header<'_>, raw: &[u8]) -> Option<(String, String)> {
    let name = raw.get(header.offset_field as usize..header.offset_start as usize)?;
    let value = raw.get(header.offset_start as usize..header.offset_end as usize)?;
    let name = String::from_utf8_lossy(name)
        .trim_end_matches(':')
        .trim()
        .to_owned();
    Some((name, unfold(&String::from_utf8_lossy(value))))
}

fn decode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::None => bytes.to_vec(),
        Encoding::QuotedPrintable => quoted_printable_decode(bytes).unwrap_or_else(|| bytes.to_vec()),
        Encoding::Base64 => base64_decode(bytes).unwrap_or_else(|| bytes.to_vec()),
    }
}
