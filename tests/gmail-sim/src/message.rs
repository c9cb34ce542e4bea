//! A message as it is understood once, when it is stored: structure, addresses, references, snippet.
//!
//! Parsing happens here and nowhere else, so that a `get` only has to write JSON. Parts keep ranges into the raw bytes
//! instead of copies; content is decoded when it is asked for.

use bytes::Bytes;
use mail_parser::parsers::MessageStream;
use mail_parser::{Address, HeaderValue, MessageParser};

use crate::headers::mailbox;
use crate::mime::{Content, Kind, Part, build_part};

/// Characters of a snippet, before escaping.
const SNIPPET_CHARS: usize = 200;

/// A name and an address out of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mailbox {
    pub(crate) name: String,
    /// Lower case.
    pub(crate) address: String,
}

/// A parsed message. `raw` is CRLF.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) raw: Bytes,
    pub(crate) root: Part,
    pub(crate) from: Vec<Mailbox>,
    pub(crate) to: Vec<Mailbox>,
    pub(crate) cc: Vec<Mailbox>,
    pub(crate) bcc: Vec<Mailbox>,
    pub(crate) subject: String,
    /// The subject without reply and forward prefixes, for threading.
    pub(crate) base_subject: String,
    /// Without angle brackets.
    pub(crate) message_id: Option<String>,
    /// `References` and `In-Reply-To`, without angle brackets.
    pub(crate) references: Vec<String>,
    pub(crate) date_ms: Option<i64>,
    /// HTML-escaped, as Gmail answers it.
    pub(crate) snippet: String,
    pub(crate) has_attachment: bool,
}

impl Parsed {
    /// Parses a message; anything at all can be parsed, the worst as one text part.
    pub(crate) fn new(raw: Bytes) -> Self {
        with_room_for(&raw.clone(), || Self::parse(raw))
    }

    fn parse(raw: Bytes) -> Self {
        let Some(message) = MessageParser::default().parse(raw.as_ref()) else {
            return Self::unstructured(raw);
        };
        let root = build_part(&message, 0, String::new(), &raw, 0);
        let subject = message.subject().unwrap_or_default().to_owned();
        let mut references = ids(message.references());
        for id in ids(message.in_reply_to()) {
            if !references.contains(&id) {
                references.push(id);
            }
        }
        let preview = message.body_preview(SNIPPET_CHARS).unwrap_or_default();
        Self {
            from: mailboxes(message.from()),
            to: all(message.all_to()),
            cc: all(message.all_cc()),
            bcc: all(message.all_bcc()),
            base_subject: base_subject(&subject),
            subject,
            message_id: message.message_id().map(ToOwned::to_owned),
            references,
            date_ms: message
                .date()
                .map(|date| date.to_timestamp().saturating_mul(1000)),
            snippet: escape(&preview.split_whitespace().collect::<Vec<_>>().join(" ")),
            has_attachment: root.any(&|part| part.content.kind == Kind::Attachment),
            root,
            raw: raw.clone(),
        }
    }

    fn unstructured(raw: Bytes) -> Self {
        let content = Content::plain(0..raw.len());
        Self {
            root: Part {
                id: String::new(),
                mime_type: "text/plain".to_owned(),
                filename: String::new(),
                headers: Vec::new(),
                content,
                parts: Vec::new(),
            },
            from: Vec::new(),
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: String::new(),
            base_subject: String::new(),
            message_id: None,
            references: Vec::new(),
            date_ms: None,
            snippet: String::new(),
            has_attachment: false,
            raw,
        }
    }

    /// The decoded content of a part of this message.
    pub(crate) fn content(&self, part: &Part) -> Vec<u8> {
        part.content.read(&self.raw)
    }

    /// The text that a search for plain words looks into, in lower case.
    pub(crate) fn searchable(&self) -> String {
        let mut text = self.subject.clone();
        for mailbox in self.from.iter().chain(&self.to).chain(&self.cc).chain(&self.bcc) {
            text.push(' ');
            text.push_str(&mailbox.name);
            text.push(' ');
            text.push_str(&mailbox.address);
        }
        text.push_str(&with_room_for(&self.raw, || self.bodies()));
        text.to_lowercase()
    }

    fn bodies(&self) -> String {
        let mut text = String::new();
        if let Some(message) = MessageParser::default().parse(self.raw.as_ref()) {
            for position in 0..message.text_body.len() {
                if let Some(body) = message.body_text(position) {
                    text.push(' ');
                    text.push_str(&body);
                }
            }
        }
        text
    }

    /// First value of a header of the message.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.root
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The subject without `Re:`, `Fwd:` and the like, in lower case with single blanks.
pub(crate) fn base_subject(subject: &str) -> String {
    let mut text = subject
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase();
    loop {
        let stripped = ["re:", "fwd:", "fw:", "aw:", "wg:"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix));
        match stripped {
            Some(rest) => text = rest.trim_start().to_owned(),
            None => return text,
        }
    }
}

/// Decodes encoded words (RFC 2047) in a header value; names in address headers stay quoted where they must be.
pub(crate) fn decode_words(name: &str, value: &str) -> String {
    if !value.contains("=?") {
        return value.to_owned();
    }
    let line = format!("{value}\n");
    let mut stream = MessageStream::new(line.as_bytes());
    let structured = ["from", "to", "cc", "bcc", "reply-to", "sender"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known));
    if !structured {
        return match stream.parse_unstructured() {
            HeaderValue::Text(text) => text.into_owned(),
            _ => value.to_owned(),
        };
    }
    match stream.parse_address() {
        HeaderValue::Address(address) => address
            .iter()
            .map(|item| {
                mailbox(
                    item.name().unwrap_or_default(),
                    item.address().unwrap_or_default(),
                )
            })
            .collect::<Vec<_>>()
            .join(", "),
        _ => value.to_owned(),
    }
}

/// Escapes text as it stands in a snippet.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn all<'a, 'x: 'a>(addresses: impl Iterator<Item = &'a Address<'x>>) -> Vec<Mailbox> {
    addresses.flat_map(|address| mailboxes(Some(address))).collect()
}

fn mailboxes(address: Option<&Address<'_>>) -> Vec<Mailbox> {
    address
        .into_iter()
        .flat_map(Address::iter)
        .filter_map(|item| {
            Some(Mailbox {
                name: item.name().unwrap_or_default().to_owned(),
                // A word without a domain is kept, so that sending to it can be refused.
                address: item.address().or(item.name())?.trim().to_lowercase(),
            })
        })
        .collect()
}

fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    match value {
        HeaderValue::Text(text) => vec![text.to_string()],
        HeaderValue::TextList(list) => list.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// Does the work where it has the stack for it: mail-parser's tree of attached messages is dropped recursively, so
/// some thousand of them in one another need more than a thread usually has.
fn with_room_for<T: Send>(raw: &[u8], work: impl FnOnce() -> T + Send) -> T {
    const USUAL: usize = 64;
    const STACK: usize = 256 << 20;
    let is_type = |line: &&[u8]| {
        line.get(..13)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"content-type:"))
    };
    if raw
        .split(|byte| *byte == b'\n')
        .filter(is_type)
        .nth(USUAL)
        .is_none()
    {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => panic!("no thread for a deep message: {error}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed {
        Parsed::new(Bytes::from(text.replace('\n', "\r\n")))
    }

    #[test]
    fn parts_are_numbered_as_gmail_numbers_them() {
        let mail = parse(
            "Subject: x\nContent-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; \
             boundary=b\n\n--b\nContent-Type: text/plain\n\nplain\n--b\nContent-Type: text/html\n\n<p>html\n--b--\n--a\n\
             Content-Type: image/png; name=p.png\nContent-Transfer-Encoding: base64\n\nAAECAw==\n--a--\n",
        );
        assert_eq!(mail.root.mime_type, "multipart/mixed");
        assert_eq!(mail.root.find("0.1").unwrap().mime_type, "text/html");
        assert_eq!(mail.content(mail.root.find("0.0").unwrap()), b"plain");
        let image = mail.root.find("1").unwrap();
        assert_eq!((image.filename.as_str(), image.content.size), ("p.png", 4));
        assert_eq!(mail.content(image), [0, 1, 2, 3]);
        assert!(mail.has_attachment);
    }

    #[test]
    fn a_nested_message_shows_its_own_parts() {
        let mail = parse(
            "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nSubject: inner\n\nhello\n\
             --a--\n",
        );
        let inner = mail.root.find("0.0").unwrap();
        assert_eq!(inner.headers, [("Subject".to_owned(), "inner".to_owned())]);
        assert_eq!(mail.content(inner), b"hello");
    }

    #[test]
    fn snippets_are_escaped_and_references_joined() {
        let mail = parse("References: <a@b>\n <c@d>\nIn-Reply-To: <c@d>\n\nfish  &\nchips's");
        assert_eq!(mail.snippet, "fish &amp; chips&#39;s");
        assert_eq!(mail.references, ["a@b", "c@d"]);
    }

    #[test]
    fn prefixes_do_not_count_in_subjects() {
        assert_eq!(base_subject("RE: Fwd:  Offer  7"), "offer 7");
        assert_eq!(base_subject("Regards"), "regards");
    }

    #[test]
    fn encoded_words_are_decoded_and_names_quoted() {
        assert_eq!(
            decode_words("Subject", "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?= an"),
            "Grüße an"
        );
        assert_eq!(
            decode_words("To", "=?UTF-8?Q?M=C3=BCller=2C_Jo?= <j@x.y>, b@x.y"),
            "\"Müller, Jo\" <j@x.y>, b@x.y"
        );
    }

    #[test]
    fn nothing_at_all_is_still_a_message() {
        for raw in ["", "\r\n", "\0\0", "no colon", ": :\r\n\r\n"] {
            let mail = Parsed::new(Bytes::from_static(raw.as_bytes()));
            assert!(!mail.root.mime_type.is_empty(), "{raw:?}");
        }
    }
}
