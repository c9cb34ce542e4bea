//! `history.list`: what it shows, in which shapes, and when it is gone.

use std::collections::BTreeSet;

use gmail_sim::{Delivery, HistoryLabels, HistoryOrder};
use serde_json::{Value, json};

use crate::world::{ANNA, World, ids};

fn records(world: &World, start: &str) -> Vec<Value> {
    world.get(&format!("history?startHistoryId={start}")).ok()["history"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[test]
fn each_kind_of_change_is_recorded_after_the_start() {
    let world = World::new();
    let start = world.history_id();
    assert_eq!(
        world.get(&format!("history?startHistoryId={start}")).ok(),
        json!({"historyId": start})
    );
    let id = world.arrive("Subject: x\n\ny").id;
    world
        .post(
            &format!("messages/{id}/modify"),
            json!({"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]}),
        )
        .ok();
    world.call("DELETE", &format!("messages/{id}"), Value::Null);
    let found = records(&world, &start);
    assert_eq!(found[0]["messagesAdded"][0]["message"]["id"], id);
    assert_eq!(found[1]["labelsAdded"][0]["labelIds"], json!(["STARRED"]));
    assert_eq!(found[1]["labelsRemoved"][0]["labelIds"], json!(["UNREAD"]));
    assert_eq!(found[2]["messagesDeleted"][0]["message"]["id"], id);
    assert_eq!(found[2]["messages"][0]["id"], id);
    assert_eq!(records(&world, found[1]["id"].as_str().unwrap()).len(), 1);
    assert!(records(&world, &world.history_id()).is_empty());
}

#[test]
fn ungrouped_changes_have_a_record_each() {
    let world = World::behaving(|behaviour| behaviour.history_grouped = false);
    let id = world.arrive("Subject: x\n\ny").id;
    let start = world.history_id();
    world
        .post(
            &format!("messages/{id}/modify"),
            json!({"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]}),
        )
        .ok();
    assert_eq!(records(&world, &start).len(), 2);
}

#[test]
fn kinds_are_asked_for_in_the_singular() {
    let world = World::new();
    let start = world.history_id();
    let id = world.arrive("Subject: x\n\ny").id;
    world.post(&format!("messages/{id}/trash"), Value::Null).ok();
    let only = world
        .get(&format!(
            "history?startHistoryId={start}&historyTypes=messageAdded"
        ))
        .ok();
    assert_eq!(only["history"].as_array().unwrap().len(), 1);
    let plural = world.get(&format!(
        "history?startHistoryId={start}&historyTypes=messagesAdded"
    ));
    assert!(plural.refusal().2.starts_with("Invalid value at 'history_types'"));
    let missing = world.get("history");
    assert_eq!(missing.refusal().2, "Missing/invalid parameter: startHistoryId");
    let left = world
        .get(&format!("history?startHistoryId={start}&labelId=INBOX"))
        .ok();
    assert!(
        left.get("history").is_none(),
        "a message that left the label disappears"
    );
}

#[test]
fn pages_cover_everything_once_even_with_empty_ones_between() {
    for (empty, order) in [
        (false, HistoryOrder::Chronological),
        (true, HistoryOrder::Reversed),
        (false, HistoryOrder::PagesSwapped),
        (true, HistoryOrder::PagesSwapped),
    ] {
        let world = World::behaving(|behaviour| {
            behaviour.history_empty_pages = empty;
            behaviour.history_order = order;
        });
        let start = world.history_id();
        for _ in 0..7 {
            world.arrive("Subject: x\n\ny");
        }
        let (mut seen, mut empties, mut token) = (BTreeSet::new(), 0, String::new());
        loop {
            let page = world
                .get(&format!("history?startHistoryId={start}&maxResults=3{token}"))
                .ok();
            let records = ids(&page["history"]);
            empties += usize::from(records.is_empty());
            for record in records {
                assert!(seen.insert(record), "once");
            }
            let Some(next) = page["nextPageToken"].as_str() else {
                break;
            };
            token = format!("&pageToken={next}");
        }
        assert_eq!(seen.len(), 7);
        assert_eq!(empties > 0, empty);
    }
}

#[test]
fn expired_and_unknown_ids_are_not_found() {
    let world = World::new();
    world.arrive("Subject: x\n\ny");
    let start = world.history_id();
    world.arrive("Subject: x\n\ny");
    assert!(world.sim.expire_history(ANNA, None));
    assert_eq!(
        world.get(&format!("history?startHistoryId={start}")).refusal().0,
        404
    );
    assert!(records(&world, &world.history_id()).is_empty());
    let future = world.history_id().parse::<u64>().unwrap() + 1;
    assert_eq!(world.get(&format!("history?startHistoryId={future}")).status, 404);
}

#[test]
fn after_the_retention_a_quiet_mailboxs_newest_id_is_the_only_good_one() {
    let world = World::new();
    let id = world.arrive("Subject: x\n\ny").id;
    let of_message = world.get(&format!("messages/{id}")).ok()["historyId"]
        .as_str()
        .unwrap()
        .to_owned();
    world.arrive("Subject: x\n\ny");
    world.advance(8 * 24 * 3_600_000);
    let token = world
        .sim
        .issue_token(ANNA, &[crate::world::FULL])
        .unwrap()
        .access_token;
    let list = |start: &str| {
        world
            .call_as(
                &token,
                "GET",
                &format!("history?startHistoryId={start}"),
                Value::Null,
            )
            .status
    };
    let newest = world.sim.mailbox(ANNA).unwrap().history_id.to_string();
    assert_eq!((list(&of_message), list(&newest)), (404, 200));
}

#[test]
fn the_switches_change_order_repetition_labels_and_lag() {
    let world = World::new();
    let start = world.history_id();
    let id = world.arrive("Subject: x\n\ny").id;
    world
        .post(
            &format!("messages/{id}/modify"),
            json!({"removeLabelIds": ["UNREAD"]}),
        )
        .ok();
    let labels = |world: &World| {
        records(world, &start)[0]["messagesAdded"][0]["message"]
            .get("labelIds")
            .cloned()
    };
    assert_eq!(labels(&world), Some(json!(["INBOX"])));
    world
        .sim
        .set_behaviour(|behaviour| behaviour.history_labels = HistoryLabels::AtChange);
    assert_eq!(labels(&world), Some(json!(["INBOX", "UNREAD"])));
    world
        .sim
        .set_behaviour(|behaviour| behaviour.history_labels = HistoryLabels::Absent);
    assert_eq!(labels(&world), None);
    world
        .sim
        .set_behaviour(|behaviour| behaviour.history_duplicates = true);
    assert_eq!(records(&world, &start).len(), 4);
    for _ in 0..20 {
        world.arrive("Subject: x\n\ny");
    }
    world
        .sim
        .set_behaviour(|behaviour| behaviour.history_order = HistoryOrder::Shuffled);
    let order: Vec<u64> = records(&world, &start)
        .iter()
        .map(|record| record["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(!order.is_sorted());
    world
        .sim
        .set_behaviour(|behaviour| behaviour.history_lag_ms = 1000);
    assert!(records(&world, &start).is_empty());
    world.advance(1000);
    assert_eq!(records(&world, &start).len(), 44);
}

#[test]
fn mail_dated_in_the_past_leaves_the_history_whole() {
    let world = World::new();
    let start = world.history_id();
    let old = Delivery {
        at: Some(1_000),
        ..Delivery::new(ANNA, "Subject: x\n\ny")
    };
    world.sim.deliver(&old).unwrap();
    world.arrive("Subject: x\n\ny");
    assert_eq!(records(&world, &start).len(), 2);
    assert_eq!(world.mailbox(ANNA)[0].internal_date, 1_000);
}
