use super::*;
use crate::{
    audit::{Audited, Findings},
    scope::{Scope, TenantId, UserId},
};

/// 2026-03-01T00:00:00Z.
const MIDNIGHT: u64 = 1_772_323_200_000;

fn rule(auditing: Auditing) -> Rule {
    Rule {
        auditing,
        started_at: MIDNIGHT - 30 * DAY,
    }
}

fn connection(id: &str) -> Connection {
    serde_json::from_value(serde_json::json!({
        "scope": Scope {
            tenant: TenantId::new("t"),
            user: UserId::new("u"),
            connection: ConnectionId::new(id),
            account: "a".into(),
        },
        "address": "me@x.example",
        "status": "active",
        "settings": "",
        "created_at": MIDNIGHT,
        "last_run_at": null,
        "next_run_at": null,
        "failures": 0,
        "problem": null,
    }))
    .unwrap()
}

fn found(at: u64, missing: u32) -> AuditStanding {
    let findings = Findings {
        missing,
        ..Findings::default()
    };
    AuditStanding::default().after(&Audited {
        at,
        result: Ok(findings),
    })
}

fn failed(at: u64, times: u32, problem: &Problem) -> AuditStanding {
    (0..times).fold(AuditStanding::default(), |standing, _| {
        standing.after(&Audited {
            at,
            result: Err(problem.clone()),
        })
    })
}

#[test]
fn t03_each_connection_is_audited_once_a_day_at_a_time_of_its_own() {
    let rule = rule(Auditing::default());
    let connection = connection("c1");
    let mut at = rule.due_at(&connection, None).unwrap();
    assert!((MIDNIGHT + DAY / 2..MIDNIGHT + 3 * DAY / 2).contains(&at));
    for _ in 0..5 {
        // However long the audit took.
        let next = rule.due_at(&connection, Some(&found(at + HOUR, 0))).unwrap();
        assert_eq!(next, at + DAY);
        at = next;
    }
}

#[test]
fn t03_audits_are_spread_over_the_day_or_over_the_hours_that_are_configured() {
    let spread = |auditing| {
        let rule = rule(auditing);
        let mut hours = [0; 24];
        for n in 0..2_400 {
            let due = rule.due_at(&connection(&format!("c{n:032x}")), None).unwrap();
            hours[usize::try_from(due % DAY / HOUR).unwrap()] += 1;
        }
        hours
    };
    let all_day = spread(Auditing::default());
    assert!(
        all_day.iter().all(|count| (50..200).contains(count)),
        "{all_day:?}"
    );
    let at_night = spread(Auditing {
        begins: Duration::from_millis(22 * HOUR),
        spread: Duration::from_millis(4 * HOUR),
        ..Auditing::default()
    });
    assert!(at_night[2..22].iter().all(|count| *count == 0), "{at_night:?}");
    assert!(at_night[22] > 0 && at_night[1] > 0, "{at_night:?}");
}

#[test]
fn t03_an_audit_that_somebody_asked_for_counts() {
    let rule = rule(Auditing::default());
    let connection = connection("c1");
    let due = rule.due_at(&connection, None).unwrap();
    let asked_for = found(due - HOUR, 0);
    assert_eq!(rule.due_at(&connection, Some(&asked_for)), Some(due + DAY));
}

#[test]
fn t03_after_a_restart_what_was_missed_is_made_up_for_but_not_all_at_once() {
    let rule = Rule {
        auditing: Auditing::default(),
        started_at: MIDNIGHT + 10 * DAY,
    };
    let due: HashSet<u64> = (0..100)
        .map(|n| rule.due_at(&connection(&format!("c{n:032x}")), None).unwrap())
        .collect();
    assert!(due.len() > 90);
    assert!(
        due.iter()
            .all(|at| (rule.started_at..rule.started_at + CATCHING_UP).contains(at))
    );
}

#[test]
fn t03_an_audit_that_failed_is_tried_again_ever_later() {
    let rule = rule(Auditing::default());
    let due = |times, problem: &Problem| {
        let standing = failed(MIDNIGHT, times, problem);
        rule.due_at(&connection("c1"), Some(&standing)).unwrap() - MIDNIGHT
    };
    let down = Problem::ProviderUnavailable("down".into());
    assert_eq!(due(1, &down), 600_000);
    assert_eq!(due(2, &down), 1_200_000);
    assert_eq!(due(50, &down), LONGEST_BACKOFF);
    assert_eq!(due(1, &Problem::RateLimited(MIDNIGHT + 3 * HOUR)), 3 * HOUR);
}

#[test]
fn t03_what_could_not_be_healed_at_once_is_healed_sooner_than_tomorrow() {
    let connection = connection("c1");
    let due = rule(Auditing::default()).due_at(&connection, None).unwrap();
    let heals = rule(Auditing::default()).due_at(&connection, Some(&found(due, 5)));
    assert_eq!(heals, Some(due + HEAL_AGAIN));
    let only_reports = rule(Auditing {
        mode: AuditMode::ReportOnly,
        ..Auditing::default()
    });
    assert_eq!(
        only_reports.due_at(&connection, Some(&found(due, 5))),
        Some(due + DAY)
    );
}

#[test]
fn t03_a_connection_that_does_not_sync_is_not_audited() {
    let rule = rule(Auditing::default());
    let mut connection = connection("c1");
    connection.problem = Some(Problem::RateLimited(MIDNIGHT));
    assert_eq!(rule.due_at(&connection, None), None);
    connection.problem = None;
    for status in [ConnectionStatus::Disconnected, ConnectionStatus::NeedsReconnect] {
        connection.status = status;
        assert_eq!(rule.due_at(&connection, None), None);
    }
}
