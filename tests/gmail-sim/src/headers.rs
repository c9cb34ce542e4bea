//! Editing the header section of a message as bytes: what Gmail adds, rewrites and strips in transport.
//!
//! Fields keep their order, spelling and folding unless they are edited; the body is never touched. Lines end in CRLF
//! (RFC 5322, section 2.1): bare LF is converted when a message comes in.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// A message split into header fields and body.
pub(crate) struct Editable {
    fields: Vec<Vec<u8>>,
    body: Vec<u8>,
}

impl Editable {
    /// Splits a message; line ends become CRLF.
    pub(crate) fn new(raw: &[u8]) -> Self {
        let raw = with_crlf(raw);
        let mut fields: Vec<Vec<u8>> = Vec::new();
        let mut rest = raw.as_slice();
        loop {
            let end = rest
                .windows(2)
                .position(|pair| pair == b"\r\n")
                .map_or(rest.len(), |at| at + 2);
            let (line, after) = rest.split_at(end);
            if line.is_empty() || line == b"\r\n" {
                return Self {
                    fields,
                    body: after.to_vec(),
                };
            }
            match fields.last_mut() {
                Some(field) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    field.extend_from_slice(line);
                }
                _ if !line.contains(&b':') => {
                    return Self {
                        fields,
                        body: rest.to_vec(),
                    };
                }
                _ => fields.push(line.to_vec()),
            }
            rest = after;
        }
    }

    /// The unfolded value of the first field of that name.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.fields
            .iter()
            .find(|field| is_named(field, name))
            .map(|field| {
                let text = String::from_utf8_lossy(field);
                unfold(text.split_once(':').map_or("", |(_, value)| value))
            })
    }

    /// Replaces the first field of that name, or appends one.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let field = format!("{name}: {value}\r\n").into_bytes();
        match self.fields.iter_mut().find(|field| is_named(field, name)) {
            Some(existing) => *existing = field,
            None => self.fields.push(field),
        }
    }

    /// Appends a field unless there is one of that name.
    pub(crate) fn set_if_absent(&mut self, name: &str, value: &str) {
        if !self.fields.iter().any(|field| is_named(field, name)) {
            self.set(name, value);
        }
    }

    /// Removes every field of that name.
    pub(crate) fn remove(&mut self, name: &str) {
        self.fields.retain(|field| !is_named(field, name));
    }

    /// Removes every field whose name begins with `X-`; whether there were any.
    pub(crate) fn remove_own(&mut self) -> bool {
        let before = self.fields.len();
        let is_own = |field: &[u8]| {
            field
                .get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"X-"))
        };
        self.fields.retain(|field| !is_own(field));
        self.fields.len() < before
    }

    /// Puts a field in front, as a relay does.
    pub(crate) fn prepend(&mut self, name: &str, value: &str) {
        self.fields.insert(0, format!("{name}: {value}\r\n").into_bytes());
    }

    /// The message again.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(self.fields.iter().map(Vec::len).sum::<usize>() + self.body.len() + 2);
        for field in &self.fields {
            out.extend_from_slice(field);
            if !field.ends_with(b"\r\n") {
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        out
    }
}

/// The same bytes with every line end as CRLF.
pub(crate) fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let bare = |at: usize| at.checked_sub(1).and_then(|before| raw.get(before)) != Some(&b'\r');
    let feeds = raw.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    if !feeds.map(|(at, _)| at).any(bare) {
        return raw.to_vec();
    }
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 32);
    let mut previous = 0_u8;
    for &byte in raw {
        if byte == b'\n' && previous != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        previous = byte;
    }
    out
}

/// Removes the line ends of a folded value (RFC 5322, section 2.2.3).
pub(crate) fn unfold(value: &str) -> String {
    value.trim().replace(['\r', '\n'], "")
}

/// A time as HTTP writes it (RFC 9110, section 5.6.7).
pub(crate) fn http_date(ms: i64) -> String {
    rfc2822(ms).replace("+0000", "GMT")
}

/// `ms` since the epoch as an RFC 5322 date.
pub(crate) fn rfc2822(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000))
        .ok()
        .and_then(|at| at.format(&Rfc2822).ok())
        .unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned())
}

/// A display name and an address as one mailbox (RFC 5322, section 3.4).
pub(crate) fn mailbox(name: &str, address: &str) -> String {
    if name.is_empty() {
        return address.to_owned();
    }
    let plain = name
        .chars()
        .all(|c| c.is_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c));
    let mut out = String::with_capacity(name.len() + address.len() + 5);
    if plain {
        out.push_str(name);
    } else {
        out.push('"');
        out.push_str(&name.replace('\\', "\\\\").replace('"', "\\\""));
        out.push('"');
    }
    let _ = write!(out, " <{address}>");
    out
}

fn is_named(field: &[u8], name: &str) -> bool {
    field
        .split(|byte| *byte == b':')
        .next()
        .is_some_and(|found| found.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_line_feeds_become_crlf_and_the_body_stays() {
        let mut mail = Editable::new(b"To: a@b.c\nSubject: x\n y\n\nhello\n");
        mail.prepend("Received", "by mx");
        mail.set("to", "z@b.c");
        mail.set_if_absent("Subject", "never");
        assert_eq!(mail.get("subject").as_deref(), Some("x y"));
        assert_eq!(
            mail.to_bytes(),
            b"Received: by mx\r\nto: z@b.c\r\nSubject: x\r\n y\r\n\r\nhello\r\n"
        );
    }

    #[test]
    fn a_message_without_a_body_or_without_headers_survives() {
        assert_eq!(Editable::new(b"A: 1").to_bytes(), b"A: 1\r\n\r\n");
        assert_eq!(
            Editable::new(b"no header here\r\n").to_bytes(),
            b"\r\nno header here\r\n"
        );
    }

    #[test]
    fn names_with_specials_are_quoted() {
        assert_eq!(mailbox("Smith, \"J\"", "j@x.y"), "\"Smith, \\\"J\\\"\" <j@x.y>");
        assert_eq!(mailbox("Ana Müller", "j@x.y"), "Ana Müller <j@x.y>");
    }
}
