//! Contacts.

use axum::{Json, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    extract::{Asked, At, Body, Part},
    problem::{Problem, Refused, Unchanged},
    types::{Contact, Page},
};
use crate::{
    contract,
    crm::NewContact,
    scope::UserId,
    web::{Desk, parse_addresses},
};

/// A contact to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactToMake {
    /// Display name.
    #[serde(default)]
    #[schema(max_length = 250)]
    name: String,
    /// Its addresses, without names.
    #[schema(min_items = 1, max_items = 100)]
    addresses: Vec<String>,
    /// The user it is assigned to; absent: anyone's.
    #[serde(default)]
    assigned_user: Option<String>,
}

/// Contacts, the one created first before the others.
#[utoipa::path(get, operation_id = "listContacts", path = "/contacts", tag = "contacts", params(Part),
    responses((status = 200, body = Page<Contact>), Refused))]
pub(super) async fn list(desk: Desk, Asked(part): Asked<Part>) -> Result<Json<Page<Contact>>, Problem> {
    let mut contacts = desk.crm.list_contacts(&desk.tenant, part.paging()?).await?;
    let next = part.next(&mut contacts);
    let entries = contacts.into_iter().map(Into::into).collect();
    Ok(Json(Page { entries, next }))
}

/// Makes a contact.
#[utoipa::path(post, operation_id = "createContact", path = "/contacts", tag = "contacts", request_body = ContactToMake,
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once under this key")),
    responses((status = 201, body = Contact), Unchanged))]
pub(super) async fn create(
    desk: Desk,
    Body(new): Body<ContactToMake>,
) -> Result<(StatusCode, Json<Contact>), Problem> {
    if new.addresses.is_empty() {
        return Err(Problem::invalid(
            "A contact needs an address.",
            "Give at least one.",
        ));
    }
    for address in &new.addresses {
        let read = parse_addresses(address);
        let is_one = matches!(read.as_deref(), Ok([one]) if one.name.is_none() && one.address == *address);
        if !is_one {
            let problem = contract::Problem::RecipientInvalid(address.clone());
            return Err(crate::web::Trouble::from(&problem).into());
        }
    }
    let contact = NewContact {
        name: new.name.trim().to_owned(),
        addresses: new.addresses,
        assigned_user: new.assigned_user.map(UserId::new),
        created_at: None,
    };
    let id = desk.crm.create_contact(&desk.tenant, contact).await?;
    let contact = desk.crm.contact(&desk.tenant, &id).await?;
    Ok((StatusCode::CREATED, Json(contact.into())))
}

/// One contact.
#[utoipa::path(get, operation_id = "getContact", path = "/contacts/{contact}", tag = "contacts", params(("contact" = String, Path)),
    responses((status = 200, body = Contact), Refused))]
pub(super) async fn one(desk: Desk, At(id): At<String>) -> Result<Json<Contact>, Problem> {
    Ok(Json(desk.crm.contact(&desk.tenant, &id).await?.into()))
}
