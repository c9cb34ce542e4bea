//! Mailboxes as headers carry them, and addresses as rules compare them.
//!
//! A [`Mailbox`] keeps what the sender wrote (for display and for sending); a [`NormalAddress`] is what two addresses
//! are compared by. Header syntax is RFC 5322 section 3.4, read by mail-parser; what it leaves (groups, names in the
//! place of addresses) is settled here. Domains are compared in their ASCII form (RFC 5891), local parts without case:
//! RFC 5321 allows case to matter, no provider makes use of it, and a case-sensitive match is a known source of doubled
//! contacts. Dots and `googlemail.com` are ignored for Gmail addresses only, as Gmail itself does.

use std::borrow::Cow;
use std::fmt;

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, HeaderValue};
use serde::{Deserialize, Serialize};

use super::text::clean_line;

/// The most addresses kept of one header field; the rest is ignored.
pub const MAX_MAILBOXES: usize = 2_000;
/// The longest address accepted, in bytes (RFC 5321: 64 + 1 + 255).
pub const MAX_ADDRESS_BYTES: usize = 320;
/// The longest display name kept, in characters.
const MAX_NAME_CHARS: usize = 300;

/// One address with its display name, as a header carries it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mailbox {
    /// The display name, decoded, without control characters; absent when there is none.
    pub name: Option<String>,
    /// The address as written (`local@domain`), without angle brackets.
    pub address: String,
}

impl Mailbox {
    /// A mailbox without a display name.
    pub fn bare(address: impl Into<String>) -> Self {
        Self {
            name: None,
            address: address.into(),
        }
    }

    /// A mailbox with a display name.
    pub fn named(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            address: address.into(),
        }
    }

    /// The address to compare by; `None` when what was written is not an address.
    pub fn normal(&self) -> Option<NormalAddress> {
        normalise(&self.address)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(out, "{name} <{}>", self.address),
            None => out.write_str(&self.address),
        }
    }
}

/// Reads the value of an address header (`To`, `Cc`, …): groups are flattened, empty groups give nothing, entries
/// without an `@` are dropped. Never fails: what cannot be read is left out.
pub fn parse_mailboxes(value: &str) -> Vec<Mailbox> {
    // mail-parser ends a field at a line feed that no white space follows; within a value there is none but the last.
    let mut field = value.replace(['\r', '\n'], " ");
    field.push('\n');
    match MessageStream::new(field.as_bytes()).parse_address() {
        HeaderValue::Address(address) => mailboxes_of(&address).collect(),
        _ => Vec::new(),
    }
}

/// The mailboxes of a parsed address header, in order, at most [`MAX_MAILBOXES`].
pub(super) fn mailboxes_of<'a>(address: &'a Address<'a>) -> impl Iterator<Item = Mailbox> + 'a {
    address.iter().filter_map(mailbox_of).take(MAX_MAILBOXES)
}

fn mailbox_of(addr: &Addr<'_>) -> Option<Mailbox> {
    let name = addr
        .name
        .as_deref()
        .map(|name| clean_line(name, MAX_NAME_CHARS))
        .filter(|name| !name.is_empty());
    if let (Some(local), Some(domain)) = (&name, addr.address.as_deref())
        && domain.starts_with('@')
    {
        // `"ann e"@example.com` without brackets: mail-parser takes the quoted local part for a name.
        return written_address(&format!("{}{domain}", as_local_part(local))).map(Mailbox::bare);
    }
    match addr.address.as_deref().and_then(written_address) {
        Some(address) => Some(Mailbox { name, address }),
        // `From: someone@example.com (no brackets, and read as a name)` and `"a@b.example"`.
        None => name.and_then(|name| written_address(&name)).map(Mailbox::bare),
    }
}

/// A local part as it has to be written (RFC 5322 section 3.4.1): quoted, if it is not plain.
fn as_local_part(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain_local) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The address in `text`, if the whole of it is one: brackets, white space and a `mailto:` are taken off.
fn written_address(text: &str) -> Option<String> {
    let bare = text.trim().trim_matches(['<', '>', ',', ';']);
    // A domain never ends with it; a local part may begin with it.
    let bare = match bare.strip_suffix('\'') {
        Some(rest) => rest.strip_prefix('\'').unwrap_or(rest),
        None => bare,
    };
    if bare.starts_with('"') && bare.contains("\"@") {
        return is_address(bare).then(|| bare.to_owned());
    }
    let bare = bare.trim_matches(['<', '>', '"', ',', ';']);
    let bare = bare.strip_prefix("mailto:").unwrap_or(bare);
    let whole: Cow<'_, str> = if bare.contains(char::is_whitespace) {
        Cow::Owned(bare.split_whitespace().collect::<Vec<_>>().concat())
    } else {
        Cow::Borrowed(bare)
    };
    // Joined words count as an address only around the `@` ("user @ example.com"), not as a sentence with one in it.
    if bare.split_whitespace().count() > 3 {
        return None;
    }
    is_address(&whole).then(|| whole.into_owned())
}

fn is_address(text: &str) -> bool {
    text.len() <= MAX_ADDRESS_BYTES
        && !text.chars().any(char::is_control)
        && text
            .rsplit_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// An address in the form in which addresses are compared: lower case, the domain in ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NormalAddress {
    local: String,
    domain: String,
}

/// The comparable form of an address; `None` when `text` is not an address (no `@`, an empty or impossible domain,
/// white space, brackets or quotes in a local part that is not quoted, over [`MAX_ADDRESS_BYTES`]).
pub fn normalise(text: &str) -> Option<NormalAddress> {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>').trim();
    if text.len() > MAX_ADDRESS_BYTES {
        return None;
    }
    let (local, domain) = text.rsplit_once('@')?;
    let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    let local = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        // `"plain"@x` and `plain@x` are the same mailbox (RFC 5322 section 3.4.1).
        Some(inner) if quoted && !inner.is_empty() && inner.chars().all(is_plain_local) => inner,
        _ => local,
    };
    let foreign = |c: char| c.is_control() || (!quoted && (c.is_whitespace() || "<>\"".contains(c)));
    // Dots alone are no atom (RFC 5322 section 3.2.3), and nothing at all once Gmail's are left out.
    if local.chars().all(|c| c == '.') || local.chars().any(foreign) {
        return None;
    }
    Some(NormalAddress {
        local: local.to_lowercase(),
        domain: normal_domain(domain)?,
    })
}

/// The comparable form of a domain that people typed, such as `example.com`; `None` when it is none, or has no dot.
pub fn domain(text: &str) -> Option<String> {
    normal_domain(text).filter(|domain| domain.contains('.') && !domain.starts_with('['))
}

fn is_plain_local(c: char) -> bool {
    c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

/// The ASCII, lower-case form of a domain, without a trailing dot.
fn normal_domain(domain: &str) -> Option<String> {
    let domain = domain.trim().trim_end_matches('.');
    if domain.starts_with('[') {
        return domain.ends_with(']').then(|| domain.to_ascii_lowercase());
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let ascii = if domain.bytes().all(plain) {
        domain.to_ascii_lowercase()
    } else {
        match url::Host::parse(domain).ok()? {
            url::Host::Domain(ascii) => ascii,
            url::Host::Ipv4(_) | url::Host::Ipv6(_) => return None,
        }
    };
    let labels_hold = ascii
        .split('.')
        .all(|label| !label.is_empty() && label.len() <= 63);
    // A URL's host may hold `"` and the like, which in a header field mean something.
    (labels_hold && ascii.bytes().all(plain)).then_some(ascii)
}

impl NormalAddress {
    /// The address, `local@domain`.
    pub fn as_string(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// The part before the `@`, in lower case.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain, in lower case and ASCII.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What two addresses of one mailbox have in common: for Gmail, dots in the local part do not count and
    /// `googlemail.com` is `gmail.com` (<https://support.google.com/mail/answer/7436150>). A tag (`+…`) stays.
    pub fn key(&self) -> String {
        if !self.is_gmail() {
            return self.as_string();
        }
        let (name, tag) = match self.local.find('+') {
            Some(at) => self.local.split_at(at),
            None => (self.local.as_str(), ""),
        };
        format!("{}{tag}@gmail.com", name.replace('.', ""))
    }

    /// The same address without its tag: `ann+crm@x` becomes `ann@x` (RFC 5233). Without a tag, itself.
    #[must_use]
    pub fn without_tag(&self) -> Self {
        let local = match self.local.split_once('+') {
            // What is left has to be a local part.
            Some((name, _)) if !name.chars().all(|c| c == '.') && !name.starts_with('"') => name.to_owned(),
            _ => self.local.clone(),
        };
        Self {
            local,
            domain: self.domain.clone(),
        }
    }

    /// The ways to write this address and [the same without its tag](Self::without_tag) that can be named, itself
    /// first: what to ask somebody for who compares addresses letter by letter. Where people put dots into the
    /// local part of a Gmail address cannot be named.
    pub fn spellings(&self) -> Vec<String> {
        let mut spellings = Vec::new();
        for address in [self.clone(), self.without_tag()] {
            let domains = if address.is_gmail() {
                vec![
                    address.domain.clone(),
                    "gmail.com".to_owned(),
                    "googlemail.com".to_owned(),
                ]
            } else if address.domain.contains("xn--") {
                let shown = url::quirks::domain_to_unicode(&address.domain);
                vec![address.domain.clone(), shown]
            } else {
                vec![address.domain.clone()]
            };
            let key = address.key();
            let undotted = key.rsplit_once('@').map_or("", |(local, _)| local);
            for domain in &domains {
                for local in [address.local.as_str(), undotted] {
                    let spelling = format!("{local}@{domain}");
                    if !spellings.contains(&spelling) {
                        spellings.push(spelling);
                    }
                }
            }
        }
        spellings
    }

    /// Whether mail to this address comes to the mailbox of `other`: a tag does not count.
    pub fn is_of_mailbox(&self, other: &Self) -> bool {
        self.key() == other.key() || self.without_tag().key() == other.key()
    }

    fn is_gmail(&self) -> bool {
        is_consumer(&self.domain)
    }
}

/// Whether a domain is one that Gmail gives to anybody, so that people who share it have nothing to do with each other.
pub fn is_consumer(domain: &str) -> bool {
    matches!(domain, "gmail.com" | "googlemail.com")
}

impl fmt::Display for NormalAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.local, self.domain)
    }
}
