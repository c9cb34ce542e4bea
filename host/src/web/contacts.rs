//! Contacts: mail is synced with them and nobody else, so there has to be a way to add one.

use axum::response::{Html as HtmlResponse, Redirect};

use super::{
    Desk, addresses,
    conversations::name_of,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    html::{Html, html, segment},
    layout::{self, Section},
};
use crate::{
    contract::{Contact, Problem},
    crm::{NewContact, Paging},
};

/// `GET /contacts`: the first 500, and a form for another one.
pub(super) async fn list(desk: Desk, visitor: Visitor) -> Result<HtmlResponse<String>, Failure> {
    let contacts = desk.crm.list_contacts(&desk.tenant, Paging::default()).await?;
    let items: Vec<Html> = contacts
        .iter()
        .map(|contact| {
            let assigned = contact
                .assigned_user
                .as_ref()
                .map(|user| html!(" <span class=\"badge\">" (user) "</span>"));
            let winner = winner_over(contact, &contacts).map(|winner| {
                html!(
                    "<br><span class=\"note\">Same address as <a href=\"/conversations/" (segment(&winner.id)) "\">"
                    (name_of(winner)) "</a>, who was created first and gets the mail.</span>"
                )
            });
            html!(
                "<li><a href=\"/conversations/" (segment(&contact.id)) "\">" (name_of(contact)) "</a> "
                "<span class=\"muted\">" (contact.addresses.join(", ")) "</span>" (assigned) (winner) "</li>"
            )
        })
        .collect();
    let main = html!(
        "<main class=\"narrow\"><h1>Contacts</h1><p class=\"muted\">Mail with these people is synced, from the time a "
        "mailbox is connected. Other mail never leaves it.</p><ul class=\"plain\">" (items) "</ul>"
        "<h2>Add a contact</h2><form class=\"write\" method=\"post\" action=\"/contacts\">" (visitor.field())
        "<label>Name<input type=\"text\" name=\"name\"></label>"
        "<label>Addresses, separated by commas<input type=\"text\" name=\"addresses\" required></label>"
        "<p><button class=\"primary\">Add</button></p></form></main>"
    );
    Ok(layout::page("Contacts", Section::Contacts, &main))
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
