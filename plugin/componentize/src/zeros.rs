//! Leaves the zeros out of a module's data.
//!
//! The linker writes one data segment with every table of the program in it, zeros included: a tenth of the plugin's.
//! Linear memory is zero when an instance begins, so a segment may stop before a run of zeros and another begin after
//! it; the memory is the same, byte for byte. A module in which segments are numbered by instructions (it has a data
//! count section), overlap or lie at an address that is computed is left as it is.

use anyhow::Result;
use wasm_encoder::{ConstExpr, DataSection, RawSection};
use wasmparser::{Data, DataKind, Operator, Parser, Payload};

/// Bytes that a segment costs beside its content: flags, the address, the length.
const SEGMENT: usize = 8;

/// The module, or an equal one that is smaller.
pub(crate) fn without_zeros(module: &[u8]) -> Result<Vec<u8>> {
    let mut smaller = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::DataCountSection { .. } => return Ok(module.to_vec()),
            Payload::DataSection(section) => {
                let segments = section.into_iter().collect::<Result<Vec<_>, _>>()?;
                let Some(data) = split(&segments)? else {
                    return Ok(module.to_vec());
                };
                smaller.section(&data);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
                    smaller.section(&RawSection {
                        id,
                        data: &module[range],
                    });
                }
            }
        }
    }
    Ok(smaller.finish())
}

fn split(segments: &[Data<'_>]) -> Result<Option<DataSection>> {
    let mut data = DataSection::new();
    let mut end = 0;
    for segment in segments {
        let Some(start) = address(segment)? else {
            return Ok(None);
        };
        if start < end {
            return Ok(None);
        }
        end = start + segment.data.len();
        for (from, bytes) in pieces(segment.data) {
            // An address of the 32-bit memory, as the instruction spells it.
            let at = u32::try_from(start + from)?.cast_signed();
            data.active(0, &ConstExpr::i32_const(at), bytes.iter().copied());
        }
    }
    Ok(Some(data))
}

/// Where a segment lies in memory 0, if that is a constant.
fn address(segment: &Data<'_>) -> Result<Option<usize>> {
    let DataKind::Active {
        memory_index: 0,
        offset_expr,
    } = &segment.kind
    else {
        return Ok(None);
    };
    let mut operators = offset_expr.get_operators_reader();
    let first = operators.read()?;
    let last = operators.read()?;
    Ok(match (first, last) {
        (Operator::I32Const { value }, Operator::End) => Some(usize::try_from(value.cast_unsigned())?),
        _ => None,
    })
}

/// The parts of `bytes` between runs of zeros that are longer than a segment of their own costs.
fn pieces(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut zeros = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte == 0 {
            zeros += 1;
            continue;
        }
        if zeros > SEGMENT || zeros == at {
            if at - zeros > from {
                pieces.push((from, &bytes[from..at - zeros]));
            }
            from = at;
        }
        zeros = 0;
    }
    let end = bytes.len() - zeros;
    if end > from {
        pieces.push((from, &bytes[from..end]));
    }
    pieces
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failure of these is the test's failure")]
mod tests {
    use super::*;

    /// A module with a memory of one page and these segments.
    fn module(segments: &[(i32, &[u8])]) -> Vec<u8> {
        let mut memories = wasm_encoder::MemorySection::new();
        memories.memory(wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut data = DataSection::new();
        for (at, bytes) in segments {
            data.active(0, &ConstExpr::i32_const(*at), bytes.iter().copied());
        }
        let mut module = wasm_encoder::Module::new();
        module.section(&memories).section(&data);
        module.finish()
    }

    /// What the memory of an instance begins with.
    fn memory(module: &[u8]) -> Vec<u8> {
        let mut memory = vec![0; 65_536];
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::DataSection(section) = payload.unwrap() {
                for segment in section {
                    let segment = segment.unwrap();
                    let at = address(&segment).unwrap().unwrap();
                    memory[at..at + segment.data.len()].copy_from_slice(segment.data);
                }
            }
        }
        memory
    }

    #[test]
    fn the_memory_is_the_same_and_the_module_smaller() {
        let long = [
            &[0; 40][..],
            b"first",
            &[0; 9],
            b"second",
            &[0; 8],
            b"third",
            &[0; 100],
        ]
        .concat();
        let whole = module(&[(1_000, &long), (2_000, &[0; 50]), (65_530, b"end")]);
        let smaller = without_zeros(&whole).unwrap();
        assert!(memory(&smaller) == memory(&whole));
        assert!(smaller.len() + 190 < whole.len(), "of 207 zeros 199 are left out");
    }

    #[test]
    fn a_module_whose_segments_overlap_stays_as_it_is() {
        let whole = module(&[(1_000, b"aaaa"), (1_001, &[0; 20])]);
        assert_eq!(without_zeros(&whole).unwrap(), whole);
    }

    #[test]
    fn pieces_begin_and_end_with_something() {
        assert_eq!(pieces(&[0; 20]), []);
        assert_eq!(pieces(b""), []);
        assert_eq!(pieces(b"\0\0ab\0c\0"), [(2, &b"ab\0c"[..])]);
    }
}
