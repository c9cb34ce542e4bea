//! Claims in SQLite: one owner, whoever is how fast; free with the last who holds it; silent about others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{Sharing, SharingError, SqliteSharing, Standing};
use crate::{
    Database, Durability,
    clock::SystemClock,
    scope::{ConnectionId, Scope, TenantId, UserId},
};

const ANN: &str = "ann@client.example";
const BOB: &str = "bob@client.example";

fn sharing() -> SqliteSharing {
    over(Database::in_memory().unwrap())
}

fn over(database: Database) -> SqliteSharing {
    SqliteSharing::new(database, Arc::new(SystemClock)).unwrap()
}

/// Connection `n` of a tenant.
fn scope(tenant: &str, n: u32) -> Scope {
    Scope {
        tenant: TenantId::new(tenant),
        user: UserId::new(format!("u{n}")),
        connection: ConnectionId::new(format!("{tenant}.{n}")),
        account: "google-1".to_owned(),
    }
}

async fn standing(sharing: &SqliteSharing, scope: &Scope, address: &str) -> Standing {
    sharing.standings(scope, &[address.to_owned()]).await.unwrap()[0]
}

fn is_released(standing: Standing) -> bool {
    matches!(standing, Standing::Released(_))
}

#[tokio::test]
async fn s31_the_first_to_claim_keeps_the_contact_and_claims_it_again_as_often_as_it_likes() {
    let (sharing, a, b) = (sharing(), scope("a", 1), scope("b", 1));
    assert_eq!(standing(&sharing, &a, ANN).await, Standing::Open);
    for _ in 0..2 {
        assert_eq!(sharing.claim(&a, ANN).await, Ok(Standing::Kept));
        assert!(is_released(sharing.claim(&b, ANN).await.unwrap()));
    }
    let both = [ANN.to_owned(), BOB.to_owned()];
    let seen = sharing.standings(&b, &both).await.unwrap();
    assert!(is_released(seen[0]));
    assert_eq!(seen[1], Standing::Open);
    assert_eq!(
        sharing.standings(&a, &both).await.unwrap(),
        [Standing::Kept, Standing::Open]
    );
}

#[tokio::test]
async fn s31_another_mailbox_is_another_matter() {
    let (sharing, a) = (sharing(), scope("a", 1));
    sharing.claim(&a, ANN).await.unwrap();
    let elsewhere = Scope {
        account: "google-2".to_owned(),
        ..scope("b", 1)
    };
    assert_eq!(standing(&sharing, &elsewhere, ANN).await, Standing::Open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s31_of_many_who_claim_at_the_same_time_in_several_processes_one_keeps_the_contact() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    for round in 0..8 {
        let address = format!("p{round}@client.example");
        let claims = (0..6).map(|number| {
            // A connection to the file of its own, as another process has.
            let sharing = over(Database::open(&path, Durability::ProcessDeath).unwrap());
            let address = address.clone();
            tokio::spawn(async move {
                let scope = scope(&format!("t{number}"), 1);
                sharing.claim(&scope, &address).await.unwrap()
            })
        });
        let mut kept = 0;
        for claim in claims.collect::<Vec<_>>() {
            match claim.await.unwrap() {
                Standing::Kept => kept += 1,
                standing => assert!(is_released(standing), "{standing:?}"),
            }
        }
        assert_eq!(kept, 1, "round {round}");
    }
}

#[tokio::test]
async fn s31_a_claim_is_free_when_its_tenant_leaves_and_not_before() {
    let (sharing, b) = (sharing(), scope("b", 1));
    let (first, second) = (scope("a", 1), scope("a", 2));
    for scope in [&first, &second, &b] {
        sharing.join(scope).await.unwrap();
    }
    sharing.claim(&first, ANN).await.unwrap();
    assert_eq!(standing(&sharing, &second, ANN).await, Standing::Kept);
    sharing.leave(&first).await.unwrap();
    sharing.leave(&first).await.unwrap();
    assert!(
        is_released(standing(&sharing, &b, ANN).await),
        "the second holds it now"
    );
    sharing.leave(&second).await.unwrap();
    assert_eq!(sharing.claim(&b, ANN).await, Ok(Standing::Kept));
}

#[tokio::test]
async fn s31_a_pass_that_outlives_its_connection_claims_nothing() {
    let (sharing, a, b) = (sharing(), scope("a", 1), scope("b", 1));
    sharing.leave(&a).await.unwrap();
    assert_eq!(sharing.claim(&a, ANN).await, Err(SharingError::Left));
    assert_eq!(standing(&sharing, &b, ANN).await, Standing::Open);
    sharing.join(&a).await.unwrap();
    assert_eq!(sharing.claim(&a, ANN).await, Ok(Standing::Kept));
}

#[tokio::test]
async fn s31_a_contact_is_released_by_each_of_its_holders_and_by_nobody_else() {
    let (sharing, b) = (sharing(), scope("b", 1));
    let (first, second) = (scope("a", 1), scope("a", 2));
    sharing.claim(&first, ANN).await.unwrap();
    sharing.claim(&second, ANN).await.unwrap();
    sharing.release(&b, ANN).await.unwrap();
    sharing.release(&first, ANN).await.unwrap();
    assert!(is_released(standing(&sharing, &b, ANN).await));
    sharing.release(&second, ANN).await.unwrap();
    sharing.release(&second, ANN).await.unwrap();
    assert_eq!(standing(&sharing, &b, ANN).await, Standing::Open);
}

#[tokio::test]
async fn s33_limits_and_errors_are_the_same_whoever_else_is_there() {
    let (alone, shared) = (sharing(), sharing());
    let other = scope("b", 1);
    shared.claim(&other, ANN).await.unwrap();
    let many = vec![ANN.to_owned(); 1_001];
    let long = format!("{}@client.example", "x".repeat(400));
    for sharing in [&alone, &shared] {
        let a = scope("a", 1);
        assert_eq!(
            sharing.standings(&a, &many).await,
            Err(SharingError::OverLimit("1001 addresses in one call".to_owned()))
        );
        assert_eq!(
            sharing.claim(&a, &long).await,
            Err(SharingError::OverLimit("an address of 415 bytes".to_owned()))
        );
        sharing.leave(&a).await.unwrap();
        assert_eq!(sharing.claim(&a, ANN).await, Err(SharingError::Left));
        assert_eq!(sharing.release(&a, ANN).await, Err(SharingError::Left));
    }
}

/// What claims should be, told in the simplest way: who holds each contact.
#[derive(Default)]
struct Model {
    holders: BTreeMap<&'static str, BTreeSet<(usize, u32)>>,
    left: BTreeSet<(usize, u32)>,
}

impl Model {
    fn owner(&self, address: &str) -> Option<usize> {
        self.holders.get(address)?.first().map(|(tenant, _)| *tenant)
    }

    fn claims(&mut self, who: (usize, u32), address: &'static str) {
        let is_free = self.owner(address).is_none_or(|owner| owner == who.0);
        if is_free && !self.left.contains(&who) {
            self.holders.entry(address).or_default().insert(who);
        }
    }

    fn leaves(&mut self, who: (usize, u32)) {
        if !self.left.insert(who) {
            return;
        }
        let colleague = (who.0, 3 - who.1);
        let heir = Some(colleague).filter(|colleague| !self.left.contains(colleague));
        for holders in self.holders.values_mut() {
            if holders.remove(&who) {
                holders.extend(heir);
            }
        }
    }
}

#[tokio::test]
async fn s31_of_a_thousand_random_interleavings_none_has_two_owners_or_a_leak_and_all_end_as_the_model_says()
{
    const TENANTS: [&str; 3] = ["a", "b", "c"];
    const CONTACTS: [&str; 2] = [ANN, BOB];
    let sharing = sharing();
    for seed in 0..1_000 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut model = Model::default();
        let scope = |(tenant, user): (usize, u32)| Scope {
            connection: ConnectionId::new(format!("{seed}.{tenant}.{user}")),
            account: format!("google-{seed}"),
            ..scope(TENANTS[tenant], user)
        };
        for tenant in 0..3 {
            for user in 1..3 {
                sharing.join(&scope((tenant, user))).await.unwrap();
            }
        }
        for _ in 0..40 {
            let who = (random.random_range(0..3), random.random_range(1..3));
            let address = CONTACTS[random.random_range(0..2)];
            match random.random_range(0..10) {
                0..5 => {
                    model.claims(who, address);
                    let claimed = sharing.claim(&scope(who), address).await;
                    let kept = claimed == Ok(Standing::Kept);
                    let has_left = model.left.contains(&who);
                    assert_eq!(
                        kept,
                        !has_left && model.owner(address) == Some(who.0),
                        "seed {seed}"
                    );
                    assert_eq!(claimed == Err(SharingError::Left), has_left, "seed {seed}");
                }
                5 | 6 => {
                    if let Some(holders) = model.holders.get_mut(address)
                        && !model.left.contains(&who)
                    {
                        holders.remove(&who);
                    }
                    let released = sharing.release(&scope(who), address).await;
                    assert_eq!(released.is_err(), model.left.contains(&who), "seed {seed}");
                }
                7 | 8 => {
                    model.leaves(who);
                    sharing.leave(&scope(who)).await.unwrap();
                }
                _ => {
                    model.left.remove(&who);
                    sharing.join(&scope(who)).await.unwrap();
                }
            }
            for address in CONTACTS {
                let mut owners = 0;
                for tenant in 0..3 {
                    let seen = standing(&sharing, &scope((tenant, 1)), address).await;
                    owners += u32::from(seen == Standing::Kept);
                    let expected = match model.owner(address) {
                        None => seen == Standing::Open,
                        Some(owner) if owner == tenant => seen == Standing::Kept,
                        Some(_) => is_released(seen),
                    };
                    assert!(expected, "seed {seed}: {seen:?} of tenant {tenant}");
                }
                assert!(owners <= 1, "seed {seed}: two owners");
            }
        }
        for tenant in 0..3 {
            for user in 1..3 {
                sharing.leave(&scope((tenant, user))).await.unwrap();
            }
        }
        let left = standing(&sharing, &scope((0, 1)), ANN).await;
        assert_eq!(left, Standing::Open, "seed {seed}: what nobody holds is free");
    }
}
