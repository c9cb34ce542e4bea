//! `users.drafts`: a draft keeps its id while every save gives its message a new one.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::Rng;
use serde_json::{Map, Value, json};

use super::input::parse_id;
use super::messages::{Listing, page_token, searchable_until};
use super::{Call, Reply};
use crate::errors::ApiError;
use crate::format::{self, Style, brief, hex};
use crate::labels::DRAFT;
use crate::mailbox::NewMessage;
use crate::message::Parsed;
use crate::transport::{Outgoing, check_thread, complete, joined_thread};

pub(crate) fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let listing = Listing::read(call)?.with_label(DRAFT);
    let account = call.account()?;
    let of_message = |message: u64| {
        account
            .drafts
            .iter()
            .find(|(_, of)| **of == message)
            .map(|(draft, _)| *draft)
    };
    let mut page: Vec<_> = listing
        .messages(account, listing.before, searchable_until(call))
        .filter_map(|stored| Some((of_message(stored.id)?, stored)))
        .take(listing.max + 1)
        .collect();
    let more = page.len() > listing.max;
    page.truncate(listing.max);
    let mut answer = Map::new();
    if !page.is_empty() {
        let shown = page
            .iter()
            .map(|(draft, stored)| {
                json!({"id": draft_id(*draft), "message": {"id": hex(stored.id), "threadId": hex(stored.thread)}})
            })
            .collect();
        answer.insert("drafts".to_owned(), shown);
    }
    if let (true, Some((_, last))) = (more, page.last()) {
        answer.insert(
            "nextPageToken".to_owned(),
            json!(page_token((last.internal_date, last.id))),
        );
    }
    answer.insert("resultSizeEstimate".to_owned(), json!(account.drafts.len()));
    Ok(Reply::Json(Value::Object(answer)))
}

pub(crate) fn get(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let format = call.format()?;
    let (draft, message) = find(call, call.id_text(0))?;
    let nonce = call.account_mut()?.rng.random();
    let stored = call
        .account()?
        .messages
        .get(&message)
        .ok_or_else(ApiError::not_found)?;
    let message = format::message(
        stored,
        &format,
        Style {
            behaviour: &call.world.behaviour,
            nonce,
            hits: &call.world.hits,
        },
    );
    Ok(Reply::Json(json!({"id": draft_id(draft), "message": message})))
}

pub(crate) fn create(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let new = draft_message(call, None)?;
    let moment = call.world.moment();
    let account = call.account_mut()?;
    let (message, _) = account.insert(new, moment);
    let draft = account.new_draft_id();
    account.drafts.insert(draft, message);
    answer(call, draft)
}

pub(crate) fn update(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let (draft, old) = find(call, call.id_text(0))?;
    let new = draft_message(call, Some(old))?;
    let moment = call.world.moment();
    let account = call.account_mut()?;
    let (message, _) = account.replace(old, new, moment);
    account.drafts.insert(draft, message);
    answer(call, draft)
}

pub(crate) fn send(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = call
        .body
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let message = call.body.get("message").cloned().unwrap_or(Value::Null);
    let replaced = call.media.is_some() || message.get("raw").is_some();
    let limit = call.world.limits.send_bytes;
    let outgoing = match (id.is_empty(), replaced) {
        (true, true) => {
            let thread = Call::named_thread(&message)?;
            Outgoing {
                raw: call.raw_message(&message, limit)?,
                thread,
                draft: None,
            }
        }
        (true, false) => return Err(ApiError::invalid("Invalid draft: id or message required")),
        (false, _) => {
            let (draft, old) = find(call, &id)?;
            let stored = call
                .account()?
                .messages
                .get(&old)
                .ok_or_else(ApiError::not_found)?;
            let raw = if replaced {
                call.raw_message(&message, limit)?
            } else {
                stored.parsed.raw.clone()
            };
            Outgoing {
                raw,
                thread: Some(stored.thread),
                draft: Some(draft),
            }
        }
    };
    let sent = crate::transport::send(call.world, &call.key, &outgoing)?;
    Ok(Reply::Json(brief(
        call.account()?
            .messages
            .get(&sent)
            .ok_or_else(ApiError::not_found)?,
    )))
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let (_, message) = find(call, call.id_text(0))?;
    let moment = call.world.moment();
    call.account_mut()?.remove(message, moment);
    Ok(Reply::Empty)
}

/// The message of a create or update; an update stays in its thread unless it names another.
fn draft_message(call: &Call<'_>, old: Option<u64>) -> Result<NewMessage, ApiError> {
    let message = call.body.get("message").cloned().unwrap_or(Value::Null);
    let raw = call.raw_message(&message, call.world.limits.send_bytes)?;
    let named = Call::named_thread(&message)?;
    let account = call.account()?;
    check_thread(account, named)?;
    let now = call.world.now();
    let parsed = Parsed::new(complete(account, &raw, now));
    let kept = old
        .and_then(|old| account.messages.get(&old))
        .map(|stored| stored.thread);
    let thread = match (named, kept) {
        (None, Some(kept)) => Some(kept),
        (Some(named), Some(kept)) if named == kept => Some(kept),
        _ => joined_thread(account, &parsed, named, &call.world.behaviour),
    };
    Ok(NewMessage {
        parsed: Arc::new(parsed),
        labels: BTreeSet::from([DRAFT.to_owned()]),
        thread,
        internal_date: now,
    })
}

fn answer(call: &Call<'_>, draft: u64) -> Result<Reply, ApiError> {
    let account = call.account()?;
    let stored = account
        .drafts
        .get(&draft)
        .and_then(|message| account.messages.get(message));
    let stored = stored.ok_or_else(ApiError::not_found)?;
    Ok(Reply::Json(
        json!({"id": draft_id(draft), "message": brief(stored)}),
    ))
}

/// The draft with an id, and its message.
fn find(call: &Call<'_>, id: &str) -> Result<(u64, u64), ApiError> {
    let number = match id.strip_prefix('r') {
        Some(digits) => digits
            .parse()
            .map_err(|_| ApiError::invalid("Invalid id value"))?,
        None => parse_id(id)?,
    };
    let message = call
        .account()?
        .drafts
        .get(&number)
        .ok_or_else(ApiError::not_found)?;
    Ok((number, *message))
}

/// Draft ids are `r` and a decimal number.
fn draft_id(draft: u64) -> String {
    format!("r{draft}")
}
