//! One account's mail: messages, threads, labels, drafts, and the indices that make listing cheap.
//!
//! Invariants: every message is in `order`, in `threads[its thread]` and in `by_label[each of its labels]` at its
//! position; a thread exists exactly while it has messages; every change of a message leaves a history record and the
//! message carries the id of the last one. Ids are unique within the mailbox only, as in Gmail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::history::{Change, ChangeKind, History};
use crate::hits::Hits;
use crate::labels::{DRAFT, Label, SENT, system_labels};
use crate::message::Parsed;
use crate::moment::Moment;
use crate::people::Contacts;
use crate::push::Watch;
use crate::quota::Window;

/// Where a message stands in the mailbox: internal date, then id.
pub(crate) type Position = (i64, u64);

/// A stored message.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) id: u64,
    pub(crate) thread: u64,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) history_id: u64,
    /// Milliseconds since the epoch.
    pub(crate) internal_date: i64,
    /// When it was stored, for the search lag.
    pub(crate) arrived_at: i64,
    /// When it was made out of a draft by `drafts.send`.
    pub(crate) sent_from_draft_at: Option<i64>,
    pub(crate) parsed: Arc<Parsed>,
}

/// A message about to be stored.
pub(crate) struct NewMessage {
    pub(crate) parsed: Arc<Parsed>,
    pub(crate) labels: BTreeSet<String>,
    /// `None` starts a thread.
    pub(crate) thread: Option<u64>,
    pub(crate) internal_date: i64,
}

/// An address the account may send from.
#[derive(Clone, Debug)]
pub(crate) struct SendAs {
    pub(crate) email: String,
    pub(crate) display_name: String,
    pub(crate) primary: bool,
    pub(crate) default: bool,
    pub(crate) verification: Verification,
}

/// Whether the owner of an alias has confirmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Usable.
    Accepted,
    /// Mail from it goes out under the default address.
    Pending,
}

/// An account and its mail.
pub(crate) struct Account {
    /// As registered.
    pub(crate) email: String,
    pub(crate) display_name: String,
    /// The `sub` claim: 21 digits.
    pub(crate) subject: String,
    pub(crate) send_as: Vec<SendAs>,
    pub(crate) labels: BTreeMap<String, Label>,
    pub(crate) messages: BTreeMap<u64, Stored>,
    pub(crate) order: BTreeSet<Position>,
    pub(crate) by_label: BTreeMap<String, BTreeSet<Position>>,
    pub(crate) threads: BTreeMap<u64, BTreeSet<Position>>,
    pub(crate) by_message_id: BTreeMap<String, Vec<u64>>,
    /// Draft id to message id.
    pub(crate) drafts: BTreeMap<u64, u64>,
    pub(crate) history: History,
    pub(crate) watches: BTreeMap<u64, Watch>,
    /// Idempotency keys of deliveries.
    pub(crate) delivered: BTreeMap<String, (u64, u64)>,
    /// When messages were sent in the last day.
    pub(crate) sent_at: VecDeque<i64>,
    pub(crate) window: Window,
    /// Requests are refused until then, with the time in the text.
    pub(crate) blocked_until: Option<i64>,
    pub(crate) sending_blocked_until: Option<i64>,
    /// When the daily sending limit was first exceeded, on the steady clock.
    pub(crate) sending_limit_met_at: Option<i64>,
    pub(crate) mail_enabled: bool,
    pub(crate) contacts: Contacts,
    last_id: u64,
    next_label: u64,
    pub(crate) rng: StdRng,
    pub(crate) hits: Hits,
}

impl Account {
    /// An empty account.
    pub(crate) fn new(email: &str, display_name: &str, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let subject = format!("1{:020}", rng.random_range(0..10_u64.pow(19)));
        let first = rng.random_range(1_000..1_000_000);
        Self {
            email: email.to_owned(),
            display_name: display_name.to_owned(),
            subject,
            send_as: vec![SendAs {
                email: email.to_owned(),
                display_name: display_name.to_owned(),
                primary: true,
                default: true,
                verification: Verification::Accepted,
            }],
            labels: system_labels(),
            messages: BTreeMap::new(),
            order: BTreeSet::new(),
            by_label: BTreeMap::new(),
            threads: BTreeMap::new(),
            by_message_id: BTreeMap::new(),
            drafts: BTreeMap::new(),
            history: History::new(first),
            watches: BTreeMap::new(),
            delivered: BTreeMap::new(),
            sent_at: VecDeque::new(),
            window: Window::minute(),
            blocked_until: None,
            sending_blocked_until: None,
            sending_limit_met_at: None,
            mail_enabled: true,
            contacts: Contacts::default(),
            last_id: 0,
            next_label: 1,
            rng,
            hits: Hits::default(),
        }
    }

    /// An id greater than all before it; like Gmail's it begins with the time.
    pub(crate) fn new_id(&mut self, now: i64) -> u64 {
        let random: u64 = self.rng.random_range(1..(1 << 20));
        let candidate = (u64::try_from(now).unwrap_or(0) << 20) | random;
        self.last_id = candidate.max(self.last_id + 1);
        self.last_id
    }

    /// A number for a new draft.
    pub(crate) fn new_draft_id(&mut self) -> u64 {
        loop {
            let id = self.rng.random_range(1..10_u64.pow(18));
            if !self.drafts.contains_key(&id) {
                return id;
            }
        }
    }

    /// The next `Label_N`.
    pub(crate) fn new_label_id(&mut self) -> String {
        let id = format!("Label_{}", self.next_label);
        self.next_label += 1;
        id
    }

    /// Stores a message and records it.
    pub(crate) fn insert(&mut self, new: NewMessage, moment: Moment) -> (u64, u64) {
        let (id, thread, change) = self.store(new, moment);
        self.record(vec![change], moment);
        (id, thread)
    }

    /// Replaces a message by another one; both are in one history record if records are grouped.
    pub(crate) fn replace(&mut self, old: u64, new: NewMessage, moment: Moment) -> (u64, u64) {
        let deleted = self.forget(old);
        let (id, thread, added) = self.store(new, moment);
        self.record(deleted.into_iter().chain([added]).collect(), moment);
        (id, thread)
    }

    /// Turns a draft into sent mail under the same id.
    pub(crate) fn become_sent(&mut self, id: u64, parsed: Arc<Parsed>, moment: Moment) {
        if let Some(stored) = self.messages.get_mut(&id) {
            if let Some(message_id) = &parsed.message_id {
                self.by_message_id.entry(message_id.clone()).or_default().push(id);
            }
            stored.parsed = parsed;
            stored.sent_from_draft_at = Some(moment.steady);
        }
        self.relabel(id, &[SENT.to_owned()], &[DRAFT.to_owned()], moment);
    }

    /// Deletes a message for good.
    pub(crate) fn remove(&mut self, id: u64, moment: Moment) {
        if let Some(change) = self.forget(id) {
            self.record(vec![change], moment);
        }
    }

    /// Adds and removes labels; nothing is recorded where nothing changes.
    pub(crate) fn relabel(&mut self, id: u64, add: &[String], remove: &[String], moment: Moment) {
        let Some(stored) = self.messages.get_mut(&id) else {
            return;
        };
        let position = (stored.internal_date, id);
        let removed: Vec<String> = remove
            .iter()
            .filter(|label| !add.contains(label) && stored.labels.remove(*label))
            .cloned()
            .collect();
        let added: Vec<String> = add
            .iter()
            .filter(|label| stored.labels.insert((*label).clone()))
            .cloned()
            .collect();
        let thread = stored.thread;
        let now: Vec<String> = stored.labels.iter().cloned().collect();
        for label in &removed {
            if let Some(index) = self.by_label.get_mut(label) {
                index.remove(&position);
            }
        }
        for label in &added {
            self.by_label.entry(label.clone()).or_default().insert(position);
        }
        let change = |kind, labels| Change {
            kind,
            message: id,
            thread,
            labels_then: now.clone(),
            labels,
        };
        let mut changes = Vec::new();
        if !added.is_empty() {
            changes.push(change(ChangeKind::LabelAdded, added));
        }
        if !removed.is_empty() {
            changes.push(change(ChangeKind::LabelRemoved, removed));
        }
        self.record(changes, moment);
    }

    /// Whether an address is one this account sends and receives as.
    pub(crate) fn accepted_sender(&self, address: &str) -> Option<&SendAs> {
        self.send_as.iter().find(|known| {
            known.verification == Verification::Accepted && known.email.eq_ignore_ascii_case(address)
        })
    }

    /// The address used when the message names none that is accepted.
    pub(crate) fn default_sender(&self) -> (&str, &str) {
        self.send_as
            .iter()
            .find(|known| known.default)
            .map_or((&self.display_name, &self.email), |known| {
                (&known.display_name, &known.email)
            })
    }

    /// Messages, newest first, that have all the labels.
    pub(crate) fn newest_first<'a>(
        &'a self,
        labels: &'a [String],
        before: Option<Position>,
    ) -> Box<dyn Iterator<Item = &'a Stored> + 'a> {
        let smallest = labels
            .iter()
            .map(|label| self.by_label.get(label))
            .min_by_key(|index| index.map_or(0, BTreeSet::len));
        let index = match smallest {
            None => &self.order,
            Some(Some(index)) => index,
            Some(None) => return Box::new(std::iter::empty()),
        };
        let upper = before.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        Box::new(
            index
                .range((std::ops::Bound::Unbounded, upper))
                .rev()
                .filter_map(|(_, id)| self.messages.get(id))
                .filter(move |stored| labels.iter().all(|label| stored.labels.contains(label))),
        )
    }

    /// The messages of a thread, oldest first.
    pub(crate) fn thread(&self, thread: u64) -> Vec<&Stored> {
        self.threads
            .get(&thread)
            .into_iter()
            .flatten()
            .filter_map(|(_, id)| self.messages.get(id))
            .collect()
    }

    /// Writes a history record (or one for each change) and tells the watches.
    fn record(&mut self, changes: Vec<Change>, moment: Moment) {
        if changes.is_empty() {
            return;
        }
        self.hits.when("history_grouped", changes.len() > 1);
        let groups = if moment.grouped {
            vec![changes]
        } else {
            changes.into_iter().map(|one| vec![one]).collect()
        };
        for group in groups {
            let step = self.rng.random_range(1..=moment.gap.max(1));
            self.hits.when("history_gap", step > 1);
            let labels: BTreeSet<&String> = group
                .iter()
                .flat_map(|change| change.labels_then.iter().chain(&change.labels))
                .collect();
            let history_id = self.history.next_id(step);
            for watch in self.watches.values_mut() {
                watch.notice(history_id, &labels, moment, &self.hits);
            }
            for change in &group {
                if let Some(stored) = self.messages.get_mut(&change.message) {
                    stored.history_id = history_id;
                }
            }
            self.history.push(history_id, moment.steady, group);
        }
    }

    fn store(&mut self, new: NewMessage, moment: Moment) -> (u64, u64, Change) {
        let id = self.new_id(moment.now);
        let thread = new.thread.unwrap_or(id);
        let position = (new.internal_date, id);
        self.order.insert(position);
        self.threads.entry(thread).or_default().insert(position);
        for label in &new.labels {
            self.by_label.entry(label.clone()).or_default().insert(position);
        }
        if let Some(message_id) = &new.parsed.message_id {
            self.by_message_id.entry(message_id.clone()).or_default().push(id);
        }
        let labels_then: Vec<String> = new.labels.iter().cloned().collect();
        self.messages.insert(
            id,
            Stored {
                id,
                thread,
                labels: new.labels,
                history_id: 0,
                internal_date: new.internal_date,
                arrived_at: moment.steady,
                sent_from_draft_at: None,
                parsed: new.parsed,
            },
        );
        let change = Change {
            kind: ChangeKind::MessageAdded,
            message: id,
            thread,
            labels_then,
            labels: Vec::new(),
        };
        (id, thread, change)
    }

    fn forget(&mut self, id: u64) -> Option<Change> {
        let stored = self.messages.remove(&id)?;
        let position = (stored.internal_date, id);
        self.order.remove(&position);
        if let Some(members) = self.threads.get_mut(&stored.thread) {
            members.remove(&position);
            if members.is_empty() {
                self.threads.remove(&stored.thread);
            }
        }
        for label in &stored.labels {
            if let Some(index) = self.by_label.get_mut(label) {
                index.remove(&position);
            }
        }
        let message_id = stored.parsed.message_id.as_ref();
        if let Some(holders) = message_id.and_then(|id| self.by_message_id.get_mut(id)) {
            holders.retain(|holder| *holder != id);
        }
        self.drafts.retain(|_, message| *message != id);
        Some(Change {
            kind: ChangeKind::MessageDeleted,
            message: id,
            thread: stored.thread,
            labels_then: stored.labels.into_iter().collect(),
            labels: Vec::new(),
        })
    }
}
