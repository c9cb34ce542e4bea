//! A raw message (RFC 5322, MIME) as envelope, text, HTML and attachments.
//!
//! Header fields and encodings are mail-parser's. The splitting into parts is not: mail-parser parses attached messages
//! into a tree of `Message` values that is dropped (and in part copied) recursively, so some thousand nested
//! `message/rfc822` headers, a few dozen bytes each, overrun a 64 KiB stack. Here an attached message is a leaf, the tree
//! is an arena, depth and number of parts are capped, and parts are numbered as Gmail numbers them.

use std::borrow::Cow;

use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, Header, HeaderName, HeaderValue, MessageParser};

use super::charset::TransferEncoding;
use super::envelope::{Envelope, MAX_HEADER_BYTES, header_parser};
use super::part::{
    Attachment, Body, Disposition, MAX_DEPTH, MAX_PARTS, Node, assemble, leave_in_place, text_bytes,
};
use super::text::clean_line;

/// The largest raw message accepted, in bytes: Gmail's largest with room to spare, and what memory allows.
pub const MAX_RAW_BYTES: usize = 40 * 1024 * 1024;

/// A message as a reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The headers.
    pub envelope: Envelope,
    /// The text: the plain alternative, or made from the HTML when there is no plain one. Line breaks are `\n`.
    pub text: Option<String>,
    /// The HTML alternative as sent: to be sanitised before it goes anywhere (T07).
    pub html: Option<String>,
    /// Everything that is not shown as text, in the order of the message.
    pub attachments: Vec<Attachment>,
}

/// Why a message cannot be taken apart. Broken syntax never is a reason; size is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// There is no header field in it at all.
    #[error("the message has no headers")]
    NoHeaders,
    /// Larger than [`MAX_RAW_BYTES`].
    #[error("the message has {bytes} bytes, more than the {MAX_RAW_BYTES} that are parsed in memory")]
    TooLarge {
        /// The size of the message in bytes.
        bytes: usize,
    },
    /// More than [`MAX_PARTS`] parts, or (in Gmail's tree) deeper than [`MAX_DEPTH`].
    #[error("the message has more than {MAX_PARTS} parts, or nests them deeper than {MAX_DEPTH}")]
    TooManyParts,
}

/// The longest text and HTML, encoded and together, of a message that is parsed in place, in bytes: as long as
/// those of the largest message that is fetched whole.
const MAX_TEXT_IN_PLACE: usize = 2 * 1024 * 1024;

/// Takes a raw message apart. Never panics, whatever the bytes; broken MIME gives what can be read of it, and what
/// cannot be shown as text is an attachment.
pub fn parse(raw: &[u8]) -> Result<Parsed, ParseError> {
    parse_keeping(raw, Keep::Content)
}

/// The same, attachments left where they are ([`Source::InPlace`](super::Source)): a message of 36 MB takes no more memory than
/// that (S19).
pub fn parse_in_place(raw: &[u8]) -> Result<Parsed, ParseError> {
    parse_keeping(raw, Keep::Places)
}

/// What is kept of attachments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Their bytes.
    Content,
    /// Where they are in the raw message.
    Places,
}

fn parse_keeping(raw: &[u8], keep: Keep) -> Result<Parsed, ParseError> {
    if raw.len() > MAX_RAW_BYTES {
        return Err(ParseError::TooLarge { bytes: raw.len() });
    }
    let parser = header_parser();
    let (headers, body) = split_headers(&parser, raw);
    if headers.is_empty() {
        return Err(ParseError::NoHeaders);
    }
    let envelope = Envelope::from_parsed(&headers, raw);
    let mut nodes = part_tree(&parser, &headers, body)?;
    if keep == Keep::Places {
        let bytes = text_bytes(&nodes);
        if bytes > MAX_TEXT_IN_PLACE {
            return Err(ParseError::TooLarge { bytes });
        }
        leave_in_place(&mut nodes, raw);
    }
    let content = assemble(nodes);
    Ok(Parsed {
        envelope,
        text: content.text,
        html: content.html,
        attachments: content.attachments,
    })
}

/// A multipart whose children are still to be read.
struct Open<'a> {
    node: usize,
    depth: usize,
    body: &'a [u8],
    boundary: String,
    default_type: &'static str,
}

fn part_tree<'a>(
    parser: &MessageParser,
    headers: &[Header<'a>],
    body: &'a [u8],
) -> Result<Vec<Node<'a>>, ParseError> {
    let mut nodes = Vec::with_capacity(8);
    let mut open = Vec::new();
    add_part(
        &mut nodes,
        &mut open,
        String::new(),
        0,
        headers,
        body,
        "text/plain",
    );
    while let Some(multipart) = open.pop() {
        let mut children = Vec::new();
        for (position, part) in Parts::new(multipart.body, &multipart.boundary).enumerate() {
            if nodes.len() >= MAX_PARTS {
                return Err(ParseError::TooManyParts);
            }
            let (part_headers, part_body) = split_headers(parser, part);
            let parent = nodes
                .get(multipart.node)
                .map(|node: &Node<'_>| node.part_id.as_str())
                .unwrap_or_default();
            let part_id = if parent.is_empty() {
                position.to_string()
            } else {
                format!("{parent}.{position}")
            };
            children.push(nodes.len());
            add_part(
                &mut nodes,
                &mut open,
                part_id,
                multipart.depth + 1,
                &part_headers,
                part_body,
                multipart.default_type,
            );
        }
        if let Some(node) = nodes.get_mut(multipart.node) {
            if children.is_empty() {
                // The boundary never occurs: what is there is shown, not lost.
                "text/plain".clone_into(&mut node.media_type);
                node.body = Body::Encoded(multipart.body, TransferEncoding::Identity);
            }
            node.children = children;
        }
    }
    Ok(nodes)
}

fn add_part<'a>(
    nodes: &mut Vec<Node<'a>>,
    open: &mut Vec<Open<'a>>,
    part_id: String,
    depth: usize,
    headers: &[Header<'_>],
    body: &'a [u8],
    default_type: &'static str,
) {
    let field = |name: &HeaderName<'_>| {
        headers
            .iter()
            .rev()
            .find(|header| header.name == *name)
            .map(|header| &header.value)
    };
    let content_type = field(&HeaderName::ContentType).and_then(HeaderValue::as_content_type);
    let disposition = field(&HeaderName::ContentDisposition).and_then(HeaderValue::as_content_type);
    let encoding = field(&HeaderName::ContentTransferEncoding)
        .and_then(HeaderValue::as_text)
        .map_or(TransferEncoding::Identity, TransferEncoding::from_label);
    let media_type = content_type
        .and_then(media_type)
        .map_or(Cow::Borrowed(default_type), Cow::Owned);
    let boundary = content_type
        .and_then(|content_type| content_type.attribute("boundary"))
        .filter(|boundary| !boundary.is_empty());
    if media_type.starts_with("multipart/")
        && depth < MAX_DEPTH
        && let Some(boundary) = boundary
    {
        let default_type = if media_type == "multipart/digest" {
            "message/rfc822"
        } else {
            "text/plain"
        };
        open.push(Open {
            node: nodes.len(),
            depth,
            body,
            boundary: boundary.to_owned(),
            default_type,
        });
    }
    nodes.push(Node {
        part_id,
        charset: content_type
            .and_then(|content_type| content_type.attribute("charset"))
            .map(str::to_owned),
        file_name: file_name(content_type, disposition),
        content_id: field(&HeaderName::ContentId)
            .and_then(HeaderValue::as_text)
            .map(|id| clean_line(id.trim_matches(['<', '>', ' ']), 500))
            .filter(|id| !id.is_empty()),
        disposition: disposition.map(|disposition| {
            if disposition.ctype().eq_ignore_ascii_case("inline") {
                Disposition::Inline
            } else {
                Disposition::Attachment
            }
        }),
        body: Body::Encoded(body, encoding),
        media_type: media_type.into_owned(),
        children: Vec::new(),
    });
}

fn media_type(content_type: &ContentType<'_>) -> Option<String> {
    let subtype = content_type.subtype()?;
    Some(clean_line(&format!("{}/{subtype}", content_type.ctype()), 200).to_ascii_lowercase())
}

/// `filename` of the disposition, else `name` of the type (RFC 2183 section 2.3). Encoded words do not belong into
/// parameters (RFC 2047 section 5), but many programs put them there.
fn file_name(
    content_type: Option<&ContentType<'_>>,
    disposition: Option<&ContentType<'_>>,
) -> Option<String> {
    let name = disposition
        .and_then(|disposition| disposition.attribute("filename"))
        .or_else(|| content_type.and_then(|content_type| content_type.attribute("name")))?;
    if !name.contains("=?") {
        return Some(name.to_owned());
    }
    let field = format!("{name}\n");
    Some(
        MessageStream::new(field.as_bytes())
            .parse_unstructured()
            .as_text()
            .unwrap_or(name)
            .to_owned(),
    )
}

/// The header fields at the beginning of `raw`, and what follows the blank line.
fn split_headers<'a>(parser: &MessageParser, raw: &'a [u8]) -> (Vec<Header<'a>>, &'a [u8]) {
    let mut headers = Vec::new();
    // A part without headers begins with its blank line, or has none because the boundary line's end was it.
    let mut stream = MessageStream::new(raw);
    let ended = stream.parse_headers(parser, &mut headers);
    let body = if ended {
        raw.get(stream.offset()..).unwrap_or_default()
    } else {
        &[]
    };
    if headers
        .iter()
        .any(|header| header.offset_end as usize > MAX_HEADER_BYTES)
    {
        headers.retain(|header| header.offset_end as usize <= MAX_HEADER_BYTES);
    }
    (headers, body)
}

/// The parts between boundary lines (RFC 2046 section 5.1.1). Preamble and epilogue are left out; a missing closing
/// boundary ends the last part at the end of the input.
struct Parts<'a, 'b> {
    rest: Option<&'a [u8]>,
    boundary: &'b [u8],
}

impl<'a, 'b> Parts<'a, 'b> {
    fn new(body: &'a [u8], boundary: &'b str) -> Self {
        let boundary = boundary.trim_end().as_bytes();
        let rest = find_boundary(body, boundary)
            .and_then(|line| (!line.closes).then(|| body.get(line.after..)).flatten());
        Self { rest, boundary }
    }
}

impl<'a> Iterator for Parts<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let Some(line) = find_boundary(rest, self.boundary) else {
            return (!rest.iter().all(u8::is_ascii_whitespace)).then_some(rest);
        };
        if !line.closes {
            self.rest = rest.get(line.after..);
        }
        // The line break before a boundary belongs to the boundary.
        let part = rest.get(..line.start).unwrap_or_default();
        let part = part
            .strip_suffix(b"\n")
            .map_or(part, |part| part.strip_suffix(b"\r").unwrap_or(part));
        Some(part)
    }
}

struct BoundaryLine {
    start: usize,
    after: usize,
    closes: bool,
}

fn find_boundary(data: &[u8], boundary: &[u8]) -> Option<BoundaryLine> {
    let mut start = 0;
    loop {
        let line = data.get(start..)?;
        if line.starts_with(b"--")
            && let Some(tail) = line.get(2..).and_then(|line| line.strip_prefix(boundary))
        {
            let end = tail
                .iter()
                .position(|b| *b == b'\n')
                .map_or(tail.len(), |end| end + 1);
            let rest_of_line = tail.get(..end).unwrap_or_default().trim_ascii();
            if rest_of_line.is_empty() || rest_of_line == b"--" {
                let after = start + 2 + boundary.len() + end;
                return Some(BoundaryLine {
                    start,
                    after,
                    closes: rest_of_line == b"--",
                });
            }
        }
        start += line.iter().position(|b| *b == b'\n')? + 1;
    }
}
