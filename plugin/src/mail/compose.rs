//! Outbound mail for Gmail, composed without its attachments.
//!
//! A message is a list of pieces: bytes, and places where an attachment is to be encoded. Its exact size follows from
//! the attachments' sizes alone, so the 25 MB limit is checked before anything is read (S21) and no attachment is ever
//! whole in memory. Bodies are encoded by mail-builder, which is always given its boundary: left alone it asks a clock
//! for one, and there is none here. Message id, date and boundary seed come from the caller, so the same input gives the
//! same bytes. `Bcc` is written: Gmail takes the recipients from it and removes it for the others.

use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::mime::{BodyPart, MimePart};

use super::address::{Mailbox, normalise};
use super::base64_lines::encoded_size;
use super::header_field::{FieldWriter, is_atom_text};
use super::part::{Disposition, safe_file_name};
use super::text::{clean_body, clean_line};

/// The most recipients of one message: Gmail's limit for the API.
pub const MAX_RECIPIENTS: usize = 500;
/// The most attachments of one message.
pub const MAX_ATTACHMENTS: usize = 200;
/// The longest subject sent, in characters.
const MAX_SUBJECT_CHARS: usize = 900;
const MAX_NAME_CHARS: usize = 200;
/// The field that repeats the Message-ID given here, which Gmail writes anew: where the field survives, a message that was
/// sent is known from another that is alike (S23).
pub const GIVEN_MESSAGE_ID: &str = "X-Twinbox-Message-ID";
/// `X-Mailer` of whatever is sent from a CRM, the same for all: by it the sync of another tenant knows such mail (S32).
pub const SENT_BY: &str = "Twinbox";

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// `From`: the connected address or an accepted alias.
    pub sender: Mailbox,
    /// `To`.
    pub to: Vec<Mailbox>,
    /// `Cc`.
    pub cc: Vec<Mailbox>,
    /// `Bcc`.
    pub bcc: Vec<Mailbox>,
    /// `Reply-To`; usually empty.
    pub reply_to: Vec<Mailbox>,
    /// The subject, unencoded.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML alternative.
    pub html: Option<String>,
    /// The message id answered to, with or without brackets.
    pub in_reply_to: Option<String>,
    /// See [`references_for_reply`].
    pub references: Vec<String>,
    /// `Message-ID`, with or without brackets. Gmail may replace it.
    pub message_id: String,
    /// `Date`, in milliseconds since the Unix epoch, UTC.
    pub date_ms: i64,
    /// Random letters and digits to build the boundaries from.
    pub boundary_seed: String,
    /// The attachments, in order; their content is streamed later.
    pub attachments: Vec<OutgoingAttachment>,
}

/// An attachment to send, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingAttachment {
    /// The file name shown to the recipient.
    pub file_name: String,
    /// Media type; what is not one becomes `application/octet-stream`.
    pub media_type: String,
    /// Exact size of the content in bytes.
    pub size: u64,
    /// What `cid:` in the HTML refers to, with or without brackets.
    pub content_id: Option<String>,
    /// Whether it belongs into the HTML or beside it.
    pub disposition: Disposition,
}

/// A composed message: write the pieces one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// The pieces in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a composed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The content of an attachment, through [`super::Base64Lines`].
    Attachment {
        /// Position in [`Outgoing::attachments`].
        index: usize,
        /// Size of the unencoded content in bytes.
        size: u64,
    },
}

/// Why a message cannot be composed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// Not an address that mail can be sent to or from.
    #[error("not a usable address in {field}: {address}")]
    Address {
        /// The header field.
        field: &'static str,
        /// What was given, cleaned and shortened.
        address: String,
    },
    /// Neither To nor Cc nor Bcc.
    #[error("the message has no recipient")]
    NoRecipient,
    /// More than [`MAX_RECIPIENTS`].
    #[error("{count} recipients are more than {MAX_RECIPIENTS}")]
    TooManyRecipients {
        /// How many there are.
        count: usize,
    },
    /// More than [`MAX_ATTACHMENTS`].
    #[error("{count} attachments are more than {MAX_ATTACHMENTS}")]
    TooManyAttachments {
        /// How many there are.
        count: usize,
    },
    /// A message id that is not one.
    #[error("not a message id in {field}")]
    MessageId {
        /// The header field.
        field: &'static str,
    },
    /// The body could not be encoded.
    #[error("the body could not be encoded")]
    Encoding,
}

impl Composed {
    /// The size of the whole message in bytes, exact, attachments encoded (RFC 5322 as it will be uploaded).
    pub fn size(&self) -> u64 {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.len() as u64,
                Piece::Attachment { size, .. } => encoded_size(*size),
            })
            .fold(0, u64::saturating_add)
    }
}

impl Outgoing {
    /// Composes the message. No field can add another: line breaks, NUL and other control characters are removed from
    /// what is free text, and refused where a value has to be exact (addresses, message ids).
    pub fn compose(&self) -> Result<Composed, ComposeError> {
        let count = self.to.len() + self.cc.len() + self.bcc.len();
        match count {
            0 => return Err(ComposeError::NoRecipient),
            count if count > MAX_RECIPIENTS => {
                return Err(ComposeError::TooManyRecipients { count });
            }
            _ => {}
        }
        if self.attachments.len() > MAX_ATTACHMENTS {
            return Err(ComposeError::TooManyAttachments {
                count: self.attachments.len(),
            });
        }
        let mut writer = Writer {
            pieces: Vec::new(),
            bytes: self.header_block()?,
        };
        self.write_body(&mut writer)?;
        Ok(writer.finish())
    }

    fn header_block(&self) -> Result<Vec<u8>, ComposeError> {
        let mut out = Vec::with_capacity(1024);
        let date = Date::new(self.date_ms.div_euclid(1_000).clamp(0, LAST_DATE_SECONDS)).to_rfc822();
        FieldWriter::new(&mut out, "Date").word(&date).end();
        write_mailboxes(&mut out, "From", std::slice::from_ref(&self.sender))?;
        write_mailboxes(&mut out, "Reply-To", &self.reply_to)?;
        write_mailboxes(&mut out, "To", &self.to)?;
        write_mailboxes(&mut out, "Cc", &self.cc)?;
        write_mailboxes(&mut out, "Bcc", &self.bcc)?;
        FieldWriter::new(&mut out, "Subject")
            .text(&clean_line(&self.subject, MAX_SUBJECT_CHARS))
            .end();
        write_ids(&mut out, "Message-ID", std::slice::from_ref(&self.message_id))?;
        write_ids(&mut out, "In-Reply-To", self.in_reply_to.as_slice())?;
        write_ids(&mut out, "References", &self.references)?;
        write_ids(&mut out, GIVEN_MESSAGE_ID, std::slice::from_ref(&self.message_id))?;
        FieldWriter::new(&mut out, "X-Mailer").word(SENT_BY).end();
        FieldWriter::new(&mut out, "MIME-Version").word("1.0").end();
        Ok(out)
    }

    fn write_body(&self, writer: &mut Writer) -> Result<(), ComposeError> {
        let text = with_crlf(&self.text);
        let html = self.html.as_deref().map(with_crlf);
        let boundaries = Boundaries::new(&self.boundary_seed, &text, html.as_deref().unwrap_or_default());
        let is_inline = |attachment: &OutgoingAttachment| {
            html.is_some() && attachment.disposition == Disposition::Inline && attachment.content_id.is_some()
        };
        let indexed = || self.attachments.iter().enumerate();
        let inline: Vec<_> = indexed()
            .filter(|(_, attachment)| is_inline(attachment))
            .collect();
        let beside: Vec<_> = indexed()
            .filter(|(_, attachment)| !is_inline(attachment))
            .collect();
        let body = text_part(text, html.clone(), &boundaries.alternative);

        if !beside.is_empty() {
            writer.open("multipart/mixed", &boundaries.mixed);
        }
        if !inline.is_empty() {
            writer.open("multipart/related", &boundaries.related);
        }
        body.write_part(&mut writer.bytes)
            .map_err(|_| ComposeError::Encoding)?;
        for (boundary, attachments) in [(&boundaries.related, inline), (&boundaries.mixed, beside)] {
            if attachments.is_empty() {
                continue;
            }
            for (index, attachment) in attachments {
                writer.boundary(boundary, "\r\n");
                writer.attachment(index, attachment)?;
            }
            writer.boundary(boundary, "--\r\n");
        }
        Ok(())
    }
}

/// 9999-12-31T23:59:59Z: the last date with a year of four digits (RFC 5322 section 3.3).
const LAST_DATE_SECONDS: i64 = 253_402_300_799;

/// `Re: ` once: a subject that already is a reply, in any of the usual languages, stays as it is.
pub fn reply_subject(subject: &str) -> String {
    let subject = clean_line(subject, MAX_SUBJECT_CHARS);
    match prefix(&subject) {
        Some((Prefix::Reply, _)) => subject,
        _ => clean_line(&format!("Re: {subject}"), MAX_SUBJECT_CHARS),
    }
}

/// Whether Gmail would keep both subjects in one thread: equal but for reply and forward prefixes, case and spacing.
pub fn same_subject(a: &str, b: &str) -> bool {
    base_subject(a) == base_subject(b)
}

/// `References` of a reply: the parent's, then the parent (RFC 5322 section 3.6.4). At most 100 ids; what is left out is
/// in the middle.
pub fn references_for_reply(parent_references: &[String], parent_message_id: Option<&str>) -> Vec<String> {
    let mut ids: Vec<String> = Vec::with_capacity(parent_references.len() + 1);
    for id in parent_references
        .iter()
        .map(String::as_str)
        .chain(parent_message_id)
    {
        let id = id.trim().trim_start_matches('<').trim_end_matches('>');
        if is_message_id(id) && !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    if ids.len() > MAX_SENT_REFERENCES {
        ids.drain(1..=ids.len() - MAX_SENT_REFERENCES);
    }
    ids
}

const MAX_SENT_REFERENCES: usize = 100;

fn base_subject(subject: &str) -> String {
    let mut rest = subject.trim();
    while let Some((_, after)) = prefix(rest) {
        rest = after.trim_start();
    }
    rest.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

#[derive(PartialEq, Eq)]
enum Prefix {
    Reply,
    Forward,
}

/// Reply prefixes by mail programs' languages (<https://en.wikipedia.org/wiki/List_of_email_subject_abbreviations>).
const REPLY_PREFIXES: &[&str] = &[
    "re", "aw", "antw", "sv", "vs", "ref", "res", "rif", "rép", "odp", "ynt", "yanıt", "na", "hö", "bls",
    "ats", "atb", "απ", "σχετ", "השב", "رد", "回复", "答复", "回覆", "回信",
];
const FORWARD_PREFIXES: &[&str] = &[
    "fw",
    "fwd",
    "wg",
    "tr",
    "rv",
    "enc",
    "i",
    "vb",
    "vl",
    "doorst",
    "pd",
    "ilt",
    "továbbítás",
    "fs",
    "trs",
    "πρθ",
    "הועבר",
    "转发",
    "轉寄",
];

/// A prefix such as `Re:`, `RE[2]:`, `AW (3):` or `回复：`, and what follows it.
fn prefix(subject: &str) -> Option<(Prefix, &str)> {
    let (head, after) = subject.split_once([':', '：'])?;
    if head.len() > 40 {
        return None;
    }
    let word = head.trim_end_matches(|c: char| {
        c.is_ascii_digit() || matches!(c, '[' | ']' | '(' | ')' | '^' | '*') || c.is_whitespace()
    });
    let word = word.trim().to_lowercase();
    if REPLY_PREFIXES.contains(&word.as_str()) {
        Some((Prefix::Reply, after))
    } else if FORWARD_PREFIXES.contains(&word.as_str()) {
        Some((Prefix::Forward, after))
    } else {
        None
    }
}

fn write_mailboxes(
    out: &mut Vec<u8>,
    field: &'static str,
    mailboxes: &[Mailbox],
) -> Result<(), ComposeError> {
    if mailboxes.is_empty() {
        return Ok(());
    }
    let mut writer = FieldWriter::new(out, field);
    for (i, mailbox) in mailboxes.iter().enumerate() {
        let address = sendable(&mailbox.address).ok_or_else(|| ComposeError::Address {
            field,
            address: clean_line(&mailbox.address, 100),
        })?;
        let comma = if i + 1 < mailboxes.len() { "," } else { "" };
        match mailbox
            .name
            .as_deref()
            .map(|name| clean_line(name, MAX_NAME_CHARS))
            .filter(|name| !name.is_empty())
        {
            Some(name) => writer = writer.phrase(&name).word(&format!("<{address}>{comma}")),
            None => writer = writer.word(&format!("{address}{comma}")),
        }
    }
    writer.end();
    Ok(())
}

/// The address as it goes onto the wire: an exact `local@domain` in ASCII, the domain as it is compared, the local part
/// as written.
fn sendable(address: &str) -> Option<String> {
    let address = address.trim();
    let domain = normalise(address)?.domain().to_owned();
    let (local, _) = address.rsplit_once('@')?;
    // Readers decode encoded words in addresses too, though RFC 2047 section 5 forbids them there.
    if local.contains("=?") {
        return None;
    }
    let dot_atom = local
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atom_text));
    let quoted = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .is_some_and(|inner| {
            inner
                .chars()
                .all(|c| (c == ' ' || c.is_ascii_graphic()) && !matches!(c, '"' | '\\'))
        });
    let literal = domain.starts_with('[')
        && !domain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"[].:-".contains(&b));
    ((dot_atom || quoted) && !literal).then(|| format!("{local}@{domain}"))
}

fn write_ids(out: &mut Vec<u8>, field: &'static str, ids: &[String]) -> Result<(), ComposeError> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut writer = FieldWriter::new(out, field);
    for id in ids {
        let bare = id.trim().trim_start_matches('<').trim_end_matches('>');
        if !is_message_id(bare) {
            return Err(ComposeError::MessageId { field });
        }
        writer = writer.word(&format!("<{bare}>"));
    }
    writer.end();
    Ok(())
}

/// Printable ASCII without brackets and white space: strict enough for one header line, lenient enough for real ids.
fn is_message_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 900
        && id
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'))
}

fn with_crlf(text: &str) -> String {
    let clean = clean_body(text.to_owned());
    let mut lines = clean.replace('\n', "\r\n");
    if !lines.ends_with('\n') {
        lines.push_str("\r\n");
    }
    lines
}

fn text_part(text: String, html: Option<String>, boundary: &str) -> MimePart<'static> {
    let plain = MimePart::new("text/plain", BodyPart::Text(text.into()));
    match html {
        None => plain,
        Some(html) => MimePart::new(
            ContentType::new("multipart/alternative").attribute("boundary", boundary.to_owned()),
            BodyPart::Multipart(vec![
                plain,
                MimePart::new("text/html", BodyPart::Text(html.into())),
            ]),
        ),
    }
}

struct Boundaries {
    mixed: String,
    related: String,
    alternative: String,
}

impl Boundaries {
    /// Boundaries that occur in neither body. `=_` cannot occur in quoted-printable or base64 (RFC 2045 section 6.7);
    /// for text sent as it is, the seed gets a number until it is new. At most 70 characters (RFC 2046 section 5.1.1).
    fn new(seed: &str, text: &str, html: &str) -> Self {
        let mut unique: String = seed
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(40)
            .collect();
        let given = unique.len();
        let mut number = 0_u64;
        while text.contains(&format!("_{unique}")) || html.contains(&format!("_{unique}")) {
            unique.truncate(given);
            unique.push_str(&number.to_string());
            number += 1;
        }
        let seed = unique;
        Self {
            mixed: format!("=_m_{seed}"),
            related: format!("=_r_{seed}"),
            alternative: format!("=_a_{seed}"),
        }
    }
}

struct Writer {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
}

impl Writer {
    fn open(&mut self, media_type: &str, boundary: &str) {
        FieldWriter::new(&mut self.bytes, "Content-Type")
            .word(&format!("{media_type};"))
            .word(&format!("boundary=\"{boundary}\""))
            .end();
        self.boundary(boundary, "\r\n");
    }

    fn boundary(&mut self, boundary: &str, end: &str) {
        for part in ["\r\n--", boundary, end] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
    }

    fn attachment(&mut self, index: usize, attachment: &OutgoingAttachment) -> Result<(), ComposeError> {
        let file_name = Some(safe_file_name(&attachment.file_name)).filter(|name| !name.is_empty());
        let file_name = file_name.unwrap_or_else(|| "attachment".to_owned());
        let disposition = match attachment.disposition {
            Disposition::Inline => "inline",
            Disposition::Attachment => "attachment",
        };
        FieldWriter::new(&mut self.bytes, "Content-Type")
            .word(media_type(&attachment.media_type))
            .end();
        FieldWriter::new(&mut self.bytes, "Content-Disposition")
            .word(disposition)
            .parameter("filename", &file_name)
            .end();
        if let Some(content_id) = &attachment.content_id {
            write_ids(&mut self.bytes, "Content-ID", std::slice::from_ref(content_id))?;
        }
        FieldWriter::new(&mut self.bytes, "Content-Transfer-Encoding")
            .word("base64")
            .end();
        self.bytes.extend_from_slice(b"\r\n");
        self.pieces.push(Piece::Bytes(std::mem::take(&mut self.bytes)));
        self.pieces.push(Piece::Attachment {
            index,
            size: attachment.size,
        });
        Ok(())
    }

    fn finish(mut self) -> Composed {
        if !self.bytes.is_empty() {
            self.pieces.push(Piece::Bytes(self.bytes));
        }
        Composed { pieces: self.pieces }
    }
}

/// The media type if it is one that base64 content may have; `multipart` and `message` may not be encoded (RFC 2045
/// section 6.4), so an attached message goes as a file.
fn media_type(given: &str) -> &str {
    let is_token = |word: &str| !word.is_empty() && word.len() <= 100 && word.chars().all(is_atom_text);
    match given.split_once('/') {
        Some((kind, subtype))
            if is_token(kind)
                && is_token(subtype)
                && !["multipart", "message"]
                    .iter()
                    .any(|composite| kind.eq_ignore_ascii_case(composite)) =>
        {
            given
        }
        _ => "application/octet-stream",
    }
}
