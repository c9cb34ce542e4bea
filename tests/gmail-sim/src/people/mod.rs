//! The People API's `people.connections.list`: a user's contacts, whole and by what has changed.
//!
//! Order of the checks: token, scope, faults, `fields`, parameters, tokens of earlier answers, the quota of full syncs. Nothing
//! here costs Gmail's quota units. Source: <https://developers.google.com/people/api/rest/v1/people.connections/list>.

mod actions;
mod contacts;
mod list;
mod person;
mod token;

use std::sync::Arc;

use axum::http::{Method as Verb, Response};
use bytes::Bytes;

pub(crate) use actions::admin;
pub(crate) use contacts::Contacts;
pub use contacts::{Contact, ContactView};

use crate::api::{self, Reply, Request};
use crate::errors::{ApiError, Service};
use crate::fault;
use crate::oauth::{Access, Scope};
use crate::world::World;

/// The one method, as faults, counters and [`crate::Sim::scopes_of`] know it.
pub(crate) const LIST: &str = "people.connections.list";
/// Any one of these suffices for it.
const SCOPES: &[Scope] = &[Scope::Contacts, Scope::ContactsReadonly];

/// Names that `fields` may mention, beside the person fields.
const KNOWN_FIELDS: &[&str] = &[
    "connections",
    "deleted",
    "displayName",
    "displayNameLastFirst",
    "etag",
    "familyName",
    "formattedType",
    "givenName",
    "id",
    "middleName",
    "nextPageToken",
    "nextSyncToken",
    "objectType",
    "previousResourceNames",
    "primary",
    "resourceName",
    "source",
    "sourcePrimary",
    "sources",
    "totalItems",
    "totalPeople",
    "type",
    "unstructuredName",
    "updateTime",
    "value",
];

/// The scopes, any one of which allows a method.
pub(crate) fn scopes(method: &str) -> Option<&'static [Scope]> {
    (method == LIST).then_some(SCOPES)
}

/// Answers a request for connections; `None` if the path is another.
pub(crate) fn handle(world: &mut World, request: &Request) -> Option<Response<Bytes>> {
    let person = request
        .path
        .strip_prefix("/v1/people/")?
        .strip_suffix("/connections")?;
    if request.verb != Verb::GET {
        return None;
    }
    let response = match authorize(world, request) {
        Ok(access) => fault::under(world, &access.account, LIST, |world| {
            carry_out(world, request, person, &access)
                .unwrap_or_else(|error| error.response_of(Service::People, world))
        }),
        Err(error) => error.response_of(Service::People, world),
    };
    api::count_call(world, LIST);
    api::count_answer(world, &response);
    Some(response)
}

fn authorize(world: &World, request: &Request) -> Result<Arc<Access>, ApiError> {
    let token = request.bearer().ok_or_else(ApiError::login_required)?;
    let access = world.oauth.access(&token, world.now());
    let access = access.ok_or_else(ApiError::invalid_credentials)?;
    if access.may(SCOPES) {
        Ok(Arc::clone(access))
    } else {
        Err(ApiError::scope_insufficient(
            Service::People,
            "google.people.v1.PeopleService.ListConnections",
        ))
    }
}

fn carry_out(
    world: &mut World,
    request: &Request,
    person: &str,
    access: &Access,
) -> Result<Response<Bytes>, ApiError> {
    let known = [KNOWN_FIELDS, person::FIELDS].concat();
    let selection = api::selection(world, &request.query, &known)?;
    if person != "me" {
        return Err(ApiError::bad_request("Resource name must be \"people/me\"."));
    }
    let answer = list::list(world, &access.account, &request.query)?;
    Ok(api::write(Reply::Json(answer), &selection, &request.query))
}
