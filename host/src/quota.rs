//! Turns at the provider's quota, shared by all connections of one provider project.
//!
//! [`TokenBuckets`] counts each turn twice: for the account and for the project. The lower a class,
//! the more of a minute's units it leaves to those before it, so that mail somebody waits for never
//! queues behind an audit. A wait of more than 30 s is not made: the pass ends and comes back.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{clock::Clock, scope::Scope};

/// The longest penalty believed, ms: a day. Longer ones are misread dates.
const LONGEST_PENALTY: u64 = 24 * 3_600_000;
/// The longest a pass is kept waiting for its turn, ms.
pub const LONGEST_WAIT: u64 = 30_000;

/// The provider's sliding minute, and a second for requests that arrive later than their turn, ms.
const MINUTE: u64 = 61_000;
/// Turns are counted together for so long, ms.
const SLOT: u64 = 500;

/// Requests in flight per mailbox while the provider does not complain.
const IN_FLIGHT: u32 = 8;

/// Accounts whose state is kept at most; the one unused longest is forgotten.
const ACCOUNTS: usize = 100_000;

/// Who goes first, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A person waits for their mail to be sent.
    Send,
    /// New mail.
    Live,
    /// Mail from a gap.
    Backfill,
    /// Checking.
    Audit,
}

impl Class {
    /// The share of a minute's units, in percent, that this class leaves to those before it.
    fn reserve(self) -> u64 {
        match self {
            Self::Send => 0,
            Self::Live => 10,
            Self::Backfill => 25,
            Self::Audit => 50,
        }
    }
}

/// What the provider said. Times in ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Penalty {
    /// Nothing more for this mailbox until then.
    MailboxUntil(u64),
    /// No sending from this mailbox until then.
    SendingUntil(u64),
    /// Nothing more for the whole project until then.
    ProjectUntil(u64),
    /// Too many requests at the same time for this mailbox.
    Concurrency,
}

/// Why no turn came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum QuotaError {
    /// None before then, ms since the epoch.
    #[error("no turn before {0}")]
    WaitUntil(u64),
    /// No turn will ever come; why.
    #[error("{0}")]
    Refused(String),
}

/// Turns at the provider's quota.
#[async_trait]
pub trait Quota: Send + Sync {
    /// Waits for a turn of so many of the provider's units.
    async fn acquire(&self, scope: &Scope, units: u32, class: Class) -> Result<(), QuotaError>;

    /// Takes note of what the provider said.
    fn report(&self, scope: &Scope, penalty: Penalty);

    /// How many requests the mailbox may have in flight now; at least 1.
    fn in_flight(&self, scope: &Scope) -> u32;
}

/// What the provider allows, in its units per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// For each account.
    pub account: u64,
    /// For the whole project.
    pub project: u64,
}

/// A minute's units per account and for the project, by the clock.
pub struct TokenBuckets {
    clock: Arc<dyn Clock>,
    rates: Rates,
    state: Mutex<State>,
}

impl TokenBuckets {
    /// Nothing taken yet.
    pub fn new(clock: Arc<dyn Clock>, rates: Rates) -> Self {
        let state = State {
            project: Window::new(rates.project),
            accounts: Accounts::default(),
        };
        Self {
            clock,
            rates,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn now, or says when to ask again.
    fn try_take(&self, account: &str, units: u64, class: Class) -> Result<(), u64> {
        let now = self.clock.now();
        let mut state = self.state();
        let state = &mut *state;
        let held = state.accounts.account(account, self.rates.account, now);
        let mut barred = held.until;
        if class == Class::Send {
            barred = barred.max(held.sending_until);
        }
        if barred > now {
            return Err(barred);
        }
        let ready = held
            .window
            .ready_at(units, class, now)
            .max(state.project.ready_at(units, class, now));
        if ready > now {
            return Err(ready);
        }
        held.window.take(units, now);
        state.project.take(units, now);
        Ok(())
    }
}

#[async_trait]
impl Quota for TokenBuckets {
    async fn acquire(&self, scope: &Scope, units: u32, class: Class) -> Result<(), QuotaError> {
        let units = u64::from(units);
        if units > usable(self.rates.account.min(self.rates.project), class) {
            return Err(QuotaError::Refused(format!(
                "{units} units are more than a minute's quota"
            )));
        }
        let latest = self.clock.now().saturating_add(LONGEST_WAIT);
        loop {
            match self.try_take(&scope.account, units, class) {
                Ok(()) => return Ok(()),
                Err(ready) if ready > latest => return Err(QuotaError::WaitUntil(ready)),
                Err(ready) => {
                    let wait = ready.saturating_sub(self.clock.now()).max(1);
                    self.clock.sleep(wait).await;
                }
            }
        }
    }

    fn report(&self, scope: &Scope, penalty: Penalty) {
        let now = self.clock.now();
        let mut state = self.state();
        let held = state.accounts.account(&scope.account, self.rates.account, now);
        let believed = |until: u64| until.min(now.saturating_add(LONGEST_PENALTY));
        match penalty {
            // A guest speaks for its own account alone: a false word about the project would stop every
            // tenant (S33). When the project really is exhausted, each account learns it by one request.
            Penalty::ProjectUntil(until) | Penalty::MailboxUntil(until) => {
                held.until = held.until.max(believed(until));
            }
            Penalty::SendingUntil(until) => {
                held.sending_until = held.sending_until.max(believed(until));
            }
            Penalty::Concurrency => {
                held.in_flight = (held.in_flight(now) / 2).max(1);
                held.narrowed_at = now;
            }
        }
    }

    fn in_flight(&self, scope: &Scope) -> u32 {
        let now = self.clock.now();
        self.state()
            .accounts
            .account(&scope.account, self.rates.account, now)
            .in_flight(now)
    }
}

/// No rates of its own; what the provider says it still honours.
pub struct Unmetered(TokenBuckets);

impl Unmetered {
    /// A quota without rates.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let rates = Rates {
            account: u64::MAX / 200,
            project: u64::MAX / 200,
        };
        Self(TokenBuckets::new(clock, rates))
    }
}

#[async_trait]
impl Quota for Unmetered {
    async fn acquire(&self, scope: &Scope, _units: u32, class: Class) -> Result<(), QuotaError> {
        self.0.acquire(scope, 0, class).await
    }

    fn report(&self, scope: &Scope, penalty: Penalty) {
        self.0.report(scope, penalty);
    }

    fn in_flight(&self, scope: &Scope) -> u32 {
        self.0.in_flight(scope)
    }
}

struct State {
    project: Window,
    accounts: Accounts,
}

#[derive(Default)]
struct Accounts(HashMap<String, Account>);

impl Accounts {
    fn account(&mut self, account: &str, rate: u64, now: u64) -> &mut Account {
        if self.0.len() >= ACCOUNTS && !self.0.contains_key(account) {
            let oldest = self.0.iter().min_by_key(|(_, held)| held.used_at);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.0.remove(&name);
            }
        }
        let held = self
            .0
            .entry(account.to_owned())
            .or_insert_with(|| Account::new(rate, now));
        held.used_at = now;
        held
    }
}

struct Account {
    window: Window,
    until: u64,
    sending_until: u64,
    in_flight: u32,
    narrowed_at: u64,
    used_at: u64,
}

impl Account {
    fn new(rate: u64, now: u64) -> Self {
        Self {
            window: Window::new(rate),
            until: 0,
            sending_until: 0,
            in_flight: IN_FLIGHT,
            narrowed_at: 0,
            used_at: now,
        }
    }

    /// One more request for each minute without a complaint.
    fn in_flight(&self, now: u64) -> u32 {
        let quiet = now.saturating_sub(self.narrowed_at) / 60_000;
        let grown = u64::from(self.in_flight).saturating_add(quiet);
        u32::try_from(grown).unwrap_or(u32::MAX).clamp(1, IN_FLIGHT)
    }
}

/// What was taken in the last minute. The provider counts by a sliding minute, so a bucket that
/// refills while it is used would let nearly twice a minute's units through in one.
struct Window {
    rate: u64,
    /// When each slot ends, ms since the epoch, and what was taken in it, oldest first.
    slots: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Window {
    fn new(rate: u64) -> Self {
        Self {
            rate,
            slots: VecDeque::new(),
            sum: 0,
        }
    }

    /// When `units` can be taken, with the class's reserve left behind.
    fn ready_at(&mut self, units: u64, class: Class, now: u64) -> u64 {
        while let Some(&(end, taken)) = self.slots.front()
            && end + MINUTE <= now
        {
            self.slots.pop_front();
            self.sum -= taken;
        }
        let most = usable(self.rate, class);
        let fits = |sum: u64| units == 0 || sum.saturating_add(units) <= most;
        if fits(self.sum) {
            return now;
        }
        let mut left = self.sum;
        for (end, taken) in &self.slots {
            left -= taken;
            if fits(left) {
                return end + MINUTE;
            }
        }
        now + MINUTE
    }

    fn take(&mut self, units: u64, now: u64) {
        let end = (now / SLOT + 1) * SLOT;
        match self.slots.back_mut() {
            Some((last, taken)) if *last >= end => *taken += units,
            _ => self.slots.push_back((end, units)),
        }
        self.sum += units;
    }
}

fn usable(rate: u64, class: Class) -> u64 {
    rate - rate / 100 * class.reserve()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        scope::{ConnectionId, TenantId, UserId},
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
        quota.report(&scope("a"), Penalty::Concurrency);
        quota.report(&scope("a"), Penalty::Concurrency);
        assert_eq!(quota.in_flight(&scope("a")), 2);
        clock.advance(180_000);
        assert_eq!(quota.in_flight(&scope("a")), 5);
    }
}
