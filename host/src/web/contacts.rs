//! Contacts: mail is synced with them and nobody else, so there has to be a way to add one.

use axum::{extract::Path, response::Redirect};
use maud::{Markup, html};

use super::{
    Desk, addresses,
    conversations::name_of,
    escape::segment,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    import,
    layout::Section,
};
use crate::{
    contract::{Contact, Problem},
    crm::{NewContact, Paging},
    scope::UserId,
};

/// `GET /contacts`: the first 500, and forms for others.
pub(super) async fn list(desk: Desk, visitor: Visitor) -> Result<Markup, Failure> {
    let contacts = desk.crm.list_contacts(&desk.tenant, Paging::default()).await?;
    let users = desk.crm.list_users(&desk.tenant).await?;
    let main = html! {
        main.narrow {
            h1 { "Contacts" }
            p.muted {
                "Mail with these people is synced, from the time a mailbox is connected. Other mail never leaves it."
            }
            ul.plain { @for contact in &contacts { (item(contact, &contacts, &users, &visitor)) } }
            h2 { "Add a contact" }
            form.write method="post" action="/contacts" {
                (visitor.field())
                label { "Name" input type="text" name="name"; }
                label { "Addresses, separated by commas" input type="text" name="addresses" required; }
                p { button.primary { "Add" } }
            }
            (import::form(&visitor))
        }
    };
    Ok(desk.page("Contacts", Section::Contacts, &main))
}

fn item(contact: &Contact, all: &[Contact], users: &[(UserId, String)], visitor: &Visitor) -> Markup {
    html! {
        li {
            a href={ "/conversations/" (segment(&contact.id)) } { (name_of(contact)) } " "
            span.muted { (contact.addresses.join(", ")) }
            @if let Some(winner) = winner_over(contact, all) {
                br;
                span.note {
                    "Same address as " a href={ "/conversations/" (segment(&winner.id)) } { (name_of(winner)) }
                    ", who was created first and gets the mail."
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

/// The contact that mail for one of this contact's addresses goes to instead (S16). They are in the order in
/// which they were created.
fn winner_over<'c>(contact: &Contact, all: &'c [Contact]) -> Option<&'c Contact> {
    let shares = |other: &&Contact| {
        other.addresses.iter().any(|address| {
            contact
                .addresses
                .iter()
                .any(|own| own.eq_ignore_ascii_case(address))
        })
    };
    all.iter().take_while(|other| other.id != contact.id).find(shares)
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
        ..NewContact::default()
    };
    let id = desk.crm.create_contact(&desk.tenant, contact).await?;
    Ok(Redirect::to(&format!("/conversations/{}", segment(&id))))
}
