//! Many worlds, on several threads.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::{Coverage, Laboratory, Plan, Telling, Violation, Worlds};

/// What a sweep over seeds found.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Worlds that were run.
    pub worlds: u64,
    /// What they met.
    pub coverage: Coverage,
    /// Those that broke a rule, by seed.
    pub failures: Vec<Failure>,
}

/// A world that broke a rule.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What it broke first.
    pub violation: Violation,
}

/// Runs every seed, or until so many have failed.
pub fn sweep(
    laboratory: &Laboratory,
    worlds: Worlds,
    seeds: Range<u64>,
    threads: usize,
    most_failures: usize,
) -> anyhow::Result<Sweep> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Sweep::default());
    let laboratories: Vec<Laboratory> = (0..threads)
        .map(|_| laboratory.another())
        .collect::<Result<_, _>>()?;
    thread::scope(|scope| {
        for laboratory in &laboratories {
            scope.spawn(|| {
                let mut own = Sweep::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = laboratory.run(&Plan::among(worlds, seed), Telling::Silent);
                    own.worlds += 1;
                    own.coverage.merge(&outcome.coverage);
                    if let Some(violation) = outcome.violations.into_iter().next() {
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        found.failures.push(Failure { seed, violation });
                        if found.failures.len() >= most_failures {
                            next.store(seeds.end, Ordering::Relaxed);
                        }
                    }
                }
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.worlds += own.worlds;
                found.coverage.merge(&own.coverage);
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.failures.sort_by_key(|failure| failure.seed);
    Ok(found)
}
