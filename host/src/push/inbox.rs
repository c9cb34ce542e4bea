//! Where notifications end: in the rows of the mailbox's connections, of any tenant, and then as wakes of the
//! schedule. A notification is taken when its rows are written; whatever happens after that, a pass comes.

use std::sync::Arc;

use super::{
    Notification, PushCounts, Unreadable,
    counts::{Counters, count},
};
use crate::{
    clock::Clock,
    contract::Trigger,
    schedule::Schedule,
    scope::ConnectionId,
    store::{Connection, ConnectionStatus, News, Put, Registry, StoreError},
};

/// Takes notifications. Clones are the same.
#[derive(Clone)]
pub struct Inbox {
    registry: Arc<dyn Registry>,
    clock: Arc<dyn Clock>,
    schedule: Arc<dyn Schedule>,
    pub(super) counters: Arc<Counters>,
}

/// What became of a notification that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A pass will look.
    Accepted,
    /// It said nothing new.
    Repeated,
    /// Nobody has connected this mailbox, or not any more (S06).
    UnknownMailbox,
}

impl Inbox {
    /// An inbox for the connections of a registry, run by a schedule.
    pub fn new(registry: Arc<dyn Registry>, clock: Arc<dyn Clock>, schedule: Arc<dyn Schedule>) -> Self {
        Self {
            registry,
            clock,
            schedule,
            counters: Arc::default(),
        }
    }

    /// What has come so far.
    pub fn counts(&self) -> PushCounts {
        self.counters.read()
    }

    /// Takes a notification: when this returns, it is written down, and no pass has been waited for.
    ///
    /// # Errors
    ///
    /// When the registry does not answer: the notification has to come again.
    pub async fn take(&self, notification: &Notification) -> Result<Received, StoreError> {
        let taken = self.write(notification).await;
        count(match &taken {
            Ok(Received::Accepted) => &self.counters.accepted,
            Ok(Received::Repeated) => &self.counters.repeated,
            Ok(Received::UnknownMailbox) => &self.counters.unknown_mailbox,
            Err(_) => &self.counters.unavailable,
        });
        taken
    }

    /// Counts a message that cannot be read. It must not come again: it would for ever.
    pub(super) fn drop_unreadable(&self, why: Unreadable) {
        count(&self.counters.unreadable);
        tracing::warn!(%why, "a push notification cannot be read and is dropped");
    }

    async fn write(&self, notification: &Notification) -> Result<Received, StoreError> {
        let mut received = Received::UnknownMailbox;
        for connection in self.registry.of_mailbox(&notification.address).await? {
            match self.announce(connection, &notification.history_id).await? {
                Some((id, News::New)) => {
                    received = Received::Accepted;
                    self.schedule
                        .wake(&id, Trigger::Push(notification.history_id.clone()));
                }
                Some((_, News::Repeated)) if received == Received::UnknownMailbox => {
                    received = Received::Repeated;
                }
                Some((_, News::Repeated)) | None => {}
            }
        }
        Ok(received)
    }

    /// Writes it into a connection's row, whoever changes it at the same time; `None` if the connection has
    /// ended.
    async fn announce(
        &self,
        mut connection: Connection,
        history_id: &str,
    ) -> Result<Option<(ConnectionId, News)>, StoreError> {
        let id = connection.scope.connection.clone();
        loop {
            if connection.status == ConnectionStatus::Disconnected {
                return Ok(None);
            }
            let before = connection.announced.clone();
            let news = connection.announced.hear(history_id, self.clock.now());
            if connection.announced == before || self.registry.put(&connection).await? == Put::Written {
                return Ok(Some((id, news)));
            }
            match self.registry.find(&id).await? {
                Some(now) => connection = now,
                None => return Ok(None),
            }
        }
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
