//! The simulator as its clients meet it: what it does, what it refuses, and the shapes of its answers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
#![allow(
    clippy::too_many_lines,
    reason = "one long walk through the methods reads better than its pieces"
)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "json!(..) at the call reads better without a borrow"
)]

mod api;
mod clock;
mod faults;
mod google;
mod history;
mod oauth;
mod parsers;
mod people;
mod people_sync;
mod plan;
mod pubsub;
mod push;
mod readme;
mod schema;
mod sending;
mod server;
mod switches;
mod transport;
mod uploads;
mod world;
