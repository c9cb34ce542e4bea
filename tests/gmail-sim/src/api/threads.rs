//! `users.threads`.

use std::collections::BTreeSet;

use rand::Rng;
use serde_json::{Map, Value, json};

use super::messages::{Listing, label_changes, page_token, searchable_until};
use super::{Call, Reply};
use crate::errors::ApiError;
use crate::format::{self, Format, Style, brief, hex};
use crate::labels::{INBOX, TRASH};
use crate::mailbox::{Account, Stored};

pub(crate) fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let listing = Listing::read(call)?;
    let account = call.account()?;
    // A thread stands where its newest matching message stands, so those before the token's position are done.
    let mut seen = BTreeSet::new();
    let mut page: Vec<&Stored> = listing
        .messages(account, None, searchable_until(call))
        .filter(|stored| seen.insert(stored.thread))
        .filter(|stored| {
            listing
                .before
                .is_none_or(|before| (stored.internal_date, stored.id) < before)
        })
        .take(listing.max + 1)
        .collect();
    let more = page.len() > listing.max;
    page.truncate(listing.max);
    let mut answer = Map::new();
    if !page.is_empty() {
        answer.insert(
            "threads".to_owned(),
            page.iter()
                .map(|stored| overview(account, stored.thread))
                .collect(),
        );
    }
    if let (true, Some(last)) = (more, page.last()) {
        answer.insert(
            "nextPageToken".to_owned(),
            json!(page_token((last.internal_date, last.id))),
        );
    }
    answer.insert(
        "resultSizeEstimate".to_owned(),
        json!(if more { 201 } else { page.len() }),
    );
    Ok(Reply::Json(Value::Object(answer)))
}

pub(crate) fn get(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let format = call.format()?;
    if format == Format::Raw {
        return Err(ApiError::bad_value("format", "raw"));
    }
    let thread = call.id(0)?;
    let nonce: u64 = call.account_mut()?.rng.random();
    let account = call.account()?;
    let members = account.thread(thread);
    let newest = members
        .iter()
        .map(|stored| stored.history_id)
        .max()
        .ok_or_else(ApiError::not_found)?;
    let style = Style {
        behaviour: &call.world.behaviour,
        nonce,
        hits: &call.world.hits,
    };
    let messages: Vec<Value> = members
        .iter()
        .map(|stored| format::message(stored, &format, style))
        .collect();
    Ok(Reply::Json(
        json!({"id": hex(thread), "historyId": newest.to_string(), "messages": messages}),
    ))
}

pub(crate) fn modify(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let (add, remove) = label_changes(call)?;
    relabel(call, &add, &remove)
}

pub(crate) fn trash(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    relabel(call, &[TRASH.to_owned()], &[INBOX.to_owned()])
}

pub(crate) fn untrash(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    relabel(call, &[], &[TRASH.to_owned()])
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let ids = members(call)?;
    let moment = call.world.moment();
    let account = call.account_mut()?;
    for id in ids {
        account.remove(id, moment);
    }
    Ok(Reply::Empty)
}

fn relabel(call: &mut Call<'_>, add: &[String], remove: &[String]) -> Result<Reply, ApiError> {
    let thread = call.id(0)?;
    let ids = members(call)?;
    let moment = call.world.moment();
    let account = call.account_mut()?;
    for id in ids {
        account.relabel(id, add, remove, moment);
    }
    let messages: Vec<Value> = account.thread(thread).into_iter().map(brief).collect();
    Ok(Reply::Json(json!({"id": hex(thread), "messages": messages})))
}

fn members(call: &Call<'_>) -> Result<Vec<u64>, ApiError> {
    let thread = call.id(0)?;
    let ids: Vec<u64> = call
        .account()?
        .thread(thread)
        .iter()
        .map(|stored| stored.id)
        .collect();
    if ids.is_empty() {
        Err(ApiError::not_found())
    } else {
        Ok(ids)
    }
}

fn overview(account: &Account, thread: u64) -> Value {
    let members = account.thread(thread);
    let newest = members.iter().map(|stored| stored.history_id).max().unwrap_or(0);
    let snippet = members.last().map_or("", |stored| stored.parsed.snippet.as_str());
    json!({"id": hex(thread), "snippet": snippet, "historyId": newest.to_string()})
}
