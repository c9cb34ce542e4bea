//! Contacts: mail is synced with them and nobody else, so there has to be a way to add one.

use axum::response::Redirect;
use maud::{Markup, html};

use super::{
    Desk, addresses,
    conversations::name_of,
    escape::segment,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    layout::{self, Section},
};
use crate::{
    contract::{Contact, Problem},
    crm::{NewContact, Paging},
};

/// `GET /contacts`: the first 500, and a form for another one.
pub(super) async fn list(desk: Desk, visitor: Visitor) -> Result<Markup, Failure> {
    let contacts = desk.crm.list_contacts(&desk.tenant, Paging::default()).await?;
    let main = html! {
        main.narrow {
            h1 { "Contacts" }
            p.muted {
                "Mail with these people is synced, from the time a mailbox is connected. Other mail never leaves it."
            }
            ul.plain { @for contact in &contacts { (item(contact, &contacts)) } }
            h2 { "Add a contact" }
            form.write method="post" action="/contacts" {
                (visitor.field())
                label { "Name" input type="text" name="name"; }
                label { "Addresses, separated by commas" input type="text" name="addresses" required; }
                p { button.primary { "Add" } }
            }
        }
    };
    Ok(layout::page("Contacts", Section::Contacts, &main))
}

fn item(contact: &Contact, all: &[Contact]) -> Markup {
    html! {
        li {
            a href={ "/conversations/" (segment(&contact.id)) } { (name_of(contact)) } " "
            span.muted { (contact.addresses.join(", ")) }
            @if let Some(user) = &contact.assigned_user { " " span.badge { (user) } }
            @if let Some(winner) = winner_over(contact, all) {
                br;
                span.note {
                    "Same address as " a href={ "/conversations/" (segment(&winner.id)) } { (name_of(winner)) }
                    ", who was created first and gets the mail."
                }
            }
        }
    }
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
