//! What a simulator is started with: seed, clock, quota, limits, OAuth clients.
//!
//! Everything that could differ between two runs is here, so one `Config` and one sequence of requests give one
//! sequence of answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::behaviour::Behaviour;
use crate::quota::Quota;

/// Everything a simulator is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seeds the one generator that all ids, tokens and history gaps come from.
    pub seed: u64,
    /// Where the time comes from.
    pub clock: Clock,
    /// Whether, and by which table, quota units are counted or enforced.
    pub quota: Quota,
    /// The switches for behaviours which Google does not promise.
    pub behaviour: Behaviour,
    /// Who answers the consent page.
    pub consent: Consent,
    /// Sizes and counts that Gmail refuses to exceed.
    pub limits: Limits,
    /// The registered OAuth clients.
    pub clients: Vec<Client>,
    /// Where notifications are posted; without it they wait in the queue for [`crate::Sim::take_notifications`].
    pub push: Option<PushEndpoint>,
    /// Where they wait to be pulled instead.
    pub pull: Option<PullSubscription>,
}

impl Default for Config {
    /// Seed 1, system clock, the new quota table only counted, a consent page, the demo client.
    fn default() -> Self {
        Self {
            seed: 1,
            clock: Clock::System,
            quota: Quota::default(),
            behaviour: Behaviour::default(),
            consent: Consent::Page,
            limits: Limits::default(),
            clients: vec![Client::demo()],
            push: None,
            pull: None,
        }
    }
}

/// The simulator's time, in milliseconds since the Unix epoch, UTC.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until its owner moves it.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A manual clock and the handle that moves it.
    pub fn manual(start_ms: i64) -> (Self, Arc<AtomicI64>) {
        let time = Arc::new(AtomicI64::new(start_ms));
        (Self::Manual(Arc::clone(&time)), time)
    }

    /// Milliseconds since the Unix epoch, UTC.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|since| i64::try_from(since.as_millis()).ok())
                .unwrap_or(0),
            Self::Manual(time) => time.load(Ordering::SeqCst),
        }
    }
}

/// Sizes and counts that Gmail refuses to exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message in send and drafts (discovery: 36,700,160).
    pub send_bytes: usize,
    /// Bytes of a message in insert and import (discovery: 157,286,400).
    pub insert_bytes: usize,
    /// Bytes of a JSON body with `raw` in it; above it the front end answers 413.
    pub json_bytes: usize,
    /// Recipients of one message.
    pub recipients: usize,
    /// Messages sent by one mailbox in a rolling 24 hours; `None` for no limit.
    pub sends_per_day: Option<usize>,
    /// Labels in one mailbox.
    pub labels: usize,
    /// Calls in one batch.
    pub batch: usize,
    /// Quota units all users of a project may spend in any 60 seconds, where quota is enforced (both of Google's tables:
    /// 1,200,000).
    pub project_units_per_minute: u64,
    /// The same in 24 hours (80,000,000, but a threshold for charges rather than a refusal); `None` for no limit.
    pub project_units_per_day: Option<u64>,
    /// Bytes of a request body after it is decompressed.
    pub inflated_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            send_bytes: 36_700_160,
            insert_bytes: 157_286_400,
            json_bytes: 5 * 1024 * 1024,
            recipients: 500,
            sends_per_day: None,
            labels: 10_000,
            batch: 100,
            project_units_per_minute: 1_200_000,
            project_units_per_day: None,
            inflated_bytes: 160 * 1024 * 1024,
        }
    }
}

/// An OAuth client as registered in the Cloud console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; `None` for a client that need not present one.
    pub secret: Option<String>,
    /// Which redirect URIs are accepted.
    pub redirects: Redirects,
    /// The Cloud project it belongs to; watches are one per mailbox and project.
    pub project: u64,
}

impl Client {
    /// The demo client: id `twinbox-demo`, secret `twinbox-demo-secret`, any loopback redirect.
    pub fn demo() -> Self {
        Self {
            id: "twinbox-demo".to_owned(),
            secret: Some("twinbox-demo-secret".to_owned()),
            redirects: Redirects::AnyLoopback,
            project: 123_456_789_012,
        }
    }
}

/// Which redirect URIs a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// These, compared character by character.
    Exact(Vec<String>),
    /// Any `http` URI on 127.0.0.1, [::1] or localhost (RFC 8252, section 7.3).
    AnyLoopback,
}

/// Who answers the consent page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// A person (or a browser test): the page is shown.
    #[default]
    Page,
    /// Nobody: the request is answered at once.
    Auto {
        /// The account that is chosen; without it `login_hint`, or else the first account.
        account: Option<String>,
        /// What is ticked.
        decision: Decision,
    },
}

impl Consent {
    /// Grants everything that is asked for, as the account of `login_hint` or the first.
    pub fn grant_all() -> Self {
        Self::Auto {
            account: None,
            decision: Decision::All,
        }
    }
}

/// What somebody ticks on the consent page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Every box.
    All,
    /// These scopes, out of those asked for; the sign-in scopes are always granted.
    Only(Vec<String>),
    /// "Cancel".
    Deny,
}

/// A Pub/Sub push subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushEndpoint {
    /// Where notifications are posted.
    pub url: String,
    /// The `aud` claim of the token.
    pub audience: String,
    /// The service account in the `email` claim.
    pub service_account: String,
    /// `projects/{p}/subscriptions/{s}`.
    pub subscription: String,
}

/// A Pub/Sub pull subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullSubscription {
    /// `projects/{p}/subscriptions/{s}`.
    pub name: String,
    /// The service account that may pull.
    pub service_account: String,
}
