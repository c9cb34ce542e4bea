//! Stand-ins for text, of the same length in bytes.

use std::collections::HashMap;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Makes stand-ins; the same for the same address as long as it lives.
pub(super) struct StandIns {
    /// Another one each time: who knows an address cannot look for its stand-in.
    key: [u8; 32],
}

impl StandIns {
    pub(super) fn new() -> Self {
        Self { key: rand::random() }
    }

    /// Text that people wrote: letters become `x`, digits `0`, addresses their stand-ins.
    pub(super) fn in_prose(&self, text: &str) -> String {
        self.over_addresses(text, &mut masked)
    }

    /// Text in which only addresses are people's.
    pub(super) fn in_addresses(&self, text: &str) -> String {
        self.over_addresses(text, &mut |rest, out| out.push_str(rest))
    }

    /// A file name: its extension stays.
    pub(super) fn in_file_name(&self, name: &str) -> String {
        const LONGEST_EXTENSION: usize = 5;
        match name.rsplit_once('.') {
            Some((stem, extension)) if extension.len() <= LONGEST_EXTENSION => {
                format!("{}.{extension}", self.in_prose(stem))
            }
            _ => self.in_prose(name),
        }
    }

    /// HTML: tags and their classes stay, text and other attributes are prose.
    pub(super) fn in_html(&self, html: &str) -> String {
        let mut out = String::with_capacity(html.len());
        let mut rest = html;
        while let Some(open) = rest.find('<') {
            let (text, tag) = rest.split_at(open);
            self.html_text(text, &mut out);
            let end = if tag.starts_with("<!--") {
                tag.find("-->").map_or(tag.len(), |at| at + 3)
            } else {
                tag_end(tag)
            };
            let (tag, after) = tag.split_at(end);
            if tag.starts_with("<!--") {
                out.push_str(&self.in_prose(tag));
            } else {
                self.html_tag(tag, &mut out);
            }
            rest = after;
        }
        self.html_text(rest, &mut out);
        out
    }

    /// Bytes that are text in some charset: UTF-8 as text, others byte by byte.
    pub(super) fn in_bytes(&self, bytes: &[u8], is_html: bool) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) if is_html => self.in_html(text).into_bytes(),
            Ok(text) => self.in_prose(text).into_bytes(),
            Err(_) => bytes.iter().map(|byte| masked_byte(*byte)).collect(),
        }
    }

    /// Bytes that are no text.
    pub(super) fn in_binary(bytes: &[u8]) -> Vec<u8> {
        vec![0; bytes.len()]
    }

    fn html_text(&self, text: &str, out: &mut String) {
        let mut rest = text;
        while let Some(at) = rest.find('&') {
            let (before, entity) = rest.split_at(at);
            out.push_str(&self.in_prose(before));
            let end = entity
                .char_indices()
                .skip(1)
                .find(|(_, character)| !character.is_ascii_alphanumeric() && *character != '#')
                .map_or(entity.len(), |(at, _)| at);
            let (entity, after) = entity.split_at(end);
            if let Some(number) = entity.strip_prefix("&#") {
                // Any letter will do.
                out.push_str("&#");
                let stand_in = |character: char| {
                    if character.is_ascii_hexdigit() {
                        '6'
                    } else {
                        character
                    }
                };
                out.extend(number.chars().map(stand_in));
            } else if entity.len() <= 8 {
                out.push_str(entity);
            } else {
                out.push_str(&self.in_prose(entity));
            }
            rest = after;
        }
        out.push_str(&self.in_prose(rest));
    }

    /// A tag from `<` to `>`.
    fn html_tag(&self, tag: &str, out: &mut String) {
        let mut rest = tag;
        while let Some(at) = rest.find('=') {
            let (name, value) = rest.split_at(at + 1);
            out.push_str(name);
            let attribute = name
                .trim_end_matches('=')
                .rsplit(|character: char| character.is_whitespace() || character == '"' || character == '\'')
                .find(|word| !word.is_empty())
                .unwrap_or_default()
                .to_ascii_lowercase();
            let trimmed = value.trim_start();
            out.push_str(&value[..value.len() - trimmed.len()]);
            let (quote, length) = if let Some(quote @ ('"' | '\'')) = trimmed.chars().next() {
                (1, trimmed[1..].find(quote).unwrap_or(trimmed.len() - 1))
            } else {
                let end = |character: char| character.is_whitespace() || character == '>';
                (0, trimmed.find(end).unwrap_or(trimmed.len()))
            };
            out.push_str(&trimmed[..quote]);
            out.push_str(&self.attribute(&attribute, &trimmed[quote..quote + length]));
            rest = &trimmed[quote + length..];
        }
        out.push_str(rest);
    }

    fn attribute(&self, name: &str, value: &str) -> String {
        const KEPT: [&str; 12] = [
            "align",
            "border",
            "charset",
            "class",
            "colspan",
            "dir",
            "height",
            "http-equiv",
            "rel",
            "rowspan",
            "type",
            "width",
        ];
        if KEPT.contains(&name) {
            return value.to_owned();
        }
        let lower = value.to_ascii_lowercase();
        // The name of a part of the mail, which the part has as well.
        if lower.starts_with("cid:") {
            return self.in_addresses(value);
        }
        let schemes = ["https://", "http://", "mailto:", "data:"];
        let kept = schemes
            .iter()
            .find(|scheme| lower.starts_with(**scheme))
            .map_or(0, |scheme| scheme.len());
        format!("{}{}", &value[..kept], self.in_prose(&value[kept..]))
    }

    /// Copies text with stand-ins for its addresses; `other` writes what lies between them.
    fn over_addresses(&self, text: &str, other: &mut dyn FnMut(&str, &mut String)) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (at, _) in text.match_indices('@') {
            if at < done {
                continue;
            }
            let start = text[done..at]
                .char_indices()
                .rev()
                .take_while(|(_, character)| is_local(*character))
                .last()
                .map_or(at, |(start, _)| done + start);
            let domain = text[at + 1..]
                .find(|character: char| !is_domain(character))
                .map_or(text.len(), |end| at + 1 + end);
            if start == at || domain == at + 1 {
                continue;
            }
            other(&text[done..start], &mut out);
            out.push_str(&self.local(&text[start..at], &text[at + 1..domain]));
            out.push_str(&text[at..domain]);
            done = domain;
        }
        other(&text[done..], &mut out);
        out
    }

    /// Another local part. Dots and what follows a plus keep their places: providers ignore them.
    fn local(&self, local: &str, domain: &str) -> String {
        let mut segments: HashMap<&str, Vec<u8>> = HashMap::new();
        let mut out = String::with_capacity(local.len());
        for (number, segment) in local.split('+').enumerate() {
            if number > 0 {
                out.push('+');
            }
            let letters = segments
                .entry(segment)
                .or_insert_with(|| self.letters(segment, domain));
            let mut letters = letters.iter().cycle();
            for character in segment.chars() {
                if !character.is_ascii_alphanumeric() {
                    masked(character.encode_utf8(&mut [0; 4]), &mut out);
                    continue;
                }
                let letter = char::from(letters.next().copied().unwrap_or(b'x'));
                out.push(if character.is_ascii_uppercase() {
                    letter.to_ascii_uppercase()
                } else {
                    letter
                });
            }
        }
        out
    }

    fn letters(&self, segment: &str, domain: &str) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        mac.update(segment.replace('.', "").to_ascii_lowercase().as_bytes());
        mac.update(b"@");
        mac.update(domain.to_ascii_lowercase().as_bytes());
        let digest = mac.finalize().into_bytes();
        digest.iter().map(|byte| b'a' + byte % 26).collect()
    }
}

/// Letters and digits by stand-ins of the same length in UTF-8; the rest as it is.
fn masked(text: &str, out: &mut String) {
    for character in text.chars() {
        out.push(match character {
            'a'..='z' => 'x',
            'A'..='Z' => 'X',
            '0'..='9' => '0',
            ascii if ascii.is_ascii() => ascii,
            other => match other.len_utf8() {
                2 => 'é',
                3 => '語',
                _ => '𝓍',
            },
        });
    }
}

/// The same for a byte of an unknown charset: 0xC4 is a letter, or half of one, in most.
pub(super) fn masked_byte(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => b'x',
        b'A'..=b'Z' => b'X',
        b'0'..=b'9' => b'0',
        0x80.. => 0xc4,
        other => other,
    }
}

/// Characters of a local part (RFC 5322, 3.2.3 `atext`, and dots).
fn is_local(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(character)
}

fn is_domain(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '.' || character == '-'
}

/// Where a tag ends; quotes may hold a `>`.
fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    for (at, character) in tag.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (None, '>') => return at + 1,
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    tag.len()
}
