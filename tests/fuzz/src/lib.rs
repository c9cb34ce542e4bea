//! What an attacker can write: one file for each thing that comes from outside, with a generator that makes it of a
//! fuzzer's bytes and the properties that hold of it whatever it is.
//!
//! A target reads the bytes as decisions ([`Choices`]), so that a fuzzer which changes a byte changes a tag, a header
//! or an answer and not only a letter. The properties are functions of the thing itself: what once broke one lies in
//! `regressions/` as it is and is checked with the rest. A property that does not hold panics. Which engine gives the
//! bytes is the tests' affair (`tests/all`): at random for some seconds in every test run, led by coverage for as
//! long as somebody wants (`make fuzz`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a panic is the finding"
)]

mod choices;
pub mod cost;
pub mod dsn;
#[cfg(feature = "sandbox")]
pub mod exports;
pub mod headers;
pub mod html;
#[cfg(feature = "sandbox")]
pub mod imports;
pub mod mime;
pub mod outgoing;
#[cfg(feature = "sandbox")]
pub mod push;
#[cfg(feature = "sandbox")]
mod scripted;
pub mod seeds;
#[cfg(feature = "sandbox")]
pub mod smtp;

pub use choices::Choices;

// libFuzzer's instrumentation wants its runtime in every test there is, and `cargo bolero` builds this one too.
#[cfg(test)]
use bolero as _;
