//! The targets that run components.

use fuzz::{exports, imports, push, smtp};

use crate::{BRIEF, LONGEST, targets};

targets! {
    push_payloads => push::target,
    s18_sessions_of_other_servers => smtp::target,
    values_that_the_component_is_given => exports::target,
    values_that_the_host_is_given => imports::target,
}

/// A world in which nothing works would be no test of what works in it.
#[test]
fn arbitrary_worlds_see_mail_come_and_go() {
    let mut byte = bytes();
    let mut all = exports::Tally::default();
    for _ in 0..400 {
        let bytes: Vec<u8> = (0..LONGEST).map(|_| byte()).collect();
        let tally = exports::run(&bytes);
        all.delivered += tally.delivered;
        all.excluded += tally.excluded;
        all.quarantined += tally.quarantined;
        all.sent += tally.sent;
        all.unsent += tally.unsent;
        all.problems += tally.problems;
    }
    println!("{all:?}");
    for number in [
        all.delivered,
        all.excluded,
        all.quarantined,
        all.sent,
        all.unsent,
        all.problems,
    ] {
        assert!(number > 0, "{all:?}");
    }
}

#[test]
fn arbitrary_sessions_bring_mail() {
    let mut byte = bytes();
    let sessions = (0..400).map(|_| {
        let bytes: Vec<u8> = (0..64).map(|_| byte()).collect();
        smtp::run(&bytes)
    });
    let taken: usize = sessions.sum();
    println!("{taken} mails");
    assert!(taken > 20, "{taken}");
}

/// The same bytes at random each time.
fn bytes() -> impl FnMut() -> u8 {
    let mut state = 1_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(state >> 56).unwrap()
    }
}
