use url::Url;

use super::*;

const SESSION: &str = "browser-session";

/// A flow under way, as the browser sees it.
struct Flow {
    url: Url,
}

impl Flow {
    async fn begin(setting: &Setting, expected: Option<&str>) -> Self {
        let begin = Begin {
            session: SESSION.into(),
            expected_address: expected.map(Into::into),
            scopes: Vec::new(),
            data: "tenant and user".into(),
        };
        let url = setting.vault.begin(begin).await.unwrap().url;
        Self { url }
    }

    fn parameter(&self, name: &str) -> String {
        let found = self.url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    fn claims(&self) -> Value {
        json!({"iss": "https://accounts.google.com", "aud": "client", "exp": NOW / 1_000 + 3_600,
            "nonce": self.parameter("nonce"), "sub": "sub", "email": "ann@gmail.com"})
    }

    async fn finish(&self, setting: &Setting) -> Result<Consent, ConsentError> {
        let state = self.parameter("state");
        setting
            .vault
            .finish(&state, SESSION, Callback::Code("code".into()))
            .await
    }
}

fn granted(claims: &Value) -> Value {
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let scope = format!("openid https://www.googleapis.com/auth/userinfo.email {MAIL}");
    json!({"access_token": "access-1", "refresh_token": "refresh-1", "token_type": "Bearer",
        "expires_in": 3599, "scope": scope, "id_token": format!("e30.{payload}.c2ln")})
}

/// Grants and flows that are stored.
async fn stored(setting: &Setting) -> (u64, u64) {
    setting
        .database
        .call(|sql| {
            sql.query_row(
                "SELECT (SELECT count(*) FROM vault_grant), (SELECT count(*) FROM vault_flow)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .await
        .map_err(|error: rusqlite::Error| error)
        .unwrap()
}

#[tokio::test]
async fn s01_a_consent_brings_a_grant_that_can_be_adopted() {
    let setting = Setting::new().await;
    let flow = Flow::begin(&setting, Some("ann@gmail.com")).await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", "http://127.0.0.1:1/oauth/callback"),
        ("access_type", "offline"),
        ("prompt", "consent select_account"),
        ("login_hint", "ann@gmail.com"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(flow.parameter(name), value);
    }
    assert_eq!(flow.parameter("scope"), format!("openid email {MAIL}"));
    setting.answers(StatusCode::OK, granted(&flow.claims()));
    let consent = flow.finish(&setting).await.unwrap();
    assert_eq!(consent.data, "tenant and user");
    assert_eq!(consent.grant.subject, "sub");
    assert_eq!(consent.grant.email, "ann@gmail.com");
    assert!(consent.grant.scopes.contains(&MAIL.to_owned()));
    let verifier = setting.world.lock().unwrap().asked[0]["code_verifier"].clone();
    let challenge = {
        use sha2::Digest;
        URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier))
    };
    assert_eq!(flow.parameter("code_challenge"), challenge);
    let connection = ConnectionId::new("c");
    setting.vault.adopt(&connection, consent.tokens).await.unwrap();
    assert_eq!(setting.vault.grant(&connection).await.unwrap(), consent.grant);
    assert_eq!(stored(&setting).await, (1, 0));
}

#[tokio::test]
async fn s02_a_box_left_unticked_is_named_and_the_half_grant_is_given_back() {
    let setting = Setting::new().await;
    let flow = Flow::begin(&setting, None).await;
    let mut answer = granted(&flow.claims());
    answer["scope"] = json!("openid https://www.googleapis.com/auth/userinfo.email");
    setting.answers(StatusCode::OK, answer);
    let refused = flow.finish(&setting).await;
    let Err(ConsentError::ScopeMissing(missing)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(missing, [MAIL]);
    assert_eq!(setting.revoked(), ["refresh-1"]);
    assert_eq!(stored(&setting).await, (0, 0));
}

#[tokio::test]
async fn s06_a_half_grant_is_not_given_back_while_the_account_has_a_connection() {
    let setting = Setting::new().await;
    setting.connected("another tenant's").await;
    let flow = Flow::begin(&setting, None).await;
    let mut answer = granted(&flow.claims());
    answer["scope"] = json!("openid");
    setting.answers(StatusCode::OK, answer);
    assert!(matches!(
        flow.finish(&setting).await,
        Err(ConsentError::ScopeMissing(_))
    ));
    assert!(setting.revoked().is_empty());
}

#[tokio::test]
async fn s03_another_mailbox_than_the_one_asked_for_is_said_plainly() {
    let setting = Setting::new().await;
    let flow = Flow::begin(&setting, Some("bob@gmail.com")).await;
    setting.answers(StatusCode::OK, granted(&flow.claims()));
    let refused = flow.finish(&setting).await;
    let Err(ConsentError::WrongMailbox(mismatch)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (mismatch.expected.as_str(), mismatch.found.as_str()),
        ("bob@gmail.com", "ann@gmail.com")
    );
    assert_eq!(setting.revoked().len(), 1);
    assert_eq!(stored(&setting).await, (0, 0));
}

#[tokio::test]
async fn s03_the_same_mailbox_may_be_spelled_another_way() {
    for spelling in ["Ann@GMail.com", "a.nn@googlemail.com"] {
        let setting = Setting::new().await;
        let flow = Flow::begin(&setting, Some(spelling)).await;
        setting.answers(StatusCode::OK, granted(&flow.claims()));
        flow.finish(&setting).await.unwrap();
    }
}

#[tokio::test]
async fn a_state_is_used_once() {
    let setting = Setting::new().await;
    let flow = Flow::begin(&setting, None).await;
    setting.answers(StatusCode::OK, granted(&flow.claims()));
    flow.finish(&setting).await.unwrap();
    assert!(matches!(
        flow.finish(&setting).await,
        Err(ConsentError::UnknownFlow)
    ));
    assert_eq!(setting.asked(), 1);
}

#[tokio::test]
async fn a_state_of_another_browser_or_an_old_one_is_refused() {
    let setting = Setting::new().await;
    let flow = Flow::begin(&setting, None).await;
    let state = flow.parameter("state");
    let stolen = setting
        .vault
        .finish(&state, "another", Callback::Code("code".into()))
        .await;
    assert!(matches!(stolen, Err(ConsentError::UnknownFlow)));
    let late = Flow::begin(&setting, None).await;
    setting.clock.advance(10 * 60 * 1_000);
    assert!(matches!(
        late.finish(&setting).await,
        Err(ConsentError::UnknownFlow)
    ));
    assert_eq!(setting.asked(), 0);
}

#[tokio::test]
async fn an_identity_that_is_not_for_this_flow_is_refused() {
    for (claim, value) in [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another client")),
        ("aud", json!(["client", "another client"])),
        ("iss", json!("https://evil.example")),
        ("exp", json!(NOW / 1_000 - 61)),
        ("sub", json!("")),
        ("email", json!("")),
    ] {
        let setting = Setting::new().await;
        let flow = Flow::begin(&setting, None).await;
        let mut claims = flow.claims();
        claims[claim] = value;
        setting.answers(StatusCode::OK, granted(&claims));
        let refused = flow.finish(&setting).await;
        assert!(
            matches!(refused, Err(ConsentError::Identity(_))),
            "{claim}: {refused:?}"
        );
        assert_eq!(stored(&setting).await, (0, 0));
    }
}

#[tokio::test]
async fn a_no_of_the_user_and_a_refusal_of_the_provider_are_told_apart() {
    let setting = Setting::new().await;
    for (code, declined) in [("access_denied", true), ("admin_policy_enforced", false)] {
        let state = Flow::begin(&setting, None).await.parameter("state");
        let answer = setting
            .vault
            .finish(&state, SESSION, Callback::Error(code.into()))
            .await;
        match answer {
            Err(ConsentError::Declined) => assert!(declined),
            Err(ConsentError::Refused(told)) => assert_eq!((told.as_str(), declined), (code, false)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_code_that_is_refused_and_a_grant_that_does_not_last_bring_no_consent() {
    let setting = Setting::new().await;
    let flow = Flow::begin(&setting, None).await;
    setting.answers(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    assert!(matches!(
        flow.finish(&setting).await,
        Err(ConsentError::Refused(_))
    ));
    let flow = Flow::begin(&setting, None).await;
    let mut answer = granted(&flow.claims());
    answer.as_object_mut().unwrap().remove("refresh_token");
    setting.answers(StatusCode::OK, answer);
    assert!(matches!(
        flow.finish(&setting).await,
        Err(ConsentError::NotLasting)
    ));
}
