//! Text from outside, made fit for storage and for one line.
//!
//! NUL and other control characters stop databases (PostgreSQL has no 0x00 in text), right-to-left overrides disguise
//! file names, and a cut in the middle of a character breaks everything after it. Everything that leaves the mail
//! module as a name, a subject or a body passes one of these functions.

/// Removes control and direction-override characters, turns runs of line breaks and tabs into one space, trims, and
/// keeps at most `max_chars` characters.
pub fn clean_line(text: &str, max_chars: usize) -> String {
    let mut line = String::with_capacity(text.len().min(max_chars.saturating_mul(4)));
    let mut count = 0;
    let mut space_due = false;
    for c in text.trim().chars() {
        if matches!(
            c,
            '\r' | '\n' | '\t' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}'
        ) {
            space_due = true;
            continue;
        }
        // What is taken out may hide white space at the beginning from `trim`.
        if is_invisible_control(c) || (line.is_empty() && c.is_whitespace()) {
            continue;
        }
        if space_due && !line.is_empty() && !line.ends_with(' ') && c != ' ' {
            if count == max_chars {
                break;
            }
            line.push(' ');
            count += 1;
        }
        space_due = false;
        if count == max_chars {
            break;
        }
        line.push(c);
        count += 1;
    }
    line.truncate(line.trim_end().len());
    line
}

/// Removes control characters but keeps line breaks (as `\n`) and tabs. The text is returned unchanged, without a
/// copy, when there is nothing to remove.
pub fn clean_body(text: String) -> String {
    let unwanted = |b: u8| (b < 0x20 && b != b'\n' && b != b'\t') || b == 0x7f;
    if !text.bytes().any(unwanted) {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    clean.push('\n');
                }
            }
            '\n' | '\t' => clean.push(c),
            // A form feed separates pages in plain text: it was white space to the writer.
            '\u{b}' | '\u{c}' => clean.push('\n'),
            c if c.is_ascii_control() => {}
            c => clean.push(c),
        }
    }
    clean
}

/// The longest beginning of `text` of at most `max_bytes` that ends at a character boundary.
pub fn cut_at_boundary(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

fn is_invisible_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
