//! Connections: consents and what may be wrong with them, changes of address, ends.

use twinbox_host::{
    HostError,
    contract::Problem,
    privacy::{AssignedUsers, Privacy},
    scope::{ConnectionId, Scope},
    store::{Connection, ConnectionStatus},
};

use super::{Director, Ended, NOBODYS, Retract, Task, Work, passes::report_trap, tenant_id, user_id};
use crate::{
    coverage::trap_name,
    gmail::TOPIC,
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
        if self.tasks.values().any(is_connecting) {
            return;
        }
        if is_active {
            // A host that died did not live to say so.
            let is_unseen = self.lives[tenant]
                .last()
                .is_some_and(|life| life.connected.is_none());
            if is_unseen {
                self.is_there(tenant);
            }
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

    pub(super) fn has_connected(
        &mut self,
        tenant: usize,
        slip: Option<Slip>,
        result: Result<Connection, HostError>,
    ) {
        self.tell(|| format!("connect: {:?}", result.as_ref().map(|_| ())));
        let mut state = self.world.lock();
        let now = state.now;
        match (result, slip) {
            (Ok(_), Some(slip)) => {
                let text = format!("tenant {tenant} is connected by a consent with {slip:?} wrong");
                state.violation(slip.rule(), text);
            }
            (Ok(_), None) => {
                drop(state);
                self.is_there(tenant);
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

    /// The user sees that it is connected.
    fn is_there(&mut self, tenant: usize) {
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

    /// Nothing half-connected remains of a consent that lacked something (S02, S03).
    fn judge_refusal(&mut self, tenant: usize, slip: Slip, error: &HostError) {
        let names_it = match error {
            HostError::Refused(Problem::ScopeMissing(_)) => slip == Slip::Box,
            HostError::Refused(Problem::WrongMailbox(_)) => slip != Slip::Box,
            // Something else went wrong.
            _ => return,
        };
        let Some(life) = self.lives[tenant].last_mut() else {
            return;
        };
        life.is_refused = true;
        let mut state = self.world.lock();
        let rule = slip.rule();
        state.coverage.hit(match slip {
            Slip::Box => "consent without a box",
            Slip::Mailbox => "consent for another mailbox than asked for",
            Slip::Account => "consent for another account than the mailbox",
        });
        if !names_it {
            state.violation(rule, format!("{slip:?} is wrong, and it was said: {error}"));
        }
        let is_left =
            state.store.registry.contains_key(&life.id) || state.store.scan(&life.id, "").next().is_some();
        // What cannot be given up at once, or may be another's by then, a platform gives up when it tidies up.
        let is_hindered = [Port::Vault, Port::Registry].into_iter().any(|port| {
            let failure = trap_name(TrapKind::FailBefore, port);
            state.coverage.count(&failure) > 0
        });
        let is_held = state.vault.holds(&life.id) && !is_hindered;
        if is_left || is_held {
            let text = format!("something of {} is left although it was refused", life.id);
            state.violation(rule, text);
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

    pub(super) fn has_disconnected(&mut self, tenant: usize, result: Result<(), HostError>) {
        self.tell(|| format!("disconnect: {result:?}"));
        let mut state = self.world.lock();
        let now = state.now;
        if let Err(error) = result {
            report_trap(&mut state, &error);
            let again = now + state.between(5_000, 60_000);
            return state.schedule(again, Due::Disconnect { tenant });
        }
        let account = tenant_id(self.plan.shape.account(tenant));
        if let (Some(life), Some(crm)) = (self.lives[tenant].last(), state.crm.tenants.get(&account)) {
            let its = crm.rows.iter().filter(|row| row.by == life.id);
            let keys = its.map(|row| (account.clone(), row.message.key.clone()));
            self.history.left.extend(keys);
        }
        drop(state);
        let ended = self.gmail_time();
        if let Some(life) = self.lives[tenant].last_mut() {
            life.ended = Some(ended);
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

    /// The connection of a tenant that is in the registry and was not ended.
    pub(super) fn registered(&self, tenant: usize) -> Option<ConnectionId> {
        let life = self.lives[tenant].last()?;
        let state = self.world.lock();
        let row = state.store.registry.get(&life.id)?;
        (row.status != ConnectionStatus::Disconnected).then(|| life.id.clone())
    }

    pub(super) fn current(&self, tenant: usize) -> Option<ConnectionId> {
        self.registered(tenant)
    }

    pub(super) fn status(&self, tenant: usize) -> Option<ConnectionStatus> {
        let life = self.lives[tenant].last()?;
        let state = self.world.lock();
        Some(state.store.registry.get(&life.id)?.status)
    }
}
