//! What is kept out of the CRM (T06): the lists of a connection, and private conversations.

use std::collections::HashMap;

use axum::{
    extract::Query,
    response::{Html as HtmlResponse, Redirect},
};

use super::{
    Desk,
    connections::Trouble,
    conversations::name_of,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    html::{Html, html, segment},
    layout::{self, Section},
    settings::{id_field, own},
};
use crate::{contract::Contact, crm::Secrecy, privacy::Privacy, store::Connection};

/// `GET /settings/privacy`.
pub(super) async fn page(
    desk: Desk,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<HtmlResponse<String>, Failure> {
    let connection = own(&desk, query.get("connection").map_or("", String::as_str)).await?;
    let private = desk.crm.private_contacts(&desk.tenant).await?;
    let private: Vec<Html> = private
        .iter()
        .map(|contact| private_item(contact, &connection, &visitor))
        .collect();
    let main = html!(
        "<main class=\"narrow\"><h1>Privacy of " (connection.address) "</h1>"
        (lists_form(&connection, &visitor))
        "<h2>Private conversations</h2><p>While a conversation is private, none of its mail comes in.</p>"
        "<ul class=\"plain\">" (private) "</ul>"
        "<form class=\"write\" method=\"post\" action=\"/settings/privacy/contact\">" (visitor.field()) (id_field(&connection))
        "<label>Address of a contact<input type=\"text\" name=\"address\"></label><p><button>Make private</button></p></form>"
        "<h2>Mail that came before</h2><p>What the lists above no longer allow is taken out of here; in the mailbox it stays.</p>"
        "<form method=\"post\" action=\"/settings/privacy/retract\">" (visitor.field()) (id_field(&connection))
        "<p><button class=\"danger\">Take it out</button> <a class=\"button\" href=\"/settings\">Back</a></p></form></main>"
    );
    Ok(layout::page("Privacy", Section::Settings, &main))
}

fn lists_form(connection: &Connection, visitor: &Visitor) -> Html {
    let lists = Privacy::of(&connection.settings);
    let is_default = lists.internal_domains.is_none();
    let internal = lists.internal_domains.unwrap_or_default().join("\n");
    let checked = if is_default {
        html!("<input type=\"checkbox\" name=\"internal-default\" checked>")
    } else {
        html!("<input type=\"checkbox\" name=\"internal-default\">")
    };
    html!(
        "<form class=\"write\" method=\"post\" action=\"/settings/privacy\">" (visitor.field()) (id_field(connection))
        "<label>Never sync<textarea name=\"never-sync\" rows=\"4\">" (lists.never_sync.join("\n")) "</textarea></label>"
        "<p class=\"muted\">Addresses, and domains with their subdomains, one on a line. A message that names one of them "
        "anywhere stays out.</p>"
        "<label>" (checked) " Mail among people of the mailbox's own domain stays out</label>"
        "<label>Or of these domains instead<textarea name=\"internal-domains\" rows=\"2\">" (internal) "</textarea></label>"
        "<label>Also my addresses<textarea name=\"own-addresses\" rows=\"2\">" (lists.own_addresses.join("\n")) "</textarea></label>"
        "<p><button>Save</button></p></form>"
    )
}

fn private_item(contact: &Contact, connection: &Connection, visitor: &Visitor) -> Html {
    html!(
        "<li><form class=\"row\" method=\"post\" action=\"/settings/privacy/contact\">" (visitor.field()) (id_field(connection))
        "<input type=\"hidden\" name=\"open\" value=\"" (contact.id) "\"><a href=\"/conversations/" (segment(&contact.id)) "\">"
        (name_of(contact)) "</a> <button>Open again</button></form></li>"
    )
}

/// `POST /settings/privacy`: the lists, from the next pass on.
pub(super) async fn save(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = own(&desk, form.text("connection")).await?;
    let lists = Privacy {
        never_sync: lines(form.text("never-sync")),
        internal_domains: form
            .text("internal-default")
            .is_empty()
            .then(|| lines(form.text("internal-domains"))),
        own_addresses: lines(form.text("own-addresses")),
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
