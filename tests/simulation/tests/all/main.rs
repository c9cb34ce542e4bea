//! The simulation is repeatable, finds nothing, and would find something if it were there.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod mutations;

use std::path::Path;

use simulation::{Laboratory, Mutation, Plan, Telling, Worlds, sweep};

/// The first of the seeds that every run of these tests uses.
const FROM: u64 = 1;
/// Worlds of three tenants on one mailbox: a minute of them, unoptimised.
const SHARING: u64 = 200;

#[test]
fn one_seed_happens_the_same_way_every_time() {
    let laboratory = laboratory(None);
    let again = laboratory.another().unwrap();
    for seed in FROM..=FROM + 11 {
        let plan = Plan::of(seed);
        let first = laboratory.run(&plan, Telling::Silent);
        // Told or not, and beside what this laboratory ran before.
        let second = again.run(&plan, Telling::EveryCall);
        assert_eq!(first.fingerprint, second.fingerprint, "seed {seed}");
        assert_eq!(first.coverage, second.coverage, "seed {seed}");
        let third = again.run(&plan, Telling::EveryCall);
        assert_eq!(second.lines, third.lines, "seed {seed}");
    }
}

#[test]
fn no_world_breaks_a_rule() {
    let found = sweep(&laboratory(None), Worlds::All, FROM..FROM + 150, 1, 1).unwrap();
    assert!(found.failures.is_empty(), "{:?}", found.failures);
    assert!(found.coverage.count("passes") > 1_000);
    assert!(found.coverage.count("messages delivered to a CRM") > 200);
    assert!(found.coverage.count("mail sent from the CRM") > 50);
}

/// `simulate --only sharing --seeds 1000` runs more of them.
#[test]
fn s33_no_interleaving_of_three_tenants_on_one_mailbox_has_two_owners_or_a_leak_and_all_converge() {
    let found = sweep(&laboratory(None), Worlds::Sharing, FROM..FROM + SHARING, 1, 1).unwrap();
    assert!(found.failures.is_empty(), "{:?}", found.failures);
    for met in [
        "contact claimed",
        "contact claimed in vain",
        "contact released",
        "contact free again",
    ] {
        assert!(
            found.coverage.count(met) > SHARING / 10,
            "{met}: {}",
            found.coverage.count(met)
        );
    }
}

fn laboratory(mutation: Option<Mutation>) -> Laboratory {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let component = match mutation {
        Some(Mutation::Component(_)) => "twinbox-mutations.wasm",
        _ => "twinbox.wasm",
    };
    let component = target.join("components").join(component);
    assert!(
        component.exists(),
        "{} is not there: run `make mutations component`",
        component.display()
    );
    Laboratory::load(&component, &target.join("simulation-cache"))
        .unwrap()
        .with(mutation)
}
