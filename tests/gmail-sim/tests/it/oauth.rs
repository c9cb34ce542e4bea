//! The OAuth flow: consent, codes, tokens, revocation.

use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use gmail_sim::{Config, Consent, Decision};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::world::{ANNA, Answer, BEN, MODIFY, World};

const VERIFIER: &str = "0123456789012345678901234567890123456789012";
const REDIRECT: &str = "http://127.0.0.1:9/cb";

fn world(decision: Decision) -> World {
    World::with(Config {
        consent: Consent::Auto {
            account: None,
            decision,
        },
        ..Config::default()
    })
}

fn auth_query(more: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", "twinbox-demo"),
        ("redirect_uri", REDIRECT),
        (
            "scope",
            "openid email https://www.googleapis.com/auth/gmail.modify https://www.googleapis.com/auth/gmail.labels",
        ),
        ("state", "s&1"),
        ("nonce", "n1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("login_hint", ANNA),
    ];
    for (name, value) in more {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value));
    }
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn authorize(world: &World, more: &[(&str, &str)]) -> Answer {
    world.call_as(
        "",
        "GET",
        &format!("/o/oauth2/v2/auth?{}", auth_query(more)),
        Value::Null,
    )
}

fn back(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 302, "{:?}", answer.response.body());
    let url = Url::parse(answer.response.headers()["location"].to_str().unwrap()).unwrap();
    url.query_pairs().into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs
        .iter()
        .find(|(known, _)| known == name)
        .map_or("", |(_, value)| value)
}

fn form(world: &World, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    world.raw(Request::post(path).body(Bytes::from(body)).unwrap())
}

fn token(world: &World, pairs: &[(&str, &str)]) -> Answer {
    let mut all = vec![
        ("client_id", "twinbox-demo"),
        ("client_secret", "twinbox-demo-secret"),
    ];
    all.extend_from_slice(pairs);
    form(world, "/token", &all)
}

fn exchange(world: &World, code: &str, verifier: &str) -> Answer {
    token(
        world,
        &[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
        ],
    )
}

fn connect(world: &World) -> Value {
    exchange(world, value(&back(&authorize(world, &[])), "code"), VERIFIER).ok()
}

fn refresh(world: &World, refresh_token: &str) -> Answer {
    token(
        world,
        &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)],
    )
}

fn error(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[test]
fn the_whole_flow_gives_tokens_for_what_was_granted() {
    let world = world(Decision::All);
    let redirected = back(&authorize(&world, &[]));
    assert_eq!(value(&redirected, "state"), "s&1");
    let answer = exchange(&world, value(&redirected, "code"), VERIFIER).ok();
    assert_eq!(
        (&answer["expires_in"], &answer["token_type"]),
        (&json!(3599), &json!("Bearer"))
    );
    assert!(
        text(&answer, "scope").contains("userinfo.email") && text(&answer, "scope").contains("gmail.labels")
    );
    assert!(answer.get("refresh_token_expires_in").is_none());
    let claims = text(&answer, "id_token").split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(
        (&claims["aud"], &claims["email"], &claims["nonce"]),
        (&json!("twinbox-demo"), &json!(ANNA), &json!("n1"))
    );
    assert_eq!(claims["sub"], world.sim.mailbox(ANNA).unwrap().subject);
    let access = text(&answer, "access_token");
    assert_eq!(
        world.call_as(access, "GET", "profile", Value::Null).ok()["emailAddress"],
        ANNA
    );
    assert_eq!(
        world.call_as(access, "GET", "/v1/userinfo", Value::Null).ok()["email"],
        ANNA
    );
    let again = refresh(&world, text(&answer, "refresh_token")).ok();
    assert!(again.get("refresh_token").is_none());
    assert_eq!(
        world
            .call_as(text(&again, "access_token"), "GET", "profile", Value::Null)
            .status,
        200
    );
}

#[test]
fn codes_are_single_use_bound_to_their_request_and_short_lived() {
    let world = world(Decision::All);
    let code = || value(&back(&authorize(&world, &[])), "code").to_owned();
    let used = code();
    exchange(&world, &used, VERIFIER).ok();
    let invalid = (400, "invalid_grant".to_owned());
    assert_eq!(error(&exchange(&world, &used, VERIFIER)), invalid);
    assert_eq!(
        error(&exchange(&world, &code(), &VERIFIER.replace('0', "x"))),
        invalid
    );
    assert_eq!(error(&exchange(&world, &code(), "")), invalid);
    let late = code();
    world.advance(600_000);
    assert_eq!(error(&exchange(&world, &late, VERIFIER)), invalid);
    let other = token(
        &world,
        &[
            ("grant_type", "authorization_code"),
            ("code", &code()),
            ("redirect_uri", "http://127.0.0.1:9/x"),
            ("code_verifier", VERIFIER),
        ],
    );
    assert_eq!(error(&other), (400, "redirect_uri_mismatch".to_owned()));
    let stranger = form(
        &world,
        "/token",
        &[("client_id", "twinbox-demo"), ("client_secret", "wrong")],
    );
    assert_eq!(error(&stranger), (401, "invalid_client".to_owned()));
}

#[test]
fn a_refresh_token_comes_with_the_first_consent_or_when_asked_again() {
    let world = world(Decision::All);
    let answer = |more: &[(&str, &str)]| {
        exchange(&world, value(&back(&authorize(&world, more)), "code"), VERIFIER)
            .ok()
            .get("refresh_token")
            .is_some()
    };
    assert!(answer(&[("prompt", "")]));
    assert!(!answer(&[("prompt", "")]));
    assert!(answer(&[("prompt", "consent")]));
    assert!(!answer(&[("prompt", "consent"), ("access_type", "online")]));
}

#[test]
fn a_box_left_unticked_is_missing_from_the_scope() {
    let world = world(Decision::Only(vec![MODIFY.to_owned()]));
    let scope = text(&connect(&world), "scope").to_owned();
    assert!(scope.contains("gmail.modify") && scope.contains("openid") && !scope.contains("gmail.labels"));
    world.sim.set_consent(Consent::Auto {
        account: Some(BEN.into()),
        decision: Decision::Deny,
    });
    assert_eq!(value(&back(&authorize(&world, &[])), "error"), "access_denied");
    world.sim.set_consent(Consent::Auto {
        account: Some(BEN.into()),
        decision: Decision::All,
    });
    let access = text(&connect(&world), "access_token").to_owned();
    assert_eq!(
        world.call_as(&access, "GET", "profile", Value::Null).ok()["emailAddress"],
        BEN,
        "the hint was ignored"
    );
}

#[test]
fn the_consent_page_lets_one_choose_account_and_scopes() {
    let world = World::new();
    let page = authorize(&world, &[]);
    let html = String::from_utf8(page.response.body().to_vec()).unwrap();
    assert_eq!(page.status, 200);
    assert!(html.contains("value=\"anna@acme.test\" checked") && html.contains("value=\"ben@acme.test\">"));
    let query = auth_query(&[]);
    let decide = |pairs: &[(&str, &str)]| {
        let mut all = vec![("request", query.as_str())];
        all.extend_from_slice(pairs);
        back(&form(&world, "/o/oauth2/v2/auth/decision", &all))
    };
    assert_eq!(
        value(&decide(&[("account", BEN), ("decision", "cancel")]), "error"),
        "access_denied"
    );
    let redirected = decide(&[("account", BEN), ("scope", MODIFY), ("decision", "allow")]);
    let answer = exchange(&world, value(&redirected, "code"), VERIFIER).ok();
    assert!(!text(&answer, "scope").contains("gmail.labels"));
    assert_eq!(
        world
            .call_as(text(&answer, "access_token"), "GET", "profile", Value::Null)
            .ok()["emailAddress"],
        BEN
    );
}

#[test]
fn requests_from_strangers_get_a_page_and_no_redirect() {
    let world = world(Decision::All);
    for more in [
        ("client_id", "x"),
        ("redirect_uri", "http://evil.test/cb"),
        ("redirect_uri", ""),
        ("scope", ""),
        ("code_challenge_method", "S512"),
    ] {
        let answer = authorize(&world, &[more]);
        assert_eq!(answer.status, 400, "{more:?}");
        assert!(!answer.response.headers().contains_key("location"));
    }
    assert_eq!(
        value(&back(&authorize(&world, &[("response_type", "token")])), "error"),
        "unsupported_response_type"
    );
}

#[test]
fn grants_die_of_revocation_age_password_and_number() {
    let world = world(Decision::All);
    let dead = |grant: &Value| refresh(&world, text(grant, "refresh_token")).status == 400;
    let (one, two) = (connect(&world), connect(&world));
    assert_eq!(
        form(&world, "/revoke", &[("token", text(&one, "access_token"))]).status,
        200
    );
    assert!(dead(&one) && !dead(&two));
    assert_eq!(
        world
            .call_as(text(&one, "access_token"), "GET", "profile", Value::Null)
            .status,
        401
    );
    assert_eq!(
        error(&form(&world, "/revoke", &[("token", text(&one, "access_token"))])).1,
        "invalid_token"
    );
    assert!(world.sim.change_password(ANNA));
    assert!(dead(&two));
    let three = connect(&world);
    world
        .sim
        .set_behaviour(|behaviour| behaviour.refresh_tokens_per_account = 1);
    let four = connect(&world);
    assert!(dead(&three) && !dead(&four));
    world
        .sim
        .set_behaviour(|behaviour| behaviour.refresh_token_lifetime_ms = Some(7 * 24 * 3_600_000));
    assert_eq!(connect(&world)["refresh_token_expires_in"], 604_800);
    world.advance(7 * 24 * 3_600_000);
    let description = refresh(&world, text(&four, "refresh_token")).json();
    assert_eq!(
        description,
        json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
    );
    assert!(world.sim.withdraw_consent(ANNA));
    assert_eq!(world.sim.mailbox(ANNA).unwrap().grants, 0);
}

#[test]
fn the_discovery_document_points_back_here() {
    let world = World::new();
    let found = world
        .call_as("", "GET", "/.well-known/openid-configuration", Value::Null)
        .ok();
    assert_eq!(
        (&found["issuer"], &found["token_endpoint"]),
        (
            &json!("https://accounts.google.com"),
            &json!("http://sim.test/token")
        )
    );
    assert_eq!(
        world.call_as("", "GET", "/oauth2/v3/certs", Value::Null).ok()["keys"][0]["alg"],
        "RS256"
    );
}
