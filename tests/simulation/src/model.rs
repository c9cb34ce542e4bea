//! What must hold when a world has come to rest. The expectations come from what people did and from the
//! rules as `product.md` words them, not from the component's code: addresses, labels and times alone.

use std::collections::{BTreeMap, BTreeSet};

use gmail_sim::{ContactView, MailboxView, MessageView};
use twinbox_host::{
    contract::Explanation,
    scope::{ConnectionId, TenantId},
    store::ConnectionStatus,
};

use crate::{
    director::tenant_id,
    gmail::mark_in,
    plan::{Lists, Plan, Shape},
    ports::crm::{Delivery, Queued, Row, TenantCrm},
    world::{State, World},
};
use expected::Expected;
use mail::Mail;

mod address_book;
mod contact;
mod expected;
mod explained;
mod ledger;
mod logging;
mod mail;
mod notices;
mod privacy;
mod row;
mod sending;
mod sharing;

pub(crate) use logging::{Logged, Settled};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule it is against.
    pub rule: &'static str,
    /// What was seen.
    pub text: String,
}

/// One connection of a tenant, from its beginning to its end.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) id: ConnectionId,
    /// When the user pressed Connect, ms since the epoch.
    pub(crate) began: u64,
    /// When the user was told that it is connected.
    pub(crate) connected: Option<u64>,
    /// Whether the user was told that the consent lacks something.
    pub(crate) is_refused: bool,
    /// Whether the user pressed Disconnect.
    pub(crate) is_ending: bool,
    /// When the user was told that it is ended.
    pub(crate) ended: Option<u64>,
}

impl Generation {
    pub(crate) fn begun(id: ConnectionId, began: u64) -> Self {
        Self {
            id,
            began,
            connected: None,
            is_refused: false,
            is_ending: false,
            ended: None,
        }
    }
}

/// What people did that the end no longer shows.
#[derive(Default)]
pub(crate) struct History {
    /// Messages that were deleted for good, by mailbox.
    pub(crate) deleted: Vec<(usize, MessageView)>,
    /// How often Gmail's clock jumped back.
    pub(crate) clock_jumps: u64,
    /// How often Gmail's clock jumped forward.
    pub(crate) clock_leaps: u64,
    /// Messages whose labels were changed, by mailbox.
    pub(crate) relabelled: BTreeSet<(usize, String)>,
    /// Messages that were deleted in a CRM, by mailbox.
    pub(crate) trashed_in_crm: BTreeSet<(usize, String)>,
    /// Tenants whose user was asked to connect again.
    pub(crate) reconnects: BTreeSet<usize>,
    /// Whether the owner of a mailbox, or Google, ended a grant.
    pub(crate) grants_ended: bool,
    /// What the user of each tenant kept out, the latest last.
    policies: Vec<Vec<Policy>>,
    /// When what is no longer allowed was last taken out of a tenant's CRM, ms since the epoch.
    pub(crate) retracted: BTreeMap<usize, u64>,
    /// Mail that other servers had for BCC addresses.
    pub(crate) logged: Vec<Logged>,
    /// What the last audit of a tenant's mailbox called missing, and when, ms since the epoch.
    pub(crate) missing: BTreeMap<usize, (u64, BTreeSet<String>)>,
    /// What was in a tenant's CRM by a connection when that was ended.
    pub(crate) left: BTreeSet<(TenantId, String)>,
    /// What a tenant's connection said of a message in the end.
    pub(crate) explained: BTreeMap<usize, (String, Vec<Explanation>)>,
}

/// What the user of a tenant keeps out (T06).
#[derive(Clone, Default)]
pub(crate) struct Policy {
    /// Since when, ms since the epoch.
    from: u64,
    pub(crate) lists: Lists,
    /// Ids of contacts whose conversation is private.
    pub(crate) private: BTreeSet<String>,
}

impl History {
    pub(crate) fn of(shape: &Shape) -> Self {
        let first = shape.tenants.iter().map(|tenant| Policy {
            lists: tenant.lists.clone(),
            ..Policy::default()
        });
        Self {
            policies: first.map(|policy| vec![policy]).collect(),
            ..Self::default()
        }
    }

    /// What a tenant's user keeps out now.
    pub(crate) fn latest_policy(&self, tenant: usize) -> Policy {
        self.policies[tenant].last().cloned().unwrap_or_default()
    }

    /// From now on a tenant's user keeps something else out.
    pub(crate) fn policy_changes(&mut self, tenant: usize, now: u64, change: impl FnOnce(&mut Policy)) {
        let mut policy = self.latest_policy(tenant);
        policy.from = now;
        change(&mut policy);
        self.policies[tenant].push(policy);
    }
}

/// The simulator's faults after which a grant is no more, or is said to be.
pub(crate) const ENDS_GRANTS: [&str; 4] = [
    "password-changed",
    "consent-withdrawn",
    "invalid-grant",
    "invalid-rapt",
];

/// Judges a world at rest.
pub(crate) fn check(world: &World, plan: &Plan, lives: &[Vec<Generation>], history: &History) {
    let shape = &plan.shape;
    let views: Vec<MailboxView> = (0..shape.mailboxes)
        .filter_map(|mailbox| world.sim.mailbox(&Shape::mailbox(mailbox)))
        .collect();
    let mut state = world.lock();
    let mut found = Vec::new();
    for number in (0..lives.len()).filter(|number| shape.account(*number) == *number) {
        let Some(crm) = state.crm.tenants.get(&tenant_id(number)) else {
            continue;
        };
        let users = (number..lives.len()).filter(|user| shape.account(*user) == number);
        stayed(crm, &tenant_id(number), users.clone(), history, &mut found);
        let mut by_mailbox: BTreeMap<usize, Vec<User<'_>>> = BTreeMap::new();
        for user in users {
            let of_mailbox = by_mailbox.entry(shape.tenants[user].mailbox).or_default();
            of_mailbox.push(User {
                number: user,
                lives: &lives[user],
            });
        }
        let mut rows = Rows::of(crm);
        for (mailbox, users) in by_mailbox {
            let judge = Judge {
                state: &state,
                plan,
                history,
                crm,
                users,
                tenant: number,
                mailbox,
                view: &views[mailbox],
                book: world.sim.contacts(&Shape::mailbox(mailbox)).unwrap_or_default(),
            };
            judge.judge(&mut rows, &mut found);
        }
        for key in rows.left() {
            found.push(("S10", format!("tenant {number} has {key}, which nobody wrote")));
        }
    }
    moved(&state, shape, lives, &mut found);
    for (mailbox, view) in views.iter().enumerate() {
        // A connection that was ended sends no more what it had begun; a host that stood still longer than its
        // lease may have made a draft that another one made before.
        let may_stray = lives.iter().flatten().any(|life| life.is_ending) || state.coverage.has_stalled();
        if !may_stray {
            sending::strays(mailbox, view, &mut found);
        }
    }
    lost_grants(history, &mut found);
    for (rule, text) in found {
        state.violation(rule, text);
    }
    let sent = count(&state, |state| matches!(state, Delivery::Sent(_)));
    state.coverage.add("mail sent from the CRM", sent);
    let failed = count(&state, |state| *state == Delivery::Failed);
    state.coverage.add("mail reported as failed", failed);
    let unconfirmed = count(&state, |state| *state == Delivery::Unconfirmed);
    state.coverage.add("mail reported as unconfirmed", unconfirmed);
    let put: usize = state.crm.tenants.values().map(|crm| crm.rows.len()).sum();
    state.coverage.add("messages delivered to a CRM", put as u64);
}

fn count(state: &State, wanted: impl Fn(&Delivery) -> bool) -> u64 {
    let queued = state.crm.tenants.values().flat_map(|crm| &crm.outbound);
    queued.filter(|queued| wanted(&queued.state)).count() as u64
}

type Found = Vec<(&'static str, String)>;

/// Whatever one tenant does, another one's grant lasts until a person or Google ends it (S06, S07).
fn lost_grants(history: &History, found: &mut Found) {
    if history.grants_ended {
        return;
    }
    for tenant in &history.reconnects {
        let text = format!("tenant {tenant} has to connect again, and nobody ended its grant");
        found.push(("S06", text));
    }
}

/// What is there when a connection ends stays (S05, S06), where no user takes anything out.
fn stayed(
    crm: &TenantCrm,
    tenant: &TenantId,
    mut users: impl Iterator<Item = usize>,
    history: &History,
    found: &mut Found,
) {
    let keeps_out = |user: usize| {
        let policies = &history.policies[user];
        policies.len() > 1 || policies.iter().any(|policy| !policy.lists.never.is_empty())
    };
    if users.any(|user| keeps_out(user) || history.retracted.contains_key(&user)) {
        return;
    }
    for (_, key) in history.left.iter().filter(|(of, _)| of == tenant) {
        if !crm.rows.iter().any(|row| row.message.key == *key) {
            found.push((
                "S06",
                format!("{tenant} has {key} no more since the connection ended"),
            ));
        }
    }
}

/// Whoever changed the address has the new one alone (S05).
fn moved(state: &State, shape: &Shape, lives: &[Vec<Generation>], found: &mut Found) {
    for next in (0..lives.len()).filter(|next| shape.user(*next) != *next) {
        let is_active = |life: &&Generation| {
            let row = state.store.registry.get(&life.id);
            row.is_some_and(|row| row.status == ConnectionStatus::Active)
        };
        let is_moved = lives[next]
            .iter()
            .any(|life| state.store.registry.contains_key(&life.id));
        let former = lives[shape.user(next)].iter().find(is_active);
        if let Some(former) = former.filter(|_| is_moved) {
            let text = format!("{} goes on although its user changed the address", former.id);
            found.push(("S05", text));
        }
    }
}

/// What one tenant has of one mailbox in the end.
struct Judge<'w> {
    state: &'w State,
    plan: &'w Plan,
    history: &'w History,
    crm: &'w TenantCrm,
    users: Vec<User<'w>>,
    tenant: usize,
    mailbox: usize,
    view: &'w MailboxView,
    book: Vec<ContactView>,
}

/// A user of the tenant, with the connections they had one after the other.
struct User<'w> {
    number: usize,
    lives: &'w [Generation],
}

impl Judge<'_> {
    fn judge(&self, rows: &mut Rows<'_>, found: &mut Found) {
        self.judge_sharing(found);
        self.judge_isolation(found);
        let deleted = self
            .history
            .deleted
            .iter()
            .filter(|(mailbox, _)| *mailbox == self.mailbox);
        let deleted: Vec<&MessageView> = deleted.map(|(_, view)| view).collect();
        let alive = self
            .view
            .messages
            .iter()
            .map(|message| (message, Presence::Alive));
        let gone = deleted.iter().map(|message| (*message, Presence::Deleted));
        for (message, presence) in alive.chain(gone) {
            let rows = rows.take(&self.key_of(message), message);
            self.judge_message(message, presence, &rows, found);
        }
        self.judge_logged_alone(rows, found);
        for queued in self.queued() {
            self.judge_outbound(queued, &deleted, found);
        }
        self.judge_notices(found);
        for user in &self.users {
            self.judge_book(user, found);
            self.judge_ledger(user, found);
            self.judge_explained(user, found);
            self.judge_rows_of_logged(user, found);
            self.judge_day(user, found);
        }
    }

    fn judge_message(&self, message: &MessageView, presence: Presence, rows: &[&Row], found: &mut Found) {
        let mail = Mail::of(message);
        let wanted = self.contact(&mail);
        let expected = wanted.as_ref().map_or(Expected::MustNot, |owner| {
            let by_user = self.users.iter().filter(|user| self.sees(user, &owner.contact));
            let by_mailbox = by_user.map(|user| {
                self.expected(user, message, presence)
                    .and(self.share(owner, &mail))
                    .and(self.allowed(user, owner, &mail, presence))
            });
            let copies = self
                .copies_of(&mail)
                // The mailbox's own copy may have been decided on first, and that stands.
                .map(|copy| {
                    let expected = self.expected_of_copy(copy, owner).and(Expected::May);
                    expected.and(self.barred_by_the_mailboxs(copy, message, presence, owner))
                });
            by_mailbox.chain(copies).fold(Expected::MustNot, Expected::or)
        });
        let here = format!(
            "tenant {}, message {} ({:?})",
            self.tenant, message.id, message.labels
        );
        if let Some(row) = expected.met_by(rows, &here, found) {
            self.judge_row(message, presence, row, wanted.as_ref(), found);
        }
    }

    /// What the users of the mailbox wrote in the CRM.
    fn queued(&self) -> impl Iterator<Item = &Queued> {
        self.crm.outbound.iter().filter(|queued| {
            let mut lives = self.users.iter().flat_map(|user| user.lives.iter());
            lives.any(|life| life.id == queued.connection)
        })
    }

    /// The key of a message of the mailbox.
    fn key_of(&self, message: &MessageView) -> String {
        format!("gmail/{}/{}", self.view.email, message.id)
    }

    /// Whether a row has this message: under its own key, or that of its mail, which may come another way too (S18).
    fn is_of(&self, row: &Row, message: &MessageView) -> bool {
        let key = &row.message.key;
        if !message.has("SENT") || !key.starts_with(&format!("bcc/{}/", self.view.email)) {
            return *key == self.key_of(message);
        }
        let mark = mark_in(&row.message.content.text);
        mark.is_some() && mark == mark_in(&String::from_utf8_lossy(&message.raw))
    }

    /// The connection of a user that is there at the end.
    fn active(&self, user: &User<'_>) -> Option<&ConnectionId> {
        let life = user.lives.last()?;
        let (id, row) = self.state.store.registry.get_key_value(&life.id)?;
        (row.status == ConnectionStatus::Active).then_some(id)
    }

    /// Whether a connection is there at the end.
    fn is_active(&self, connection: &ConnectionId) -> bool {
        self.users
            .iter()
            .any(|user| self.active(user) == Some(connection))
    }

    /// By how much the clocks of hosts and Gmail may be apart, ms; Gmail tells its time in whole seconds.
    fn time_slack(&self) -> u64 {
        let (behind, ahead) = self.state.furthest;
        self.clock_slack() + behind.abs_diff(ahead) + self.history.clock_leaps * 90_000 + 1_000
    }

    /// By how much Gmail's own dates may be in the wrong order, ms.
    fn clock_slack(&self) -> u64 {
        self.history.clock_jumps * 90_000
    }
}

/// What is in a CRM, each row until it is judged.
struct Rows<'w> {
    by_key: BTreeMap<&'w str, Vec<&'w Row>>,
}

impl<'w> Rows<'w> {
    fn of(crm: &'w TenantCrm) -> Self {
        let mut by_key: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &crm.rows {
            by_key.entry(&row.message.key).or_default().push(row);
        }
        Self { by_key }
    }

    /// Those of a message: under its key, and of what the user sent also those with the key of the mail (S18).
    fn take(&mut self, key: &str, message: &MessageView) -> Vec<&'w Row> {
        let mut rows = self.by_key.remove(key).unwrap_or_default();
        if message.has("SENT") {
            let raw = String::from_utf8_lossy(&message.raw);
            rows.extend(mark_in(&raw).into_iter().flat_map(|mark| self.take_logged(mark)));
        }
        rows
    }

    /// Those of mail with this mark that named a BCC address, or came to one.
    fn take_logged(&mut self, mark: &str) -> Vec<&'w Row> {
        let is_it = |row: &Row| row.is_logged() && mark_in(&row.message.content.text) == Some(mark);
        let mut taken = Vec::new();
        self.by_key.retain(|_, rows| {
            let (its, others) = std::mem::take(rows).into_iter().partition(|row| is_it(row));
            *rows = others;
            let mut its: Vec<&Row> = its;
            taken.append(&mut its);
            !rows.is_empty()
        });
        taken
    }

    /// Keys of what was not taken.
    fn left(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().copied()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Alive,
    Deleted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    No,
    ThisTenant,
    AnotherTenant,
}
