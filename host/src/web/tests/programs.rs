//! What programs can do that pages do beside mail: explanations, privacy, contacts, operations, webhooks.

use super::{signing_in::Office, *};
use crate::contract::{Field, Outcome};
use serde_json::json;

/// An office where Ann and Zoe have a connection each.
async fn connected() -> Office {
    let office = Office::new().await;
    {
        let mut list = office.links.list.lock().unwrap();
        list.push(connection("t", "ann", "c"));
    }
    office
}

fn explanation(id: &str, outcome: Outcome, rule: &str) -> Explanation {
    Explanation {
        id: id.into(),
        outcome,
        rule: rule.into(),
        inputs: vec![Field {
            name: "sender".into(),
            value: "bob@example.com".into(),
        }],
        decided_at: NOW,
        version: "0.1.0".into(),
    }
}

#[tokio::test]
async fn t02_a_program_is_told_why_mail_is_here_or_not() {
    let office = connected().await;
    *office.links.explained.lock().unwrap() = vec![
        explanation("g1", Outcome::Delivered("7".into()), "S10"),
        explanation("g2", Outcome::Quarantined("broken".into()), ""),
    ];
    let ann = office.program("ann@example.com").await;
    let (status, said) = ann
        .get("/connections/c/explanations?subject=bob@example.com")
        .await;
    assert_eq!(status, StatusCode::OK);
    let [one, two] = said["explanations"].as_array().unwrap().as_slice() else {
        panic!("{said}");
    };
    assert_eq!(
        (&one["fate"], &one["contact"], &one["rule"]),
        (&json!("delivered"), &json!("7"), &json!("S10"))
    );
    assert_eq!(
        one["inputs"][0],
        json!({"name": "sender", "value": "bob@example.com"})
    );
    assert_eq!(
        (&two["fate"], &two["reason"]),
        (&json!("quarantined"), &json!("broken"))
    );
    assert_eq!(
        *office.links.asked.lock().unwrap(),
        [Subject::Contact("bob@example.com".into())]
    );
    // White space counts too: the document's limit is of the text as it was sent.
    let (long, blank) = ("x".repeat(1_001), format!("x{}", "%0D".repeat(1_000)));
    for wrong in [
        "subject=",
        "subject=%20",
        "x=1",
        &format!("subject={long}"),
        &format!("subject={blank}"),
    ] {
        let (status, _) = ann.get(&format!("/connections/c/explanations?{wrong}")).await;
        assert!(status.is_client_error(), "{wrong}: {status}");
    }
    let (status, _) = ann.get("/connections/z/explanations?subject=x").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn s16_a_program_is_told_which_of_contacts_with_one_address_gets_the_mail() {
    let office = connected().await;
    let ann = office.program("ann@example.com").await;
    let robert = NewContact {
        name: "Robert".into(),
        addresses: vec!["BOB@example.com".into(), "robert@x.example".into()],
        created_at: Some(u64::from(u32::MAX) * 1_000),
        ..NewContact::default()
    };
    let robert = office
        .crm
        .create_contact(&TenantId::new("t"), robert)
        .await
        .unwrap();
    let (_, robert) = ann.get(&format!("/contacts/{robert}")).await;
    let lost = json!([{"address": "BOB@example.com", "winner": office.bob}]);
    assert_eq!(robert["outranked"], lost);
    let (_, found) = ann.get("/contacts?find=robert").await;
    assert_eq!(found["entries"], json!([robert]));
    let (_, bob) = ann.get(&format!("/contacts/{}", office.bob)).await;
    assert_eq!(bob["outranked"], json!([]));
}

#[tokio::test]
async fn a_program_sees_what_the_pages_show_beside_mail() {
    let office = connected().await;
    let ann = office.program("ann@example.com").await;
    let (tenant, user) = (TenantId::new("t"), UserId::new("ann"));
    office.crm.create_user(&tenant, &user, "Ann").await.unwrap();
    let (_, users) = ann.get("/users").await;
    let ids: Vec<&str> = users["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|user| user["id"].as_str())
        .collect();
    assert!(ids.contains(&"ann"), "{users}");
    let (_, sends) = ann.get("/connections/c/sends").await;
    assert_eq!(sends["sent"], 0);
    let (_, choices) = ann.get("/connections/c/choices").await;
    assert_eq!(
        choices,
        json!({"google_contacts": false, "offered": ["google_contacts"]})
    );
    let path = format!("/conversations/{}/privacy", office.bob);
    ann.ask("PUT", &path, Some(json!({"private": true})), "").await;
    let (_, private) = ann.get("/contacts/private").await;
    assert_eq!(private["entries"][0]["id"], office.bob);
    let (status, _) = ann.post("/operations/connections/c/audit", json!({}), "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn t02_a_program_is_told_why_a_message_is_here() {
    let office = connected().await;
    let mail = Message {
        message_id: Some("<k1@example.com>".into()),
        ..message("k1", &office.bob)
    };
    let id = put(&office.crm, "t", mail).await;
    let bob = Outcome::Delivered(office.bob.clone());
    *office.links.explained.lock().unwrap() = vec![explanation("g1", bob, "S10")];
    let ann = office.program("ann@example.com").await;
    let (_, why) = ann.get(&format!("/messages/{id}/why")).await;
    assert_eq!(
        (&why["rule"], &why["explanation"]["id"]),
        (&json!("S10"), &json!("g1"))
    );
    let zoe = office.program("zoe@example.com").await;
    let (status, _) = zoe.get(&format!("/messages/{id}/why")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_webhooks_secret_is_told_once_and_kept_nowhere_else() {
    let office = connected().await;
    let zoe = office.program("zoe@example.com").await;
    let wanted = json!({"url": "https://hooks.example/in"});
    let (status, made) = zoe.post("/webhooks", wanted.clone(), "k").await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let (status, again) = zoe.post("/webhooks", wanted, "k").await;
    assert_eq!(
        (status, &again["code"]),
        (StatusCode::CONFLICT, &json!("request-done"))
    );
    let (_, all) = zoe.get("/webhooks").await;
    assert_eq!(all["webhooks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_program_holds_mail_back_and_lets_it_go() {
    let office = connected().await;
    let ann = office.program("ann@example.com").await;
    let mail = json!({"contact": office.bob, "text": "hi", "hold_seconds": 60, "kind": "one-to-one"});
    let (status, sent) = ann.post("/messages", mail, "key-of-sixteen-signs").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
    assert_eq!(
        (&sent["kind"], sent["held_until"].is_u64()),
        (&json!("one-to-one"), true)
    );
    let path = format!("/messages/{}", sent["id"].as_str().unwrap());
    let (status, _) = ann.post(&format!("{path}/send"), json!({}), "").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(ann.get(&path).await.1["held_until"], json!(null));
    let long = json!({"contact": office.bob, "text": "hi", "hold_seconds": 601});
    let (status, _) = ann.post("/messages", long, "another-key-of-signs").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn t06_a_program_previews_and_says_what_is_kept_out() {
    let office = connected().await;
    *office.links.explained.lock().unwrap() = vec![
        explanation("g1", Outcome::Delivered("7".into()), "S10"),
        explanation("g2", Outcome::Excluded("T06".into()), "T06"),
        explanation("g3", Outcome::Excluded("S10".into()), "S10"),
    ];
    let ann = office.program("ann@example.com").await;
    let (_, preview) = ann.get("/connections/c/preview?days=30&most=10").await;
    assert_eq!(preview["synced"], 1);
    assert_eq!(preview["excluded"], json!({"S10": 1, "T06": 1}));
    let range = PreviewRange {
        since: NOW - 30 * 24 * 3_600_000,
        most: 10,
    };
    assert_eq!(*office.links.asked.lock().unwrap(), [Subject::Preview(range)]);
    let (status, _) = ann.get("/connections/c/preview?most=101").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);

    let lists = json!({"never_sync": ["bank.example"], "own_addresses": ["me@home.example"]});
    let (status, kept) = ann.ask("PUT", "/connections/c/privacy", Some(lists), "").await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    let (_, read) = ann.get("/connections/c/privacy").await;
    assert_eq!(read, kept);
    assert_eq!(read["never_sync"], json!(["bank.example"]));
    assert_eq!(read["internal_domains"], json!(null));
    assert_eq!(read["assigned_users"], json!(null));
    let lists = json!({"never_sync": [], "assigned_users": "any"});
    let (_, kept) = ann.ask("PUT", "/connections/c/privacy", Some(lists), "").await;
    assert_eq!(kept["assigned_users"], "any");
    let lists = json!({"never_sync": [], "assigned_users": "tom"});
    let (status, _) = ann.ask("PUT", "/connections/c/privacy", Some(lists), "").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = ann.post("/connections/c/retract", json!({}), "").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(office.links.woken.lock().unwrap()[0].1, Trigger::Retract);

    let path = format!("/conversations/{}/privacy", office.bob);
    let (status, _) = ann.ask("PUT", &path, Some(json!({"private": true})), "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, bob) = ann.get(&format!("/contacts/{}", office.bob)).await;
    assert_eq!(bob["private"], true);
    let zoe = office.program("zoe@example.com").await;
    let (status, _) = zoe.ask("PUT", &path, Some(json!({"private": false})), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_program_imports_and_assigns_contacts_and_checks_a_domain() {
    let office = connected().await;
    let ann = office.program("ann@example.com").await;
    let file = "name,email\nCarl,carl@out.example\nBob,bob@example.com\nDora,nowhere\n";
    let (status, made) = ann
        .upload("/contacts/import", "text/csv; charset=utf-8", file)
        .await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!((&made["added"], &made["known"]), (&json!(1), &json!(1)));
    assert_eq!(
        made["refused"],
        json!([{"line": 4, "reason": "nowhere is not an address"}])
    );
    let (status, _) = ann.upload("/contacts/import", "application/json", "{}").await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let (tenant, user) = (TenantId::new("t"), UserId::new("ann"));
    office.crm.create_user(&tenant, &user, "Ann").await.unwrap();
    let path = format!("/contacts/{}/assigned-user", office.bob);
    let (_, bob) = ann.ask("PUT", &path, Some(json!({"user": "ann"})), "").await;
    assert_eq!(bob["assigned_user"], "ann");
    let (_, bob) = ann.ask("PUT", &path, Some(json!({})), "").await;
    assert_eq!(bob["assigned_user"], json!(null));
    let (status, _) = ann.ask("PUT", &path, Some(json!({"user": "nobody"})), "").await;
    assert!(status.is_client_error(), "{status}");

    let (status, report) = ann.get("/domains/example.com").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(report["domain"], "example.com");
    assert!(
        report["findings"]
            .as_array()
            .is_some_and(|found| !found.is_empty())
    );
    let (status, _) = ann.get("/domains/no%20domain").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn operations_and_webhooks_are_for_administrators_and_their_tenant_alone() {
    let office = Office::new().await;
    office
        .links
        .list
        .lock()
        .unwrap()
        .push(connection("other", "zoe", "z"));
    let (ann, zoe) = (
        office.program("ann@example.com").await,
        office.program("zoe@example.com").await,
    );
    for path in [
        "/operations",
        "/operations/traffic",
        "/operations/explanations?subject=x",
        "/operations/connections/z/set-aside",
        "/webhooks",
    ] {
        let (status, problem) = ann.get(path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(problem["code"], "administrators-only");
        assert_eq!(zoe.get(path).await.0, StatusCode::OK, "{path}");
    }
    let (status, _) = ann.post("/operations/connections/z/retry", json!({}), "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let url = json!({"url": "https://crm.example/hook"});
    assert_eq!(
        ann.post("/webhooks", url.clone(), "").await.0,
        StatusCode::FORBIDDEN
    );
    assert!(office.links.woken.lock().unwrap().is_empty());

    let (_, stands) = zoe.get("/operations").await;
    assert_eq!(stands["connections"][0]["connection"]["id"], "z");
    let (status, _) = zoe.post("/operations/connections/z/retry", json!({}), "").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (status, _) = zoe.post("/operations/connections/y/retry", json!({}), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (_, traffic) = zoe.get("/operations/traffic?hours=3").await;
    assert_eq!(traffic["hours"].as_array().map(Vec::len), Some(3));

    let (status, made) = zoe.post("/webhooks", url, "").await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert!(
        made["secret"]
            .as_str()
            .is_some_and(|secret| secret.starts_with("whsec_"))
    );
    let id = made["webhook"]["id"].as_str().unwrap();
    let (status, _) = zoe.post(&format!("/webhooks/{id}/ping"), json!({}), "").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (_, list) = zoe.get("/webhooks").await;
    assert_eq!(list["webhooks"][0]["waiting"], 1);
    assert!(!list.to_string().contains("whsec_"));
    let (status, _) = zoe
        .post("/webhooks", json!({"url": "https://192.168.0.1/"}), "")
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = zoe.ask("DELETE", &format!("/webhooks/{id}"), None, "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = zoe.ask("DELETE", &format!("/webhooks/{id}"), None, "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
