//! A minute's units per account and for the project, by the clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Class, Penalties, Penalty, Quota, QuotaError, Rates, Used,
    accounts::Accounts,
    penalties::Memory,
    window::{Window, usable},
};
use crate::{clock::Clock, scope::Scope, store::StoreError};

/// The longest a pass is kept waiting for its turn, ms.
pub const LONGEST_WAIT: u64 = 30_000;

/// A minute's units per account and for the project, by the clock.
pub struct TokenBuckets(Arc<Buckets>);

impl TokenBuckets {
    /// Nothing taken yet, and nothing kept of what the provider says.
    pub fn new(clock: Arc<dyn Clock>, rates: Rates) -> Self {
        Self(Arc::new(Buckets::new(clock, rates, None)))
    }

    /// Nothing taken yet; what the provider said before holds, and what it says is kept.
    pub async fn keeping(
        clock: Arc<dyn Clock>,
        rates: Rates,
        penalties: Arc<dyn Penalties>,
    ) -> Result<Self, StoreError> {
        let buckets = Buckets::new(clock, rates, Some(Memory::new(penalties)));
        buckets.exchange().await?;
        Ok(Self(Arc::new(buckets)))
    }

    /// Takes the turn now, or says when to ask again.
    pub(super) fn try_take(&self, account: &str, units: u64, class: Class) -> Result<(), u64> {
        self.0.try_take(account, units, class)
    }

    /// Tells and hears what was said, beside whoever calls.
    fn exchange_aside(&self) {
        // Outside of a runtime there are no passes, and the next one's end does it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let buckets = self.0.clone();
            runtime.spawn(async move { buckets.exchange_or_warn().await });
        }
    }
}

#[async_trait]
impl Quota for TokenBuckets {
    async fn acquire(&self, scope: &Scope, units: u32, class: Class) -> Result<(), QuotaError> {
        let Buckets { clock, rates, .. } = &*self.0;
        let units = u64::from(units);
        if units > usable(rates.account.min(rates.project), class) {
            return Err(QuotaError::Refused(format!(
                "{units} units are more than a minute's quota"
            )));
        }
        if self
            .0
            .memory
            .as_ref()
            .is_some_and(|memory| memory.is_stale(clock.now()))
        {
            self.exchange_aside();
        }
        let latest = clock.now().saturating_add(LONGEST_WAIT);
        loop {
            match self.try_take(&scope.account, units, class) {
                Ok(()) => return Ok(()),
                Err(ready) if ready > latest => return Err(QuotaError::WaitUntil(ready)),
                Err(ready) => {
                    let wait = ready.saturating_sub(clock.now()).max(1);
                    clock.sleep(wait).await;
                }
            }
        }
    }

    fn report(&self, scope: &Scope, penalty: Penalty) {
        self.0.note(&scope.account, penalty);
        if let Some(memory) = &self.0.memory {
            memory.learn([scope.account.clone()]);
            self.exchange_aside();
        }
    }

    fn in_flight(&self, scope: &Scope) -> u32 {
        let now = self.0.clock.now();
        let mut state = self.0.state();
        let held = state.accounts.account(&scope.account, self.0.rates.account, now);
        held.standing.in_flight(now)
    }

    fn used(&self, scope: &Scope) -> Option<Used> {
        let now = self.0.clock.now();
        let mut state = self.0.state();
        let held = state.accounts.account(&scope.account, self.0.rates.account, now);
        Some(Used {
            units: held.window.taken(now),
            of: (self.0.rates != NO_RATES).then_some(self.0.rates.account),
            barred_until: held.standing.until,
            sending_barred_until: held.standing.sending_until,
        })
    }

    async fn keep(&self) {
        if self.0.memory.as_ref().is_some_and(Memory::is_behind) {
            self.0.exchange_or_warn().await;
        }
    }
}

/// No rates of its own; what the provider says it still honours.
pub struct Unmetered(TokenBuckets);

/// More than is ever taken.
const NO_RATES: Rates = Rates {
    account: u64::MAX / 200,
    project: u64::MAX / 200,
};

impl Unmetered {
    /// A quota without rates that keeps nothing of what the provider says.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(TokenBuckets::new(clock, NO_RATES))
    }

    /// A quota without rates; what the provider said before holds, and what it says is kept.
    pub async fn keeping(clock: Arc<dyn Clock>, penalties: Arc<dyn Penalties>) -> Result<Self, StoreError> {
        TokenBuckets::keeping(clock, NO_RATES, penalties).await.map(Self)
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

    fn used(&self, scope: &Scope) -> Option<Used> {
        self.0.used(scope)
    }

    async fn keep(&self) {
        self.0.keep().await;
    }
}

struct Buckets {
    clock: Arc<dyn Clock>,
    rates: Rates,
    state: Mutex<State>,
    memory: Option<Memory>,
}

struct State {
    project: Window,
    accounts: Accounts,
}

impl Buckets {
    fn new(clock: Arc<dyn Clock>, rates: Rates, memory: Option<Memory>) -> Self {
        let state = State {
            project: Window::new(rates.project),
            accounts: Accounts::default(),
        };
        Self {
            clock,
            rates,
            state: Mutex::new(state),
            memory,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_take(&self, account: &str, units: u64, class: Class) -> Result<(), u64> {
        let now = self.clock.now();
        let mut state = self.state();
        let state = &mut *state;
        let held = state.accounts.account(account, self.rates.account, now);
        let mut barred = held.standing.until;
        if class == Class::Send {
            barred = barred.max(held.standing.sending_until);
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

    fn note(&self, account: &str, penalty: Penalty) {
        let now = self.clock.now();
        let mut state = self.state();
        let held = state.accounts.account(account, self.rates.account, now);
        held.standing.note(penalty, now);
    }

    /// Tells what was learnt here and hears what others learnt. What could not be told is told next time.
    async fn exchange(&self) -> Result<(), StoreError> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let _turn = memory.turn.lock().await;
        let now = self.clock.now();
        let news = memory.take_news();
        let learnt = self.state().accounts.standings(&news);
        let standing = match memory.penalties.exchange(&learnt, now).await {
            Ok(standing) => standing,
            Err(error) => {
                memory.learn(news);
                return Err(error);
            }
        };
        let mut state = self.state();
        for (account, said) in standing {
            let held = state.accounts.account(&account, self.rates.account, now);
            held.standing = held.standing.merged(said.believed(now));
        }
        Ok(())
    }

    async fn exchange_or_warn(&self) {
        if let Err(error) = self.exchange().await {
            tracing::warn!(%error, "what the provider said about quota is not kept yet");
        }
    }
}
