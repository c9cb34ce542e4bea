//! What a page of history says, folded into one change per message: records repeat, come out of order,
//! and hold several kinds of change each.

use std::collections::BTreeMap;

use crate::gmail::{HistoryRecord, HistoryRef};

/// What happened to one message, all records together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Its thread's id.
    pub(super) thread: String,
    /// Its labels when the page was read, if the page had them.
    pub(super) labels: Option<Vec<String>>,
    /// The last record that told of it.
    pub(super) record: u64,
    /// Labels were added or removed, whether or not the page had them.
    pub(super) relabelled: bool,
    /// It was deleted, not trashed.
    pub(super) deleted: bool,
}

/// The messages of a page, by id.
pub(super) fn fold(records: &[HistoryRecord]) -> BTreeMap<String, Changed> {
    let mut in_order = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        let id = record.id.parse::<u64>().unwrap_or_default();
        in_order.insert((id, place), record);
    }
    fold_as_listed(in_order.into_values())
}

/// The same, if the records are in order.
pub(super) fn fold_as_listed<'r>(
    records: impl IntoIterator<Item = &'r HistoryRecord>,
) -> BTreeMap<String, Changed> {
    let mut changes: BTreeMap<String, Changed> = BTreeMap::new();
    for record in records {
        let id = record.id.parse().unwrap_or_default();
        for addition in &record.messages_added {
            note(&mut changes, &addition.message, id);
        }
        for change in record.labels_added.iter().chain(&record.labels_removed) {
            note(&mut changes, &change.message, id).relabelled = true;
        }
        for deletion in &record.messages_deleted {
            note(&mut changes, &deletion.message, id).deleted = true;
        }
    }
    changes
}

fn note<'c>(
    changes: &'c mut BTreeMap<String, Changed>,
    message: &HistoryRef,
    record: u64,
) -> &'c mut Changed {
    let change = changes.entry(message.id.clone()).or_default();
    change.thread.clone_from(&message.thread_id);
    change.record = change.record.max(record);
    // Labels are those at the time of reading, or those of the change: the last record is right either way. A
    // record without any says nothing: of none at all, Gmail leaves the list out.
    change.labels.clone_from(&message.label_ids);
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(json: serde_json::Value) -> Vec<HistoryRecord> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn t04_the_labels_of_the_latest_record_count_in_whatever_order_records_come() {
        let starred = serde_json::json!({"id": "a", "threadId": "t", "labelIds": ["STARRED"]});
        let plain = serde_json::json!({"id": "a", "threadId": "t", "labelIds": []});
        let changes = fold(&records(serde_json::json!([
            {"id": "100", "labelsRemoved": [{"message": plain}]},
            {"id": "99", "labelsAdded": [{"message": starred}]},
        ])));
        assert_eq!(changes["a"].labels.as_deref(), Some(&[][..]));
    }

    #[test]
    fn t04_repeated_records_and_several_kinds_in_one_record_are_one_change_each() {
        let message = serde_json::json!({"message": {"id": "a", "threadId": "t", "labelIds": ["INBOX"]}});
        let other = serde_json::json!({"message": {"id": "b", "threadId": "t"}});
        let changes = fold(&records(serde_json::json!([
            {"messagesAdded": [message], "messagesDeleted": [other]},
            {"messagesAdded": [message], "labelsAdded": [message]},
        ])));
        assert_eq!(changes.len(), 2);
        assert_eq!(changes["a"].labels.as_deref(), Some(&["INBOX".to_owned()][..]));
        assert!(!changes["a"].deleted && changes["b"].deleted);
    }
}
