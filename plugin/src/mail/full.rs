//! The same message from Gmail's `format=full` payload: for messages too large to hold whole.
//!
//! Gmail has taken the message apart and undone the transfer encoding; attachments come as an id and a size, to be
//! streamed by the caller (S19, 25 MB in 64 MiB of memory). Text is in the charset its header names.

use std::borrow::Cow;

use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, HeaderValue};

use super::envelope::Envelope;
use super::parse::{ParseError, Parsed};
use super::part::{Body, Disposition, MAX_DEPTH, MAX_PARTS, Node, assemble};
use super::text::clean_line;

/// One part of Gmail's payload tree (`MessagePart`), decoded from JSON and base64url.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GmailPart {
    /// Gmail's `partId`: empty for the root, then `0`, `0.1`.
    pub part_id: String,
    /// Gmail's `mimeType`.
    pub mime_type: String,
    /// Gmail's `filename`; empty when there is none.
    pub filename: String,
    /// Name and value of the part's header fields; the root's are the message's.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: GmailBody,
    /// The children of a multipart.
    pub parts: Vec<GmailPart>,
}

/// The content of a part (`MessagePartBody`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GmailBody {
    /// Set when the content has to be fetched by `messages.attachments.get`.
    pub attachment_id: Option<String>,
    /// Size of the decoded content in bytes.
    pub size: u64,
    /// The content, transfer encoding undone, in the charset of the part's header.
    pub data: Option<Vec<u8>>,
}

/// A payload tree as the message it describes. An attachment without data is [`super::Source::Remote`]. A text part that
/// Gmail did not include is an attachment too: fetch it if it has to be shown.
pub fn from_full(root: GmailPart) -> Result<Parsed, ParseError> {
    if root.headers.is_empty() {
        return Err(ParseError::NoHeaders);
    }
    let envelope = Envelope::from_headers(&root.headers);
    let content = assemble(arena(root)?);
    Ok(Parsed {
        envelope,
        text: content.text,
        html: content.html,
        attachments: content.attachments,
    })
}

fn arena(root: GmailPart) -> Result<Vec<Node<'static>>, ParseError> {
    let mut nodes: Vec<Node<'static>> = Vec::new();
    let mut waiting = vec![(root, None, 0)];
    while let Some((mut part, parent, depth)) = waiting.pop() {
        if nodes.len() >= MAX_PARTS {
            return Err(ParseError::TooManyParts);
        }
        let index = nodes.len();
        let children = std::mem::take(&mut part.parts);
        let is_leaf =
            part.body.attachment_id.is_some() || part.body.data.as_ref().is_some_and(|data| !data.is_empty());
        if let Some(parent) = parent.and_then(|parent: usize| nodes.get_mut(parent)) {
            parent.children.push(index);
        }
        nodes.push(node_of(part));
        // Pushed in reverse: the stack gives them back in order. An attached message that has its own content stays one.
        if is_leaf || children.is_empty() {
            continue;
        }
        if depth >= MAX_DEPTH {
            return Err(ParseError::TooManyParts);
        }
        waiting.extend(
            children
                .into_iter()
                .rev()
                .map(|child| (child, Some(index), depth + 1)),
        );
    }
    Ok(nodes)
}

fn node_of(part: GmailPart) -> Node<'static> {
    let header = |name: &str| {
        part.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let content_type = header("Content-Type").and_then(parameters);
    let disposition = header("Content-Disposition")
        .and_then(parameters)
        .map(|disposition| {
            if disposition.ctype().eq_ignore_ascii_case("inline") {
                Disposition::Inline
            } else {
                Disposition::Attachment
            }
        });
    let content_id = header("Content-ID")
        .map(|id| clean_line(id.trim_matches(['<', '>', ' ']), 500))
        .filter(|id| !id.is_empty());
    let charset = content_type
        .as_ref()
        .and_then(|content_type| content_type.attribute("charset"))
        .map(str::to_owned);
    let media_type = clean_line(&part.mime_type, 200).to_ascii_lowercase();
    Node {
        media_type: if media_type.is_empty() {
            "text/plain".to_owned()
        } else {
            media_type
        },
        charset,
        file_name: Some(part.filename).filter(|name| !name.is_empty()),
        content_id,
        disposition,
        body: match (part.body.data, part.body.attachment_id) {
            (Some(data), _) => Body::Decoded(Cow::Owned(data)),
            (None, Some(attachment_id)) => Body::Remote {
                attachment_id,
                size: part.body.size,
            },
            (None, None) => Body::None,
        },
        part_id: part.part_id,
        children: Vec::new(),
    }
}

fn parameters(value: &str) -> Option<ContentType<'static>> {
    let field = format!("{}\n", value.replace(['\r', '\n'], " "));
    match MessageStream::new(field.as_bytes()).parse_content_type() {
        value @ HeaderValue::ContentType(_) => match value.into_owned() {
            HeaderValue::ContentType(content_type) => Some(content_type),
            _ => None,
        },
        _ => None,
    }
}
