//! The whole simulated world behind one lock: accounts, OAuth state, uploads, what left for the outside, the counters.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::behaviour::Behaviour;
use crate::config::{Client, Clock, Config, Consent, Limits, PushEndpoint};
use crate::fault::Fault;
use crate::mailbox::{Account, Moment, NewMessage, SendAs, Verification};
use crate::message::Parsed;
use crate::oauth::Oauth;
use crate::push::Notification;
use crate::quota::Quota;
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
    pub(crate) notifications: VecDeque<Notification>,
    pub(crate) stats: Stats,
    pub(crate) faults: Vec<Fault>,
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
    /// Gmail requests: parts of batches count, the batch itself and the admin API do not.
    pub requests: u64,
    /// The same, by method (`messages.get`).
    pub by_method: BTreeMap<String, u64>,
    /// Answers of Gmail methods by status code.
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
            rng: StdRng::seed_from_u64(config.seed),
            accounts: BTreeMap::new(),
            aliases: BTreeMap::new(),
            outside: Vec::new(),
            bouncing: BTreeSet::new(),
            oauth: Oauth::default(),
            uploads: BTreeMap::new(),
            notifications: VecDeque::new(),
            stats: Stats::default(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment {
            now: self.now(),
            gap: self.behaviour.history_gap,
            grouped: self.behaviour.history_grouped,
            push_rate_limited: self.behaviour.push_rate_limited,
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
        let trace = self.behaviour.add_trace_headers;
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

    /// Moves what the watches want published into the queue.
    pub(crate) fn publish(&mut self) {
        let now = self.now();
        let copies = if self.behaviour.push_duplicates { 2 } else { 1 };
        for account in self.accounts.values_mut() {
            for watch in account.watches.values_mut() {
                for history_id in watch.due.drain(..) {
                    let notification = Notification {
                        email_address: account.email.clone(),
                        history_id,
                        topic: watch.topic.clone(),
                        message_id: self.rng.random_range(10_u64.pow(15)..10_u64.pow(16)).to_string(),
                        published_at: now,
                    };
                    self.notifications
                        .extend(std::iter::repeat_n(notification, copies));
                }
            }
        }
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
