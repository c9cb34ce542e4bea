//! What is known of each account: what it took, and what the provider said about it.

use std::collections::HashMap;

use super::{Penalty, window::Window};

/// The longest penalty believed, ms: a day. Longer ones are misread dates.
const LONGEST_PENALTY: u64 = 24 * 3_600_000;
/// Requests in flight per mailbox while the provider does not complain.
const IN_FLIGHT: u32 = 8;
/// For each so many ms without a complaint one more request may be in flight.
const RECOVERY: u64 = 60_000;
/// Complaints so soon after one another, ms, are about the same requests.
const ONE_COMPLAINT: u64 = 1_000;

/// Accounts whose state is kept at most; the one unused longest is forgotten.
const ACCOUNTS: usize = 100_000;

/// What the provider said about an account. Times in ms since the epoch; 0: it said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// No request before then.
    pub until: u64,
    /// No sending before then.
    pub sending_until: u64,
    /// Requests that could be in flight when the provider complained last.
    pub in_flight: u32,
    /// When it complained last.
    pub narrowed_at: u64,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            until: 0,
            sending_until: 0,
            in_flight: IN_FLIGHT,
            narrowed_at: 0,
        }
    }
}

impl Standing {
    /// When nothing of it holds any more, ms since the epoch.
    pub fn ends_at(&self) -> u64 {
        let missing = u64::from(IN_FLIGHT.saturating_sub(self.in_flight));
        let recovered = match missing {
            0 => 0,
            missing => self.narrowed_at.saturating_add(missing * RECOVERY),
        };
        self.until.max(self.sending_until).max(recovered)
    }

    /// Both together: the later times, and the later complaint.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let narrow = |standing: Self| (standing.narrowed_at, u32::MAX - standing.in_flight);
        let latest = if narrow(other) > narrow(self) { other } else { self };
        Self {
            until: self.until.max(other.until),
            sending_until: self.sending_until.max(other.sending_until),
            ..latest
        }
    }

    /// The same with no time further away than is believed.
    #[must_use]
    pub(super) fn believed(self, now: u64) -> Self {
        let latest = now.saturating_add(LONGEST_PENALTY);
        Self {
            until: self.until.min(latest),
            sending_until: self.sending_until.min(latest),
            in_flight: self.in_flight.clamp(1, IN_FLIGHT),
            narrowed_at: self.narrowed_at.min(now),
        }
    }

    pub(super) fn note(&mut self, penalty: Penalty, now: u64) {
        let said = match penalty {
            // A guest speaks for its own account alone: a false word about the project would stop every
            // tenant (S33). When the project really is exhausted, each account learns it by one request.
            Penalty::ProjectUntil(until) | Penalty::MailboxUntil(until) => Self {
                until,
                ..Self::default()
            },
            Penalty::SendingUntil(sending_until) => Self {
                sending_until,
                ..Self::default()
            },
            // All requests in flight at that moment are refused together.
            Penalty::Concurrency if now < self.narrowed_at.saturating_add(ONE_COMPLAINT) => return,
            Penalty::Concurrency => Self {
                in_flight: (self.in_flight(now) / 2).max(1),
                narrowed_at: now,
                ..Self::default()
            },
        };
        *self = self.merged(said.believed(now));
    }

    /// How many requests may be in flight: one more for each minute without a complaint.
    pub(super) fn in_flight(&self, now: u64) -> u32 {
        let quiet = now.saturating_sub(self.narrowed_at) / RECOVERY;
        let grown = u64::from(self.in_flight).saturating_add(quiet);
        u32::try_from(grown).unwrap_or(u32::MAX).clamp(1, IN_FLIGHT)
    }
}

#[derive(Default)]
pub(super) struct Accounts(HashMap<String, Account>);

pub(super) struct Account {
    pub(super) window: Window,
    pub(super) standing: Standing,
    used_at: u64,
}

impl Accounts {
    pub(super) fn account(&mut self, account: &str, rate: u64, now: u64) -> &mut Account {
        if self.0.len() >= ACCOUNTS && !self.0.contains_key(account) {
            let oldest = self.0.iter().min_by_key(|(_, held)| held.used_at);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.0.remove(&name);
            }
        }
        let held = self.0.entry(account.to_owned()).or_insert_with(|| Account {
            window: Window::new(rate),
            standing: Standing::default(),
            used_at: now,
        });
        held.used_at = now;
        held
    }

    /// What is known of these.
    pub(super) fn standings(&self, accounts: &[String]) -> Vec<(String, Standing)> {
        let known = |account: &String| Some((account.clone(), self.0.get(account)?.standing));
        accounts.iter().filter_map(known).collect()
    }
}
