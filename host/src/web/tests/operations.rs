//! The page of those who run it.

use super::*;
use crate::contract::Outcome;

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
    let mut zoe = office.signed_in("zoe@example.com").await;
    assert_eq!(zoe.get("/operations").await.status, StatusCode::OK);
    assert!(zoe.get("/settings").await.text.contains("/operations"));
}
