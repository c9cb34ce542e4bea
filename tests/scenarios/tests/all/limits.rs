//! S21: what a mailbox may send.

use scenarios::{ANN, File, Letter, Setup, World, bytes_of};
use twinbox_host::{contract::Problem, crm::Delivery};

/// The largest message, encoded, bytes.
const LARGEST: u64 = 25 << 20;
const DAY: u64 = 24 * 3_600_000;

#[tokio::test]
async fn s21_over_the_daily_limit_it_fails_and_says_when_it_works_again() {
    let world = with_a_limit_of_two().await;
    let first = world.letter(ANN).await.queued().await;
    world
        .mail()
        .from_me()
        .to("x@nobody.example")
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    world.sync().await;
    let late = world.letter(ANN).await.queued().await;
    world.sync().await;
    let again = world.message(&first).await.message.received_at + DAY;
    assert_eq!(world.failure(&late).await, Some(Problem::DailyLimit(again)));
    assert_eq!(world.gmail().sent().len(), 2);
    assert_eq!(world.gmail().drafts(), 0);
}

#[tokio::test]
async fn s21_send_when_possible_waits_for_the_day_to_pass() {
    let world = with_a_limit_of_two().await;
    world.letter(ANN).await.queued().await;
    world.letter(ANN).await.queued().await;
    let late = world.letter(ANN).await.waiting_at_the_limit().queued().await;
    world.sync().await;
    let Delivery::Deferred(deferral) = world.delivery(&late).await else {
        panic!("{:?}", world.delivery(&late).await);
    };
    assert!(matches!(deferral.problem, Problem::DailyLimit(until) if until == deferral.until));
    world.tick(deferral.until - world.now() - 1_000);
    world.sync().await;
    assert_eq!(world.gmail().sent().len(), 2);
    world.tick(2_000);
    world.sync().await;
    assert_eq!(world.delivery(&late).await, Delivery::Sent);
    assert_eq!(world.mailbox(ANN).inbox().len(), 3);
}

#[tokio::test]
async fn s21_twenty_five_megabytes_pass() {
    let world = World::connected().await;
    let id = letter_of(&world, LARGEST).await.queued().await;
    world.sync().await;
    assert_eq!(world.delivery(&id).await, Delivery::Sent);
    assert_eq!(world.mailbox(ANN).inbox().len(), 1);
}

#[tokio::test]
async fn s21_one_byte_more_is_too_large_and_nothing_is_left_behind() {
    let world = World::connected().await;
    let id = letter_of(&world, LARGEST + 1).await.queued().await;
    world.sync().await;
    let failure = world.failure(&id).await;
    assert!(
        matches!(&failure, Some(Problem::TooLarge(excess)) if excess.size == LARGEST + 1 && excess.limit == LARGEST),
        "{failure:?}"
    );
    assert_eq!(world.gmail().sent().len() + world.gmail().drafts(), 0);
    assert!(!world.requests().iter().any(|line| line.contains("/drafts")));
}

async fn with_a_limit_of_two() -> World {
    Setup::default()
        .settings(r#"{"daily-limit": 2}"#)
        .connected()
        .await
}

/// A letter that is so many bytes long as it will be transmitted.
async fn letter_of(world: &World, size: u64) -> Letter<'_> {
    const LINE: u64 = 57;
    const ENCODED_LINE: u64 = 78;
    // One that is surely too large says how much there is beside the attachment.
    let lines = LARGEST / ENCODED_LINE;
    let probe = letter_with(world, "x", lines * LINE).await.queued().await;
    world.sync().await;
    let Some(Problem::TooLarge(excess)) = world.failure(&probe).await else {
        panic!("{:?}", world.delivery(&probe).await);
    };
    let beside = excess.size - lines * ENCODED_LINE - 1;
    world.requests();
    // The text makes up what does not fill a line.
    let (lines, text) = (
        (size - beside) / ENCODED_LINE - 1,
        (size - beside) % ENCODED_LINE + ENCODED_LINE,
    );
    let text = format!(
        "{}\n{}",
        "x".repeat(60),
        "y".repeat(usize::try_from(text).unwrap() - 62)
    );
    let text = if text.len() > 122 {
        format!("{}\n{}", &text[..121], &text[123..])
    } else {
        text
    };
    letter_with(world, &text, lines * LINE).await
}

async fn letter_with<'w>(world: &'w World, text: &str, size: u64) -> Letter<'w> {
    let bytes = bytes_of(usize::try_from(size).unwrap());
    let letter = world.letter(ANN).await.subject("Film").text(text);
    letter.carrying(File::attached("film.bin", "application/zip", bytes))
}
