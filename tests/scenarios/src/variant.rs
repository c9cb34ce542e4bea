//! Other versions of the component, made of its bytes.

use wasmparser::{ExternalKind, Operator, Parser, Payload};

/// The component with other text of the same length in place of some that it has once.
pub fn replaced(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "of the same length");
    let mut places = component
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes());
    let (place, _) = places.next().unwrap_or_else(|| panic!("no {from}"));
    assert!(places.next().is_none(), "{from} is there more than once");
    let mut other = component.to_vec();
    other[place..place + to.len()].copy_from_slice(to.as_bytes());
    other
}

/// What a version does when a pass begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Traps.
    Trap,
    /// Computes for ever.
    Spin,
}

/// The component with another beginning of its `run`.
pub fn with_run(component: &[u8], instead: Instead) -> Vec<u8> {
    const NOP: u8 = 0x01;
    let code: &[u8] = match instead {
        // unreachable
        Instead::Trap => &[0x00],
        // loop, br 0, end, unreachable
        Instead::Spin => &[0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00],
    };
    let room = beginning_of_run(component, code.len());
    let mut other = component.to_vec();
    other[room.clone()].fill(NOP);
    other[room.start..room.start + code.len()].copy_from_slice(code);
    other
}

/// Where the first instructions of `run` lie, as many as take so many bytes; none opens a block.
fn beginning_of_run(component: &[u8], length: usize) -> std::ops::Range<usize> {
    let (mut imported, mut defined, mut wanted) = (0, 0, None);
    for payload in Parser::new(0).parse_all(component) {
        match payload.expect("a component") {
            Payload::Version { .. } => (imported, defined, wanted) = (0, 0, None),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.expect("an import");
                    if matches!(import.ty, wasmparser::TypeRef::Func(_)) {
                        imported += 1;
                    }
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.expect("an export");
                    let is_run =
                        export.name.starts_with("[async-lift]") && export.name.ends_with("sync@0.2.0#run");
                    if is_run && export.kind == ExternalKind::Func {
                        wanted = Some(export.index);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                if wanted == Some(imported + defined) {
                    let operators = body.get_operators_reader().expect("a function");
                    let mut start = None;
                    for operator in operators.into_iter_with_offsets() {
                        let (operator, at) = operator.expect("an instruction");
                        let at = usize::try_from(at).expect("a place in memory");
                        let start = *start.get_or_insert(at);
                        if at - start >= length {
                            return start..at;
                        }
                        assert!(
                            !matches!(
                                operator,
                                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. }
                            ),
                            "run begins with a block"
                        );
                    }
                }
                defined += 1;
            }
            _ => {}
        }
    }
    panic!("the component has no run");
}
