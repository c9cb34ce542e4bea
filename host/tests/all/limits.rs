//! Whatever a guest does, the pass ends with the limit's name and the next one works.

use std::time::{Duration, Instant};

use twinbox_host::{
    capability::Severity,
    sandbox::{Limits, PassError, Refusal},
};

use crate::harness::{World, command, probe, said, tight};

/// Runs the command, checks its end, and that the next pass works.
async fn ends_with(text: &str, limits: Limits, refusal: Refusal) {
    let world = World::new("t");
    let ended = command(&world, limits, text).await;
    assert_eq!(ended.result, Err(PassError::Refused(refusal)), "{text}");
    assert_eq!(said(&command(&world, limits, "nop").await), "done");
}

#[tokio::test]
async fn a_guest_that_spins_is_stopped_by_its_cpu_time() {
    let began = Instant::now();
    ends_with("spin", tight(), Refusal::CpuTime).await;
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_guest_that_spins_is_stopped_by_the_wall_clock_too() {
    let limits = Limits {
        cpu: Duration::from_mins(1),
        wall: Duration::from_millis(300),
        ..tight()
    };
    ends_with("spin", limits, Refusal::WallClock).await;
}

#[tokio::test]
async fn a_guest_that_takes_all_memory_is_stopped() {
    let world = World::new("t");
    let ended = command(&world, tight(), "allocate").await;
    assert_eq!(ended.result, Err(PassError::Refused(Refusal::Memory)));
    assert!(ended.usage.guest_peak_bytes > 8 << 20);
    assert!(ended.usage.guest_peak_bytes <= tight().memory);
    assert_eq!(said(&command(&world, tight(), "nop").await), "done");
}

#[tokio::test]
async fn a_guest_that_recurses_for_ever_is_stopped() {
    ends_with("recurse", tight(), Refusal::Stack).await;
}

#[tokio::test]
async fn a_guest_that_overflows_its_own_stack_traps_and_corrupts_nothing() {
    let world = World::new("t");
    let ended = command(&world, tight(), "recurse-buffers").await;
    assert!(
        matches!(ended.result, Err(PassError::Trapped(_))),
        "{:?}",
        ended.result
    );
    assert_eq!(said(&command(&world, tight(), "nop").await), "done");
}

#[tokio::test]
async fn a_guest_that_panics_ends_its_pass_alone() {
    let world = World::new("t");
    let ended = command(&world, tight(), "panic").await;
    assert!(matches!(ended.result, Err(PassError::Trapped(_))));
    assert_eq!(said(&command(&world, tight(), "nop").await), "done");
}

#[tokio::test]
async fn a_guest_that_waits_for_ever_is_stopped_and_its_waiting_is_no_cpu_time() {
    let limits = Limits {
        wall: Duration::from_millis(300),
        ..tight()
    };
    let ended = command(&World::new("t"), limits, "hang").await;
    assert_eq!(ended.result, Err(PassError::Refused(Refusal::WallClock)));
    assert!(ended.usage.cpu < Duration::from_millis(150), "{:?}", ended.usage);
}

#[tokio::test]
async fn a_guest_that_waits_for_an_answer_for_ever_is_stopped() {
    let limits = Limits {
        wall: Duration::from_millis(300),
        ..tight()
    };
    ends_with("http https://mail.example/hang", limits, Refusal::WallClock).await;
}

#[tokio::test]
async fn a_guest_that_opens_streams_without_end_is_stopped() {
    ends_with("handles", tight(), Refusal::Handles).await;
}

#[tokio::test]
async fn a_call_with_too_much_data_is_stopped() {
    let limits = Limits {
        call_data: 1 << 20,
        ..tight()
    };
    let world = World::new("t");
    let ended = command(&world, limits, "post 4000000 https://mail.example/").await;
    assert!(
        matches!(ended.result, Err(PassError::Trapped(_))),
        "{:?}",
        ended.result
    );
    assert!(world.net.sent.lock().unwrap().is_empty());
    assert_eq!(said(&command(&world, limits, "nop").await), "done");
}

#[tokio::test]
async fn more_random_bytes_than_a_call_gives_trap() {
    let world = World::new("t");
    assert_eq!(said(&command(&world, tight(), "random 4096").await), "4096");
    let ended = command(&world, tight(), "random 4097").await;
    assert!(matches!(ended.result, Err(PassError::Trapped(_))));
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_and_said_to_be() {
    let world = World::new("t");
    assert_eq!(
        said(&command(&world, Limits::default(), "log-flood 3000 9000").await),
        "logged"
    );
    let lines = world.lines.0.lock().unwrap();
    assert_eq!(lines.len(), 1_000);
    assert!(lines.iter().all(|line| line.message.len() <= 4 << 10));
    let last = lines.last().unwrap();
    assert_eq!(last.severity, Severity::Warning);
    assert!(last.message.contains("suppressed"));
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
