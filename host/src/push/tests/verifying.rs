use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::{
    super::keys::{OUTAGE, RETRY},
    *,
};

fn refused(reason: &'static str) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([(reason, 1)])
}

/// Asserts that a request is refused for this reason, and that nothing is done for it.
async fn assert_refused(setting: &Setting, authorization: Option<&str>, reason: &'static str) {
    setting.woken();
    let written = setting.store.written();
    let before = setting.receiver.counts().refused.get(reason).copied();
    let answer = setting.request(authorization, &envelope(ANN, 1_000)).await;
    assert_eq!(answer, PushAnswer::Unauthorized, "{reason}");
    let counts = setting.receiver.counts();
    assert_eq!(
        counts.refused.get(reason).copied(),
        Some(before.unwrap_or(0) + 1),
        "{reason}: {counts:?}"
    );
    assert_eq!(setting.store.written(), written, "{reason}");
    assert!(setting.woken().is_empty(), "{reason}");
}

#[tokio::test]
async fn push_with_a_flaw_in_its_token_is_refused_and_no_work_is_done() {
    for flaw in TokenFlaw::ALL {
        let setting = Setting::new().await;
        let reason = match flaw {
            TokenFlaw::WrongKey => "signature",
            TokenFlaw::UnknownKey => "unknown-key",
            TokenFlaw::Unsigned => "algorithm",
            TokenFlaw::WrongAudience => "audience",
            TokenFlaw::WrongEmail => "account",
            TokenFlaw::UnverifiedEmail => "unverified",
            TokenFlaw::WrongIssuer => "issuer",
            TokenFlaw::Expired => "expired",
            TokenFlaw::NotYetValid => "not-yet",
            TokenFlaw::Missing => "missing",
        };
        let authorization = setting.authorization(Some(*flaw));
        assert_refused(&setting, authorization.as_deref(), reason).await;
        assert_eq!(setting.receiver.counts().refused, refused(reason));
        assert_eq!(setting.row("c").await.announced, Announced::default());
    }
}

#[tokio::test]
async fn push_signed_with_the_public_key_as_a_shared_secret_is_refused() {
    let setting = Setting::new().await;
    let good = setting.authorization(None).unwrap();
    let claims = good.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let request = axum::http::Request::get("http://localhost/oauth2/v3/certs");
    let answer = setting.sim.handle(request.body(bytes::Bytes::new()).unwrap());
    let published: Value = serde_json::from_slice(answer.body()).unwrap();
    let jwk = &published["keys"][0];
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for secret in [jwk["n"].as_str().unwrap(), &jwk.to_string()] {
            let header = Header {
                kid: Some(jwk["kid"].as_str().unwrap().into()),
                ..Header::new(algorithm)
            };
            let key = EncodingKey::from_secret(secret.as_bytes());
            let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
            assert_refused(&setting, Some(&format!("Bearer {token}")), "algorithm").await;
        }
    }
    assert_eq!(setting.issuer.fetched(), 0, "no key is asked for");
}

#[tokio::test]
async fn push_with_a_token_that_is_none_is_refused() {
    let setting = Setting::new().await;
    let good = setting.authorization(None).unwrap();
    let token = good.strip_prefix("Bearer ").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for (authorization, reason) in [
        (format!("Basic {token}"), "missing"),
        (token.to_owned(), "missing"),
        ("Bearer ".into(), "missing"),
        ("Bearer x".into(), "malformed"),
        ("Bearer a.b.c".into(), "malformed"),
        (format!("Bearer {signed}"), "malformed"),
        (format!("Bearer {token}.x"), "malformed"),
        (format!("Bearer {}", "a".repeat(9_000)), "malformed"),
        (format!("Bearer {signed}."), "signature"),
        (
            format!("Bearer {signed}.{}", signature.replace('A', "B")),
            "signature",
        ),
    ] {
        assert_refused(&setting, Some(&authorization), reason).await;
    }
    let case = good.replace("Bearer", "bearer");
    let answer = setting.request(Some(&case), &envelope(ANN, 1)).await;
    assert_eq!(answer, PushAnswer::Done, "the scheme's case does not matter");
}

#[tokio::test]
async fn push_changed_after_it_was_signed_is_refused() {
    let setting = Setting::new().await;
    let ours = setting.authorization(None).unwrap();
    let theirs = setting.authorization(Some(TokenFlaw::WrongEmail)).unwrap();
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (parts(&ours), parts(&theirs));
    let mixed = format!("{}.{}.{}", ours[0], ours[1], theirs[2]);
    assert_refused(&setting, Some(&mixed), "signature").await;
}

#[tokio::test]
async fn push_tokens_are_valid_within_a_minute_of_either_end() {
    let setting = Setting::new().await;
    let authorization = setting.authorization(None);
    let at = async |id: u32| {
        let body = envelope(ANN, id);
        setting.request(authorization.as_deref(), &body).await
    };
    assert_eq!(at(1).await, PushAnswer::Done);
    setting.advance(3_600_000 + 59_000);
    assert_eq!(at(2).await, PushAnswer::Done);
    setting.advance(1_000);
    assert_eq!(at(3).await, PushAnswer::Unauthorized);
}

#[tokio::test]
async fn push_of_another_subscription_is_refused() {
    let setting = Setting::new().await;
    let receiver = receiver(&setting.issuer, &setting.clock, &setting.store, &setting.woken);
    let setting = Setting {
        receiver: receiver.of_subscription("projects/p/subscriptions/another".into()),
        ..setting
    };
    let authorization = setting.authorization(None);
    assert_refused(&setting, authorization.as_deref(), "subscription").await;
}

#[tokio::test]
async fn push_keys_are_fetched_once_for_many_and_kept_as_long_as_they_say() {
    let setting = Setting::new().await;
    let authorization = setting.authorization(None);
    let pushes = (0..50).map(|_| setting.receiver.admit(authorization.as_deref()));
    assert!(join_all(pushes).await.iter().all(Result::is_ok));
    assert_eq!(setting.issuer.fetched(), 1);
    setting.advance(3_599_000);
    assert_eq!(setting.push(ANN, 2).await, PushAnswer::Done);
    assert_eq!(setting.issuer.fetched(), 1);
    setting.advance(1_000);
    assert_eq!(setting.push(ANN, 3).await, PushAnswer::Done);
    assert_eq!(setting.issuer.fetched(), 2);
}

#[tokio::test]
async fn push_by_a_rotated_key_causes_one_fetch_and_unknown_keys_no_more_than_one_in_a_while() {
    let setting = Setting::new().await;
    assert_eq!(setting.push(ANN, 1).await, PushAnswer::Done);
    setting.advance(RETRY);
    setting.sim.rotate_keys();
    let authorization = setting.authorization(None);
    let pushes = (0..20).map(|_| setting.receiver.admit(authorization.as_deref()));
    assert!(join_all(pushes).await.iter().all(Result::is_ok));
    assert_eq!(setting.issuer.fetched(), 2);
    setting.advance(RETRY);
    let forged = setting.authorization(Some(TokenFlaw::UnknownKey));
    for _ in 0..20 {
        let answer = setting.receiver.admit(forged.as_deref()).await;
        assert_eq!(answer, Err(PushAnswer::Unauthorized));
    }
    assert_eq!(setting.issuer.fetched(), 3);
    let old = setting.sim.push_token(&endpoint(), None).unwrap();
    assert!(
        setting
            .receiver
            .admit(Some(&format!("Bearer {old}")))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn push_by_a_key_that_was_withdrawn_is_refused() {
    let setting = Setting::new().await;
    let old = setting.authorization(None);
    assert_eq!(setting.push(ANN, 1).await, PushAnswer::Done);
    setting.sim.rotate_keys();
    setting.sim.rotate_keys();
    setting.advance(RETRY);
    assert_eq!(setting.push(ANN, 2).await, PushAnswer::Done);
    let answer = setting.receiver.admit(old.as_deref()).await;
    assert_eq!(answer, Err(PushAnswer::Unauthorized));
}

#[tokio::test]
async fn push_goes_on_with_the_last_keys_while_the_issuer_is_out_for_a_day() {
    let setting = Setting::new().await;
    assert_eq!(setting.push(ANN, 1).await, PushAnswer::Done);
    setting.issuer.set_down(true);
    setting.advance(3_600_000);
    assert_eq!(setting.push(ANN, 2).await, PushAnswer::Done);
    assert_eq!(setting.push(ANN, 3).await, PushAnswer::Done);
    assert_eq!(setting.issuer.fetched(), 2, "not with each push");
    let forged = setting.authorization(Some(TokenFlaw::WrongKey));
    assert_refused(&setting, forged.as_deref(), "signature").await;
    setting.advance(OUTAGE - 3_600_000);
    assert_eq!(setting.push(ANN, 4).await, PushAnswer::Unavailable);
    assert_eq!(setting.receiver.counts().unavailable, 1);
    setting.issuer.set_down(false);
    setting.advance(RETRY);
    assert_eq!(setting.push(ANN, 4).await, PushAnswer::Done);
}

#[tokio::test]
async fn push_before_any_key_was_had_comes_again() {
    let setting = Setting::new().await;
    setting.issuer.set_down(true);
    assert_eq!(setting.push(ANN, 1).await, PushAnswer::Unavailable);
    assert_eq!(setting.store.written(), 1, "Ann's connection alone");
    setting.issuer.set_down(false);
    setting.advance(RETRY);
    assert_eq!(setting.push(ANN, 1).await, PushAnswer::Done);
}
