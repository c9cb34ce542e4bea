//! The contract and the component as files: what the component asks for, what the contract says, and
//! how large the component is.

use std::path::Path;

use proofs::programs::component;
use wit_component::{DecodedWasm, decode};
use wit_parser::{Docs, Resolve, Type, TypeDefKind, WorldItem};

/// Bytes a component may have: 2 MiB.
const LARGEST: usize = 2_097_152;

#[test]
fn the_component_imports_the_contract_and_nothing_else() {
    let bytes = std::fs::read(component()).unwrap();
    let DecodedWasm::Component(resolve, world) = decode(&bytes).unwrap() else {
        panic!("not a component");
    };
    let world = &resolve.worlds[world];
    let imports: Vec<String> = world
        .imports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    assert!(!imports.is_empty());
    for import in &imports {
        assert!(
            import.starts_with("twinbox:sync/"),
            "the component imports {import}"
        );
    }
    let exports: Vec<String> = world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    assert_eq!(exports, ["twinbox:sync/sync@0.2.0"]);
}

#[test]
fn the_component_has_at_most_two_mebibytes() {
    let size = std::fs::metadata(component()).unwrap().len();
    assert!(size <= LARGEST as u64, "{size} bytes");
}

#[test]
fn the_contract_is_one_package_and_says_something_of_every_item() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit"))
        .unwrap();
    assert_eq!(resolve.packages.len(), 1, "it needs no other package");
    assert_eq!(resolve.packages[package].name.to_string(), "twinbox:sync@0.2.0");
    let bare = undocumented(&resolve);
    assert!(bare.is_empty(), "without a word: {bare:#?}");
}

#[test]
fn an_item_without_a_word_is_found() {
    let mut resolve = Resolve::default();
    let text = "/// P.\npackage a:b;\n/// I.\ninterface i {\n record r { f: u8 }\n /// G.\n g: func();\n}";
    resolve.push_str("a.wit", text).unwrap();
    assert_eq!(undocumented(&resolve), ["i.r", "i.r.f"]);
}

/// The items of all packages without documentation, by their paths.
fn undocumented(resolve: &Resolve) -> Vec<String> {
    let mut bare = Vec::new();
    let mut item = |path: String, docs: &Docs| {
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            bare.push(path);
        }
    };
    for (_, package) in &resolve.packages {
        item(package.name.to_string(), &package.docs);
    }
    for (_, interface) in &resolve.interfaces {
        let at = interface.name.clone().unwrap_or_default();
        item(at.clone(), &interface.docs);
        for (name, function) in &interface.functions {
            item(format!("{at}.{name}"), &function.docs);
        }
        for (name, id) in &interface.types {
            let kind = &resolve.types[*id].kind;
            // A type that another interface defines is documented there.
            if let TypeDefKind::Type(Type::Id(there)) = kind
                && resolve.types[*there].owner != resolve.types[*id].owner
            {
                continue;
            }
            item(format!("{at}.{name}"), &resolve.types[*id].docs);
            for (part, docs) in parts(kind) {
                item(format!("{at}.{name}.{part}"), docs);
            }
        }
    }
    for (_, world) in &resolve.worlds {
        item(world.name.clone(), &world.docs);
        for (key, imported) in world.imports.iter().chain(&world.exports) {
            if let WorldItem::Function(function) = imported {
                item(
                    format!("{}.{}", world.name, resolve.name_world_key(key)),
                    &function.docs,
                );
            }
        }
    }
    bare
}

fn parts(kind: &TypeDefKind) -> Vec<(&str, &Docs)> {
    match kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|f| (f.name.as_str(), &f.docs)).collect(),
        TypeDefKind::Variant(variant) => variant.cases.iter().map(|c| (c.name.as_str(), &c.docs)).collect(),
        TypeDefKind::Enum(cases) => cases.cases.iter().map(|c| (c.name.as_str(), &c.docs)).collect(),
        TypeDefKind::Flags(flags) => flags.flags.iter().map(|f| (f.name.as_str(), &f.docs)).collect(),
        _ => Vec::new(),
    }
}
