//! The simulated world: one time, one queue of what is due, and the state behind the host's ports.
//!
//! Every call of a host into the world is a *turn*: it waits in the queue for as long as it takes, and is
//! carried out when its time comes. Nothing else makes a host wait, so the queue alone decides how passes
//! interleave, and the queue's times come from the seed. A call can be made to fail, before or after it
//! took effect, and the host can die at it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::poll_fn,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    task::{Poll, Waker},
};

use gmail_sim::Sim;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    coverage::Coverage,
    model::Violation,
    plan::{Port, Trap, TrapKind},
    ports::{crm::CrmState, sharing::SharingState, store::StoreState, vault::VaultState, wire::WireState},
};

/// When every world starts, ms since the epoch.
pub(crate) const START: u64 = 1_790_000_000_000;

/// How long a host stands still that stands still, ms: longer than any lease.
const STALL: u64 = 12 * 60_000;

/// How long the pass of a host that took over may last, ms.
const AT_WORK: u64 = 4_000;
/// Calls in one world after which it is taken for a loop.
const MOST_CALLS: u64 = 90_000;

/// A pass, a connect or a disconnect that is under way.
pub(crate) type TaskId = u64;

/// The world. Hosts hold it through their ports, the director directly.
pub(crate) struct World {
    pub(crate) sim: Sim,
    time: Arc<AtomicI64>,
    state: Mutex<State>,
}

/// Everything that can change.
pub(crate) struct State {
    pub(crate) now: u64,
    pub(crate) store: StoreState,
    pub(crate) crm: CrmState,
    pub(crate) sharing: SharingState,
    pub(crate) vault: VaultState,
    pub(crate) wire: WireState,
    pub(crate) traps: Vec<Trap>,
    pub(crate) skew: Vec<i64>,
    /// The furthest that a host's clock ever was behind and ahead, ms.
    pub(crate) furthest: (i64, i64),
    pub(crate) coverage: Coverage,
    pub(crate) violations: Vec<Violation>,
    pub(crate) trace: Trace,
    /// The task that is being polled.
    pub(crate) current: TaskId,
    /// A host that dies now.
    pub(crate) dying: BTreeSet<usize>,
    rng: SmallRng,
    queue: BTreeMap<(u64, u64), Due>,
    serial: u64,
    calls: HashMap<u64, Call>,
}

/// What is due.
pub(crate) enum Due {
    /// A call of a host.
    Call(u64),
    /// An event of the plan, by its index.
    Event(usize),
    /// A user connects again what is broken or did not come about.
    Connect {
        /// Whose.
        tenant: usize,
    },
    /// A user ends the connection, having failed to before.
    Disconnect {
        /// Whose.
        tenant: usize,
    },
    /// A copy of a mail is at a BCC address, by its number, or a host hands it over again.
    Post {
        /// Which.
        copy: usize,
    },
    /// Something that Gmail put off happens, such as that mail comes back.
    PutOff,
    /// Trouble ends.
    Calm,
    /// A host's regular look at a connection, if it was not put off since.
    Poll {
        /// Which host.
        host: usize,
        /// Whose connection.
        tenant: usize,
    },
    /// A host looks whether a connection has something to do.
    Wake {
        /// Which host.
        host: usize,
        /// Whose connection.
        tenant: usize,
        /// The history id that a push told, if one woke it.
        announced: Option<u64>,
    },
    /// A host that died is there again.
    Restart {
        /// Which.
        host: usize,
    },
}

struct Call {
    task: TaskId,
    host: usize,
    port: Port,
    line: Option<String>,
    verdict: Option<Verdict>,
    waker: Option<Waker>,
    has_stalled: bool,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    trouble: Option<TrapKind>,
}

/// The outcome of a turn.
pub(crate) enum Turn<T> {
    /// It happened and the host hears of it.
    Done(T),
    /// It did not happen.
    Refused(TrapKind),
    /// It happened, and the host hears that it failed.
    Lost(TrapKind),
}

impl<T> Turn<T> {
    /// The answer, or the error of a port that cannot be reached.
    pub(crate) fn or_else<E>(self, error: impl FnOnce(TrapKind) -> E) -> Result<T, E> {
        match self {
            Self::Done(answer) => Ok(answer),
            Self::Refused(trouble) | Self::Lost(trouble) => Err(error(trouble)),
        }
    }
}

impl World {
    pub(crate) fn new(sim: Sim, time: Arc<AtomicI64>, state: State) -> Arc<Self> {
        Arc::new(Self {
            sim,
            time,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of a host: `effect` happens when its time comes, if it happens at all.
    pub(crate) async fn turn<T>(
        &self,
        host: usize,
        port: Port,
        line: impl FnOnce() -> String,
        effect: impl FnOnce(&Self) -> T,
    ) -> Turn<T> {
        let latency = self.lock().latency(port);
        self.turn_after(latency, host, port, line, effect).await
    }

    /// As [`World::turn`], in so many ms.
    pub(crate) async fn turn_after<T>(
        &self,
        latency: u64,
        host: usize,
        port: Port,
        line: impl FnOnce() -> String,
        effect: impl FnOnce(&Self) -> T,
    ) -> Turn<T> {
        let id = self.lock().register(latency, host, port, line);
        let verdict = poll_fn(|context| {
            let mut state = self.lock();
            let Some(call) = state.calls.get_mut(&id) else {
                return Poll::Pending;
            };
            if let Some(verdict) = call.verdict {
                state.calls.remove(&id);
                return Poll::Ready(verdict);
            }
            call.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        match verdict.trouble {
            None => Turn::Done(effect(self)),
            Some(trouble @ (TrapKind::FailBefore | TrapKind::CrmLimited)) => Turn::Refused(trouble),
            Some(trouble @ (TrapKind::FailAfter | TrapKind::CrmUnknown)) => {
                effect(self);
                Turn::Lost(trouble)
            }
            Some(TrapKind::CrashAfter) => {
                effect(self);
                self.lock().dying.insert(host);
                std::future::pending().await
            }
            Some(TrapKind::CrashBefore | TrapKind::Stall) => std::future::pending().await,
        }
    }

    /// The next thing that is due, its time having come.
    pub(crate) fn next(&self) -> Option<Due> {
        let mut state = self.lock();
        let ((at, _), due) = state.queue.pop_first()?;
        state.now = state.now.max(at);
        self.time
            .store(i64::try_from(state.now).unwrap_or(i64::MAX), Ordering::SeqCst);
        Some(due)
    }
}

impl State {
    pub(crate) fn new(seed: u64, hosts: usize, crm: CrmState, wire: WireState, trace: Trace) -> Self {
        Self {
            now: START,
            store: StoreState::default(),
            crm,
            sharing: SharingState::default(),
            vault: VaultState::default(),
            wire,
            traps: Vec::new(),
            skew: vec![0; hosts],
            furthest: (0, 0),
            coverage: Coverage::default(),
            violations: Vec::new(),
            trace,
            current: 0,
            dying: BTreeSet::new(),
            rng: SmallRng::seed_from_u64(seed ^ 0x7477_696e_626f_7821),
            queue: BTreeMap::new(),
            serial: 0,
            calls: HashMap::new(),
        }
    }

    /// Puts something into the queue.
    pub(crate) fn schedule(&mut self, at: u64, due: Due) {
        self.serial += 1;
        self.queue.insert((at, self.serial), due);
    }

    /// Random ms.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        self.rng.random_range(from..to)
    }

    /// True once in `times`.
    pub(crate) fn one_in(&mut self, times: u32) -> bool {
        self.rng.random_ratio(1, times)
    }

    /// Something that must not be.
    pub(crate) fn violation(&mut self, rule: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.trace.line(self.now, || format!("VIOLATION {rule}: {text}"));
        self.violations.push(Violation { rule, text });
    }

    /// Whether the world does more than any world should.
    pub(crate) fn is_endless(&self) -> bool {
        self.serial > MOST_CALLS
    }

    /// Calls of tasks that are no more.
    pub(crate) fn forget_calls(&mut self, of: &BTreeSet<TaskId>) {
        self.calls.retain(|_, call| !of.contains(&call.task));
    }

    fn latency(&mut self, port: Port) -> u64 {
        match port {
            Port::StoreRead | Port::Commit | Port::Lease | Port::Registry => self.between(0, 4),
            Port::Sharing => self.between(0, 40),
            Port::Http => self.between(5, 250),
            Port::Vault => self.between(0, 30),
            _ => self.between(1, 80),
        }
    }

    fn register(&mut self, latency: u64, host: usize, port: Port, line: impl FnOnce() -> String) -> u64 {
        self.schedule(self.now + latency, Due::Call(self.serial + 1));
        let call = Call {
            task: self.current,
            host,
            port,
            line: self.trace.is_told().then(line),
            verdict: None,
            waker: None,
            has_stalled: false,
        };
        self.calls.insert(self.serial, call);
        self.serial
    }

    /// Who stands still wakes up while another, who took over, is at work: the worst moment.
    pub(crate) fn wake_stalled(&mut self) {
        let mut stalled: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| call.has_stalled)
            .map(|(id, _)| *id)
            .collect();
        stalled.sort_unstable();
        for id in stalled {
            let at = self.now + self.between(1, AT_WORK);
            self.schedule(at, Due::Call(id));
        }
    }

    /// The time of a call has come: decides what becomes of it.
    pub(crate) fn grant(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id).filter(|call| call.verdict.is_none()) else {
            return;
        };
        let (task, host, port, has_stalled) = (call.task, call.host, call.port, call.has_stalled);
        let trouble = self.strike(host, port, has_stalled);
        let line = self.calls.get_mut(&id).and_then(|call| call.line.take());
        self.trace
            .call(self.now, task, host, port, trouble, line.as_deref());
        match trouble {
            Some(TrapKind::Stall) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.has_stalled = true;
                    call.line = line;
                }
                self.schedule(self.now + STALL, Due::Call(id));
                return;
            }
            Some(TrapKind::CrashBefore) => {
                self.dying.insert(host);
                return;
            }
            _ => {}
        }
        if port == Port::Http {
            self.wire.serve(task, has_stalled);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.verdict = Some(Verdict { trouble });
            if let Some(waker) = call.waker.take() {
                waker.wake();
            }
        }
    }

    /// The trap that strikes this call, if any.
    fn strike(&mut self, host: usize, port: Port, has_stalled: bool) -> Option<TrapKind> {
        let fits = |trap: &Trap| {
            trap.host.is_none_or(|of| of == host)
                && (trap.port == Port::Any || trap.port == port)
                && !(has_stalled && trap.kind == TrapKind::Stall)
        };
        let mut struck = None;
        for (index, trap) in self.traps.iter_mut().enumerate().filter(|(_, trap)| fits(trap)) {
            if trap.skip > 0 {
                trap.skip -= 1;
            } else if struck.is_none() && is_possible(trap.kind, port) {
                struck = Some(index);
            }
        }
        let trap = self.traps.remove(struck?);
        self.coverage.hit_trap(trap.kind, port);
        Some(trap.kind)
    }
}

/// Whether this can go wrong at such a call.
pub(crate) fn is_possible(kind: TrapKind, port: Port) -> bool {
    let is_crm = matches!(
        port,
        Port::CrmFind
            | Port::CrmPut
            | Port::CrmUpdate
            | Port::CrmAttachment
            | Port::CrmChanges
            | Port::CrmNext
            | Port::CrmReport
    );
    match kind {
        TrapKind::CrashBefore | TrapKind::CrashAfter | TrapKind::Stall => true,
        TrapKind::CrmUnknown => port == Port::CrmPut,
        TrapKind::CrmLimited => is_crm,
        TrapKind::FailBefore => port != Port::Sleep,
        TrapKind::FailAfter => matches!(
            port,
            Port::Commit
                | Port::Sharing
                | Port::CrmPut
                | Port::CrmUpdate
                | Port::CrmReport
                | Port::Http
                | Port::CrmAttachment
        ),
    }
}

/// What happened: always a fingerprint, and on request in words.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    fingerprint: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace that keeps the words.
    pub(crate) fn told() -> Self {
        Self {
            fingerprint: 0,
            lines: Some(Vec::new()),
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.lines.is_some()
    }

    /// Stands for all that happened: two runs with the same one did the same.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }

    pub(crate) fn line(&mut self, now: u64, line: impl FnOnce() -> String) {
        self.mix(&now);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>9} {}", now - START, line()));
        }
    }

    fn call(
        &mut self,
        now: u64,
        task: TaskId,
        host: usize,
        port: Port,
        trouble: Option<TrapKind>,
        line: Option<&str>,
    ) {
        self.mix(&(now, task, host, port, trouble.map(|kind| kind as u8)));
        if let Some(lines) = &mut self.lines {
            let trouble = trouble.map_or_else(String::new, |kind| format!(" !! {kind:?}"));
            let line = line.unwrap_or_default();
            lines.push(format!(
                "{:>9} host {host} task {task} {port:?} {line}{trouble}",
                now - START
            ));
        }
    }

    /// What is mixed in decides the fingerprint.
    pub(crate) fn mix(&mut self, what: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        self.fingerprint.hash(&mut hasher);
        what.hash(&mut hasher);
        self.fingerprint = hasher.finish();
    }
}
