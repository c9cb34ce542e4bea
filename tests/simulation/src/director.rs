//! Lets a plan happen: starts passes, applies events, kills and restarts hosts, and knows when the world
//! has come to rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use gmail_sim::{Clock as SimTime, Config, Quota, Sim, Table, Verification};
use twinbox_host::{
    Host, HostError, Parts, Ran,
    audit::MemoryAudits,
    contract::{self, AuditMode, Explanation},
    egress::{Egress, Grants},
    quota::{Rates, TokenBuckets},
    random::SeededRandom,
    release::Plugins,
    sandbox::{Limits, Plugin},
    scope::{TenantId, UserId},
    store::Connection,
};

use crate::{
    gmail::People,
    laboratory::{Laboratory, Outcome, Telling},
    model::{self, Generation, History},
    mutation::Mutation,
    plan::{Assigned, Plan, Shape, Slip},
    ports::{
        Ports, TrueTime,
        crm::{CrmState, TenantCrm},
        sharing::NotAtomic,
        vault::Uncounted,
        wire::{OneAddress, WireState},
    },
    world::{Due, START, State, TaskId, Trace, World},
};

mod connections;
mod events;
mod passes;
mod post;

/// When trouble ends, ms after the start.
const CALM: u64 = 11 * 60_000;
/// How often a host looks, ms.
const POLL: u64 = 180_000;
/// How long a notification is on its way at most, ms.
const PUSH_TAKES: u64 = 6_000;
/// How soon it looks again when another host is at work, ms.
const BUSY: u64 = 60_000;
/// How often it looks while it waits for another tenant's mail to go, ms.
const SELDOM: u64 = 3 * 3_600_000;
/// The longest that Gmail is behind with what it lists, ms.
pub(crate) const LAG: u64 = 60_000;
/// Passes without anything to do after which a connection is at rest.
const IDLE: u32 = 2;

/// One world while it goes on.
pub(crate) struct Director<'p> {
    plan: &'p Plan,
    world: Arc<World>,
    people: People,
    plugin: Arc<Plugin>,
    mutation: Option<Mutation>,
    quota: Arc<TokenBuckets>,
    hosts: Vec<Option<Host>>,
    tasks: BTreeMap<TaskId, Task>,
    lives: Vec<Vec<Generation>>,
    polls: BTreeMap<(usize, usize), u64>,
    pushed: BTreeMap<usize, u64>,
    /// What the latest notification of each mailbox told.
    announced: BTreeMap<usize, u64>,
    /// Tenants whose user waits for what is no longer allowed to be taken out.
    retracts: BTreeMap<usize, Retract>,
    /// Tenants whose mailboxes were audited, and will be once more when everything has come to rest.
    audits: BTreeSet<usize>,
    /// Tenants whose connections will be asked about a message when everything has come to rest (T02).
    questions: BTreeSet<usize>,
    /// Passes of each tenant in a row that found nothing to do.
    idle: Vec<u32>,
    /// When a pass last did something, ms.
    stirred: u64,
    is_calm: bool,
    history: History,
    last_task: TaskId,
    letters: u32,
    /// What other servers have for BCC addresses.
    post: Vec<post::Copy>,
    /// When Gmail does what it put off, ms.
    put_off: Option<u64>,
}

/// How far what a user asked to be taken out is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Retract {
    Wanted,
    /// By a pass that began then, ms since the epoch; every later pass does more of it.
    Begun(u64),
}

struct Task {
    host: usize,
    tenant: usize,
    work: Work,
    future: Pin<Box<dyn Future<Output = Ended>>>,
    awake: Arc<Flag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Connect,
    Pass,
    Audit,
    Explain,
    Disconnect,
    /// A host that begins finishes the disconnects that another did not live to finish.
    Finish,
    /// A copy of a mail at a BCC address is taken in, by its number.
    Ingest(usize),
}

/// Whose work it is when it is all tenants'.
const NOBODYS: usize = usize::MAX;

enum Ended {
    /// And what was wrong with the consent.
    Connect(Option<Slip>, Result<Connection, HostError>),
    /// And when it began, if that was to take out what is no longer allowed, ms since the epoch.
    Pass(Result<Ran, HostError>, Option<u64>),
    Audit(AuditMode, Result<contract::AuditReport, HostError>),
    /// Of the message with this id.
    Explained(String, Result<Vec<Explanation>, HostError>),
    Disconnect(Result<(), HostError>),
    Finish(Result<usize, HostError>),
    Ingest(usize, Result<contract::Outcome, HostError>),
}

/// Whether a task has something to do.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'p> Director<'p> {
    pub(crate) fn new(laboratory: &Laboratory, plan: &'p Plan, telling: Telling) -> Self {
        let shape = &plan.shape;
        let (clock, time) = SimTime::manual(i64::try_from(START).unwrap_or(i64::MAX));
        let sim = Sim::new(Config {
            seed: plan.seed,
            clock,
            quota: Quota::Count(Table::New),
            behaviour: shape.behaviour.clone(),
            ..Config::default()
        });
        for mailbox in 0..shape.mailboxes {
            sim.create_user(&Shape::mailbox(mailbox), "Somebody");
        }
        for mailbox in &shape.aliases {
            let alias = Shape::alias(*mailbox);
            sim.add_send_as(&Shape::mailbox(*mailbox), &alias, "Alias", Verification::Accepted);
        }
        let trace = match telling {
            Telling::Silent => Trace::default(),
            Telling::EveryCall => Trace::told(),
        };
        let wire = WireState {
            rate: shape.rate,
            page: shape.page,
            ..WireState::default()
        };
        let mut state = State::new(plan.seed, shape.hosts, crm(shape), wire, trace);
        if laboratory.mutation == Some(Mutation::StaleLease) {
            state.store.ignore_fences();
        }
        for (index, event) in plan.events.iter().enumerate() {
            state.schedule(START + event.at, Due::Event(index));
        }
        state.schedule(START + CALM, Due::Calm);
        let world = World::new(sim.clone(), time, state);
        let ports = Ports {
            world: world.clone(),
            host: 0,
        };
        let rates = Rates {
            account: shape.rate,
            project: 1_000_000,
        };
        let mut director = Self {
            plan,
            people: People::new(sim, shape.clone()),
            plugin: laboratory.plugin.clone(),
            mutation: laboratory.mutation,
            // The limiter is a service that all hosts share and none of them takes along when it dies.
            quota: Arc::new(TokenBuckets::new(Arc::new(TrueTime(ports)), rates)),
            hosts: Vec::new(),
            tasks: BTreeMap::new(),
            lives: vec![Vec::new(); shape.tenants.len()],
            polls: BTreeMap::new(),
            pushed: BTreeMap::new(),
            announced: BTreeMap::new(),
            retracts: BTreeMap::new(),
            audits: BTreeSet::new(),
            questions: BTreeSet::new(),
            idle: vec![0; shape.tenants.len()],
            stirred: START + CALM,
            is_calm: false,
            history: History::of(shape),
            last_task: 0,
            letters: 0,
            post: Vec::new(),
            put_off: None,
            world,
        };
        for host in 0..shape.hosts {
            director.hosts.push(None);
            director.restart(host);
        }
        director
    }

    /// Until everything has come to rest.
    pub(crate) fn direct(&mut self) {
        loop {
            self.poll();
            if self.has_failed() || (self.is_at_rest() && !self.audit_at_the_end() && !self.ask_at_the_end())
            {
                return;
            }
            let Some(due) = self.world.next() else {
                self.world.lock().violation("rest", "nothing is due any more");
                return;
            };
            match due {
                Due::Call(id) => self.world.lock().grant(id),
                Due::Event(index) => {
                    self.happen(&self.plan.events[index].what);
                    self.look_again();
                }
                Due::Connect { tenant } => self.connect(tenant, None),
                Due::Poll { host, tenant } => self.poll_now(host, tenant),
                Due::Wake {
                    host,
                    tenant,
                    announced,
                } => self.wake(host, tenant, announced),
                Due::Restart { host } => self.restart(host),
                Due::Disconnect { tenant } => self.disconnect(tenant),
                Due::Post { copy } => self.hand_over(copy),
                Due::PutOff => self.put_off_no_longer(),
                Due::Calm => self.calm(),
            }
            self.bury();
            self.notice_pushes();
            self.await_put_off();
        }
    }

    fn has_failed(&self) -> bool {
        let mut state = self.world.lock();
        if state.is_endless() {
            state.violation("rest", "it does not come to rest");
        }
        !state.violations.is_empty()
    }

    fn is_at_rest(&self) -> bool {
        let waits = |tenant: &usize| {
            let is_wanted = self.lives[*tenant]
                .last()
                .is_some_and(|life| life.ended.is_none());
            is_wanted && self.idle[*tenant] < IDLE
        };
        let has_post = self.post.iter().any(post::Copy::waits);
        self.is_calm
            && self.tasks.is_empty()
            && !has_post
            && !(0..self.lives.len()).any(|tenant| waits(&tenant))
    }

    pub(crate) fn end(self) -> Outcome {
        let mut history = self.history;
        history.logged = self.post.into_iter().map(|copy| copy.logged).collect();
        let hits = self.world.sim.faults_hit();
        history.clock_jumps = hits.get("clock-backward").copied().unwrap_or_default();
        history.clock_leaps = hits.get("clock-forward").copied().unwrap_or_default();
        history.grants_ended |= model::ENDS_GRANTS.iter().any(|name| hits.contains_key(name));
        if self.world.lock().violations.is_empty() {
            model::check(&self.world, self.plan, &self.lives, &history);
        }
        let mut state = self.world.lock();
        let mut coverage = std::mem::take(&mut state.coverage);
        for (name, count) in self.world.sim.faults_hit() {
            coverage.add(&format!("Gmail: {name}"), count);
        }
        Outcome {
            violations: std::mem::take(&mut state.violations),
            coverage,
            fingerprint: state.trace.fingerprint(),
            lines: std::mem::take(&mut state.trace).into_lines(),
        }
    }

    /// Polls whoever is awake until nobody is.
    fn poll(&mut self) {
        loop {
            let awake = |task: &Task| task.awake.0.swap(false, Ordering::Relaxed);
            let Some(id) = self.tasks.iter().find(|(_, task)| awake(task)).map(|(id, _)| *id) else {
                return;
            };
            let Some(task) = self.tasks.get_mut(&id) else {
                return;
            };
            self.world.lock().current = id;
            let waker = Waker::from(task.awake.clone());
            if let Poll::Ready(ended) = task.future.as_mut().poll(&mut Context::from_waker(&waker))
                && let Some(task) = self.tasks.remove(&id)
            {
                self.ended(task.host, task.tenant, ended);
            }
            self.bury();
        }
    }

    /// Hosts that died take everything they did along.
    fn bury(&mut self) {
        let dying = std::mem::take(&mut self.world.lock().dying);
        for host in dying {
            let gone: BTreeSet<TaskId> = self
                .tasks
                .iter()
                .filter(|(_, task)| task.host == host)
                .map(|(id, _)| *id)
                .collect();
            let tasks = gone.iter().filter_map(|id| self.tasks.remove(id));
            let interrupted: Vec<(usize, Work)> = tasks.map(|task| (task.tenant, task.work)).collect();
            let mut state = self.world.lock();
            state.forget_calls(&gone);
            let now = state.now;
            state.trace.line(now, || format!("host {host} died"));
            let back = now + state.between(1_000, 40_000);
            state.schedule(back, Due::Restart { host });
            for (tenant, work) in interrupted {
                match work {
                    Work::Connect => state.schedule(back + 5_000, Due::Connect { tenant }),
                    // The user sees an error and tries again.
                    Work::Disconnect => state.schedule(back + 5_000, Due::Disconnect { tenant }),
                    Work::Ingest(copy) => {
                        state.coverage.hit("host died with a BCC copy");
                        state.schedule(back + 2_000, Due::Post { copy });
                    }
                    Work::Pass | Work::Audit | Work::Explain | Work::Finish => {}
                }
            }
            drop(state);
            self.hosts[host] = None;
        }
    }

    fn restart(&mut self, host: usize) {
        let ports = Ports {
            world: self.world.clone(),
            host,
        };
        self.hosts[host] = Some(self.new_host(&ports));
        let mut state = self.world.lock();
        if self.hosts.len() == 1 && state.one_in(2) {
            state.store.release_all();
        }
        drop(state);
        self.finish_disconnects(host);
        for tenant in 0..self.lives.len() {
            self.poll_at(host, tenant, |state| state.now + 1_000);
        }
    }

    fn new_host(&self, ports: &Ports) -> Host {
        let all = Arc::new(ports.clone());
        #[expect(
            clippy::expect_used,
            reason = "the manifest of the component that is built here"
        )]
        let grants = Grants::parse(&self.plugin.manifest().origins).expect("origins");
        let egress = Egress::over(all.clone(), Arc::new(OneAddress), grants.clone());
        let parts = Parts {
            plugins: Plugins::fixed(self.plugin.clone()),
            witness: None,
            store: all.clone(),
            registry: all.clone(),
            vault: match self.mutation {
                Some(Mutation::RevokeIgnoresOthers) => Arc::new(Uncounted(ports.clone())),
                _ => all.clone(),
            },
            crm: all.clone(),
            egress: Arc::new(egress),
            quota: self.quota.clone(),
            audits: Arc::new(MemoryAudits::default()),
            bcc_addresses: None,
            sharing: match self.mutation {
                Some(Mutation::ClaimNotAtomic) => Arc::new(NotAtomic(ports.clone())),
                _ => all.clone(),
            },
            clock: all.clone(),
            random: Arc::new(SeededRandom::new(self.world.lock().between(0, u64::MAX))),
            log: all,
            limits: Limits::default(),
            tenant_grants: grants,
        };
        #[expect(
            clippy::expect_used,
            reason = "the manifest of the component that is built here"
        )]
        Host::new(parts).expect("a host")
    }
}

fn crm(shape: &Shape) -> CrmState {
    let numbers = 0..shape.tenants.len();
    let accounts: BTreeSet<TenantId> = numbers.map(|number| tenant_id(shape.account(number))).collect();
    let tenants = shape.tenants.iter().enumerate().map(|(number, tenant)| {
        let contacts = tenant.contacts.iter().enumerate().map(|(index, contact)| {
            let address = shape.address(contact.person);
            contract::Contact {
                id: format!("t{number}-c{index}"),
                name: format!("Contact {index}"),
                // Addresses of a CRM are written as somebody typed them.
                addresses: vec![if index % 2 == 0 {
                    address
                } else {
                    address.to_uppercase()
                }],
                created_at: contact.created_at,
                assigned_user: match contact.assigned {
                    Assigned::Nobody => None,
                    Assigned::TheUser => Some(user_id(number).as_str().to_owned()),
                    Assigned::AColleague => Some(colleague(shape, number)),
                },
                private: false,
            }
        });
        (tenant_id(number), TenantCrm::new(shape.crm, contacts.collect()))
    });
    let tenants = tenants.filter(|(id, _)| accounts.contains(id));
    CrmState {
        tenants: tenants.collect(),
    }
}

/// Another user of a tenant than the first.
fn colleague(shape: &Shape, tenant: usize) -> String {
    let mut users = shape.tenants.iter();
    match users.position(|user| user.colleague_of == Some(tenant)) {
        Some(number) => user_id(number).as_str().to_owned(),
        None => "colleague".to_owned(),
    }
}

/// The user of a tenant who has its connection.
pub(crate) fn user_id(number: usize) -> UserId {
    UserId::new(format!("u{number}"))
}

pub(crate) fn tenant_id(number: usize) -> TenantId {
    TenantId::new(format!("t{number}"))
}
