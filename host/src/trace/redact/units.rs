//! Text in which some bytes are written as `=XX` or `%XX` (RFC 2045, 6.7; RFC 2047, 4.2; RFC 2231, 4).

use super::text::StandIns;

/// Changes the bytes that are meant and writes each in the way it was written: the length stays.
pub(super) fn changed(encoded: &[u8], marker: u8, stand_ins: &StandIns, is_html: bool) -> Vec<u8> {
    let units = units(encoded, marker);
    let meant: Vec<u8> = units
        .iter()
        .filter_map(|unit| match unit {
            Unit::Plain(byte) | Unit::Hex(byte) => Some(*byte),
            Unit::Kept(_) => None,
        })
        .collect();
    let changed = stand_ins.in_bytes(&meant, is_html);
    let mut changed = changed.into_iter();
    let mut out = Vec::with_capacity(encoded.len());
    for unit in units {
        match unit {
            Unit::Kept(bytes) => out.extend_from_slice(bytes),
            Unit::Plain(byte) => out.push(changed.next().unwrap_or(byte)),
            Unit::Hex(byte) => {
                let byte = changed.next().unwrap_or(byte);
                out.push(marker);
                out.extend_from_slice(format!("{byte:02X}").as_bytes());
            }
        }
    }
    out
}

enum Unit<'t> {
    Plain(u8),
    Hex(u8),
    /// A soft line break.
    Kept(&'t [u8]),
}

fn units(encoded: &[u8], marker: u8) -> Vec<Unit<'_>> {
    let mut units = Vec::new();
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        if *first != marker {
            units.push(Unit::Plain(*first));
            rest = after;
        } else if let Some(byte) = after.get(..2).and_then(hex) {
            units.push(Unit::Hex(byte));
            rest = after.get(2..).unwrap_or_default();
        } else {
            let length = match after {
                [b'\r', b'\n', ..] => 3,
                [b'\n', ..] => 2,
                _ => 1,
            };
            let (kept, after) = rest.split_at(length);
            units.push(Unit::Kept(kept));
            rest = after;
        }
    }
    units
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
