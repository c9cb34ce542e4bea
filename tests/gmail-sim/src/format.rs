//! Messages as JSON in Gmail's four formats.
//!
//! Source: the discovery document's `Message`, `MessagePart`, `MessagePartBody`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value, json};

use crate::behaviour::Behaviour;
use crate::hits::Hits;
use crate::mailbox::Stored;
use crate::message::{Parsed, decode_words};
use crate::mime::{Kind, Part};

/// Google's attachment ids begin like this.
const ATTACHMENT_PREFIX: &str = "ANGjdJ";

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The `format` parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Minimal,
    Full,
    Raw,
    /// With the wanted header names; empty means all.
    Metadata(Vec<String>),
}

/// What the writing of a message depends on beside the message.
#[derive(Clone, Copy)]
pub(crate) struct Style<'a> {
    pub(crate) behaviour: &'a Behaviour,
    /// Makes this get's attachment ids differ from those of others.
    pub(crate) nonce: u64,
    pub(crate) hits: &'a Hits,
}

/// An id as 16 hex digits.
pub(crate) fn hex(id: u64) -> String {
    format!("{id:016x}")
}

/// A message in a format.
pub(crate) fn message(stored: &Stored, format: &Format, style: Style<'_>) -> Value {
    let mut out = Map::new();
    out.insert("id".to_owned(), json!(hex(stored.id)));
    out.insert("threadId".to_owned(), json!(hex(stored.thread)));
    if !stored.labels.is_empty() {
        out.insert("labelIds".to_owned(), json!(stored.labels));
    }
    out.insert("snippet".to_owned(), json!(stored.parsed.snippet));
    out.insert("sizeEstimate".to_owned(), json!(stored.parsed.raw.len()));
    out.insert("historyId".to_owned(), json!(stored.history_id.to_string()));
    out.insert("internalDate".to_owned(), json!(stored.internal_date.to_string()));
    match format {
        Format::Minimal => {}
        Format::Raw => {
            style.hits.add("base64_padding");
            out.insert(
                "raw".to_owned(),
                json!(encode(&stored.parsed.raw, style.behaviour)),
            );
        }
        Format::Full => {
            style.hits.add("base64_padding");
            out.insert(
                "payload".to_owned(),
                part(&stored.parsed, &stored.parsed.root, style),
            );
        }
        Format::Metadata(names) => {
            let wanted =
                |name: &str| names.is_empty() || names.iter().any(|known| known.eq_ignore_ascii_case(name));
            let root = &stored.parsed.root;
            out.insert(
                "payload".to_owned(),
                json!({"mimeType": root.mime_type, "headers": headers(root, wanted, style)}),
            );
        }
    }
    Value::Object(out)
}

/// What send, insert, modify and the like answer.
pub(crate) fn brief(stored: &Stored) -> Value {
    let mut value = json!({"id": hex(stored.id), "threadId": hex(stored.thread)});
    if let (false, Some(object)) = (stored.labels.is_empty(), value.as_object_mut()) {
        object.insert("labelIds".to_owned(), json!(stored.labels));
    }
    value
}

/// base64url, padded if the behaviour says so.
pub(crate) fn encode(bytes: &[u8], behaviour: &Behaviour) -> String {
    if behaviour.base64_padding {
        URL_SAFE.encode(bytes)
    } else {
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Decodes base64url or base64, padded or not, with or without line ends.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='));
    if plain {
        return TOLERANT.decode(text).ok();
    }
    let cleaned: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        })
        .collect();
    TOLERANT.decode(cleaned).ok()
}

/// The part an attachment id stands for.
pub(crate) fn attachment_part(id: &str) -> Option<String> {
    let inner = URL_SAFE_NO_PAD.decode(id.strip_prefix(ATTACHMENT_PREFIX)?).ok()?;
    let text = String::from_utf8(inner).ok()?;
    text.split_once(':').map(|(part, _)| part.to_owned())
}

fn attachment_id(part: &str, style: Style<'_>) -> String {
    let changes = style.behaviour.attachment_ids_change;
    let nonce = if style.hits.when("attachment_ids_change", changes) {
        style.nonce
    } else {
        0
    };
    format!(
        "{ATTACHMENT_PREFIX}{}",
        URL_SAFE_NO_PAD.encode(format!("{part}:{nonce:032x}"))
    )
}

fn part(parsed: &Parsed, node: &Part, style: Style<'_>) -> Value {
    let mut body = Map::new();
    body.insert("size".to_owned(), json!(node.content.size));
    match node.content.kind {
        Kind::Container => {}
        Kind::Attachment => {
            body.insert("attachmentId".to_owned(), json!(attachment_id(&node.id, style)));
        }
        Kind::Inline if node.content.size == 0 => {}
        Kind::Inline if is_large_text(node, style) => {
            style.hits.add("text_as_attachment_above");
            body.insert("attachmentId".to_owned(), json!(attachment_id(&node.id, style)));
        }
        Kind::Inline => {
            body.insert(
                "data".to_owned(),
                json!(encode(&parsed.content(node), style.behaviour)),
            );
        }
    }
    let mut out = Map::new();
    out.insert("partId".to_owned(), json!(node.id));
    out.insert("mimeType".to_owned(), json!(node.mime_type));
    out.insert("filename".to_owned(), json!(node.filename));
    out.insert("headers".to_owned(), headers(node, |_| true, style));
    out.insert("body".to_owned(), Value::Object(body));
    if !node.parts.is_empty() {
        out.insert(
            "parts".to_owned(),
            node.parts
                .iter()
                .map(|child| part(parsed, child, style))
                .collect(),
        );
    }
    Value::Object(out)
}

/// "May be absent ... when the body data is sent as a separate attachment" (discovery document, `MessagePartBody.data`).
fn is_large_text(node: &Part, style: Style<'_>) -> bool {
    let most = style.behaviour.text_as_attachment_above;
    most.is_some_and(|most| node.content.size > most)
}

fn headers(node: &Part, wanted: impl Fn(&str) -> bool, style: Style<'_>) -> Value {
    node.headers
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| {
            style.hits.when("decode_header_words", value.contains("=?"));
            let value = if style.behaviour.decode_header_words {
                decode_words(name, value)
            } else {
                value.clone()
            };
            json!({"name": name, "value": value})
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_base64_is_read() {
        for text in ["_-8=", "_-8", "/+8=", "/+8", "/+\r\n8="] {
            assert_eq!(decode(text).unwrap(), [0xff, 0xef], "{text}");
        }
        assert!(decode("!").is_none());
    }

    #[test]
    fn attachment_ids_differ_but_name_the_same_part() {
        let behaviour = Behaviour::default();
        let one = attachment_id(
            "0.1",
            Style {
                behaviour: &behaviour,
                nonce: 1,
                hits: &Hits::default(),
            },
        );
        let two = attachment_id(
            "0.1",
            Style {
                behaviour: &behaviour,
                nonce: 2,
                hits: &Hits::default(),
            },
        );
        assert_ne!(one, two);
        assert_eq!(attachment_part(&one), attachment_part(&two));
        assert_eq!(attachment_part(&one).as_deref(), Some("0.1"));
        assert_eq!(attachment_part("nonsense"), None);
    }
}
