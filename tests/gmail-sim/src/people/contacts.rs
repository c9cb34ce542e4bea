//! The contacts of a user, as a list of versions: each change of a contact appends one.
//!
//! What anybody sees is the newest version of each contact up to some position, so a listing can be continued while contacts
//! change, and a sync can lag behind the writes.

use std::collections::BTreeMap;

use rand::Rng as _;
use rand::rngs::StdRng;

use crate::moment::Moment;
use crate::quota::Window;

/// What a user writes down of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// The whole name; `None` for a contact without one.
    pub name: Option<String>,
    /// Addresses, the primary one first.
    pub addresses: Vec<String>,
}

impl Contact {
    /// A contact with a name.
    pub fn new(name: &str, addresses: &[&str]) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::nameless(addresses)
        }
    }

    /// A contact without a name.
    pub fn nameless(addresses: &[&str]) -> Self {
        Self {
            name: None,
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        }
    }
}

/// A contact, for assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactView {
    /// `people/c…`.
    pub resource_name: String,
    /// What is written down.
    pub contact: Contact,
}

/// A contact as it was from one change on.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: u64,
    /// Its place among all versions, from 1.
    pub(super) position: usize,
    /// When the change was made, as it is shown.
    pub(super) changed_at: i64,
    /// `None` is a deletion.
    pub(super) contact: Option<Contact>,
    /// The contacts that were merged into it.
    pub(super) previous: Vec<u64>,
    /// When the change was made, on the steady clock.
    at: i64,
}

/// All contacts of a user.
#[derive(Debug)]
pub(crate) struct Contacts {
    versions: Vec<Version>,
    /// Sync tokens of another epoch have expired.
    pub(super) sync_epoch: u64,
    /// The same for page tokens.
    pub(super) page_epoch: u64,
    /// First pages of full syncs.
    full_syncs: Window,
}

impl Default for Contacts {
    fn default() -> Self {
        Self {
            versions: Vec::new(),
            sync_epoch: 0,
            page_epoch: 0,
            full_syncs: Window::minute(),
        }
    }
}

impl Contacts {
    /// Lets every sync token expire that was given out so far.
    pub(crate) fn expire_sync_tokens(&mut self) {
        self.sync_epoch += 1;
    }

    /// The same for page tokens.
    pub(crate) fn expire_page_tokens(&mut self) {
        self.page_epoch += 1;
    }

    /// Adds a contact.
    pub(super) fn add(&mut self, contact: Contact, rng: &mut StdRng, moment: Moment) -> u64 {
        let id = rng.random_range(10_u64.pow(18)..9 * 10_u64.pow(18));
        self.push(id, Some(contact), Vec::new(), moment);
        id
    }

    /// Writes a contact anew. False if there is none.
    pub(super) fn update(&mut self, id: u64, contact: Contact, moment: Moment) -> bool {
        let Some((_, previous)) = self.live(id) else {
            return false;
        };
        self.push(id, Some(contact), previous, moment);
        true
    }

    /// Deletes a contact. False if there is none.
    pub(super) fn delete(&mut self, id: u64, moment: Moment) -> bool {
        if self.live(id).is_none() {
            return false;
        }
        self.push(id, None, Vec::new(), moment);
        true
    }

    /// Makes one contact of two: the survivor has the addresses of both, and its own name if it has one. False if one of
    /// them is not there.
    pub(super) fn merge(&mut self, survivor: u64, merged: u64, moment: Moment) -> bool {
        let (Some((mut kept, mut previous)), Some((other, others))) =
            (self.live(survivor), self.live(merged))
        else {
            return false;
        };
        if survivor == merged {
            return false;
        }
        kept.name = kept.name.or(other.name);
        for address in other.addresses {
            if !kept
                .addresses
                .iter()
                .any(|known| known.eq_ignore_ascii_case(&address))
            {
                kept.addresses.push(address);
            }
        }
        previous.extend(others);
        previous.push(merged);
        self.push(survivor, Some(kept), previous, moment);
        self.push(merged, None, Vec::new(), moment);
        true
    }

    /// Those that are there, the one changed last at the end.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &Contact)> {
        let newest = self.newest(None, self.versions.len()).into_iter();
        newest.filter_map(|version| Some((version.id, version.contact.as_ref()?)))
    }

    /// The position of the last change that can be seen.
    pub(super) fn visible(&self, now: i64, lag_ms: i64) -> usize {
        if lag_ms <= 0 {
            return self.versions.len();
        }
        let seen = now.saturating_sub(lag_ms);
        self.versions.partition_point(|version| version.at <= seen)
    }

    /// Every change so far.
    pub(super) fn len(&self) -> usize {
        self.versions.len()
    }

    /// The newest version of each contact up to a position, in the order of change: of those that changed after another
    /// position, deleted ones among them, or of all that are there.
    pub(super) fn newest(&self, after: Option<usize>, until: usize) -> Vec<&Version> {
        let seen = self.versions.get(..until).unwrap_or(&self.versions);
        let newest: BTreeMap<u64, usize> = seen
            .iter()
            .map(|version| (version.id, version.position))
            .collect();
        let is_newest = |version: &&Version| newest.get(&version.id) == Some(&version.position);
        let is_listed = |version: &&Version| match after {
            Some(after) => version.position > after,
            None => version.contact.is_some(),
        };
        seen.iter().filter(is_newest).filter(is_listed).collect()
    }

    /// Books the beginning of a full sync, unless it would be one too many.
    pub(super) fn begin_full_sync(&mut self, now: i64, limit: Option<u64>) -> FullSync {
        if !self.full_syncs.has_room(now, 1, limit) {
            return FullSync::Refused;
        }
        self.full_syncs.book(now, 1);
        FullSync::Begun
    }

    fn live(&self, id: u64) -> Option<(Contact, Vec<u64>)> {
        let newest = self.versions.iter().rev().find(|version| version.id == id)?;
        Some((newest.contact.clone()?, newest.previous.clone()))
    }

    fn push(&mut self, id: u64, contact: Option<Contact>, previous: Vec<u64>, moment: Moment) {
        let last = self.versions.last().map_or(moment.steady, |last| last.at);
        self.versions.push(Version {
            id,
            position: self.versions.len() + 1,
            changed_at: moment.now,
            contact,
            previous,
            at: moment.steady.max(last),
        });
    }
}

/// What became of a request for a full sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FullSync {
    Begun,
    /// There were too many in the last minute.
    Refused,
}

/// `people/c…`.
pub(super) fn resource_name(id: u64) -> String {
    format!("people/c{id}")
}

/// The contact that a resource name stands for.
pub(super) fn parse_resource_name(name: &str) -> Option<u64> {
    name.strip_prefix("people/c")?.parse().ok()
}
