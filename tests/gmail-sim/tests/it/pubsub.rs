//! Pulling notifications, and the service account that may.

use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use gmail_sim::{Fault, FaultKind, PullSubscription, service_account_key};
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};
use serde_json::{Value, json};

use crate::world::{ANNA, World};

const NAME: &str = "projects/p/subscriptions/s";
const ROBOT: &str = "pull@p.iam.gserviceaccount.com";

/// A watched mailbox whose notifications wait to be pulled.
fn world() -> World {
    let world = World::new();
    world.sim.set_pull(Some(PullSubscription {
        name: NAME.into(),
        service_account: ROBOT.into(),
    }));
    world
        .post("watch", json!({"topicName": "projects/p/topics/t"}))
        .ok();
    world
}

fn send(world: &World, path: &str, kind: &str, bearer: Option<&str>, body: String) -> (u16, Value) {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://localhost{path}"))
        .header("content-type", kind);
    if let Some(token) = bearer {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = world.sim.handle(request.body(Bytes::from(body)).unwrap());
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(answer.body()).unwrap_or_default())
}

/// What the token endpoint answers to an assertion with these claims changed.
fn token(world: &World, email: &str, change: impl FnOnce(&mut Value)) -> (u16, Value) {
    let file: Value = serde_json::from_str(&service_account_key(email, "http://localhost")).unwrap();
    let key = RsaPrivateKey::from_pkcs8_pem(file["private_key"].as_str().unwrap()).unwrap();
    let now = world.sim.now_ms() / 1000;
    let mut claims = json!({"iss": file["client_email"], "aud": file["token_uri"], "iat": now, "exp": now + 3600,
        "scope": "https://www.googleapis.com/auth/pubsub"});
    change(&mut claims);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        part(&json!({"alg": "RS256", "typ": "JWT"})),
        part(&claims)
    );
    let signature = SigningKey::<Sha256>::new(key).sign(signed.as_bytes()).to_vec();
    let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let form =
        format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    send(world, "/token", "application/x-www-form-urlencoded", None, form)
}

fn bearer(world: &World, email: &str) -> String {
    let (status, answer) = token(world, email, |_| ());
    assert_eq!(status, 200, "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

fn call(world: &World, method: &str, bearer: Option<&str>, body: Value) -> (u16, Value) {
    let path = format!("/v1/{NAME}:{method}");
    send(world, &path, "application/json", bearer, body.to_string())
}

#[test]
fn what_is_not_acknowledged_comes_again_and_what_is_does_not() {
    let world = world();
    let bearer = bearer(&world, ROBOT);
    let pull = || call(&world, "pull", Some(&bearer), json!({"maxMessages": 10})).1;
    let first = pull();
    let message = &first["receivedMessages"][0]["message"];
    let data = STANDARD.decode(message["data"].as_str().unwrap()).unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(data["emailAddress"], ANNA);
    assert_eq!(pull(), json!({}), "it is handed out");
    world.advance(10_000);
    let again = pull();
    assert_eq!(
        again["receivedMessages"][0]["message"]["messageId"],
        message["messageId"]
    );
    assert_eq!(again["receivedMessages"][0]["deliveryAttempt"], 2);
    let ids = json!({"ackIds": [again["receivedMessages"][0]["ackId"]]});
    assert_eq!(call(&world, "acknowledge", Some(&bearer), ids).0, 200);
    world.advance(60_000);
    assert_eq!(pull(), json!({}));
    assert_eq!(world.sim.unacknowledged(), 0);
}

#[test]
fn only_the_subscriptions_account_may_pull() {
    let world = world();
    let body = json!({"maxMessages": 10});
    assert_eq!(call(&world, "pull", None, body.clone()).0, 401);
    assert_eq!(call(&world, "pull", Some("x"), body.clone()).0, 401);
    let other = bearer(&world, "other@p.iam.gserviceaccount.com");
    assert_eq!(call(&world, "pull", Some(&other), body.clone()).0, 403);
    let ours = bearer(&world, ROBOT);
    assert_eq!(call(&world, "pull", Some(&ours), json!({})).0, 400);
    world
        .sim
        .inject(Fault::next("pubsub.pull", FaultKind::BackendBefore(500)));
    assert_eq!(call(&world, "pull", Some(&ours), body.clone()).0, 500);
    world.sim.set_pull(None);
    assert_eq!(call(&world, "pull", Some(&ours), body).0, 404);
    world.advance(3_600_000);
    assert_eq!(
        call(&world, "pull", Some(&ours), json!({"maxMessages": 1})).0,
        401
    );
}

#[test]
fn an_assertion_has_to_be_in_time_and_for_pubsub() {
    let world = world();
    for (name, value) in [
        ("scope", json!("https://mail.google.com/")),
        ("aud", json!("https://another.test/")),
        ("exp", json!(world.sim.now_ms() / 1000 + 7_200)),
        ("exp", json!(world.sim.now_ms() / 1000 - 301)),
    ] {
        let (status, answer) = token(&world, ROBOT, |claims| claims[name] = value);
        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("invalid_grant")),
            "{name}"
        );
    }
}
