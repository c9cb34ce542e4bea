//! What a test sees of a mailbox: copies, free of the lock.

use bytes::Bytes;

use crate::format::hex;
use crate::mailbox::{Account, Stored};

/// What a mailbox holds, for assertions.
#[derive(Clone, Debug)]
pub struct MailboxView {
    /// The account's address.
    pub email: String,
    /// The `sub` claim of its tokens.
    pub subject: String,
    /// The newest history id.
    pub history_id: u64,
    /// Oldest first.
    pub messages: Vec<MessageView>,
    /// Draft id and its message id.
    pub drafts: Vec<(String, String)>,
    /// Topics of the live watches.
    pub watches: Vec<String>,
    /// Live refresh tokens.
    pub grants: usize,
}

/// A message, for assertions.
#[derive(Clone, Debug)]
pub struct MessageView {
    /// Message id.
    pub id: String,
    /// Thread id.
    pub thread_id: String,
    /// Label ids, sorted.
    pub labels: Vec<String>,
    /// Milliseconds since the epoch.
    pub internal_date: i64,
    /// The bytes, with CRLF.
    pub raw: Bytes,
    from: Option<String>,
    to: Option<String>,
    subject: Option<String>,
    message_id: Option<String>,
}

impl MessageView {
    /// The `From` header, unfolded.
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// The `To` header, unfolded.
    pub fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    /// The `Subject` header, unfolded and decoded.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The `Message-ID` header with its brackets.
    pub fn message_id(&self) -> Option<&str> {
        self.message_id.as_deref()
    }

    /// Whether it has a label.
    pub fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|known| known == label)
    }

    fn of(stored: &Stored) -> Self {
        let header = |name: &str| stored.parsed.header(name).map(ToOwned::to_owned);
        Self {
            id: hex(stored.id),
            thread_id: hex(stored.thread),
            labels: stored.labels.iter().cloned().collect(),
            internal_date: stored.internal_date,
            raw: stored.parsed.raw.clone(),
            from: header("From"),
            to: header("To"),
            subject: header("Subject").map(|_| stored.parsed.subject.clone()),
            message_id: header("Message-ID"),
        }
    }
}

/// A mailbox as it is now.
pub(crate) fn view(account: &Account, grants: usize, now: i64) -> MailboxView {
    MailboxView {
        email: account.email.clone(),
        subject: account.subject.clone(),
        history_id: account.history.last_id(),
        messages: account
            .order
            .iter()
            .filter_map(|(_, id)| account.messages.get(id))
            .map(MessageView::of)
            .collect(),
        drafts: account
            .drafts
            .iter()
            .map(|(draft, message)| (format!("r{draft}"), hex(*message)))
            .collect(),
        watches: account
            .watches
            .values()
            .filter(|watch| watch.expires_at > now && watch.stopped_at.is_none())
            .map(|watch| watch.topic.clone())
            .collect(),
        grants,
    }
}
