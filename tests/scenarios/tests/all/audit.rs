//! T03: audits as people and the schedule ask for them.

use std::time::Duration;

use gmail_sim::{FaultKind, Table};
use scenarios::{ANN, QuotaRule, Setup, World};
use twinbox_host::{
    HostError,
    contract::{AuditMode, Problem},
    schedule::{AuditSchedule, Auditing},
};

const DAY: u64 = 24 * 3_600_000;

#[tokio::test]
async fn t03_what_has_just_arrived_is_not_missing() {
    let world = World::connected().await;
    world.mail().subject("Before").arrives();
    let mail = world.mail().subject("Between pass and list");
    let raw = mail.raw();
    let gmail = world.mailbox(ANN);
    // It is sent while the audit is at it: the list has it, the ledger not yet.
    world.before_request("q=after", async move {
        gmail.send(&raw).await;
    });
    let report = world.check(AuditMode::ReportOnly, Duration::ZERO).await.unwrap();
    assert_eq!((report.missing.len(), report.delivered, report.healed), (0, 2, 0));
    let kept = world.audits().await;
    assert_eq!(kept.len(), 1);
    let findings = kept[0].result.as_ref().unwrap();
    assert_eq!(findings.summary(), "2 delivered, 0 excluded, nothing missing");
    assert_eq!(kept[0].at, world.now());
}

#[tokio::test]
async fn t03_what_history_does_not_tell_is_reported_healed_and_written_down() {
    let setup = Setup::default().behaviour(|gmail| gmail.history_lag_ms = 3_600_000);
    let mut world = setup.connected().await;
    let mail = world.mail().subject("Overlooked").arrives();
    world.mail().from("stranger@x.example").arrives();
    let report = world.check(AuditMode::ReportOnly, Duration::ZERO).await.unwrap();
    assert!(
        report.missing.contains(&mail.id) && report.missing.len() == 2,
        "{report:?}"
    );
    let healed = world.check(AuditMode::Heal, Duration::ZERO).await.unwrap();
    assert_eq!((healed.healed, healed.missing.len()), (2, 0));
    assert_eq!(world.subjects(ANN).await, ["Overlooked"]);
    world.restart().await;
    let kept = world.audits().await;
    let missing: Vec<u32> = kept
        .iter()
        .map(|audited| audited.result.as_ref().unwrap().missing)
        .collect();
    assert_eq!(missing, [0, 2]);
    let standing = world.host().parts().audits.standings().await.unwrap();
    assert_eq!(standing.values().next().unwrap().healed, 2);
}

#[tokio::test]
async fn t03_s04_mail_from_shortly_before_the_connection_is_not_missing() {
    let mut world = Setup::default().unconnected().await;
    world.mail().subject("Minutes before").arrives();
    world.tick(120_000);
    world.mail().subject("Seconds before").arrives();
    world.tick(5_000);
    world.connect().await.unwrap();
    world.mail().subject("After").arrives();
    for mode in [AuditMode::ReportOnly, AuditMode::Heal] {
        let report = world.check(mode, Duration::ZERO).await.unwrap();
        assert_eq!((report.missing.len(), report.healed), (0, 0), "{mode:?}");
    }
    assert_eq!(world.subjects(ANN).await, ["After"]);
}

#[tokio::test]
async fn t03_more_than_a_minute_allows_is_healed_bit_by_bit() {
    let setup = Setup::default()
        .quota(QuotaRule::Enforced(Table::New))
        .behaviour(|gmail| gmail.history_lag_ms = 10 * 3_600_000);
    let world = setup.connected().await;
    for number in 0..250 {
        world.mail().subject(&number.to_string()).arrives();
    }
    let mut healed = 0;
    let mut audits = 0;
    while healed < 250 {
        let report = world.check(AuditMode::Heal, Duration::ZERO).await.unwrap();
        assert_eq!(
            report.healed as usize + report.missing.len(),
            250 - healed,
            "{audits}"
        );
        healed += report.healed as usize;
        audits += 1;
        assert!(audits < 20, "{healed}");
        world.tick(61_000);
    }
    assert!(audits > 1, "a minute is enough");
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t03_an_audit_waits_for_the_pass_that_is_under_way_or_says_so() {
    let world = World::connected().await;
    let id = world.connection_row().await.scope.connection;
    let store = &world.host().parts().store;
    let now = world.now();
    store.acquire(&id, now, now + 5_000).await.unwrap().unwrap();
    let busy = world.check(AuditMode::Heal, Duration::from_secs(1)).await;
    assert!(matches!(busy, Err(HostError::Busy)), "{busy:?}");
    assert_eq!(world.audits().await, []);
    // It gets the lease when the other one's has ended.
    world
        .check(AuditMode::Heal, Duration::from_mins(1))
        .await
        .unwrap();
    assert_eq!(world.audits().await.len(), 1);
}

#[tokio::test]
async fn t03_an_audit_that_failed_is_written_down_with_its_problem() {
    let world = World::connected().await;
    world.fault("messages.list", FaultKind::RetryAfter(3_600_000));
    let failed = world.check(AuditMode::Heal, Duration::ZERO).await;
    let Err(HostError::Refused(problem @ Problem::RateLimited(_))) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(world.audits().await[0].result, Err(problem));
}

#[tokio::test]
async fn t03_the_daily_audit_comes_at_its_time_and_heals() {
    let setup = Setup::default().behaviour(|gmail| gmail.history_lag_ms = 30 * 3_600_000);
    let world = setup.connected().await;
    world.mail().subject("Overlooked").arrives();
    world.tick(DAY);
    // Every connection's time of day is half a second from now.
    let auditing = Auditing {
        begins: Duration::from_millis((world.now() + 500) % DAY),
        spread: Duration::from_millis(1),
        ..Auditing::default()
    };
    let schedule = AuditSchedule::start(world.host().clone(), auditing);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.audits().await, []);
    world.tick(1_000);
    let mut looks = 0;
    while world.audits().await.is_empty() {
        looks += 1;
        assert!(looks < 600, "the audit does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.subjects(ANN).await, ["Overlooked"]);
    assert_eq!(world.audits().await[0].result.as_ref().unwrap().healed, 1);
    // Once is enough for the day.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.audits().await.len(), 1);
    drop(schedule);
}
