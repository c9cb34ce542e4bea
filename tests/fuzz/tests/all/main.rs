//! Each target for a few seconds on bytes at random, after what once broke it. `BOLERO_RANDOM_SEED` repeats a run,
//! `BOLERO_RANDOM_TEST_TIME_MS` makes it longer; `make fuzz` lets coverage lead.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::time::Duration;

use fuzz::{cost, dsn, headers, html, mime, outgoing, seeds::regressions};

#[cfg(feature = "sandbox")]
mod sandbox;

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
#[cfg(feature = "sandbox")]
pub(crate) use targets;

targets! {
    mime_to_message => mime::target,
    t07_html_is_safe_to_show => html::target,
    headers_are_bounded_and_on_one_line => headers::target,
    outgoing_mail_says_what_was_written => outgoing::target,
    delivery_notices => dsn::target,
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
