//! A Gmail and Google OAuth server with real state, for tests and demos.
//!
//! [`Sim`] is the whole of it: a handle on a simulated world that answers HTTP requests synchronously, without I/O.
//! Time comes from [`Config::clock`] and chance from [`Config::seed`], so the same requests get the same answers, byte
//! for byte. [`Server`] (or [`serve`]) puts it on a socket. Mail sent from one mailbox arrives in the others it is
//! addressed to; what leaves for other addresses is kept ([`Sim::outside`]). A user's contacts ([`Contact`]) are listed as
//! the People API lists them. Behaviours which Google does not promise are switches ([`Behaviour`]); what goes wrong are
//! faults ([`FaultKind`]), on order ([`Sim::inject`]) or by seed ([`Sim::set_fault_plan`]). Answers have the shapes of the
//! discovery documents; tests hold them to it.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")
)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, reason = "a wrong index is the test's failure")
)]

mod admin;
mod api;
mod batch;
mod behaviour;
mod config;
mod errors;
mod fault;
mod fields;
mod format;
mod gzip;
mod headers;
mod history;
mod hits;
mod labels;
mod later;
mod mailbox;
mod message;
mod mime;
mod moment;
mod multipart;
mod oauth;
mod people;
mod pubsub;
mod push;
mod quota;
mod returns;
mod search;
mod server;
mod sim;
mod threading;
mod transport;
mod upload;
mod view;
mod wire;
mod world;

pub use behaviour::{
    Behaviour, HistoryLabels, HistoryOrder, PushData, PushHistoryId, QuotaRefusal, Switch, SyncTokenRefusal,
    ThreadRule,
};
pub use config::{
    Client, Clock, Config, Consent, Decision, Limits, PullSubscription, PushEndpoint, Redirects,
};
pub use fault::{Fault, FaultKind, FaultMix, FaultPlan, Share};
pub use mailbox::Verification;
pub use oauth::{TokenFlaw, Tokens, push_token, service_account_key};
pub use people::{Contact, ContactView};
pub use push::Notification;
pub use quota::{Quota, Table};
pub use server::{Server, serve};
pub use sim::{Delivered, Delivery, MailService, Sim};
pub use view::{MailboxView, MessageView};
pub use wire::Wire;
pub use world::{OutsideMail, Stats};
