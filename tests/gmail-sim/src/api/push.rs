//! `users.watch` and `users.stop`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::errors::ApiError;
use crate::history::anchor;
use crate::push::{LabelFilter, Watch};

pub(crate) fn watch(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let topic = call
        .body
        .get("topicName")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    check_topic(&topic)?;
    let filter = filter(call)?;
    let (behaviour, moment) = (call.world.behaviour.clone(), call.world.moment());
    let (now, project) = (moment.now, call.access.project);
    let account = call.account_mut()?;
    let live = account
        .watches
        .get(&project)
        .filter(|live| live.expires_at > now && live.stopped_at.is_none());
    if live.is_some_and(|live| live.topic != topic) {
        return Err(ApiError::invalid(
            "Only one user push notification client allowed per developer (call /stop then try again)",
        ));
    }
    let history_id = anchor(account, &behaviour, moment);
    let mut watch = Watch::new(topic, filter, now);
    watch.announce(history_id, moment.steady);
    let expiration = watch.expires_at;
    account.watches.insert(project, watch);
    Ok(Reply::Json(
        json!({"historyId": history_id.to_string(), "expiration": expiration.to_string()}),
    ))
}

pub(crate) fn stop(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let (project, steady) = (call.access.project, call.world.steady());
    let lags = call.world.behaviour.stop_lag_ms > 0;
    let watches = &mut call.account_mut()?.watches;
    match watches.get_mut(&project) {
        Some(watch) if lags => watch.stopped_at = watch.stopped_at.or(Some(steady)),
        _ => drop(watches.remove(&project)),
    }
    Ok(Reply::Empty)
}

fn check_topic(topic: &str) -> Result<(), ApiError> {
    match topic.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project, "topics", name] if !project.is_empty() && !name.is_empty() => Ok(()),
        _ => Err(ApiError::invalid(
            "Invalid topicName does not match projects/*/topics/*",
        )),
    }
}

fn filter(call: &Call<'_>) -> Result<LabelFilter, ApiError> {
    let labels: BTreeSet<String> = call.strings("labelIds")?.into_iter().collect();
    let account = call.account()?;
    if let Some(unknown) = labels.iter().find(|label| !account.labels.contains_key(*label)) {
        return Err(ApiError::invalid(format!("Invalid label: {unknown}")));
    }
    if labels.is_empty() {
        return Ok(LabelFilter::All);
    }
    let text = |name| call.body.get(name).and_then(Value::as_str);
    let how = text("labelFilterBehavior")
        .or_else(|| text("labelFilterAction"))
        .unwrap_or("include");
    match how.to_ascii_lowercase().as_str() {
        "include" => Ok(LabelFilter::Include(labels)),
        "exclude" => Ok(LabelFilter::Exclude(labels)),
        _ => Err(ApiError::bad_value("label_filter_behavior", how)),
    }
}
