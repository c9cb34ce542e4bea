//! Watches and notifications.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gmail_sim::{Behaviour, PushHistoryId};
use serde_json::{Value, json};

use crate::world::{ANNA, World};

const TOPIC: &str = "projects/p/topics/t";

#[test]
fn a_watch_publishes_at_once_and_then_for_each_change_once_a_second() {
    let world = World::new();
    let answer = world.post("watch", json!({"topicName": TOPIC})).ok();
    assert_eq!(answer["historyId"], world.history_id());
    assert_eq!(world.sim.take_notifications().len(), 1);
    world.arrive("Subject: x\n\ny");
    assert!(world.sim.take_notifications().is_empty(), "within a second");
    world.advance(1000);
    world.arrive("Subject: x\n\ny");
    let pushed = world.sim.take_notifications();
    assert_eq!(pushed.len(), 1);
    assert_eq!(pushed[0].history_id.to_string(), world.history_id());
    assert_eq!(world.sim.mailbox(ANNA).unwrap().watches, [TOPIC]);
    assert_eq!(world.post("stop", Value::Null).status, 204);
    world.advance(1000);
    world.arrive("Subject: x\n\ny");
    assert!(world.sim.take_notifications().is_empty());
}

#[test]
fn a_second_topic_is_refused_and_a_watch_ends_after_a_week() {
    let world = World::new();
    world.post("watch", json!({"topicName": TOPIC})).ok();
    world.post("watch", json!({"topicName": TOPIC})).ok();
    let other = world.post("watch", json!({"topicName": "projects/p/topics/other"}));
    assert!(
        other
            .refusal()
            .2
            .starts_with("Only one user push notification client allowed")
    );
    assert_eq!(world.post("watch", json!({"topicName": "t"})).status, 400);
    world.sim.take_notifications();
    world.advance(7 * 24 * 3_600_000);
    world.arrive("Subject: x\n\ny");
    assert!(world.sim.take_notifications().is_empty());
}

#[test]
fn a_label_filter_includes_or_excludes() {
    for (how, expected) in [("include", 0), ("exclude", 1)] {
        let world = World::new();
        let body = json!({"topicName": TOPIC, "labelIds": ["SENT"], "labelFilterBehavior": how});
        world.post("watch", body).ok();
        world.sim.take_notifications();
        world.advance(1000);
        world.arrive("Subject: x\n\ny");
        assert_eq!(world.sim.take_notifications().len(), expected, "{how}");
    }
}

#[test]
fn the_envelope_is_pubsubs() {
    let world = World::new();
    world.post("watch", json!({"topicName": TOPIC})).ok();
    let notification = world.sim.take_notifications().remove(0);
    let data = |behaviour: &Behaviour| {
        let envelope = notification.envelope("projects/p/subscriptions/s", behaviour);
        assert_eq!(envelope["subscription"], "projects/p/subscriptions/s");
        assert_eq!(
            envelope["message"]["messageId"],
            envelope["message"]["message_id"]
        );
        let data = STANDARD
            .decode(envelope["message"]["data"].as_str().unwrap())
            .unwrap();
        serde_json::from_slice::<Value>(&data).unwrap()
    };
    assert_eq!(
        data(&Behaviour::default()),
        json!({"emailAddress": ANNA, "historyId": notification.history_id})
    );
    let text = Behaviour {
        push_history_id: PushHistoryId::String,
        ..Behaviour::default()
    };
    assert_eq!(data(&text)["historyId"], notification.history_id.to_string());
}
