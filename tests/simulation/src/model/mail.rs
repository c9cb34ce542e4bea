//! What is read of a message: addresses, time, and how often Gmail answered about it in vain.

use std::{borrow::Cow, collections::BTreeMap};

use gmail_sim::MessageView;
use twinbox_host::contract::Direction;

/// A mail as rules look at it, whichever way it came.
pub(super) struct Mail<'m> {
    pub(super) raw: Cow<'m, str>,
    pub(super) direction: Direction,
    /// When it was accepted, ms since the epoch.
    pub(super) at: u64,
    /// Gmail's id, if it is in the mailbox.
    id: Option<&'m str>,
}

impl<'m> Mail<'m> {
    /// As the mailbox has it.
    pub(super) fn of(message: &'m MessageView) -> Self {
        Self {
            raw: String::from_utf8_lossy(&message.raw),
            direction: if message.has("SENT") {
                Direction::Outbound
            } else {
                Direction::Inbound
            },
            at: date(message),
            id: Some(&message.id),
        }
    }

    /// As it came to a BCC address.
    pub(super) fn logged(raw: &'m [u8], at: u64) -> Self {
        Self {
            raw: String::from_utf8_lossy(raw),
            direction: Direction::Outbound,
            at,
            id: None,
        }
    }

    /// How often Gmail answered so about it.
    pub(super) fn answers(&self, counts: &BTreeMap<String, u32>) -> u32 {
        self.id.and_then(|id| counts.get(id)).copied().unwrap_or_default()
    }
}

pub(super) fn date(message: &MessageView) -> u64 {
    u64::try_from(message.internal_date).unwrap_or_default()
}

/// An address without its tag.
pub(super) fn untagged(address: &str) -> String {
    match address.split_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.split('+').next().unwrap_or(local)),
        None => address.to_owned(),
    }
}

/// The addresses of a header field. What is read here was written by this crate or by the component: one
/// field of a name, at most folded.
pub(super) fn header(raw: &str, name: &str) -> Vec<String> {
    let Some(value) = unfolded(raw, name) else {
        return Vec::new();
    };
    value
        .split(',')
        .map(|part| {
            let address = part.split('<').next_back().unwrap_or(part);
            address.trim().trim_end_matches('>').to_lowercase()
        })
        .collect()
}

/// The value of the first header field of a name, on one line.
pub(super) fn unfolded(raw: &str, name: &str) -> Option<String> {
    let head = raw.split("\r\n\r\n").next().unwrap_or_default();
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let mut lines = head.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}
