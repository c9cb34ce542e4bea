//! Contacts.

use axum::{
    Json,
    body::to_bytes,
    extract::Request,
    http::{StatusCode, header::CONTENT_TYPE},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    BODY_LIMIT,
    extract::{Asked, At, Body, Find, Part},
    problem::{Problem, Refused, Unchanged},
    types::{Contact, ContactEntry, Page},
};
use crate::{
    contract,
    crm::NewContact,
    scope::UserId,
    web::{Desk, import_contacts, parse_addresses},
};

/// The longest name of a contact, characters.
const LONGEST_NAME: usize = 250;

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
#[utoipa::path(get, operation_id = "listContacts", path = "/contacts", tag = "contacts", params(Part, Find),
    responses((status = 200, body = Page<ContactEntry>), Refused))]
pub(super) async fn list(
    desk: Desk,
    Asked(part): Asked<Part>,
    Asked(find): Asked<Find>,
) -> Result<Json<Page<ContactEntry>>, Problem> {
    let (find, paging) = (find.text()?, part.paging()?);
    let mut contacts = desk.crm.search_contacts(&desk.tenant, &find, paging).await?;
    let next = part.next(&mut contacts);
    let outranked = desk.crm.outranked(&desk.tenant, &contacts).await?;
    let entries = contacts.into_iter().zip(outranked);
    let entries = entries.map(|(contact, outranked)| ContactEntry::new(contact, outranked));
    let entries = entries.collect();
    Ok(Json(Page { entries, next }))
}

/// One contact, as an answer.
async fn entry(desk: &Desk, id: &str) -> Result<Json<ContactEntry>, Problem> {
    let contact = desk.crm.contact(&desk.tenant, id).await?;
    let outranked = desk
        .crm
        .outranked(&desk.tenant, std::slice::from_ref(&contact))
        .await?;
    let outranked = outranked.into_iter().flatten().collect();
    Ok(Json(ContactEntry::new(contact, outranked)))
}

/// Makes a contact.
#[utoipa::path(post, operation_id = "createContact", path = "/contacts", tag = "contacts", request_body = ContactToMake,
    responses((status = 201, body = ContactEntry), Unchanged))]
pub(super) async fn create(
    desk: Desk,
    Body(new): Body<ContactToMake>,
) -> Result<(StatusCode, Json<ContactEntry>), Problem> {
    if new.addresses.is_empty() {
        return Err(Problem::invalid(
            "A contact needs an address.",
            "Give at least one.",
        ));
    }
    if new.name.chars().count() > LONGEST_NAME {
        return Err(Problem::invalid(
            "The name is too long.",
            "250 characters are the most.",
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
    Ok((StatusCode::CREATED, entry(&desk, &id).await?))
}

/// Contacts whose conversation is private, by name; the first 1,000.
#[utoipa::path(get, operation_id = "listPrivateContacts", path = "/contacts/private", tag = "contacts",
    responses((status = 200, body = Page<Contact>), Refused))]
pub(super) async fn private(desk: Desk) -> Result<Json<Page<Contact>>, Problem> {
    let contacts = desk.crm.private_contacts(&desk.tenant).await?;
    let entries = contacts.into_iter().map(Into::into).collect();
    Ok(Json(Page { entries, next: None }))
}

/// One contact.
#[utoipa::path(get, operation_id = "getContact", path = "/contacts/{contact}", tag = "contacts", params(("contact" = String, Path)),
    responses((status = 200, body = ContactEntry), Refused))]
pub(super) async fn one(desk: Desk, At(id): At<String>) -> Result<Json<ContactEntry>, Problem> {
    entry(&desk, &id).await
}

/// Whose a contact is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assigned {
    /// The user; absent: everybody's.
    #[serde(default)]
    user: Option<String>,
}

/// Gives a contact to a user, or to everybody.
#[utoipa::path(put, operation_id = "assignContact", path = "/contacts/{contact}/assigned-user", tag = "contacts",
    params(("contact" = String, Path)), request_body = Assigned, responses((status = 200, body = ContactEntry), Unchanged))]
pub(super) async fn assign(
    desk: Desk,
    At(id): At<String>,
    Body(assigned): Body<Assigned>,
) -> Result<Json<ContactEntry>, Problem> {
    let user = assigned.user.map(UserId::new);
    desk.crm.assign_contact(&desk.tenant, &id, user.as_ref()).await?;
    entry(&desk, &id).await
}

/// A line that was not taken.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedLine {
    /// Its number, from 1.
    line: u64,
    /// Why.
    reason: String,
}

/// What became of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Imported {
    /// Contacts that were added.
    added: usize,
    /// Lines whose address a contact has already; they change nothing.
    known: usize,
    /// Lines that were not taken.
    refused: Vec<RefusedLine>,
}

/// Makes contacts of a CSV file (RFC 4180): name, email, assigned user, created at; the last two may be absent. A line that
/// cannot be taken does not keep the others from it. 10,000 lines at most.
#[utoipa::path(post, operation_id = "importContacts", path = "/contacts/import", tag = "contacts",
    request_body(content = serde_json::Value, content_type = "text/csv", description = "The file, in UTF-8"),
    responses((status = 200, body = Imported), Unchanged))]
pub(super) async fn import(desk: Desk, request: Request) -> Result<Json<Imported>, Problem> {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/csv") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::malformed(status, "the body has to be text/csv"));
    }
    let text = to_bytes(request.into_body(), BODY_LIMIT).await.map_err(|_| {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Problem::malformed(status, "the file is over 4 MiB, or broke off")
    })?;
    let report = import_contacts(&desk.crm, &desk.tenant, &String::from_utf8_lossy(&text)).await?;
    let refused = report.refused.into_iter();
    Ok(Json(Imported {
        added: report.added,
        known: report.known,
        refused: refused
            .map(|(line, reason)| RefusedLine { line, reason })
            .collect(),
    }))
}
