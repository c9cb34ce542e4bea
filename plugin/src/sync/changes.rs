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
    /// It was deleted, not trashed.
    pub(super) deleted: bool,
}

/// The messages of a page, by id.
pub(super) fn fold(records: &[HistoryRecord]) -> BTreeMap<String, Changed> {
    let mut changes: BTreeMap<String, Changed> = BTreeMap::new();
    for record in records {
        let added = record.messages_added.iter().map(|change| &change.message);
        let labels = record
            .labels_added
            .iter()
            .chain(&record.labels_removed)
            .map(|change| &change.message);
        for message in added.chain(labels) {
            note(&mut changes, message);
        }
        for deletion in &record.messages_deleted {
            note(&mut changes, &deletion.message).deleted = true;
        }
    }
    changes
}

fn note<'c>(changes: &'c mut BTreeMap<String, Changed>, message: &HistoryRef) -> &'c mut Changed {
    let change = changes.entry(message.id.clone()).or_default();
    change.thread.clone_from(&message.thread_id);
    // Labels are those at the time of reading, so every record of a message tells the same.
    if message.label_ids.is_some() {
        change.labels.clone_from(&message.label_ids);
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(json: serde_json::Value) -> Vec<HistoryRecord> {
        serde_json::from_value(json).unwrap()
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
