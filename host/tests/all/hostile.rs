//! Hostile components: each ends in its typed refusal, and neither the host nor another tenant notices.
//!
//! The list of the specification, one test for each line of it. Each attack runs in the sandbox in which the pass
//! of another tenant runs at the same time, over the same store and on one thread, which is the least there can be
//! between them; [`attack`] fails unless that tenant's passes all answer rightly and soon, and unless the attacker's
//! next pass works. What the host itself must not lose is in [`memory`] and [`deadline`].

use std::{sync::Arc, time::Duration};

use twinbox_host::{
    capability::Severity,
    contract::Report,
    sandbox::{Ended, Limits, PassError, Refusal},
};

use crate::harness::{World, command, said, tight};

mod deadline;
mod memory;

/// How long a pass of the other tenant may take, with all that shares the machine with these tests.
const SOON: Duration = Duration::from_secs(2);

/// What the other tenant keeps.
const SECRET: &str = "ours-alone";

/// What became of an attack, and what it did outside.
struct Attack {
    ended: Ended<Report>,
    world: World,
}

/// Runs the command as one tenant's pass while another tenant works.
async fn attack(text: &str, limits: Limits) -> Attack {
    let ours = Arc::new(World::new("ours"));
    let world = World {
        store: ours.store.clone(),
        ..World::new("theirs")
    };
    assert_eq!(
        said(&command(&ours, tight(), &format!("store key {SECRET}")).await),
        "stored"
    );
    let (over, is_over) = tokio::sync::watch::channel(());
    let working = tokio::spawn(work_until(is_over, ours.clone()));
    let ended = command(&world, limits, text).await;
    drop(over);
    working.await.unwrap();
    assert_eq!(
        said(&command(&world, tight(), "nop").await),
        "done",
        "after {text}"
    );
    assert_eq!(
        said(&command(&ours, tight(), "read key").await),
        SECRET,
        "after {text}"
    );
    Attack { ended, world }
}

/// Passes that write, read and make a request, until the attack is over, and once more.
async fn work_until(is_over: tokio::sync::watch::Receiver<()>, ours: Arc<World>) {
    for turn in 0.. {
        let over = is_over.has_changed().is_err();
        for (text, answer) in [
            (format!("store turn {turn}"), "stored".to_owned()),
            ("read turn".to_owned(), turn.to_string()),
            (
                "http https://mail.example/".to_owned(),
                "200 [etag] hello".to_owned(),
            ),
        ] {
            let ended = command(&ours, tight(), &text).await;
            assert_eq!(said(&ended), answer);
            assert!(ended.usage.wall < SOON, "{text}: {:?}", ended.usage);
        }
        if over {
            return;
        }
        // In memory everything is answered at once: without a rest the attacker would have no turn on this thread.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Asserts that the pass was refused for this, and for nothing else.
fn assert_refused(attack: &Attack, refusal: Refusal) {
    assert_eq!(attack.ended.result, Err(PassError::Refused(refusal)));
}

/// Asserts that the pass went on, and that the host's word for what it refused was this.
fn assert_denied(attack: &Attack, denial: &str) {
    let said = said(&attack.ended);
    assert!(said.contains(denial), "{said}");
}

fn soon_over() -> Limits {
    Limits {
        wall: Duration::from_millis(300),
        ..tight()
    }
}

#[tokio::test]
async fn an_endless_loop_ends_when_its_cpu_time_is_used_up() {
    let attack = attack("spin", tight()).await;
    assert_refused(&attack, Refusal::CpuTime);
    assert!(attack.ended.usage.cpu >= tight().cpu);
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_wall_clock_too() {
    let limits = Limits {
        cpu: Duration::from_mins(1),
        ..soon_over()
    };
    assert_refused(&attack("spin", limits).await, Refusal::WallClock);
}

#[tokio::test]
async fn an_endless_loop_through_the_host_ends_like_any_other() {
    for text in ["ask-the-time", "read-without-end key"] {
        let attack = attack(text, soon_over()).await;
        let ended = &attack.ended.result;
        assert!(
            matches!(
                ended,
                Err(PassError::Refused(Refusal::CpuTime | Refusal::WallClock))
            ),
            "{text}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn an_endless_allocation_ends_at_the_memory_limit() {
    let attack = attack("allocate", tight()).await;
    assert_refused(&attack, Refusal::Memory);
    let peak = attack.ended.usage.guest_peak_bytes;
    assert!(peak > 8 << 20 && peak <= tight().memory, "{peak}");
}

#[tokio::test]
async fn a_deep_recursion_ends_with_the_stack() {
    assert_refused(&attack("recurse", tight()).await, Refusal::Stack);
}

#[tokio::test]
async fn a_deep_recursion_with_buffers_ends_below_the_guests_own_stack() {
    assert_refused(&attack("recurse-buffers", tight()).await, Refusal::OutOfBounds);
}

#[tokio::test]
async fn a_write_to_nowhere_ends_there() {
    assert_refused(&attack("stray", tight()).await, Refusal::OutOfBounds);
}

#[tokio::test]
async fn a_log_flood_is_cut_and_said_to_be() {
    let attack = attack("log-flood 3000 9000", Limits::default()).await;
    assert_eq!(said(&attack.ended), "logged");
    let lines = attack.world.lines.0.lock().unwrap();
    assert_eq!(lines.len(), 1_000);
    assert!(lines.iter().all(|line| line.message.len() <= 4 << 10));
    let last = lines.last().unwrap();
    assert_eq!(last.severity, Severity::Warning);
    assert!(last.message.contains("suppressed"));
}

#[tokio::test]
async fn a_log_flood_without_end_ends_with_its_time() {
    let attack = attack("log-flood 4000000000 100", soon_over()).await;
    let ended = &attack.ended.result;
    assert!(
        matches!(
            ended,
            Err(PassError::Refused(Refusal::CpuTime | Refusal::WallClock))
        ),
        "{ended:?}"
    );
    assert_eq!(attack.world.lines.0.lock().unwrap().len(), 1_000);
}

#[tokio::test]
async fn hoarded_streams_end_at_the_limit_of_handles() {
    assert_refused(&attack("hoard-streams", tight()).await, Refusal::Handles);
}

#[tokio::test]
async fn hoarded_waits_end_at_the_limit_of_handles() {
    assert_refused(&attack("hoard-waits", tight()).await, Refusal::Handles);
}

#[tokio::test]
async fn hoarded_requests_end_at_the_limit_of_requests() {
    let attack = attack("hoard-requests 1000 https://mail.example/hang", tight()).await;
    assert_denied(
        &attack,
        "10 begun, then Failure { kind: FailureKind::Denied(Denial::RequestLimit)",
    );
    assert_eq!(attack.world.net.sent.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn too_much_data_in_one_call_is_refused_before_the_host_has_copied_it() {
    let limits = Limits {
        call_data: 1 << 20,
        ..tight()
    };
    let attack = attack("post 4000000 https://mail.example/", limits).await;
    assert_refused(&attack, Refusal::CallData);
    assert!(attack.world.net.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_hung_import_ends_at_the_wall_clock_and_is_no_cpu_time() {
    for text in ["hang", "http https://mail.example/hang"] {
        let attack = attack(text, soon_over()).await;
        assert_refused(&attack, Refusal::WallClock);
        assert!(
            attack.ended.usage.cpu < Duration::from_millis(150),
            "{:?}",
            attack.ended.usage
        );
    }
}

#[tokio::test]
async fn a_redirect_to_a_metadata_address_is_an_answer_and_following_it_is_refused() {
    let by_address = attack("follow https://mail.example/redirect", tight()).await;
    assert_denied(&by_address, "Denied(Denial::Manifest)");
    let by_name = attack("follow https://mail.example/redirect-inside", tight()).await;
    assert_denied(&by_name, "Denied(Denial::Address)");
    for attack in [by_address, by_name] {
        let sent = attack.world.net.sent.lock().unwrap();
        let addresses: Vec<_> = sent.iter().flat_map(|sent| sent.addresses.clone()).collect();
        assert_eq!(addresses, ["93.184.216.34:443"], "{sent:?}");
    }
}

#[tokio::test]
async fn an_origin_that_is_not_granted_is_refused_whatever_it_is_called() {
    for (url, denial) in [
        ("https://evil.example/", "Manifest"),
        ("http://mail.example/", "Manifest"),
        ("https://mail.example:8443/", "Manifest"),
        ("https://mail.example.evil.example/", "Manifest"),
        ("https://169.254.169.254/", "Manifest"),
        ("https://other.example/", "HostGrant"),
        ("https://mail.example@evil.example/", "Malformed"),
        ("file:///etc/passwd", "Malformed"),
    ] {
        let attack = attack(&format!("http {url}"), tight()).await;
        assert_denied(&attack, &format!("Denied(Denial::{denial})"));
        assert!(attack.world.net.sent.lock().unwrap().is_empty(), "{url}");
    }
}

#[tokio::test]
async fn s33_another_tenants_key_is_a_key_of_ones_own_whatever_it_is_called() {
    for key in [
        "key",
        "ours-c/key",
        "../ours-c/key",
        "ours-c\0key",
        "ours/ours-c/key",
    ] {
        let read = attack(&format!("read {key}"), tight()).await;
        assert_eq!(said(&read.ended), "nothing", "{key}");
        // `attack` itself sees that the other tenant still reads what it wrote.
        let written = attack(&format!("store {key} stolen"), tight()).await;
        assert_eq!(said(&written.ended), "stored", "{key}");
    }
}

#[tokio::test]
async fn forged_header_fields_are_refused_in_any_spelling() {
    for (name, value) in [
        ("authorization", "Bearer stolen"),
        ("AUTHORIZATION", "Bearer stolen"),
        ("cookie", "session=1"),
        ("host", "evil.example"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("proxy-authorization", "Basic eA=="),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("x-a", "b\r\nauthorization: Bearer stolen"),
        ("x-a", "b\nhost: evil.example"),
        ("x-a", "b\r\n\r\nGET /other HTTP/1.1"),
        ("x-a\r\nhost", "evil.example"),
        ("host ", "evil.example"),
        ("", "x"),
    ] {
        let text = format!("forge {} {} https://mail.example/", hex(name), hex(value));
        let attack = attack(&text, tight()).await;
        assert_denied(&attack, "Denied(Denial::Header)");
        assert!(attack.world.net.sent.lock().unwrap().is_empty(), "{name:?}");
    }
}

#[tokio::test]
async fn a_request_repeated_for_a_401_is_a_request_of_the_budget() {
    let attack = attack("requests-mailbox 20 https://mail.example/401", tight()).await;
    assert_denied(
        &attack,
        "5: Failure { kind: FailureKind::Denied(Denial::RequestLimit)",
    );
    assert_eq!(attack.ended.usage.requests, 10);
    assert_eq!(attack.world.net.sent.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn all_of_them_at_once_harm_nobody() {
    let attacks = [
        "spin",
        "allocate",
        "recurse",
        "recurse-buffers",
        "panic",
        "hoard-streams",
        "ask-the-time",
    ];
    let running = attacks.map(|text| tokio::spawn(attack(text, soon_over())));
    for running in running {
        assert!(running.await.unwrap().ended.result.is_err());
    }
}

/// In hexadecimal, with a point at the end: commands are split at white space, and this is never nothing.
fn hex(text: &str) -> String {
    text.bytes()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
        + "."
}
