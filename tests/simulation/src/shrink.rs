//! Makes a failing plan smaller: events are left out as long as the same rule is still broken.

use crate::{Laboratory, Plan, Telling};

/// Worlds that are tried at most.
const TRIES: usize = 400;

/// The smallest plan found that still breaks the same rule.
pub fn shrink(laboratory: &Laboratory, plan: &Plan) -> Plan {
    let broken = |plan: &Plan| {
        let outcome = laboratory.run(plan, Telling::Silent);
        outcome.violations.first().map(|violation| violation.rule)
    };
    let Some(rule) = broken(plan) else {
        return plan.clone();
    };
    let mut best = plan.clone();
    let mut tries = 0;
    let mut chunk = best.events.len().div_ceil(2);
    while chunk > 0 && tries < TRIES {
        let mut start = 0;
        while start < best.events.len() && tries < TRIES {
            let mut smaller = best.clone();
            let end = (start + chunk).min(smaller.events.len());
            smaller.events.drain(start..end);
            tries += 1;
            if broken(&smaller) == Some(rule) {
                best = smaller;
            } else {
                start += chunk;
            }
        }
        chunk /= 2;
    }
    best
}
