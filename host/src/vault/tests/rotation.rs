//! New sealing keys in the place of old ones, while they are in use.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use super::*;

/// A data folder, as the program has it.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("sealing.key")
    }

    /// The database and the keys as another process opens them.
    fn open(&self) -> (Database, KeyRing) {
        let database = Database::open(&self.folder.path().join("twinbox.db"), Durability::ProcessDeath);
        (database.unwrap(), KeyRing::open(&self.file()).unwrap())
    }

    async fn serving(&self) -> Setting {
        let (database, keys) = self.open();
        Setting::over(database, keys).await
    }

    async fn rotate(&self) -> Result<Rotation, RotateError> {
        let (database, keys) = self.open();
        rotate_keys(&database, &keys).await
    }
}

/// The keys of a file, whatever becomes of it.
fn keys_of(file: &Path) -> SealingKeys {
    KeyRing::open(file).unwrap().keys()
}

/// How many of all sealed values these keys open.
async fn opened(database: &Database, keys: &SealingKeys) -> usize {
    let keys = keys.clone();
    let values: Result<Vec<(String, String, Vec<u8>)>, rusqlite::Error> = database
        .call(|sql| {
            sql.prepare(
                "SELECT connection, 'access', access FROM vault_grant
                 UNION ALL SELECT connection, 'refresh', refresh FROM vault_grant",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
        })
        .await;
    let opens =
        |(owner, purpose, sealed): &(String, String, Vec<u8>)| keys.open(owner, purpose, sealed).is_ok();
    values.unwrap().iter().filter(|value| opens(value)).count()
}

#[tokio::test]
async fn a_rotation_seals_everything_anew_and_the_old_key_opens_nothing() {
    let folder = Folder::new();
    let setting = folder.serving().await;
    let mut connections = Vec::new();
    for number in 0..120 {
        connections.push(setting.connected(&format!("c{number}")).await);
    }
    let old = keys_of(&folder.file());
    assert_eq!(opened(&setting.database, &old).await, 240);
    let rotation = folder.rotate().await.unwrap();
    assert_eq!(rotation.begun, Begun::Now);
    assert_eq!(rotation.retired, [old.current()]);
    assert_eq!((rotation.anew.values, rotation.anew.unreadable), (240, 0));
    let new = keys_of(&folder.file());
    assert_eq!(new.ids().collect::<Vec<_>>(), [rotation.current]);
    assert_eq!(opened(&setting.database, &new).await, 240);
    assert_eq!(opened(&setting.database, &old).await, 0);
    // Neither the server that ran all the time nor one that starts now notices anything.
    let (database, keys) = folder.open();
    for vault in [setting.vault.clone(), setting.another_host(database, keys)] {
        for connection in &connections {
            let token = vault.access_token(connection, Freshness::Valid).await.unwrap();
            assert_eq!(token.expose_secret(), "access-1");
        }
    }
    let sealed = sealed_values(&setting.database).await.unwrap();
    assert_eq!(
        sealed.by_key.into_iter().collect::<Vec<_>>(),
        [(new.current(), 240)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotations_beside_a_vault_in_use_make_nothing_fail() {
    let folder = Folder::new();
    let setting = folder.serving().await;
    let (database, keys) = folder.open();
    let vaults = [setting.vault.clone(), setting.another_host(database, keys)];
    let first = keys_of(&folder.file());
    let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut users = Vec::new();
    for number in 0..8 {
        let (vault, is_over, done) = (vaults[number % 2].clone(), is_over.clone(), done.clone());
        users.push(tokio::spawn(async move {
            let connection = ConnectionId::new(format!("c{number}"));
            for round in 0.. {
                let subject = format!("{number}");
                vault.adopt(&connection, grant_tokens(&subject)).await.unwrap();
                let begin = Begin {
                    session: "browser".into(),
                    ..Begin::default()
                };
                let flow = vault.begin(begin).await.unwrap();
                let state = flow.url.query_pairs().find(|(name, _)| name == "state");
                let state = state.unwrap().1.into_owned();
                let token = vault.access_token(&connection, Freshness::Valid).await.unwrap();
                assert_eq!(token.expose_secret(), "access-1");
                let token = vault
                    .access_token(&connection, Freshness::Refreshed)
                    .await
                    .unwrap();
                assert_eq!(token.expose_secret(), "access-2");
                // Its secret opens: the provider is asked, and refuses this code's identity.
                let ended = vault
                    .finish(&state, "browser", Callback::Code("code".into()))
                    .await;
                assert!(matches!(ended, Err(ConsentError::Identity(_))), "{ended:?}");
                done.fetch_add(1, Ordering::Relaxed);
                if round > 0 && is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
        }));
    }
    for _ in 0..10 {
        folder.rotate().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for user in users {
        user.await.unwrap();
    }
    assert!(done.load(Ordering::Relaxed) > 16);
    folder.rotate().await.unwrap();
    let last = keys_of(&folder.file());
    assert_eq!(opened(&setting.database, &last).await, 16);
    assert_eq!(opened(&setting.database, &first).await, 0);
}

#[tokio::test]
async fn a_process_that_has_not_read_the_file_since_can_no_longer_seal_with_a_retired_key() {
    let folder = Folder::new();
    let stale = keys_of(&folder.file());
    let setting = folder.serving().await;
    folder.rotate().await.unwrap();
    // As if it had looked at the file just before: nothing of it could ever be opened.
    let unaware = setting.another_host(setting.database.clone(), stale.clone());
    let refused = unaware.adopt(&ConnectionId::new("c"), grant_tokens("sub")).await;
    let Err(VaultError::Unavailable(why)) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("put the newest key file back"), "{why}");
    assert_eq!(sealed_values(&setting.database).await.unwrap().grants, 0);
}

#[tokio::test]
async fn a_rotation_that_was_interrupted_anywhere_is_carried_on_by_the_next() {
    for step in 0..4 {
        let folder = Folder::new();
        let setting = folder.serving().await;
        for number in 0..3 {
            setting.connected(&format!("c{number}")).await;
        }
        let old = keys_of(&folder.file());
        let (database, keys) = folder.open();
        keys.add(&folder.file()).unwrap();
        let both = fs::read(folder.file()).unwrap();
        match step {
            // Only the key was added.
            0 => {}
            // Some were sealed anew: those of the server itself.
            1 => setting
                .vault
                .adopt(&ConnectionId::new("c1"), grant_tokens("sub"))
                .await
                .unwrap(),
            // All were, and the old key is retired, but still in the file.
            2 => drop(seal_anew(&database, &keys).await.unwrap()),
            // A copy of the file as it was came back.
            _ => {
                folder.rotate().await.unwrap();
                fs::write(folder.file(), both).unwrap();
            }
        }
        for connection in ["c0", "c1", "c2"] {
            let id = ConnectionId::new(connection);
            assert!(setting.vault.access_token(&id, Freshness::Valid).await.is_ok());
        }
        let rotation = folder.rotate().await.unwrap();
        assert_eq!(rotation.begun, Begun::Earlier, "{step}");
        assert_eq!(rotation.retired, [old.current()]);
        assert_eq!(
            opened(&setting.database, &keys_of(&folder.file())).await,
            6,
            "{step}"
        );
        assert_eq!(opened(&setting.database, &old).await, 0);
        assert_eq!(keys_of(&folder.file()).ids().count(), 1);
        assert_eq!(folder.rotate().await.unwrap().begun, Begun::Now);
    }
}

#[tokio::test]
async fn only_one_rotation_is_under_way_and_keys_that_are_in_no_file_are_sealed_anew_by_their_owner() {
    let folder = Folder::new();
    let setting = folder.serving().await;
    let lock = fs::File::create(folder.file().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(folder.rotate().await, Err(RotateError::UnderWay)));
    drop(lock);
    folder.rotate().await.unwrap();

    let (old, new) = (SealingKey::from_bytes(&[1; 32]), SealingKey::from_bytes(&[2; 32]));
    let environment = |keys: SealingKeys| setting.another_host(setting.database.clone(), keys);
    let before = environment(SealingKeys::new(old.clone(), Vec::new()));
    before
        .adopt(&ConnectionId::new("c"), grant_tokens("sub"))
        .await
        .unwrap();
    let both = KeyRing::from(SealingKeys::new(new.clone(), vec![old]));
    let refused = rotate_keys(&setting.database, &both).await;
    assert!(matches!(refused, Err(RotateError::NotInAFile)));
    let anew = seal_anew(&setting.database, &both).await.unwrap();
    assert_eq!((anew.values, anew.unreadable), (2, 0));
    let after = environment(SealingKeys::new(new, Vec::new()));
    assert!(
        after
            .access_token(&ConnectionId::new("c"), Freshness::Valid)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn what_no_key_opens_is_counted_and_holds_up_nothing_and_a_lost_grant_has_nothing_to_seal() {
    let folder = Folder::new();
    let setting = folder.serving().await;
    setting.connected("good").await;
    let lost = setting.connected("lost").await;
    setting.answers(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    assert!(
        setting
            .vault
            .access_token(&lost, Freshness::Refreshed)
            .await
            .is_err()
    );
    let foreign = SealingKeys::new(SealingKey::from_bytes(&[9; 32]), Vec::new());
    let foreign = setting.another_host(setting.database.clone(), foreign);
    foreign
        .adopt(&ConnectionId::new("foreign"), grant_tokens("sub"))
        .await
        .unwrap();
    let rotation = folder.rotate().await.unwrap();
    assert_eq!((rotation.anew.values, rotation.anew.unreadable), (2, 2));
    assert!(
        setting
            .vault
            .access_token(&ConnectionId::new("good"), Freshness::Valid)
            .await
            .is_ok()
    );
}
