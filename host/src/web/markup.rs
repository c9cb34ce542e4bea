//! Markup taken apart: tags with their attributes decoded, and text. Only what the sanitiser needs;
//! what is odd is nothing rather than a guess (HTML, 13.2.5).

/// A start tag.
pub(super) struct Tag {
    /// In lower case.
    pub(super) name: String,
    /// Names in lower case, values decoded.
    pub(super) attributes: Vec<(String, String)>,
}

/// What markup begins with, and how many bytes it is.
pub(super) enum Token {
    /// So many bytes are text.
    Text(usize),
    /// So many bytes are nothing to show.
    Nothing(usize),
    Start(Tag, usize),
    End(String, usize),
}

impl Tag {
    /// The value of its first attribute with this name.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Whether a text begins with this, in any case.
pub(super) fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Two parts; all of it and nothing when it is not that long.
pub(super) fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// What begins with this `<`.
pub(super) fn parse(markup: &str) -> Token {
    if markup.starts_with("<!--") {
        return Token::Nothing(markup.find("-->").map_or(markup.len(), |at| at + 3));
    }
    let (ends, head) = match markup.as_bytes().get(1) {
        Some(b'/') => (true, 2),
        Some(b'!' | b'?') => return Token::Nothing(markup.find('>').map_or(markup.len(), |at| at + 1)),
        _ => (false, 1),
    };
    let after = split(markup, head).1;
    if !after.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Token::Text(1);
    }
    let length = after
        .find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')
        .unwrap_or(after.len());
    let (name, mut rest) = split(after, length);
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            // The input ends within a tag: none of it is shown, as browsers do.
            return Token::Nothing(markup.len());
        }
        if let Some(after) = rest.strip_prefix('>') {
            let length = markup.len() - after.len();
            let name = name.to_ascii_lowercase();
            return if ends {
                Token::End(name, length)
            } else {
                Token::Start(Tag { name, attributes }, length)
            };
        }
        let (attribute, after) = parse_attribute(rest);
        attributes.push(attribute);
        rest = after;
    }
}

/// One attribute and what follows. `text` is not empty and does not begin with a space, `/` or `>`.
fn parse_attribute(text: &str) -> ((String, String), &str) {
    // An equals sign at the start belongs to the name (HTML, 13.2.5.32).
    let length = text
        .char_indices()
        .skip(1)
        .find(|(_, c)| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '='))
        .map_or(text.len(), |(at, _)| at);
    let (name, after) = split(text, length);
    let name = name.to_ascii_lowercase();
    let Some(value) = after.trim_ascii_start().strip_prefix('=') else {
        return ((name, String::new()), after);
    };
    let value = value.trim_ascii_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (value, after) = if let Some(quote) = quote {
        let inner = split(value, 1).1;
        inner.split_once(quote).unwrap_or((inner, ""))
    } else {
        let end = value
            .find(|c: char| c.is_ascii_whitespace() || c == '>')
            .unwrap_or(value.len());
        split(value, end)
    };
    ((name, decoded(value)), after)
}

/// An attribute's value without references. Names other than the few that markup needs stay as text:
/// their ampersand is escaped again, so they mean less than they did, never more.
fn decoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        let (before, reference) = split(rest, at);
        out.push_str(before);
        let named = reference
            .find(';')
            .filter(|end| *end <= 10)
            .and_then(|end| Some((referred(reference.get(1..end)?)?, end + 1)));
        let (c, length) = named.unwrap_or(('&', 1));
        out.push(c);
        rest = split(reference, length).1;
    }
    out.push_str(rest);
    out
}

fn referred(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// What follows the end tag of an element whose content is not shown; nothing if it has none.
pub(super) fn after_end_of<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        let end = split(rest, at + 2).1;
        if starts_with(end, name) {
            return end.find('>').map_or("", |at| split(end, at + 1).1);
        }
        rest = end;
    }
    ""
}
