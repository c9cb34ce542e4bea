//! No tenant's plugin reaches another tenant's data (S33), and no overtaken pass writes.

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
