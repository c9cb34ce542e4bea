//! What is kept out of the CRM (T06): the lists of a connection, and private conversations.

use std::collections::HashMap;

use axum::{extract::Query, response::Redirect};
use maud::{Markup, html};

use super::{
    Desk,
    connections::Trouble,
    conversations::name_of,
    escape::segment,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    layout::Section,
    settings::{id_field, own},
};
use crate::{
    contract::Contact,
    crm::Secrecy,
    privacy::{AssignedUsers, Privacy},
    store::Connection,
};

/// `GET /settings/privacy`.
pub(super) async fn page(
    desk: Desk,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    let connection = own(&desk, query.get("connection").map_or("", String::as_str)).await?;
    let private = desk.crm.private_contacts(&desk.tenant).await?;
    let main = html! {
        main.narrow {
            h1 { "Privacy of " (connection.address) }
            (choices_form(&connection, &visitor))
            h2 { "Private conversations" }
            p { "While a conversation is private, none of its mail comes in." }
            ul.plain { @for contact in &private { (private_item(contact, &connection, &visitor)) } }
            form.write method="post" action="/settings/privacy/contact" {
                (visitor.field()) (id_field(&connection))
                label { "Address of a contact" input type="text" name="address"; }
                p { button { "Make private" } }
            }
            h2 { "Mail that came before" }
            p { "What the lists above no longer allow is taken out of here; in the mailbox it stays." }
            form method="post" action="/settings/privacy/retract" {
                (visitor.field()) (id_field(&connection))
                p { button.danger { "Take it out" } " " a.button href="/settings" { "Back" } }
            }
        }
    };
    Ok(desk.page("Privacy", Section::Settings, &main))
}

fn choices_form(connection: &Connection, visitor: &Visitor) -> Markup {
    let lists = Privacy::of(&connection.settings);
    let is_default = lists.internal_domains.is_none();
    let internal = lists.internal_domains.clone().unwrap_or_default().join("\n");
    html! {
        form.write method="post" action="/settings/privacy" {
            (visitor.field()) (id_field(connection))
            label {
                "Never sync"
                textarea name="never-sync" rows="4" { (lists.never_sync.join("\n")) }
            }
            p.muted {
                "Addresses, and domains with their subdomains, one on a line. A message that names one of them "
                "anywhere stays out."
            }
            label.check {
                input type="checkbox" name="internal-default" checked[is_default];
                " Mail among people of the mailbox's own domain stays out"
            }
            label {
                "Or of these domains instead"
                textarea name="internal-domains" rows="2" { (internal) }
            }
            label {
                "Also my addresses"
                textarea name="own-addresses" rows="2" { (lists.own_addresses.join("\n")) }
            }
            (whose_field(&connection.settings, lists.assigned_users))
            p { button { "Save" } }
        }
    }
}

/// Of whose contacts mail is synced (S30).
fn whose_field(settings: &str, chosen: Option<AssignedUsers>) -> Markup {
    let words = |whose| match whose {
        AssignedUsers::Own => "Contacts assigned to me or to nobody",
        AssignedUsers::Any => "All contacts, whoever they are assigned to",
    };
    let usual = words(AssignedUsers::unless_chosen(settings));
    html! {
        label {
            "Whose contacts"
            select name="assigned-users" {
                option value="" selected[chosen.is_none()] { "As usual here: " (usual) }
                @for whose in [AssignedUsers::Own, AssignedUsers::Any] {
                    option value=(whose.as_str()) selected[chosen == Some(whose)] { (words(whose)) }
                }
            }
        }
        p.muted { "For mail from now on. What came before stays with the contact." }
    }
}

fn private_item(contact: &Contact, connection: &Connection, visitor: &Visitor) -> Markup {
    html! {
        li {
            form.row method="post" action="/settings/privacy/contact" {
                (visitor.field()) (id_field(connection))
                input type="hidden" name="open" value=(contact.id);
                a href={ "/conversations/" (segment(&contact.id)) } { (name_of(contact)) }
                " " button { "Open again" }
            }
        }
    }
}

/// `POST /settings/privacy`: what was chosen, from the next pass on.
pub(super) async fn save(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = own(&desk, form.text("connection")).await?;
    let lists = Privacy {
        never_sync: lines(form.text("never-sync")),
        internal_domains: form
            .text("internal-default")
            .is_empty()
            .then(|| lines(form.text("internal-domains"))),
        own_addresses: lines(form.text("own-addresses")),
        assigned_users: match form.text("assigned-users") {
            "own" => Some(AssignedUsers::Own),
            "any" => Some(AssignedUsers::Any),
            _ => None,
        },
    };
    let id = &connection.scope.connection;
    desk.connections.set_privacy(id, &lists).await?;
    Ok(back(&connection))
}

/// `POST /settings/privacy/contact`: makes a conversation private, or opens it again.
pub(super) async fn contact(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = own(&desk, form.text("connection")).await?;
    let (id, secrecy) = match form.text("open") {
        "" => {
            let address = form.text("address").trim();
            let found = desk.crm.contact_with(&desk.tenant, address).await;
            let contact = found.map_err(|_| {
                Trouble::new(
                    "no-contact",
                    "No contact has this address.",
                    "Give an address as it stands with the contact.",
                )
            })?;
            (contact.id, Secrecy::Private)
        }
        id => (id.to_owned(), Secrecy::Open),
    };
    desk.crm.set_secrecy(&desk.tenant, &id, secrecy).await?;
    Ok(back(&connection))
}

/// `POST /settings/privacy/retract`: takes out what is no longer allowed.
pub(super) async fn retract(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = own(&desk, form.text("connection")).await?;
    desk.connections.retract(&connection.scope.connection);
    Ok(back(&connection))
}

fn back(connection: &Connection) -> Redirect {
    let id = segment(connection.scope.connection.as_str());
    Redirect::to(&format!("/settings/privacy?connection={id}"))
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}
