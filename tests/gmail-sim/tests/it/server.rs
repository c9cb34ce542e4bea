//! The simulator on a real socket.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gmail_sim::{Behaviour, Config, Fault, FaultKind, PushEndpoint, Server, Sim, TokenFlaw};
use reqwest::Client;
use serde_json::{Value, json};

const ANNA: &str = "anna@acme.test";

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

async fn start() -> (Sim, Server, String) {
    let sim = Sim::new(Config::default());
    sim.create_user(ANNA, "Anna");
    let server = Server::start(sim.clone()).await.unwrap();
    let token = sim
        .issue_token(ANNA, &["https://mail.google.com/"])
        .unwrap()
        .access_token;
    (sim, server, token)
}

#[tokio::test]
async fn gmail_and_the_admin_api_answer_over_http() {
    let (_sim, server, token) = start().await;
    let (client, origin) = (client(), server.origin());
    let admin = |path: &str| format!("{origin}/sim/{path}");
    client
        .post(admin("users"))
        .json(&json!({"email": "ben@acme.test", "displayName": "Ben"}))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    let deliver = admin("deliver?mailbox=anna%40acme.test&key=1&at=1700000000000&label=INBOX");
    for _ in 0..2 {
        client
            .post(&deliver)
            .body("Subject: hello\n\nx")
            .send()
            .await
            .unwrap()
            .error_for_status()
            .unwrap();
    }
    let mailbox: Value = client
        .get(admin("mailboxes/anna%40acme.test"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(mailbox["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        (
            &mailbox["messages"][0]["subject"],
            &mailbox["messages"][0]["internalDate"]
        ),
        (&json!("hello"), &json!("1700000000000"))
    );
    let list = format!("{origin}/gmail/v1/users/me/messages");
    let listed: Value = client
        .get(&list)
        .bearer_auth(&token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(listed["messages"][0]["id"], mailbox["messages"][0]["id"]);
    let stats: Value = client
        .get(admin("stats"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&stats["requests"], &stats["by_method"]["messages.list"]),
        (&json!(1), &json!(1))
    );
    let changed: Value = client
        .put(admin("behaviour"))
        .json(&json!({"rewrite_message_id": false}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&changed["rewrite_message_id"], &changed["rewrite_from"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        client
            .put(admin("behaviour"))
            .json(&json!({"nonsense": 1}))
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    client
        .post(admin("expire-history"))
        .json(&json!({"email": ANNA}))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    let tokens: Value = client
        .post(admin("tokens"))
        .json(&json!({"email": ANNA, "scope": "https://mail.google.com/"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        client
            .get(&list)
            .bearer_auth(tokens["access_token"].as_str().unwrap())
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(client.get(admin("nothing")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_dropped_request_breaks_the_connection_after_its_effect() {
    let (sim, server, token) = start().await;
    sim.inject(Fault::next("labels.create", FaultKind::DropAfter));
    let url = format!("{}/gmail/v1/users/me/labels", server.origin());
    let sent = client()
        .post(&url)
        .bearer_auth(&token)
        .json(&json!({"name": "n"}))
        .send()
        .await;
    let cut = match sent {
        Err(_) => true,
        Ok(response) => response.bytes().await.is_err(),
    };
    assert!(cut);
    let again = client()
        .post(&url)
        .bearer_auth(&token)
        .json(&json!({"name": "n"}))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 409);
}

#[tokio::test]
async fn requests_beyond_the_concurrency_cap_are_refused() {
    let (sim, server, token) = start().await;
    sim.set_behaviour(|behaviour| {
        behaviour.latency_ms = 300;
        behaviour.concurrent_requests = Some(1);
    });
    let url = format!("{}/gmail/v1/users/me/profile", server.origin());
    let get = || async {
        client()
            .get(&url)
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let (one, two) = tokio::join!(get(), get());
    assert_eq!([one.min(two), one.max(two)], [200, 429]);
    assert_eq!(get().await, 200);
}

type Seen = Arc<Mutex<Vec<(String, Value)>>>;

async fn receive(
    State(seen): State<Seen>,
    headers: HeaderMap,
    body: axum::Json<Value>,
) -> axum::http::StatusCode {
    let mut seen = seen.lock().unwrap();
    let token = headers["authorization"].to_str().unwrap().to_owned();
    seen.push((token, body.0));
    if seen.len() == 1 {
        axum::http::StatusCode::SERVICE_UNAVAILABLE
    } else {
        axum::http::StatusCode::NO_CONTENT
    }
}

/// A subscriber that refuses the first push and takes the others, the simulator that pushes to it, and a mailbox that is
/// watched.
async fn subscribed(change: impl FnOnce(&mut Behaviour)) -> (Sim, Server, Seen) {
    let (sim, server, token) = start().await;
    sim.set_behaviour(change);
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/push", post(receive))
        .with_state(seen.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    sim.set_push(Some(PushEndpoint {
        url,
        audience: "aud".into(),
        service_account: "push@p.test".into(),
        subscription: "projects/p/subscriptions/s".into(),
    }));
    let watch = format!("{}/gmail/v1/users/me/watch", server.origin());
    client()
        .post(watch)
        .bearer_auth(&token)
        .json(&json!({"topicName": "projects/p/topics/t"}))
        .send()
        .await
        .unwrap();
    (sim, server, seen)
}

async fn pushed(seen: &Seen, count: usize) -> Vec<(String, Value)> {
    for _ in 0..200 {
        if seen.lock().unwrap().len() >= count {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    seen.lock().unwrap().clone()
}

#[tokio::test]
async fn pushes_are_posted_with_a_token_until_they_are_accepted() {
    let (_sim, _server, seen) = subscribed(|_| {}).await;
    let seen = pushed(&seen, 2).await;
    assert_eq!(seen.len(), 2);
    assert_eq!(
        seen[0].1["message"]["messageId"],
        seen[1].1["message"]["messageId"]
    );
    assert!(seen[0].0.starts_with("Bearer eyJ"));
}

#[tokio::test]
async fn forged_pushes_carry_their_flaw_and_are_followed_by_the_true_one() {
    let (sim, _server, seen) = subscribed(|behaviour| {
        behaviour.push_forged = Some(TokenFlaw::Expired);
    })
    .await;
    let all = pushed(&seen, 3).await;
    let expiry = |(bearer, _): &(String, Value)| {
        let claims = bearer.split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims["exp"].as_i64().unwrap() * 1000
    };
    let now = sim.now_ms();
    let expired = all.iter().filter(|push| expiry(push) < now).count();
    assert_eq!((expired, all.len()), (2, 3), "the forged one is refused once");
}

#[tokio::test]
async fn a_push_that_is_late_needs_no_other_to_wake_its_delivery() {
    let (sim, _server, seen) = subscribed(|behaviour| {
        behaviour.push_delay_ms = 300;
    })
    .await;
    assert!(sim.next_due_ms().is_some());
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(pushed(&seen, 2).await.len(), 2);
}
