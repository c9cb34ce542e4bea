//! The life of connections: connect, passes and when they are due, disconnect.

use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use twinbox_host::{
    Host, HostError, Ran,
    contract::{AuditMode, Problem, Subject, Trigger},
    privacy::{AssignedUsers, Privacy},
    scope::{ConnectionId, Scope},
    store::ConnectionStatus,
};

use super::{
    BUSY, Director, Ended, Flag, IDLE, LAG, NOBODYS, POLL, Retract, SELDOM, Task, Work, tenant_id, user_id,
};
use crate::{
    coverage::trap_name,
    gmail::{TOPIC, field},
    model::Generation,
    mutation::Mutation,
    plan::{AddressBook, Internal, Lists, Logging, Port, Sees, Shape, Slip, TrapKind},
    ports::vault::{scopes, scopes_but_one},
    world::{Due, State},
};

/// How often the time until the next try is doubled.
const PATIENCE: usize = 6;
/// A mailbox that nobody here has.
const ELSEWHERE: &str = "elsewhere@corp.example";

impl Director<'_> {
    pub(super) fn wake(&mut self, host: usize, tenant: usize, announced: Option<u64>) {
        let now = self.world.lock().now;
        if self.polls.get(&(host, tenant)).is_some_and(|at| *at <= now) {
            self.polls.remove(&(host, tenant));
        }
        if self.is_busy(host, tenant) {
            return;
        }
        let (Some(host_at_work), Some(id)) = (self.hosts[host].clone(), self.current(tenant)) else {
            return;
        };
        // Address books and who keeps what are asked for seldom, unless a person wants it.
        let has_book = self.plan.shape.tenants[tenant].book == AddressBook::Ticked || self.is_shared(tenant);
        let trigger = match announced {
            Some(history) => Trigger::Push(history.to_string()),
            None if has_book && (self.is_calm || self.world.lock().one_in(2)) => Trigger::Manual,
            None => Trigger::Schedule,
        };
        let began = match self.retracts.get(&tenant) {
            Some(Retract::Wanted) => Some(now),
            Some(Retract::Begun(_)) | None => None,
        };
        let trigger = began.map_or(trigger, |_| Trigger::Retract);
        let future = async move { Ended::Pass(host_at_work.run(&id, trigger).await, began) };
        self.start(host, tenant, Work::Pass, Box::pin(future));
    }

    pub(super) fn audit(&mut self, host: usize, tenant: usize, mode: AuditMode) {
        let (Some(host_at_work), Some(id)) = (self.hosts[host].clone(), self.current(tenant)) else {
            return;
        };
        if self.is_busy(host, tenant) || self.status(tenant) != Some(ConnectionStatus::Active) {
            return;
        }
        let future = async move {
            let made = host_at_work.check(&id, mode, Duration::ZERO).await;
            Ended::Audit(mode, made)
        };
        self.start(host, tenant, Work::Audit, Box::pin(future));
    }

    /// Begins the audits that show that nothing is missing now that all has come to rest; whether there are any.
    pub(super) fn audit_at_the_end(&mut self) -> bool {
        while let Some(tenant) = self.audits.pop_first() {
            if let Some((host, _)) = self.any_host() {
                self.audit(host, tenant, AuditMode::ReportOnly);
            }
            if !self.tasks.is_empty() {
                return true;
            }
        }
        false
    }

    /// Begins to ask why a message is where it is now that all has come to rest (T02); whether there is anything to ask.
    pub(super) fn ask_at_the_end(&mut self) -> bool {
        while let Some(tenant) = self.questions.pop_first() {
            if let (Some((host, at_work)), Some(id)) = (self.any_host(), self.registered(tenant))
                && let Some((message, message_id)) = self.any_message(self.plan.shape.tenants[tenant].mailbox)
            {
                let subject = Subject::MessageId(message_id);
                let future = async move { Ended::Explained(message, at_work.explain(&id, subject).await) };
                self.start(host, tenant, Work::Explain, Box::pin(future));
                return true;
            }
        }
        false
    }

    /// Some message of a mailbox: its id, and its Message-ID.
    fn any_message(&self, mailbox: usize) -> Option<(String, String)> {
        let view = self.world.sim.mailbox(&Shape::mailbox(mailbox))?;
        let known: Vec<(String, String)> = view
            .messages
            .iter()
            .filter(|message| !message.has("DRAFT"))
            .filter_map(|message| {
                let raw = String::from_utf8_lossy(&message.raw);
                Some((message.id.clone(), field(&raw, "Message-ID")?))
            })
            .collect();
        let pick = self.world.lock().between(0, u64::MAX);
        let pick = usize::try_from(pick).unwrap_or_default();
        known.get(pick.checked_rem(known.len())?).cloned()
    }

    pub(super) fn connect(&mut self, tenant: usize, slip: Option<Slip>) {
        // Who has changed the address comes back with the new one.
        let shape = &self.plan.shape;
        if shape
            .next_of(tenant)
            .is_some_and(|next| !self.lives[next].is_empty())
        {
            return;
        }
        let Some((host, host_at_work)) = self.any_host() else {
            let again = |state: &State| state.now + 45_000;
            return self.later(again, Due::Connect { tenant });
        };
        let is_connecting =
            |task: &Task| task.tenant == tenant && matches!(task.work, Work::Connect | Work::Disconnect);
        let is_active = self.status(tenant) == Some(ConnectionStatus::Active);
        if self.tasks.values().any(is_connecting) || is_active {
            return;
        }
        let former = shape.user(tenant);
        if former != tenant && !self.knows_what_is_left(former) {
            return self.later(|state| state.now + 60_000, Due::Connect { tenant });
        }
        if former != tenant && self.lives[tenant].iter().all(|life| life.connected.is_none()) {
            self.keeps_the_same_out(tenant);
        }
        let now = self.gmail_time();
        let known = self.registered(tenant);
        // A consent that is given again is another matter.
        let slip = slip.filter(|_| known.is_none());
        let lives = &mut self.lives[tenant];
        let id = known.unwrap_or_else(|| {
            let id = ConnectionId::new(format!("t{tenant}.{}", lives.len()));
            lives.push(Generation::begun(id.clone(), now));
            id
        });
        let shape = &self.plan.shape.tenants[tenant];
        let mailbox = Shape::mailbox(shape.mailbox);
        let signed = match slip {
            Some(Slip::Account) => ELSEWHERE,
            _ => &mailbox,
        };
        let scopes = match slip {
            Some(Slip::Box) => scopes_but_one(shape.book),
            _ => scopes(shape.book),
        };
        self.world.consent(&id, &mailbox, signed, scopes);
        let scope = Scope {
            tenant: tenant_id(self.plan.shape.account(tenant)),
            user: user_id(self.plan.shape.user(tenant)),
            connection: id,
            account: mailbox,
        };
        let expected = (slip == Some(Slip::Mailbox)).then(|| ELSEWHERE.to_owned());
        let settings = self.settings(tenant);
        let future =
            async move { Ended::Connect(slip, host_at_work.connect(scope, expected, settings).await) };
        self.start(host, tenant, Work::Connect, Box::pin(future));
    }

    /// Whether a user has a connection to change, or knows that there is none.
    fn knows_what_is_left(&self, tenant: usize) -> bool {
        let is_connecting = |task: &Task| task.tenant == tenant && task.work == Work::Connect;
        let is_there = self.registered(tenant).is_some();
        let is_over = self.lives[tenant].last().is_none_or(|life| life.ended.is_some());
        (is_there || is_over) && !self.tasks.values().any(is_connecting)
    }

    /// Whoever changes the address keeps out with it what they kept out before (S05, T06).
    fn keeps_the_same_out(&mut self, tenant: usize) {
        let now = self.world.lock().now;
        let before = self.history.latest_policy(self.plan.shape.user(tenant));
        self.history.policy_changes(tenant, now, |policy| {
            policy.lists = before.lists;
            policy.private = before.private;
        });
    }

    /// Nothing half-connected remains of a consent that lacked something (S02, S03).
    fn judge_refusal(&mut self, tenant: usize, slip: Slip, error: &HostError) {
        let is_told = match error {
            HostError::Refused(Problem::ScopeMissing(_)) => slip == Slip::Box,
            HostError::Refused(Problem::WrongMailbox(_)) => slip != Slip::Box,
            _ => false,
        };
        let Some(life) = self.lives[tenant].last_mut().filter(|_| is_told) else {
            return;
        };
        life.is_refused = true;
        let mut state = self.world.lock();
        let (rule, met) = match slip {
            Slip::Box => ("S02", "consent without a box"),
            Slip::Mailbox => ("S03", "consent for another mailbox than asked for"),
            Slip::Account => ("S03", "consent for another account than the mailbox"),
        };
        state.coverage.hit(met);
        let is_left = state.store.registry.contains_key(&life.id);
        // What cannot be given up at once, a platform gives up when it tidies up.
        let is_held = state.vault.holds(&life.id)
            && state
                .coverage
                .count(&trap_name(TrapKind::FailBefore, Port::Vault))
                == 0;
        if is_left || is_held {
            let text = format!("something of {} is left although it was refused", life.id);
            state.violation(rule, text);
        }
    }

    pub(super) fn settings(&self, tenant: usize) -> String {
        let limit = self.plan.shape.tenants[tenant].daily_limit;
        let mut settings = serde_json::json!({ "daily-limit": limit, "push-topic": TOPIC });
        if self.plan.shape.tenants[tenant].book == AddressBook::Ticked {
            settings["google-contacts"] = true.into();
        }
        // Every other user has the last word on it, against what the operator has set.
        let (sees, is_chosen) = (self.plan.shape.tenants[tenant].sees, tenant % 2 == 1);
        if (sees == Sees::Any) != is_chosen {
            settings["assigned-users"] = "any".into();
        }
        let chosen = match sees {
            Sees::Own => AssignedUsers::Own,
            Sees::Any => AssignedUsers::Any,
        };
        if let Some(before) = self.lives[tenant].len().checked_sub(1)
            && self.plan.shape.tenants[tenant].logging == Logging::ByAddress
        {
            settings["bcc-address"] = Shape::bcc_address(tenant, before).into();
        }
        if let Some(Mutation::Component(name)) = self.mutation {
            settings["mutation"] = name.into();
        }
        let chosen = Privacy {
            assigned_users: is_chosen.then_some(chosen),
            ..Privacy::default()
        };
        let lists = self.lists(&self.plan.shape.tenants[tenant].lists, &chosen);
        lists.in_settings(&settings.to_string())
    }

    /// A user's lists as the host keeps them.
    pub(super) fn lists(&self, lists: &Lists, before: &Privacy) -> Privacy {
        let never = lists.never.iter().map(|person| self.plan.shape.address(*person));
        Privacy {
            never_sync: never.collect(),
            internal_domains: match lists.internal {
                Internal::OwnDomain => None,
                Internal::Nobody => Some(Vec::new()),
            },
            own_addresses: before.own_addresses.clone(),
            assigned_users: before.assigned_users,
        }
    }

    pub(super) fn disconnect(&mut self, tenant: usize) {
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
        if let Some(retract) = self.retracts.get_mut(&tenant) {
            *retract = Retract::Wanted;
        }
        let Some((host, host_at_work)) = self.any_host() else {
            let again = |state: &State| state.now + 45_000;
            return self.later(again, Due::Disconnect { tenant });
        };
        let future = async move { Ended::Disconnect(host_at_work.disconnect(&id).await) };
        self.start(host, tenant, Work::Disconnect, Box::pin(future));
    }

    /// The connection with the former address ends once the next one is there (S05).
    fn end_former(&mut self, tenant: usize) {
        let former = self.plan.shape.user(tenant);
        if former == tenant {
            return;
        }
        self.world.lock().coverage.hit("address changed");
        if !self.lives[former].is_empty() {
            self.disconnect(former);
        }
    }

    /// What a host does when it begins.
    pub(super) fn finish_disconnects(&mut self, host: usize) {
        let Some(host_at_work) = self.hosts[host].clone() else {
            return;
        };
        let future = async move { Ended::Finish(host_at_work.finish_disconnects().await) };
        self.start(host, NOBODYS, Work::Finish, Box::pin(future));
    }

    /// Whether another tenant has the mailbox as well.
    pub(super) fn is_shared(&self, tenant: usize) -> bool {
        let tenants = &self.plan.shape.tenants;
        let is_same = |other: &&crate::plan::Tenant| other.mailbox == tenants[tenant].mailbox;
        tenants.iter().filter(is_same).count() > 1
    }

    pub(super) fn start(
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

    pub(super) fn ended(&mut self, host: usize, tenant: usize, ended: Ended) {
        let mut state = self.world.lock();
        let now = state.now;
        match ended {
            Ended::Connect(slip, result) => {
                state
                    .trace
                    .line(now, || format!("connect: {:?}", result.as_ref().map(|_| ())));
                match (result, slip) {
                    (Ok(_), Some(slip)) => {
                        let text = format!("tenant {tenant} is connected by a consent with {slip:?} wrong");
                        state.violation("S02", text);
                    }
                    (Ok(_), None) => {
                        drop(state);
                        self.end_former(tenant);
                        let connected = self.gmail_time();
                        if let Some(life) = self.lives[tenant].last_mut() {
                            life.connected.get_or_insert(connected);
                        }
                        self.people.watch(self.plan.shape.tenants[tenant].mailbox);
                        for host in 0..self.hosts.len() {
                            self.poll_at(host, tenant, |state| state.now + 200);
                        }
                    }
                    (Err(error), slip) => {
                        report_trap(&mut state, &error);
                        // A person loses patience. Google ends the oldest of more than a hundred grants of an account.
                        let attempts = self.lives[tenant].iter().rev();
                        let refused = attempts.take_while(|life| life.connected.is_none()).count();
                        let again = now + (state.between(5_000, 60_000) << refused.min(PATIENCE));
                        state.schedule(again, Due::Connect { tenant });
                        drop(state);
                        if let Some(slip) = slip {
                            self.judge_refusal(tenant, slip, &error);
                        }
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
            Ended::Ingest(copy, result) => {
                drop(state);
                self.taken_in(copy, result);
            }
            Ended::Finish(result) => {
                state.trace.line(now, || format!("finish: {result:?}"));
            }
            Ended::Audit(mode, result) => {
                state.trace.line(now, || format!("audit: {result:?}"));
                if let Err(error) = &result {
                    report_trap(&mut state, error);
                }
                match (mode, &result) {
                    (AuditMode::Heal, _) => state.coverage.hit("audit beside everything else"),
                    (AuditMode::ReportOnly, Ok(report)) => {
                        state.coverage.hit("audit at the end");
                        let missing = report.missing.iter().cloned().collect();
                        self.history.missing.insert(tenant, (now, missing));
                    }
                    (AuditMode::ReportOnly, Err(_)) => {}
                }
                drop(state);
                if mode == AuditMode::Heal {
                    self.judge_rest(tenant, None);
                }
                self.after_pass(host, tenant);
            }
            Ended::Explained(message, result) => {
                state
                    .trace
                    .line(now, || format!("explained {message}: {result:?}"));
                if let Err(error) = &result {
                    report_trap(&mut state, error);
                }
                if let Ok(explanations) = result {
                    state.coverage.hit("explained");
                    self.history.explained.insert(tenant, (message, explanations));
                }
            }
            Ended::Pass(result, began) => {
                state.trace.line(now, || match &result {
                    Ok(ran) => format!("pass: {:?}", ran.report),
                    Err(error) => format!("pass: {error}"),
                });
                state.coverage.hit("passes");
                if let Err(error) = &result {
                    report_trap(&mut state, error);
                }
                if let Ok(ran) = &result {
                    state
                        .coverage
                        .add("taken out of a CRM", u64::from(ran.report.counts.retracted));
                }
                drop(state);
                if let Ok(ran) = &result {
                    self.go_on_retracting(tenant, began, ran.report.problem.as_ref());
                }
                if matches!(result, Err(HostError::Busy)) {
                    return self.poll_at(host, tenant, |state| state.now + BUSY);
                }
                self.judge_rest(tenant, result.as_ref().ok());
                self.after_pass(host, tenant);
            }
        }
    }

    /// After a pass, which was asked to begin it at that time or not.
    fn go_on_retracting(&mut self, tenant: usize, began: Option<u64>, problem: Option<&Problem>) {
        let began = began.or(match self.retracts.get(&tenant) {
            Some(Retract::Begun(at)) => Some(*at),
            Some(Retract::Wanted) | None => None,
        });
        let Some(began) = began else { return };
        match problem {
            None => {
                self.retracts.remove(&tenant);
                self.history.retracted.insert(tenant, began);
            }
            // Nobody asks again for what goes on by itself.
            Some(Problem::RateLimited(_)) => {
                self.retracts.insert(tenant, Retract::Begun(began));
            }
            Some(_) => {}
        }
    }

    pub(super) fn judge_rest(&mut self, tenant: usize, ran: Option<&Ran>) {
        let is_idle = ran.is_some_and(|ran| {
            let counts = &ran.report.counts;
            let done = counts.seen
                + counts.sent
                + counts.unsent
                + counts.updates_in
                + counts.updates_out
                + counts.retracted;
            done == 0 && ran.report.problem.is_none() && ran.report.next.is_none()
        });
        let now = self.world.lock().now;
        if is_idle {
            // What lags behind has to show first.
            let is_early = now < self.stirred + self.lag();
            self.idle[tenant] += u32::from(!is_early);
            return;
        }
        self.idle[tenant] = 0;
        self.stirred = self.stirred.max(now);
        if self.is_calm {
            // What one sends the others have to see.
            for other in (0..self.lives.len()).filter(|other| *other != tenant) {
                self.idle[other] = self.idle[other].min(IDLE - 1);
                self.poll_at(0, other, |state| state.now + POLL);
            }
        }
    }

    /// The longest that Google is behind with what it lists, ms.
    fn lag(&self) -> u64 {
        let shape = &self.plan.shape;
        let has_book = shape
            .tenants
            .iter()
            .any(|tenant| tenant.book == AddressBook::Ticked);
        let book = u64::try_from(shape.behaviour.contacts_lag_ms).unwrap_or_default();
        if has_book { LAG.max(book) } else { LAG }
    }

    pub(super) fn after_pass(&mut self, host: usize, tenant: usize) {
        if self.status(tenant) == Some(ConnectionStatus::NeedsReconnect) {
            self.history.reconnects.insert(tenant);
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
    pub(super) fn poll_at(&mut self, host: usize, tenant: usize, at: impl FnOnce(&State) -> u64) {
        let mut state = self.world.lock();
        let at = at(&state);
        let known = self.polls.entry((host, tenant)).or_insert(u64::MAX);
        if at < *known {
            *known = at;
            state.schedule(
                at,
                Due::Wake {
                    host,
                    tenant,
                    announced: None,
                },
            );
        }
    }

    /// What Gmail's clock says, ms since the epoch.
    pub(super) fn gmail_time(&self) -> u64 {
        u64::try_from(self.world.sim.now_ms()).unwrap_or_default()
    }

    pub(super) fn later(&mut self, at: impl FnOnce(&State) -> u64, due: Due) {
        let mut state = self.world.lock();
        let at = at(&state);
        state.schedule(at, due);
    }

    pub(super) fn any_host(&self) -> Option<(usize, Host)> {
        let mut hosts = self.hosts.iter().enumerate();
        hosts.find_map(|(number, host)| Some((number, host.clone()?)))
    }

    pub(super) fn is_busy(&self, host: usize, tenant: usize) -> bool {
        self.tasks
            .values()
            .any(|task| task.host == host && task.tenant == tenant && !matches!(task.work, Work::Ingest(_)))
    }

    /// The connection of a tenant that is in the registry and was not ended.
    pub(super) fn registered(&self, tenant: usize) -> Option<ConnectionId> {
        let life = self.lives[tenant].last()?;
        let state = self.world.lock();
        let row = state.store.registry.get(&life.id)?;
        (row.status != ConnectionStatus::Disconnected).then(|| life.id.clone())
    }

    pub(super) fn status(&self, tenant: usize) -> Option<ConnectionStatus> {
        let life = self.lives[tenant].last()?;
        let state = self.world.lock();
        Some(state.store.registry.get(&life.id)?.status)
    }

    pub(super) fn current(&self, tenant: usize) -> Option<ConnectionId> {
        self.registered(tenant)
    }
}

/// A guest that traps or is over a limit has a bug, whatever was done to it.
pub(super) fn report_trap(state: &mut State, error: &HostError) {
    if let HostError::Pass(error) = error {
        state.violation("trap", error.to_string());
    }
}
