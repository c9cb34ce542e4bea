//! Limits, and whose time is whose. What a component does that means harm is in [`crate::hostile`].

use std::time::{Duration, Instant};

use twinbox_host::sandbox::{Limits, PassError, Refusal};

use crate::harness::{World, command, probe, said, tight};

#[tokio::test]
async fn a_guest_that_panics_ends_its_pass_alone() {
    let world = World::new("t");
    let ended = command(&world, tight(), "panic").await;
    assert!(matches!(ended.result, Err(PassError::Trapped(_))));
    assert_eq!(said(&command(&world, tight(), "nop").await), "done");
}

#[tokio::test]
async fn more_random_bytes_than_a_call_gives_trap() {
    let world = World::new("t");
    assert_eq!(said(&command(&world, tight(), "random 4096").await), "4096");
    let ended = command(&world, tight(), "random 4097").await;
    assert!(matches!(ended.result, Err(PassError::Trapped(_))));
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_and_the_pass_goes_on() {
    let ended = command(&World::new("t"), tight(), "requests 20 https://mail.example/").await;
    assert!(said(&ended).starts_with("10: "), "{}", said(&ended));
    assert!(said(&ended).contains("RequestLimit"));
    assert_eq!(ended.usage.requests, 10);
}

#[tokio::test]
async fn one_that_spins_holds_up_nobody_even_on_one_thread() {
    let spinning = tokio::spawn(async { command(&World::new("a"), tight(), "spin").await });
    let others = World::new("b");
    for _ in 0..5 {
        assert_eq!(said(&command(&others, tight(), "store k v").await), "stored");
    }
    let ended = spinning.await.unwrap();
    assert_eq!(ended.result, Err(PassError::Refused(Refusal::CpuTime)));
}

#[tokio::test]
async fn two_that_spin_are_each_billed_for_their_own_time() {
    let spin = || async { command(&World::new("t"), tight(), "spin").await };
    let began = Instant::now();
    let (a, b) = tokio::join!(spin(), spin());
    assert_eq!(a.result, Err(PassError::Refused(Refusal::CpuTime)));
    assert_eq!(b.result, Err(PassError::Refused(Refusal::CpuTime)));
    // On one thread: each had its 200 ms, one after the other.
    assert!(
        began.elapsed() >= Duration::from_millis(380),
        "{:?} {:?}",
        a.usage,
        b.usage
    );
}

#[tokio::test]
async fn settings_are_checked_by_a_pass_that_may_do_nothing() {
    let pass = |settings: &'static str| async move {
        let ended = probe().await.idle_pass().validate_settings(settings.into()).await;
        ended.result.unwrap()
    };
    assert_eq!(pass("{}").await, Ok(()));
    assert_eq!(pass("invalid").await.unwrap_err().len(), 1);
}

#[tokio::test]
async fn the_manifest_is_read_once_and_caps_the_limits() {
    let plugin = probe().await;
    assert_eq!(plugin.manifest().name, "probe");
    let asked = Limits::default().capped_by(&plugin.manifest().budget);
    assert_eq!(asked.requests, 100);
    assert_eq!(asked.cpu, Duration::from_secs(10));
}
