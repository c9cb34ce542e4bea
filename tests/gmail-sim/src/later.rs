//! What will happen at a time to come: late notifications, bounces, mail to oneself.
//!
//! Due times are on the steady clock, so a jump backward of the clock that everybody sees holds nothing up. Things
//! happen when somebody looks: before each request, each delivery and each reading of the notifications.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::push::Notification;
use crate::returns::{Bounce, bounce, deliver_to_self};
use crate::world::World;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Later {
    /// A notification is handed out.
    Notification(Notification),
    /// A message comes back.
    Bounce {
        /// Key of the sender's account.
        key: String,
        /// The sender's copy.
        sent: u64,
        why: Bounce,
    },
    /// Mail to oneself arrives.
    ToSelf { key: String, sent: u64, copy: Bytes },
}

/// What will happen, in its order.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    items: BTreeMap<(i64, u64), Later>,
    serial: u64,
}

impl Agenda {
    /// Puts something off until a time; what is due at one time happens in the order it was put off.
    pub(crate) fn add(&mut self, due: i64, item: Later) {
        self.serial += 1;
        self.items.insert((due, self.serial), item);
    }

    /// When the next thing is due.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.items.keys().next().map(|(due, _)| *due)
    }

    fn take_due(&mut self, now: i64) -> Option<Later> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

impl World {
    /// Lets happen what is due.
    pub(crate) fn settle(&mut self) {
        let now = self.steady();
        while let Some(item) = self.agenda.take_due(now) {
            match item {
                Later::Notification(notification) => self.notifications.push_back(notification),
                Later::Bounce { key, sent, why } => bounce(self, &key, sent, &why),
                Later::ToSelf { key, sent, copy } => deliver_to_self(self, &key, sent, copy),
            }
            self.publish();
        }
    }
}
