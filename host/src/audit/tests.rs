use super::*;
use crate::{
    contract::{Quarantined, RuleCount},
    sqlite::Database,
};

fn report(missing: &[&str], healed: u32) -> AuditReport {
    let rule = |rule: &str, count| RuleCount {
        rule: rule.into(),
        count,
    };
    AuditReport {
        listed: 1_003,
        delivered: 587,
        excluded: vec![rule("S10", 400), rule("spam", 13)],
        gone: 2,
        quarantined: vec![Quarantined {
            id: "q".into(),
            reason: "no".into(),
        }],
        missing: missing.iter().map(|&id| id.to_owned()).collect(),
        healed,
    }
}

fn found(at: u64, missing: &[&str], healed: u32) -> Audited {
    let findings = Findings::from(&report(missing, healed));
    Audited {
        at,
        result: Ok(findings),
    }
}

fn failed(at: u64) -> Audited {
    Audited {
        at,
        result: Err(Problem::RateLimited(at + 1)),
    }
}

fn both() -> [Box<dyn AuditLog>; 2] {
    let sqlite = SqliteAudits::new(Database::in_memory().unwrap()).unwrap();
    [Box::new(sqlite), Box::new(MemoryAudits::default())]
}

#[test]
fn t03_a_summary_says_what_became_of_all_and_whether_anything_is_missing() {
    let findings = Findings::from(&report(&[], 0));
    assert_eq!(
        findings.summary(),
        "587 delivered, 413 excluded, 2 gone, 1 quarantined, nothing missing"
    );
    let findings = Findings::from(&report(&["a", "b"], 3));
    assert!(findings.summary().ends_with("3 healed, 2 missing"));
}

#[tokio::test]
async fn t03_a_failure_does_not_hide_what_the_last_good_audit_found() {
    for log in both() {
        let id = ConnectionId::new("c");
        for audited in [
            found(1_000, &["a"], 2),
            found(2_000, &[], 1),
            failed(3_000),
            failed(4_000),
        ] {
            log.add(&id, &audited).await.unwrap();
        }
        let standing = log.standings().await.unwrap().remove(&id).unwrap();
        let (at, findings) = standing.last.unwrap();
        assert_eq!((at, findings.missing), (2_000, 0));
        assert_eq!(
            (standing.tried_at, standing.failures, standing.healed),
            (4_000, 2, 3)
        );
        assert_eq!(standing.problem, Some(Problem::RateLimited(4_001)));

        log.add(&id, &found(5_000, &[], 0)).await.unwrap();
        let standing = log.standings().await.unwrap().remove(&id).unwrap();
        assert_eq!(
            (standing.failures, standing.problem, standing.healed),
            (0, None, 3)
        );
    }
}

#[tokio::test]
async fn t03_of_each_connection_the_latest_few_audits_are_kept() {
    for log in both() {
        let (busy, other) = (ConnectionId::new("busy"), ConnectionId::new("other"));
        log.add(&other, &failed(1)).await.unwrap();
        for at in 0..20 {
            log.add(&busy, &found(at, &[], 0)).await.unwrap();
        }
        let kept: Vec<u64> = log
            .latest(&busy)
            .await
            .unwrap()
            .iter()
            .map(|audited| audited.at)
            .collect();
        assert_eq!(kept, (6..20).rev().collect::<Vec<_>>());
        assert_eq!(log.latest(&other).await.unwrap(), [failed(1)]);
        assert_eq!(log.latest(&ConnectionId::new("none")).await.unwrap(), []);
    }
}

#[tokio::test]
async fn t03_what_was_found_outlives_the_process() {
    let database = Database::in_memory().unwrap();
    let id = ConnectionId::new("c");
    let before = SqliteAudits::new(database.clone()).unwrap();
    before.add(&id, &found(1_000, &["a"], 0)).await.unwrap();
    drop(before);
    let after = SqliteAudits::new(database).unwrap();
    assert_eq!(after.latest(&id).await.unwrap(), [found(1_000, &["a"], 0)]);
}
