//! The admin API under `/sim`: what [`crate::Sim`] does in a test, over HTTP, for programs and browser tests.
//!
//! Nothing here counts as a Gmail request. See the crate's README for the list.

use axum::http::{Method as Verb, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::Delivery;
use crate::api::Request;
use crate::behaviour::Behaviour;
use crate::config::{Consent, Decision, PullSubscription, PushEndpoint};
use crate::errors::{ApiError, json_response};
use crate::fault::{Fault, FaultKind, FaultPlan};
use crate::format::hex;
use crate::mailbox::{Account, Stored, Verification};
use crate::oauth::{self, Scope};
use crate::people;
use crate::sim::no_mailbox;
use crate::world::{World, canonical};

/// Answers an admin request.
pub(crate) fn handle(world: &mut World, request: &Request) -> Response<Bytes> {
    let path = request.path.strip_prefix("/sim/").unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    let get = request.verb == Verb::GET;
    let post = request.verb == Verb::POST;
    let put = request.verb == Verb::PUT;
    let answer = match segments.as_slice() {
        ["users"] if get => Ok(users(world)),
        ["users"] if post => create_user(world, request),
        ["send-as"] if post => send_as(world, request),
        ["deliver"] if post => deliver(world, request),
        ["mailboxes", email] if get => mailbox(world, email),
        ["mailboxes", email, "messages", id, "raw"] if get => return raw(world, email, id),
        ["outside"] if get => Ok(outside(world)),
        ["stats"] if get => Ok(json!(world.stats)),
        ["stats"] if request.verb == Verb::DELETE => {
            world.stats = crate::Stats::default();
            Ok(json!({}))
        }
        ["notifications"] if get => Ok(json!(world.notifications)),
        ["notifications"] if request.verb == Verb::DELETE => Ok(json!(world.take_notifications())),
        ["expire-history"] if post => expire_history(world, request),
        ["tokens"] if post => tokens(world, request),
        ["behaviour"] if get => Ok(json!(world.behaviour)),
        ["behaviour"] if put => set_behaviour(world, request),
        ["consent"] if put => set_consent(world, request),
        ["push"] if put => set_push(world, request),
        ["pull"] if put => set_pull(world, request),
        ["faults"] if get => Ok(faults(world)),
        ["faults"] if post => add_fault(world, request),
        ["fault-plan"] if put => set_fault_plan(world, request),
        ["fault-plan"] if request.verb == Verb::DELETE => {
            world.faults.set_plan(None);
            Ok(json!({}))
        }
        ["clock"] if get => Ok(json!({"now": world.now()})),
        ["clock"] if post => jump_clock(world, request),
        ["keys"] if post => {
            world.oauth.rotate_keys();
            Ok(json!({}))
        }
        ["faults"] if request.verb == Verb::DELETE => {
            world.faults.clear();
            Ok(json!({}))
        }
        ["bounce"] if post => bounce(world, request),
        ["block"] if post => block(world, request),
        ["account"] if post => account_event(world, request),
        ["contacts", rest @ ..] => people::admin(world, request, rest),
        _ => Err(ApiError::not_found()),
    };
    match answer {
        Ok(value) => json_response(200, &value),
        Err(error) => error.response(),
    }
}

fn users(world: &World) -> Value {
    let all: Vec<Value> = world
        .accounts
        .values()
        .map(|account| json!({"email": account.email, "displayName": account.display_name, "sub": account.subject}))
        .collect();
    json!({"users": all})
}

fn create_user(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    let email = required(&body, "email")?;
    if !email.contains('@') {
        return Err(ApiError::invalid("email: an address is needed"));
    }
    world.create_user(email, text(&body, "displayName").unwrap_or_default());
    Ok(json!({"email": email}))
}

fn send_as(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    let verification = match text(&body, "verificationStatus") {
        None | Some("accepted") => Verification::Accepted,
        Some("pending") => Verification::Pending,
        Some(other) => return Err(ApiError::bad_value("verificationStatus", other)),
    };
    let (email, alias) = (required(&body, "email")?, required(&body, "sendAsEmail")?);
    let name = text(&body, "displayName").unwrap_or_default();
    if world.add_send_as(email, alias, name, verification) {
        Ok(json!({}))
    } else {
        Err(ApiError::not_found())
    }
}

fn deliver(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let query = &request.query;
    let mailbox = query
        .get("mailbox")
        .ok_or_else(|| ApiError::invalid("Required parameter: mailbox"))?;
    let at = match query.get("at") {
        Some(text) => Some(text.parse().map_err(|_| ApiError::bad_value("at", text))?),
        None => None,
    };
    let labels = query.all("label");
    let delivery = Delivery {
        mailbox: mailbox.to_owned(),
        raw: request.body.clone(),
        at,
        key: query.get("key").map(ToOwned::to_owned),
        labels: (!labels.is_empty()).then_some(labels),
    };
    let key = world.find_account(mailbox).ok_or_else(ApiError::not_found)?;
    let (id, thread) = world.deliver(&key, &delivery).ok_or_else(ApiError::not_found)?;
    Ok(json!({"id": hex(id), "threadId": hex(thread)}))
}

fn mailbox(world: &World, email: &str) -> Result<Value, ApiError> {
    let account = find(world, email)?;
    let messages: Vec<Value> = account
        .order
        .iter()
        .filter_map(|(_, id)| account.messages.get(id))
        .map(summary)
        .collect();
    Ok(json!({
        "email": account.email,
        "historyId": account.history.last_id().to_string(),
        "messages": messages,
        "watches": account.watches.values().map(|watch| &watch.topic).collect::<Vec<_>>(),
    }))
}

fn summary(stored: &Stored) -> Value {
    let header = |name: &str| stored.parsed.header(name);
    json!({
        "id": hex(stored.id),
        "threadId": hex(stored.thread),
        "labelIds": stored.labels,
        "internalDate": stored.internal_date.to_string(),
        "from": header("From"),
        "to": header("To"),
        "cc": header("Cc"),
        "subject": header("Subject").map(|_| &stored.parsed.subject),
        "messageId": header("Message-ID"),
        "inReplyTo": header("In-Reply-To"),
        "snippet": stored.parsed.snippet,
    })
}

fn raw(world: &World, email: &str, id: &str) -> Response<Bytes> {
    let stored = find(world, email)
        .ok()
        .and_then(|account| account.messages.get(&u64::from_str_radix(id, 16).ok()?));
    match stored {
        Some(stored) => crate::errors::bytes_response(200, "message/rfc822", stored.parsed.raw.clone()),
        None => no_mailbox(),
    }
}

fn outside(world: &World) -> Value {
    let all: Vec<Value> = world
        .outside
        .iter()
        .map(|mail| {
            json!({
                "at": mail.at,
                "sender": mail.sender,
                "recipient": mail.recipient,
                "raw": STANDARD.encode(&mail.raw),
            })
        })
        .collect();
    json!({"messages": all})
}

fn expire_history(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    let account = find_mut(world, required(&body, "email")?)?;
    let before = match body.get("before") {
        None | Some(Value::Null) => account.history.last_id(),
        Some(Value::String(all)) if all == "all" => account.history.last_id() + 1,
        Some(value) => number(value).ok_or_else(|| ApiError::bad_value("before", &value.to_string()))?,
    };
    account.history.expire_before(before);
    Ok(json!({"before": before.to_string()}))
}

fn tokens(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    let key = world
        .find_account(required(&body, "email")?)
        .ok_or_else(ApiError::not_found)?;
    let scopes = required(&body, "scope")?
        .split_whitespace()
        .map(Scope::spelled_out)
        .collect();
    let tokens = oauth::issue(world, &key, scopes);
    Ok(json!({"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}))
}

/// Members that are not mentioned stay as they are; with `?seed=` they are drawn.
fn set_behaviour(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let mut merged = match request.query.get("seed") {
        None => json!(world.behaviour),
        Some(text) => {
            let seed = text.parse().map_err(|_| ApiError::bad_value("seed", text))?;
            json!(Behaviour::drawn(seed))
        }
    };
    if let (Some(known), Value::Object(changes)) = (merged.as_object_mut(), request.json()?) {
        known.extend(changes);
    }
    let behaviour: Behaviour =
        serde_json::from_value(merged).map_err(|error| ApiError::invalid(error.to_string()))?;
    world.behaviour = behaviour;
    Ok(json!(world.behaviour))
}

fn set_consent(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    let account = text(&body, "account").map(ToOwned::to_owned);
    world.consent = match required(&body, "mode")? {
        "page" => Consent::Page,
        "all" => Consent::Auto {
            account,
            decision: Decision::All,
        },
        "deny" => Consent::Auto {
            account,
            decision: Decision::Deny,
        },
        "only" => {
            let scopes = required(&body, "scope")?
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect();
            Consent::Auto {
                account,
                decision: Decision::Only(scopes),
            }
        }
        other => return Err(ApiError::bad_value("mode", other)),
    };
    Ok(json!({}))
}

fn set_push(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    world.push = match text(&body, "url") {
        None => None,
        Some(url) => Some(PushEndpoint {
            url: url.to_owned(),
            audience: text(&body, "audience").unwrap_or(url).to_owned(),
            service_account: required(&body, "serviceAccount")?.to_owned(),
            subscription: required(&body, "subscription")?.to_owned(),
        }),
    };
    Ok(json!({}))
}

fn set_pull(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    world.pull = match text(&body, "subscription") {
        None => None,
        Some(name) => Some(PullSubscription {
            name: name.to_owned(),
            service_account: required(&body, "serviceAccount")?.to_owned(),
        }),
    };
    let key = text(&body, "serviceAccount").map(|email| oauth::service_account_key(email, &request.origin));
    Ok(json!({"key": key}))
}

fn add_fault(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let fault: Fault =
        serde_json::from_slice(&request.body).map_err(|error| ApiError::invalid(error.to_string()))?;
    world.faults.add(fault);
    Ok(json!({}))
}

/// What waits, what strikes by seed, what struck so far, and one of each kind.
fn faults(world: &World) -> Value {
    json!({
        "waiting": world.faults.waiting(),
        "plan": world.faults.plan(),
        "hits": world.hits(),
        "kinds": FaultKind::ALL,
    })
}

fn set_fault_plan(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let plan: FaultPlan =
        serde_json::from_value(request.json()?).map_err(|error| ApiError::invalid(error.to_string()))?;
    world.faults.set_plan(Some(plan));
    Ok(json!(world.faults.plan()))
}

fn jump_clock(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    let by = body.get("by").and_then(Value::as_i64);
    world.jump_clock(by.ok_or_else(|| ApiError::invalid("Required: by"))?);
    Ok(json!({"now": world.now()}))
}

fn bounce(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    world.bouncing.insert(canonical(required(&body, "address")?));
    Ok(json!({}))
}

fn block(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    let until = body.get("until").and_then(Value::as_i64);
    let account = find_mut(world, required(&body, "email")?)?;
    match text(&body, "what") {
        None | Some("all") => account.blocked_until = until,
        Some("sending") => account.sending_blocked_until = until,
        Some(other) => return Err(ApiError::bad_value("what", other)),
    }
    Ok(json!({}))
}

fn account_event(world: &mut World, request: &Request) -> Result<Value, ApiError> {
    let body = request.json()?;
    let key = world
        .find_account(required(&body, "email")?)
        .ok_or_else(ApiError::not_found)?;
    match required(&body, "event")? {
        "password-changed" => world.oauth.password_changed(&key),
        "consent-withdrawn" => world.oauth.withdraw(&key, None),
        "access-tokens-expired" => world.oauth.expire_access(&key),
        other => return Err(ApiError::bad_value("event", other)),
    }
    Ok(json!({}))
}

/// The account that an address in a path stands for.
pub(crate) fn find<'a>(world: &'a World, email: &str) -> Result<&'a Account, ApiError> {
    let email = email.replace("%40", "@");
    let key = world.find_account(&email).ok_or_else(ApiError::not_found)?;
    world.accounts.get(&key).ok_or_else(ApiError::not_found)
}

/// The account of an address, to change.
pub(crate) fn find_mut<'a>(world: &'a mut World, email: &str) -> Result<&'a mut Account, ApiError> {
    let key = world.find_account(email).ok_or_else(ApiError::not_found)?;
    world.accounts.get_mut(&key).ok_or_else(ApiError::not_found)
}

/// A text of the body.
pub(crate) fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

/// A text that the body has to have.
pub(crate) fn required<'a>(body: &'a Value, name: &str) -> Result<&'a str, ApiError> {
    text(body, name).ok_or_else(|| ApiError::invalid(format!("Required: {name}")))
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
