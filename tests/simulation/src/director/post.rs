//! Mail at BCC addresses (S18): the server takes it and writes it down, and a host hands it to the component, again and
//! again until it is settled, as `host/src/smtp` does.

use twinbox_host::{
    HostError,
    body::Body,
    contract::{Outcome, Problem},
    store::ConnectionStatus,
};

use super::{Director, Ended, Work, passes::report_trap, tenant_id};
use crate::{
    gmail::{ToLog, mark_in},
    model::{Logged, Settled},
    plan::{Logging, Shape, Unreached, Way, What},
    world::Due,
};

/// How soon a copy is handed over again when a pass has the connection, ms.
const IN_USE: u64 = 2_000;
/// How soon at last, ms: a host that died may have it for minutes.
const STILL_IN_USE: u64 = 30_000;
/// First wait after a failure, ms; doubled each time.
const FIRST_BACKOFF: u64 = 5_000;
/// How often that time is doubled at most.
const PATIENCE: u32 = 4;

/// A copy of a mail for a BCC address.
pub(super) struct Copy {
    pub(super) logged: Logged,
    way: Way,
    place: Place,
    failures: u32,
    /// How long it waits when its connection is in use again, ms.
    busy_for: u64,
    /// What was there of its mail when it came, for the coverage.
    met: &'static str,
}

/// Where a copy is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On its way to the server, or with it and not settled.
    Waits,
    /// Nothing more becomes of it.
    Over,
}

impl Copy {
    /// Whether it is still to be handed over.
    pub(super) fn waits(&self) -> bool {
        self.place == Place::Waits
    }
}

impl Director<'_> {
    /// The user of a tenant sends mail with their BCC address in Bcc.
    pub(super) fn log(&mut self, what: &What, now: u64) {
        let What::Logs {
            tenant,
            to,
            cc,
            bcc,
            body,
            way,
            copies,
        } = what
        else {
            return;
        };
        let Some(connection) = self.current(*tenant) else {
            return;
        };
        let logged = ToLog {
            to,
            cc,
            bcc,
            address: &self.address(*tenant),
            body: *body,
            way: *way,
        };
        let mailbox = self.plan.shape.tenants[*tenant].mailbox;
        let Some(raw) = self.people.log(mailbox, &logged, now) else {
            return;
        };
        for takes in copies {
            let copy = self.post.len();
            self.post.push(Copy {
                logged: Logged {
                    tenant: *tenant,
                    connection: connection.clone(),
                    raw: raw.clone(),
                    taken_at: None,
                    settled: None,
                },
                way: *way,
                place: Place::Waits,
                failures: 0,
                busy_for: IN_USE,
                met: "",
            });
            self.later(|state| state.now + takes, Due::Post { copy });
        }
    }

    /// The address of somebody who does not get mail.
    pub(super) fn unreached(&self, who: Unreached) -> String {
        match who {
            Unreached::Person(person) => self.plan.shape.address(person),
            Unreached::BccAddress(tenant) => self.address(tenant),
        }
    }

    /// The BCC address of a tenant's latest connection.
    fn address(&self, tenant: usize) -> String {
        let before = self.lives[tenant].len().saturating_sub(1);
        Shape::bcc_address(tenant, before)
    }

    /// A copy comes to its address, or is handed over again.
    pub(super) fn hand_over(&mut self, copy: usize) {
        let logged = &self.post[copy].logged;
        let (tenant, id) = (logged.tenant, logged.connection.clone());
        let mut state = self.world.lock();
        let row = state.store.registry.get(&id);
        let has_address = self.plan.shape.tenants[tenant].logging == Logging::ByAddress
            && row.is_some_and(|row| row.status != ConnectionStatus::Disconnected);
        if logged.taken_at.is_none() && !has_address {
            state.coverage.hit("BCC copy refused");
            self.post[copy].place = Place::Over;
            return;
        }
        drop(state);
        let Some((host, at_work)) = self.any_host() else {
            return self.later(|state| state.now + 45_000, Due::Post { copy });
        };
        let state = self.world.lock();
        let now = state.now.saturating_add_signed(state.skew[host]);
        drop(state);
        if self.post[copy].logged.taken_at.is_none() {
            self.post[copy].met = self.met(copy);
        }
        let logged = &mut self.post[copy].logged;
        let received_at = *logged.taken_at.get_or_insert(now);
        let (raw, size) = (logged.raw.clone(), logged.raw.len() as u64);
        let before = self.lives[tenant].iter().position(|life| life.id == id);
        let address = Shape::bcc_address(tenant, before.unwrap_or_default());
        let future = async move {
            let body = Body::Inline(raw);
            Ended::Ingest(copy, at_work.ingest(&id, address, body, size, received_at).await)
        };
        self.start(host, tenant, Work::Ingest(copy), Box::pin(future));
    }

    /// What the component said of a copy.
    pub(super) fn taken_in(&mut self, copy: usize, result: Result<Outcome, HostError>) {
        let world = self.world.clone();
        let mut state = world.lock();
        let now = state.now;
        state.trace.line(now, || format!("copy {copy}: {result:?}"));
        let tenant = self.post[copy].logged.tenant;
        let wait = match result {
            Ok(Outcome::Quarantined(reason)) => {
                state.violation("T01", format!("mail at the BCC address is quarantined: {reason}"));
                None
            }
            Ok(_) => {
                state.coverage.hit(self.post[copy].met);
                self.post[copy].logged.settled = Some(Settled::Decided);
                None
            }
            Err(HostError::UnknownConnection(_) | HostError::Refused(Problem::NotConnected)) => {
                state.coverage.hit("BCC copy of an ended connection");
                self.post[copy].logged.settled = Some(Settled::Dropped);
                None
            }
            Err(HostError::Busy) => {
                state.coverage.hit("BCC copy met a pass");
                let wait = self.post[copy].busy_for;
                self.post[copy].busy_for = (wait * 2).min(STILL_IN_USE);
                return state.schedule(now + wait, Due::Post { copy });
            }
            Err(error) => {
                report_trap(&mut state, &error);
                state.coverage.hit("BCC copy put off");
                let failures = &mut self.post[copy].failures;
                *failures += 1;
                let backoff = FIRST_BACKOFF << (*failures).min(PATIENCE);
                Some(match error.problem() {
                    Problem::RateLimited(until) => until.saturating_sub(now).max(backoff),
                    _ => backoff,
                })
            }
        };
        match wait {
            Some(wait) => state.schedule(now + wait, Due::Post { copy }),
            None => self.post[copy].place = Place::Over,
        }
        drop(state);
        // It may have become something to tell of.
        self.idle[tenant] = 0;
        self.stirred = self.stirred.max(now);
        self.poll_at(0, tenant, |state| state.now + IN_USE);
    }

    /// What was there of the mail of a copy before it came.
    fn met(&self, copy: usize) -> &'static str {
        let raw = |copy: &Copy| String::from_utf8_lossy(&copy.logged.raw).into_owned();
        let Copy { logged, way, .. } = &self.post[copy];
        let this = raw(&self.post[copy]);
        let is_it = |other: &Copy| other.logged.settled.is_some() && mark_in(&raw(other)) == mark_in(&this);
        let state = self.world.lock();
        let crm = state
            .crm
            .tenants
            .get(&tenant_id(self.plan.shape.account(logged.tenant)));
        let mut rows = crm.into_iter().flat_map(|crm| &crm.rows);
        if self.post.iter().any(is_it) {
            "BCC copy came twice"
        } else if rows.any(|row| mark_in(&row.message.content.text) == mark_in(&this)) {
            "BCC copy came after the mailbox's"
        } else if *way == Way::Elsewhere {
            "BCC copy came alone"
        } else {
            "BCC copy came first"
        }
    }
}
