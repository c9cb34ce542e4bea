//! `simulate`: many worlds, or one of them in words.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use simulation::{
    Coverage, Laboratory, Mutation, Outcome, Plan, Telling, Worlds, everything, out_of_reach, shrink, sweep,
};

/// A world is a million small allocations, which the system's allocator takes an eighth of the time for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the real component in simulated worlds and checks how each of them ends.
#[derive(Parser)]
struct Arguments {
    /// How many worlds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed; by default one that was never used before.
    #[arg(long)]
    from: Option<u64>,
    /// One world, told call by call.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// With --seed: makes a failing world as small as it gets first.
    #[arg(long, requires = "seed")]
    shrink: bool,
    /// Failures after which a sweep stops.
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// A deliberate bug; needs a component built with the feature `mutations`.
    #[arg(long)]
    mutation: Option<String>,
    /// Only worlds of this kind.
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// The component; by default the one that was built.
    #[arg(long)]
    component: Option<PathBuf>,
}

/// Kinds of worlds that can be had alone.
#[derive(Clone, Copy, ValueEnum)]
enum Only {
    /// Three CRM accounts with two users each have one mailbox, and nothing fails.
    Sharing,
}

impl Arguments {
    fn worlds(&self) -> Worlds {
        match self.only {
            Some(Only::Sharing) => Worlds::Sharing,
            None => Worlds::All,
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let laboratory = laboratory(&arguments)?;
    match arguments.seed {
        Some(seed) => {
            let plan = Plan::among(arguments.worlds(), seed);
            Ok(one(&laboratory, plan, arguments.shrink))
        }
        None => many(&laboratory, &arguments),
    }
}

fn laboratory(arguments: &Arguments) -> anyhow::Result<Laboratory> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let mutation = match &arguments.mutation {
        None => None,
        Some(name) => Some(Mutation::named(name).with_context(|| {
            let known: Vec<&str> = Mutation::ALL.iter().map(|mutation| mutation.name()).collect();
            format!("there is no mutation {name}; there are {}", known.join(", "))
        })?),
    };
    let file = match mutation {
        Some(Mutation::Component(_)) => "twinbox-mutations.wasm",
        _ => "twinbox.wasm",
    };
    let component = arguments
        .component
        .clone()
        .unwrap_or_else(|| target.join("components").join(file));
    let laboratory = Laboratory::load(&component, &target.join("simulation-cache"))?;
    Ok(laboratory.with(mutation))
}

/// One world, in words.
fn one(laboratory: &Laboratory, mut plan: Plan, smaller: bool) -> ExitCode {
    if smaller {
        plan = shrink(laboratory, &plan);
    }
    println!("{:#?}", plan.shape);
    let outcome = laboratory.run(&plan, Telling::EveryCall);
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("fingerprint {:016x}", outcome.fingerprint);
    verdict(&outcome)
}

fn verdict(outcome: &Outcome) -> ExitCode {
    for violation in &outcome.violations {
        println!("VIOLATION {}: {}", violation.rule, violation.text);
    }
    if outcome.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn many(laboratory: &Laboratory, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let from = arguments.from.map_or_else(fresh, Ok)?;
    let threads = arguments.threads.map_or_else(cores, Ok)?;
    let seeds = from..from + arguments.seeds;
    println!("seeds {} to {}", seeds.start, seeds.end - 1);
    let began = Instant::now();
    let found = sweep(laboratory, arguments.worlds(), seeds, threads, arguments.failures)?;
    let seconds = began.elapsed().as_secs_f64();
    table(&found.coverage);
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let rate = found.worlds as f64 / seconds;
    println!(
        "\n{} worlds in {seconds:.1} s, {rate:.1} a second on {threads} threads, {} broke a rule",
        found.worlds,
        found.failures.len()
    );
    for failure in &found.failures {
        println!(
            "seed {}: {}: {}",
            failure.seed, failure.violation.rule, failure.violation.text
        );
    }
    let Some(first) = found.failures.first() else {
        return Ok(ExitCode::SUCCESS);
    };
    println!("\nseed {}, as small as it gets:", first.seed);
    let plan = shrink(laboratory, &Plan::among(arguments.worlds(), first.seed));
    let outcome = laboratory.run(&plan, Telling::EveryCall);
    for line in &outcome.lines {
        println!("{line}");
    }
    let only = arguments.only.map(|_| " --only sharing".to_owned());
    let mutation = arguments
        .mutation
        .as_ref()
        .map(|name| format!(" --mutation {name}"));
    let component = arguments.component.as_ref();
    let component = component.map(|path| format!(" --component {}", path.display()));
    let again: String = [only, mutation, component].into_iter().flatten().collect();
    println!("To see it again: simulate{again} --seed {} --shrink", first.seed);
    Ok(ExitCode::FAILURE)
}

/// What was met and what was not.
fn table(coverage: &Coverage) {
    println!("\n{:<44} {:>8}", "met", "times");
    for (name, count) in coverage.iter() {
        println!("{name:<44} {count:>8}");
    }
    let all = everything();
    let never: Vec<&String> = all.iter().filter(|name| coverage.count(name) == 0).collect();
    println!(
        "\n{} of {} kinds of trouble were met",
        all.len() - never.len(),
        all.len()
    );
    for name in never {
        println!("never met: {name}");
    }
    println!(
        "out of reach here, and met by tests of their own: {}",
        out_of_reach().join(", ")
    );
}

/// Seeds that were never used before: the time's.
fn fresh() -> anyhow::Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(since.as_secs() * 1_000_000)
}

fn cores() -> anyhow::Result<usize> {
    Ok(std::thread::available_parallelism()?.get())
}
