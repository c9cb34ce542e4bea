//! Watches and the notifications they cause.
//!
//! One watch per mailbox and Cloud project, seven days, at most one notification a second. A notification becomes a
//! Pub/Sub push (`message.data` in base64, an OIDC token as the bearer). Source: Gmail's push guide, Pub/Sub's
//! authenticated push.

use std::collections::BTreeSet;

use axum::http::{Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::behaviour::{Behaviour, PushData, PushHistoryId};
use crate::config::PushEndpoint;
use crate::hits::Hits;
use crate::moment::Moment;
use crate::oauth::TokenFlaw;
use crate::world::World;

/// How long a watch lasts, in milliseconds.
pub(crate) const WATCH_MS: i64 = 7 * 24 * 3600 * 1000;
/// Notifications closer together than this are dropped, in milliseconds.
const SPACING_MS: i64 = 1000;

/// What a published notification says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// The mailbox.
    pub email_address: String,
    /// Its newest history id.
    pub history_id: u64,
    /// `projects/{p}/topics/{t}`.
    pub topic: String,
    /// Pub/Sub's message id.
    pub message_id: String,
    /// Milliseconds since the epoch.
    pub published_at: i64,
    /// What is wrong with its token, if it is a forged one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaw: Option<TokenFlaw>,
}

impl Notification {
    /// The body of the push request that carries this notification.
    pub fn envelope(&self, subscription: &str, behaviour: &Behaviour) -> Value {
        let history_id = match behaviour.push_history_id {
            PushHistoryId::Number => json!(self.history_id),
            PushHistoryId::String => json!(self.history_id.to_string()),
        };
        let data = json!({"emailAddress": self.email_address, "historyId": history_id}).to_string();
        let data = match behaviour.push_data {
            PushData::Standard => STANDARD.encode(data),
            PushData::UrlSafe => URL_SAFE_NO_PAD.encode(data),
        };
        let published = OffsetDateTime::from_unix_timestamp(self.published_at.div_euclid(1000))
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .unwrap_or_default();
        json!({
            "message": {
                "data": data,
                "messageId": self.message_id,
                "message_id": self.message_id,
                "publishTime": published,
                "publish_time": published,
                "attributes": {},
            },
            "subscription": subscription,
        })
    }
}

/// The request that Pub/Sub makes of a notification; `None` if the endpoint's URL cannot be one.
pub(crate) fn push_request(
    world: &mut World,
    endpoint: &PushEndpoint,
    notification: &Notification,
) -> Option<Request<Bytes>> {
    let body = notification
        .envelope(&endpoint.subscription, &world.behaviour)
        .to_string();
    let mut request = Request::post(&endpoint.url).header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = world.push_token(endpoint, notification.flaw) {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Bytes::from(body)).ok()
}

/// A registered watch.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) topic: String,
    pub(crate) filter: LabelFilter,
    pub(crate) expires_at: i64,
    /// When the client said stop; it takes effect later.
    pub(crate) stopped_at: Option<i64>,
    last_push: Option<i64>,
    /// History ids that are to be published.
    pub(crate) due: Vec<u64>,
}

/// Which changes a watch wants to hear of.
#[derive(Clone, Debug)]
pub(crate) enum LabelFilter {
    All,
    Include(BTreeSet<String>),
    Exclude(BTreeSet<String>),
}

impl Watch {
    /// A watch that lasts seven days from `now`.
    pub(crate) fn new(topic: String, filter: LabelFilter, now: i64) -> Self {
        Self {
            topic,
            filter,
            expires_at: now + WATCH_MS,
            stopped_at: None,
            last_push: None,
            due: Vec::new(),
        }
    }

    /// Publishes at once, whatever the filter says, as `watch` itself does.
    pub(crate) fn announce(&mut self, history_id: u64, steady: i64) {
        self.last_push = Some(steady);
        self.due.push(history_id);
    }

    /// Hears of a change.
    pub(crate) fn notice(
        &mut self,
        history_id: u64,
        labels: &BTreeSet<&String>,
        moment: Moment,
        hits: &Hits,
    ) {
        let wanted = match &self.filter {
            LabelFilter::All => true,
            LabelFilter::Include(these) => these.iter().any(|label| labels.contains(label)),
            LabelFilter::Exclude(these) => !these.iter().any(|label| labels.contains(label)),
        };
        if !wanted || moment.now >= self.expires_at || self.has_stopped(moment) {
            return;
        }
        let too_soon = self
            .last_push
            .is_some_and(|last| moment.steady.saturating_sub(last) < SPACING_MS);
        if hits.when("push_rate_limited", moment.push_rate_limited && too_soon) {
            return;
        }
        hits.when("stop_lag_ms", self.stopped_at.is_some());
        self.announce(history_id, moment.steady);
    }

    fn has_stopped(&self, moment: Moment) -> bool {
        self.stopped_at
            .is_some_and(|at| moment.steady >= at.saturating_add(moment.stop_lag_ms))
    }
}
