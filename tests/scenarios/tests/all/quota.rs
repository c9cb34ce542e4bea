//! What Gmail says about quota, what the host makes of it, and what of it outlives the process.

use gmail_sim::{Fault, FaultKind, Table};
use scenarios::{ANN, QuotaRule, Setup, World};
use twinbox_host::{
    HostError,
    contract::{AuditMode, Problem},
    crm::Delivery,
    quota::{Class, QuotaError},
};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Until when a pass said that it was asked to wait.
fn until(problem: Option<&Problem>) -> u64 {
    match problem {
        Some(Problem::RateLimited(until)) => *until,
        other => panic!("{other:?}"),
    }
}

/// The requests to Gmail's API since the last look.
fn calls(world: &World) -> Vec<String> {
    let mut requests = world.requests();
    requests.retain(|line| line.contains("/gmail/v1/"));
    requests
}

/// Midnight in California, or an hour after it.
fn end_of_googles_day(now: u64) -> u64 {
    ((now - 8 * HOUR) / DAY + 1) * DAY + 8 * HOUR
}

/// The mailbox is refused once in this way: nothing more is asked until then, and then the mail comes in.
async fn waits(kind: FaultKind, expected: impl Fn(u64) -> std::ops::RangeInclusive<u64>) {
    let world = World::connected().await;
    world.mail().subject("Hello").arrives();
    world.fault("history.list", kind);
    let asked_at = world.now();
    let refused = world.pass().await.unwrap().report;
    let until = until(refused.problem.as_ref());
    let expected = expected(asked_at);
    assert!(
        expected.contains(&until),
        "{kind:?}: {until} is not in {expected:?}"
    );
    assert_eq!(world.connection_row().await.next_run_at, Some(until), "{kind:?}");

    calls(&world);
    world.tick(until - world.now() - 31_000);
    let early = world.pass().await.unwrap().report;
    assert_eq!(early.problem, Some(Problem::RateLimited(until)), "{kind:?}");
    assert_eq!(calls(&world), Vec::<String>::new(), "{kind:?}");

    world.tick(until - world.now());
    world.settle().await;
    assert_eq!(world.subjects(ANN).await, ["Hello"], "{kind:?}");
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn a_wait_is_read_from_the_header_as_seconds_or_a_date() {
    waits(FaultKind::RetryAfterSeconds(600_000), |now| {
        now + 600_000..=now + 600_000
    })
    .await;
    waits(FaultKind::RetryAfterDate(600_000), |now| {
        now + 599_000..=now + 600_000
    })
    .await;
}

#[tokio::test]
async fn a_wait_is_read_from_the_text_and_never_ended_too_early() {
    // The milliseconds count: a request before the time would put it off.
    waits(FaultKind::RetryAfter(900_961), |now| {
        now + 900_961..=now + 901_961
    })
    .await;
}

#[tokio::test]
async fn a_spent_minute_or_too_many_requests_without_a_time_are_a_minute_whatever_the_words() {
    for kind in [
        FaultKind::UserQuota,
        FaultKind::ProjectQuota,
        FaultKind::RateForbidden,
        FaultKind::RateLimited,
        FaultKind::QuotaExceeded,
        FaultKind::QuotaTooMany,
        FaultKind::UserRateTooMany,
        FaultKind::ResourceExhausted,
    ] {
        waits(kind, |now| now + MINUTE..=now + MINUTE).await;
    }
}

#[tokio::test]
async fn a_spent_day_is_over_at_midnight_in_california() {
    waits(FaultKind::DailyLimit, |now| {
        end_of_googles_day(now)..=end_of_googles_day(now)
    })
    .await;
}

#[tokio::test]
async fn gmail_turned_off_by_an_administrator_is_no_matter_of_quota() {
    let world = World::connected().await;
    world.mail().subject("Hello").arrives();
    world.fault("history.list", FaultKind::DomainPolicy);
    let refused = world.pass().await.unwrap().report;
    assert!(
        matches!(refused.problem, Some(Problem::MailboxUnavailable(_))),
        "{refused:?}"
    );
    // Nothing bars the mailbox: when it is turned on again, it goes on.
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Hello"]);
}

#[tokio::test]
async fn too_many_concurrent_requests_lower_what_is_in_flight_for_this_mailbox_and_it_recovers() {
    let world = World::connected().await;
    let scope = world.connection_row().await.scope;
    let quota = world.host().parts().quota.clone();
    assert_eq!(quota.in_flight(&scope), 8);
    world.mail().subject("Hello").arrives();
    world.fault("history.list", FaultKind::Concurrent);
    assert!(world.pass().await.unwrap().report.problem.is_some());
    assert_eq!(quota.in_flight(&scope), 4);
    let mut other = scope.clone();
    other.account = "another".into();
    assert_eq!(quota.in_flight(&other), 8);
    world.tick(MINUTE);
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Hello"]);
    assert_eq!(quota.in_flight(&scope), 5);
    world.tick(3 * MINUTE);
    assert_eq!(quota.in_flight(&scope), 8);
}

#[tokio::test]
async fn a_mailbox_with_little_room_for_concurrent_requests_gets_everything() {
    let little = Setup::default().behaviour(|gmail| {
        gmail.concurrent_requests = Some(3);
        gmail.latency_ms = 5;
    });
    let world = little.connected().await;
    let subjects: Vec<String> = (0..40).map(|n| format!("Mail {n}")).collect();
    for subject in &subjects {
        world.mail().subject(subject).arrives();
    }
    world.settle().await;
    assert_eq!(world.subjects(ANN).await, subjects);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn a_limit_of_mail_sending_stops_sends_only() {
    for kind in [
        FaultKind::MailSending(3_600_000),
        FaultKind::SendingBlocked(3_600_000),
    ] {
        let world = World::connected().await;
        world.fault("drafts.send", kind);
        world.mail().subject("One").arrives();
        let letter = world.letter(ANN).await.subject("Late").queued().await;
        let began = world.now();
        let ran = world.pass().await.unwrap().report;
        assert_eq!(ran.problem, None, "{kind:?}");
        let Delivery::Deferred(deferral) = world.delivery(&letter).await else {
            panic!("{kind:?}: {:?}", world.delivery(&letter).await);
        };
        assert!(
            (began + HOUR..=began + HOUR + 5_000).contains(&deferral.until),
            "{kind:?}"
        );
        assert_eq!(world.subjects(ANN).await, ["One", "Late"], "{kind:?}");

        // Inbound goes on, and nothing is sent; a letter written meanwhile waits as well.
        world.tick(30 * MINUTE);
        world.mail().subject("Two").arrives();
        let second = world.letter(ANN).await.subject("Later").queued().await;
        calls(&world);
        assert_eq!(world.sync().await.report.problem, None, "{kind:?}");
        assert!(world.subjects(ANN).await.contains(&"Two".to_owned()), "{kind:?}");
        assert!(
            !calls(&world).iter().any(|line| line.contains("/drafts")),
            "{kind:?}"
        );
        assert_eq!(world.gmail().sent().len(), 0, "{kind:?}");

        world.tick(deferral.until - world.now() + 1_000);
        world.settle().await;
        for letter in [&letter, &second] {
            assert_eq!(world.delivery(letter).await, Delivery::Sent, "{kind:?}");
        }
        assert_eq!(world.mailbox(ANN).inbox().len(), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn a_penalty_survives_a_restart_of_the_host() {
    let mut world = World::connected().await;
    world.mail().subject("Hello").arrives();
    world.fault("history.list", FaultKind::RetryAfter(3_600_000));
    let refused = world.pass().await.unwrap().report;
    let until = until(refused.problem.as_ref());
    calls(&world);
    world.restart().await;
    world.tick(30 * MINUTE);
    let early = world.pass().await.unwrap().report;
    assert_eq!(early.problem, Some(Problem::RateLimited(until)));
    assert_eq!(calls(&world), Vec::<String>::new());
    world.tick(until - world.now());
    world.restart().await;
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Hello"]);
}

#[tokio::test]
async fn a_sending_penalty_survives_a_restart_of_the_host() {
    let mut world = World::connected().await;
    world.fault("drafts.send", FaultKind::MailSending(3_600_000));
    world.letter(ANN).await.subject("Late").queued().await;
    world.pass().await.unwrap();
    world.restart().await;
    world.letter(ANN).await.subject("Later").queued().await;
    world.mail().subject("Hello").arrives();
    calls(&world);
    assert_eq!(world.sync().await.report.problem, None);
    assert!(world.subjects(ANN).await.contains(&"Hello".to_owned()));
    assert!(!calls(&world).iter().any(|line| line.contains("/drafts")));
    world.tick(HOUR + MINUTE);
    world.settle().await;
    assert_eq!(world.gmail().sent().len(), 2);
}

#[tokio::test]
async fn the_projects_minute_is_kept_to_under_both_tables() {
    for (table, name) in [(Table::Old, "old"), (Table::New, "new")] {
        let world = Setup::default()
            .quota(QuotaRule::Enforced(table))
            .project_units(1_500)
            .settings(&format!(r#"{{"quota-table": "{name}"}}"#))
            .connected()
            .await;
        for number in 0..100 {
            world.mail().subject(&format!("Mail {number}")).arrives();
        }
        world.settle().await;
        let statuses = world.sim().stats().by_status;
        assert!(
            !statuses.contains_key(&403) && !statuses.contains_key(&429),
            "{name}: {statuses:?}"
        );
        assert_eq!(world.counts().await.messages, 100, "{name}");
    }
}

#[tokio::test]
async fn t03_an_audit_takes_turns_of_the_last_class() {
    let setup = Setup::default().quota(QuotaRule::Enforced(Table::New));
    let world = setup.connected().await;
    let parts = world.host().parts();
    let connection = world.connection_row().await;
    // More than half of the minute, less than what backfill leaves.
    let scope = &connection.scope;
    parts.quota.acquire(scope, 3_100, Class::Send).await.unwrap();
    parts.quota.acquire(scope, 1, Class::Backfill).await.unwrap();
    let turn = parts.quota.acquire(scope, 1, Class::Audit).await;
    assert!(matches!(turn, Err(QuotaError::WaitUntil(_))), "{turn:?}");
    let audit = world.host().audit(&scope.connection, AuditMode::ReportOnly).await;
    assert!(
        matches!(audit, Err(HostError::Refused(Problem::RateLimited(_)))),
        "{audit:?}"
    );
    world.mail().subject("Hello").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Hello"]);
    world.tick(2 * MINUTE);
    assert_eq!(world.audit(AuditMode::ReportOnly).await.missing.len(), 0);
}

#[tokio::test]
async fn every_refusal_over_quota_in_the_middle_of_much_mail_loses_and_doubles_nothing() {
    for kind in [
        FaultKind::RetryAfterSeconds(45_000),
        FaultKind::DailyLimit,
        FaultKind::ProjectQuota,
        FaultKind::ResourceExhausted,
        FaultKind::Blocked(900_000),
    ] {
        let world = World::connected().await;
        let subjects: Vec<String> = (0..30).map(|n| format!("Mail {n}")).collect();
        for subject in &subjects {
            world.mail().subject(subject).arrives();
        }
        world.sim().inject(Fault {
            skip: 20,
            times: 3,
            ..Fault::next("messages.get", kind)
        });
        world.sync().await;
        let row = world.connection_row().await;
        world.tick(row.next_run_at.unwrap().saturating_sub(world.now()));
        world.settle().await;
        assert_eq!(world.subjects(ANN).await, subjects, "{kind:?}");
        world.assert_all_accounted_for().await;
    }
}
