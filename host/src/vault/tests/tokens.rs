use super::*;

async fn access(setting: &Setting, connection: &ConnectionId, freshness: Freshness) -> String {
    let token = setting.vault.access_token(connection, freshness).await.unwrap();
    token.expose_secret().to_owned()
}

#[tokio::test]
async fn an_access_token_is_kept_until_a_minute_before_it_expires() {
    let setting = Setting::new().await;
    let connection = setting.connected("c").await;
    assert_eq!(access(&setting, &connection, Freshness::Valid).await, "access-1");
    setting.clock.advance(3_600_000 - 60_001);
    assert_eq!(access(&setting, &connection, Freshness::Valid).await, "access-1");
    assert_eq!(setting.asked(), 0);
    setting.clock.advance(1);
    assert_eq!(access(&setting, &connection, Freshness::Valid).await, "access-2");
    assert_eq!(access(&setting, &connection, Freshness::Valid).await, "access-2");
    assert_eq!(setting.asked(), 1);
}

#[tokio::test]
async fn a_hundred_callers_at_once_cause_one_refresh() {
    for freshness in [Freshness::Valid, Freshness::Refreshed] {
        let setting = Setting::new().await;
        let connection = setting.connected("c").await;
        if freshness == Freshness::Valid {
            setting.clock.advance(3_600_000);
        }
        let calls = (0..100).map(|_| access(&setting, &connection, freshness));
        let tokens = futures_util::future::join_all(calls).await;
        assert!(tokens.iter().all(|token| token == "access-2"));
        assert_eq!(setting.asked(), 1, "{freshness:?}");
    }
}

#[tokio::test]
async fn a_refresh_answer_without_a_refresh_token_keeps_the_old_one() {
    let setting = Setting::new().await;
    let connection = setting.connected("c").await;
    access(&setting, &connection, Freshness::Refreshed).await;
    let rotated = json!({"access_token": "access-3", "token_type": "Bearer", "expires_in": 3599,
        "refresh_token": "refresh-2"});
    setting.answers(StatusCode::OK, rotated);
    access(&setting, &connection, Freshness::Refreshed).await;
    access(&setting, &connection, Freshness::Refreshed).await;
    let world = setting.world.lock().unwrap();
    let sent: Vec<_> = world
        .asked
        .iter()
        .map(|form| form["refresh_token"].as_str())
        .collect();
    assert_eq!(sent, ["refresh-1", "refresh-1", "refresh-2"]);
    assert_eq!(world.asked[0]["client_secret"], CLIENT_SECRET);
}

#[tokio::test]
async fn s07_invalid_grant_needs_a_reconnect_and_asks_the_provider_no_more() {
    let setting = Setting::new().await;
    let connection = setting.connected("c").await;
    setting.answers(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    for _ in 0..2 {
        let lost = setting
            .vault
            .access_token(&connection, Freshness::Refreshed)
            .await;
        assert!(matches!(lost, Err(VaultError::ReconnectNeeded)));
    }
    assert_eq!(setting.asked(), 1);
    assert!(matches!(
        setting.vault.grant(&connection).await,
        Err(VaultError::ReconnectNeeded)
    ));
    setting.connected("c").await;
    assert_eq!(access(&setting, &connection, Freshness::Valid).await, "access-1");
}

#[tokio::test]
async fn s07_a_passing_failure_never_disconnects() {
    let setting = Setting::new().await;
    let connection = setting.connected("c").await;
    for (status, answer) in [
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({"error": "invalid_grant"}),
        ),
        (StatusCode::BAD_GATEWAY, json!("<html>")),
        (StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"})),
        (StatusCode::BAD_REQUEST, json!({"error": "invalid_client"})),
        (StatusCode::TOO_MANY_REQUESTS, json!({})),
        (StatusCode::OK, json!({"half": "an answer"})),
    ] {
        setting.answers(status, answer);
        let failed = setting
            .vault
            .access_token(&connection, Freshness::Refreshed)
            .await;
        assert!(
            matches!(failed, Err(VaultError::Unavailable(_))),
            "{status}: {failed:?}"
        );
    }
    assert_eq!(access(&setting, &connection, Freshness::Valid).await, "access-1");
}

#[tokio::test]
async fn a_connection_without_a_grant_has_no_token() {
    let setting = Setting::new().await;
    let missing = setting
        .vault
        .access_token(&ConnectionId::new("none"), Freshness::Valid)
        .await;
    assert!(matches!(missing, Err(VaultError::NoGrant)));
}

#[tokio::test]
async fn s06_the_token_is_revoked_only_by_the_last_connection_of_the_account() {
    let setting = Setting::new().await;
    let (first, second) = (
        setting.connected("tenant-1").await,
        setting.connected("tenant-2").await,
    );
    let elsewhere = ConnectionId::new("elsewhere");
    setting
        .vault
        .adopt(&elsewhere, grant_tokens("another"))
        .await
        .unwrap();
    assert_eq!(setting.vault.holders(&first).await.unwrap(), Holders::Others);
    setting.vault.release(&first).await.unwrap();
    setting.vault.release(&first).await.unwrap();
    assert!(setting.revoked().is_empty());
    assert!(matches!(
        setting.vault.grant(&first).await,
        Err(VaultError::NoGrant)
    ));
    assert_eq!(setting.vault.holders(&second).await.unwrap(), Holders::Last);
    setting.vault.release(&second).await.unwrap();
    assert_eq!(setting.revoked(), ["refresh-1"]);
    assert!(setting.vault.grant(&elsewhere).await.is_ok());
}

#[tokio::test]
async fn s06_two_that_release_at_the_same_time_revoke_once() {
    let setting = Setting::new().await;
    let (first, second) = (setting.connected("1").await, setting.connected("2").await);
    let (one, two) = tokio::join!(setting.vault.release(&first), setting.vault.release(&second));
    one.unwrap();
    two.unwrap();
    assert_eq!(setting.revoked().len(), 1);
}

#[tokio::test]
async fn s06_a_revoke_that_fails_does_not_keep_the_grant() {
    let setting = Setting::new().await;
    let connection = setting.connected("c").await;
    setting.world.lock().unwrap().revoke_status = StatusCode::INTERNAL_SERVER_ERROR;
    setting.vault.release(&connection).await.unwrap();
    assert_eq!(setting.revoked().len(), 1);
    assert!(matches!(
        setting.vault.grant(&connection).await,
        Err(VaultError::NoGrant)
    ));
}

#[tokio::test]
async fn s06_a_lost_grant_is_no_holder() {
    let setting = Setting::new().await;
    let (first, second) = (setting.connected("1").await, setting.connected("2").await);
    setting.answers(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    let lost = setting.vault.access_token(&first, Freshness::Refreshed).await;
    assert!(lost.is_err());
    assert_eq!(setting.vault.holders(&second).await.unwrap(), Holders::Last);
    assert_eq!(setting.vault.holders(&first).await.unwrap(), Holders::Others);
}

#[tokio::test]
async fn no_secret_is_at_rest_or_in_what_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let setting = Setting::new().await;
    setting.connected("c").await;
    let path = directory.path().join("copy.db").to_string_lossy().into_owned();
    let target = path.clone();
    setting
        .database
        .call(move |sql| sql.execute("VACUUM INTO ?1", [target]))
        .await
        .map_err(|error: rusqlite::Error| error)
        .unwrap();
    let file = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    assert!(file.contains("ann@gmail.com"));
    let printed = format!(
        "{:?} {:?} {:?} {:?}",
        setting.vault,
        setting.vault.provider(),
        grant_tokens("sub"),
        setting.vault.keys(),
    );
    for secret in ["access-1", "refresh-1", CLIENT_SECRET] {
        assert!(!file.contains(secret));
        assert!(!printed.contains(secret));
    }
}

#[tokio::test]
async fn a_malformed_answer_is_not_repeated_in_the_error() {
    let setting = Setting::new().await;
    let connection = setting.connected("c").await;
    setting.answers(StatusCode::OK, json!({"access_token": ["secret-in-answer"]}));
    let error = setting
        .vault
        .access_token(&connection, Freshness::Refreshed)
        .await
        .unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret-in-answer"));
}

#[tokio::test]
async fn s07_what_is_known_of_a_grants_time_outlives_the_grant_and_ends_with_a_new_one() {
    let setting = Setting::new().await;
    let connection = setting.connected("c").await;
    let week = 7 * 86_400;
    let limited = json!({"access_token": "access-2", "token_type": "Bearer", "expires_in": 3599,
        "refresh_token_expires_in": week});
    setting.answers(StatusCode::OK, limited);
    access(&setting, &connection, Freshness::Refreshed).await;
    let lasting = setting.vault.lasting(&connection).await.unwrap();
    assert_eq!(lasting.granted_at, Some(NOW));
    assert_eq!(lasting.until, Some(NOW + week * 1_000));
    assert_eq!(
        (lasting.limit(), lasting.ended_by()),
        (Some(Limit::Testing), None)
    );
    setting.clock.advance(week * 1_000 + 60_000);
    setting.answers(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    let lost = setting.vault.access_token(&connection, Freshness::Valid).await;
    assert!(matches!(lost, Err(VaultError::ReconnectNeeded)));
    let lasting = setting.vault.lasting(&connection).await.unwrap();
    assert_eq!(lasting.ended_by(), Some(Limit::Testing));
    setting.connected("c").await;
    let lasting = setting.vault.lasting(&connection).await.unwrap();
    assert_eq!((lasting.until, lasting.lost_at), (None, None));
}

#[tokio::test]
async fn a_lifetime_that_is_no_number_says_nothing_and_costs_nothing() {
    let setting = Setting::new().await;
    let connection = setting.connected("c").await;
    for odd in [json!("soon"), json!(-1), json!(null), json!({}), json!(u64::MAX)] {
        let answer = json!({"access_token": "access-2", "token_type": "Bearer", "expires_in": 3599,
            "refresh_token_expires_in": odd});
        setting.answers(StatusCode::OK, answer);
        assert_eq!(
            access(&setting, &connection, Freshness::Refreshed).await,
            "access-2"
        );
    }
}
