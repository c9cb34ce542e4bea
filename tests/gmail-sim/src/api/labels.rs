//! `users.labels`. Counts are in `get` alone, as in Gmail.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::errors::ApiError;
use crate::labels::{Label, Owner, UNREAD};
use crate::mailbox::Account;

/// Characters of a label's name.
const MAX_NAME: usize = 225;

pub(crate) fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let labels: Vec<Value> = call.account()?.labels.values().map(Label::json).collect();
    Ok(Reply::Json(json!({"labels": labels})))
}

pub(crate) fn get(call: &Call<'_>) -> Result<Reply, ApiError> {
    let account = call.account()?;
    let label = account
        .labels
        .get(call.id_text(0))
        .ok_or_else(ApiError::not_found)?;
    let mut value = label.json();
    if let Some(object) = value.as_object_mut() {
        for (name, count) in counts(account, &label.id) {
            object.insert(name.to_owned(), json!(count));
        }
    }
    Ok(Reply::Json(value))
}

pub(crate) fn create(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let name = name_in(&call.body)?.ok_or_else(|| ApiError::invalid("Invalid label name"))?;
    let limit = call.world.limits.labels;
    let body = call.body.clone();
    let account = call.account_mut()?;
    check_free(account, &name, None)?;
    if account.labels.len() >= limit {
        return Err(ApiError::invalid("Too many labels"));
    }
    let mut label = Label {
        id: account.new_label_id(),
        name,
        owner: Owner::User,
        listing: Some("show".to_owned()),
        sidebar: Some("labelShow".to_owned()),
        color: None,
    };
    label.update(&body)?;
    account.labels.insert(label.id.clone(), label.clone());
    Ok(Reply::Json(label.json()))
}

pub(crate) fn patch(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let name = name_in(&call.body)?;
    change(call, name)
}

pub(crate) fn update(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let name = name_in(&call.body)?.ok_or_else(|| ApiError::invalid("Invalid label name"))?;
    change(call, Some(name))
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = call.id_text(0).to_owned();
    let moment = call.world.moment();
    let account = call.account_mut()?;
    let owner = account.labels.get(&id).ok_or_else(ApiError::not_found)?.owner;
    if owner == Owner::System {
        return Err(ApiError::invalid("Invalid delete request"));
    }
    let members: Vec<u64> = account
        .by_label
        .get(&id)
        .into_iter()
        .flatten()
        .map(|(_, message)| *message)
        .collect();
    for message in members {
        account.relabel(message, &[], std::slice::from_ref(&id), moment);
    }
    account.labels.remove(&id);
    account.by_label.remove(&id);
    Ok(Reply::Empty)
}

fn change(call: &mut Call<'_>, name: Option<String>) -> Result<Reply, ApiError> {
    let id = call.id_text(0).to_owned();
    let body = call.body.clone();
    let account = call.account_mut()?;
    let mut label = account.labels.get(&id).ok_or_else(ApiError::not_found)?.clone();
    if label.owner == Owner::System {
        return Err(ApiError::invalid("Invalid update request"));
    }
    if let Some(name) = name {
        check_free(account, &name, Some(&id))?;
        label.name = name;
    }
    label.update(&body)?;
    account.labels.insert(id, label.clone());
    Ok(Reply::Json(label.json()))
}

fn name_in(body: &Value) -> Result<Option<String>, ApiError> {
    match body.get("name").and_then(Value::as_str).map(str::trim) {
        None => Ok(None),
        Some(name) if !name.is_empty() && name.chars().count() <= MAX_NAME => Ok(Some(name.to_owned())),
        Some(_) => Err(ApiError::invalid("Invalid label name")),
    }
}

fn check_free(account: &Account, name: &str, but: Option<&str>) -> Result<(), ApiError> {
    let taken = account
        .labels
        .values()
        .find(|label| label.name.eq_ignore_ascii_case(name) && Some(label.id.as_str()) != but);
    match taken {
        None => Ok(()),
        Some(label) if label.owner == Owner::System => Err(ApiError::invalid("Invalid label name")),
        Some(_) => Err(ApiError::conflict("Label name exists or conflicts")),
    }
}

fn counts(account: &Account, label: &str) -> [(&'static str, usize); 4] {
    let messages: Vec<_> = account
        .by_label
        .get(label)
        .into_iter()
        .flatten()
        .filter_map(|(_, id)| account.messages.get(id))
        .collect();
    let unread: Vec<_> = messages
        .iter()
        .filter(|stored| stored.labels.contains(UNREAD))
        .collect();
    let threads = messages
        .iter()
        .map(|stored| stored.thread)
        .collect::<BTreeSet<_>>()
        .len();
    let unread_threads = unread
        .iter()
        .map(|stored| stored.thread)
        .collect::<BTreeSet<_>>()
        .len();
    [
        ("messagesTotal", messages.len()),
        ("messagesUnread", unread.len()),
        ("threadsTotal", threads),
        ("threadsUnread", unread_threads),
    ]
}
