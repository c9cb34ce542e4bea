//! The whole simulated world behind one lock: accounts, OAuth state, uploads, what left for the outside, the counters.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::behaviour::Behaviour;
use crate::config::{Client, Clock, Config, Consent, Limits, PullSubscription, PushEndpoint};
use crate::fault::{FaultKind, Faults};
use crate::hits::Hits;
use crate::later::{Agenda, Later};
use crate::mailbox::{Account, NewMessage, SendAs, Verification};
use crate::message::Parsed;
use crate::moment::Moment;
use crate::oauth::{Oauth, TokenFlaw};
use crate::pubsub::Pulled;
use crate::push::Notification;
use crate::quota::{Quota, Window};
use crate::upload::Session;

/// Everything there is.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) quota: Quota,
    pub(crate) behaviour: Behaviour,
    pub(crate) consent: Consent,
    pub(crate) limits: Limits,
    pub(crate) clients: Vec<Client>,
    pub(crate) push: Option<PushEndpoint>,
    pub(crate) pull: Option<PullSubscription>,
    pub(crate) pulled: Pulled,
    pub(crate) rng: StdRng,
    /// By canonical address.
    pub(crate) accounts: BTreeMap<String, Account>,
    /// Canonical address of a send-as alias to that of its account.
    aliases: BTreeMap<String, String>,
    pub(crate) outside: Vec<OutsideMail>,
    /// Canonical addresses that bounce.
    pub(crate) bouncing: BTreeSet<String>,
    pub(crate) oauth: Oauth,
    pub(crate) uploads: BTreeMap<String, Session>,
    /// Those that can be taken.
    pub(crate) notifications: VecDeque<Notification>,
    pub(crate) agenda: Agenda,
    pub(crate) stats: Stats,
    pub(crate) faults: Faults,
    pub(crate) hits: Hits,
    /// What each project spent in the last minute and in the last day.
    pub(crate) spent: BTreeMap<u64, (Window, Window)>,
    /// The next message sent is filed but reaches nobody.
    pub(crate) next_send_is_lost: bool,
    /// How far the clock that everybody sees has jumped, in milliseconds.
    wall_offset: i64,
    /// How far it has jumped forward.
    steady_offset: i64,
}

/// A message that left for an address with no mailbox here, as its recipient got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideMail {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// The mailbox it was sent from.
    pub sender: String,
    /// The envelope recipient.
    pub recipient: String,
    /// The message, without `Bcc`.
    pub raw: Bytes,
}

/// What was asked of the simulator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Gmail and People requests: parts of batches count, the batch itself and the admin API do not.
    pub requests: u64,
    /// The same, by method (`messages.get`).
    pub by_method: BTreeMap<String, u64>,
    /// Their answers by status code.
    pub by_status: BTreeMap<u16, u64>,
    /// Quota units by mailbox.
    pub units: BTreeMap<String, u64>,
    /// Requests to the OAuth endpoints, by path.
    pub oauth: BTreeMap<String, u64>,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            clock: config.clock,
            quota: config.quota,
            behaviour: config.behaviour,
            consent: config.consent,
            limits: config.limits,
            clients: config.clients,
            push: config.push,
            pull: config.pull,
            pulled: Pulled::default(),
            rng: StdRng::seed_from_u64(config.seed),
            accounts: BTreeMap::new(),
            aliases: BTreeMap::new(),
            outside: Vec::new(),
            bouncing: BTreeSet::new(),
            oauth: Oauth::default(),
            uploads: BTreeMap::new(),
            notifications: VecDeque::new(),
            agenda: Agenda::default(),
            stats: Stats::default(),
            faults: Faults::default(),
            hits: Hits::default(),
            spent: BTreeMap::new(),
            next_send_is_lost: false,
            wall_offset: 0,
            steady_offset: 0,
        }
    }

    /// The time that everybody sees, in milliseconds since the epoch.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now_ms().saturating_add(self.wall_offset)
    }

    /// The time that durations are measured by: it does not jump backward.
    pub(crate) fn steady(&self) -> i64 {
        self.clock.now_ms().saturating_add(self.steady_offset)
    }

    /// Lets the clock jump, forward or backward.
    pub(crate) fn jump_clock(&mut self, by_ms: i64) {
        self.wall_offset = self.wall_offset.saturating_add(by_ms);
        self.steady_offset = self.steady_offset.saturating_add(by_ms.max(0));
    }

    /// The account a token belongs to; empty if there is none.
    pub(crate) fn owner_of(&self, token: Option<String>) -> String {
        token
            .and_then(|token| self.oauth.access(&token, self.now()))
            .map(|access| access.account.clone())
            .unwrap_or_default()
    }

    /// What struck and decided so far.
    pub(crate) fn hits(&self) -> BTreeMap<&'static str, u64> {
        let mut sum = BTreeMap::new();
        self.hits.add_to(&mut sum);
        for account in self.accounts.values() {
            account.hits.add_to(&mut sum);
        }
        sum
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment {
            now: self.now(),
            steady: self.steady(),
            gap: self.behaviour.history_gap,
            grouped: self.behaviour.history_grouped,
            push_rate_limited: self.behaviour.push_rate_limited,
            stop_lag_ms: self.behaviour.stop_lag_ms,
        }
    }

    /// Makes an account; an existing one stays as it is.
    pub(crate) fn create_user(&mut self, email: &str, display_name: &str) {
        let seed = self.rng.random();
        self.accounts
            .entry(canonical(email))
            .or_insert_with(|| Account::new(email, display_name, seed));
    }

    pub(crate) fn add_send_as(
        &mut self,
        email: &str,
        alias: &str,
        display_name: &str,
        verification: Verification,
    ) -> bool {
        let Some(key) = self.find_account(email) else {
            return false;
        };
        let Some(account) = self.accounts.get_mut(&key) else {
            return false;
        };
        account
            .send_as
            .retain(|known| !known.email.eq_ignore_ascii_case(alias));
        account.send_as.push(SendAs {
            email: alias.to_owned(),
            display_name: display_name.to_owned(),
            primary: false,
            default: false,
            verification,
        });
        self.aliases.insert(canonical(alias), key);
        true
    }

    /// The key of the account that receives mail for an address.
    pub(crate) fn find_account(&self, address: &str) -> Option<String> {
        let address = canonical(address);
        if self.accounts.contains_key(&address) {
            Some(address)
        } else {
            self.aliases.get(&address).cloned()
        }
    }

    /// Mail arriving from outside.
    pub(crate) fn deliver(&mut self, key: &str, delivery: &crate::Delivery) -> Option<(u64, u64)> {
        let moment = self.moment();
        let accepted_at = delivery.at.unwrap_or(moment.now);
        let trace = self
            .hits
            .when("add_trace_headers", self.behaviour.add_trace_headers);
        let account = self.accounts.get_mut(key)?;
        if let Some(known) = delivery.key.as_ref().and_then(|key| account.delivered.get(key)) {
            return Some(*known);
        }
        let labels = match &delivery.labels {
            Some(labels) => labels.iter().cloned().collect(),
            None => [crate::labels::INBOX, crate::labels::UNREAD]
                .into_iter()
                .map(str::to_owned)
                .collect(),
        };
        let raw = crate::transport::arriving(&delivery.raw, &account.email, accepted_at, trace);
        let ids = receive(account, Bytes::from(raw), labels, accepted_at, moment);
        if let Some(key) = &delivery.key {
            account.delivered.insert(key.clone(), ids);
        }
        self.publish();
        Some(ids)
    }

    /// Publishes what the watches have noticed.
    pub(crate) fn publish(&mut self) {
        let now = self.now();
        let mut published = Vec::new();
        for (key, account) in &mut self.accounts {
            for watch in account.watches.values_mut().filter(|watch| !watch.due.is_empty()) {
                for history_id in watch.due.drain(..) {
                    let notification = Notification {
                        email_address: account.email.clone(),
                        history_id,
                        topic: watch.topic.clone(),
                        message_id: self.rng.random_range(10_u64.pow(15)..10_u64.pow(16)).to_string(),
                        published_at: now,
                        flaw: None,
                    };
                    published.push((key.clone(), notification));
                }
            }
        }
        for (key, notification) in published {
            self.hand_to_pubsub(&key, &notification);
        }
    }

    /// What Pub/Sub, and whoever else knows the endpoint, makes of a notification.
    fn hand_to_pubsub(&mut self, key: &str, notification: &Notification) {
        let fault = self.faults.strike(key, "push");
        if let Some(kind) = fault {
            self.hits.add(kind.name());
            kind.happen(self, key);
        }
        let lost = self.behaviour.push_lost_per_mille;
        let lost = lost > 0 && self.rng.random_range(0..1000) < lost;
        let lost = self.hits.when("push_lost_per_mille", lost);
        let forged = self.behaviour.push_forged;
        self.hits.when("push_forged", forged.is_some());
        for flaw in forged.into_iter().chain(fault.and_then(FaultKind::token_flaw)) {
            let forgery = Notification {
                flaw: Some(flaw),
                ..notification.clone()
            };
            self.notifications.push_back(forgery);
        }
        if lost || fault == Some(FaultKind::PushLost) {
            return;
        }
        let late = match fault {
            Some(FaultKind::PushLate(ms)) => ms,
            _ => 0,
        };
        self.hits.add("push_history_id");
        self.hits.add("push_data");
        self.hand_out(notification, late);
        if let Some(FaultKind::PushDuplicate(ms)) = fault {
            self.hand_out(notification, ms);
        }
        if self.hits.when("push_duplicates", self.behaviour.push_duplicates) {
            self.hand_out(notification, late);
        }
    }

    fn hand_out(&mut self, notification: &Notification, late: i64) {
        let (delay, jitter) = (self.behaviour.push_delay_ms, self.behaviour.push_jitter_ms);
        let jitter = if self.hits.when("push_jitter_ms", jitter > 0) {
            self.rng.random_range(0..=jitter)
        } else {
            0
        };
        self.hits.when("push_delay_ms", delay > 0);
        let wait = late.saturating_add(delay).saturating_add(jitter);
        if wait > 0 {
            let due = self.steady().saturating_add(wait);
            self.agenda.add(due, Later::Notification(notification.clone()));
        } else {
            self.notifications.push_back(notification.clone());
        }
    }

    /// The token that a push carries; `None` where the flaw is that there is none.
    pub(crate) fn push_token(&mut self, endpoint: &PushEndpoint, flaw: Option<TokenFlaw>) -> Option<String> {
        let now = self.now();
        let oauth = &mut self.oauth;
        oauth.push_tokens.get(oauth.keys, endpoint, now, flaw)
    }

    /// Whether there are notifications to take, now or later.
    pub(crate) fn has_notifications(&self) -> bool {
        !self.notifications.is_empty() || self.agenda.next_due().is_some()
    }

    /// Takes the notification that has waited longest.
    pub(crate) fn next_notification(&mut self) -> Option<Notification> {
        self.settle();
        self.notifications.pop_front()
    }

    /// Takes the notifications that wait.
    pub(crate) fn take_notifications(&mut self) -> Vec<Notification> {
        self.settle();
        let mut taken: Vec<Notification> = self.notifications.drain(..).collect();
        let reordered = self.behaviour.push_reordered && taken.len() > 1;
        if self.hits.when("push_reordered", reordered) {
            taken.shuffle(&mut self.rng);
        }
        taken
    }

    /// A random token of base64url characters.
    pub(crate) fn token(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..length)
            .map(|_| char::from(ALPHABET[self.rng.random_range(0..ALPHABET.len())]))
            .collect()
    }
}

/// Stores mail as it comes by SMTP: threaded by references and subject, dated when it was accepted.
pub(crate) fn receive(
    account: &mut Account,
    raw: Bytes,
    labels: BTreeSet<String>,
    accepted_at: i64,
    moment: Moment,
) -> (u64, u64) {
    let parsed = Parsed::new(raw);
    let thread = account.thread_by_references(&parsed);
    let new = NewMessage {
        parsed: Arc::new(parsed),
        labels,
        thread,
        internal_date: accepted_at,
    };
    account.insert(new, moment)
}

/// The mailbox an address stands for: lower case, no `+tag`, and for Gmail's own domains no dots.
pub(crate) fn canonical(address: &str) -> String {
    let address = address.trim().to_lowercase();
    let Some((local, domain)) = address.rsplit_once('@') else {
        return address;
    };
    let local = local.split('+').next().unwrap_or(local);
    match domain {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", local.replace('.', "")),
        _ => format!("{local}@{domain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_dots_and_googlemail_lead_to_the_same_mailbox() {
        assert_eq!(canonical("A.Nna+x@googlemail.com"), "anna@gmail.com");
        assert_eq!(canonical("a.b+x@Acme.Test"), "a.b@acme.test");
    }
}
