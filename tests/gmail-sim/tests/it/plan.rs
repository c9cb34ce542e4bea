//! Faults by seed.

use std::collections::BTreeMap;

use gmail_sim::{Behaviour, Config, FaultKind, FaultMix, FaultPlan};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::faults::everything;
use crate::world::{BEN, FULL, World};

/// What struck, and every answer, under a plan and drawn switches.
fn run(seed: u64, per_mille: u16, mix: FaultMix) -> (BTreeMap<&'static str, u64>, Vec<u16>, i64) {
    let world = World::with(Config {
        seed,
        behaviour: Behaviour::drawn(seed),
        ..Config::default()
    });
    world.sim.set_fault_plan(Some(FaultPlan {
        mix,
        ..FaultPlan::new(seed, per_mille)
    }));
    let mut answers = Vec::new();
    for _ in 0..3 {
        everything(&world);
        answers.push(world.get("profile").status);
    }
    (world.sim.faults_hit(), answers, world.sim.now_ms())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_same_seed_strikes_the_same_requests(seed: u64, per_mille in 0..=1000_u16) {
        prop_assert_eq!(run(seed, per_mille, FaultMix::all()), run(seed, per_mille, FaultMix::all()));
    }

    #[test]
    fn other_mailboxes_in_between_change_nothing(seed: u64) {
        let statuses = |other: bool| {
            let world = World::new();
            let ben = world.sim.issue_token(BEN, &[FULL]).unwrap().access_token;
            let mix = FaultMix::of(&[FaultKind::Html, FaultKind::Concurrent]);
            world.sim.set_fault_plan(Some(FaultPlan { mix, ..FaultPlan::new(seed, 300) }));
            let answers = (0..30).map(|_| {
                if other {
                    world.call_as(&ben, "GET", "profile", Value::Null);
                }
                world.get("profile").status
            });
            answers.collect::<Vec<_>>()
        };
        prop_assert_eq!(statuses(false), statuses(true));
    }
}

#[test]
fn every_kind_comes_up_under_some_seed() {
    let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..400 {
        for (name, count) in run(seed, 500, FaultMix::all()).0 {
            *sum.entry(name).or_default() += count;
        }
    }
    let missing: Vec<&str> = FaultKind::ALL
        .iter()
        .map(|kind| kind.name())
        .filter(|name| !sum.contains_key(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_plan_ends_and_its_rate_is_kept() {
    let world = World::new();
    let mix = FaultMix::of(&[FaultKind::Html]);
    world.sim.set_fault_plan(Some(FaultPlan {
        mix,
        ..FaultPlan::new(1, 250)
    }));
    let struck = (0..400).filter(|_| world.get("profile").status == 502).count();
    assert!((70..130).contains(&struck), "{struck}");
    assert_eq!(world.sim.faults_hit()["html"], u64::try_from(struck).unwrap());
    world.sim.set_fault_plan(None);
    assert!((0..50).all(|_| world.get("profile").status == 200));
}

#[test]
fn the_admin_api_sets_the_plan_tells_what_struck_and_lets_the_clock_jump() {
    let world = World::new();
    let plan = json!({"seed": 3, "per_mille": 1000, "mix": [{"kind": "html"}], "methods": ["getProfile"]});
    assert_eq!(world.call("PUT", "/sim/fault-plan", plan).status, 200);
    assert_eq!(world.get("profile").status, 502);
    assert_eq!(world.get("labels").status, 200);
    let faults = world.get("/sim/faults").ok();
    assert_eq!(faults["hits"]["html"], 1);
    assert_eq!(faults["plan"]["seed"], 3);
    assert_eq!(faults["kinds"].as_array().unwrap().len(), FaultKind::ALL.len());
    assert_eq!(world.call("DELETE", "/sim/fault-plan", Value::Null).status, 200);
    assert_eq!(world.get("profile").status, 200);
    for kind in FaultKind::ALL {
        world
            .post("/sim/faults", json!({"method": "none", "kind": kind}))
            .ok();
    }
    assert_eq!(
        world.get("/sim/faults").ok()["waiting"].as_array().unwrap().len(),
        FaultKind::ALL.len()
    );
    assert_eq!(world.post("/sim/faults", json!({"kind": "nonsense"})).status, 400);
    assert_eq!(
        world.call("PUT", "/sim/fault-plan", json!({"seed": 1})).status,
        400
    );
    let before = world.get("/sim/clock").ok()["now"].as_i64().unwrap();
    let after = world.post("/sim/clock", json!({"by": -500})).ok();
    assert_eq!(after["now"], before - 500);
    assert_eq!(world.post("/sim/keys", Value::Null).status, 200);
    let drawn = world
        .call("PUT", "/sim/behaviour?seed=9", json!({"latency_ms": 1}))
        .ok();
    let expected = Behaviour {
        latency_ms: 1,
        ..Behaviour::drawn(9)
    };
    assert_eq!(drawn, json!(expected));
}
