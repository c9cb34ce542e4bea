//! Damage to messages, as transport, bad software and attackers do it. The same seed does the same.

use rand::{Rng, rngs::StdRng};

/// The longest message that leaves here, bytes.
const LONGEST: usize = 512 * 1024;

/// The message with one to four kinds of damage; `others` lend parts.
pub fn mutate(raw: &[u8], others: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut raw = raw.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        raw = match rng.random_range(0..11) {
            0 => flip(raw, rng),
            1 => truncate(raw, rng),
            2 => double_a_header(&raw, rng),
            3 => replace_text(&raw, b"boundary=", b"boundary=\"=?x", rng),
            4 => damage_a_boundary(raw, rng),
            5 => swap_a_charset(&raw, rng),
            6 => splice(&raw, others, rng),
            7 => with_nuls(raw, rng),
            8 => with_a_huge_line(raw, rng),
            9 => nested(&raw, rng),
            _ => swap_an_encoding(&raw, rng),
        };
        raw.truncate(LONGEST);
    }
    raw
}

fn flip(mut raw: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    if raw.is_empty() {
        return raw;
    }
    for _ in 0..rng.random_range(1..=40) {
        let at = rng.random_range(0..raw.len());
        raw[at] = rng.random();
    }
    raw
}

fn truncate(mut raw: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    raw.truncate(rng.random_range(0..=raw.len()));
    raw
}

fn double_a_header(raw: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').collect();
    let head = lines
        .iter()
        .position(|line| line.len() <= 1)
        .unwrap_or(lines.len());
    if head == 0 {
        return raw.to_vec();
    }
    let line = lines[rng.random_range(0..head)];
    let times = [1, 2, 50][rng.random_range(0..3)];
    let mut doubled = lines.clone();
    let at = rng.random_range(0..=head);
    doubled.splice(at..at, std::iter::repeat_n(line, times));
    doubled.join(&b'\n')
}

fn damage_a_boundary(mut raw: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    let starts: Vec<usize> = (0..raw.len().saturating_sub(3))
        .filter(|&at| &raw[at..at + 3] == b"\n--")
        .collect();
    if let Some(&at) = pick(&starts, rng) {
        match rng.random_range(0..3) {
            0 => drop(raw.splice(at..at + 3, *b"\n")),
            1 => drop(raw.splice(at..at, *b"\n--\n----")),
            _ => drop(raw.splice(at + 1..at + 3, *b"-- ")),
        }
    }
    raw
}

fn swap_a_charset(raw: &[u8], rng: &mut StdRng) -> Vec<u8> {
    const CHARSETS: [&[u8]; 10] = [
        b"charset=utf-16",
        b"charset=utf-7",
        b"charset=iso-2022-jp",
        b"charset=gb18030",
        b"charset=shift_jis",
        b"charset=hz-gb-2312",
        b"charset=\"\xff\xfe\"",
        b"charset=unknown-8bit",
        b"charset=",
        b"charset=big5",
    ];
    let charset = CHARSETS[rng.random_range(0..CHARSETS.len())];
    replace_text(raw, b"charset=", charset, rng)
}

fn swap_an_encoding(raw: &[u8], rng: &mut StdRng) -> Vec<u8> {
    const ENCODINGS: [&[u8]; 5] = [
        b"base64",
        b"quoted-printable",
        b"x-uuencode",
        b"binary",
        b"8bit\xff",
    ];
    let mut with = b"Content-Transfer-Encoding: ".to_vec();
    with.extend_from_slice(ENCODINGS[rng.random_range(0..ENCODINGS.len())]);
    with.extend_from_slice(b"\nX-Was: ");
    replace_text(raw, b"Content-Transfer-Encoding:", &with, rng)
}

/// Replaces one occurrence, in any case; without one, the text becomes a header field of its own.
fn replace_text(raw: &[u8], what: &[u8], with: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let found: Vec<usize> = (0..(raw.len() + 1).saturating_sub(what.len()))
        .filter(|&at| raw[at..at + what.len()].eq_ignore_ascii_case(what))
        .collect();
    let mut changed = raw.to_vec();
    if let Some(&at) = pick(&found, rng) {
        drop(changed.splice(at..at + what.len(), with.iter().copied()));
    } else {
        let field = [b"Content-Type: text/html; ", with, b"\n"].concat();
        drop(changed.splice(0..0, field));
    }
    changed
}

fn splice(raw: &[u8], others: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let Some(other) = pick(others, rng) else {
        return raw.to_vec();
    };
    let from = rng.random_range(0..=other.len());
    let until = rng.random_range(from..=other.len());
    let at = rng.random_range(0..=raw.len());
    [&raw[..at], &other[from..until], &raw[at..]].concat()
}

fn with_nuls(mut raw: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    for _ in 0..rng.random_range(1..=20) {
        let at = rng.random_range(0..=raw.len());
        raw.insert(at, 0);
    }
    raw
}

fn with_a_huge_line(mut raw: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    const FILLINGS: [&[u8]; 7] = [b"x", b"<div>", b"=", b"\"<", b"=?utf-8?q?a?= ", b"(", b">> "];
    let filling = FILLINGS[rng.random_range(0..FILLINGS.len())];
    let times = rng.random_range(100..30_000) / filling.len();
    let at = rng.random_range(0..=raw.len());
    drop(raw.splice(at..at, filling.repeat(times)));
    raw
}

/// The message as the innermost part of many.
fn nested(raw: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let depth = rng.random_range(2..400);
    let mut outer = Vec::new();
    for level in 0..depth {
        let part = if rng.random_bool(0.2) {
            "Content-Type: message/rfc822\r\n\r\n".to_owned()
        } else {
            format!("Content-Type: multipart/mixed; boundary=\"b{level}\"\r\n\r\n--b{level}\r\n")
        };
        outer.extend_from_slice(part.as_bytes());
    }
    outer.extend_from_slice(raw);
    outer
}

fn pick<'a, T>(from: &'a [T], rng: &mut StdRng) -> Option<&'a T> {
    (!from.is_empty()).then(|| &from[rng.random_range(0..from.len())])
}
