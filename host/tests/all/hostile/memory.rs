//! The host's memory does not grow with attacks.

use std::time::Duration;

use twinbox_host::sandbox::Limits;

use crate::harness::{World, command, tight};

/// What may come and go by chance, bytes.
const SLACK: u64 = 8 << 20;
const ROUNDS: usize = 6;

/// Several rounds, of which one must add next to nothing: an allocator may take its time to settle, and other tests of
/// the same process may grow meanwhile, but what leaks leaks in every round.
#[tokio::test]
async fn attacks_leave_nothing_behind_in_the_host() {
    if resident().is_none() {
        eprintln!("SKIPPED: the host's memory cannot be read here");
        return;
    }
    round().await;
    let mut growths = Vec::new();
    for _ in 0..ROUNDS {
        let before = resident().unwrap();
        round().await;
        growths.push(resident().unwrap().saturating_sub(before));
        if growths.last().is_some_and(|growth| *growth < SLACK) {
            return;
        }
    }
    panic!("the host grew in every round: {growths:?}");
}

/// Every way to end, several times each. One leaked memory of a guest would be 16 MiB.
async fn round() {
    let limits = Limits {
        cpu: Duration::from_millis(30),
        wall: Duration::from_millis(60),
        ..tight()
    };
    for text in [
        "spin",
        "allocate",
        "recurse",
        "recurse-buffers",
        "panic",
        "hoard-streams",
        "hoard-waits",
        "log-flood 2000 4000",
        "post 8000000 https://mail.example/",
        "hoard-requests 5 https://mail.example/hang",
        "read-stream https://mail.example/size/4000000",
        "drop-stream https://mail.example/size/4000000",
    ] {
        for _ in 0..4 {
            command(&World::new("t"), limits, text).await;
        }
    }
}

/// Resident memory of this process, bytes (`/proc/self/status`, Linux).
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}
