//! The tables of the README are those of the code.

use gmail_sim::{Behaviour, FaultKind};
use serde_json::json;

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_lists_every_kind_of_fault_and_no_other() {
    let expected: Vec<String> = FaultKind::ALL
        .iter()
        .map(|kind| {
            format!(
                "| `{}` | `{}` | {} | {} |",
                kind.name(),
                json!(kind),
                kind.summary(),
                kind.source()
            )
        })
        .collect();
    assert_eq!(
        rows("## Faults"),
        expected,
        "expected:\n{}\n",
        expected.join("\n")
    );
}

#[test]
fn the_readme_lists_every_switch_and_no_other() {
    let defaults = json!(Behaviour::default());
    let expected: Vec<String> = Behaviour::SWITCHES
        .iter()
        .map(|switch| {
            let default = &defaults[switch.name];
            let default = default
                .as_str()
                .map_or_else(|| default.to_string(), str::to_owned);
            format!(
                "| `{}` | {default} | {} | {} |",
                switch.name, switch.grade, switch.what
            )
        })
        .collect();
    assert_eq!(
        rows("## Switches"),
        expected,
        "expected:\n{}\n",
        expected.join("\n")
    );
    assert_eq!(defaults.as_object().unwrap().len(), Behaviour::SWITCHES.len());
}

/// The rows of the table in a section, without its head.
fn rows(heading: &str) -> Vec<String> {
    let section = README.split(heading).nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|'));
    lines.skip(2).map(str::to_owned).collect()
}
