//! What became of it: every message the sync looked at has a row (T01), and the rows the passes need
//! lie beside it. One connection's storage holds
//!
//! | key | what |
//! |---|---|
//! | `connection` | [`ConnectionRow`] |
//! | `ledger/<message id>` | [`LedgerRow`] |
//! | `bcc/<fingerprint>` | [`LedgerRow`] of mail that came to the BCC address (S18) |
//! | `mail/<fingerprint>` | [`Claim`]s: under which key mail that may come two ways is in the CRM (S18) |
//! | `claimed/<message id>` | the key that its claim gave it, where that is not its own |
//! | `quarantine/<message id>` | version of the component that could not handle it |
//! | `thread/<thread id>` | [`ThreadRow`] |
//! | `out/<outbound id>` | [`OutboundRow`] |
//! | `intent/<outbound id>` | nothing; it may have been sent and nobody knows yet (S23) |
//! | `address-book` | [`AddressBookRow`] |
//! | `person/<resource name>` | the [`Listing`] after which the CRM was given the person |
//! | `contact/<address>` | an address of a contact that mail was delivered or sent to, as the CRM spells it (S31) |
//! | `held/<address>/<message id>` | nothing; the CRM has the message and was not told that it is released (S31) |
//! | `held/<address>/bcc/<fingerprint>` | the same of mail that came to the BCC address |
//! | `releasing/<address>` | nothing; the contact was released, and the CRM is being told (S31) |
//! | `review` | [`ReviewRow`] |
//! | `notice/<message id>` | [`NoticeRow`] |
//! | `sent/<ms, 13 digits>/<message id>` | nothing; counts for the daily limit (S21) |

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    contract::{Change, CommitError, Entry, Expectation, Problem, StorageError},
    ports::Storage,
};

mod keys;
mod rows;

pub use keys::*;
pub use rows::*;

/// The component's version, kept with what it decided.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Most keys of one read.
const READ_AT_ONCE: usize = 1_000;

/// A change that writes a mark.
pub fn mark(key: String) -> Change {
    Change {
        key,
        value: Some(Vec::new()),
    }
}

/// A change that writes a row.
pub fn put<T: Serialize>(key: String, row: &T) -> Result<Change, Problem> {
    let value = serde_json::to_vec(row).map_err(|error| Problem::Other(format!("{key}: {error}")))?;
    Ok(Change {
        key,
        value: Some(value),
    })
}

/// A change that removes a row.
pub fn remove(key: String) -> Change {
    Change { key, value: None }
}

/// Reads one row with its version.
pub async fn read<T: DeserializeOwned>(host: &impl Storage, key: &str) -> Result<Option<(T, u64)>, Problem> {
    let mut rows = read_many(host, vec![key.to_owned()]).await?;
    Ok(rows.pop().flatten())
}

/// Reads rows with their versions, in the order of their keys.
pub async fn read_many<T: DeserializeOwned>(
    host: &impl Storage,
    keys: Vec<String>,
) -> Result<Vec<Option<(T, u64)>>, Problem> {
    let mut rows = Vec::with_capacity(keys.len());
    for keys in keys.chunks(READ_AT_ONCE) {
        for entry in host.get(keys.to_vec()).await.map_err(storage_problem)? {
            rows.push(entry.map(|entry| decode(&entry)).transpose()?);
        }
    }
    Ok(rows)
}

/// The rows of these messages, in the order of their ids, which are what [`row_key`] takes.
pub async fn rows_of(
    host: &impl Storage,
    ids: impl IntoIterator<Item = &String>,
) -> Result<Vec<Option<LedgerRow>>, Problem> {
    let keys = ids.into_iter().map(|id| row_key(id)).collect();
    let rows = read_many::<LedgerRow>(host, keys).await?;
    Ok(rows.into_iter().map(|row| row.map(|(row, _)| row)).collect())
}

/// Rows under a prefix, each with its key's rest.
pub struct Rows<T> {
    /// In the order of their keys.
    pub rows: Vec<(String, T)>,
    /// The key after which there are more.
    pub next: Option<String>,
}

/// At most so many rows under a prefix, after a key.
pub async fn page<T: DeserializeOwned>(
    host: &impl Storage,
    prefix: &str,
    after: Option<String>,
    limit: u32,
) -> Result<Rows<T>, Problem> {
    let page = host.scan(prefix, after, limit).await.map_err(storage_problem)?;
    let next = page
        .entries
        .last()
        .filter(|_| page.more)
        .map(|last| last.key.clone());
    let mut rows = Vec::with_capacity(page.entries.len());
    for entry in &page.entries {
        let key = entry.key.strip_prefix(prefix).unwrap_or(&entry.key);
        rows.push((key.to_owned(), decode(entry)?.0));
    }
    Ok(Rows { rows, next })
}

/// Every row under a prefix, a page at a time, in the order of their keys.
pub async fn for_each<T: DeserializeOwned>(
    host: &impl Storage,
    prefix: &str,
    after: Option<String>,
    mut visit: impl FnMut(&str, T),
) -> Result<(), Problem> {
    let mut after = after;
    loop {
        let page = page::<T>(host, prefix, after.take(), 500).await?;
        for (key, row) in page.rows {
            visit(&key, row);
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// The keys under a prefix, without it.
pub async fn keys(host: &impl Storage, prefix: &str, after: Option<String>) -> Result<Vec<String>, Problem> {
    let mut keys = Vec::new();
    let mut after = after;
    loop {
        let page = host
            .scan(prefix, after.take(), 1_000)
            .await
            .map_err(storage_problem)?;
        keys.extend(
            page.entries
                .iter()
                .filter_map(|entry| Some(entry.key.strip_prefix(prefix)?.to_owned())),
        );
        match page.entries.last() {
            Some(last) if page.more => after = Some(last.key.clone()),
            _ => return Ok(keys),
        }
    }
}

/// Commits, with the problem a failure means.
pub async fn commit(
    host: &impl Storage,
    expectations: Vec<Expectation>,
    changes: Vec<Change>,
) -> Result<(), Problem> {
    if changes.is_empty() {
        return Ok(());
    }
    host.commit(expectations, changes)
        .await
        .map_err(|error| match error {
            // The fence and the connection's version say the same: somebody else has the connection now.
            CommitError::Fenced | CommitError::Stale(_) => Problem::Superseded,
            CommitError::OverLimit(key) => Problem::Other(format!("storage limit: {key}")),
            CommitError::Unavailable(message) | CommitError::Other(message) => {
                Problem::StorageUnavailable(message)
            }
        })
}

fn decode<T: DeserializeOwned>(entry: &Entry) -> Result<(T, u64), Problem> {
    let row = serde_json::from_slice(&entry.value)
        .map_err(|error| Problem::Other(format!("row {} cannot be read: {error}", entry.key)))?;
    Ok((row, entry.version))
}

/// The problem a storage failure means.
pub fn storage_problem(error: StorageError) -> Problem {
    match error {
        StorageError::OverLimit(key) => Problem::Other(format!("storage limit: {key}")),
        StorageError::Unavailable(message) | StorageError::Other(message) => {
            Problem::StorageUnavailable(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rule;

    #[test]
    fn t01_every_fate_survives_storage() {
        let delivered = Delivered {
            key: Some("bcc/x".to_owned()),
            flags: Some(5),
            told: Some(Told { at: 1, before: 0 }),
            carried: true,
            conflict: Some(Conflict {
                at: 1,
                wished: 3,
                became: None,
            }),
            released: true,
            ..Delivered::new("c1", Rule::S10, None)
        };
        let label = Rule::Label(crate::rules::LabelRule::Draft);
        for fate in [
            Fate::Delivered(delivered),
            Fate::Excluded(Rule::S04),
            Fate::Excluded(label),
            Fate::Gone,
            Fate::Quarantined("x".to_owned()),
        ] {
            let text = serde_json::to_string(&fate).unwrap();
            assert_eq!(serde_json::from_str::<Fate>(&text).unwrap(), fate, "{text}");
        }
    }

    #[test]
    fn s21_sent_marks_sort_by_time() {
        assert!(sent_key(999, "b") < sent_key(1_000, "a"));
        assert_eq!(sent_time(&sent_key(1_234, "x")), Some(1_234));
    }
}
