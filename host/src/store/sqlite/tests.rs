use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    contract::Problem,
    scope::{Scope, TenantId, UserId},
    store::{Announced, ConnectionStatus, Standing},
};

fn store() -> SqliteStore {
    SqliteStore::in_memory().unwrap()
}

fn id(text: &str) -> ConnectionId {
    ConnectionId::new(text)
}

async fn lease(store: &SqliteStore, connection: &str) -> Lease {
    store.acquire(&id(connection), 0, 1_000).await.unwrap().unwrap()
}

fn put(key: &str, value: &str) -> Change {
    Change {
        key: key.into(),
        value: Some(value.into()),
    }
}

fn remove(key: &str) -> Change {
    Change {
        key: key.into(),
        value: None,
    }
}

fn expect(key: &str, version: Option<u64>) -> Expectation {
    Expectation {
        key: key.into(),
        version,
    }
}

async fn version(store: &SqliteStore, connection: &str, key: &str) -> Option<u64> {
    let entries = store.get(&id(connection), &[key.into()]).await.unwrap();
    entries[0].as_ref().map(|entry| entry.version)
}

fn keys(page: &Page) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.key.as_str()).collect()
}

#[tokio::test]
async fn a_commit_with_an_old_fence_is_refused_and_writes_nothing() {
    let store = store();
    let old = lease(&store, "c").await;
    let new = store.acquire(&id("c"), 1_000, 2_000).await.unwrap().unwrap();
    assert!(new.fence > old.fence);
    let refused = store.commit(&old, &[], &[put("k", "zombie")]).await;
    assert!(matches!(refused, Err(CommitError::Fenced)));
    assert_eq!(version(&store, "c", "k").await, None);
    store.commit(&new, &[], &[put("k", "v")]).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_was_given_back_writes_nothing() {
    let store = store();
    let lease = lease(&store, "c").await;
    store.release(&lease).await.unwrap();
    let refused = store.commit(&lease, &[], &[put("k", "v")]).await;
    assert!(matches!(refused, Err(CommitError::Fenced)));
    assert!(!store.renew(&lease, 9_000).await.unwrap());
}

#[tokio::test]
async fn a_lease_is_held_until_it_expires_and_its_fence_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let first = lease(&store, "c").await;
    assert_eq!(store.acquire(&id("c"), 999, 5_000).await.unwrap(), None);
    assert!(store.renew(&first, 3_000).await.unwrap());
    assert_eq!(store.acquire(&id("c"), 2_999, 5_000).await.unwrap(), None);
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    let second = store.acquire(&id("c"), 3_000, 5_000).await.unwrap().unwrap();
    assert_eq!(second.fence, first.fence + 1);
    assert!(!store.renew(&first, 9_000).await.unwrap());
    store.release(&first).await.unwrap();
    assert_eq!(store.acquire(&id("c"), 4_000, 9_000).await.unwrap(), None);
}

#[tokio::test]
async fn a_stale_commit_answers_what_the_keys_hold_now_in_the_order_asked() {
    let store = store();
    let lease = lease(&store, "c").await;
    store
        .commit(&lease, &[], &[put("a", "1"), put("b", "2")])
        .await
        .unwrap();
    let b = version(&store, "c", "b").await;
    let stale = store
        .commit(
            &lease,
            &[expect("b", b), expect("none", None), expect("a", None)],
            &[put("a", "9")],
        )
        .await;
    let Err(CommitError::Stale(now)) = stale else {
        panic!("{stale:?}")
    };
    let values: Vec<_> = now
        .iter()
        .map(|entry| entry.as_ref().map(|entry| entry.value.as_slice()))
        .collect();
    assert_eq!(values, [Some(b"2".as_slice()), None, Some(b"1")]);
    let entries = store.get(&id("c"), &["a".into()]).await.unwrap();
    assert_eq!(entries[0].as_ref().unwrap().value, b"1");
}

#[tokio::test]
async fn a_version_is_never_used_again_even_after_a_removal() {
    let store = store();
    let lease = lease(&store, "c").await;
    store.commit(&lease, &[], &[put("k", "same")]).await.unwrap();
    let first = version(&store, "c", "k").await.unwrap();
    assert_ne!(first, 0);
    store.commit(&lease, &[], &[remove("k")]).await.unwrap();
    store.commit(&lease, &[], &[put("k", "same")]).await.unwrap();
    assert!(version(&store, "c", "k").await.unwrap() > first);
}

#[tokio::test]
async fn s33_two_connections_never_see_each_others_keys() {
    let store = store();
    let (a, b) = (lease(&store, "a").await, lease(&store, "ab").await);
    store.commit(&a, &[], &[put("cursor", "of a")]).await.unwrap();
    store
        .commit(&b, &[], &[put("cursor", "of b"), put("bcursor", "b")])
        .await
        .unwrap();
    let entries = store.get(&id("a"), &["cursor".into()]).await.unwrap();
    assert_eq!(entries[0].as_ref().unwrap().value, b"of a");
    let page = store.scan(&id("a"), "", None, 10).await.unwrap();
    assert_eq!(keys(&page), ["cursor"]);
    store
        .commit(&a, &[], &[remove("cursor"), remove("bcursor")])
        .await
        .unwrap();
    assert_eq!(
        store.scan(&id("ab"), "", None, 10).await.unwrap().entries.len(),
        2
    );
}

#[tokio::test]
async fn a_commit_over_its_limits_names_the_key_and_writes_nothing() {
    let store = store();
    let lease = lease(&store, "c").await;
    let long = "k".repeat(KEY_LIMIT + 1);
    let big = Change {
        key: "big".into(),
        value: Some(vec![0; VALUE_LIMIT + 1]),
    };
    let full = Change {
        key: "full".into(),
        value: Some(vec![0; VALUE_LIMIT]),
    };
    let many = vec![put("k", "v"); CHANGES_LIMIT + 1];
    for changes in [
        vec![put("a", "1"), put(&long, "v")],
        vec![put("a", "1"), big],
        vec![full; 9],
        many,
    ] {
        let refused = store.commit(&lease, &[], &changes).await;
        assert!(matches!(
            refused,
            Err(CommitError::Store(StoreError::OverLimit(_)))
        ));
    }
    assert_eq!(version(&store, "c", "a").await, None);
    let most = put(&"k".repeat(KEY_LIMIT), &"v".repeat(VALUE_LIMIT));
    store.commit(&lease, &[], &[most]).await.unwrap();
}

#[tokio::test]
async fn a_scan_answers_pages_in_the_order_of_bytes() {
    let store = store();
    let lease = lease(&store, "c").await;
    let written = [
        "m/\u{10ffff}",
        "m/b",
        "n",
        "m/é",
        "m/a",
        "m",
        "m/B",
        "m0",
        "m/\u{7f}",
    ];
    let changes: Vec<_> = written.iter().map(|key| put(key, "v")).collect();
    store.commit(&lease, &[], &changes).await.unwrap();
    let first = store.scan(&id("c"), "m/", None, 4).await.unwrap();
    assert_eq!(keys(&first), ["m/B", "m/a", "m/b", "m/\u{7f}"]);
    assert!(first.more);
    let rest = store.scan(&id("c"), "m/", Some("m/\u{7f}"), 4).await.unwrap();
    assert_eq!(keys(&rest), ["m/é", "m/\u{10ffff}"]);
    assert!(!rest.more);
    assert!(keys(&store.scan(&id("c"), "m/", Some("z"), 4).await.unwrap()).is_empty());
}

#[tokio::test]
async fn a_page_of_large_values_ends_early_and_says_that_more_follow() {
    let store = store();
    let lease = lease(&store, "c").await;
    for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        let change = Change {
            key: key.into(),
            value: Some(vec![0; VALUE_LIMIT]),
        };
        store.commit(&lease, &[], &[change]).await.unwrap();
    }
    let page = store.scan(&id("c"), "", None, 1_000).await.unwrap();
    assert_eq!(page.entries.len(), 7);
    assert!(page.more);
}

#[tokio::test]
async fn a_connection_is_found_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let connection = |name: &str, created_at| Connection {
        scope: Scope {
            tenant: TenantId::new("t"),
            user: UserId::new("u"),
            connection: id(name),
            account: "sub".into(),
        },
        address: "ann@example.com".into(),
        status: ConnectionStatus::NeedsReconnect,
        settings: "{}".into(),
        created_at,
        last_run_at: Some(7),
        next_run_at: None,
        failures: 2,
        problem: Some(Problem::RateLimited(9)),
        announced: Announced::default(),
        standing: Standing::default(),
        revision: 0,
    };
    let written = |name, created_at| Connection {
        revision: 1,
        ..connection(name, created_at)
    };
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.put(&connection("young", 2)).await.unwrap(), Put::Written);
    assert_eq!(store.put(&connection("old", 1)).await.unwrap(), Put::Written);
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.find(&id("old")).await.unwrap(), Some(written("old", 1)));
    assert_eq!(store.find(&id("none")).await.unwrap(), None);
    let all = store.list().await.unwrap();
    assert_eq!(all, [written("old", 1), written("young", 2)]);

    let ended = Connection {
        status: ConnectionStatus::Disconnected,
        ..written("old", 1)
    };
    assert_eq!(store.put(&ended).await.unwrap(), Put::Written);
    assert_eq!(store.put(&written("old", 1)).await.unwrap(), Put::Stale, "s06");
    let there = store.find(&id("old")).await.unwrap().unwrap();
    assert_eq!(
        (there.status, there.revision),
        (ConnectionStatus::Disconnected, 2)
    );
}

#[tokio::test]
async fn a_mailbox_is_found_by_any_of_its_addresses_also_in_rows_of_an_older_version() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let connection = |name: &str, address: &str, created_at| Connection {
        scope: Scope {
            tenant: TenantId::new(name),
            user: UserId::new("u"),
            connection: id(name),
            account: "sub".into(),
        },
        address: address.into(),
        status: ConnectionStatus::Active,
        settings: "{}".into(),
        created_at,
        last_run_at: None,
        next_run_at: None,
        failures: 0,
        problem: None,
        announced: Announced::default(),
        standing: Standing::default(),
        revision: 0,
    };
    let store = SqliteStore::open(&path).unwrap();
    for (name, address, created_at) in [
        ("second", "ann.a@gmail.com", 2),
        ("first", "Ann.A@googlemail.com", 1),
        ("other", "ann@example.com", 3),
    ] {
        let put = store.put(&connection(name, address, created_at)).await.unwrap();
        assert_eq!(put, Put::Written);
    }
    let found = async |store: &SqliteStore, address: &str| -> Vec<String> {
        let found = store.of_mailbox(address).await.unwrap();
        let names = found.iter().map(|found| found.scope.connection.to_string());
        names.collect()
    };
    assert_eq!(found(&store, "anna@gmail.com").await, ["first", "second"]);
    store
        .database
        .call_blocking(|sql| {
            sql.execute_batch(
                "DROP INDEX store_connection_by_mailbox;
                 ALTER TABLE store_connection DROP COLUMN mailbox;
                 UPDATE schema SET version = 2 WHERE part = 'store';",
            )
        })
        .unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(found(&store, "ANNA@gmail.com").await, ["first", "second"]);
    assert_eq!(found(&store, "ann@example.com").await, ["other"]);
    assert!(found(&store, "eve@example.com").await.is_empty());
}

/// One step of the property test: a commit with one expectation that holds or not, and changes.
#[derive(Clone, Debug)]
struct Step {
    expected: String,
    holds: bool,
    changes: Vec<(String, Option<Vec<u8>>)>,
}

fn key() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just('a'),
            Just('b'),
            Just('/'),
            Just('é'),
            Just('\u{10ffff}'),
            Just('\0')
        ],
        0..4,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let change = (
        key(),
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..3)),
    );
    (key(), any::<bool>(), proptest::collection::vec(change, 0..6)).prop_map(|(expected, holds, changes)| {
        Step {
            expected,
            holds,
            changes,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_behaves_like_an_ordered_map(steps in proptest::collection::vec(step(), 1..12), prefix in key(), after in proptest::option::of(key()), limit in 0_u32..6) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = store();
            let lease = lease(&store, "c").await;
            let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            for step in steps {
                let now = version(&store, "c", &step.expected).await;
                prop_assert_eq!(now.is_some(), model.contains_key(step.expected.as_bytes()));
                let version = if step.holds { now } else { Some(now.unwrap_or(0) + 1) };
                let changes: Vec<_> = step
                    .changes
                    .iter()
                    .map(|(key, value)| Change { key: key.clone(), value: value.clone() })
                    .collect();
                let done = store.commit(&lease, &[expect(&step.expected, version)], &changes).await;
                prop_assert_eq!(done.is_ok(), step.holds);
                if step.holds {
                    for (key, value) in step.changes {
                        match value {
                            Some(value) => model.insert(key.into_bytes(), value),
                            None => model.remove(key.as_bytes()),
                        };
                    }
                }
            }
            let page = store.scan(&id("c"), &prefix, after.as_deref(), limit).await.unwrap();
            let expected: Vec<_> = model
                .iter()
                .filter(|(key, _)| key.starts_with(prefix.as_bytes()))
                .filter(|(key, _)| after.as_ref().is_none_or(|after| key.as_slice() > after.as_bytes()))
                .collect();
            let found: Vec<_> = page.entries.iter().map(|entry| (entry.key.as_bytes().to_vec(), entry.value.clone())).collect();
            let first: Vec<_> = expected.iter().take(limit as usize).map(|(key, value)| ((*key).clone(), (*value).clone())).collect();
            prop_assert_eq!(found, first);
            prop_assert_eq!(page.more, expected.len() > limit as usize);
            Ok(())
        })?;
    }
}
