//! The part of CSS that a mail may use in a `style` attribute.
//!
//! ammonia's own filter keeps whole values, functions and all, and hands nested blocks to a CSS parser. What mail needs
//! is so little that a grammar of its own is shorter and stricter: listed properties, values of words, numbers, colours
//! and quoted names. No escapes, no comments, no functions but colours, so no `url()`, `expression()` or `@import`; no
//! positioning, no negative margins: a mail cannot draw over the page it is shown in.

/// The longest attribute looked at, in bytes.
const MAX_STYLE_BYTES: usize = 8 * 1024;

/// The declarations of `style` that are allowed, normalised; empty when none is.
pub(super) fn filter_style(style: &str) -> String {
    let mut kept = String::new();
    if style.len() > MAX_STYLE_BYTES {
        return kept;
    }
    for declaration in style.split(';') {
        let Some((name, value)) = declaration.split_once(':') else {
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        let value = without_important(value.trim());
        if is_safe_property(&name) && is_safe_value(&name, value) {
            if !kept.is_empty() {
                kept.push(';');
            }
            kept.push_str(&name);
            kept.push(':');
            kept.push_str(value);
        }
    }
    kept
}

fn without_important(value: &str) -> &str {
    value
        .split_once('!')
        .map_or(value, |(before, _)| before.trim_end())
}

fn is_safe_property(name: &str) -> bool {
    const FAMILIES: &[&str] = &["margin-", "padding-", "border-"];
    const SINGLE: &[&str] = &[
        "background",
        "background-color",
        "border",
        "clear",
        "color",
        "direction",
        "display",
        "float",
        "font",
        "font-family",
        "font-size",
        "font-style",
        "font-variant",
        "font-weight",
        "height",
        "letter-spacing",
        "line-height",
        "list-style",
        "list-style-type",
        "margin",
        "max-height",
        "max-width",
        "min-height",
        "min-width",
        "overflow-wrap",
        "padding",
        "table-layout",
        "text-align",
        "text-decoration",
        "text-indent",
        "text-transform",
        "vertical-align",
        "white-space",
        "width",
        "word-break",
        "word-spacing",
        "word-wrap",
    ];
    let family = FAMILIES.iter().any(|family| name.starts_with(family))
        && name != "border-image"
        && !name.starts_with("border-image-");
    SINGLE.contains(&name) || (family && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

fn is_safe_value(name: &str, value: &str) -> bool {
    let bytes = value.as_bytes();
    !value.is_empty()
        && value.len() <= 300
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b" #.,%+-()'\"/_".contains(b))
        && !value.contains("//")
        && quotes_close(value)
        && only_colour_functions(value)
        && !has_long_number(bytes)
        && !(is_placing(name) && has_negative(bytes))
}

fn quotes_close(value: &str) -> bool {
    ['"', '\'']
        .iter()
        .all(|quote| value.matches(*quote).count().is_multiple_of(2))
}

fn only_colour_functions(value: &str) -> bool {
    let mut rest = value;
    while let Some((before, inside)) = rest.split_once('(') {
        let before = before.to_ascii_lowercase();
        let word = before
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .next()
            .unwrap_or_default();
        if !["rgb", "rgba", "hsl", "hsla"].contains(&word) {
            return false;
        }
        let Some((arguments, after)) = inside.split_once(')') else {
            return false;
        };
        if !arguments
            .bytes()
            .all(|b| b.is_ascii_digit() || b" .,%/".contains(&b))
        {
            return false;
        }
        rest = after;
    }
    !rest.contains(')')
}

/// Five digits before the point: no mail needs them, and they can fill a page.
fn has_long_number(bytes: &[u8]) -> bool {
    if bytes.first() == Some(&b'#') {
        return false;
    }
    let mut run = 0;
    let mut in_colour = false;
    for &b in bytes {
        in_colour = b == b'#' || (in_colour && b.is_ascii_hexdigit());
        run = if b.is_ascii_digit() && !in_colour {
            run + 1
        } else {
            0
        };
        if run > 4 {
            return true;
        }
    }
    false
}

fn is_placing(name: &str) -> bool {
    name.starts_with("margin") || matches!(name, "text-indent" | "letter-spacing" | "word-spacing")
}

fn has_negative(bytes: &[u8]) -> bool {
    bytes
        .windows(2)
        .any(|pair| matches!(pair, [b'-', b'0'..=b'9' | b'.']))
}
