//! Contacts: mail is synced with them and nobody else, so there has to be a way to add one.

use std::collections::HashMap;

use axum::{
    extract::{Path, Query},
    response::Redirect,
};
use maud::{Markup, html};

use super::{
    Desk, addresses,
    conversations::{name_of, number},
    escape::segment,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    import,
    layout::{self, Section},
};
use crate::{
    contract::{Contact, Problem},
    crm::{NewContact, Outranked, Paging},
    scope::UserId,
};

/// Contacts on one page.
const LIST_LENGTH: u32 = 100;

/// `GET /contacts`: the list, and forms for others. `page` counts from 0; `find` leaves those whose name or address
/// has it.
pub(super) async fn list(
    desk: Desk,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    let find = query.get("find").map_or("", |find| find.trim());
    let page = number(&query, "page");
    let paging = Paging {
        offset: page * LIST_LENGTH,
        limit: LIST_LENGTH + 1,
    };
    let mut contacts = desk.crm.search_contacts(&desk.tenant, find, paging).await?;
    let more = contacts.len() > LIST_LENGTH as usize;
    contacts.truncate(LIST_LENGTH as usize);
    let outranked = desk.crm.outranked(&desk.tenant, &contacts).await?;
    let users = desk.crm.list_users(&desk.tenant).await?;
    let main = html! {
        main.narrow {
            h1 { "Contacts" }
            p.muted {
                "Mail with these people is synced, from the time a mailbox is connected. Other mail never leaves it."
            }
            @if !find.is_empty() || more || page > 0 {
                (layout::find_form("/contacts", "Find a contact", find))
            }
            @if contacts.is_empty() && !find.is_empty() { p.muted { "Nobody is called that." } }
            ul.plain {
                @for (contact, outranked) in contacts.iter().zip(&outranked) {
                    (item(contact, outranked, &users, &visitor))
                }
            }
            p {
                @if page > 0 { a href=(page_link(find, page - 1)) { "Before" } " " }
                @if more { a href=(page_link(find, page + 1)) { "After" } }
            }
            h2 { "Add a contact" }
            form.write method="post" action="/contacts" {
                (visitor.field())
                label { "Name" input type="text" name="name"; }
                label { "Addresses, separated by commas" input type="text" name="addresses" required; }
                @if users.len() > 1 {
                    label {
                        "Assigned to"
                        select name="user" {
                            option value="" { "Everybody" }
                            @for (user, name) in &users { option value=(user.as_str()) { (name) } }
                        }
                    }
                }
                p { button.primary { "Add" } }
            }
            (import::form(&visitor))
        }
    };
    Ok(desk.page("Contacts", Section::Contacts, &main))
}

fn page_link(find: &str, page: u32) -> String {
    format!("/contacts?page={page}&find={}", segment(find))
}

fn item(contact: &Contact, outranked: &[Outranked], users: &[(UserId, String)], visitor: &Visitor) -> Markup {
    html! {
        li {
            a href={ "/conversations/" (segment(&contact.id)) } { (name_of(contact)) } " "
            span.muted { (contact.addresses.join(", ")) }
            @for Outranked { address, winner } in outranked {
                br;
                span.note {
                    "Same address as " a href={ "/conversations/" (segment(&winner.id)) } { (name_of(winner)) }
                    ", who was created first and gets the mail"
                    @if contact.addresses.len() > 1 { " of " (address) } "."
                }
            }
            @if users.len() > 1 || contact.assigned_user.is_some() { (assign_form(contact, users, visitor)) }
        }
    }
}

/// Whose contact it is (S30).
fn assign_form(contact: &Contact, users: &[(UserId, String)], visitor: &Visitor) -> Markup {
    let assigned = contact.assigned_user.as_deref();
    html! {
        form.row.assign method="post" action={ "/contacts/" (segment(&contact.id)) "/assign" } {
            (visitor.field())
            select name="user" aria-label={ "Whose contact " (name_of(contact)) " is" } {
                option value="" selected[assigned.is_none()] { "Everybody's" }
                @for (user, name) in users {
                    option value=(user.as_str()) selected[assigned == Some(user.as_str())] { (name) }
                }
            }
            button { "Assign" }
        }
    }
}

/// `POST /contacts/{contact}/assign`: gives a contact to a user, or to everybody (S30).
pub(super) async fn assign(
    desk: Desk,
    Path(id): Path<String>,
    form: CheckedForm,
) -> Result<Redirect, Failure> {
    let user = form.text("user");
    let user = (!user.is_empty()).then(|| UserId::new(user));
    desk.crm.assign_contact(&desk.tenant, &id, user.as_ref()).await?;
    Ok(Redirect::to("/contacts"))
}

/// `POST /contacts`.
pub(super) async fn create(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let invalid = |address: String| {
        Failure::problem(
            axum::http::StatusCode::UNPROCESSABLE_ENTITY,
            &Problem::RecipientInvalid(address),
        )
    };
    let list = addresses::parse(form.text("addresses")).map_err(invalid)?;
    let name = form.text("name").trim().to_owned();
    if list.is_empty() {
        return Err(Failure::invalid(
            "A contact needs an address.",
            "Go back and give at least one.",
        ));
    }
    let contact = NewContact {
        name,
        addresses: list.into_iter().map(|mailbox| mailbox.address).collect(),
        assigned_user: Some(form.text("user"))
            .filter(|user| !user.is_empty())
            .map(UserId::new),
        ..NewContact::default()
    };
    let id = desk.crm.create_contact(&desk.tenant, contact).await?;
    Ok(Redirect::to(&format!("/conversations/{}", segment(&id))))
}
