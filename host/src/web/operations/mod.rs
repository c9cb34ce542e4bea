//! How the sync of a tenant is, for its administrators: every connection and how it stands, what audits found, the mail of
//! the last day, what was set aside, and why a message is (not) here (T02, T03).

use std::collections::HashMap;

use axum::{extract::Query, response::Redirect};
use maud::{Markup, html};

use super::{
    Desk,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    layout::{self, Section},
    webhooks,
};
use crate::{
    contract::{Subject, Trigger},
    people::Role,
    store::{Connection, ConnectionStatus},
};
use card::{Known, card};
use chart::chart;
use search::{TEXT_LIMIT, hits};

mod card;
mod chart;
mod search;

pub(crate) use search::{look_up, look_up_in};

/// Hours that the chart shows.
const HOURS: u32 = 24;

/// `GET /operations`. `find` is a message's id, a Message-ID or a contact's address; `aside` a connection whose set aside
/// messages are shown.
pub(super) async fn page(
    desk: Desk,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    for_administrators(&desk)?;
    let text = |name: &str| query.get(name).map_or("", |text| text.trim());
    let find = text("find");
    let connections = under_watch(&desk).await?;
    let found = if find.is_empty() || find.len() > TEXT_LIMIT {
        None
    } else {
        Some(look_up(&desk, &connections, find).await)
    };
    let audits = desk.connections.audits(&desk.tenant).await?;
    let limits = desk.connections.limits().await;
    let now = desk.connections.now();
    let mut cards = Vec::new();
    for connection in &connections {
        let id = &connection.scope.connection;
        let is_open = id.as_str() == text("aside");
        let known = Known {
            audit: audits.get(id),
            limits: limits.as_ref(),
            quota: desk.connections.quota(connection),
            set_aside: if is_open {
                Some(desk.connections.explain(id, Subject::Quarantined).await)
            } else {
                None
            },
            now,
        };
        cards.push(card(connection, &known, &visitor));
    }
    let traffic = desk.crm.traffic(&desk.tenant, now, HOURS).await?;
    let told = webhooks::part(&desk, &visitor).await?;
    let content = html! {
            h1 { "Operations" }
            p.muted { "Component " (desk.connections.component().await) ". Numbers for Prometheus are at " a href="/metrics" { "/metrics" } "." }
            h2 { "Connections" }
            div #connections {
                @if connections.is_empty() { p.muted { "No mailbox is connected." } }
                @for card in &cards { (card) }
            }
            h2 { "Mail of the last " (HOURS) " hours" }
            div #traffic { (chart(&traffic)) }
            h2 { "Why a message is here, or is not" }
            (search::form(find))
            @if let Some(found) = &found { (hits(found)) }
            (told)
    };
    // What was looked up costs requests at the provider, and stays as it was found.
    let main = if find.is_empty() && text("aside").is_empty() {
        layout::live_connections("narrow", &["connections", "traffic"], &content)
    } else {
        html! { main.narrow { (content) } }
    };
    Ok(desk.page("Operations", Section::Operations, &main))
}

/// The tenant's connections that were not ended.
pub(crate) async fn under_watch(desk: &Desk) -> Result<Vec<Connection>, Failure> {
    let mut connections = desk.connections.list(&desk.tenant).await?;
    connections.retain(|connection| connection.status != ConnectionStatus::Disconnected);
    Ok(connections)
}

/// `POST /operations/retry`: a pass now, which tries again what was set aside too.
pub(super) async fn retry(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = administered(&desk, form.text("connection")).await?;
    desk.connections
        .wake(&connection.scope.connection, Trigger::Manual);
    Ok(Redirect::to("/operations"))
}

/// `POST /operations/audit`: compares a mailbox with its ledger, and brings in what is missing (T03).
pub(super) async fn audit(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = administered(&desk, form.text("connection")).await?;
    desk.connections.audit(&connection.scope.connection);
    Ok(Redirect::to("/operations"))
}

/// A connection of the tenant that was not ended, for its administrators.
pub(crate) async fn administered(desk: &Desk, id: &str) -> Result<Connection, Failure> {
    for_administrators(desk)?;
    let mut all = under_watch(desk).await?.into_iter();
    let found = all.find(|connection| connection.scope.connection.as_str() == id);
    found.ok_or_else(Failure::not_found)
}

/// Refuses whoever is no administrator.
pub(crate) fn for_administrators(desk: &Desk) -> Result<(), Failure> {
    match desk.entered.person.role {
        Role::Admin => Ok(()),
        Role::User => Err(Failure::for_administrators()),
    }
}
