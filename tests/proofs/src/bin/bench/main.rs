//! The figures, one line each: name, value, unit, limit; and the same in `target/bench.json`. A figure
//! over its limit says `OVER`, and the program ends with 1. Run it on a quiet machine, as a release
//! build: the limits are those of `docs/`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure of these is the benchmark's failure"
)]
#![allow(clippy::cast_precision_loss, reason = "figures are shown with three decimals")]

mod memory;
mod native;
mod pages;
mod processes;
mod push;
mod ratio;
mod replay;
mod start;

use std::{path::Path, process::ExitCode};

use serde_json::{Value, json};

/// What a figure must keep.
#[derive(Clone, Copy)]
enum Limit {
    None,
    AtMost(f64),
    AtLeast(f64),
}

struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    limit: Limit,
}

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("The figures of a debug build say nothing: cargo run --release -p proofs --bin bench");
    }
    let mut figures = Vec::new();
    let mut show = |figure: Figure| {
        println!("{}", figure.line());
        figures.push(figure);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // `bench replay` measures one part and leaves the file alone.
    match std::env::args().nth(1).as_deref() {
        Some("start") => {
            runtime.block_on(start::load(&mut show));
            runtime.block_on(start::instances(&mut show));
            return ended(&figures);
        }
        Some("ratio") => {
            runtime.block_on(ratio::compare(&mut show));
            return ended(&figures);
        }
        Some("replay") => {
            runtime.block_on(replay::hundred_messages(&mut show));
            return ended(&figures);
        }
        Some("push") => {
            runtime.block_on(push::to_crm(&mut show));
            return ended(&figures);
        }
        Some("pages") => {
            runtime.block_on(pages::measure(&mut show));
            return ended(&figures);
        }
        // The other side of that, as a process of its own.
        Some("pages-server") => {
            let folder = std::env::args().nth(2).unwrap();
            runtime.block_on(pages::server::run(Path::new(&folder)));
            return ExitCode::SUCCESS;
        }
        Some(other) => panic!("there is no part {other}; there are: start, ratio, replay, push, pages"),
        None => {}
    }
    show(start::component_size());
    runtime.block_on(start::load(&mut show));
    runtime.block_on(start::instances(&mut show));
    runtime.block_on(ratio::compare(&mut show));
    runtime.block_on(replay::hundred_messages(&mut show));
    runtime.block_on(push::to_crm(&mut show));
    runtime.block_on(pages::measure(&mut show));
    processes::thousand_messages(&mut show);
    processes::idle(&mut show);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench.json");
    let all: Vec<Value> = figures.iter().map(Figure::json).collect();
    std::fs::write(path, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    ended(&figures)
}

fn ended(figures: &[Figure]) -> ExitCode {
    if figures.iter().any(Figure::is_over) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

impl Figure {
    fn is_over(&self) -> bool {
        match self.limit {
            Limit::None => false,
            Limit::AtMost(limit) => self.value > limit,
            Limit::AtLeast(limit) => self.value < limit,
        }
    }

    fn line(&self) -> String {
        let limit = match self.limit {
            Limit::None => "-".to_owned(),
            Limit::AtMost(limit) => format!("<={limit}"),
            Limit::AtLeast(limit) => format!(">={limit}"),
        };
        let over = if self.is_over() { " OVER" } else { "" };
        format!(
            "{} {} {} {limit}{over}",
            self.name,
            rounded(self.value),
            self.unit
        )
    }

    fn json(&self) -> Value {
        let (at_most, at_least) = match self.limit {
            Limit::None => (None, None),
            Limit::AtMost(limit) => (Some(limit), None),
            Limit::AtLeast(limit) => (None, Some(limit)),
        };
        json!({
            "name": self.name,
            "value": rounded(self.value),
            "unit": self.unit,
            "at_most": at_most,
            "at_least": at_least,
            "over": self.is_over(),
        })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// The value that this share of the values does not exceed. Sorts them.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of a slice"
    )]
    let index = (values.len() as f64 * share) as usize;
    values[index.min(values.len() - 1)]
}
