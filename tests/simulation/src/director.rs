//! Lets a plan happen: starts passes, applies events, kills and restarts hosts, and knows when the world
//! has come to rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use anyhow::Context as _;
use gmail_sim::{Clock as SimTime, Config, Quota, Sim, Table};
use twinbox_host::{
    Host, HostError, Parts, Ran,
    contract::{self, Mailbox, OutboundKind, Trigger, WhenLimited},
    egress::{Egress, Grants},
    quota::{Rates, TokenBuckets},
    random::SeededRandom,
    release::Plugins,
    sandbox::{Limits, Plugin, Sandbox, SandboxConfig},
    scope::{ConnectionId, Scope, TenantId, UserId},
    sharing::Solo,
    store::{Connection, ConnectionStatus},
};

use crate::{
    coverage::Coverage,
    gmail::{Done, People, mark},
    model::{self, Generation, History, Violation},
    mutation::Mutation,
    plan::{Blocked, Patience, Plan, Shape, Threading, What},
    ports::{
        Ports, TrueTime,
        crm::{CrmState, Delivery, Queued, TenantCrm},
        wire::{OneAddress, WireState},
    },
    world::{Due, START, State, TaskId, Trace, World},
};

/// When trouble ends, ms after the start.
const CALM: u64 = 11 * 60_000;
/// How often a host looks, ms.
const POLL: u64 = 180_000;
/// How long a notification is on its way at most, ms.
const PUSH_TAKES: u64 = 6_000;
/// How soon it looks again when another host is at work, ms.
const BUSY: u64 = 20_000;
/// How often it looks while it waits for another tenant's mail to go, ms.
const SELDOM: u64 = 3 * 3_600_000;
/// Passes without anything to do after which a connection is at rest.
const IDLE: u32 = 2;

/// A component ready to run in any number of worlds.
pub struct Laboratory {
    plugin: Arc<Plugin>,
    runtime: tokio::runtime::Runtime,
    mutation: Option<Mutation>,
}

/// Whether a world tells what happens in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// No: only a fingerprint.
    Silent,
    /// Every call, in words.
    EveryCall,
}

/// How a world ended.
#[derive(Debug)]
pub struct Outcome {
    /// What must not be; empty if all is well.
    pub violations: Vec<Violation>,
    /// What was met.
    pub coverage: Coverage,
    /// Two runs with the same one did the same, call by call.
    pub fingerprint: u64,
    /// What happened, if it was to be told.
    pub lines: Vec<String>,
}

impl Laboratory {
    /// Loads a component; compiled code is kept in `cache`.
    pub fn load(component: &Path, cache: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let config = SandboxConfig {
            cache: Some(cache.to_owned()),
            ..SandboxConfig::default()
        };
        let plugin = runtime.block_on(async { Sandbox::new(config)?.load_file(component).await });
        let plugin = plugin.with_context(|| format!("{} cannot be loaded", component.display()))?;
        Ok(Self {
            plugin,
            runtime,
            mutation: None,
        })
    }

    /// The same component with a deliberate bug.
    #[must_use]
    pub fn with(mut self, mutation: Option<Mutation>) -> Self {
        self.mutation = mutation;
        self
    }

    /// The same component for another thread.
    pub fn another(&self) -> anyhow::Result<Self> {
        Ok(Self {
            plugin: self.plugin.clone(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?,
            mutation: self.mutation,
        })
    }

    /// Lets a plan happen.
    pub fn run(&self, plan: &Plan, telling: Telling) -> Outcome {
        // Timers exist, and never fire: nothing here waits for the machine's time.
        let _entered = self.runtime.enter();
        let mut director = Director::new(self, plan, telling);
        director.direct();
        director.end()
    }
}

struct Director<'p> {
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
    idle: Vec<u32>,
    is_calm: bool,
    history: History,
    last_task: TaskId,
    letters: u32,
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
    Disconnect,
}

enum Ended {
    Connect(Result<Connection, HostError>),
    Pass(Result<Ran, HostError>),
    Disconnect(Result<(), HostError>),
}

/// Whether a task has something to do.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'p> Director<'p> {
    fn new(laboratory: &Laboratory, plan: &'p Plan, telling: Telling) -> Self {
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
            idle: vec![0; shape.tenants.len()],
            is_calm: false,
            history: History::default(),
            last_task: 0,
            letters: 0,
            world,
        };
        for host in 0..shape.hosts {
            director.hosts.push(None);
            director.restart(host);
        }
        director
    }

    /// Until everything has come to rest.
    fn direct(&mut self) {
        loop {
            self.poll();
            if self.is_at_rest() || self.has_failed() {
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
                Due::Connect { tenant } => self.connect(tenant),
                Due::Wake { host, tenant } => self.wake(host, tenant),
                Due::Restart { host } => self.restart(host),
                Due::Disconnect { tenant } => self.disconnect(tenant),
                Due::Calm => self.calm(),
            }
            self.bury();
            self.notice_pushes();
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
        self.is_calm && self.tasks.is_empty() && !(0..self.lives.len()).any(|tenant| waits(&tenant))
    }

    fn end(self) -> Outcome {
        let mut history = self.history;
        let hits = self.world.sim.faults_hit();
        history.clock_jumps = hits.get("clock-backward").copied().unwrap_or_default();
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
                    Work::Pass => {}
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
            vault: all.clone(),
            crm: all.clone(),
            egress: Arc::new(egress),
            quota: self.quota.clone(),
            sharing: Arc::new(Solo),
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

    /// What the plan says happens.
    fn happen(&mut self, what: &What) {
        {
            let mut state = self.world.lock();
            let now = state.now;
            state.trace.line(now, || format!("EVENT {what:?}"));
        }
        let now = self.world.lock().now;
        match what {
            What::Connect { tenant } => self.connect(*tenant),
            What::Disconnect { tenant } => self.disconnect(*tenant),
            What::Arrives(mail) => {
                if let Some(id) = self.people.deliver(mail, now) {
                    let mut state = self.world.lock();
                    state.trace.line(now, || format!("arrived as {id}"));
                }
            }
            What::Gmail { mailbox, act, pick } => match self.people.act(*mailbox, *act, *pick, now) {
                Some(Done::Deleted(view)) => self.history.deleted.push((*mailbox, *view)),
                Some(Done::Relabelled(id)) => {
                    self.history.relabelled.insert((*mailbox, id));
                }
                Some(Done::Other) | None => {}
            },
            What::UserSends {
                mailbox,
                to,
                cc,
                writing,
            } => self.people.send(*mailbox, to, cc, *writing, now),
            What::CrmSends { .. } => self.queue(what, now),
            What::Fault(fault) => self.world.sim.inject(fault.clone()),
            What::Trap(trap) => self.world.lock().traps.push(trap.clone()),
            What::CrmOutage { tenant, lasts } => {
                let mut state = self.world.lock();
                if let Some(crm) = state.crm.tenants.get_mut(&tenant_id(*tenant)) {
                    crm.down_until = now + lasts;
                }
            }
            What::GmailOutage { lasts } => self.world.lock().wire.down_until = now + lasts,
            What::Blocked { mailbox, lasts, what } => {
                let until = i64::try_from(now + lasts).ok();
                let mailbox = Shape::mailbox(*mailbox);
                match what {
                    Blocked::Everything => self.world.sim.block_until(&mailbox, until),
                    Blocked::Sending => self.world.sim.block_sending_until(&mailbox, until),
                };
                self.world.lock().coverage.hit("mailbox blocked");
            }
            What::HistoryExpires { mailbox } => {
                self.world.sim.expire_history(&Shape::mailbox(*mailbox), None);
                self.world.lock().coverage.hit("history expired");
            }
            What::TokensExpire { mailbox } => {
                self.world.sim.expire_access_tokens(&Shape::mailbox(*mailbox));
                self.world.lock().coverage.hit("access tokens expired");
            }
            What::GrantWithdrawn { mailbox } => {
                self.world.sim.withdraw_consent(&Shape::mailbox(*mailbox));
                self.world.lock().coverage.hit("grant withdrawn");
            }
            What::ClockJumps { host, by } => {
                let mut state = self.world.lock();
                state.skew[*host] += by;
                state.coverage.hit("clock jumped");
            }
            What::Push { mailbox, copies } => {
                self.people.watch(*mailbox);
                self.push(*mailbox, *copies);
            }
            What::Conflict { tenant } => {
                if let Some(id) = self.current(*tenant) {
                    self.world.lock().store.touch(&id);
                }
            }
        }
    }

    /// What happens after all was calm has to be seen too.
    fn look_again(&mut self) {
        if !self.is_calm {
            return;
        }
        for tenant in 0..self.lives.len() {
            self.idle[tenant] = 0;
            self.poll_at(0, tenant, |state| state.now + POLL);
        }
    }

    /// Notifications that Gmail published wake the hosts; forged ones do not.
    fn notice_pushes(&mut self) {
        for notification in self.world.sim.take_notifications() {
            let mailboxes = 0..self.plan.shape.mailboxes;
            let mut mailboxes =
                mailboxes.filter(|number| Shape::mailbox(*number) == notification.email_address);
            if let (Some(mailbox), None) = (mailboxes.next(), notification.flaw)
                && self.is_news(mailbox)
            {
                self.push(mailbox, 1);
            }
        }
    }

    /// Whether no wake-up for a notification of this mailbox is still to come: hosts coalesce them.
    fn is_news(&mut self, mailbox: usize) -> bool {
        let now = self.world.lock().now;
        let is_news = self.pushed.get(&mailbox).is_none_or(|until| *until < now);
        if is_news {
            self.pushed.insert(mailbox, now + PUSH_TAKES);
        }
        is_news
    }

    fn push(&mut self, mailbox: usize, copies: u32) {
        // When all is calm the hosts look by themselves, so that what comes late has its time.
        if self.is_calm {
            return;
        }
        let mut state = self.world.lock();
        for (tenant, shape) in self.plan.shape.tenants.iter().enumerate() {
            for _ in 0..copies {
                if shape.mailbox == mailbox {
                    let host = usize::try_from(state.between(0, self.hosts.len() as u64)).unwrap_or_default();
                    let at = state.now + state.between(0, PUSH_TAKES);
                    state.schedule(at, Due::Wake { host, tenant });
                    state.coverage.hit("push");
                }
            }
        }
    }

    /// The user of a tenant writes mail in the CRM.
    fn queue(&mut self, what: &What, now: u64) {
        let What::CrmSends {
            tenant,
            contact,
            cc,
            threading,
            attachment,
            patience,
        } = what
        else {
            return;
        };
        let Some(connection) = self.current(*tenant) else {
            return;
        };
        let serial = self.people.serial();
        self.letters += 1;
        let mut state = self.world.lock();
        let Some(crm) = state.crm.tenants.get_mut(&tenant_id(*tenant)) else {
            return;
        };
        if crm.contacts.is_empty() {
            return;
        }
        let contact = crm.contacts[contact % crm.contacts.len()].clone();
        let latest = crm
            .rows
            .iter()
            .rev()
            .find(|row| row.message.contact_id == contact.id);
        let answered = latest.filter(|_| *threading == Threading::Reply);
        let subject = match answered {
            Some(row) => format!("Re: {}", row.message.subject.trim_start_matches("Re: ")),
            None => format!("Letter {serial}"),
        };
        let outbound = contract::Outbound {
            id: format!("out-{serial}"),
            kind: OutboundKind::OneToOne,
            contact_id: contact.id.clone(),
            thread: answered.map(|row| row.message.thread.clone()),
            in_reply_to: answered.map(|row| row.message.key.clone()),
            sender: None,
            to: vec![to(contact.addresses[0].clone())],
            cc: cc
                .iter()
                .map(|person| to(self.plan.shape.address(*person)))
                .collect(),
            bcc: Vec::new(),
            subject,
            text: format!("Dear {}, {}", contact.name, mark(serial)),
            html: None,
            attachments: attachment_of(*attachment),
            queued_at: now,
            when_limited: match patience {
                Patience::Fail => WhenLimited::Fail,
                Patience::Wait => WhenLimited::Wait,
            },
        };
        crm.outbound.push(Queued {
            connection,
            outbound,
            attachment: vec![b'x'; *attachment].into(),
            state: Delivery::Waits,
        });
        let at = now + state.between(0, 10_000);
        let host = usize::try_from(state.between(0, self.hosts.len() as u64)).unwrap_or_default();
        state.schedule(
            at,
            Due::Wake {
                host,
                tenant: *tenant,
            },
        );
    }

    /// Trouble ends; what it did has to be made good from here on.
    fn calm(&mut self) {
        self.is_calm = true;
        self.world.sim.clear_faults();
        for mailbox in 0..self.plan.shape.mailboxes {
            let mailbox = Shape::mailbox(mailbox);
            self.world.sim.block_until(&mailbox, None);
            self.world.sim.block_sending_until(&mailbox, None);
        }
        let mut state = self.world.lock();
        let now = state.now;
        state.trace.line(now, || "calm".to_owned());
        state.traps.clear();
        state.wire.down_until = 0;
        for crm in state.crm.tenants.values_mut() {
            crm.down_until = 0;
        }
        drop(state);
        for tenant in 0..self.lives.len() {
            self.idle[tenant] = 0;
            self.poll_at(0, tenant, |state| state.now + 1_000);
        }
    }

    fn wake(&mut self, host: usize, tenant: usize) {
        let now = self.world.lock().now;
        if self.polls.get(&(host, tenant)).is_some_and(|at| *at <= now) {
            self.polls.remove(&(host, tenant));
        }
        // What is left to do when all is calm, one host can do.
        if (self.is_calm && host != 0) || self.is_busy(host, tenant) {
            return;
        }
        let (Some(host_at_work), Some(id)) = (self.hosts[host].clone(), self.current(tenant)) else {
            return;
        };
        let future = async move { Ended::Pass(host_at_work.run(&id, Trigger::Schedule).await) };
        self.start(host, tenant, Work::Pass, Box::pin(future));
    }

    fn connect(&mut self, tenant: usize) {
        let Some((host, host_at_work)) = self.any_host() else {
            let again = |state: &State| state.now + 45_000;
            return self.later(again, Due::Connect { tenant });
        };
        let is_connecting = |task: &Task| task.tenant == tenant && task.work != Work::Pass;
        let is_active = self.status(tenant) == Some(ConnectionStatus::Active);
        if self.tasks.values().any(is_connecting) || is_active {
            return;
        }
        let now = self.gmail_time();
        let known = self.registered(tenant);
        let lives = &mut self.lives[tenant];
        let id = known.unwrap_or_else(|| {
            let id = ConnectionId::new(format!("t{tenant}.{}", lives.len()));
            lives.push(Generation::begun(id.clone(), now));
            id
        });
        let shape = &self.plan.shape.tenants[tenant];
        let mailbox = Shape::mailbox(shape.mailbox);
        self.world.consent(&id, &mailbox);
        let scope = Scope {
            tenant: tenant_id(tenant),
            user: UserId::new(format!("u{tenant}")),
            connection: id,
            account: mailbox,
        };
        let settings = self.settings(tenant);
        let future = async move { Ended::Connect(host_at_work.connect(scope, None, settings).await) };
        self.start(host, tenant, Work::Connect, Box::pin(future));
    }

    fn settings(&self, tenant: usize) -> String {
        let limit = self.plan.shape.tenants[tenant].daily_limit;
        match self.mutation {
            Some(Mutation::Component(name)) => format!(r#"{{"daily-limit":{limit},"mutation":"{name}"}}"#),
            _ => format!(r#"{{"daily-limit":{limit}}}"#),
        }
    }

    fn disconnect(&mut self, tenant: usize) {
        let now = self.gmail_time();
        let Some(id) = self.registered(tenant) else {
            // It was ended by the attempt that the user saw fail.
            if let Some(life) = self.lives[tenant].last_mut().filter(|life| life.is_ending) {
                life.ended.get_or_insert(now);
            }
            return;
        };
        if let Some(life) = self.lives[tenant].last_mut() {
            life.is_ending = true;
        }
        let Some((host, host_at_work)) = self.any_host() else {
            let again = |state: &State| state.now + 45_000;
            return self.later(again, Due::Disconnect { tenant });
        };
        let future = async move { Ended::Disconnect(host_at_work.disconnect(&id).await) };
        self.start(host, tenant, Work::Disconnect, Box::pin(future));
    }

    fn start(
        &mut self,
        host: usize,
        tenant: usize,
        work: Work,
        future: Pin<Box<dyn Future<Output = Ended>>>,
    ) {
        self.last_task += 1;
        let mut state = self.world.lock();
        let (now, id) = (state.now, self.last_task);
        state.trace.line(now, || {
            format!("host {host} task {id}: {work:?} of tenant {tenant}")
        });
        drop(state);
        let task = Task {
            host,
            tenant,
            work,
            future,
            awake: Arc::new(Flag(AtomicBool::new(true))),
        };
        self.tasks.insert(self.last_task, task);
    }

    fn ended(&mut self, host: usize, tenant: usize, ended: Ended) {
        let mut state = self.world.lock();
        let now = state.now;
        match ended {
            Ended::Connect(result) => {
                state
                    .trace
                    .line(now, || format!("connect: {:?}", result.as_ref().map(|_| ())));
                match result {
                    Ok(_) => {
                        drop(state);
                        let connected = self.gmail_time();
                        if let Some(life) = self.lives[tenant].last_mut() {
                            life.connected.get_or_insert(connected);
                        }
                        self.people.watch(self.plan.shape.tenants[tenant].mailbox);
                        for host in 0..self.hosts.len() {
                            self.poll_at(host, tenant, |state| state.now + 200);
                        }
                    }
                    Err(error) => {
                        report_trap(&mut state, &error);
                        let again = now + state.between(5_000, 60_000);
                        state.schedule(again, Due::Connect { tenant });
                    }
                }
            }
            Ended::Disconnect(result) => {
                state.trace.line(now, || format!("disconnect: {result:?}"));
                if let Err(error) = result {
                    report_trap(&mut state, &error);
                    let again = now + state.between(5_000, 60_000);
                    state.schedule(again, Due::Disconnect { tenant });
                } else {
                    drop(state);
                    let ended = self.gmail_time();
                    if let Some(life) = self.lives[tenant].last_mut() {
                        life.ended = Some(ended);
                    }
                }
            }
            Ended::Pass(result) => {
                state.trace.line(now, || match &result {
                    Ok(ran) => format!("pass: {:?}", ran.report),
                    Err(error) => format!("pass: {error}"),
                });
                state.coverage.hit("passes");
                if let Err(error) = &result {
                    report_trap(&mut state, error);
                }
                drop(state);
                if matches!(result, Err(HostError::Busy)) {
                    return self.poll_at(host, tenant, |state| state.now + BUSY);
                }
                self.judge_rest(tenant, result.as_ref().ok());
                self.after_pass(host, tenant);
            }
        }
    }

    fn judge_rest(&mut self, tenant: usize, ran: Option<&Ran>) {
        let is_idle = ran.is_some_and(|ran| {
            let counts = &ran.report.counts;
            let done = counts.seen + counts.sent + counts.unsent + counts.updates_in + counts.updates_out;
            done == 0 && ran.report.problem.is_none() && ran.report.next.is_none()
        });
        if is_idle {
            self.idle[tenant] += 1;
            return;
        }
        self.idle[tenant] = 0;
        if self.is_calm {
            // What one sends the others have to see.
            for other in (0..self.lives.len()).filter(|other| *other != tenant) {
                self.idle[other] = self.idle[other].min(IDLE - 1);
                self.poll_at(0, other, |state| state.now + POLL);
            }
        }
    }

    fn after_pass(&mut self, host: usize, tenant: usize) {
        if self.status(tenant) == Some(ConnectionStatus::NeedsReconnect) {
            let soon = |state: &State| state.now + 60_000;
            self.later(soon, Due::Connect { tenant });
        }
        let row = self
            .current(tenant)
            .and_then(|id| self.world.lock().store.registry.get(&id).cloned());
        let Some(row) = row else { return };
        let is_calm = self.is_calm;
        let is_at_rest = is_calm && self.idle[tenant] >= IDLE;
        self.poll_at(host, tenant, |state| {
            let regular = state.now + if is_at_rest { SELDOM } else { POLL };
            match row.next_run_at {
                // The true time at which the host's own clock shows that time.
                Some(next) if is_calm || row.problem.is_some() => {
                    next.saturating_add_signed(-state.skew[host]).max(state.now + 200)
                }
                Some(next) => next.clamp(state.now + 200, regular),
                None => regular,
            }
        });
    }

    /// A host looks again at that time, if it would not do so earlier.
    fn poll_at(&mut self, host: usize, tenant: usize, at: impl FnOnce(&State) -> u64) {
        let mut state = self.world.lock();
        let at = at(&state);
        let known = self.polls.entry((host, tenant)).or_insert(u64::MAX);
        if at < *known {
            *known = at;
            state.schedule(at, Due::Wake { host, tenant });
        }
    }

    /// What Gmail's clock says, ms since the epoch.
    fn gmail_time(&self) -> u64 {
        u64::try_from(self.world.sim.now_ms()).unwrap_or_default()
    }

    fn later(&mut self, at: impl FnOnce(&State) -> u64, due: Due) {
        let mut state = self.world.lock();
        let at = at(&state);
        state.schedule(at, due);
    }

    fn any_host(&self) -> Option<(usize, Host)> {
        let mut hosts = self.hosts.iter().enumerate();
        hosts.find_map(|(number, host)| Some((number, host.clone()?)))
    }

    fn is_busy(&self, host: usize, tenant: usize) -> bool {
        self.tasks
            .values()
            .any(|task| task.host == host && task.tenant == tenant)
    }

    /// The connection of a tenant that is in the registry and was not ended.
    fn registered(&self, tenant: usize) -> Option<ConnectionId> {
        let life = self.lives[tenant].last()?;
        let state = self.world.lock();
        let row = state.store.registry.get(&life.id)?;
        (row.status != ConnectionStatus::Disconnected).then(|| life.id.clone())
    }

    fn status(&self, tenant: usize) -> Option<ConnectionStatus> {
        let life = self.lives[tenant].last()?;
        let state = self.world.lock();
        Some(state.store.registry.get(&life.id)?.status)
    }

    fn current(&self, tenant: usize) -> Option<ConnectionId> {
        self.registered(tenant)
    }
}

/// A guest that traps or is over a limit has a bug, whatever was done to it.
fn report_trap(state: &mut State, error: &HostError) {
    if let HostError::Pass(error) = error {
        state.violation("trap", error.to_string());
    }
}

fn crm(shape: &Shape) -> CrmState {
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
                assigned_user: None,
            }
        });
        (tenant_id(number), TenantCrm::new(shape.crm, contacts.collect()))
    });
    CrmState {
        tenants: tenants.collect(),
    }
}

pub(crate) fn tenant_id(number: usize) -> TenantId {
    TenantId::new(format!("t{number}"))
}

fn to(address: String) -> Mailbox {
    Mailbox { name: None, address }
}

fn attachment_of(size: usize) -> Vec<contract::OutboundAttachment> {
    let attachment = contract::OutboundAttachment {
        id: "a".to_owned(),
        name: "a.bin".to_owned(),
        media_type: "application/octet-stream".to_owned(),
        size: size as u64,
        content_id: None,
        disposition: contract::Disposition::Attached,
    };
    (size > 0).then_some(attachment).into_iter().collect()
}
