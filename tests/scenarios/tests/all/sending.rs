//! S20 and S22: mail from the CRM to a contact.

use gmail_sim::{MessageView, Verification};
use mail_parser::{HeaderValue, MessageParser};
use scenarios::{ANN, ME, World};
use twinbox_host::{
    contract::{Direction, OutboundKind, Problem},
    crm::Delivery,
};

const SALES: &str = "sales@acme.example";

#[tokio::test]
async fn s20_a_reply_is_in_the_thread_on_both_sides_and_in_the_conversation_once() {
    let world = World::connected().await;
    // Ann writes from her own Gmail, so that her side has a thread too.
    let from_ann = world.mail().subject("Offer").raw();
    world.mailbox(ANN).send(&from_ann).await;
    world.sync().await;
    let offer = world.only_message(ANN).await;

    let id = world.reply(&offer).text("Gladly.").queued().await;
    world.sync().await;
    world.sync().await;

    assert_eq!(world.delivery(&id).await, Delivery::Sent);
    let sent = world.gmail().sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].thread_id, world.gmail().inbox()[0].thread_id);
    let received = world.mailbox(ANN).inbox();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].thread_id, world.mailbox(ANN).sent()[0].thread_id);
    let offer_id = offer.message.message_id.unwrap();
    assert_eq!(ids(&received[0], "In-Reply-To"), std::slice::from_ref(&offer_id));
    assert_eq!(ids(&received[0], "References"), [offer_id]);
    assert_eq!(world.subjects(ANN).await, ["Offer", "Re: Offer"]);
    assert_eq!(world.gmail().drafts(), 0);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn s20_a_long_exchange_keeps_one_thread_and_all_references() {
    let world = World::connected().await;
    let ann = world.mailbox(ANN);
    ann.send(&world.mail().subject("Offer").raw()).await;
    world.sync().await;
    for round in 1..=3 {
        let last = world.conversation(ANN).await.pop().unwrap();
        world
            .reply(&last)
            .to_only(ANN)
            .subject("Re: Offer")
            .queued()
            .await;
        world.sync().await;
        let received = ann.inbox().pop().unwrap();
        assert_eq!(ids(&received, "References").len(), 2 * round - 1);
        let answer = world
            .mail()
            .subject("Re: Offer")
            .header("In-Reply-To", received.message_id().unwrap())
            .header("References", &references(&received));
        ann.send(&answer.raw()).await;
        world.sync().await;
    }
    let threads: std::collections::BTreeSet<String> = world
        .gmail()
        .view()
        .messages
        .into_iter()
        .map(|message| message.thread_id)
        .collect();
    assert_eq!(threads.len(), 1);
    assert_eq!(world.conversation(ANN).await.len(), 7);
}

#[tokio::test]
async fn s20_the_crm_learns_the_message_id_and_the_sender_that_gmail_wrote() {
    let world = World::connected().await;
    let id = world.letter(ANN).await.queued().await;
    world.sync().await;
    let stored = world.message(&id).await;
    let sent = world.gmail().sent().remove(0);
    assert_eq!(stored.message.message_id.as_deref(), sent.message_id());
    assert_eq!(stored.message.sender.address, ME);
    assert_eq!(stored.message.direction, Direction::Outbound);
    assert!(stored.message.key.ends_with(&sent.id));
}

#[tokio::test]
async fn s20_another_subject_starts_another_thread() {
    let world = World::connected().await;
    world.mail().subject("Offer").arrives();
    world.sync().await;
    let offer = world.only_message(ANN).await;
    world.reply(&offer).subject("Something else").queued().await;
    world.sync().await;
    let sent = world.gmail().sent().remove(0);
    assert_ne!(sent.thread_id, world.gmail().inbox()[0].thread_id);
    assert_eq!(world.conversation(ANN).await.len(), 2);
}

#[tokio::test]
async fn s20_an_accepted_alias_sends() {
    let world = World::connected().await;
    world
        .sim()
        .add_send_as(ME, SALES, "Acme Sales", Verification::Accepted);
    world.letter(ANN).await.from(SALES).queued().await;
    world.sync().await;
    let received = world.mailbox(ANN).inbox().remove(0);
    assert_eq!(received.from(), Some("Acme Sales <sales@acme.example>"));
}

#[tokio::test]
async fn s20_an_alias_that_is_not_accepted_is_refused_and_nothing_is_sent() {
    let world = World::connected().await;
    world
        .sim()
        .add_send_as(ME, SALES, "Acme Sales", Verification::Pending);
    let id = world.letter(ANN).await.from(SALES).queued().await;
    world.sync().await;
    assert_eq!(
        world.failure(&id).await,
        Some(Problem::AliasNotAccepted(SALES.into()))
    );
    assert_eq!(world.gmail().sent().len() + world.gmail().drafts(), 0);
}

#[tokio::test]
async fn s20_copies_and_blind_copies_arrive_and_nobody_sees_the_blind_ones() {
    let world = World::connected().await;
    world.sim().create_user("boss@acme.example", "Boss");
    let letter = world
        .letter(ANN)
        .await
        .cc("carl@c.example")
        .bcc("boss@acme.example");
    let id = letter.queued().await;
    world.sync().await;
    let received = world.mailbox(ANN).inbox().remove(0);
    assert!(!String::from_utf8_lossy(&received.raw).contains("boss@"));
    assert_eq!(world.mailbox("boss@acme.example").inbox().len(), 1);
    assert_eq!(world.sim().outside().len(), 1);
    assert_eq!(world.message(&id).await.message.bcc.len(), 1);
}

#[tokio::test]
async fn s20_mail_to_an_address_that_cannot_be_is_refused() {
    let world = World::connected().await;
    let id = world.letter(ANN).await.to_only("nobody at all").queued().await;
    world.sync().await;
    assert!(matches!(
        world.failure(&id).await,
        Some(Problem::RecipientInvalid(_))
    ));
    assert_eq!(world.gmail().sent().len() + world.gmail().drafts(), 0);
}

#[tokio::test]
async fn s20_a_thread_that_is_gone_from_the_mailbox_does_not_stop_a_reply() {
    let world = World::connected().await;
    let mail = world.mail().subject("Offer").arrives();
    world.sync().await;
    let offer = world.only_message(ANN).await;
    world.gmail().delete(&mail.id).await;
    let id = world.reply(&offer).queued().await;
    world.sync().await;
    assert_eq!(world.delivery(&id).await, Delivery::Sent);
    assert_eq!(world.mailbox(ANN).inbox().len(), 1);
}

#[tokio::test]
async fn s22_bulk_and_workflow_mail_never_goes_through_gmail() {
    let world = World::connected().await;
    for kind in [OutboundKind::Bulk, OutboundKind::Workflow] {
        let id = world.letter(ANN).await.kind(kind).queued().await;
        world.sync().await;
        assert_eq!(
            world.delivery(&id).await,
            Delivery::Queued,
            "it waits for the provider"
        );
    }
    assert_eq!(world.gmail().sent().len() + world.gmail().drafts(), 0);
}

/// The ids of a field, with their brackets.
fn ids(message: &MessageView, field: &str) -> Vec<String> {
    let parsed = MessageParser::new().parse(&message.raw[..]).unwrap();
    match parsed.header(field.to_owned()) {
        Some(HeaderValue::Text(id)) => vec![format!("<{id}>")],
        Some(HeaderValue::TextList(ids)) => ids.iter().map(|id| format!("<{id}>")).collect(),
        _ => Vec::new(),
    }
}

/// What an answer to a message puts into References (RFC 5322, 3.6.4).
fn references(message: &MessageView) -> String {
    let mut all = ids(message, "References");
    all.extend(message.message_id().map(str::to_owned));
    all.join(" ")
}
