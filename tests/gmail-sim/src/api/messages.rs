//! `users.messages` and `users.messages.attachments`.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::Rng;
use serde_json::{Map, Value, json};

use super::input::parse_id;
use super::{Call, Reply};
use crate::errors::ApiError;
use crate::format::{self, Style, attachment_part, brief, hex};
use crate::labels::{INBOX, SPAM, TRASH, check_changeable};
use crate::mailbox::{Account, NewMessage, Position, Stored};
use crate::message::Parsed;
use crate::search::Query as Search;
use crate::transport::{Outgoing, check_thread};

/// Ids in one batchModify or batchDelete.
const MAX_BATCH_IDS: usize = 1000;

/// How a message is put into the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Like IMAP APPEND: the internal date is now unless asked otherwise.
    Insert,
    /// Like SMTP: the internal date is the `Date` header unless asked otherwise.
    Import,
}

/// What a listing is restricted to; shared by messages, threads and drafts.
pub(crate) struct Listing {
    labels: Vec<String>,
    search: Option<Search>,
    hidden_too: bool,
    pub(crate) max: usize,
    pub(crate) before: Option<Position>,
}

impl Listing {
    /// Reads the parameters of a list method.
    pub(crate) fn read(call: &Call<'_>) -> Result<Self, ApiError> {
        let q = call.query.get("q");
        if q.is_some() && call.access.metadata_only() {
            return Err(ApiError::forbidden(
                "Metadata scope does not support 'q' parameter",
            ));
        }
        let labels = call.query.all("labelIds");
        let account = call.account()?;
        if let Some(unknown) = labels.iter().find(|label| !account.labels.contains_key(*label)) {
            return Err(ApiError::invalid(format!("Invalid label: {unknown}")));
        }
        let before = match call.query.get("pageToken") {
            Some(token) => Some(parse_token(token).ok_or_else(|| ApiError::invalid("Invalid pageToken"))?),
            None => None,
        };
        Ok(Self {
            labels,
            search: q.map(|q| Search::parse(q, call.world.now())),
            hidden_too: call.query.flag("includeSpamTrash")?,
            max: call.query.max_results()?,
            before,
        })
    }

    /// Also requires a label.
    pub(crate) fn with_label(mut self, label: &str) -> Self {
        self.labels.push(label.to_owned());
        self
    }

    /// The messages that are asked for, newest first, after the page token's position.
    pub(crate) fn messages<'a>(
        &'a self,
        account: &'a Account,
        before: Option<Position>,
        searchable_until: i64,
    ) -> Box<dyn Iterator<Item = &'a Stored> + 'a> {
        let candidates = match self.search.as_ref().and_then(Search::message_id) {
            Some(id) => self.by_message_id(account, id, before),
            None => account.newest_first(&self.labels, before),
        };
        Box::new(candidates.filter(move |stored| self.shows(account, stored, searchable_until)))
    }

    /// How many there are, as far as Gmail says: exact for one label, a guess for a search.
    fn estimate(&self, account: &Account, on_page: usize, more: bool) -> usize {
        match (&self.search, self.labels.as_slice()) {
            (None, []) => account.order.len(),
            (None, [label]) => account.by_label.get(label).map_or(0, BTreeSet::len),
            _ if more => 201,
            _ => on_page,
        }
    }

    fn by_message_id<'a>(
        &'a self,
        account: &'a Account,
        id: &str,
        before: Option<Position>,
    ) -> Box<dyn Iterator<Item = &'a Stored> + 'a> {
        let mut found: Vec<&Stored> = account
            .by_message_id
            .get(id)
            .into_iter()
            .flatten()
            .filter_map(|id| account.messages.get(id))
            .filter(|stored| before.is_none_or(|before| (stored.internal_date, stored.id) < before))
            .filter(|stored| self.labels.iter().all(|label| stored.labels.contains(label)))
            .collect();
        found.sort_by_key(|stored| std::cmp::Reverse((stored.internal_date, stored.id)));
        Box::new(found.into_iter())
    }

    fn shows(&self, account: &Account, stored: &Stored, searchable_until: i64) -> bool {
        let hidden = [SPAM, TRASH]
            .iter()
            .any(|label| stored.labels.contains(*label) && !self.labels.iter().any(|wanted| wanted == label));
        if hidden && !self.hidden_too && !self.search.as_ref().is_some_and(Search::reaches_hidden) {
            return false;
        }
        self.search.as_ref().is_none_or(|search| {
            let found = search.matches(stored, &account.labels);
            let lags = found && stored.arrived_at > searchable_until;
            found && !account.hits.when("search_lag_ms", lags)
        })
    }
}

/// When a message must have been stored to be found by `q`.
pub(crate) fn searchable_until(call: &Call<'_>) -> i64 {
    call.world
        .steady()
        .saturating_sub(call.world.behaviour.search_lag_ms)
}

/// A page token out of the last position of a page.
pub(crate) fn page_token(position: Position) -> String {
    format!("{:020}{:020}", position.0, position.1)
}

fn parse_token(token: &str) -> Option<Position> {
    let date = token.get(..20)?.parse().ok()?;
    let id = token.get(20..)?.parse().ok()?;
    Some((date, id))
}

pub(crate) fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let listing = Listing::read(call)?;
    let account = call.account()?;
    let mut page: Vec<&Stored> = listing
        .messages(account, listing.before, searchable_until(call))
        .take(listing.max + 1)
        .collect();
    let more = page.len() > listing.max;
    page.truncate(listing.max);
    let mut answer = Map::new();
    if !page.is_empty() {
        let shown = page
            .iter()
            .map(|stored| json!({"id": hex(stored.id), "threadId": hex(stored.thread)}))
            .collect();
        answer.insert("messages".to_owned(), shown);
    }
    if let (true, Some(last)) = (more, page.last()) {
        answer.insert(
            "nextPageToken".to_owned(),
            json!(page_token((last.internal_date, last.id))),
        );
    }
    answer.insert(
        "resultSizeEstimate".to_owned(),
        json!(listing.estimate(account, page.len(), more)),
    );
    Ok(Reply::Json(Value::Object(answer)))
}

pub(crate) fn get(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let format = call.format()?;
    let id = call.id(0)?;
    let account = call.account_mut()?;
    let nonce = account.rng.random();
    let account = call.account()?;
    let stored = account.messages.get(&id).ok_or_else(ApiError::not_found)?;
    Ok(Reply::Json(format::message(
        stored,
        &format,
        Style {
            behaviour: &call.world.behaviour,
            nonce,
            hits: &call.world.hits,
        },
    )))
}

pub(crate) fn attachment(call: &Call<'_>) -> Result<Reply, ApiError> {
    let id = call.id(0)?;
    let stored = call
        .account()?
        .messages
        .get(&id)
        .ok_or_else(ApiError::not_found)?;
    let part = attachment_part(call.id_text(1)).and_then(|part| stored.parsed.root.find(&part));
    let part = part.ok_or_else(|| ApiError::invalid("Invalid attachment token"))?;
    let content = stored.parsed.content(part);
    call.world.hits.add("base64_padding");
    Ok(Reply::Json(
        json!({"size": content.len(), "data": format::encode(&content, &call.world.behaviour)}),
    ))
}

pub(crate) fn send(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let raw = call.raw_message(&call.body, call.world.limits.send_bytes)?;
    let thread = Call::named_thread(&call.body)?;
    let id = crate::transport::send(
        call.world,
        &call.key,
        &Outgoing {
            raw,
            thread,
            draft: None,
        },
    )?;
    answer_brief(call, id)
}

pub(crate) fn insert(call: &mut Call<'_>, entry: Entry) -> Result<Reply, ApiError> {
    let raw = call.raw_message(&call.body, call.world.limits.insert_bytes)?;
    let named = Call::named_thread(&call.body)?;
    let mut labels: BTreeSet<String> = call.strings("labelIds")?.into_iter().collect();
    let moment = call.world.moment();
    let by_header = match (call.query.get("internalDateSource"), entry) {
        (Some("receivedTime"), _) | (None, Entry::Insert) => false,
        (Some("dateHeader"), _) | (None, Entry::Import) => true,
        (Some(other), _) => return Err(ApiError::bad_value("internal_date_source", other)),
    };
    if call.query.flag("deleted")? {
        labels.insert(TRASH.to_owned());
    }
    let rule = call.world.behaviour.thread_rule;
    let id_changes = entry == Entry::Import && call.world.behaviour.import_id_changes;
    let account = call.account_mut()?;
    check_thread(account, named)?;
    if let Some(unknown) = labels.iter().find(|label| !account.labels.contains_key(*label)) {
        return Err(ApiError::invalid(format!("Invalid label: {unknown}")));
    }
    let parsed = Parsed::new(crate::headers::with_crlf(&raw).into());
    let internal_date = if by_header {
        parsed.date_ms.unwrap_or(moment.now)
    } else {
        moment.now
    };
    let thread = match named {
        Some(thread) if account.may_join(&parsed, thread, rule) => Some(thread),
        Some(_) => None,
        None => account.thread_by_references(&parsed),
    };
    let provisional = id_changes.then(|| account.new_id(moment.now));
    let (id, _) = account.insert(
        NewMessage {
            parsed: Arc::new(parsed),
            labels,
            thread,
            internal_date,
        },
        moment,
    );
    let stored = account.messages.get(&id).ok_or_else(ApiError::not_found)?;
    let mut answer = brief(stored);
    call.world.hits.when("import_id_changes", id_changes);
    if let (Some(other), Some(object)) = (provisional, answer.as_object_mut()) {
        object.insert("id".to_owned(), json!(hex(other)));
    }
    Ok(Reply::Json(answer))
}

pub(crate) fn modify(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = call.id(0)?;
    let (add, remove) = label_changes(call)?;
    relabel(call, id, &add, &remove)
}

pub(crate) fn trash(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = call.id(0)?;
    relabel(call, id, &[TRASH.to_owned()], &[INBOX.to_owned()])
}

pub(crate) fn untrash(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = call.id(0)?;
    relabel(call, id, &[], &[TRASH.to_owned()])
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = call.id(0)?;
    let moment = call.world.moment();
    let settling = call.world.behaviour.delete_after_draft_send_fails_ms;
    let account = call.account_mut()?;
    let stored = account.messages.get(&id).ok_or_else(ApiError::not_found)?;
    if stored
        .sent_from_draft_at
        .is_some_and(|at| moment.steady < at.saturating_add(settling))
    {
        account.hits.add("delete_after_draft_send_fails_ms");
        return Err(ApiError::backend(500));
    }
    account.remove(id, moment);
    Ok(Reply::Empty)
}

pub(crate) fn batch_modify(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let ids = batch_ids(call)?;
    let (add, remove) = label_changes(call)?;
    let moment = call.world.moment();
    let account = call.account_mut()?;
    for id in ids {
        account.relabel(id, &add, &remove, moment);
    }
    Ok(Reply::Empty)
}

pub(crate) fn batch_delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let ids = batch_ids(call)?;
    let moment = call.world.moment();
    let account = call.account_mut()?;
    for id in ids {
        account.remove(id, moment);
    }
    Ok(Reply::Empty)
}

/// The labels to add and remove, checked.
pub(crate) fn label_changes(call: &Call<'_>) -> Result<(Vec<String>, Vec<String>), ApiError> {
    let (add, remove) = (call.strings("addLabelIds")?, call.strings("removeLabelIds")?);
    let account = call.account()?;
    check_changeable(&account.labels, &add)?;
    check_changeable(&account.labels, &remove)?;
    if add.is_empty() && remove.is_empty() {
        return Err(ApiError::invalid("No label add or removes specified"));
    }
    if let Some(both) = add.iter().find(|label| remove.contains(label)) {
        return Err(ApiError::invalid(format!(
            "Cannot both add and remove the same label: {both}"
        )));
    }
    Ok((add, remove))
}

fn relabel(call: &mut Call<'_>, id: u64, add: &[String], remove: &[String]) -> Result<Reply, ApiError> {
    let moment = call.world.moment();
    let account = call.account_mut()?;
    if !account.messages.contains_key(&id) {
        return Err(ApiError::not_found());
    }
    account.relabel(id, add, remove, moment);
    answer_brief(call, id)
}

fn answer_brief(call: &Call<'_>, id: u64) -> Result<Reply, ApiError> {
    Ok(Reply::Json(brief(
        call.account()?
            .messages
            .get(&id)
            .ok_or_else(ApiError::not_found)?,
    )))
}

fn batch_ids(call: &Call<'_>) -> Result<Vec<u64>, ApiError> {
    let ids = call.strings("ids")?;
    if ids.is_empty() {
        return Err(ApiError::invalid("No message ids specified"));
    }
    if ids.len() > MAX_BATCH_IDS {
        return Err(ApiError::invalid(format!(
            "Too many message ids: at most {MAX_BATCH_IDS}"
        )));
    }
    ids.iter().map(|id| parse_id(id)).collect()
}
