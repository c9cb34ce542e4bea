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
use crate::moment::Moment;

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
    stage: Stage,
}

/// What was given before a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The pages before it.
    Usual,
    /// The empty page before it, too.
    Emptied,
    /// The page after it, which ends with this id.
    Swapped(u64),
}

impl Cursor {
    fn after(id: u64) -> Self {
        Self {
            after: id,
            stage: Stage::Usual,
        }
    }

    /// Reads a page token.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (after, stage) = match token.split_once('.') {
            Some((after, end)) => (after, Stage::Swapped(end.parse().ok()?)),
            None => match token.split_at_checked(token.len().checked_sub(1)?)? {
                (after, "0") => (after, Stage::Usual),
                (after, "1") => (after, Stage::Emptied),
                _ => return None,
            },
        };
        let after = after.parse().ok()?;
        Some(Self { after, stage })
    }

    fn token(self) -> String {
        match self.stage {
            Stage::Usual => format!("{}0", self.after),
            Stage::Emptied => format!("{}1", self.after),
            Stage::Swapped(end) => format!("{}.{end}", self.after),
        }
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
        let at = self.records.last().map_or(at, |last| at.max(last.at));
        self.records.push(Record { id, at, changes });
    }

    /// Lets ids below `before` expire.
    pub(crate) fn expire_before(&mut self, before: u64) {
        self.floor = self.floor.max(before);
    }

    /// Lets every id so far expire, the newest too.
    pub(crate) fn expire_all(&mut self) {
        self.floor = self.last_id() + 1;
    }

    /// The smallest id that is still valid, and which switch made it that, if one did.
    fn oldest_valid(&self, now: i64, behaviour: &Behaviour) -> (u64, Option<&'static str>) {
        let oldest = now.saturating_sub(behaviour.history_retention_ms);
        let kept = self.records.partition_point(|record| record.at < oldest);
        let last_old = kept
            .checked_sub(1)
            .and_then(|last| self.records.get(last))
            .map(|record| record.id);
        let (by_age, switch) = match last_old {
            None => (0, None),
            Some(id) if behaviour.history_quiet_ids_expire => (id + 1, Some("history_quiet_ids_expire")),
            Some(id) => (id, Some("history_retention_ms")),
        };
        if by_age > self.floor {
            (by_age, switch)
        } else {
            (self.floor, None)
        }
    }

    /// The records a reader can see by now.
    fn visible(&self, now: i64, lag_ms: i64) -> &[Record] {
        if lag_ms <= 0 {
            return &self.records;
        }
        let end = self
            .records
            .partition_point(|record| record.at <= now.saturating_sub(lag_ms));
        self.records.get(..end).unwrap_or_default()
    }
}

/// The history id to start from now. Where every id so far has expired, a new one is made.
pub(crate) fn anchor(account: &mut Account, behaviour: &Behaviour, moment: Moment) -> u64 {
    let (oldest, _) = account.history.oldest_valid(moment.steady, behaviour);
    if account.history.last_id() < oldest {
        let id = account.history.next_id(1).max(oldest);
        account.history.push(id, moment.steady, Vec::new());
    }
    account.history.last_id()
}

/// The answer of `history.list`.
pub(crate) fn list(
    account: &mut Account,
    query: &HistoryQuery,
    behaviour: &Behaviour,
    now: i64,
) -> Result<Value, ApiError> {
    let history = &account.history;
    let hits = &account.hits;
    let (oldest, switch) = history.oldest_valid(now, behaviour);
    if query.start < oldest || query.start > history.last_id() {
        if let Some(switch) = switch.filter(|_| query.start < oldest) {
            hits.add(switch);
        }
        return Err(ApiError::not_found());
    }
    let visible = history.visible(now, behaviour.history_lag_ms);
    hits.when("history_lag_ms", visible.len() < history.records.len());
    let newest = visible
        .last()
        .map_or(history.first, |record| record.id)
        .max(query.start);
    let mut cursor = query.page.unwrap_or(Cursor::after(query.start));
    cursor.after = cursor.after.max(query.start);
    let (mut shown, mut next) = page(account, visible, cursor.after, query, behaviour);
    let empties = behaviour.history_empty_pages && cursor.stage == Stage::Usual && !shown.is_empty();
    if hits.when("history_empty_pages", empties) {
        shown.clear();
        next = Some(Cursor {
            stage: Stage::Emptied,
            ..cursor
        });
    } else if let Stage::Swapped(end) = cursor.stage {
        next = Some(Cursor::after(end));
    } else if let (HistoryOrder::PagesSwapped, Some(second)) = (behaviour.history_order, next) {
        hits.add("history_order");
        (shown, _) = page(account, visible, second.after, query, behaviour);
        let end = shown.last().map_or(second.after, |(id, _)| *id);
        next = Some(Cursor {
            stage: Stage::Swapped(end),
            ..cursor
        });
    }
    if hits.when(
        "history_duplicates",
        behaviour.history_duplicates && !shown.is_empty(),
    ) {
        shown = shown
            .into_iter()
            .flat_map(|record| [record.clone(), record])
            .collect();
    }
    let mixes = matches!(
        behaviour.history_order,
        HistoryOrder::Shuffled | HistoryOrder::Reversed
    );
    hits.when("history_order", mixes && shown.len() > 1);
    let labels_matter = behaviour.history_labels != HistoryLabels::Current;
    hits.when("history_labels", labels_matter && !shown.is_empty());
    match behaviour.history_order {
        HistoryOrder::Chronological | HistoryOrder::PagesSwapped => {}
        HistoryOrder::Shuffled => shown.shuffle(&mut account.rng),
        HistoryOrder::Reversed => shown.reverse(),
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

/// The records of a page, and where the next one begins if there is one.
fn page(
    account: &Account,
    visible: &[Record],
    after: u64,
    query: &HistoryQuery,
    behaviour: &Behaviour,
) -> (Vec<(u64, Value)>, Option<Cursor>) {
    let from = visible.partition_point(|record| record.id <= after);
    let mut shown: Vec<(u64, Value)> = Vec::new();
    for record in visible.get(from..).unwrap_or_default() {
        let Some(value) = show(account, record, query, behaviour) else {
            continue;
        };
        if shown.len() == query.max {
            let next = shown.last().map(|(id, _)| Cursor::after(*id));
            return (shown, next);
        }
        shown.push((record.id, value));
    }
    (shown, None)
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
