//! How late a deadline is: at most one tick of the epoch (10 ms) and 5 ms.
//!
//! What is measured is what the mechanism adds at the worst moment: a pass may begin anywhere between two ticks, so
//! tries begin at each millisecond between them, and the worst of these counts. At one moment there are several
//! tries, of which the best counts: a machine that is busy with something else makes a try later, never earlier.
//! `.config/nextest.toml` keeps other tests away meanwhile.
//!
//! A call that is under way is not interrupted: what it passes is copied first, which takes about a millisecond per
//! MB, however much `Limits::call_data` allows. So the largest call here passes 10 MB.

use std::{future::Future, ops::Range, time::Duration};

use twinbox_host::{
    contract::Report,
    sandbox::{Ended, Limits, PassError, Refusal},
};

use crate::harness::{World, command, tight};

/// One tick and what the end of a pass may take.
const MOST: Duration = Duration::from_millis(15);
/// The milliseconds after a tick at which a pass begins.
const MOMENTS: Range<u64> = 0..10;
const TRIES: u64 = 10;

const CPU: Duration = Duration::from_millis(50);
const WALL: Duration = Duration::from_millis(50);

/// Over at the next tick.
fn a_tick() -> Limits {
    Limits {
        cpu: Duration::ZERO,
        ..tight()
    }
}

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

/// The most that the command was over its limit, over the moments at which it began.
async fn overshoot<F: Future<Output = Ended<Report>>>(
    refusal: Refusal,
    over: impl Fn(&Ended<Report>) -> Duration,
    attempt: impl Fn() -> F,
) -> Duration {
    let mut worst = Duration::ZERO;
    for moment in MOMENTS {
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            // A guest that computes is stopped on a tick: what follows at once begins on one.
            let on_a_tick = command(&World::new("t"), a_tick(), "spin").await;
            assert_eq!(on_a_tick.result, Err(PassError::Refused(Refusal::CpuTime)));
            tokio::time::sleep(Duration::from_millis(moment)).await;
            let ended = attempt().await;
            assert_eq!(ended.result, Err(PassError::Refused(refusal)));
            best = best.min(over(&ended));
            if best <= MOST {
                break;
            }
        }
        worst = worst.max(best);
    }
    worst
}

#[tokio::test]
async fn the_cpu_deadline_is_overshot_by_at_most_a_tick_and_five_milliseconds() {
    let worst = overshoot(
        Refusal::CpuTime,
        |ended| ended.usage.cpu.saturating_sub(CPU),
        || async { command(&World::new("t"), cpu_alone(), "spin").await },
    )
    .await;
    assert!(worst <= MOST, "{worst:?}");
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
        let worst = overshoot(
            Refusal::WallClock,
            |ended| ended.usage.wall.saturating_sub(WALL),
            || async { command(&World::new("t"), wall_alone(), text).await },
        )
        .await;
        println!("{text}: {worst:?}");
        assert!(worst <= MOST, "{text}: {worst:?}");
    }
}
