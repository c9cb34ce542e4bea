//! The tree of a message's parts, and what a reader is shown of it.
//!
//! Raw bytes ([`super::parse`]) and Gmail's payload ([`super::full`]) both become this tree, so the choice of the text,
//! the HTML and the attachments is made in one place. The choice follows RFC 8621 section 4.1.4 (JMAP's `textBody`,
//! `htmlBody`, `attachments`), with one difference: whatever is not shown as text is an attachment, so nothing of a
//! message is lost. The tree is an arena and the walk keeps its own stack: depth costs memory, never the call stack.

use std::borrow::Cow;

use super::charset::{Decoding, TransferEncoding, decode_text};
use super::html::to_text;
use super::text::{clean_body, clean_line};

/// Multiparts nested deeper than this are kept whole, as one attachment.
pub const MAX_DEPTH: usize = 32;
/// The most parts a message may have.
pub const MAX_PARTS: usize = 2_000;
/// The longest file name kept, in characters.
const MAX_FILE_NAME_CHARS: usize = 200;

/// One attachment or inline image (S19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The part's path in the message as Gmail counts (`""`, `"1"`, `"0.1"`): stable, unlike Gmail's attachment ids.
    pub part_id: String,
    /// A name that is safe as a file name: never empty, no path, no control characters.
    pub file_name: String,
    /// Media type, lower case, without parameters: `image/png`.
    pub media_type: String,
    /// `Content-ID` without brackets: what `cid:` in the HTML refers to.
    pub content_id: Option<String>,
    /// How the sender meant it to be shown.
    pub disposition: Disposition,
    /// Size of the decoded content in bytes; for a remote one, what Gmail announces.
    pub size: u64,
    /// Where the content is.
    pub source: Source,
}

/// How a part is meant to be shown (RFC 2183).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// In the text, at the place that refers to it.
    Inline,
    /// Beside the text.
    Attachment,
}

/// Where the content of an attachment is.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// Here, decoded.
    Inline(Vec<u8>),
    /// In the raw message.
    InPlace(Place),
    /// At Gmail: `messages.attachments.get` with this id. The id changes between answers: use it at once.
    Remote {
        /// Gmail's attachment id.
        attachment_id: String,
    },
}

/// Where encoded content is in a raw message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    start: usize,
    length: usize,
    encoding: TransferEncoding,
}

impl Place {
    /// The content, decoded, a part at a time; `raw` is the message it was found in.
    pub fn read<'r>(&self, raw: &'r [u8]) -> Decoding<'r> {
        let encoded = raw.get(self.start..self.start + self.length);
        Decoding::new(encoded.unwrap_or_default(), self.encoding)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(bytes) => write!(out, "Inline({} bytes)", bytes.len()),
            Self::InPlace(place) => write!(out, "InPlace({} bytes)", place.length),
            Self::Remote { attachment_id } => write!(out, "Remote({attachment_id})"),
        }
    }
}

/// One part: the headers that matter and the content or the children.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) part_id: String,
    /// Lower case, `text/plain` when the part does not say.
    pub(super) media_type: String,
    pub(super) charset: Option<String>,
    pub(super) file_name: Option<String>,
    pub(super) content_id: Option<String>,
    pub(super) disposition: Option<Disposition>,
    pub(super) body: Body<'a>,
    /// Indices into the arena.
    pub(super) children: Vec<usize>,
}

#[derive(Debug, Default)]
pub(super) enum Body<'a> {
    #[default]
    None,
    Encoded(&'a [u8], TransferEncoding),
    Decoded(Cow<'a, [u8]>),
    /// With its decoded size.
    InPlace(Place, u64),
    Remote {
        attachment_id: String,
        size: u64,
    },
}

/// What the tree comes to.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) attachments: Vec<Attachment>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Mixed,
    Alternative,
    Related,
}

/// Which of the two bodies are still open for the parts of a container.
#[derive(Clone, Copy)]
struct Wanted {
    text: bool,
    html: bool,
}

struct Frame {
    node: usize,
    next_child: usize,
    container: Container,
    in_alternative: bool,
    wanted: Wanted,
    text_before: usize,
    html_before: usize,
}

/// How long all texts together are, encoded.
pub(super) fn text_bytes(nodes: &[Node<'_>]) -> usize {
    let texts = nodes
        .iter()
        .filter(|node| is_text_body(node) && !is_container(node));
    let length = |node: &Node<'_>| match &node.body {
        Body::Encoded(bytes, _) => bytes.len(),
        _ => 0,
    };
    texts.map(length).sum()
}

/// Replaces the content of what can only be an attachment by its place in `raw`, which it is a part of.
pub(super) fn leave_in_place(nodes: &mut [Node<'_>], raw: &[u8]) {
    for node in nodes {
        if is_text_body(node) || is_container(node) {
            continue;
        }
        if let Body::Encoded(bytes, encoding) = &node.body {
            let place = Place {
                start: (bytes.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize),
                length: bytes.len(),
                encoding: *encoding,
            };
            let size = place.read(raw).map(|part| part.len() as u64).sum();
            node.body = Body::InPlace(place, size);
        }
    }
}

/// Sorts the parts of the tree under `nodes[0]`.
pub(super) fn assemble(mut nodes: Vec<Node<'_>>) -> Content {
    let (mut text_parts, mut html_parts, mut attached) = (Vec::new(), Vec::new(), Vec::new());
    let open = Wanted {
        text: true,
        html: true,
    };
    let mut stack: Vec<Frame> = Vec::new();
    match nodes.first() {
        None => return Content::default(),
        Some(root) if is_container(root) => stack.push(frame(&nodes, 0, false, open, 0, 0)),
        Some(root) if is_text_body(root) => {
            text_parts.push(0);
            html_parts.push(0);
        }
        Some(_) => attached.push(0),
    }
    while let Some(top) = stack.last_mut() {
        let Some(&child) = nodes
            .get(top.node)
            .and_then(|node| node.children.get(top.next_child))
        else {
            close_alternative(top, &mut text_parts, &mut html_parts);
            stack.pop();
            continue;
        };
        let position = top.next_child;
        top.next_child += 1;
        let Some(node) = nodes.get(child) else {
            continue;
        };
        if is_container(node) {
            let (in_alternative, wanted) = (top.in_alternative, top.wanted);
            stack.push(frame(
                &nodes,
                child,
                in_alternative,
                wanted,
                text_parts.len(),
                html_parts.len(),
            ));
            continue;
        }
        let shown = is_text_body(node)
            && (position == 0 || (top.container != Container::Related && node.file_name.is_none()));
        if !shown {
            attached.push(child);
            continue;
        }
        let is_html = node.media_type == "text/html";
        let (to_text, to_html) = if top.container == Container::Alternative {
            (!is_html, is_html)
        } else {
            if top.in_alternative {
                if is_html {
                    top.wanted.text = false;
                } else {
                    top.wanted.html = false;
                }
            }
            (top.wanted.text, top.wanted.html)
        };
        if to_text {
            text_parts.push(child);
        }
        if to_html {
            html_parts.push(child);
        }
        if !to_text && !to_html {
            attached.push(child);
        }
    }
    content_of(&mut nodes, &text_parts, &html_parts, &attached)
}

fn frame(
    nodes: &[Node<'_>],
    node: usize,
    in_alternative: bool,
    wanted: Wanted,
    text_before: usize,
    html_before: usize,
) -> Frame {
    let container = match nodes.get(node).map(|node| node.media_type.as_str()) {
        Some("multipart/alternative") => Container::Alternative,
        Some("multipart/related") => Container::Related,
        _ => Container::Mixed,
    };
    let in_alternative = in_alternative || container == Container::Alternative;
    Frame {
        node,
        next_child: 0,
        container,
        in_alternative,
        wanted,
        text_before,
        html_before,
    }
}

/// A `multipart/alternative` that has only one of the two kinds serves it for both.
fn close_alternative(frame: &Frame, text_parts: &mut Vec<usize>, html_parts: &mut Vec<usize>) {
    if frame.container != Container::Alternative || !frame.wanted.text || !frame.wanted.html {
        return;
    }
    let new_text = text_parts.get(frame.text_before..).unwrap_or_default().to_vec();
    let new_html = html_parts.get(frame.html_before..).unwrap_or_default().to_vec();
    if new_text.is_empty() {
        text_parts.extend(new_html);
    } else if new_html.is_empty() {
        html_parts.extend(new_text);
    }
}

fn is_container(node: &Node<'_>) -> bool {
    !node.children.is_empty()
}

fn is_text_body(node: &Node<'_>) -> bool {
    matches!(node.media_type.as_str(), "text/plain" | "text/html")
        && node.disposition != Some(Disposition::Attachment)
        && !matches!(node.body, Body::Remote { .. })
}

fn content_of(
    nodes: &mut [Node<'_>],
    text_parts: &[usize],
    html_parts: &[usize],
    attached: &[usize],
) -> Content {
    let attachments = attached
        .iter()
        .filter_map(|&i| attachment_of(nodes.get_mut(i)?))
        .collect();

    let mut decoded: Vec<Option<(String, bool)>> = nodes.iter().map(|_| None).collect();
    for &i in text_parts.iter().chain(html_parts) {
        if let (Some(node), Some(slot @ None)) = (nodes.get_mut(i), decoded.get_mut(i)) {
            *slot = Some((text_of(node), node.media_type == "text/html"));
        }
    }
    let parts = |indices: &[usize]| -> Vec<&(String, bool)> {
        indices.iter().filter_map(|&i| decoded.get(i)?.as_ref()).collect()
    };
    let html = parts(html_parts);
    let html = html.iter().any(|(_, is_html)| *is_html).then(|| {
        join(html.iter().map(|(part, is_html)| {
            if *is_html {
                Cow::Borrowed(part.as_str())
            } else {
                Cow::Owned(escaped(part))
            }
        }))
    });
    let text = parts(text_parts);
    let text = (!text.is_empty()).then(|| {
        join(text.iter().map(|(part, is_html)| {
            if *is_html {
                Cow::Owned(to_text(part))
            } else {
                Cow::Borrowed(part.as_str())
            }
        }))
    });
    Content {
        text,
        html,
        attachments,
    }
}

fn join<'s>(mut parts: impl Iterator<Item = Cow<'s, str>>) -> String {
    let mut all = parts.next().unwrap_or_default().into_owned();
    for part in parts {
        if !all.is_empty() && !all.ends_with('\n') {
            all.push('\n');
        }
        all.push_str(&part);
    }
    all
}

/// Plain text between HTML parts, as HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 32);
    html.push_str("<div>");
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '\n' => html.push_str("<br>"),
            c => html.push(c),
        }
    }
    html.push_str("</div>");
    html
}

fn text_of(node: &mut Node<'_>) -> String {
    let bytes = match std::mem::take(&mut node.body) {
        Body::Encoded(bytes, encoding) => encoding.decode(bytes),
        Body::Decoded(bytes) => bytes,
        Body::None | Body::InPlace(..) | Body::Remote { .. } => Cow::Borrowed(&[][..]),
    };
    clean_body(decode_text(bytes, node.charset.as_deref()))
}

fn attachment_of(node: &mut Node<'_>) -> Option<Attachment> {
    let (size, source) = match std::mem::take(&mut node.body) {
        Body::InPlace(place, size) => (size, Source::InPlace(place)),
        Body::Encoded(bytes, encoding) => in_memory(encoding.decode(bytes)),
        Body::Decoded(bytes) => in_memory(bytes),
        Body::Remote { attachment_id, size } => (size, Source::Remote { attachment_id }),
        Body::None => return None,
    };
    let disposition = node.disposition.unwrap_or(match node.content_id {
        Some(_) if node.media_type.starts_with("image/") => Disposition::Inline,
        _ => Disposition::Attachment,
    });
    Some(Attachment {
        file_name: file_name(node),
        part_id: std::mem::take(&mut node.part_id),
        media_type: std::mem::take(&mut node.media_type),
        content_id: node.content_id.take(),
        disposition,
        size,
        source,
    })
}

fn in_memory(bytes: Cow<'_, [u8]>) -> (u64, Source) {
    (bytes.len() as u64, Source::Inline(bytes.into_owned()))
}

/// The sender's file name made safe, or one made from the type.
fn file_name(node: &Node<'_>) -> String {
    let given = node.file_name.as_deref().map(safe_file_name).unwrap_or_default();
    if !given.is_empty() {
        return given;
    }
    let kind = match node.media_type.as_str() {
        "message/rfc822" | "message/global" => "message.eml",
        "message/delivery-status" => "delivery-status.txt",
        "text/calendar" | "application/ics" => "invitation.ics",
        "text/plain" => "text.txt",
        "text/html" => "text.html",
        "text/vcard" | "text/x-vcard" => "contact.vcf",
        "image/png" => "image.png",
        "image/jpeg" | "image/jpg" => "image.jpg",
        "image/gif" => "image.gif",
        "image/webp" => "image.webp",
        "application/pdf" => "document.pdf",
        "application/pgp-signature" => "signature.asc",
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => "smime.p7s",
        media_type if media_type.starts_with("text/") => "text.txt",
        media_type if media_type.starts_with("multipart/") => "message.eml",
        _ => "attachment.bin",
    };
    kind.to_owned()
}

/// The last component of a path, without characters that mean something to a file system, at most 200 characters with
/// the extension kept.
pub(super) fn safe_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let clean = clean_line(last, 10 * MAX_FILE_NAME_CHARS);
    let clean: String = clean
        .chars()
        .map(|c| {
            if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') {
                '_'
            } else {
                c
            }
        })
        .collect();
    let clean = clean.trim_matches(|c: char| c == '.' || c.is_whitespace());
    let chars = clean.chars().count();
    if chars <= MAX_FILE_NAME_CHARS {
        return clean.to_owned();
    }
    let (stem, extension) = match clean.rsplit_once('.') {
        Some((stem, extension)) if extension.chars().count() <= 10 => (stem, format!(".{extension}")),
        _ => (clean, String::new()),
    };
    let kept = MAX_FILE_NAME_CHARS - extension.chars().count();
    stem.chars().take(kept).chain(extension.chars()).collect()
}
