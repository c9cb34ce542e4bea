use std::sync::Arc;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    scope::{ConnectionId, TenantId, UserId},
    sqlite::Database,
};

fn scope(account: &str) -> Scope {
    Scope {
        tenant: TenantId::new("t"),
        user: UserId::new("u"),
        connection: ConnectionId::new("c"),
        account: account.into(),
    }
}

fn buckets(account: u64, project: u64) -> (Arc<ManualClock>, TokenBuckets) {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let quota = TokenBuckets::new(clock.clone(), Rates { account, project });
    (clock, quota)
}

#[tokio::test]
async fn a_turn_comes_at_once_while_the_minute_has_units_and_else_it_is_said_when() {
    let (clock, quota) = buckets(600, 10_000);
    quota.acquire(&scope("a"), 600, Class::Send).await.unwrap();
    let error = quota.acquire(&scope("a"), 600, Class::Send).await.unwrap_err();
    assert_eq!(error, QuotaError::WaitUntil(1_061_500));
    clock.advance(61_500);
    quota.acquire(&scope("a"), 600, Class::Send).await.unwrap();
}

#[test]
fn an_audit_leaves_half_of_the_quota_to_the_others() {
    let (_, quota) = buckets(1_000, 100_000);
    assert_eq!(quota.try_take("a", 500, Class::Audit), Ok(()));
    assert_eq!(quota.try_take("a", 500, Class::Audit), Err(1_061_500));
    assert_eq!(quota.try_take("a", 500, Class::Send), Ok(()));
}

#[test]
fn no_minute_holds_more_than_its_units_however_they_are_spread() {
    let (clock, quota) = buckets(600, 100_000);
    let mut turns: Vec<u64> = Vec::new();
    for _ in 0..2_000 {
        if quota.try_take("a", 7, Class::Send).is_ok() {
            turns.push(clock.now());
        }
        clock.advance(97);
    }
    let most = |at: u64| {
        turns
            .iter()
            .filter(|turn| (at..at + 60_000).contains(turn))
            .count()
    };
    let busiest = turns.iter().map(|at| most(*at)).max().unwrap();
    assert!(
        (80..=85).contains(&busiest),
        "{busiest} turns of 7 in a minute of 600"
    );
}

#[tokio::test]
async fn a_short_wait_is_waited_for() {
    let (clock, quota) = buckets(600, 10_000);
    quota.acquire(&scope("a"), 600, Class::Send).await.unwrap();
    clock.advance(52_000);
    let scope = scope("a");
    let waiting = quota.acquire(&scope, 100, Class::Send);
    let moving = async {
        tokio::task::yield_now().await;
        clock.advance(10_000);
    };
    let (turn, ()) = tokio::join!(waiting, moving);
    assert_eq!(turn, Ok(()));
}

#[tokio::test]
async fn all_accounts_share_the_projects_minute() {
    let (_, quota) = buckets(1_000, 1_000);
    quota.acquire(&scope("a"), 1_000, Class::Send).await.unwrap();
    let error = quota.acquire(&scope("b"), 1_000, Class::Send).await;
    assert!(matches!(error, Err(QuotaError::WaitUntil(_))));
}

#[tokio::test]
async fn a_penalty_of_one_mailbox_does_not_touch_another() {
    let (clock, quota) = buckets(1_000, 10_000);
    let until = clock.now() + 3_600_000;
    quota.report(&scope("a"), Penalty::MailboxUntil(until));
    let error = quota.acquire(&scope("a"), 1, Class::Live).await;
    assert_eq!(error, Err(QuotaError::WaitUntil(until)));
    quota.acquire(&scope("b"), 1, Class::Live).await.unwrap();
}

#[tokio::test]
async fn a_sending_penalty_bars_only_sending_also_when_unmetered() {
    let clock = Arc::new(ManualClock::at(0));
    let quota = Unmetered::new(clock);
    quota.report(&scope("a"), Penalty::SendingUntil(86_400_000));
    quota.acquire(&scope("a"), 1_000_000, Class::Live).await.unwrap();
    let error = quota.acquire(&scope("a"), 1, Class::Send).await;
    assert_eq!(error, Err(QuotaError::WaitUntil(86_400_000)));
}

#[test]
fn too_many_at_once_halves_what_is_in_flight_and_quiet_minutes_give_it_back() {
    let (clock, quota) = buckets(1_000, 1_000);
    assert_eq!(quota.in_flight(&scope("a")), 8);
    // All that were in flight are refused together: one complaint.
    for _ in 0..8 {
        quota.report(&scope("a"), Penalty::Concurrency);
        clock.advance(50);
    }
    assert_eq!(quota.in_flight(&scope("a")), 4);
    clock.advance(1_000);
    quota.report(&scope("a"), Penalty::Concurrency);
    assert_eq!(quota.in_flight(&scope("a")), 2);
    assert_eq!(quota.in_flight(&scope("b")), 8);
    clock.advance(180_000);
    assert_eq!(quota.in_flight(&scope("a")), 5);
    clock.advance(180_000);
    assert_eq!(quota.in_flight(&scope("a")), 8);
}

#[test]
fn however_often_there_are_too_many_one_request_may_always_be_in_flight() {
    let (clock, quota) = buckets(1_000, 1_000);
    for _ in 0..10 {
        quota.report(&scope("a"), Penalty::Concurrency);
        clock.advance(1_000);
    }
    assert_eq!(quota.in_flight(&scope("a")), 1);
}

#[test]
fn under_pressure_each_class_gets_its_turns_before_those_after_it() {
    const CLASSES: [Class; 4] = [Class::Audit, Class::Backfill, Class::Live, Class::Send];
    let (clock, quota) = buckets(1_000, 1_000);
    let mut last = [0; 4];
    let mut taken = [0; 4];
    // Everybody wants a turn all the time, the least important first.
    for round in 0..100 {
        for (class, (last, taken)) in CLASSES.into_iter().zip(last.iter_mut().zip(taken.iter_mut())) {
            if quota.try_take("a", 10, class).is_ok() {
                *last = round;
                *taken += 10;
            }
        }
        clock.advance(100);
    }
    assert!(
        last[0] < last[1] && last[1] < last[2] && last[2] < last[3],
        "{last:?}"
    );
    assert_eq!(taken.iter().sum::<u32>(), 1_000);
    assert!(
        taken[0] < taken[1] && taken[1] < taken[2] && taken[2] < taken[3],
        "{taken:?}"
    );
}

#[tokio::test]
async fn an_audit_of_one_mailbox_leaves_the_projects_units_to_the_mail_of_another() {
    let (_, quota) = buckets(1_000, 1_000);
    quota.acquire(&scope("a"), 500, Class::Audit).await.unwrap();
    let more = quota.acquire(&scope("b"), 1, Class::Audit).await;
    assert!(matches!(more, Err(QuotaError::WaitUntil(_))));
    quota.acquire(&scope("b"), 400, Class::Live).await.unwrap();
    quota.acquire(&scope("c"), 100, Class::Send).await.unwrap();
}

async fn keeping(clock: &Arc<ManualClock>, penalties: &SqlitePenalties) -> TokenBuckets {
    let rates = Rates {
        account: 1_000,
        project: 10_000,
    };
    let kept = TokenBuckets::keeping(clock.clone(), rates, Arc::new(penalties.clone()));
    kept.await.unwrap()
}

#[tokio::test]
async fn a_penalty_outlives_the_process_it_was_told_in() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let penalties = SqlitePenalties::new(Database::in_memory().unwrap()).unwrap();
    let before = keeping(&clock, &penalties).await;
    let until = clock.now() + 3_600_000;
    before.report(&scope("a"), Penalty::MailboxUntil(until));
    before.report(&scope("b"), Penalty::SendingUntil(until));
    before.report(&scope("c"), Penalty::Concurrency);
    before.keep().await;
    drop(before);

    clock.advance(60_000);
    let after = keeping(&clock, &penalties).await;
    let barred = after.acquire(&scope("a"), 1, Class::Live).await;
    assert_eq!(barred, Err(QuotaError::WaitUntil(until)));
    after.acquire(&scope("b"), 1, Class::Live).await.unwrap();
    let barred = after.acquire(&scope("b"), 1, Class::Send).await;
    assert_eq!(barred, Err(QuotaError::WaitUntil(until)));
    assert_eq!(after.in_flight(&scope("c")), 5);

    clock.advance(3_600_000);
    keeping(&clock, &penalties)
        .await
        .acquire(&scope("a"), 1, Class::Live)
        .await
        .unwrap();
}

#[tokio::test]
async fn another_host_on_the_same_database_learns_of_a_penalty_within_seconds() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let penalties = SqlitePenalties::new(Database::in_memory().unwrap()).unwrap();
    let (one, other) = (
        keeping(&clock, &penalties).await,
        keeping(&clock, &penalties).await,
    );
    other.acquire(&scope("b"), 1, Class::Live).await.unwrap();
    let until = clock.now() + 3_600_000;
    one.report(&scope("a"), Penalty::MailboxUntil(until));
    one.keep().await;
    clock.advance(5_000);
    // Asks beside this turn.
    other.acquire(&scope("b"), 1, Class::Live).await.unwrap();
    tokio::task::yield_now().await;
    other.keep().await;
    let barred = other.acquire(&scope("a"), 1, Class::Live).await;
    assert_eq!(barred, Err(QuotaError::WaitUntil(until)));
}

/// A store that does not answer at first.
#[derive(Default)]
struct Flaky {
    asked: std::sync::atomic::AtomicU32,
    told: std::sync::Mutex<Vec<(String, Standing)>>,
}

#[async_trait]
impl Penalties for Flaky {
    async fn exchange(
        &self,
        learnt: &[(String, Standing)],
        _: u64,
    ) -> Result<Vec<(String, Standing)>, crate::store::StoreError> {
        if self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            return Err(crate::store::StoreError::Unavailable("busy".into()));
        }
        self.told.lock().unwrap().extend_from_slice(learnt);
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn what_could_not_be_kept_is_kept_later_and_holds_meanwhile() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let flaky = Arc::new(Flaky::default());
    let rates = Rates {
        account: 1_000,
        project: 10_000,
    };
    let quota = TokenBuckets::keeping(clock.clone(), rates, flaky.clone())
        .await
        .unwrap();
    quota.report(&scope("a"), Penalty::MailboxUntil(2_000_000));
    quota.keep().await;
    let barred = quota.acquire(&scope("a"), 1, Class::Live).await;
    assert_eq!(barred, Err(QuotaError::WaitUntil(2_000_000)));
    quota.keep().await;
    let told = flaky.told.lock().unwrap().clone();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1.until, 2_000_000);
}

#[test]
fn a_misread_date_bars_nobody_for_more_than_a_day() {
    let (clock, quota) = buckets(1_000, 1_000);
    quota.report(&scope("a"), Penalty::ProjectUntil(u64::MAX));
    let day = clock.now() + 24 * 3_600_000;
    assert_eq!(quota.try_take("a", 1, Class::Send), Err(day));
    // S33: a guest's word about the project is about its own account.
    assert_eq!(quota.try_take("b", 1, Class::Send), Ok(()));
}
