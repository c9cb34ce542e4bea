//! Messages as bytes (RFC 5322, RFC 2045), simple enough to be seen to be right.

use base64::{Engine, engine::general_purpose::STANDARD};
use twinbox_host::contract::Disposition;

/// Bytes that a message carries.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// File name.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Content-ID without brackets.
    pub content_id: Option<String>,
    /// How it is meant.
    pub disposition: Disposition,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl File {
    /// A file beside the text.
    pub fn attached(name: &str, media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            content_id: None,
            disposition: Disposition::Attached,
            bytes,
        }
    }

    /// An image inside the HTML, which names it as `cid:`.
    pub fn inline(name: &str, media_type: &str, content_id: &str, bytes: Vec<u8>) -> Self {
        Self {
            content_id: Some(content_id.to_owned()),
            disposition: Disposition::Inline,
            ..Self::attached(name, media_type, bytes)
        }
    }

    fn part(&self) -> String {
        let Self { name, media_type, .. } = self;
        let disposition = match self.disposition {
            Disposition::Attached => "attachment",
            Disposition::Inline => "inline",
        };
        let id = self
            .content_id
            .as_ref()
            .map(|id| format!("Content-ID: <{id}>\r\n"))
            .unwrap_or_default();
        format!(
            "Content-Type: {media_type}; name=\"{name}\"\r\n{id}Content-Disposition: {disposition}; filename=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}",
            base64_lines(&self.bytes)
        )
    }
}

/// So many bytes that look like nothing else and cannot be mixed up: no two positions nearby are alike.
pub fn bytes_of(size: usize) -> Vec<u8> {
    let mut state: u32 = 0x9e37_79b9 ^ u32::try_from(size).unwrap_or(u32::MAX);
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(size)
    .collect()
}

/// The entity with these texts and files: its `Content-` fields, an empty line, its body.
pub(crate) fn entity(text: &str, html: Option<&str>, files: &[File]) -> String {
    let text = leaf("text/plain", text);
    let mut entity = match html {
        None => text,
        Some(html) => multipart("alternative", &[text, leaf("text/html", html)]),
    };
    for (kind, disposition) in [("related", Disposition::Inline), ("mixed", Disposition::Attached)] {
        let of_kind = files.iter().filter(|file| file.disposition == disposition);
        let parts: Vec<String> = std::iter::once(entity.clone())
            .chain(of_kind.map(File::part))
            .collect();
        if parts.len() > 1 {
            entity = multipart(kind, &parts);
        }
    }
    entity
}

fn leaf(media_type: &str, text: &str) -> String {
    format!(
        "Content-Type: {media_type}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
        base64_lines(text.as_bytes())
    )
}

fn multipart(kind: &str, parts: &[String]) -> String {
    let boundary = format!("=_{kind}");
    let mut entity = format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n");
    for part in parts {
        entity.extend(["--", &boundary, "\r\n", part, "\r\n"]);
    }
    entity.extend(["--", &boundary, "--\r\n"]);
    entity
}

fn base64_lines(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + bytes.len() / 28);
    for line in bytes.chunks(57) {
        STANDARD.encode_string(line, &mut text);
        text.push_str("\r\n");
    }
    text
}
