//! Character references of HTML: `&amp;`, `&#8217;`, `&#x2019;`.
//!
//! The names are those that html5ever has for the sanitiser, so that the component carries the table once and text and
//! HTML of a message agree. Numbers follow the HTML standard (section 13.2.5.80): what Windows-1252 has between 0x80
//! and 0x9F is meant there, and what is no character becomes U+FFFD. Only references that end in a semicolon count.

use html5ever::data::{C1_REPLACEMENTS, NAMED_ENTITIES};

/// Bytes after the `&`: the longest name has 31, and the semicolon.
const LONGEST: usize = 32;

/// A character reference that text begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CharacterReference {
    pub(super) first: char,
    /// A few names stand for two characters.
    pub(super) second: Option<char>,
    /// Bytes of the reference, with `&` and `;`.
    pub(super) length: usize,
}

/// The reference that `text` begins with; `None` also for a name that means nothing.
pub(super) fn leading(text: &str) -> Option<CharacterReference> {
    let inner = text.strip_prefix('&')?;
    let end = inner.bytes().take(LONGEST).position(|b| b == b';')?;
    let (first, second) = match inner.get(..end)?.strip_prefix('#') {
        Some(number) => (numbered(number)?, None),
        None => named(inner.get(..=end)?)?,
    };
    Some(CharacterReference {
        first,
        second,
        length: end + 2,
    })
}

fn named(name: &str) -> Option<(char, Option<char>)> {
    // The table also has what a name can begin with, as no characters.
    let &(first, second) = NAMED_ENTITIES.get(name)?;
    let second = (second != 0).then(|| char::from_u32(second)).flatten();
    (first != 0).then_some((char::from_u32(first)?, second))
}

fn numbered(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let Ok(code @ 1..) = u32::from_str_radix(digits, radix) else {
        return Some(char::REPLACEMENT_CHARACTER);
    };
    let in_windows_1252 = code
        .checked_sub(0x80)
        .and_then(|index| *C1_REPLACEMENTS.get(usize::try_from(index).ok()?)?);
    in_windows_1252.or_else(|| Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn characters(text: &str) -> Option<String> {
        let reference = leading(text)?;
        Some(
            [Some(reference.first), reference.second]
                .into_iter()
                .flatten()
                .collect(),
        )
    }

    #[test]
    fn names_and_numbers_are_characters() {
        for (text, meant) in [
            ("&amp;lt;", "&"),
            ("&nbsp;", "\u{a0}"),
            ("&AMP;", "&"),
            ("&NotEqualTilde;", "≂\u{338}"),
            ("&CounterClockwiseContourIntegral;", "∳"),
            ("&#8217;", "’"),
            ("&#x2019;", "’"),
            ("&#X2019;", "’"),
            ("&#146;", "’"),
            ("&#128;", "€"),
            ("&#129;", "\u{81}"),
            ("&#0;", "\u{fffd}"),
            ("&#xd800;", "\u{fffd}"),
            ("&#99999999999;", "\u{fffd}"),
        ] {
            assert_eq!(characters(text).as_deref(), Some(meant), "{text}");
        }
        assert_eq!(leading("&amp; more").map(|reference| reference.length), Some(5));
    }

    #[test]
    fn anything_else_stays_text() {
        for text in [
            "",
            "&",
            "&;",
            "&amp",
            "& amp;",
            "amp;",
            "&notaname;",
            "&am;",
            "&#;",
            "&#x;",
            "&#+1;",
            "&#-1;",
            "&#xg;",
            "&ä;",
            "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;",
        ] {
            assert_eq!(leading(text), None, "{text}");
        }
    }
}
