//! How late a deadline is: at most one tick of the epoch (10 ms) and 5 ms.
//!
//! What is measured is what the mechanism adds, so each attack has several tries and the best one counts: a machine
//! that is busy with something else makes a try later, never earlier. A mechanism that is late by itself is late in
//! every try. `.config/nextest.toml` keeps other tests away meanwhile.
//!
//! A call that is under way is not interrupted: what it passes is copied first, which takes about a millisecond per
//! MB, however much `Limits::call_data` allows. So the largest call here passes 10 MB.

use std::{future::Future, time::Duration};

use twinbox_host::{
    contract::Report,
    sandbox::{Ended, Limits, PassError, Refusal},
};

use crate::harness::{World, command, tight};

/// One tick and what the end of a pass may take.
const MOST: Duration = Duration::from_millis(15);
const TRIES: u64 = 40;

const CPU: Duration = Duration::from_millis(50);
const WALL: Duration = Duration::from_millis(50);

fn cpu_alone() -> Limits {
    Limits { cpu: CPU, ..tight() }
}

fn wall_alone() -> Limits {
    Limits {
        cpu: Duration::from_mins(1),
        wall: WALL,
        memory: 64 << 20,
        ..tight()
    }
}

/// The least that the command was over its limit in several tries.
async fn overshoot<F: Future<Output = Ended<Report>>>(
    refusal: Refusal,
    over: impl Fn(&Ended<Report>) -> Duration,
    attempt: impl Fn() -> F,
) -> Duration {
    let mut best = Duration::MAX;
    for number in 0..TRIES {
        // A pass ends on a tick: one after the other would all begin at the same moment between two ticks.
        tokio::time::sleep(Duration::from_millis(number % 10)).await;
        let ended = attempt().await;
        assert_eq!(ended.result, Err(PassError::Refused(refusal)));
        best = best.min(over(&ended));
        if best <= MOST {
            break;
        }
    }
    best
}

#[tokio::test]
async fn the_cpu_deadline_is_overshot_by_at_most_a_tick_and_five_milliseconds() {
    let best = overshoot(
        Refusal::CpuTime,
        |ended| ended.usage.cpu.saturating_sub(CPU),
        || async { command(&World::new("t"), cpu_alone(), "spin").await },
    )
    .await;
    assert!(best <= MOST, "{best:?}");
}

#[tokio::test]
async fn the_wall_deadline_is_overshot_by_at_most_a_tick_and_five_milliseconds_whatever_the_guest_does() {
    for text in [
        "spin",
        "hang",
        "http https://mail.example/hang",
        "ask-the-time",
        "read-without-end key",
        "log-flood 4000000000 100",
        "log-flood 4000000000 10000000",
        "hoard-requests 5 https://mail.example/hang",
    ] {
        let best = overshoot(
            Refusal::WallClock,
            |ended| ended.usage.wall.saturating_sub(WALL),
            || async { command(&World::new("t"), wall_alone(), text).await },
        )
        .await;
        println!("{text}: {best:?}");
        assert!(best <= MOST, "{text}: {best:?}");
    }
}
