//! How the sync of a tenant is, for its administrators: every connection, what audits found, the mail of the last day,
//! and why a message is (not) here (T02, T03).

use std::collections::HashMap;

use axum::{extract::Query, response::Redirect};
use maud::{Markup, html};

use super::{
    Desk,
    connections::Trouble,
    escape::segment,
    failure::{Failure, described},
    guard::{CheckedForm, Visitor},
    layout::{self, Section, time},
    settings::{checked, id_field},
    why::{Verdict, in_words},
};
use crate::{
    contract::{Explanation, Outcome, Subject, Trigger},
    crm::Hour,
    people::Role,
    store::{Connection, ConnectionStatus},
};

/// Hours that the chart shows.
const HOURS: u32 = 24;
/// Connections that a search asks at most: each runs the component once.
const ASKED: usize = 20;
/// Messages that a search shows at most.
const SHOWN: usize = 100;
/// The longest text to search for, bytes.
const TEXT_LIMIT: usize = 1_000;

/// `GET /operations`. `find` is a message's id, a Message-ID or a contact's address.
pub(super) async fn page(
    desk: Desk,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    for_administrators(&desk)?;
    let find = query.get("find").map_or("", |find| find.trim());
    let mut connections = desk.connections.list(&desk.tenant).await?;
    connections.retain(|connection| connection.status != ConnectionStatus::Disconnected);
    let found = if find.is_empty() || find.len() > TEXT_LIMIT {
        None
    } else {
        Some(search(&desk, &connections, find).await)
    };
    let audits = desk.connections.audits(&desk.tenant).await?;
    let now = desk.connections.now();
    let traffic = desk.crm.traffic(&desk.tenant, now, HOURS).await?;
    let main = html! {
        main.narrow {
            h1 { "Operations" }
            p.muted { "Component " (desk.connections.component().await) ". Numbers for Prometheus are at " a href="/metrics" { "/metrics" } "." }
            h2 { "Connections" }
            @if connections.is_empty() { p.muted { "No mailbox is connected." } }
            @for connection in &connections {
                (card(connection, &checked(audits.get(&connection.scope.connection)), now, &visitor))
            }
            h2 { "Mail of the last " (HOURS) " hours" }
            (chart(&traffic))
            h2 { "Why a message is here, or is not" }
            (search_form(find))
            @if let Some(found) = &found { (hits(found)) }
        }
    };
    Ok(layout::page("Operations", Section::Settings, &main))
}

/// `POST /operations/retry`: a pass now, which tries again what was set aside too.
pub(super) async fn retry(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    for_administrators(&desk)?;
    let all = desk.connections.list(&desk.tenant).await?;
    let mut all = all.iter().map(|connection| &connection.scope.connection);
    let id = all.find(|id| id.as_str() == form.text("connection"));
    desk.connections
        .wake(id.ok_or_else(Failure::not_found)?, Trigger::Manual);
    Ok(Redirect::to("/operations"))
}

/// Refuses whoever is no administrator.
fn for_administrators(desk: &Desk) -> Result<(), Failure> {
    match desk.entered.person.role {
        Role::Admin => Ok(()),
        Role::User => Err(Failure::for_administrators()),
    }
}

fn card(connection: &Connection, audit: &Markup, now: u64, visitor: &Visitor) -> Markup {
    let (class, state) = match connection.status {
        ConnectionStatus::Active if connection.failures == 0 => ("good", "Active"),
        ConnectionStatus::Active => ("open", "Failing"),
        ConnectionStatus::NeedsReconnect => ("bad", "Needs its user"),
        ConnectionStatus::Connecting | ConnectionStatus::Disconnected => ("open", "Connecting"),
    };
    html! {
        div.card {
            h3 { (connection.address) " " span class={ "badge " (class) } { (state) } }
            dl.people {
                dt { "User" } dd { (connection.scope.user.as_str()) }
                dt { "Last pass" } dd { (ago(connection.last_run_at, now)) }
                dt { "Next pass" } dd { @if let Some(at) = connection.next_run_at { (time(at)) } @else { "when something happens" } }
                dt { "Last notification" } dd { (ago(connection.announced.heard_at, now)) }
                @if connection.announced.waiting.is_some() { dt { "Announced" } dd { "a change that no pass has looked for yet" } }
                @if connection.failures > 0 { dt { "Failed passes" } dd { (connection.failures) } }
                dt { "Audit" } dd { (audit) }
            }
            @if let Some(problem) = &connection.problem { (described(&Trouble::from(problem))) }
            form method="post" action="/operations/retry" {
                (visitor.field()) (id_field(connection))
                button { "Sync now, and try again what was set aside" }
            }
        }
    }
}

fn ago(at: Option<u64>, now: u64) -> Markup {
    let Some(at) = at else {
        return html! { "never" };
    };
    let seconds = now.saturating_sub(at) / 1_000;
    let text = match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3_600),
    };
    html! { (time(at)) ", " (text) }
}

/// Two bars for each hour; the numbers stand in a table below.
fn chart(hours: &[Hour]) -> Markup {
    const WIDE: u32 = 26;
    const HIGH: u32 = 100;
    let most = hours.iter().map(|hour| hour.inbound.max(hour.outbound)).max();
    let most = most.unwrap_or_default().max(1);
    let height = |count: u32| count * HIGH / most;
    let (came, went) = hours.iter().fold((0, 0), |(came, went), hour| {
        (came + hour.inbound, went + hour.outbound)
    });
    let bars = (0u32..).zip(hours);
    let width = WIDE * u32::try_from(hours.len()).unwrap_or_default();
    html! {
        figure {
            svg.chart viewBox={ "0 0 " (width) " " (HIGH + 2) } role="img" aria-labelledby="traffic-title traffic-text" preserveAspectRatio="none" {
                title id="traffic-title" { "Mail by the hour" }
                desc id="traffic-text" { (came) " messages came and " (went) " went; at most " (most) " in an hour." }
                @for (place, hour) in bars {
                    rect.came x=(place * WIDE + 2) y=(HIGH - height(hour.inbound)) width="10" height=(height(hour.inbound) + 1) {}
                    rect.went x=(place * WIDE + 13) y=(HIGH - height(hour.outbound)) width="10" height=(height(hour.outbound) + 1) {}
                }
            }
            figcaption.muted { (came) " came, " (went) " went." }
        }
        details {
            summary { "As a table" }
            table {
                thead { tr { th scope="col" { "From" } th scope="col" { "Came" } th scope="col" { "Went" } } }
                tbody {
                    @for hour in hours { tr { td { (time(hour.from)) } td { (hour.inbound) } td { (hour.outbound) } } }
                }
            }
        }
    }
}

fn search_form(find: &str) -> Markup {
    html! {
        form.write method="get" action="/operations" {
            label {
                "A message's id at the provider, its Message-ID, or a contact's address"
                input type="search" name="find" value=(find) maxlength=(TEXT_LIMIT) required;
            }
            p { button.primary { "Look it up" } }
        }
    }
}

/// What a connection's ledger says, or why it cannot be asked.
struct Hit<'c> {
    connection: &'c Connection,
    found: Result<Vec<Explanation>, Trouble>,
}

async fn search<'c>(desk: &Desk, connections: &'c [Connection], find: &str) -> Vec<Hit<'c>> {
    let mut hits = Vec::new();
    for connection in connections.iter().take(ASKED) {
        let id = &connection.scope.connection;
        let mut found = Ok(Vec::new());
        for subject in subjects(find) {
            found = desk.connections.explain(id, subject).await;
            if found.as_ref().map_or(true, |found| !found.is_empty()) {
                break;
            }
        }
        hits.push(Hit { connection, found });
    }
    hits
}

/// What a text may mean, in this order. An address may also be a Message-ID without its brackets.
pub(crate) fn subjects(text: &str) -> Vec<Subject> {
    let (message_id, contact) = (
        Subject::MessageId(text.to_owned()),
        Subject::Contact(text.to_owned()),
    );
    if text.starts_with('<') {
        vec![message_id]
    } else if text.contains('@') {
        vec![contact, message_id]
    } else {
        vec![Subject::Message(text.to_owned())]
    }
}

fn hits(hits: &[Hit<'_>]) -> Markup {
    html! {
        section aria-label="Found" {
            @for hit in hits {
                h3 { (hit.connection.address) }
                @match &hit.found {
                    Err(trouble) => (described(trouble)),
                    Ok(found) if found.is_empty() => p.muted { "Neither the mailbox nor the ledger has it." },
                    Ok(found) => ul.plain { @for explanation in found.iter().take(SHOWN) { (line(explanation)) } },
                }
            }
        }
    }
}

fn line(explanation: &Explanation) -> Markup {
    let (class, outcome, verdict) = match &explanation.outcome {
        Outcome::Delivered(_) => ("good", "Delivered".to_owned(), Verdict::Here),
        Outcome::Excluded(_) => ("open", "Kept out".to_owned(), Verdict::KeptOut),
        Outcome::Gone => ("open", "Gone before it was read".to_owned(), Verdict::KeptOut),
        Outcome::Quarantined(why) => ("bad", format!("Set aside: {why}"), Verdict::KeptOut),
        Outcome::Missing => (
            "bad",
            "Missing; the next pass brings it".to_owned(),
            Verdict::KeptOut,
        ),
    };
    html! {
        li {
            span class={ "badge " (class) } { (outcome) } " " code { (explanation.id) } " "
            span.muted { (time(explanation.decided_at)) ", version " (explanation.version) }
            br;
            (in_words(&explanation.rule, verdict)) " Rule " (explanation.rule) "."
            @if let Outcome::Delivered(contact) = &explanation.outcome {
                " " a href={ "/conversations/" (segment(contact)) } { "Conversation" }
            }
            details {
                summary { "What was looked at" }
                dl.people { @for input in &explanation.inputs { dt { (input.name) } dd { (input.value) } } }
            }
        }
    }
}
