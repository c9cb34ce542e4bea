//! We ask Pub/Sub: for hosts without a public address
//! (<https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull>).
//!
//! A message is acknowledged when its notification is written down, or can never be. What is not acknowledged
//! comes again.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::{
    Inbox, PushCounts, ServiceAccount, ServiceAccountError,
    envelope::Message,
    http::{Http, HttpError},
};

/// How long Pub/Sub may hold a pull until there is something.
const PULL: Duration = Duration::from_mins(2);
/// The most messages of a pull, and the least that is asked for when they are too large together.
const MESSAGES: (u32, u32) = (100, 1);
/// The largest answer, in bytes: one message of the 10 MB that Pub/Sub takes at most, in base64.
const ANSWER_LIMIT: usize = 16 << 20;
/// First and longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// What to pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullConfig {
    /// Where Pub/Sub is.
    pub origin: String,
    /// `projects/{p}/subscriptions/{s}`.
    pub subscription: String,
    /// How long to wait after a pull that found nothing. Pub/Sub itself holds a pull for a while.
    pub pause: Duration,
}

impl PullConfig {
    /// A subscription at Google.
    pub fn new(subscription: String) -> Self {
        Self {
            origin: "https://pubsub.googleapis.com".into(),
            subscription,
            pause: Duration::from_secs(1),
        }
    }
}

/// Pulls notifications for an inbox.
#[derive(Debug)]
pub struct Puller {
    config: PullConfig,
    account: ServiceAccount,
    inbox: Inbox,
    http: Http,
}

/// What one pull brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Messages.
    pub messages: usize,
    /// Of these, acknowledged; the others come again.
    pub acknowledged: usize,
}

/// Why there was no pull.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// There is no token.
    #[error(transparent)]
    Account(#[from] ServiceAccountError),
    /// Pub/Sub does not answer, or refuses.
    #[error("Pub/Sub: {0}")]
    Pubsub(String),
    /// The messages are too large together.
    #[error("Pub/Sub: the messages are too large")]
    TooLarge,
    /// Nothing of what came could be written down.
    #[error("the store does not answer")]
    Store,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "receivedMessages")]
    received: Vec<ReceivedMessage>,
}

#[derive(Deserialize)]
struct ReceivedMessage {
    #[serde(rename = "ackId")]
    ack_id: String,
    message: Message,
}

impl Puller {
    /// A puller for a subscription that this account may pull from.
    pub fn new(config: PullConfig, account: ServiceAccount, inbox: Inbox) -> Result<Self, PullError> {
        let http = Http::new().map_err(|error| PullError::Pubsub(error.to_string()))?;
        Ok(Self {
            config,
            account,
            inbox,
            http,
        })
    }

    /// What has come so far.
    pub fn counts(&self) -> PushCounts {
        self.inbox.counts()
    }

    /// Pulls for ever.
    pub async fn run(&self) {
        let (most, least) = MESSAGES;
        let mut messages = most;
        let mut wait = BACKOFF.0;
        loop {
            let rest = match self.pull(messages).await {
                Ok(pulled) => {
                    messages = most;
                    wait = BACKOFF.0;
                    if pulled.messages > 0 {
                        continue;
                    }
                    self.config.pause
                }
                Err(PullError::TooLarge) if messages > least => {
                    messages = (messages / 4).max(least);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(subscription = self.config.subscription, %error, "nothing is pulled");
                    let rest = wait + wait.mul_f64(rand::random::<f64>() / 2.0);
                    wait = (wait * 2).min(BACKOFF.1);
                    rest
                }
            };
            tokio::time::sleep(rest).await;
        }
    }

    /// One pull of at most so many messages; each is written down, then all of those are acknowledged.
    pub async fn pull(&self, messages: u32) -> Result<Pulled, PullError> {
        let body = self
            .call("pull", &json!({ "maxMessages": messages }), PULL)
            .await?;
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| PullError::Pubsub("the answer is malformed".into()))?;
        let mut taken = Vec::new();
        for received in &answer.received {
            if self.take(received).await {
                taken.push(received.ack_id.as_str());
            }
        }
        if taken.is_empty() {
            return match answer.received.len() {
                0 => Ok(Pulled::default()),
                _ => Err(PullError::Store),
            };
        }
        let pulled = Pulled {
            messages: answer.received.len(),
            acknowledged: taken.len(),
        };
        let acknowledged = json!({ "ackIds": taken });
        self.call("acknowledge", &acknowledged, BACKOFF.1).await?;
        Ok(pulled)
    }

    /// Whether a message need not come again.
    async fn take(&self, received: &ReceivedMessage) -> bool {
        match received.message.notification() {
            Ok(notification) => match self.inbox.take(&notification).await {
                Ok(_) => true,
                Err(error) => {
                    tracing::warn!(%error, "a notification is not written down; it will come again");
                    false
                }
            },
            Err(why) => {
                self.inbox.drop_unreadable(why);
                true
            }
        }
    }

    async fn call(
        &self,
        method: &str,
        body: &serde_json::Value,
        time: Duration,
    ) -> Result<Vec<u8>, PullError> {
        let token = self.account.token().await?;
        let url = format!(
            "{}/v1/{}:{method}",
            self.config.origin.trim_end_matches('/'),
            self.config.subscription
        );
        let request = self
            .http
            .post(&url)
            .timeout(time)
            .bearer_auth(token.expose_secret())
            .json(body);
        match self.http.send(request, ANSWER_LIMIT).await {
            Ok(answer) => Ok(answer.body),
            Err(HttpError::OverLimit) => Err(PullError::TooLarge),
            Err(error) => {
                if error == HttpError::Status(401) {
                    self.account.forget_token();
                }
                Err(PullError::Pubsub(error.to_string()))
            }
        }
    }
}
