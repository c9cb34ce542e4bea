//! The Gmail API: which method a request means, who may call it, what it costs, and its answer.
//!
//! Order of the checks: route, token, mailbox, scope, faults, blocks, quota, `fields`, then the method itself.

mod drafts;
mod history;
mod input;
mod labels;
mod messages;
mod method;
mod push;
mod settings;
mod threads;

use std::sync::Arc;

use axum::http::{Method as Verb, Response, StatusCode, header};
use bytes::Bytes;
use serde_json::Value;

pub(crate) use input::{Query, Request, parse_json};
pub(crate) use method::{Method, Route, Way};

use crate::behaviour::QuotaRefusal;
use crate::errors::{ApiError, QuotaOf, Service, bytes_response};
use crate::fault;
use crate::fields::Selection;
use crate::oauth::Access;
use crate::quota::{Quota, Window};
use crate::upload;
use crate::world::World;

/// What a method works on.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    /// Key of the account.
    pub(crate) key: String,
    pub(crate) access: Arc<Access>,
    pub(crate) query: &'a Query,
    /// Path parameters in their order, without the user.
    pub(crate) ids: Vec<String>,
    /// The JSON body, or the metadata of an upload; `null` without one.
    pub(crate) body: Value,
    /// The uploaded message.
    pub(crate) media: Option<Bytes>,
}

/// What a method answers.
pub(crate) enum Reply {
    Json(Value),
    /// 204.
    Empty,
}

/// Names that `fields` may mention.
const KNOWN_FIELDS: &[&str] = &[
    "addedLabels",
    "attachmentId",
    "backgroundColor",
    "body",
    "classificationLabelValues",
    "color",
    "data",
    "displayName",
    "drafts",
    "emailAddress",
    "expiration",
    "filename",
    "headers",
    "history",
    "historyId",
    "id",
    "internalDate",
    "isDefault",
    "isPrimary",
    "labelIds",
    "labelListVisibility",
    "labels",
    "labelsAdded",
    "labelsRemoved",
    "message",
    "messageListVisibility",
    "messages",
    "messagesAdded",
    "messagesDeleted",
    "messagesTotal",
    "messagesUnread",
    "mimeType",
    "name",
    "nextPageToken",
    "partId",
    "parts",
    "payload",
    "raw",
    "replyToAddress",
    "resultSizeEstimate",
    "sendAs",
    "sendAsEmail",
    "signature",
    "size",
    "sizeEstimate",
    "smtpMsa",
    "snippet",
    "textColor",
    "threadId",
    "threads",
    "threadsTotal",
    "threadsUnread",
    "treatAsAlias",
    "type",
    "value",
    "verificationStatus",
];

/// Answers a request under `/gmail/v1`, `/upload/gmail/v1` or `/resumable/upload/gmail/v1`.
pub(crate) fn handle(world: &mut World, request: &Request) -> Response<Bytes> {
    let Some(route) = method::route(request) else {
        return ApiError::not_found().response();
    };
    let name = route.method.name();
    let continued = continues_upload(request);
    let response = answer(world, request, route);
    count_answer(world, &response);
    if !continued {
        count_call(world, name);
    }
    response
}

/// Counts a request by its answer.
pub(crate) fn count_answer(world: &mut World, response: &Response<Bytes>) {
    world.stats.requests += 1;
    let status = response.status().as_u16();
    *world.stats.by_status.entry(status).or_default() += 1;
}

/// Counts a call of a method.
pub(crate) fn count_call(world: &mut World, name: &str) {
    match world.stats.by_method.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(world.stats.by_method.insert(name.to_owned(), 1)),
    }
}

fn answer(world: &mut World, request: &Request, route: Route) -> Response<Bytes> {
    let access = match authorize(world, request, &route) {
        Ok(access) => access,
        Err(error) => return error.response(),
    };
    let mailbox = access.account.clone();
    fault::under(world, &mailbox, route.method.name(), |world| {
        carry_out(world, request, route, access).unwrap_or_else(|error| error.response())
    })
}

/// A later request of a resumable upload: the call was counted and paid when it began.
fn continues_upload(request: &Request) -> bool {
    request.query.get("upload_id").is_some()
}

/// Token, mailbox and scope.
fn authorize(world: &World, request: &Request, route: &Route) -> Result<Arc<Access>, ApiError> {
    let now = world.now();
    let token = request.bearer().ok_or_else(ApiError::login_required)?;
    let access = world
        .oauth
        .access(&token, now)
        .ok_or_else(ApiError::invalid_credentials)?
        .clone();
    let own = route.user == "me" || world.find_account(&route.user).as_ref() == Some(&access.account);
    if !own {
        return Err(ApiError::forbidden(format!(
            "Delegation denied for {}",
            access.account
        )));
    }
    if !access.may(route.method.scopes()) {
        return Err(ApiError::scope_insufficient(Service::Gmail, route.method.name()));
    }
    let account = world
        .accounts
        .get(&access.account)
        .ok_or_else(ApiError::invalid_credentials)?;
    if !account.mail_enabled {
        return Err(ApiError::precondition("Mail service not enabled"));
    }
    Ok(access)
}

fn carry_out(
    world: &mut World,
    request: &Request,
    route: Route,
    access: Arc<Access>,
) -> Result<Response<Bytes>, ApiError> {
    if !continues_upload(request) {
        spend(world, &access, route.method)?;
    }
    let selection = selection(world, &request.query, KNOWN_FIELDS)?;
    let (body, media) = match upload::read(world, request, &route, &access)? {
        upload::Input::Whole { body, media } => (body, media),
        upload::Input::Session(response) => return Ok(response),
    };
    let key = access.account.clone();
    let mut call = Call {
        world,
        key,
        access,
        query: &request.query,
        ids: route.ids,
        body,
        media,
    };
    let reply = run(route.method, &mut call)?;
    if request.verb != Verb::GET {
        world.publish();
    }
    Ok(write(reply, &selection, &request.query))
}

/// What of the answer is asked for, and whether it can be written as asked.
pub(crate) fn selection(world: &World, query: &Query, known: &[&str]) -> Result<Selection, ApiError> {
    let selection = query.get("fields").map(Selection::parse).transpose()?;
    let selection = selection.unwrap_or_default();
    if let (true, Some(name)) = (world.behaviour.unknown_field_refused, selection.unknown(known)) {
        world.hits.add("unknown_field_refused");
        return Err(ApiError::invalid_field(name));
    }
    match query.get("alt").filter(|alt| *alt != "json") {
        Some(alt) => Err(ApiError::bad_value("alt", alt)),
        None => Ok(selection),
    }
}

fn run(method: Method, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    match method {
        Method::GetProfile => settings::profile(call),
        Method::Watch => push::watch(call),
        Method::Stop => push::stop(call),
        Method::HistoryList => history::list(call),
        Method::MessagesList => messages::list(call),
        Method::MessagesGet => messages::get(call),
        Method::MessagesSend => messages::send(call),
        Method::MessagesInsert => messages::insert(call, messages::Entry::Insert),
        Method::MessagesImport => messages::insert(call, messages::Entry::Import),
        Method::MessagesModify => messages::modify(call),
        Method::MessagesTrash => messages::trash(call),
        Method::MessagesUntrash => messages::untrash(call),
        Method::MessagesDelete => messages::delete(call),
        Method::MessagesBatchModify => messages::batch_modify(call),
        Method::MessagesBatchDelete => messages::batch_delete(call),
        Method::AttachmentsGet => messages::attachment(call),
        Method::ThreadsList => threads::list(call),
        Method::ThreadsGet => threads::get(call),
        Method::ThreadsModify => threads::modify(call),
        Method::ThreadsTrash => threads::trash(call),
        Method::ThreadsUntrash => threads::untrash(call),
        Method::ThreadsDelete => threads::delete(call),
        Method::DraftsList => drafts::list(call),
        Method::DraftsGet => drafts::get(call),
        Method::DraftsCreate => drafts::create(call),
        Method::DraftsUpdate => drafts::update(call),
        Method::DraftsSend => drafts::send(call),
        Method::DraftsDelete => drafts::delete(call),
        Method::LabelsList => labels::list(call),
        Method::LabelsGet => labels::get(call),
        Method::LabelsCreate => labels::create(call),
        Method::LabelsPatch => labels::patch(call),
        Method::LabelsUpdate => labels::update(call),
        Method::LabelsDelete => labels::delete(call),
        Method::SendAsList => settings::send_as_list(call),
        Method::SendAsGet => settings::send_as_get(call),
    }
}

/// Books the units of a call, or refuses it: for the user's minute, the project's minute, the project's day.
fn spend(world: &mut World, access: &Access, method: Method) -> Result<(), ApiError> {
    let (now, steady) = (world.now(), world.steady());
    let units = world.quota.table().units(method);
    let account = world
        .accounts
        .get_mut(&access.account)
        .ok_or_else(ApiError::invalid_credentials)?;
    if let Some(until) = account.blocked_until.filter(|until| *until > now) {
        let renewed = now.saturating_add(world.behaviour.block_renewal_ms);
        account.hits.when("block_renewal_ms", renewed > until);
        let until = until.max(renewed);
        account.blocked_until = Some(until);
        return Err(ApiError::too_many(fault::retry_after_text(until)));
    }
    let spent = world.spent.entry(access.project);
    let (minute, day) = spent.or_insert_with(|| (Window::minute(), Window::day()));
    if let Quota::Enforce(table) = world.quota {
        let limits = &world.limits;
        let users = Some(table.per_user_minute());
        let minutes = Some(limits.project_units_per_minute);
        let refused = if !account.window.has_room(steady, units, users) {
            QuotaOf::User
        } else if !minute.has_room(steady, units, minutes) {
            QuotaOf::Project
        } else if !day.has_room(steady, units, limits.project_units_per_day) {
            return Err(ApiError::usage(403, "dailyLimitExceeded", "Daily Limit Exceeded"));
        } else {
            account.window.book(steady, units);
            minute.book(steady, units);
            day.book(steady, units);
            count(world, access, units);
            return Ok(());
        };
        account.hits.add("quota_refusal");
        let message = refused.message(Service::Gmail, access.project);
        return Err(match world.behaviour.quota_refusal {
            QuotaRefusal::Forbidden => ApiError::quota_forbidden(message),
            QuotaRefusal::TooManyRequests => ApiError::too_many(message),
        });
    }
    count(world, access, units);
    Ok(())
}

fn count(world: &mut World, access: &Access, units: u64) {
    match world.stats.units.get_mut(&access.account) {
        Some(sum) => *sum += units,
        None => drop(world.stats.units.insert(access.account.clone(), units)),
    }
}

/// An answer as HTTP.
pub(crate) fn write(reply: Reply, selection: &Selection, query: &Query) -> Response<Bytes> {
    match reply {
        Reply::Empty => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Reply::Json(value) => {
            let value = selection.apply(value);
            let compact = matches!(query.get("prettyPrint"), Some("false" | "0"));
            let body = if compact {
                serde_json::to_vec(&value)
            } else {
                serde_json::to_vec_pretty(&value)
            };
            let mut response =
                bytes_response(200, "application/json; charset=UTF-8", body.unwrap_or_default());
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("private"));
            response
        }
    }
}
