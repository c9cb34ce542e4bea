//! Bytes cross the wall in parts, all of them or a failure.

use std::io;

use twinbox_host::sandbox::{Limits, PassError, Refusal};

use crate::harness::{World, command, said, tight};

const LARGE: usize = 100 << 20;

#[tokio::test]
async fn a_large_attachment_passes_through_little_memory() {
    let world = World::new("t");
    let limits = Limits {
        memory: 8 << 20,
        ..Limits::default()
    };
    let ended = command(
        &world,
        limits,
        &format!("echo-stream https://mail.example/size/{LARGE}"),
    )
    .await;
    assert_eq!(said(&ended), format!("stored {LARGE}"));
    assert_eq!(*world.crm.stored.lock().unwrap(), [LARGE]);
    assert!(ended.usage.guest_peak_bytes < 8 << 20);
}

#[tokio::test]
async fn a_stream_that_breaks_is_not_taken_for_whole() {
    let world = World::new("t");
    let ended = command(&world, tight(), "read-stream https://mail.example/short/1000000").await;
    assert_eq!(said(&ended), "500000 of Some(1000000)");
    let ended = command(&world, tight(), "echo-stream https://mail.example/short/1000000").await;
    assert!(said(&ended).contains("Unavailable"), "{}", said(&ended));
    assert!(world.crm.stored.lock().unwrap().is_empty());
    assert_eq!(*world.crm.broken.lock().unwrap(), [io::ErrorKind::UnexpectedEof]);
}

#[tokio::test]
async fn a_stream_of_unknown_length_that_breaks_ends_the_pass() {
    let world = World::new("t");
    let ended = command(
        &world,
        tight(),
        "read-stream https://mail.example/unsized/1000000",
    )
    .await;
    assert_eq!(said(&ended), "1000000 of None");
    let ended = command(
        &world,
        tight(),
        "read-stream https://mail.example/short-unsized/1000000",
    )
    .await;
    assert_eq!(ended.result, Err(PassError::Refused(Refusal::BrokenStream)));
}

#[tokio::test]
async fn a_guest_that_writes_another_number_of_bytes_than_it_said_stores_nothing() {
    let world = World::new("t");
    assert_eq!(
        said(&command(&world, tight(), "write-stream 300000 300000").await),
        "stored 300000"
    );
    let short = command(&world, tight(), "write-stream 100000 300000").await;
    assert!(said(&short).contains("Unavailable"), "{}", said(&short));
    let long = command(&world, tight(), "write-stream 300000 100000").await;
    assert!(said(&long).contains("Unavailable"), "{}", said(&long));
    assert_eq!(*world.crm.stored.lock().unwrap(), [300_000]);
}

#[tokio::test]
async fn a_guest_that_walks_away_leaves_nothing_behind() {
    let world = World::new("t");
    let dropped = command(&world, tight(), "drop-stream https://mail.example/size/50000000").await;
    assert_eq!(said(&dropped), "dropped");
    let abandoned = command(&world, tight(), "abandon https://mail.example/hang").await;
    assert_eq!(said(&abandoned), "walked away");
    assert!(abandoned.usage.wall < std::time::Duration::from_secs(5));
}
