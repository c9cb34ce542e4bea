//! No tenant's plugin reaches another tenant's data (S33), and no overtaken pass writes.

use std::sync::Arc;

use crate::harness::{World, command, said, tight};

#[tokio::test]
async fn s33_the_same_key_of_another_tenant_is_another_entry() {
    let ours = World::new("ours");
    let theirs = World {
        store: ours.store.clone(),
        ..World::new("theirs")
    };
    assert_eq!(said(&command(&ours, tight(), "store key secret").await), "stored");
    assert_eq!(said(&command(&theirs, tight(), "read key").await), "nothing");
    assert_eq!(
        said(&command(&theirs, tight(), "store key other").await),
        "stored"
    );
    assert_eq!(said(&command(&ours, tight(), "read key").await), "secret");
}

#[tokio::test]
async fn a_pass_that_was_overtaken_writes_nothing() {
    let old = World::new("t");
    let new = World {
        fence: 2,
        store: old.store.clone(),
        ..World::new("t")
    };
    assert_eq!(said(&command(&new, tight(), "store key new").await), "stored");
    assert!(said(&command(&old, tight(), "store key old").await).contains("Fenced"));
    assert_eq!(said(&command(&old, tight(), "read key").await), "new");
}

#[tokio::test]
async fn s33_hostile_neighbours_do_no_harm() {
    let ours = Arc::new(World::new("ours"));
    let hostile = ["spin", "allocate", "recurse", "panic", "handles"];
    let attacks = hostile.map(|text| {
        tokio::spawn(async move {
            command(&World::new("theirs"), tight(), text)
                .await
                .result
                .is_err()
        })
    });
    for turn in 0..10 {
        let stored = command(&ours, tight(), &format!("store key {turn}")).await;
        assert_eq!(said(&stored), "stored");
        assert_eq!(said(&command(&ours, tight(), "read key").await), turn.to_string());
    }
    for attack in attacks {
        assert!(attack.await.unwrap());
    }
}
