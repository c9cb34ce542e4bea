//! The rules of the product, end to end. A module for each topic; a test for each promise.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure here is the test's failure"
)]

mod attachments;
mod audit;
mod bcc_address;
mod bcc_rules;
mod bulk;
mod callback;
mod connecting;
mod contacts;
mod drafts;
mod exactly_once;
mod gap;
mod history;
mod inbound;
mod ledger;
mod limits;
mod matching;
mod nesting;
mod notices;
mod privacy;
mod push;
mod quota;
mod releases;
mod replay;
mod safety;
mod sending;
mod sharing;
mod sharing_real_mail;
mod switches;
mod watching;
