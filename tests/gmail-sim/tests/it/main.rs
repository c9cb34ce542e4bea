//! The simulator as its clients meet it: what it does, what it refuses, and the shapes of its answers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod api;
mod history;
mod oauth;
mod push;
mod schema;
mod sending;
mod server;
mod uploads;
mod world;
