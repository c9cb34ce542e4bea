//! What the headers of a message say: who, to whom, about what, in which thread.
//!
//! Rules decide on the envelope alone, and it reaches them two ways: as Gmail's list of header fields (`format=metadata`
//! and `format=full`) or as raw bytes. Both go through one function, so a decision cannot depend on the format that was
//! fetched. Everything is bounded and free of control characters; nothing here fails, a broken field is an absent one.
//! `date_ms` is what the sender claims: ordering and the "no past mail" rule use Gmail's `internalDate` instead.

use mail_parser::parsers::MessageStream;
use mail_parser::{Header, HeaderName, HeaderValue, MessageParser};
use serde::{Deserialize, Serialize};

use super::address::{MAX_MAILBOXES, Mailbox, mailboxes_of};
use super::charset::decode_header_bytes;
use super::compose::GIVEN_MESSAGE_ID;
use super::text::clean_line;

/// The longest subject kept, in characters.
pub const MAX_SUBJECT_CHARS: usize = 2_000;
/// The most message ids kept of `References`: the first, and the newest before the end.
pub const MAX_REFERENCES: usize = 200;
/// The longest message id kept, in bytes; a longer one counts as absent.
pub const MAX_MESSAGE_ID_BYTES: usize = 998;
/// The longest name of a mail program kept, in characters.
const MAX_MAILER_CHARS: usize = 200;
/// The longest other header value kept, in characters.
const MAX_VALUE_CHARS: usize = 4_000;
/// The most bytes of headers that are read; the rest is ignored.
pub const MAX_HEADER_BYTES: usize = 1024 * 1024;

/// The headers of one message, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// `Message-ID` without angle brackets and white space (RFC 5322 section 3.6.4).
    pub message_id: Option<String>,
    /// The id the sender gave before a provider replaced it (`X-Google-Original-Message-ID` and
    /// `X-Gmail-Original-Message-ID`), without brackets.
    pub original_message_id: Option<String>,
    /// The id a CRM gave it before a provider replaced it ([`GIVEN_MESSAGE_ID`]), without brackets.
    pub given_message_id: Option<String>,
    /// The ids in `In-Reply-To`.
    pub in_reply_to: Vec<String>,
    /// The ids in `References`, oldest first, at most [`MAX_REFERENCES`].
    pub references: Vec<String>,
    /// Who wrote it: the first address of `From`, else `Sender`.
    pub sender: Option<Mailbox>,
    /// All addresses of `From` (nearly always one).
    pub from: Vec<Mailbox>,
    /// `Reply-To`.
    pub reply_to: Vec<Mailbox>,
    /// `To`.
    pub to: Vec<Mailbox>,
    /// `Cc`.
    pub cc: Vec<Mailbox>,
    /// `Bcc`: present on the sender's copy (S14: never shown for mail the user did not send).
    pub bcc: Vec<Mailbox>,
    /// `Subject`, decoded; empty when absent. At most [`MAX_SUBJECT_CHARS`] characters.
    pub subject: String,
    /// `Date`, in milliseconds since the Unix epoch, UTC; `None` when absent or impossible.
    pub date_ms: Option<i64>,
    /// `List-Id` without brackets, lower case (RFC 2919).
    pub list_id: Option<String>,
    /// Where to write to the list it came through: `List-Post` (RFC 2369) or `Mailing-list`.
    pub list_address: Option<String>,
    /// Who wrote it, where a list has put itself into `From` (`X-Original-From`, of Google Groups).
    pub original_from: Vec<Mailbox>,
    /// `Auto-Submitted`, lower case, without parameters (RFC 3834): `no`, `auto-replied`, `auto-generated`.
    pub auto_submitted: Option<String>,
    /// `Precedence`, lower case: `bulk`, `list`, `junk`, `auto_reply`.
    pub precedence: Option<String>,
    /// Media type of the whole message, lower case: `multipart/mixed`.
    pub content_type: Option<String>,
    /// The topmost `Authentication-Results`: on mail fetched from Gmail, Gmail's own (T08, RFC 8601).
    pub authentication_results: Option<String>,
    /// The addresses a delivery failure is about (`X-Failed-Recipients`, on Gmail's own notices; S18).
    pub failed_recipients: Vec<Mailbox>,
    /// `X-Mailer`: what the sender wrote it with.
    pub mailer: Option<String>,
    /// Whether it goes to a BCC address as well (S18). Not read from it: whoever takes such addresses out of the lists above
    /// says so.
    pub is_logged: bool,
    /// Whether this is a `multipart/report` (RFC 6522) of how a message fared on its way (RFC 3464), or does not say of what.
    pub is_report: bool,
}

impl Envelope {
    /// The header names an envelope is made of: what to ask for with `metadataHeaders`.
    pub const HEADER_NAMES: &[&str] = &[
        "Message-ID",
        "X-Google-Original-Message-ID",
        "X-Gmail-Original-Message-ID",
        GIVEN_MESSAGE_ID,
        "In-Reply-To",
        "References",
        "From",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Bcc",
        "Subject",
        "Date",
        "List-Id",
        "List-Post",
        "Mailing-list",
        "X-Original-From",
        "Auto-Submitted",
        "Precedence",
        "Content-Type",
        "Authentication-Results",
        "X-Failed-Recipients",
        "X-Mailer",
    ];

    /// Reads Gmail's header fields (`payload.headers`: name and value, undecoded). Equal to [`Envelope::from_raw`] of
    /// the same fields.
    pub fn from_headers(fields: &[(String, String)]) -> Self {
        let mut block = Vec::with_capacity(
            fields
                .iter()
                .map(|(name, value)| name.len() + value.len() + 4)
                .sum(),
        );
        for (name, value) in fields {
            write_field(&mut block, name, value);
        }
        block.extend_from_slice(b"\r\n");
        Self::from_raw(&block)
    }

    /// Reads the headers at the beginning of a raw message (RFC 5322); what follows the blank line is not looked at.
    pub fn from_raw(raw: &[u8]) -> Self {
        let raw = &raw[..raw.len().min(MAX_HEADER_BYTES)];
        let mut headers = Vec::new();
        MessageStream::new(raw).parse_headers(&header_parser(), &mut headers);
        Self::from_parsed(&headers, raw)
    }

    /// From headers already parsed by [`header_parser`] out of `raw`.
    pub(super) fn from_parsed(headers: &[Header<'_>], raw: &[u8]) -> Self {
        let mut envelope = Self::default();
        let mut is_delivery = false;
        let mut sender_header = None;
        for header in headers {
            let value = || {
                raw.get(header.offset_start as usize..header.offset_end as usize)
                    .map(decode_header_bytes)
                    .unwrap_or_default()
            };
            let id = || message_ids(&value()).into_iter().next();
            match &header.name {
                HeaderName::MessageId => keep_first(&mut envelope.message_id, id),
                HeaderName::InReplyTo => {
                    extend(&mut envelope.in_reply_to, message_ids(&value()), MAX_REFERENCES);
                }
                HeaderName::References => envelope.references.extend(message_ids(&value())),
                HeaderName::From => extend(&mut envelope.from, mailboxes(header), MAX_MAILBOXES),
                HeaderName::Sender => keep_first(&mut sender_header, || mailboxes(header).next()),
                HeaderName::ReplyTo => {
                    extend(&mut envelope.reply_to, mailboxes(header), MAX_MAILBOXES);
                }
                HeaderName::To => extend(&mut envelope.to, mailboxes(header), MAX_MAILBOXES),
                HeaderName::Cc => extend(&mut envelope.cc, mailboxes(header), MAX_MAILBOXES),
                HeaderName::Bcc => extend(&mut envelope.bcc, mailboxes(header), MAX_MAILBOXES),
                HeaderName::Subject if envelope.subject.is_empty() => {
                    envelope.subject =
                        clean_line(header.value.as_text().unwrap_or_default(), MAX_SUBJECT_CHARS);
                }
                HeaderName::Date => keep_first(&mut envelope.date_ms, || date_ms(&header.value)),
                HeaderName::ListId => keep_first(&mut envelope.list_id, || list_id(&value())),
                HeaderName::ListPost => keep_first(&mut envelope.list_address, || list_address(&value())),
                HeaderName::AutoSubmitted => {
                    keep_first(&mut envelope.auto_submitted, || keyword(&value()));
                }
                // The last one counts, as in `parse`.
                HeaderName::ContentType => {
                    envelope.content_type = media_type(&header.value).or(envelope.content_type);
                    is_delivery = is_of_delivery(&header.value);
                }
                HeaderName::AuthenticationResults => {
                    keep_first(&mut envelope.authentication_results, || {
                        // Also an empty one: what is below the topmost is anybody's.
                        Some(clean_line(&value(), MAX_VALUE_CHARS))
                    });
                }
                HeaderName::Other(name) if is_original_message_id(name) => {
                    keep_first(&mut envelope.original_message_id, id);
                }
                HeaderName::Other(name) if name.eq_ignore_ascii_case(GIVEN_MESSAGE_ID) => {
                    keep_first(&mut envelope.given_message_id, id);
                }
                HeaderName::Other(name) if name.eq_ignore_ascii_case("Precedence") => {
                    keep_first(&mut envelope.precedence, || keyword(&value()));
                }
                HeaderName::Other(name) if name.eq_ignore_ascii_case("Mailing-list") => {
                    keep_first(&mut envelope.list_address, || list_address(&value()));
                }
                HeaderName::Other(name) if name.eq_ignore_ascii_case("X-Original-From") => {
                    let authors = super::address::parse_mailboxes(&value());
                    extend(&mut envelope.original_from, authors, MAX_MAILBOXES);
                }
                HeaderName::Other(name) if name.eq_ignore_ascii_case("X-Failed-Recipients") => {
                    let failed = super::address::parse_mailboxes(&value());
                    extend(&mut envelope.failed_recipients, failed, MAX_MAILBOXES);
                }
                HeaderName::Other(name) if name.eq_ignore_ascii_case("X-Mailer") => {
                    keep_first(&mut envelope.mailer, || {
                        Some(clean_line(&value(), MAX_MAILER_CHARS))
                    });
                }
                _ => {}
            }
        }
        keep_ends(&mut envelope.references, MAX_REFERENCES);
        envelope.is_report = is_delivery && envelope.content_type.as_deref() == Some("multipart/report");
        envelope.sender = envelope.from.first().cloned().or(sender_header);
        envelope
    }

    /// Whether it came through a mailing list or a group.
    pub fn is_of_list(&self) -> bool {
        self.list_id.is_some() || self.list_address.is_some()
    }

    /// The ids this message refers to, oldest first, each once: `References`, then what only `In-Reply-To` names.
    pub fn ancestors(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = Vec::with_capacity(self.references.len() + self.in_reply_to.len());
        for id in self.references.iter().chain(&self.in_reply_to) {
            if !ids.contains(&id.as_str()) {
                ids.push(id);
            }
        }
        ids
    }
}

/// The header parser of the whole module: only the fields that are used are read, `Received` and the like are skipped.
pub(super) fn header_parser() -> MessageParser {
    MessageParser::new()
        .default_header_ignore()
        .with_mime_headers()
        .with_minimal_headers()
        .header_address(HeaderName::Sender)
}

/// The message ids in a header value, without brackets and without white space inside. Where no bracket is found, the
/// words that contain an `@` are taken, and failing that, a single word.
pub fn message_ids(value: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let end = after.find(['>', '<']).unwrap_or(after.len());
        push_message_id(&mut ids, &after[..end]);
        rest = &after[end..];
    }
    if ids.is_empty() && !value.contains('<') {
        let words = || {
            value
                .split([' ', '\t', '\r', '\n', ',', ';'])
                .map(|word| word.trim_matches(['>', '"']))
        };
        words()
            .filter(|word| word.contains('@'))
            .for_each(|word| push_message_id(&mut ids, word));
        if ids.is_empty() && words().filter(|word| !word.is_empty()).count() == 1 {
            words().for_each(|word| push_message_id(&mut ids, word));
        }
    }
    ids
}

fn push_message_id(ids: &mut Vec<String>, written: &str) {
    let id: String = written
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .collect();
    if !id.is_empty() && id.len() <= MAX_MESSAGE_ID_BYTES {
        ids.push(id);
    }
}

/// Appends one field so that it is exactly one field again: every line break in the value folds.
fn write_field(block: &mut Vec<u8>, name: &str, value: &str) {
    let is_name = |b: u8| b.is_ascii_graphic() && b != b':';
    if name.is_empty() || !name.bytes().all(is_name) {
        return;
    }
    block.extend_from_slice(name.as_bytes());
    block.extend_from_slice(b": ");
    for (i, line) in value.trim().lines().enumerate() {
        if i > 0 {
            block.extend_from_slice(if line.starts_with([' ', '\t']) {
                b"\r\n"
            } else {
                b"\r\n "
            });
        }
        block.extend(line.bytes().map(|b| if b == b'\r' { b' ' } else { b }));
    }
    block.extend_from_slice(b"\r\n");
}

fn mailboxes<'a>(header: &'a Header<'a>) -> impl Iterator<Item = Mailbox> + 'a {
    header.value.as_address().into_iter().flat_map(mailboxes_of)
}

fn date_ms(value: &HeaderValue<'_>) -> Option<i64> {
    value
        .as_datetime()
        .filter(|date| date.is_valid())
        .map(|date| date.to_timestamp() * 1_000)
}

fn media_type(value: &HeaderValue<'_>) -> Option<String> {
    let content_type = value.as_content_type()?;
    let subtype = content_type.subtype()?;
    Some(clean_line(&format!("{}/{subtype}", content_type.ctype()), 200).to_ascii_lowercase())
}

/// Whether a report is one of delivery, as its type says (RFC 6522, section 3), or it says nothing.
fn is_of_delivery(value: &HeaderValue<'_>) -> bool {
    let kind = value
        .as_content_type()
        .and_then(|kind| kind.attribute("report-type"));
    kind.is_none_or(|kind| kind.is_empty() || kind.eq_ignore_ascii_case("delivery-status"))
}

fn list_id(value: &str) -> Option<String> {
    let inner = value
        .rsplit_once('<')
        .map_or(value, |(_, rest)| rest.split('>').next().unwrap_or(rest));
    let id: String = inner
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .take(500)
        .collect();
    (!id.is_empty()).then(|| id.to_lowercase())
}

/// The first address in `<mailto:list@example.com>`, or in `list list@example.com; contact …`.
fn list_address(value: &str) -> Option<String> {
    let mut words = value.split([' ', '\t', '\r', '\n', ',', ';', '<', '>', '?']);
    let word = words.find(|word| word.contains('@'))?;
    let address = word.strip_prefix("mailto:").unwrap_or(word);
    super::address::normalise(address).map(|address| address.as_string())
}

fn keyword(value: &str) -> Option<String> {
    let word = clean_line(value.split([';', '(']).next().unwrap_or_default(), 60).to_lowercase();
    (!word.is_empty()).then_some(word)
}

fn is_original_message_id(name: &str) -> bool {
    name.eq_ignore_ascii_case("X-Google-Original-Message-ID")
        || name.eq_ignore_ascii_case("X-Gmail-Original-Message-ID")
}

fn keep_first<T>(slot: &mut Option<T>, read: impl FnOnce() -> Option<T>) {
    if slot.is_none() {
        *slot = read();
    }
}

fn extend<T>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>, max: usize) {
    let room = max.saturating_sub(list.len());
    list.extend(more.into_iter().take(room));
}

/// Keeps the first entry and the last `max - 1`: a thread is known by its root and by its newest messages.
fn keep_ends<T>(list: &mut Vec<T>, max: usize) {
    if list.len() > max {
        list.drain(1..=list.len() - max);
    }
}
