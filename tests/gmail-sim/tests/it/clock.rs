//! Google's clock jumps.

use gmail_sim::{Config, Fault, FaultKind, Quota, Table};
use serde_json::json;

use crate::world::{ANNA, START, World, ids};

const HOUR: i64 = 3_600_000;

#[test]
fn a_jump_is_seen_in_dates_and_lifetimes() {
    let world = World::new();
    world.sim.jump_clock(-HOUR);
    assert_eq!(world.sim.now_ms(), START - HOUR);
    let answer = world.get("profile");
    assert_eq!(answer.response.headers()["date"], "Mon, 21 Sep 2026 13:13:20 GMT");
    world.arrive("Subject: x\n\ny");
    assert_eq!(world.mailbox(ANNA)[0].internal_date, START - HOUR);
    world.sim.jump_clock(2 * HOUR);
    assert_eq!(world.get("profile").status, 401, "the token has expired");
}

#[test]
fn a_fault_lets_it_jump_before_the_request() {
    for (kind, by) in [
        (FaultKind::ClockForward(5_000), 5_000),
        (FaultKind::ClockBackward(5_000), -5_000),
    ] {
        let world = World::new();
        world.sim.inject(Fault::soon(kind));
        world.get("profile").ok();
        assert_eq!(world.sim.now_ms(), START + by);
    }
}

#[test]
fn a_jump_backward_holds_no_change_search_notification_or_quota_back() {
    let world = World::with(Config {
        quota: Quota::Enforce(Table::New),
        ..Config::default()
    });
    world.sim.set_behaviour(|behaviour| {
        behaviour.history_lag_ms = 1_000;
        behaviour.search_lag_ms = 1_000;
        behaviour.push_delay_ms = 1_000;
    });
    let start = world.history_id();
    world
        .post("watch", json!({"topicName": "projects/p/topics/t"}))
        .ok();
    for _ in 0..57 {
        world.send("To: out@client.test\nSubject: x\n\nhello").ok();
    }
    world.sim.jump_clock(-HOUR);
    assert_eq!(world.send("To: out@client.test\nSubject: x\n\nhello").status, 200);
    assert_eq!(world.send("To: out@client.test\nSubject: x\n\nhello").status, 403);
    world.advance(60_000);
    assert_eq!(
        world.send("To: out@client.test\nSubject: needle\n\nhello").status,
        200
    );
    world.advance(1_000);
    assert_eq!(ids(&world.get("messages?q=needle").ok()["messages"]).len(), 1);
    let page = world.get(&format!("history?startHistoryId={start}")).ok();
    assert_eq!(ids(&page["history"]).len(), 59);
    assert_eq!(
        world.sim.take_notifications().len(),
        2,
        "of the watch and of the last send"
    );
}
