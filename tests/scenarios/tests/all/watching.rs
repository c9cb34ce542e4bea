//! Push: what Gmail publishes is a hint. The mailbox is watched, a notification costs little, and none is trusted.

use gmail_sim::FaultKind;
use scenarios::{ANN, Setup, World};
use twinbox_host::{Ran, contract::Trigger};

const DAY: u64 = 24 * 3_600_000;

async fn watched() -> World {
    Setup::default()
        .settings(r#"{"push-topic": "projects/p/topics/gmail"}"#)
        .connected()
        .await
}

async fn pushed(world: &World, history_id: &str) -> Ran {
    let id = world.connection_row().await.scope.connection;
    let trigger = Trigger::Push(history_id.to_owned());
    world.host().run(&id, trigger).await.unwrap()
}

fn watches(world: &World) -> usize {
    world
        .requests()
        .iter()
        .filter(|request| request.contains("/watch"))
        .count()
}

#[tokio::test]
async fn push_a_mailbox_is_watched_from_the_first_pass_and_again_every_day() {
    let world = watched().await;
    world.sync().await;
    world.sync().await;
    assert_eq!(watches(&world), 1);
    // Up to two hours earlier by chance, so that mailboxes do not come together.
    world.tick(DAY - 2 * 3_600_000 - 60_000);
    world.sync().await;
    assert_eq!(watches(&world), 0);
    world.tick(2 * 3_600_000 + 60_000);
    world.sync().await;
    assert_eq!(watches(&world), 1);
}

#[tokio::test]
async fn push_without_a_topic_nothing_is_watched() {
    let world = World::connected().await;
    world.sync().await;
    assert_eq!(watches(&world), 0);
}

#[tokio::test]
async fn push_a_watch_that_is_refused_stops_no_mail_and_is_asked_for_again() {
    let world = watched().await;
    world.fault("watch", FaultKind::PreconditionFailed);
    world.mail().subject("Hello").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Hello"]);
    world.tick(2 * 3_600_000);
    world.sync().await;
    assert_eq!(watches(&world), 2);
}

#[tokio::test]
async fn push_a_topic_that_gmail_may_not_publish_to_stops_no_mail() {
    for kind in [FaultKind::TopicForbidden, FaultKind::TopicMissing] {
        let world = watched().await;
        world.fault("watch", kind);
        world.mail().subject("Hello").arrives();
        assert_eq!(world.sync().await.report.problem, None, "{kind:?}");
        assert_eq!(world.subjects(ANN).await, ["Hello"], "{kind:?}");
    }
}

#[tokio::test]
async fn push_that_arrives_before_its_history_can_be_read_is_tried_again_shortly() {
    let world = watched().await;
    world.sync().await;
    let ran = pushed(&world, "99999999999").await;
    let next = ran.report.next.unwrap();
    assert!(next > world.now() && next <= world.now() + 5_000, "{next}");
    world.tick(3_000);
    assert_eq!(world.sync().await.report.next, None);
}

#[tokio::test]
async fn push_old_doubled_and_impossible_ones_lose_and_double_nothing() {
    let world = watched().await;
    world.sync().await;
    for history_id in ["1", "1", "99999999999", "", "x", "-1"] {
        world.mail().subject(&format!("After {history_id:?}")).arrives();
        pushed(&world, history_id).await;
        pushed(&world, history_id).await;
    }
    assert_eq!(world.conversation(ANN).await.len(), 6);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn push_of_new_mail_costs_three_requests_and_two_in_a_known_thread() {
    let world = watched().await;
    world.sync().await;
    let first = world
        .mail()
        .subject("Offer")
        .header("Message-ID", "<1@x.example>")
        .arrives();
    assert_eq!(pushed(&world, "1").await.report.counts.requests, 3);
    world
        .mail()
        .subject("Re: Offer")
        .answering("<1@x.example>")
        .arrives();
    assert_eq!(pushed(&world, "1").await.report.counts.requests, 2);
    world
        .gmail()
        .label(&first.id, &["STARRED"], &["UNREAD", "INBOX"])
        .await;
    let ran = pushed(&world, "1").await;
    assert_eq!((ran.report.counts.requests, ran.report.counts.updates_in), (1, 1));
}
