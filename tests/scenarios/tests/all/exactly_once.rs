//! S23: a message is never sent twice and never silently lost.

use gmail_sim::FaultKind;
use scenarios::{ANN, CrmFault, Died, Moment, World};
use twinbox_host::{
    contract::Problem,
    crm::{CrmError, Delivery},
};

/// What can become of one request.
const FAULTS: [FaultKind; 9] = [
    FaultKind::BackendBefore(503),
    FaultKind::BackendAfter(503),
    FaultKind::BackendAfter(500),
    FaultKind::DropBefore,
    FaultKind::DropAfter,
    FaultKind::Html,
    FaultKind::RateLimited,
    FaultKind::RetryAfter(90_000),
    FaultKind::Unauthorized,
];

#[tokio::test]
async fn s23_a_fault_while_sending_sends_once() {
    survives_faults_of("drafts.send").await;
}

#[tokio::test]
async fn s23_a_fault_while_drafting_sends_once() {
    survives_faults_of("drafts.create").await;
}

#[tokio::test]
async fn s23_a_fault_while_reading_back_sends_once() {
    survives_faults_of("messages.get").await;
}

#[tokio::test]
async fn s23_a_fault_while_asking_what_became_of_it_sends_once() {
    for method in ["drafts.get", "threads.get", "messages.list"] {
        for kind in FAULTS {
            let world = World::connected().await;
            let id = world.letter(ANN).await.queued().await;
            world.fault("drafts.send", FaultKind::DropAfter);
            world.fault(method, kind);
            world.settle().await;
            assert_sent_once(&world, &id, &format!("{method} {kind:?}")).await;
        }
    }
}

#[tokio::test]
async fn s23_repeated_unclear_failures_send_once() {
    for kind in FAULTS {
        let world = World::connected().await;
        let id = world.letter(ANN).await.queued().await;
        for _ in 0..4 {
            world.fault("drafts.send", kind);
        }
        world.settle().await;
        assert_sent_once(&world, &id, &format!("four times {kind:?}")).await;
    }
}

async fn survives_faults_of(method: &str) {
    for kind in FAULTS {
        let world = World::connected().await;
        world.mail().subject("Offer").arrives();
        world.sync().await;
        let offer = world.only_message(ANN).await;
        let id = world.reply(&offer).queued().await;
        world.fault(method, kind);
        world.settle().await;
        let what = format!("{method} {kind:?}");
        assert_sent_once(&world, &id, &what).await;
        assert_eq!(world.conversation(ANN).await.len(), 2, "{what}");
        let thread = &world.gmail().inbox()[0].thread_id;
        assert_eq!(&world.gmail().sent()[0].thread_id, thread, "{what}");
    }
}

async fn assert_sent_once(world: &World, id: &str, what: &str) {
    assert_eq!(world.delivery(id).await, Delivery::Sent, "{what}");
    assert_eq!(world.gmail().sent().len(), 1, "in Sent, {what}");
    assert_eq!(world.mailbox(ANN).inbox().len(), 1, "at the contact, {what}");
    assert_eq!(world.gmail().drafts(), 0, "drafts, {what}");
    let outbound = world.conversation(ANN).await;
    let outbound = outbound.iter().filter(|stored| stored.is_written_here()).count();
    assert_eq!(outbound, 1, "in the conversation, {what}");
    assert!(
        world
            .settle()
            .await
            .iter()
            .all(|ran| ran.report.problem.is_none()),
        "{what}"
    );
    assert_eq!(world.gmail().sent().len(), 1, "in Sent later, {what}");
}

#[tokio::test]
async fn s23_a_process_that_dies_at_any_request_sends_once_and_loses_nothing() {
    for moment in [Moment::Before, Moment::After] {
        for n in 0.. {
            let world = World::connected().await;
            world.mail().subject("Offer").arrives();
            world.sync().await;
            let offer = world.only_message(ANN).await;
            let id = world.reply(&offer).queued().await;
            world.mail().subject("Meanwhile").arrives();
            let died = world.pass_that_dies(n, moment).await;
            world.settle().await;
            let what = format!("dead {moment:?} request {n}");
            assert_sent_once(&world, &id, &what).await;
            assert_eq!(world.subjects(ANN).await.len(), 3, "{what}");
            world.assert_all_accounted_for().await;
            if died == Died::No {
                assert!(n > 4, "a pass makes more requests than {n}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn s23_a_crm_that_does_not_take_the_report_hears_it_again() {
    let world = World::connected().await;
    let id = world.letter(ANN).await.queued().await;
    world.crm_fault(CrmFault::FailReport(CrmError::Unavailable("down".into())));
    world.settle().await;
    assert_sent_once(&world, &id, "a lost report").await;
}

#[tokio::test]
async fn s23_a_request_made_twice_is_one_letter() {
    let world = World::connected().await;
    let first = world.letter(ANN).await.idempotency_key("press 1").queued().await;
    let second = world.letter(ANN).await.idempotency_key("press 1").queued().await;
    assert_eq!(first, second);
    world.settle().await;
    assert_sent_once(&world, &first, "pressed twice").await;
}

#[tokio::test]
async fn s23_a_draft_that_the_user_deleted_is_shown_as_unconfirmed_and_never_sent() {
    let world = World::connected().await;
    let id = world.letter(ANN).await.queued().await;
    let gmail = world.gmail();
    world.before_request("drafts/send", async move { gmail.delete_drafts().await });
    world.settle().await;
    assert!(matches!(world.delivery(&id).await, Delivery::Unconfirmed(_)));
    assert_eq!(world.mailbox(ANN).inbox().len(), 0);
    assert_eq!(world.gmail().sent().len(), 0);
}

#[tokio::test]
async fn s23_the_users_own_mail_is_not_taken_for_a_letter_that_still_waits() {
    let world = World::connected().await;
    let letter = world.letter(ANN).await.subject("Offer").text("The letter");
    let id = letter.queued().await;
    let own = world.mail().from_me().to(ANN).subject("Offer").text("My own");
    own.is_sent_from_gmail().await;
    for _ in 0..3 {
        world.fault("drafts.send", FaultKind::DropBefore);
    }
    world.sync().await;
    let delivery = world.delivery(&id).await;
    assert!(matches!(delivery, Delivery::Deferred(_)), "{delivery:?}");
    world.settle().await;
    assert_eq!(world.delivery(&id).await, Delivery::Sent);
    assert_eq!(world.mailbox(ANN).inbox().len(), 2);
    assert_eq!(texts(&world).await, ["My own", "The letter"]);
}

#[tokio::test]
async fn s23_the_users_own_earlier_mail_is_not_taken_for_a_letter_of_unclear_fate() {
    let world = World::connected().await;
    world
        .mail()
        .from_me()
        .to(ANN)
        .subject("Offer")
        .text("My own")
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    let own = world.only_message(ANN).await;
    let letter = world.reply(&own).to_only(ANN).subject("Offer").text("The letter");
    let id = letter.queued().await;
    world.fault("drafts.send", FaultKind::DropAfter);
    world.settle().await;
    assert_eq!(world.delivery(&id).await, Delivery::Sent);
    assert_eq!(world.mailbox(ANN).inbox().len(), 2);
    assert_eq!(texts(&world).await, ["My own", "The letter"]);
}

#[tokio::test]
async fn s23_a_letter_that_waits_for_the_provider_says_so() {
    let world = World::connected().await;
    let id = world.letter(ANN).await.queued().await;
    world.fault("drafts.send", FaultKind::RetryAfter(600_000));
    let ran = world.sync().await;
    assert_eq!(ran.report.counts.unsent, 1);
    let Delivery::Deferred(deferral) = world.delivery(&id).await else {
        panic!("{:?}", world.delivery(&id).await);
    };
    assert!(matches!(deferral.problem, Problem::RateLimited(_)));
    assert!(deferral.until > world.now() + 500_000);
}

async fn texts(world: &World) -> Vec<String> {
    let conversation = world.conversation(ANN).await;
    let texts = conversation
        .iter()
        .map(|stored| stored.message.content.text.trim().to_owned());
    texts.collect()
}
