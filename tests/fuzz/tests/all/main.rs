//! Each target for a few seconds on bytes at random, after what once broke it. `BOLERO_RANDOM_SEED` repeats a run,
//! `BOLERO_RANDOM_TEST_TIME_MS` makes it longer; `make fuzz` lets coverage lead.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::time::Duration;

use fuzz::{cost, dsn, exports, headers, html, imports, mime, outgoing, push, seeds::regressions};

/// How long each target runs.
const BRIEF: Duration = Duration::from_secs(4);
/// How many decisions an input is made of at most.
const LONGEST: usize = 2_048;

macro_rules! targets {
    ($($name:ident => $target:path),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                bolero::check!()
                    .with_test_time(BRIEF)
                    .with_max_len(LONGEST)
                    .for_each(|bytes: &[u8]| $target(bytes));
            }
        )*
    };
}

targets! {
    mime_to_message => mime::target,
    t07_html_is_safe_to_show => html::target,
    headers_are_bounded_and_on_one_line => headers::target,
    outgoing_mail_says_what_was_written => outgoing::target,
    delivery_notices => dsn::target,
    push_payloads => push::target,
    values_that_the_component_is_given => exports::target,
    values_that_the_host_is_given => imports::target,
    time_in_proportion_to_size => cost::target,
}

#[test]
fn what_once_broke_a_property_does_so_no_more() {
    for (name, raw) in regressions("mime") {
        println!("{name}");
        mime::check(&raw);
    }
    for (name, html) in regressions("html") {
        println!("{name}");
        html::check(&String::from_utf8_lossy(&html));
    }
}

#[test]
fn every_piece_repeated_takes_time_in_proportion_to_its_size() {
    cost::each_piece_alone();
}

/// A world in which nothing works would be no test of what works in it.
#[test]
fn arbitrary_worlds_see_mail_come_and_go() {
    let mut state = 1_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(state >> 56).unwrap()
    };
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
