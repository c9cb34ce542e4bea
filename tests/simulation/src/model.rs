//! What must hold when a world has come to rest. The expectations come from what people did and from the
//! rules as `product.md` words them, not from the component's code: addresses, labels and times alone.

use std::collections::{BTreeMap, BTreeSet};

use gmail_sim::{ContactView, MailboxView, MessageView};
use serde_json::Value;
use twinbox_host::{
    contract::{Contact, Direction, Flags},
    scope::ConnectionId,
    store::ConnectionStatus,
};

use crate::{
    director::{tenant_id, user_id},
    gmail::mark_in,
    plan::{AddressBook, Internal, Lists, Plan, Sees, Shape},
    ports::{
        crm::{Delivery, Queued, Row, TenantCrm},
        sharing::Reign,
    },
    world::{State, World},
};

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

    /// From now on a tenant's user keeps something else out.
    pub(crate) fn policy_changes(&mut self, tenant: usize, now: u64, change: impl FnOnce(&mut Policy)) {
        let mut policy = self.policies[tenant].last().cloned().unwrap_or_default();
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

/// Whether a message has to be in a tenant's CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Must,
    MustNot,
    /// It depends on what was quicker.
    May,
}

impl Expected {
    /// What is left of it if something else holds as well.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::MustNot, _) | (_, Self::MustNot) => Self::MustNot,
            (Self::May, _) | (_, Self::May) => Self::May,
            (Self::Must, Self::Must) => Self::Must,
        }
    }
}

/// How far the clocks of the host and of Gmail may be apart by the rule S31, ms.
const CLOCKS_APART: u64 = 120_000;

/// Judges a world at rest.
pub(crate) fn check(world: &World, plan: &Plan, lives: &[Vec<Generation>], history: &History) {
    let views: Vec<MailboxView> = (0..plan.shape.mailboxes)
        .filter_map(|mailbox| world.sim.mailbox(&Shape::mailbox(mailbox)))
        .collect();
    let mut state = world.lock();
    let mut found = Vec::new();
    for (number, lives) in lives.iter().enumerate() {
        if let Some(crm) = state.crm.tenants.get(&tenant_id(number)) {
            let mailbox = plan.shape.tenants[number].mailbox;
            let judge = Judge {
                state: &state,
                plan,
                history,
                crm,
                lives,
                tenant: number,
                mailbox,
                view: &views[mailbox],
                book: world.sim.contacts(&Shape::mailbox(mailbox)).unwrap_or_default(),
            };
            judge.judge(&mut found);
        }
    }
    for (mailbox, view) in views.iter().enumerate() {
        // A connection that was ended sends no more what it had begun; a host that stood still longer than its
        // lease may have made a draft that another one made before.
        let may_stray = lives.iter().flatten().any(|life| life.is_ending) || state.coverage.has_stalled();
        if !may_stray {
            strays(mailbox, view, &mut found);
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

/// Drafts that nobody will ever send: those of the CRM are used up or taken away.
fn strays(mailbox: usize, view: &MailboxView, found: &mut Found) {
    for (_, id) in &view.drafts {
        let message = view.messages.iter().find(|message| message.id == *id);
        let subject = message.and_then(MessageView::subject).unwrap_or_default();
        if !subject.starts_with("Written in Gmail") {
            found.push(("S23", format!("a stray draft in mailbox {mailbox}: {subject}")));
        }
    }
}

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

/// One tenant's end.
struct Judge<'w> {
    state: &'w State,
    plan: &'w Plan,
    history: &'w History,
    crm: &'w TenantCrm,
    lives: &'w [Generation],
    tenant: usize,
    mailbox: usize,
    view: &'w MailboxView,
    book: Vec<ContactView>,
}

impl Judge<'_> {
    fn judge(&self, found: &mut Found) {
        self.judge_sharing(found);
        let mut rows: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &self.crm.rows {
            rows.entry(&row.message.key).or_default().push(row);
        }
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
            let key = format!("gmail/{}/{}", self.view.email, message.id);
            let rows = rows.remove(key.as_str()).unwrap_or_default();
            self.judge_message(message, presence, &rows, found);
        }
        for (key, _) in rows {
            found.push((
                "S10",
                format!("tenant {} has {key}, which nobody wrote", self.tenant),
            ));
        }
        for queued in &self.crm.outbound {
            self.judge_outbound(queued, &deleted, found);
        }
        self.judge_book(found);
        self.judge_ledger(found);
        self.judge_day(found);
    }

    /// Who is in the address book and can be written to is in the CRM, where that was ticked, and nobody else (S08).
    fn judge_book(&self, found: &mut Found) {
        let is_ticked = self.plan.shape.tenants[self.tenant].book == AddressBook::Ticked;
        if !is_ticked && !self.crm.persons.is_empty() {
            found.push((
                "S08",
                format!("tenant {} has persons it never asked for", self.tenant),
            ));
        }
        // No lease can keep a host that stood still from telling the CRM what it knew before.
        // A new connection does not know whom an earlier one brought.
        let is_first = self.lives.len() == 1;
        if !is_ticked || !is_first || self.active().is_none() || self.state.coverage.has_stalled() {
            return;
        }
        let wanted: BTreeMap<(String, String), (String, Vec<String>)> = self
            .book
            .iter()
            .filter(|person| !person.contact.addresses.is_empty())
            .map(|person| {
                let key = (self.view.email.clone(), person.resource_name.clone());
                let name = person.contact.name.clone().unwrap_or_default();
                let mut seen = BTreeSet::new();
                let mut addresses = person.contact.addresses.clone();
                addresses.retain(|address| seen.insert(address.clone()));
                (key, (name, addresses))
            })
            .collect();
        if self.crm.persons != wanted {
            let got = &self.crm.persons;
            let text = format!(
                "tenant {} has the persons {got:?} instead of {wanted:?}",
                self.tenant
            );
            found.push(("S08", text));
        }
    }

    fn judge_message(&self, message: &MessageView, presence: Presence, rows: &[&Row], found: &mut Found) {
        let wanted = self.contact(message);
        let expected = match &wanted {
            None => Expected::MustNot,
            Some(owner) => self
                .expected(message, presence)
                .and(self.share(owner, message))
                .and(self.allowed(owner, message, presence)),
        };
        let id = &message.id;
        let here = format!("tenant {}, message {id} ({:?})", self.tenant, message.labels);
        match (expected, rows) {
            (Expected::Must, []) => found.push(("T01", format!("{here} is missing"))),
            (Expected::MustNot, [row, ..]) => {
                let contact = &row.message.contact_id;
                found.push(("S10", format!("{here} is with {contact} and must not be")));
            }
            (_, [_, _, ..]) => found.push(("S23", format!("{here} is there {} times", rows.len()))),
            (_, [row]) => self.judge_row(message, presence, row, wanted.as_ref(), found),
            (_, []) => {}
        }
    }

    fn judge_row(
        &self,
        message: &MessageView,
        presence: Presence,
        row: &Row,
        wanted: Option<&Owner>,
        found: &mut Found,
    ) {
        let here = format!("tenant {}, message {}", self.tenant, message.id);
        if let Some(Owner {
            contact, direction, ..
        }) = wanted
        {
            if row.message.contact_id != contact.id {
                let got = &row.message.contact_id;
                found.push(("S15", format!("{here} is with {got} instead of {}", contact.id)));
            }
            if row.message.direction != *direction {
                found.push(("S11", format!("{here} is {:?}", row.message.direction)));
            }
        }
        let raw = String::from_utf8_lossy(&message.raw);
        if mark_in(&raw) != mark_in(&row.message.content.text) {
            found.push(("S10", format!("{here} says {:?}", row.message.content.text)));
        }
        if self.active() != Some(&row.by) {
            return;
        }
        // What was deleted before its attachments were fetched has none any more.
        let attachments = row.message.attachments.iter();
        for attachment in attachments.filter(|_| presence == Presence::Alive) {
            let key = (row.message.key.clone(), attachment.part.clone());
            let part = &attachment.part;
            match self.crm.attachments.get(&key) {
                None => found.push(("S19", format!("{here} lacks the bytes of part {part}"))),
                Some(bytes) => {
                    let mark = mark_in(&String::from_utf8_lossy(bytes)).map(str::to_owned);
                    if mark.is_some() && mark.as_deref() != mark_in(&raw) {
                        found.push(("S19", format!("{here} has another's bytes as part {part}")));
                    }
                }
            }
        }
        if row.is_released() {
            return;
        }
        match presence {
            Presence::Deleted if !row.is_deleted => {
                found.push(("S17", format!("{here} was deleted in Gmail and not in the CRM")));
            }
            // Whoever takes it out of the trash again in Gmail gets it back there alone.
            Presence::Alive if row.is_removed => {
                let is_untouched = !self
                    .history
                    .relabelled
                    .contains(&(self.mailbox, message.id.clone()));
                if is_untouched && !message.has("TRASH") {
                    found.push((
                        "S17",
                        format!("{here} was deleted in the CRM and is not in Gmail's trash"),
                    ));
                }
            }
            Presence::Alive if row.is_deleted => {
                found.push(("S17", format!("{here} is deleted in the CRM and not in Gmail")));
            }
            // No lease can keep a host that stood still from telling the CRM what it knew before.
            Presence::Alive if !self.state.coverage.has_stalled() => {
                let flags = flags(message);
                if row.message.flags != flags {
                    let got = row.message.flags;
                    found.push(("S17", format!("{here} has {got:?} instead of {flags:?}")));
                }
                self.judge_own_change(message, row, found);
            }
            _ => {}
        }
    }

    /// What only the CRM's user changed stays as that user wanted it, and the CRM is not told of it (S17).
    fn judge_own_change(&self, message: &MessageView, row: &Row, found: &mut Found) {
        let tenants = self.plan.shape.tenants.iter();
        let is_alone = tenants.filter(|tenant| tenant.mailbox == self.mailbox).count() == 1;
        if !is_alone
            || message.has("SENT")
            || self.was_relabelled(message)
            || self.state.coverage.has_repeated()
        {
            return;
        }
        let here = format!("tenant {}, message {}", self.tenant, message.id);
        if let Some(wanted) = row.wanted.filter(|wanted| *wanted != row.message.flags) {
            let got = row.message.flags;
            found.push((
                "S17",
                format!("{here} became {got:?} and was made {wanted:?} in the CRM"),
            ));
        }
        if row.echoes > 0 {
            found.push(("S17", format!("{here} came back to the CRM where it was changed")));
        }
    }

    /// Whether the user lets a message in (T06).
    fn allowed(&self, owner: &Owner, message: &MessageView, presence: Presence) -> Expected {
        let policies = &self.history.policies[self.tenant];
        let is_barred = |policy: &Policy| self.is_barred(policy, owner, message);
        if !policies.iter().any(is_barred) {
            return Expected::Must;
        }
        let Some(last) = policies.last() else {
            return Expected::Must;
        };
        let is_retracted = is_barred(last)
            && self.history.retracted.get(&self.tenant).is_some_and(|at| *at > last.from)
            // A new connection does not know what an earlier one brought; no lease can keep a host that stood still
            // from putting what it was told before; of what is gone nobody knows who was in it.
            && self.lives.len() == 1
            && self.active().is_some()
            && !self.state.coverage.has_stalled()
            && presence == Presence::Alive
            && answers(&self.state.wire.gone, message) < 2;
        if is_retracted || policies.iter().all(is_barred) {
            Expected::MustNot
        } else {
            Expected::May
        }
    }

    fn is_barred(&self, policy: &Policy, owner: &Owner, message: &MessageView) -> bool {
        let raw = String::from_utf8_lossy(&message.raw);
        let people: Vec<String> = ["From", "To", "Cc"]
            .iter()
            .flat_map(|name| header(&raw, name))
            .map(|address| untagged(&address))
            .collect();
        let never = policy.lists.never.iter();
        let mut never = never.map(|person| self.plan.shape.address(*person));
        let is_internal = policy.lists.internal == Internal::OwnDomain
            && people.iter().all(|address| address.ends_with("@corp.example"));
        never.any(|address| people.contains(&address))
            || is_internal
            || policy.private.contains(&owner.contact.id)
    }

    /// Whether an address is the owner's of the mailbox.
    fn is_the_users(&self, address: &str) -> bool {
        let has_alias = self.plan.shape.aliases.contains(&self.mailbox);
        let address = untagged(address);
        address == self.view.email || (has_alias && address == Shape::alias(self.mailbox))
    }

    /// Who keeps what, seen from this tenant (S31).
    fn judge_sharing(&self, found: &mut Found) {
        for queued in &self.crm.outbound {
            let Delivery::Sent(report) = &queued.state else {
                continue;
            };
            let address = queued.outbound.to[0].address.to_lowercase();
            let is_seen = self.owner_of(&address).is_some_and(|contact| self.sees(contact));
            // A draft that keeps its id when it is sent keeps its date as well.
            let before = if self.plan.shape.behaviour.draft_send_keeps_id {
                u64::MAX
            } else {
                report.at + self.time_slack()
            };
            let is_kept = self.reigns(&address).iter().any(|reign| reign.from <= before);
            if is_seen && !is_kept {
                let text = format!("tenant {} wrote to {address}, and nobody keeps it", self.tenant);
                found.push(("S31", text));
            }
        }
        // No lease can keep a host that stood still from putting what it was told before.
        if self.state.coverage.has_stalled() {
            return;
        }
        let own = |row: &&Row| self.active() == Some(&row.by);
        for row in self.crm.rows.iter().filter(own) {
            let Some(address) = self.address_of(row) else {
                continue;
            };
            let mut others = self
                .reigns(&address)
                .iter()
                .filter(|reign| self.is_anothers(reign));
            let is_kept_by_another = others.clone().any(|reign| reign.to.is_none());
            let here = format!("tenant {}, {} of {address}", self.tenant, row.message.key);
            if is_kept_by_another && !row.is_released() {
                found.push(("S31", format!("{here} is not marked as released")));
            }
            if row.is_released() && others.next().is_none() {
                found.push((
                    "S31",
                    format!("{here} is marked as released, and nobody else kept it"),
                ));
            }
        }
    }

    /// The address of the contact that the message of a row has.
    fn address_of(&self, row: &Row) -> Option<String> {
        let message = self.view.messages.iter();
        let message = message
            .chain(self.history.deleted.iter().map(|(_, view)| view))
            .find(|message| row.message.key == format!("gmail/{}/{}", self.view.email, message.id))?;
        Some(self.contact(message)?.address)
    }

    /// What was claimed of an address in this mailbox, in order.
    fn reigns(&self, address: &str) -> &[Reign] {
        let key = (self.view.email.clone(), address.to_owned());
        self.state.sharing.reigns.get(&key).map_or(&[], Vec::as_slice)
    }

    fn is_anothers(&self, reign: &Reign) -> bool {
        reign.tenant != tenant_id(self.tenant)
    }

    /// Whether this tenant has a share in a message whose contact others may keep (S31, S32).
    fn share(&self, owner: &Owner, message: &MessageView) -> Expected {
        if self.is_own(message) == Own::AnotherTenant {
            return Expected::MustNot;
        }
        let (at, slack) = (date(message), self.time_slack());
        // What was sent about the time of a claim may be what it was claimed for.
        let early = match owner.direction {
            Direction::Inbound => 0,
            Direction::Outbound => CLOCKS_APART,
        };
        let mut share = Expected::Must;
        for reign in self
            .reigns(&owner.address)
            .iter()
            .filter(|reign| self.is_anothers(reign))
        {
            let is_before = at + early + slack < reign.from;
            let is_after = reign.to.is_some_and(|to| at > to + slack);
            if is_before || is_after {
                continue;
            }
            let is_surely_within = at >= reign.from + slack && reign.to.is_none();
            share = share.and(if is_surely_within {
                Expected::MustNot
            } else {
                Expected::May
            });
        }
        share
    }

    /// By how much the clocks of hosts and Gmail may be apart, ms; Gmail tells its time in whole seconds.
    fn time_slack(&self) -> u64 {
        let (behind, ahead) = self.state.furthest;
        self.clock_slack() + behind.abs_diff(ahead) + self.history.clock_leaps * 90_000 + 1_000
    }

    /// Exactly once, or reported as failed (S23).
    fn judge_outbound(&self, queued: &Queued, deleted: &[&MessageView], found: &mut Found) {
        let mark = mark_in(&queued.outbound.text);
        let is_it = |message: &&MessageView| {
            message.has("SENT") && mark_in(&String::from_utf8_lossy(&message.raw)) == mark
        };
        let sent: Vec<&str> = self
            .view
            .messages
            .iter()
            .chain(deleted.iter().copied())
            .filter(is_it)
            .map(|message| message.id.as_str())
            .collect();
        let here = format!("tenant {}, {}", self.tenant, queued.outbound.id);
        let is_over = self.active() != Some(&queued.connection);
        match &queued.state {
            _ if sent.len() > 1 => found.push(("S23", format!("{here} was sent {} times", sent.len()))),
            Delivery::Sent(report) => {
                let keys: Vec<String> = sent
                    .iter()
                    .map(|id| format!("gmail/{}/{id}", self.view.email))
                    .collect();
                if keys != [report.key.clone()] {
                    found.push((
                        "S23",
                        format!("{here} is reported as {} and is {sent:?}", report.key),
                    ));
                }
                if self.crm.rows.iter().any(|row| row.message.key == report.key) {
                    found.push(("S23", format!("{here} is in its conversation twice")));
                }
            }
            Delivery::Failed if !sent.is_empty() => {
                found.push(("S23", format!("{here} is reported as failed and was sent")));
            }
            Delivery::Waits if !is_over => found.push(("S23", format!("{here} is still waiting"))),
            Delivery::Unconfirmed if !is_over && !self.may_be_unconfirmed() => {
                found.push(("S23", format!("{here} is unconfirmed without a reason: {sent:?}")));
            }
            _ => {}
        }
    }

    /// What the sync cannot find again it has to leave to the user: mail that was deleted meanwhile, or
    /// that Gmail calls by another id while the host's clock is wrong.
    fn may_be_unconfirmed(&self) -> bool {
        self.history
            .deleted
            .iter()
            .any(|(mailbox, _)| *mailbox == self.mailbox)
            || !self.history.relabelled.is_empty()
            || self.state.skew.iter().any(|skew| *skew != 0)
    }

    /// Every message since the connection is in the ledger, and none is quarantined but for a reason.
    fn judge_ledger(&self, found: &mut Found) {
        let Some(life) = self.lives.last().filter(|_| self.active().is_some()) else {
            return;
        };
        let rows: BTreeMap<&str, &[u8]> = self.state.store.scan(&life.id, "ledger/").collect();
        for message in &self.view.messages {
            let is_new = life
                .connected
                .is_some_and(|at| date(message) >= at + self.clock_slack());
            if is_new && !message.has("DRAFT") && !rows.contains_key(message.id.as_str()) {
                let text = format!("tenant {}, message {} has no ledger row", self.tenant, message.id);
                found.push(("T01", text));
            }
        }
        for (id, row) in rows {
            let row: Value = serde_json::from_slice(row).unwrap_or_default();
            let reason = &row["fate"]["quarantined"];
            let failures = self.state.wire.unanswered.get(id).copied().unwrap_or_default();
            if !reason.is_null() && failures < 3 {
                let text = format!("tenant {}, message {id} is quarantined: {reason}", self.tenant);
                found.push(("T01", text));
            }
        }
    }

    /// S21, where one tenant has the mailbox for itself: two count each what they have seen.
    fn judge_day(&self, found: &mut Found) {
        let tenants = self.plan.shape.tenants.iter();
        if tenants.filter(|tenant| tenant.mailbox == self.mailbox).count() > 1 {
            return;
        }
        let limit = self.plan.shape.tenants[self.tenant].daily_limit as usize;
        // What another connection of the mailbox sent before, a new one does not know.
        for life in self.lives {
            let own = self
                .crm
                .outbound
                .iter()
                .filter(|queued| queued.connection == life.id);
            let mut times: Vec<u64> = own.filter_map(sent_at).collect();
            times.sort_unstable();
            let is_over = |window: &[u64]| window[limit] - window[0] < 24 * 3_600_000;
            if times.windows(limit + 1).any(is_over) {
                let text = format!("tenant {} sent more than {limit} in a day", self.tenant);
                found.push(("S21", text));
            }
        }
    }

    /// The connection that is there at the end.
    fn active(&self) -> Option<&ConnectionId> {
        let life = self.lives.last()?;
        let row = self.state.store.registry.get(&life.id)?;
        (row.status == ConnectionStatus::Active).then_some(&life.id)
    }

    fn expected(&self, message: &MessageView, presence: Presence) -> Expected {
        let expectations = self
            .lives
            .iter()
            .map(|life| self.expected_by(life, message, presence));
        let expectations: Vec<Expected> = expectations.collect();
        if expectations.contains(&Expected::Must) {
            Expected::Must
        } else if expectations.contains(&Expected::May) {
            Expected::May
        } else {
            Expected::MustNot
        }
    }

    fn expected_by(&self, life: &Generation, message: &MessageView, presence: Presence) -> Expected {
        // Gmail tells its time in whole seconds (S04).
        let slack = self.clock_slack();
        if date(message) + 1_000 + slack < life.began || self.is_own(message) == Own::ThisTenant {
            return Expected::MustNot;
        }
        let Some(connected) = life.connected else {
            return Expected::May;
        };
        if life.ended.is_some_and(|ended| date(message) > ended + slack) && self.plan.shape.hosts == 1 {
            return Expected::MustNot;
        }
        let is_hidden = ["DRAFT", "SPAM", "TRASH"].iter().any(|label| message.has(label));
        let was_relabelled = self.was_relabelled(message);
        if is_hidden && (message.has("DRAFT") || !was_relabelled) {
            return Expected::MustNot;
        }
        let is_sure = date(message) >= connected + slack
            && !life.is_ending
            && presence == Presence::Alive
            && !is_hidden
            && self.active() == Some(&life.id)
            && self.is_own(message) == Own::No
            && answers(&self.state.wire.unanswered, message) < 3
            && answers(&self.state.wire.gone, message) < 2;
        if is_sure { Expected::Must } else { Expected::May }
    }

    /// Whether people changed its labels, in Gmail or by way of a CRM's trash.
    fn was_relabelled(&self, message: &MessageView) -> bool {
        let place = (self.mailbox, message.id.clone());
        self.history.relabelled.contains(&place) || self.history.trashed_in_crm.contains(&place)
    }

    /// By how much Gmail's own dates may be in the wrong order, ms.
    fn clock_slack(&self) -> u64 {
        self.history.clock_jumps * 90_000
    }

    /// Whether the message is one that a CRM sent.
    fn is_own(&self, message: &MessageView) -> Own {
        if !message.has("SENT") {
            return Own::No;
        }
        let raw = String::from_utf8_lossy(&message.raw);
        let mark = mark_in(&raw);
        for (tenant, crm) in &self.state.crm.tenants {
            if crm
                .outbound
                .iter()
                .any(|queued| mark_in(&queued.outbound.text) == mark)
            {
                return if *tenant == tenant_id(self.tenant) {
                    Own::ThisTenant
                } else {
                    Own::AnotherTenant
                };
            }
        }
        Own::No
    }

    /// S10 to S16, S30: whose conversation it belongs to.
    fn contact(&self, message: &MessageView) -> Option<Owner> {
        let raw = String::from_utf8_lossy(&message.raw);
        let (direction, addresses) = if message.has("SENT") {
            let recipients = [header(&raw, "To"), header(&raw, "Cc")].concat();
            (Direction::Outbound, recipients)
        } else {
            (Direction::Inbound, header(&raw, "From"))
        };
        let mut addresses = addresses
            .into_iter()
            .filter(|address| !self.is_the_users(address));
        let owner = addresses.find_map(|address| {
            // A tag leads to the plain address; no contact has one here.
            let address = untagged(&address);
            let contact = self.owner_of(&address)?.clone();
            Some(Owner {
                contact,
                direction,
                address,
            })
        });
        owner.filter(|owner| self.sees(&owner.contact))
    }

    /// Who of the contacts with this address gets the mail (S16).
    fn owner_of(&self, address: &str) -> Option<&Contact> {
        let contacts = self.crm.contacts.iter();
        let with_address = contacts.filter(|contact| {
            contact
                .addresses
                .iter()
                .any(|known| known.eq_ignore_ascii_case(address))
        });
        with_address.min_by_key(|contact| contact.created_at)
    }

    /// Whether the connected user's sync brings a contact's mail (S30).
    fn sees(&self, contact: &Contact) -> bool {
        let is_anybodys = self.plan.shape.tenants[self.tenant].sees == Sees::Any;
        let user = user_id(self.tenant);
        let assigned = contact.assigned_user.as_ref();
        is_anybodys || assigned.is_none_or(|assigned| assigned == user.as_str())
    }
}

/// Whose conversation a message belongs to.
struct Owner {
    contact: Contact,
    direction: Direction,
    /// The contact's address that the message has.
    address: String,
}

/// An address without its tag.
fn untagged(address: &str) -> String {
    match address.split_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.split('+').next().unwrap_or(local)),
        None => address.to_owned(),
    }
}

/// How often Gmail answered so about a message.
fn answers(counts: &BTreeMap<String, u32>, message: &MessageView) -> u32 {
    counts.get(&message.id).copied().unwrap_or_default()
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

fn sent_at(queued: &Queued) -> Option<u64> {
    match &queued.state {
        Delivery::Sent(sent) => Some(sent.at),
        _ => None,
    }
}

fn date(message: &MessageView) -> u64 {
    u64::try_from(message.internal_date).unwrap_or_default()
}

/// S17: what Gmail's labels mean in a CRM.
fn flags(message: &MessageView) -> Flags {
    Flags {
        unread: message.has("UNREAD"),
        starred: message.has("STARRED"),
        archived: !message.has("INBOX") && !message.has("SENT"),
        trashed: message.has("TRASH"),
    }
}

/// The addresses of a header field. What is read here was written by this crate or by the component: one
/// field of a name, at most folded.
fn header(raw: &str, name: &str) -> Vec<String> {
    let head = raw.split("\r\n\r\n").next().unwrap_or_default();
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let Some(value) = unfolded
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    else {
        return Vec::new();
    };
    value
        .split(',')
        .map(|part| {
            let address = part.split('<').next_back().unwrap_or(part);
            address.trim().trim_end_matches('>').to_lowercase()
        })
        .collect()
}
