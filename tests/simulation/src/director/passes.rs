//! Passes, audits and questions: when they are due, and what follows from how they end.

use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use twinbox_host::{
    Host, HostError, Ran,
    contract::{AuditMode, AuditReport, Explanation, Problem, Subject, Trigger},
    store::ConnectionStatus,
};

use super::{BUSY, Director, Ended, Flag, IDLE, LAG, POLL, Retract, SELDOM, Task, Work};
use crate::{
    gmail::field,
    plan::{AddressBook, Shape},
    world::{Due, State},
};

impl Director<'_> {
    /// A regular look is due, unless one since has put it off.
    pub(super) fn poll_now(&mut self, host: usize, tenant: usize) {
        let now = self.world.lock().now;
        if self.polls.get(&(host, tenant)).is_some_and(|at| *at <= now) {
            self.polls.remove(&(host, tenant));
            self.wake(host, tenant, None);
        }
    }

    pub(super) fn wake(&mut self, host: usize, tenant: usize, announced: Option<u64>) {
        let now = self.world.lock().now;
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
            let active = self.registered(tenant);
            let active = active.filter(|_| self.status(tenant) == Some(ConnectionStatus::Active));
            if let (Some((host, at_work)), Some(id)) = (self.any_host(), active)
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
        match ended {
            Ended::Connect(slip, result) => self.has_connected(tenant, slip, result),
            Ended::Disconnect(result) => self.has_disconnected(tenant, result),
            Ended::Ingest(copy, result) => self.taken_in(copy, result),
            Ended::Finish(result) => self.tell(|| format!("finish: {result:?}")),
            Ended::Audit(mode, result) => self.has_audited(host, tenant, mode, result),
            Ended::Explained(message, result) => self.has_explained(tenant, message, result),
            Ended::Pass(result, began) => self.has_passed(host, tenant, &result, began),
        }
    }

    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        let mut state = self.world.lock();
        let now = state.now;
        state.trace.line(now, line);
    }

    fn has_passed(
        &mut self,
        host: usize,
        tenant: usize,
        result: &Result<Ran, HostError>,
        began: Option<u64>,
    ) {
        self.tell(|| match result {
            Ok(ran) => format!("pass: {:?}", ran.report),
            Err(error) => format!("pass: {error}"),
        });
        let mut state = self.world.lock();
        state.coverage.hit("passes");
        match result {
            Ok(ran) => {
                let retracted = u64::from(ran.report.counts.retracted);
                state.coverage.add("taken out of a CRM", retracted);
            }
            Err(error) => report_trap(&mut state, error),
        }
        drop(state);
        if let Ok(ran) = result {
            self.go_on_retracting(tenant, began, ran.report.problem.as_ref());
        }
        if matches!(result, Err(HostError::Busy)) {
            return self.poll_at(host, tenant, |state| state.now + BUSY);
        }
        self.judge_rest(tenant, result.as_ref().ok());
        self.after_pass(host, tenant);
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

    fn has_audited(
        &mut self,
        host: usize,
        tenant: usize,
        mode: AuditMode,
        result: Result<AuditReport, HostError>,
    ) {
        self.tell(|| format!("audit: {result:?}"));
        let mut state = self.world.lock();
        let now = state.now;
        if let Err(error) = &result {
            report_trap(&mut state, error);
        }
        match (mode, result) {
            (AuditMode::Heal, _) => state.coverage.hit("audit beside everything else"),
            (AuditMode::ReportOnly, Ok(report)) => {
                state.coverage.hit("audit at the end");
                let missing = report.missing.into_iter().collect();
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

    fn has_explained(&mut self, tenant: usize, message: String, result: Result<Vec<Explanation>, HostError>) {
        self.tell(|| format!("explained {message}: {result:?}"));
        let mut state = self.world.lock();
        match result {
            Ok(explanations) => {
                state.coverage.hit("explained");
                self.history.explained.insert(tenant, (message, explanations));
            }
            Err(HostError::Refused(Problem::RateLimited(_))) => {}
            Err(error) => {
                report_trap(&mut state, &error);
                let text = format!("tenant {tenant} cannot explain {message}: {error}");
                state.violation("T02", text);
            }
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
        // As of a host's schedule, the next look is so long after the last, whatever that was for.
        self.polls.remove(&(host, tenant));
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
            state.schedule(at, Due::Poll { host, tenant });
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
}

/// A guest that traps or is over a limit has a bug, whatever was done to it.
pub(super) fn report_trap(state: &mut State, error: &HostError) {
    if let HostError::Pass(error) = error {
        state.violation("trap", error.to_string());
    }
}
