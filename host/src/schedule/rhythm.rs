//! When a connection's next pass is due. Pure.
//!
//! While notifications come, polling is only the net under them, and slow. It is fast once more after each:
//! changes within a second of another are never announced, and one may be announced before the history
//! shows it.

use std::time::Duration;

use super::Polling;
use crate::{contract::Trigger, store::Connection};

/// What to do with a connection now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// A pass is due, for this reason.
    Now(Trigger),
    /// Nothing before this, ms since the epoch.
    At(u64),
}

/// Whether a pass of this connection is due at `now`, ms since the epoch. `woken` is what asked for one since
/// the last began.
pub(super) fn turn(connection: &Connection, woken: Option<Trigger>, polling: Polling, now: u64) -> Turn {
    let pushed = match woken {
        Some(Trigger::Push(history_id)) => Some(history_id),
        // People and the platform do not wait.
        Some(other) => return Turn::Now(other),
        None => None,
    };
    let pushed = connection.announced.waiting.clone().or(pushed);
    let poll = poll_at(connection, polling, now);
    let due = match (&connection.problem, connection.next_run_at) {
        // A connection in trouble comes when its back-off says, whatever is announced meanwhile.
        (Some(_), Some(at)) => at,
        (None, _) if pushed.is_some() => now,
        (None, Some(at)) => at.min(poll),
        (_, None) => poll,
    };
    match pushed {
        _ if due > now => Turn::At(due),
        Some(history_id) => Turn::Now(Trigger::Push(history_id)),
        None => Turn::Now(Trigger::Schedule),
    }
}

fn poll_at(connection: &Connection, polling: Polling, now: u64) -> u64 {
    let last = connection.last_run_at.unwrap_or(0);
    let fast = milliseconds(polling.interval);
    let announced = &connection.announced;
    let looked_again = announced
        .heard_at
        .is_some_and(|heard| last >= heard.saturating_add(fast));
    let (interval, jitter) = if announced.is_alive(now) && looked_again {
        (milliseconds(polling.pushed), milliseconds(polling.pushed) / 4)
    } else {
        (fast, milliseconds(polling.jitter))
    };
    last.saturating_add(interval)
        .saturating_add(spread(connection, jitter.max(1)))
}

/// A share of the jitter that differs between connections and from one pass to the next.
fn spread(connection: &Connection, jitter: u64) -> u64 {
    let text = connection.scope.connection.as_str().bytes();
    let seed = connection.last_run_at.unwrap_or(0);
    let mixed = text.fold(seed, |hash, byte| {
        hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
    });
    mixed % jitter
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::Problem,
        scope::{ConnectionId, Scope, TenantId, UserId},
        store::{Announced, ConnectionStatus, Standing},
    };

    const NOW: u64 = 1_790_000_000_000;
    const SECOND: u64 = 1_000;
    const POLLING: Polling = Polling {
        interval: Duration::from_secs(30),
        jitter: Duration::from_secs(10),
        pushed: Duration::from_mins(10),
    };

    fn ran(at: u64) -> Connection {
        Connection {
            scope: Scope {
                tenant: TenantId::new("t"),
                user: UserId::new("u"),
                connection: ConnectionId::new("c"),
                account: "sub".into(),
            },
            address: "ann@example.com".into(),
            status: ConnectionStatus::Active,
            settings: String::new(),
            created_at: 0,
            last_run_at: Some(at),
            next_run_at: None,
            failures: 0,
            problem: None,
            announced: Announced::default(),
            standing: Standing::default(),
            revision: 1,
        }
    }

    /// A connection that was pushed `heard` and looked at, by that and again, until `last`.
    fn pushed(heard: u64, last: u64) -> Connection {
        let mut connection = ran(last);
        connection.announced.hear("1000", heard);
        connection.announced.waiting = None;
        connection
    }

    /// Seconds from the last pass to the next.
    fn rests(connection: &Connection) -> u64 {
        let last = connection.last_run_at.unwrap();
        match turn(connection, None, POLLING, last) {
            Turn::At(at) => (at - last) / SECOND,
            Turn::Now(trigger) => panic!("{trigger:?}"),
        }
    }

    #[test]
    fn push_makes_polling_slow_and_silence_makes_it_fast() {
        assert!((30..=40).contains(&rests(&ran(NOW))));
        assert!((600..=750).contains(&rests(&pushed(NOW, NOW + 30 * SECOND))));
        let day = 24 * 3_600 * SECOND;
        assert!((600..=750).contains(&rests(&pushed(NOW, NOW + day))));
        assert!((30..=40).contains(&rests(&pushed(NOW, NOW + 27 * 3_600 * SECOND))));
    }

    #[test]
    fn push_is_followed_by_one_fast_look() {
        assert!((30..=40).contains(&rests(&pushed(NOW, NOW + SECOND))));
        assert!((30..=40).contains(&rests(&pushed(NOW, NOW + 29 * SECOND))));
    }

    #[test]
    fn push_that_missed_mail_makes_polling_fast_until_the_next() {
        let mut connection = pushed(NOW, NOW + 3_600 * SECOND);
        connection.announced.missed_at = connection.last_run_at;
        assert!((30..=40).contains(&rests(&connection)));
        connection.announced.hear("1001", NOW + 3_601 * SECOND);
        connection.announced.waiting = None;
        connection.last_run_at = Some(NOW + 3_640 * SECOND);
        assert!((600..=750).contains(&rests(&connection)));
    }

    #[test]
    fn push_that_waits_in_the_row_is_due_although_nobody_wakes() {
        let mut connection = pushed(NOW, NOW + 60 * SECOND);
        connection.announced.hear("2000", NOW + 61 * SECOND);
        let now = turn(&connection, None, POLLING, NOW + 61 * SECOND);
        assert_eq!(now, Turn::Now(Trigger::Push("2000".into())));
    }

    #[test]
    fn push_does_not_break_a_back_off_and_people_do() {
        let mut connection = ran(NOW);
        connection.problem = Some(Problem::RateLimited(0));
        connection.next_run_at = Some(NOW + 900 * SECOND);
        connection.announced.hear("1000", NOW);
        let wake = |trigger, now| turn(&connection, Some(trigger), POLLING, now);
        let push = Trigger::Push("1000".into());
        assert_eq!(wake(push.clone(), NOW + SECOND), Turn::At(NOW + 900 * SECOND));
        assert_eq!(wake(push.clone(), NOW + 900 * SECOND), Turn::Now(push));
        assert_eq!(wake(Trigger::Manual, NOW + SECOND), Turn::Now(Trigger::Manual));
    }

    #[test]
    fn what_the_plugin_asks_for_comes_before_the_poll() {
        let mut connection = pushed(NOW, NOW + 60 * SECOND);
        connection.next_run_at = Some(NOW + 61 * SECOND);
        let at = |now| turn(&connection, None, POLLING, now);
        assert_eq!(at(NOW + 60 * SECOND), Turn::At(NOW + 61 * SECOND));
        assert_eq!(at(NOW + 61 * SECOND), Turn::Now(Trigger::Schedule));
    }
}
