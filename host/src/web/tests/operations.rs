//! The page of those who run it.

use super::*;
use crate::{contract::Outcome, store::Used};

#[tokio::test]
async fn connections_are_shown_with_their_trouble_and_what_to_do() {
    let site = Site::new().await;
    {
        let mut list = site.links.list.lock().unwrap();
        list[0].failures = 3;
        list[0].problem = Some(Problem::ProviderUnavailable("503".into()));
        list[0].last_run_at = Some(NOW - 3 * 60_000);
    }
    let page = site.get("/operations").await.text;
    for said in [
        "ann@example.com",
        "Failing",
        "3 min ago",
        "provider-unavailable",
        "Not checked yet",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    site.post("/operations/audit", &[("connection", "c")]).await;
    assert_eq!(*site.links.audited.lock().unwrap(), [ConnectionId::new("c")]);
    site.post("/operations/retry", &[("connection", "c")]).await;
    let woken = site.links.woken.lock().unwrap().clone();
    assert_eq!(woken, [(ConnectionId::new("c"), Trigger::Manual)]);
    let stranger = site.post("/operations/retry", &[("connection", "z")]).await;
    assert_eq!(stranger.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_mail_of_the_last_day_is_drawn_and_stands_in_a_table() {
    let site = Site::new().await;
    for (key, ago) in [
        ("k1", 1),
        ("k2", 3_600_000),
        ("k3", 3_600_001),
        ("old", 25 * 3_600_000),
    ] {
        let mail = Message {
            received_at: NOW - ago,
            ..message(key, &site.bob)
        };
        site.put(mail).await;
    }
    let sent = Message {
        direction: Direction::Outbound,
        received_at: NOW - 1,
        ..message("k4", &site.bob)
    };
    site.put(sent).await;
    let hours = site.crm.traffic(&TenantId::new("t"), NOW, 24).await.unwrap();
    let counts: Vec<_> = hours
        .iter()
        .rev()
        .take(3)
        .map(|hour| (hour.inbound, hour.outbound))
        .collect();
    assert_eq!(counts, [(2, 1), (1, 0), (0, 0)]);
    let page = site.get("/operations").await.text;
    assert!(page.contains("3 came, 1 went."), "{page}");
}

#[tokio::test]
async fn t02_the_ledger_is_searched_by_message_and_by_contact() {
    let site = Site::new().await;
    *site.links.explained.lock().unwrap() = vec![Explanation {
        id: "g7".into(),
        outcome: Outcome::Quarantined("broken".into()),
        rule: "T07".into(),
        inputs: Vec::new(),
        decided_at: NOW,
        version: "0.1.0".into(),
    }];
    let page = site.get("/operations?find=g7").await.text;
    assert!(
        page.contains("Set aside: broken") && page.contains("g7"),
        "{page}"
    );
    site.get("/operations?find=bob@example.com").await;
    let asked = site.links.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            Subject::Message("g7".into()),
            Subject::Contact("bob@example.com".into())
        ]
    );
}

#[tokio::test]
async fn operations_are_for_administrators_alone() {
    let office = signing_in::Office::new().await;
    let mut ann = office.signed_in("ann@example.com").await;
    let refused = ann.get("/operations").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("administrators-only"), "{}", refused.text);
    assert!(!ann.get("/settings").await.text.contains("/operations"));
    office
        .links
        .list
        .lock()
        .unwrap()
        .push(connection("t", "ann", "c"));
    for path in [
        "/operations/retry",
        "/operations/audit",
        "/operations/webhooks",
        "/operations/webhooks/ping",
        "/operations/webhooks/remove",
    ] {
        let fields = [("connection", "c"), ("url", "https://crm.example/")];
        let refused = ann.post("/contacts", path, &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert!(office.links.woken.lock().unwrap().is_empty());
    office.links.list.lock().unwrap().clear();
    let mut zoe = office.signed_in("zoe@example.com").await;
    assert_eq!(zoe.get("/operations").await.status, StatusCode::OK);
    assert!(zoe.get("/settings").await.text.contains("/operations"));
}

#[tokio::test]
async fn how_a_connection_stands_is_told_in_numbers() {
    let site = Site::new().await;
    {
        let mut list = site.links.list.lock().unwrap();
        list[0].standing = Standing {
            current_at: Some(NOW - 30_000),
            watched_until: Some(NOW + 6 * 24 * 3_600_000),
            used: Used {
                memory: 3 << 20,
                cpu: 12,
                wall: 340,
                requests: 5,
                units: 42,
            },
        };
    }
    let page = site.get("/operations").await.text;
    for said in [
        "Complete up to",
        "30 s ago",
        "in 6 days",
        "5 requests, 42 quota units",
        "Memory: 3.0 MiB",
        "Time inside the component: 0.012 s",
        "Time in all: 0.340 s",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let metrics = site.get("/metrics").await.text;
    assert!(
        metrics.contains("twinbox_connection_lag_seconds{connection=\"c\"} 30"),
        "{metrics}"
    );
    let watched = format!(
        "twinbox_connection_watch_seconds{{connection=\"c\"}} {}",
        6 * 24 * 3_600
    );
    assert!(metrics.contains(&watched), "{metrics}");
}

#[tokio::test]
async fn what_was_set_aside_is_listed_when_it_is_asked_for() {
    let site = Site::new().await;
    *site.links.explained.lock().unwrap() = vec![Explanation {
        id: "id-set-aside".into(),
        outcome: Outcome::Quarantined("its header never ends".into()),
        rule: String::new(),
        inputs: Vec::new(),
        decided_at: NOW,
        version: "0.1.0".into(),
    }];
    assert!(!site.get("/operations").await.text.contains("id-set-aside"));
    assert!(
        site.links.asked.lock().unwrap().is_empty(),
        "it runs the component"
    );
    let page = site.get("/operations?aside=c").await.text;
    assert!(
        page.contains("id-set-aside") && page.contains("its header never ends"),
        "{page}"
    );
    assert_eq!(*site.links.asked.lock().unwrap(), [Subject::Quarantined]);
}

#[tokio::test]
async fn a_webhook_is_made_its_secret_shown_once_and_it_is_removed() {
    let site = Site::new().await;
    let url = [("url", "https://crm.example/hook")];
    let made = site.post("/operations/webhooks", &url).await;
    assert!(made.text.contains("whsec_"), "{}", made.text);
    let page = site.get("/operations").await.text;
    assert!(
        page.contains("https://crm.example/hook") && page.contains("Nothing told yet"),
        "{page}"
    );
    assert!(!page.contains("whsec_"));
    let webhook = value_of(&page, "webhook");
    let pinged = site
        .post("/operations/webhooks/ping", &[("webhook", &webhook)])
        .await;
    assert_eq!(pinged.status, StatusCode::SEE_OTHER);
    assert!(site.get("/operations").await.text.contains("Events that wait"));
    site.post("/operations/webhooks/remove", &[("webhook", &webhook)])
        .await;
    assert!(!site.get("/operations").await.text.contains("crm.example"));
    let inside = site
        .post("/operations/webhooks", &[("url", "https://10.0.0.1/")])
        .await;
    assert_eq!(inside.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(inside.text.contains("public internet"), "{}", inside.text);
}
