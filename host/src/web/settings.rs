//! Settings: the mailbox that is connected, how it is, and how to connect, change or end it.

use std::collections::HashMap;

use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};

use super::{
    Desk,
    compose::own_connections,
    connections::Trouble,
    escape::segment,
    failure::{Failure, described},
    guard::{CheckedForm, Visitor},
    layout::{self, Section, time},
    oauth::{self, connect_again, connect_form, contacts_field},
    sign_in,
};
use crate::{
    accounts::Chosen,
    audit::AuditStanding,
    choices::{Choices, Wanted},
    contract::{OptionalScope, Problem, Trigger},
    privacy::{AssignedUsers, Privacy},
    problem::{access_text, describe, describe_with},
    store::{Connection, ConnectionStatus},
    vault::Lasting,
};

/// Milliseconds of the window of the daily limit (S21).
const DAY: u64 = 24 * 3_600_000;

/// `GET /settings`.
pub(super) async fn page(desk: Desk, visitor: Visitor) -> Result<Markup, Failure> {
    let all = own_connections(&desk).await?;
    let (ended, current): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|connection| connection.status == ConnectionStatus::Disconnected);
    let audits = desk.connections.audits(&desk.tenant).await?;
    let offers = desk.connections.offers().await;
    let mut cards = Vec::new();
    for connection in &current {
        let id = &connection.scope.connection;
        let lasting = desk.connections.lasting(id).await;
        let bcc_address = desk.connections.bcc_address(id).await?;
        let sent = sent_today(&desk, connection).await?;
        let known = Known {
            lasting: &lasting,
            audit: audits.get(id),
            bcc_address: bcc_address.as_deref(),
            sent,
        };
        cards.push(card(connection, &known, &offers, &visitor));
    }
    let content = html! {
        h1 { "Settings" }
        p.muted { "My Profile › General" }
        h2 { "Email (2-way sync)" }
        div #connections { @for card in &cards { (card) } }
        @if current.is_empty() {
            div.card {
                h3 { "Gmail" }
                p {
                    "Mail with your contacts appears here, and what you write here is sent from your mailbox. Mail from "
                    "before you connect stays where it is."
                }
                (connect_form(&visitor, "Connect Gmail", &offers, &Choices::default()))
            }
        }
        @if !ended.is_empty() {
            h3 { "Earlier connections" }
            ul.plain {
                @for connection in &ended {
                    li {
                        (connection.address) " "
                        span.muted { "since " (time(connection.created_at)) ", disconnected" }
                    }
                }
            }
        }
        @if let Some(account) = sign_in::account(&desk, &visitor) { (account) }
    };
    let main = layout::live_connections("narrow", &["connections"], &content);
    Ok(desk.page("Settings", Section::Settings, &main))
}

/// `POST /settings/sync`: asks for a pass now.
pub(super) async fn sync(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = own(&desk, form.text("connection")).await?;
    desk.connections
        .wake(&connection.scope.connection, Trigger::Manual);
    Ok(Redirect::to("/settings"))
}

/// `POST /settings/contacts`: the choice of S08. What the grant lacks is asked for on the consent page.
pub(super) async fn contacts(desk: Desk, form: CheckedForm) -> Result<Response, Failure> {
    let connection = own(&desk, form.text("connection")).await?;
    let choices = oauth::ticked(&form);
    let id = &connection.scope.connection;
    match desk.connections.choose(id, &choices).await? {
        Chosen::Done => Ok(Redirect::to("/settings").into_response()),
        Chosen::ConsentNeeded => {
            let address = Some(connection.address);
            oauth::begin(&desk, Wanted { address, choices }).await
        }
    }
}

/// `POST /settings/bcc`: another BCC address (S18).
pub(super) async fn rotate_bcc_address(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = own(&desk, form.text("connection")).await?;
    let id = &connection.scope.connection;
    desk.connections.rotate_bcc_address(id).await?;
    Ok(Redirect::to("/settings"))
}

/// `GET /settings/disconnect`: what will happen (S06).
pub(super) async fn confirm_disconnect(
    desk: Desk,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    let connection = own(&desk, query.get("connection").map_or("", String::as_str)).await?;
    let main = html! {
        main.narrow {
            h1 { "Disconnect " (connection.address) "?" }
            ul {
                li { "Sync stops at once: new mail no longer comes in." }
                li { "Messages that are here stay here, and nothing changes in the mailbox." }
                li { "Mail that waits to be sent is not sent." }
                li { "Access to the account is given back, unless another connection still uses the same account." }
                li { "You can connect again at any time; mail from the time between does not come in." }
            }
            form method="post" action="/settings/disconnect" {
                (visitor.field()) (id_field(&connection))
                p { button.danger { "Disconnect" } " " a.button href="/settings" { "Keep it" } }
            }
        }
    };
    Ok(desk.page("Disconnect", Section::Settings, &main))
}

/// `POST /settings/disconnect` (S06).
pub(super) async fn disconnect(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    let connection = own(&desk, form.text("connection")).await?;
    desk.connections.disconnect(&connection.scope.connection).await?;
    Ok(Redirect::to("/settings"))
}

/// The user's own connection with this id.
pub(crate) async fn own(desk: &Desk, id: &str) -> Result<Connection, Failure> {
    own_connections(desk)
        .await?
        .into_iter()
        .find(|connection| connection.scope.connection.as_str() == id)
        .ok_or_else(|| Trouble::from(&Problem::NotConnected).into())
}

/// What is known of a connection beside its row.
struct Known<'k> {
    lasting: &'k Lasting,
    audit: Option<&'k AuditStanding>,
    bcc_address: Option<&'k str>,
    /// Messages sent from here in the last 24 hours.
    sent: u32,
}

fn card(
    connection: &Connection,
    &Known {
        lasting,
        audit,
        bcc_address,
        sent,
    }: &Known<'_>,
    offers: &[OptionalScope],
    visitor: &Visitor,
) -> Markup {
    let (class, state) = match connection.status {
        ConnectionStatus::Connecting => ("open", "Connecting"),
        ConnectionStatus::Active if connection.failures > 0 => ("open", "Connected, with trouble"),
        ConnectionStatus::Active => ("good", "Connected"),
        ConnectionStatus::NeedsReconnect => ("bad", "Needs to be connected again"),
        ConnectionStatus::Disconnected => ("open", "Disconnected"),
    };
    let problem = match (&connection.problem, connection.status) {
        (Some(problem), _) => Some(problem.clone()),
        (None, ConnectionStatus::NeedsReconnect) => Some(Problem::ReconnectNeeded),
        (None, _) => None,
    };
    let choices = Choices::of(offers, &connection.settings);
    html! {
        div.card {
            h3 { (connection.address) " " span class={ "badge " (class) } { (state) } }
            p.muted {
                "Gmail, since " (time(connection.created_at)) ". "
                @if let Some(at) = connection.last_run_at { "Last sync " (time(at)) "." } @else { "Not synced yet." }
                @if let Some(at) = connection.next_run_at { " Next " (time(at)) "." }
            }
            p.muted { (whose(connection)) " " (checked(audit)) }
            p.muted { (sent) @if let Some(limit) = daily_limit(connection) { " of " (limit) } " messages sent from here in the last 24 hours." }
            @if let Some(text) = access_text(lasting) { p.note { (text) } }
            @if let Some(problem) = problem { (described(&describe_with(&problem, lasting).into())) }
            @if connection.status == ConnectionStatus::NeedsReconnect {
                (connect_again(visitor, &wanted(connection, offers)))
            }
            div.row {
                form method="post" action="/settings/sync" {
                    (visitor.field()) (id_field(connection)) button { "Sync now" }
                }
                form method="get" action="/settings/disconnect" { (id_field(connection)) button { "Disconnect…" } }
                form method="get" action="/settings/privacy" { (id_field(connection)) button { "Privacy…" } }
                form method="get" action="/settings/preview" { (id_field(connection)) button { "Preview…" } }
                a.button href={ "/settings/domain?domain=" (segment(&connection.address)) } { "Check the domain" }
            }
            @if let Some(field) = contacts_field(offers, &choices) { (contacts_form(connection, &field, visitor)) }
            @if let Some(address) = bcc_address { (bcc_form(connection, address, visitor)) }
            details {
                summary { "Update the address" }
                p {
                    "New mail syncs with the new address; ongoing conversations stop syncing from this one; messages that "
                    "are here stay."
                }
                (connect_form(visitor, "Update", offers, &choices))
            }
        }
    }
}

/// The choice of S08, where it is offered.
fn contacts_form(connection: &Connection, field: &Markup, visitor: &Visitor) -> Markup {
    html! {
        form.write method="post" action="/settings/contacts" {
            (visitor.field()) (id_field(connection)) (field)
            p { button { "Save" } }
        }
    }
}

/// The BCC address, what it is for, and how to get another (S18).
fn bcc_form(connection: &Connection, address: &str, visitor: &Visitor) -> Markup {
    let copied = format!("bcc-{}", connection.scope.connection);
    html! {
        h4 { "BCC address" }
        p.row { code #(copied) { (address) } button type="button" data-copy=(copied) hidden { "Copy" } }
        p.muted {
            "Put it into Bcc of a mail that you send, and the mail is logged to the conversation of its first recipient who "
            "is a contact, whatever program you send it with. Keep it to yourself: who knows it can write to it."
        }
        form method="post" action="/settings/bcc" {
            (visitor.field()) (id_field(connection))
            button { "Get another address" }
            " " span.muted { "Mail to this one is refused then." }
        }
    }
}

/// What a connection was asked for.
fn wanted(connection: &Connection, offers: &[OptionalScope]) -> Wanted {
    Wanted {
        address: Some(connection.address.clone()),
        choices: Choices::of(offers, &connection.settings),
    }
}

/// How many messages the mailbox has sent from here in the last 24 hours (S21).
pub(crate) async fn sent_today(desk: &Desk, connection: &Connection) -> Result<u32, Failure> {
    let day_ago = desk.connections.now().saturating_sub(DAY);
    let id = &connection.scope.connection;
    Ok(desk.crm.sent_since(&desk.tenant, id, day_ago).await?)
}

/// How many messages the mailbox may send in 24 hours (S21).
pub(crate) fn daily_limit(connection: &Connection) -> Option<u64> {
    let settings: serde_json::Value = serde_json::from_str(&connection.settings).ok()?;
    settings["daily-limit"].as_u64()
}

/// Of whose contacts mail is synced (S30).
fn whose(connection: &Connection) -> &'static str {
    let chosen = Privacy::of(&connection.settings).assigned_users;
    match chosen.unwrap_or_else(|| AssignedUsers::unless_chosen(&connection.settings)) {
        AssignedUsers::Own => "Mail comes in of contacts that are assigned to you or to nobody.",
        AssignedUsers::Any => "Mail of all contacts comes in, whoever they are assigned to.",
    }
}

/// What the last audit found (T03).
pub(super) fn checked(audit: Option<&AuditStanding>) -> Markup {
    let failed = audit.and_then(|audit| Some((audit.tried_at, describe(audit.problem.as_ref()?))));
    html! {
        @if let Some((at, findings)) = audit.and_then(|audit| audit.last.as_ref()) {
            "Last check " (time(*at)) ": " (findings.summary()) "."
        } @else {
            "Not checked yet."
        }
        @if let Some((at, described)) = failed {
            " The check " (time(at)) " did not work, and is tried again: " (described.happened)
        }
    }
}

pub(super) fn id_field(connection: &Connection) -> Markup {
    html! { input type="hidden" name="connection" value=(connection.scope.connection.as_str()); }
}
