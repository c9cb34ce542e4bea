//! Guessing made slow. After some wrong passwords in a row a login waits before the next one is looked
//! at, ever longer, up to a minute: a guesser gets some 1,400 tries a day, and who mistypes waits a minute at
//! most. Logins that do not exist wait too, so that waiting does not tell which do.
//!
//! Kept in memory: a restart forgets it. Addresses are not counted, as a proxy gives all browsers one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Wrong passwords in a row that cost nothing.
const FREE: u32 = 5;
/// The longest wait, ms.
const LONGEST: u64 = 60_000;
/// After so long without a try all is forgotten, ms.
const FORGOTTEN: u64 = 3_600_000;
/// Logins that are remembered; the one tried longest ago goes.
const LOGINS: usize = 10_000;

/// Tries of logins.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<String, Tries>>);

#[derive(Clone, Copy)]
struct Tries {
    in_a_row: u32,
    last: u64,
}

impl Throttle {
    /// Counts a try before it is looked at, so that tries at the same time count too.
    ///
    /// # Errors
    ///
    /// When the next try is allowed, ms since the epoch; this one does not count.
    pub(super) fn enter(&self, login: &str, now: u64) -> Result<(), u64> {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= LOGINS && !logins.contains_key(login) {
            let oldest = logins.iter().min_by_key(|(_, tries)| tries.last);
            if let Some(login) = oldest.map(|(login, _)| login.clone()) {
                logins.remove(&login);
            }
        }
        let tries = logins.entry(login.to_owned()).or_insert(Tries {
            in_a_row: 0,
            last: now,
        });
        if now.saturating_sub(tries.last) > FORGOTTEN {
            tries.in_a_row = 0;
        }
        let next = tries.last + rest(tries.in_a_row);
        if now < next {
            return Err(next);
        }
        tries.in_a_row = tries.in_a_row.saturating_add(1);
        tries.last = now;
        Ok(())
    }

    /// The password was right.
    pub(super) fn passed(&self, login: &str) {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logins.remove(login);
    }
}

/// How long a login rests after so many wrong passwords, ms.
fn rest(in_a_row: u32) -> u64 {
    match in_a_row.checked_sub(FREE) {
        None => 0,
        Some(more) => (1_000_u64 << more.min(10)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_cost_ever_more_time_up_to_a_minute_and_a_right_one_ends_it() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(throttle.enter("ann", 0), Ok(()));
        }
        assert_eq!(throttle.enter("ann", 0), Err(1_000));
        assert_eq!(throttle.enter("bob", 0), Ok(()));
        assert_eq!(throttle.enter("ann", 1_000), Ok(()));
        assert_eq!(throttle.enter("ann", 2_999), Err(3_000));
        assert_eq!(rest(1_000), LONGEST);
        throttle.passed("ann");
        assert_eq!(throttle.enter("ann", 1_001), Ok(()));
    }

    #[test]
    fn an_hour_without_a_try_forgets_and_memory_is_bounded() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(throttle.enter("ann", 0), Ok(()));
        }
        assert_eq!(throttle.enter("ann", FORGOTTEN + 1), Ok(()));
        for number in 0..LOGINS + 10 {
            assert_eq!(throttle.enter(&number.to_string(), FORGOTTEN + 2), Ok(()));
        }
        assert_eq!(throttle.0.lock().unwrap().len(), LOGINS);
    }
}
