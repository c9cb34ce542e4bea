//! What push notifications have told of a connection: what waits to be looked at, and whether they come at
//! all. Pure; it stands in the connection's row, so that nothing is lost with the process.
//!
//! A notification says that a mailbox has changed, never what: at least once, in any order, late, and not at
//! all where changes follow each other within a second
//! (<https://developers.google.com/workspace/gmail/api/guides/push>).

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// How long silence is no sign, ms. A watch is renewed each day and says something each time: who has heard
/// nothing for longer than that and some hours has no watch, topic or subscription that works.
const SILENCE: u64 = 26 * 3_600_000;
/// How soon after a notification a look may find what none announced, ms: changes within a second of another
/// are not announced, and an announced one may take a while to show in the history.
const SETTLING: u64 = 120_000;
/// How long Pub/Sub waits at most before it delivers again, ms: what comes again within it is a repetition.
const REPEATS: u64 = 600_000;
/// How old the last sign of life in the row may be, ms: a flood of repetitions writes nothing more.
const SIGN_OF_LIFE: u64 = 60_000;

/// What notifications have told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Announced {
    /// The history id of the notification that no pass has looked for yet: the greatest, a decimal number.
    pub waiting: Option<String>,
    /// The greatest history id that was announced.
    pub newest: Option<String>,
    /// When it was, ms since the epoch.
    pub newest_at: u64,
    /// When a notification came last, ms since the epoch; up to a minute older.
    pub heard_at: Option<u64>,
    /// When a pass found a change that should have been announced and was not, ms since the epoch; none since
    /// the last notification.
    pub missed_at: Option<u64>,
}

/// What a notification was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Something to look for.
    New,
    /// Delivered again, or overtaken by a newer one.
    Repeated,
}

/// How a pass came to be that found changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody had asked for it: its time had come.
    ByPolling,
    /// It was asked for, by a notification, a person, or the pass before it.
    AsAsked,
}

impl Announced {
    /// A notification has come, at `now`, ms since the epoch.
    pub fn hear(&mut self, history_id: &str, now: u64) -> News {
        let is_sign = self.missed_at.is_some()
            || self
                .heard_at
                .is_none_or(|heard| now.saturating_sub(heard) >= SIGN_OF_LIFE);
        if is_sign {
            self.heard_at = Some(now);
            self.missed_at = None;
        }
        let is_greater = self
            .newest
            .as_deref()
            .is_none_or(|newest| by_value(history_id, newest) == Ordering::Greater);
        if !is_greater && now.saturating_sub(self.newest_at) < REPEATS {
            return News::Repeated;
        }
        self.newest = Some(history_id.to_owned());
        self.newest_at = now;
        self.heard_at = Some(now);
        self.waiting = Some(history_id.to_owned());
        News::New
    }

    /// A pass that began with `began` in the row has ended well. What came since waits on.
    pub fn looked(&mut self, began: &Self, found: Option<Found>, now: u64) {
        if self.waiting == began.waiting {
            self.waiting = None;
        }
        let heard = |heard: u64| now.saturating_sub(heard) < SETTLING;
        if found == Some(Found::ByPolling) && !self.heard_at.is_some_and(heard) {
            self.missed_at = Some(now);
        }
    }

    /// Whether notifications come: the last is young enough, and no pass has found since that one was missing.
    pub fn is_alive(&self, now: u64) -> bool {
        let is_recent = |heard: u64| now.saturating_sub(heard) < SILENCE;
        self.missed_at.is_none() && self.heard_at.is_some_and(is_recent)
    }
}

/// The order of decimal numbers of any length, without leading zeros.
fn by_value(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn heard(history_id: &str) -> Announced {
        let mut announced = Announced::default();
        assert_eq!(announced.hear(history_id, NOW), News::New);
        announced
    }

    #[test]
    fn push_duplicates_and_overtaken_ones_ask_for_nothing_more() {
        let mut announced = heard("1000");
        announced.looked(&announced.clone(), None, NOW + 1);
        for history_id in ["1000", "999", "1"] {
            assert_eq!(announced.hear(history_id, NOW + 2), News::Repeated);
        }
        assert_eq!(announced.waiting, None);
        assert_eq!(announced.hear("1001", NOW + 3), News::New);
        assert_eq!(announced.waiting.as_deref(), Some("1001"));
    }

    #[test]
    fn push_a_lower_id_asks_for_a_look_once_it_cannot_be_a_repetition() {
        let mut announced = heard("1000");
        assert_eq!(announced.hear("7", NOW + REPEATS - 1), News::Repeated);
        assert_eq!(announced.hear("7", NOW + REPEATS), News::New);
        assert_eq!(announced.newest.as_deref(), Some("7"));
    }

    #[test]
    fn push_during_a_pass_waits_for_the_next() {
        let mut announced = heard("1000");
        let began = announced.clone();
        announced.hear("1001", NOW + 1);
        announced.looked(&began, Some(Found::AsAsked), NOW + 2);
        assert_eq!(announced.waiting.as_deref(), Some("1001"));
        announced.looked(&announced.clone(), None, NOW + 3);
        assert_eq!(announced.waiting, None);
    }

    #[test]
    fn push_is_alive_until_it_is_silent_for_longer_than_a_day() {
        assert!(!Announced::default().is_alive(NOW));
        let announced = heard("1000");
        assert!(announced.is_alive(NOW + SILENCE - 1));
        assert!(!announced.is_alive(NOW + SILENCE));
    }

    #[test]
    fn push_is_dead_from_mail_that_none_announced_to_the_next_one() {
        let mut announced = heard("1000");
        let found = |announced: &mut Announced, found, at| announced.looked(&announced.clone(), found, at);
        found(&mut announced, Some(Found::ByPolling), NOW + SETTLING - 1);
        assert!(
            announced.is_alive(NOW + SETTLING),
            "it may be one of the same second"
        );
        found(&mut announced, Some(Found::AsAsked), NOW + SETTLING);
        found(&mut announced, None, NOW + SETTLING);
        assert!(announced.is_alive(NOW + SETTLING));
        found(&mut announced, Some(Found::ByPolling), NOW + SETTLING);
        assert!(!announced.is_alive(NOW + SETTLING));
        announced.hear("1000", NOW + SETTLING + 1);
        assert!(
            announced.is_alive(NOW + SETTLING + 1),
            "a late one is a sign as well"
        );
    }

    #[test]
    fn push_a_flood_of_repetitions_changes_nothing() {
        let mut announced = heard("1000");
        let before = announced.clone();
        for second in 0..59 {
            announced.hear("1000", NOW + second * 1_000);
        }
        assert_eq!(announced, before);
        announced.hear("1000", NOW + SIGN_OF_LIFE);
        assert_eq!(announced.heard_at, Some(NOW + SIGN_OF_LIFE));
    }

    #[test]
    fn ids_of_any_length_have_the_order_of_numbers() {
        assert_eq!(by_value("999", "1000"), Ordering::Less);
        assert_eq!(
            by_value("18446744073709551616", "18446744073709551615"),
            Ordering::Greater
        );
    }

    #[test]
    fn a_row_from_before_there_was_push_is_read() {
        assert_eq!(
            serde_json::from_str::<Announced>("{}").unwrap(),
            Announced::default()
        );
    }
}
