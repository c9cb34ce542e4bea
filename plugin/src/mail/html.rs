//! A flat look at HTML: tags and text in one pass, without a tree.
//!
//! The tokens follow the tokenizer of the HTML standard (section 13.2.5) closely enough to agree with html5ever on where
//! a tag ends; they are used where a tree is not needed (text from HTML, limits before the sanitiser, folding after it).
//! Nothing here decides what is safe: that is [`super::sanitise`] alone. Linear in the input, no recursion.

use super::character_reference;

/// A piece of HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Text(&'a str),
    Start(Tag<'a>),
    End(Tag<'a>),
    /// A comment, a doctype, a processing instruction.
    Markup,
}

/// A start or end tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// The whole tag as written, with its brackets.
    pub(super) raw: &'a str,
    /// Offset of `raw` in the input.
    pub(super) at: usize,
    /// The element's name as written.
    pub(super) name: &'a str,
    attributes: &'a str,
}

impl<'a> Tag<'a> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Names and raw values (character references not decoded), in order.
    pub(super) fn attributes(&self) -> Attributes<'a> {
        Attributes {
            rest: self.attributes,
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(super) fn end(&self) -> usize {
        self.at + self.raw.len()
    }
}

/// The tokens of a document, in order.
#[derive(Clone)]
pub(super) struct Tokens<'a> {
    html: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self { html, at: 0 }
    }

    /// Passes over everything up to and with the end tag `name` (for elements whose content is not HTML).
    pub(super) fn skip_raw(&mut self, name: &str) {
        let bytes = self.html.as_bytes();
        while let Some(found) = bytes
            .get(self.at..)
            .and_then(|rest| rest.windows(2).position(|pair| pair == b"</"))
        {
            let after = self.at + found + 2;
            let end = after + name.len();
            let named = bytes
                .get(after..end)
                .is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
            let ends = bytes
                .get(end)
                .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/'));
            if named && ends {
                self.at = bytes
                    .get(end..)
                    .and_then(|rest| rest.iter().position(|b| *b == b'>'))
                    .map_or(bytes.len(), |i| end + i + 1);
                return;
            }
            self.at = after;
        }
        self.at = bytes.len();
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.html.get(from..to).unwrap_or_default()
    }

    fn text(&mut self) -> Token<'a> {
        let start = self.at;
        let bytes = self.html.as_bytes();
        // At least one character, so that a `<` that opens nothing is text.
        let mut end = start + 1;
        while end < bytes.len() && !(bytes[end] == b'<' && opens_markup(&bytes[end..])) {
            end += 1;
        }
        self.at = end;
        Token::Text(self.slice(start, end))
    }

    fn markup(&mut self) -> Token<'a> {
        let rest = &self.html[self.at..];
        let length = if let Some(comment) = rest.strip_prefix("<!--") {
            if comment.starts_with('>') {
                5
            } else if comment.starts_with("->") {
                6
            } else {
                comment_end(comment).map_or(rest.len(), |end| end + 4)
            }
        } else {
            rest.find('>').map_or(rest.len(), |end| end + 1)
        };
        self.at += length;
        Token::Markup
    }

    fn tag(&mut self) -> Token<'a> {
        let at = self.at;
        let bytes = self.html.as_bytes();
        let closing = bytes.get(at + 1) == Some(&b'/');
        let name_start = at + 1 + usize::from(closing);
        let name_end = bytes[name_start..]
            .iter()
            .position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'))
            .map_or(bytes.len(), |i| name_start + i);
        let Some(end) = tag_end(bytes, name_end) else {
            // An unfinished tag at the end of the input is dropped by every parser.
            self.at = bytes.len();
            return Token::Markup;
        };
        self.at = end + 1;
        let tag = Tag {
            raw: self.slice(at, end + 1),
            at,
            name: self.slice(name_start, name_end),
            attributes: self.slice(name_end, end),
        };
        if closing {
            Token::End(tag)
        } else {
            Token::Start(tag)
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self
            .html
            .as_bytes()
            .get(self.at..)
            .filter(|rest| !rest.is_empty())?;
        if !opens_markup(rest) {
            return Some(self.text());
        }
        let tag_like = rest.get(1).is_some_and(u8::is_ascii_alphabetic)
            || (rest.get(1) == Some(&b'/') && rest.get(2).is_some_and(u8::is_ascii_alphabetic));
        Some(if tag_like { self.tag() } else { self.markup() })
    }
}

/// Length of a comment's text with its end, `-->` or `--!>`.
fn comment_end(comment: &str) -> Option<usize> {
    let bytes = comment.as_bytes();
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == b'>')? + 1;
        if bytes[..at].ends_with(b"-->") || bytes[..at].ends_with(b"--!>") {
            return Some(at);
        }
    }
}

fn opens_markup(rest: &[u8]) -> bool {
    match rest {
        [b'<', b'!' | b'?', ..] | [b'<', b'/', _, ..] => true,
        [b'<', next, ..] => next.is_ascii_alphabetic(),
        _ => false,
    }
}

/// Where in a tag the scan is.
#[derive(PartialEq)]
enum TagState {
    Between,
    Name,
    /// White space after a name: an `=` still belongs to it.
    AfterName,
    BeforeValue,
    Unquoted,
    Quoted(u8),
}

/// Index of the `>` that ends the tag: one inside a quoted value does not, and a quote only counts after `=`.
fn tag_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut state = TagState::Between;
    for (i, &b) in bytes.iter().enumerate().skip(from) {
        state = match (state, b) {
            (TagState::Quoted(quote), b) if b == quote => TagState::Between,
            (TagState::Quoted(quote), _) => TagState::Quoted(quote),
            (_, b'>') => return Some(i),
            (TagState::BeforeValue, b'"' | b'\'') => TagState::Quoted(b),
            (TagState::BeforeValue, b) if b.is_ascii_whitespace() => TagState::BeforeValue,
            (TagState::BeforeValue, _) => TagState::Unquoted,
            (TagState::Unquoted, b) if !b.is_ascii_whitespace() => TagState::Unquoted,
            // An `=` where a name should begin is part of the name.
            (TagState::Name | TagState::AfterName, b'=') => TagState::BeforeValue,
            (TagState::Name | TagState::AfterName | TagState::Between | TagState::Unquoted, b'/') => {
                TagState::Between
            }
            (TagState::Name | TagState::AfterName, b) if b.is_ascii_whitespace() => TagState::AfterName,
            (TagState::Between | TagState::Unquoted, b) if b.is_ascii_whitespace() => TagState::Between,
            (TagState::Between | TagState::Name | TagState::AfterName | TagState::Unquoted, _) => {
                TagState::Name
            }
        };
    }
    None
}

/// The attributes of a tag.
pub(super) struct Attributes<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let rest = self
            .rest
            .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        let name_end = rest
            .char_indices()
            .find(|(i, c)| (*c == '=' && *i > 0) || c.is_ascii_whitespace() || *c == '/')
            .map_or(rest.len(), |(i, _)| i);
        let (name, after) = rest.split_at(name_end);
        let Some(value) = after.trim_ascii_start().strip_prefix('=') else {
            self.rest = after;
            return Some((name, ""));
        };
        let value = value.trim_ascii_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match quote {
            Some(quote) => {
                let inner = &value[1..];
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            None => value.split_at(
                value
                    .find(|c: char| c.is_ascii_whitespace())
                    .unwrap_or(value.len()),
            ),
        };
        self.rest = after;
        Some((name, value))
    }
}

/// Elements whose content is not shown and not HTML.
pub(super) const HIDDEN: &[&str] = &["script", "style", "title"];

/// The text of an HTML document, for readers without HTML: blocks become lines, quotations get `> `, references to
/// characters are decoded. Lines end in `\n`, at most one blank line in a row.
pub fn to_text(html: &str) -> String {
    let mut writer = TextWriter {
        out: String::with_capacity(html.len() / 2),
        ..TextWriter::default()
    };
    let mut tokens = Tokens::new(html);
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(text) => writer.text(text),
            Token::Start(tag) => {
                if let Some(hidden) = HIDDEN.iter().find(|hidden| tag.is(hidden)) {
                    tokens.skip_raw(hidden);
                } else {
                    writer.start(&tag);
                }
            }
            Token::End(tag) => writer.end(&tag),
            Token::Markup => {}
        }
    }
    writer.out.truncate(writer.out.trim_end().len());
    writer.out
}

/// The deepest quotation that is marked.
const MAX_QUOTE_DEPTH: usize = 10;

#[derive(Default)]
struct TextWriter {
    out: String,
    quotes: usize,
    preformatted: usize,
    space_due: bool,
    lines_due: usize,
    bullet_due: bool,
}

impl TextWriter {
    fn start(&mut self, tag: &Tag<'_>) {
        match tag.name.to_ascii_lowercase().as_str() {
            "br" => self.break_line(),
            "hr" => self.lines_due = self.lines_due.max(1),
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "table" | "dl" => {
                self.lines_due = self.lines_due.max(2);
            }
            "li" => {
                self.lines_due = self.lines_due.max(1);
                self.bullet_due = true;
            }
            "blockquote" => {
                self.lines_due = self.lines_due.max(1);
                self.quotes += 1;
            }
            "pre" => {
                self.lines_due = self.lines_due.max(1);
                self.preformatted += 1;
            }
            "td" | "th" => self.space_due = true,
            "img" => {
                if let Some(alt) = tag.attribute("alt") {
                    self.text(alt);
                }
            }
            name if is_block(name) => self.lines_due = self.lines_due.max(1),
            _ => {}
        }
    }

    fn end(&mut self, tag: &Tag<'_>) {
        match tag.name.to_ascii_lowercase().as_str() {
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "table" | "dl" => {
                self.lines_due = self.lines_due.max(2);
            }
            "blockquote" => {
                self.lines_due = self.lines_due.max(1);
                self.quotes = self.quotes.saturating_sub(1);
            }
            "pre" => {
                self.lines_due = self.lines_due.max(1);
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            name if is_block(name) => self.lines_due = self.lines_due.max(1),
            _ => {}
        }
    }

    /// An explicit line break: two in a row are a blank line.
    fn break_line(&mut self) {
        if self.lines_due > 0 || self.out.is_empty() {
            self.lines_due = (self.lines_due + 1).min(2);
        } else {
            self.lines_due = 1;
        }
        self.space_due = false;
    }

    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '\n' && self.preformatted > 0 {
                self.break_line();
            } else if c.is_ascii_whitespace() {
                self.space_due = true;
            } else if let Some(reference) = character_reference::leading(rest) {
                for c in [Some(reference.first), reference.second].into_iter().flatten() {
                    if c == '\u{a0}' {
                        self.space_due = true;
                    } else if !c.is_control() {
                        self.put(c);
                    }
                }
                rest = &rest[reference.length..];
                continue;
            } else if !is_zero_width(c) && !c.is_control() {
                self.put(c);
            }
            rest = &rest[c.len_utf8()..];
        }
    }

    fn put(&mut self, c: char) {
        if self.lines_due > 0 {
            if !self.out.is_empty() {
                (0..self.lines_due).for_each(|_| self.out.push('\n'));
            }
            self.lines_due = 0;
            self.space_due = false;
        }
        if self.out.is_empty() || self.out.ends_with('\n') {
            (0..self.quotes.min(MAX_QUOTE_DEPTH)).for_each(|_| self.out.push_str("> "));
            self.space_due = false;
            if self.bullet_due {
                self.out.push_str("- ");
            }
        } else if self.space_due {
            self.out.push(' ');
        }
        self.bullet_due = false;
        self.space_due = false;
        self.out.push(c);
    }
}

/// Fillers that newsletters hide their preview text behind.
fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{feff}' | '\u{ad}' | '\u{34f}')
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "div"
            | "section"
            | "article"
            | "header"
            | "footer"
            | "main"
            | "aside"
            | "nav"
            | "address"
            | "center"
            | "tr"
            | "li"
            | "dt"
            | "dd"
            | "form"
            | "fieldset"
            | "figure"
            | "figcaption"
            | "caption"
            | "details"
            | "summary"
            | "body"
    )
}
