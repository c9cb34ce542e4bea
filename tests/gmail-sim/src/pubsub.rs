//! A Pub/Sub pull subscription: `:pull` and `:acknowledge`, by the service account it is for.
//!
//! While there is one, notifications wait in it until they are pulled; what is pulled and not acknowledged comes again
//! after the acknowledgement deadline. Source: `pubsub.v1` discovery document.

use std::collections::BTreeMap;

use axum::http::{Method as Verb, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::Request;
use crate::config::PullSubscription;
use crate::errors::{ApiError, json_response};
use crate::fault;
use crate::push::Notification;
use crate::world::World;

/// The acknowledgement deadline, in milliseconds.
const DEADLINE_MS: i64 = 10_000;
/// The most messages of a pull.
const MOST: usize = 1_000;

/// What was pulled and is not acknowledged yet, by its ack id.
#[derive(Debug, Default)]
pub(crate) struct Pulled {
    outstanding: BTreeMap<String, Outstanding>,
}

#[derive(Debug)]
struct Outstanding {
    notification: Notification,
    /// When it comes again, by the steady clock, in milliseconds.
    until: i64,
    attempt: u32,
}

/// Answers a request to a subscription; `None` if the path is none.
pub(crate) fn handle(world: &mut World, request: &Request) -> Option<Response<Bytes>> {
    let (name, method) = request.path.strip_prefix("/v1/")?.rsplit_once(':')?;
    if request.verb != Verb::POST || !name.starts_with("projects/") {
        return None;
    }
    let fault = match method {
        "pull" => "pubsub.pull",
        "acknowledge" => "pubsub.acknowledge",
        _ => return None,
    };
    let name = name.to_owned();
    Some(fault::under(world, "", fault, |world| {
        let answer = authorize(world, request, &name).and_then(|()| match method {
            "pull" => pull(world, &request.json()?),
            _ => acknowledge(world, &request.json()?),
        });
        match answer {
            Ok(value) => json_response(200, &value),
            Err(error) => error.response(),
        }
    }))
}

fn authorize(world: &World, request: &Request, name: &str) -> Result<(), ApiError> {
    let token = request.bearer().ok_or_else(ApiError::login_required)?;
    let account = world
        .oauth
        .robot(&token, world.now())
        .ok_or_else(ApiError::invalid_credentials)?;
    let subscription = world.pull.as_ref().filter(|there| there.name == name);
    let PullSubscription { service_account, .. } = subscription.ok_or_else(ApiError::not_found)?;
    if account == service_account {
        Ok(())
    } else {
        Err(ApiError::forbidden("User not authorized to perform this action."))
    }
}

fn pull(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let most = body.get("maxMessages").and_then(Value::as_u64).unwrap_or(0);
    let most = usize::try_from(most).unwrap_or(MOST).min(MOST);
    if most == 0 {
        return Err(ApiError::invalid("maxMessages must be greater than 0"));
    }
    let now = world.steady();
    let mut handed_out: Vec<(Notification, u32)> = world.pulled.take_overdue(now, most);
    while handed_out.len() < most {
        let Some(notification) = world.next_notification() else {
            break;
        };
        // Only who may publish to the topic gets into a subscription: a forged push does not.
        if notification.flaw.is_none() {
            handed_out.push((notification, 1));
        }
    }
    let mut received = Vec::new();
    for (notification, attempt) in handed_out {
        let ack_id = world.token(40);
        let envelope = notification.envelope("", &world.behaviour);
        received.push(json!({"ackId": ack_id, "message": envelope["message"], "deliveryAttempt": attempt}));
        world.pulled.outstanding.insert(
            ack_id,
            Outstanding {
                notification,
                until: now.saturating_add(DEADLINE_MS),
                attempt,
            },
        );
    }
    Ok(if received.is_empty() {
        json!({})
    } else {
        json!({"receivedMessages": received})
    })
}

fn acknowledge(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let ids = body.get("ackIds").and_then(Value::as_array);
    let ids = ids
        .filter(|ids| !ids.is_empty())
        .ok_or_else(|| ApiError::invalid("ackIds must not be empty"))?;
    let now = world.steady();
    for id in ids.iter().filter_map(Value::as_str) {
        // One whose deadline has passed may be acknowledged, and may come again all the same.
        let in_time = |there: &Outstanding| there.until > now;
        if world.pulled.outstanding.get(id).is_some_and(in_time) {
            world.pulled.outstanding.remove(id);
        }
    }
    Ok(json!({}))
}

impl Pulled {
    /// Messages that were handed out and not acknowledged.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    fn take_overdue(&mut self, now: i64, most: usize) -> Vec<(Notification, u32)> {
        let overdue = self.outstanding.iter().filter(|(_, there)| there.until <= now);
        let ids: Vec<String> = overdue.map(|(id, _)| id.clone()).take(most).collect();
        ids.iter()
            .filter_map(|id| self.outstanding.remove(id))
            .map(|there| (there.notification, there.attempt + 1))
            .collect()
    }
}
