//! Quota units: both of Google's tables, and the sliding minute of each user and project.
//!
//! Projects made since 2026-05-01 have 6,000 units a minute for each user and pay 20 for a `messages.get`; older ones
//! have 15,000 and pay 5. Source: Google's quota page (see `shared/facts/quota.json`). Where the new column is
//! unknown the old figure is used.

use std::collections::VecDeque;

use crate::api::Method;

/// A minute in milliseconds.
const MINUTE_MS: i64 = 60_000;
/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// What is done with the units of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Counted; a request beyond the user's minute is refused.
    Enforce(Table),
    /// Only counted.
    Count(Table),
}

impl Default for Quota {
    fn default() -> Self {
        Self::Count(Table::New)
    }
}

impl Quota {
    /// The table in use.
    pub fn table(self) -> Table {
        match self {
            Self::Enforce(table) | Self::Count(table) => table,
        }
    }
}

/// Which of Google's price lists applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Projects from before May 2026.
    Old,
    /// Projects since then.
    New,
}

impl Table {
    /// Units a user may spend in any 60 seconds.
    pub fn per_user_minute(self) -> u64 {
        match self {
            Self::Old => 15_000,
            Self::New => 6_000,
        }
    }

    /// Units of one call of a method, by its short name (`messages.get`); `None` for an unknown name.
    pub fn units_of(self, method: &str) -> Option<u64> {
        Method::ALL
            .iter()
            .find(|known| known.name() == method)
            .map(|known| self.units(*known))
    }

    pub(crate) fn units(self, method: Method) -> u64 {
        let (old, new) = method.units();
        match self {
            Self::Old => old,
            Self::New => new,
        }
    }
}

/// The units that were spent in the last minute, or in the last day.
#[derive(Debug)]
pub(crate) struct Window {
    spent: VecDeque<(i64, u64)>,
    sum: u64,
    length_ms: i64,
}

impl Window {
    /// A window of a minute.
    pub(crate) fn minute() -> Self {
        Self::of(MINUTE_MS)
    }

    /// A window of a day.
    pub(crate) fn day() -> Self {
        Self::of(DAY_MS)
    }

    fn of(length_ms: i64) -> Self {
        Self {
            spent: VecDeque::new(),
            sum: 0,
            length_ms,
        }
    }

    /// Whether `units` at `now_ms` keep the sum within `limit`.
    pub(crate) fn has_room(&mut self, now_ms: i64, units: u64, limit: Option<u64>) -> bool {
        while let Some(&(at, old)) = self.spent.front() {
            if at > now_ms.saturating_sub(self.length_ms) {
                break;
            }
            self.spent.pop_front();
            self.sum -= old;
        }
        limit.is_none_or(|limit| self.sum + units <= limit)
    }

    /// Books `units` at `now_ms`.
    pub(crate) fn book(&mut self, now_ms: i64, units: u64) {
        match self.spent.back_mut() {
            Some((at, booked)) if *at == now_ms => *booked += units,
            _ => self.spent.push_back((now_ms, units)),
        }
        self.sum += units;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_leave_the_window_after_a_minute() {
        let mut window = Window::minute();
        window.book(0, 60);
        assert!(!window.has_room(59_999, 60, Some(100)));
        assert!(window.has_room(60_000, 60, Some(100)));
    }

    #[test]
    fn what_is_spent_at_one_time_adds_up() {
        let mut window = Window::day();
        window.book(0, 60);
        window.book(0, 40);
        assert!(!window.has_room(0, 1, Some(100)));
        assert!(window.has_room(DAY_MS, 100, Some(100)));
    }
}
