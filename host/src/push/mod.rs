//! Push: Gmail says by Google Cloud Pub/Sub that a mailbox has changed.
//!
//! A notification decides nothing but that a pass should start soon. What is written before it is
//! acknowledged is the connection's row ([`Announced`](crate::store::Announced)), so that a crash after the
//! answer loses nothing; the pass itself is the schedule's. Two ways in, one [`Inbox`]: Pub/Sub posts to us
//! ([`PushReceiver`], each request proved by a token of Google's), or we ask it ([`Puller`], for hosts
//! without a public address).
//!
//! Sources: <https://developers.google.com/workspace/gmail/api/guides/push>,
//! <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>,
//! <https://cloud.google.com/pubsub/docs/reference/rest>.

mod counts;
mod envelope;
mod http;
mod inbox;
mod keys;
mod pull;
mod receiver;
mod service_account;
mod token;

pub use counts::PushCounts;
pub use envelope::{Notification, Unreadable};
pub use inbox::{Inbox, Received};
pub use pull::{PullConfig, PullError, Pulled, Puller};
pub use receiver::{PushAnswer, PushReceiver};
pub use service_account::{ServiceAccount, ServiceAccountError};
pub use token::{Refusal, SenderError, TrustedSender};

/// The largest notification, as JSON, that is read, bytes. Gmail's have less than one thousand.
pub const BODY_LIMIT: usize = 64 << 10;

#[cfg(test)]
mod tests;
