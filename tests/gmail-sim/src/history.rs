//! The history of a mailbox: an append-only list of records, found by binary search, and what `history.list` shows.
//!
//! Ids grow with random gaps and are never reused. An id older than the retention (or than what the owner of the
//! simulator expired) is gone: 404. Source: the history reference and the sync guide.

use rand::seq::SliceRandom;
use serde_json::{Map, Value, json};

use crate::behaviour::{Behaviour, HistoryLabels, HistoryOrder};
use crate::errors::ApiError;
use crate::format::hex;
use crate::mailbox::Account;

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    MessageAdded,
    MessageDeleted,
    LabelAdded,
    LabelRemoved,
}

impl ChangeKind {
    /// From the request's (singular) name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "messageAdded" => Some(Self::MessageAdded),
            "messageDeleted" => Some(Self::MessageDeleted),
            "labelAdded" => Some(Self::LabelAdded),
            "labelRemoved" => Some(Self::LabelRemoved),
            _ => None,
        }
    }

    /// The answer's (plural) name.
    fn field(self) -> &'static str {
        match self {
            Self::MessageAdded => "messagesAdded",
            Self::MessageDeleted => "messagesDeleted",
            Self::LabelAdded => "labelsAdded",
            Self::LabelRemoved => "labelsRemoved",
        }
    }
}

/// One change of one message.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    pub(crate) message: u64,
    pub(crate) thread: u64,
    /// The message's labels after the change (before it, for a deletion).
    pub(crate) labels_then: Vec<String>,
    /// The labels added or removed.
    pub(crate) labels: Vec<String>,
}

/// A record.
#[derive(Clone, Debug)]
struct Record {
    id: u64,
    at: i64,
    changes: Vec<Change>,
}

/// All records of a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct History {
    records: Vec<Record>,
    first: u64,
    /// Ids below this are gone whatever their age.
    floor: u64,
}

/// What `history.list` was asked.
pub(crate) struct HistoryQuery {
    pub(crate) start: u64,
    /// Empty means all.
    pub(crate) kinds: Vec<ChangeKind>,
    pub(crate) label: Option<String>,
    pub(crate) max: usize,
    /// The cursor of an earlier page.
    pub(crate) page: Option<Cursor>,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Records after this id.
    after: u64,
    /// Whether the empty page before this one has been given.
    emptied: bool,
}

impl Cursor {
    /// Reads a page token.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let number: u64 = token.parse().ok()?;
        Some(Self {
            after: number / 10,
            emptied: number % 10 == 1,
        })
    }

    fn token(self) -> String {
        (self.after.saturating_mul(10) + u64::from(self.emptied)).to_string()
    }
}

impl History {
    /// An empty history that starts at `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            records: Vec::new(),
            first,
            floor: 0,
        }
    }

    /// The id of the last record.
    pub(crate) fn last_id(&self) -> u64 {
        self.records.last().map_or(self.first, |record| record.id)
    }

    /// The id of a record `step` after the last one.
    pub(crate) fn next_id(&self, step: u64) -> u64 {
        self.last_id() + step.max(1)
    }

    /// Appends a record; `id` comes from [`Self::next_id`].
    pub(crate) fn push(&mut self, id: u64, at: i64, changes: Vec<Change>) {
        self.records.push(Record { id, at, changes });
    }

    /// Lets ids below `before` expire.
    pub(crate) fn expire_before(&mut self, before: u64) {
        self.floor = self.floor.max(before);
    }

    /// The smallest id that is still valid.
    fn oldest_valid(&self, now: i64, retention_ms: i64) -> u64 {
        let kept = self
            .records
            .partition_point(|record| record.at < now.saturating_sub(retention_ms));
        let by_age = kept
            .checked_sub(1)
            .and_then(|last| self.records.get(last))
            .map_or(0, |record| record.id);
        by_age.max(self.floor)
    }

    /// The records a reader can see by now.
    fn visible(&self, now: i64, lag_ms: i64) -> &[Record] {
        let end = self
            .records
            .partition_point(|record| record.at <= now.saturating_sub(lag_ms));
        self.records.get(..end).unwrap_or_default()
    }
}

/// The answer of `history.list`.
pub(crate) fn list(
    account: &mut Account,
    query: &HistoryQuery,
    behaviour: &Behaviour,
    now: i64,
) -> Result<Value, ApiError> {
    let history = &account.history;
    let gone = query.start < history.oldest_valid(now, behaviour.history_retention_ms);
    if gone || query.start > history.last_id() {
        return Err(ApiError::not_found());
    }
    let visible = history.visible(now, behaviour.history_lag_ms);
    let newest = visible
        .last()
        .map_or(history.first, |record| record.id)
        .max(query.start);
    let mut cursor = query.page.unwrap_or(Cursor {
        after: query.start,
        emptied: false,
    });
    cursor.after = cursor.after.max(query.start);
    let from = visible.partition_point(|record| record.id <= cursor.after);
    let mut shown: Vec<(u64, Value)> = Vec::new();
    let mut next = None;
    for record in visible.get(from..).unwrap_or_default() {
        let Some(value) = show(account, record, query, behaviour) else {
            continue;
        };
        if shown.len() == query.max {
            next = shown.last().map(|(id, _)| Cursor {
                after: *id,
                emptied: false,
            });
            break;
        }
        shown.push((record.id, value));
    }
    if behaviour.history_empty_pages && !cursor.emptied && !shown.is_empty() {
        shown.clear();
        next = Some(Cursor {
            emptied: true,
            ..cursor
        });
    }
    if behaviour.history_duplicates {
        shown = shown
            .into_iter()
            .flat_map(|record| [record.clone(), record])
            .collect();
    }
    if behaviour.history_order == HistoryOrder::Shuffled {
        shown.shuffle(&mut account.rng);
    }
    let mut answer = Map::new();
    if !shown.is_empty() {
        answer.insert(
            "history".to_owned(),
            shown.into_iter().map(|(_, value)| value).collect(),
        );
    }
    if let Some(next) = next {
        answer.insert("nextPageToken".to_owned(), json!(next.token()));
    }
    answer.insert("historyId".to_owned(), json!(newest.to_string()));
    Ok(Value::Object(answer))
}

fn show(account: &Account, record: &Record, query: &HistoryQuery, behaviour: &Behaviour) -> Option<Value> {
    let mut kinds: Map<String, Value> = Map::new();
    let mut messages: Vec<Value> = Vec::new();
    for change in record
        .changes
        .iter()
        .filter(|change| wanted(account, change, query))
    {
        let named = json!({"id": hex(change.message), "threadId": hex(change.thread)});
        let mut message = named.clone();
        if let (Some(labels), Some(object)) = (
            labels_of(account, change, behaviour).filter(|labels| !labels.is_empty()),
            message.as_object_mut(),
        ) {
            object.insert("labelIds".to_owned(), json!(labels));
        }
        let mut entry = json!({"message": message});
        if let (false, Some(object)) = (change.labels.is_empty(), entry.as_object_mut()) {
            object.insert("labelIds".to_owned(), json!(change.labels));
        }
        if !messages.contains(&named) {
            messages.push(named);
        }
        if let Value::Array(list) = kinds.entry(change.kind.field()).or_insert_with(|| json!([])) {
            list.push(entry);
        }
    }
    if kinds.is_empty() {
        return None;
    }
    kinds.insert("id".to_owned(), json!(record.id.to_string()));
    kinds.insert("messages".to_owned(), Value::Array(messages));
    Some(Value::Object(kinds))
}

fn wanted(account: &Account, change: &Change, query: &HistoryQuery) -> bool {
    let kind = query.kinds.is_empty() || query.kinds.contains(&change.kind);
    let label = query
        .label
        .as_ref()
        .is_none_or(|label| match account.messages.get(&change.message) {
            Some(stored) => stored.labels.contains(label),
            None => change.labels_then.contains(label),
        });
    kind && label
}

fn labels_of(account: &Account, change: &Change, behaviour: &Behaviour) -> Option<Vec<String>> {
    match behaviour.history_labels {
        HistoryLabels::Absent => None,
        HistoryLabels::AtChange => Some(change.labels_then.clone()),
        HistoryLabels::Current => Some(account.messages.get(&change.message).map_or_else(
            || change.labels_then.clone(),
            |stored| stored.labels.iter().cloned().collect(),
        )),
    }
}
