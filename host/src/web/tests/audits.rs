use super::*;
use crate::audit::{AuditStanding, Audited, Findings};

const HOUR: u64 = 3_600_000;

fn found(missing: u32, healed: u32) -> AuditStanding {
    let findings = Findings {
        listed: 1_000,
        delivered: 587,
        excluded: [("S10".to_owned(), 413)].into(),
        missing,
        healed,
        ..Findings::default()
    };
    AuditStanding::default().after(&Audited {
        at: NOW - 2 * HOUR,
        result: Ok(findings),
    })
}

impl Site {
    fn audited(&self, connection: &str, standing: AuditStanding) {
        let mut audits = self.links.audits.lock().unwrap();
        audits.insert(ConnectionId::new(connection), standing);
    }
}

#[tokio::test]
async fn t03_the_settings_say_what_the_last_check_found() {
    let site = Site::new().await;
    assert!(site.get("/settings").await.text.contains("Not checked yet."));
    site.audited("c", found(0, 0));
    let page = site.get("/settings").await.text;
    assert!(
        page.contains("Last check <time datetime=\"2026-03-01T07:30:00Z\">"),
        "{page}"
    );
    assert!(
        page.contains(": 587 delivered, 413 excluded, nothing missing."),
        "{page}"
    );
}

#[tokio::test]
async fn t03_the_settings_say_why_the_last_check_failed_and_what_the_one_before_found() {
    let site = Site::new().await;
    let failed = Audited {
        at: NOW - HOUR,
        result: Err(Problem::ProviderUnavailable("<down>".into())),
    };
    site.audited("c", found(2, 0).after(&failed));
    let page = site.get("/settings").await.text;
    assert!(page.contains("413 excluded, 2 missing."), "{page}");
    assert!(
        page.contains("The check <time datetime=\"2026-03-01T08:30:00Z\">"),
        "{page}"
    );
    assert!(page.contains("&lt;down&gt;"), "{page}");
}

#[tokio::test]
async fn t03_metrics_tell_of_audits_and_passes_by_connection_id_alone() {
    let site = Site::new().await;
    site.audited("c", found(2, 3));
    {
        let mut list = site.links.list.lock().unwrap();
        list[0].last_run_at = Some(NOW - 12_000);
        let mut waiting = connection("t", "bea", "c\"2");
        waiting.status = ConnectionStatus::NeedsReconnect;
        waiting.failures = 4;
        waiting.last_run_at = None;
        let mut ended = connection("t", "ann", "c3");
        ended.status = ConnectionStatus::Disconnected;
        list.extend([waiting, ended]);
    }
    let answer = site.get("/metrics").await;
    assert_eq!(
        answer.header(header::CONTENT_TYPE),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        "twinbox_connection_active{connection=\"c\"} 1",
        "twinbox_connection_active{connection=\"c\\\"2\"} 0",
        "twinbox_connection_failures{connection=\"c\\\"2\"} 4",
        "twinbox_connection_pass_age_seconds{connection=\"c\"} 12",
        "# TYPE twinbox_audit_missing gauge",
        "twinbox_audit_missing{connection=\"c\"} 2",
        "twinbox_audit_age_seconds{connection=\"c\"} 7200",
        "twinbox_audit_failures{connection=\"c\"} 0",
        "# TYPE twinbox_audit_healed_total counter",
        "twinbox_audit_healed_total{connection=\"c\"} 3",
        "twinbox_audit_healed_total{connection=\"c\\\"2\"} 0",
    ] {
        assert!(
            answer.text.lines().any(|found| found == line),
            "{line}\n{}",
            answer.text
        );
    }
    for absent in ["@", "c3", "ann", "twinbox_audit_missing{connection=\"c\\\"2\"}"] {
        assert!(!answer.text.contains(absent), "{absent}");
    }
}

#[tokio::test]
async fn metrics_are_not_for_other_names() {
    let site = Site::new().await;
    let asked = Request::builder()
        .uri("/metrics")
        .header(header::HOST, "evil.example");
    let answer = site.request(asked, Body::empty()).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(!answer.text.contains("twinbox_"));
}
