//! Pub/Sub posts to us. A request is answered when its notification is written down; no pass is waited for.
//!
//! | Answer | When | What Pub/Sub does |
//! |---|---|---|
//! | 200 | taken; nothing new; nobody's mailbox; not to be read | nothing more |
//! | 401 | its sender is not proved | delivers again, if it was Pub/Sub |
//! | 503 | store or keys cannot be had | delivers again |

use std::time::Duration;

use super::{
    Inbox, PushCounts, Received, Refusal, TrustedSender, Unreadable, counts::count, envelope::Envelope,
    token::Unproved,
};
use crate::store::StoreError;

/// How long writing may take: Pub/Sub waits ten seconds unless the subscription says otherwise.
const WRITING: Duration = Duration::from_secs(8);

/// Takes push requests.
#[derive(Debug)]
pub struct PushReceiver {
    inbox: Inbox,
    sender: TrustedSender,
    subscription: Option<String>,
}

/// What a push request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushAnswer {
    /// 200: it must not come again.
    Done,
    /// 401: its sender is not proved.
    Unauthorized,
    /// 503: it has to come again.
    Unavailable,
}

impl PushReceiver {
    /// A receiver for what this sender posts.
    pub fn new(inbox: Inbox, sender: TrustedSender) -> Self {
        Self {
            inbox,
            sender,
            subscription: None,
        }
    }

    /// The same, for one subscription alone, `projects/{p}/subscriptions/{s}`.
    #[must_use]
    pub fn of_subscription(self, subscription: String) -> Self {
        Self {
            subscription: Some(subscription),
            ..self
        }
    }

    /// What has come so far.
    pub fn counts(&self) -> PushCounts {
        self.inbox.counts()
    }

    /// Whether a request may be read at all, by its `Authorization`: nothing of one that may not is looked at.
    ///
    /// # Errors
    ///
    /// What to answer instead.
    pub async fn admit(&self, authorization: Option<&str>) -> Result<(), PushAnswer> {
        match self.sender.check(authorization).await {
            Ok(()) => Ok(()),
            Err(Unproved::Refused(refusal)) => Err(self.refuse(refusal)),
            Err(Unproved::Unavailable) => {
                count(&self.inbox.counters.unavailable);
                Err(PushAnswer::Unavailable)
            }
        }
    }

    /// Takes the body of a request that was admitted.
    pub async fn receive(&self, body: &[u8]) -> PushAnswer {
        let envelope = match Envelope::read(body) {
            Ok(envelope) => envelope,
            Err(why) => return self.drop_unreadable(why),
        };
        let is_ours = |ours: &String| *ours == envelope.subscription;
        if !self.subscription.as_ref().is_none_or(is_ours) {
            return self.refuse(Refusal::Subscription);
        }
        let notification = match envelope.notification() {
            Ok(notification) => notification,
            Err(why) => return self.drop_unreadable(why),
        };
        let taken = tokio::time::timeout(WRITING, self.inbox.take(&notification)).await;
        let taken = taken.unwrap_or_else(|_| Err(StoreError::Unavailable("it takes too long".into())));
        match taken {
            Ok(Received::Accepted | Received::Repeated | Received::UnknownMailbox) => PushAnswer::Done,
            Err(error) => {
                tracing::warn!(%error, "a push notification is not written down; it will come again");
                PushAnswer::Unavailable
            }
        }
    }

    /// Counts a body that is none of ours to read, one over its limit for example.
    pub fn drop_unreadable(&self, why: Unreadable) -> PushAnswer {
        self.inbox.drop_unreadable(why);
        PushAnswer::Done
    }

    fn refuse(&self, refusal: Refusal) -> PushAnswer {
        self.inbox.counters.refused(refusal);
        tracing::info!(reason = refusal.reason(), "a push request was refused");
        PushAnswer::Unauthorized
    }
}
