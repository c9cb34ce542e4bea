//! Two hosts on one database.

use std::time::Duration;

use super::*;

/// Two vaults that share a file and a key, as two processes do, and a connection with a grant.
struct Pair {
    setting: Setting,
    second: OAuthVault,
    connection: ConnectionId,
    _folder: tempfile::TempDir,
}

impl Pair {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = || Database::open(&folder.path().join("twinbox.db"), Durability::ProcessDeath).unwrap();
        let keys = KeyRing::open(&folder.path().join("sealing.key")).unwrap();
        let setting = Setting::over(open(), keys.clone()).await;
        let second = setting.another_host(open(), keys);
        let connection = setting.connected("c").await;
        Self {
            setting,
            second,
            connection,
            _folder: folder,
        }
    }

    /// Time goes on while something happens.
    async fn while_time_passes<T>(&self, happening: impl Future<Output = T>) -> T {
        let passing = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                self.setting.clock.advance(50);
            }
        };
        tokio::select! {
            done = happening => done,
            () = passing => unreachable!("time does not end"),
        }
    }

    /// Fifty callers of each host.
    async fn all(&self, freshness: Freshness) -> Vec<Result<SecretString, VaultError>> {
        let calls = (0..100).map(|number| {
            let vault = if number % 2 == 0 {
                &self.setting.vault
            } else {
                &self.second
            };
            vault.access_token(&self.connection, freshness)
        });
        self.while_time_passes(futures_util::future::join_all(calls))
            .await
    }
}

#[tokio::test]
async fn s07_a_hundred_callers_of_two_hosts_cause_one_refresh() {
    for freshness in [Freshness::Valid, Freshness::Refreshed] {
        let pair = Pair::new().await;
        if freshness == Freshness::Valid {
            pair.setting.clock.advance(3_600_000);
        }
        let tokens = pair.all(freshness).await;
        assert!(
            tokens
                .iter()
                .all(|token| token.as_ref().unwrap().expose_secret() == "access-2")
        );
        assert_eq!(pair.setting.asked(), 1, "{freshness:?}");
    }
}

#[tokio::test]
async fn s07_a_grant_that_one_host_lost_is_lost_for_the_other_without_asking_again() {
    let pair = Pair::new().await;
    pair.setting
        .answers(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    let tokens = pair.all(Freshness::Refreshed).await;
    assert!(
        tokens
            .iter()
            .all(|token| matches!(token, Err(VaultError::ReconnectNeeded)))
    );
    assert_eq!(pair.setting.asked(), 1);
}

#[tokio::test]
async fn s07_a_refresh_that_failed_holds_up_no_other_host() {
    let pair = Pair::new().await;
    pair.setting.answers(StatusCode::BAD_GATEWAY, json!({}));
    let failed = pair
        .setting
        .vault
        .access_token(&pair.connection, Freshness::Refreshed)
        .await;
    assert!(matches!(failed, Err(VaultError::Unavailable(_))));
    let good = json!({"access_token": "access-2", "token_type": "Bearer", "expires_in": 3599});
    pair.setting.answers(StatusCode::OK, good);
    let token = pair
        .second
        .access_token(&pair.connection, Freshness::Refreshed)
        .await;
    assert_eq!(token.unwrap().expose_secret(), "access-2");
}

#[tokio::test]
async fn s07_a_refresh_whose_host_died_is_waited_for_no_longer_than_it_can_take() {
    let pair = Pair::new().await;
    let until = NOW + 30_000;
    pair.setting
        .database
        .write(move |sql| {
            sql.execute(
                "UPDATE vault_grant SET refresher = 1, refresher_until = ?1",
                [until],
            )
        })
        .await
        .map_err(|error: rusqlite::Error| error)
        .unwrap();
    let token = pair
        .while_time_passes(pair.second.access_token(&pair.connection, Freshness::Refreshed))
        .await;
    assert_eq!(token.unwrap().expose_secret(), "access-2");
    assert!(pair.setting.clock.now() >= until);
    assert_eq!(pair.setting.asked(), 1);
}
