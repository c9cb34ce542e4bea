//! One connection as an operator sees it.

use std::time::Duration;

use maud::{Markup, html};

use super::search::line;
use crate::{
    audit::AuditStanding,
    contract::Explanation,
    quota,
    sandbox::Limits,
    store::{Connection, ConnectionStatus, Used},
    web::{
        connections::Trouble,
        escape::segment,
        failure::described,
        guard::Visitor,
        layout::time,
        settings::{checked, id_field},
    },
};

/// What is known of a connection besides its row.
pub(super) struct Known<'k> {
    pub(super) audit: Option<&'k AuditStanding>,
    pub(super) limits: Option<&'k Limits>,
    pub(super) quota: Option<quota::Used>,
    /// What could not be handled, where it was asked for.
    pub(super) set_aside: Option<Result<Vec<Explanation>, Trouble>>,
    pub(super) now: u64,
}

pub(super) fn card(connection: &Connection, known: &Known<'_>, visitor: &Visitor) -> Markup {
    let now = known.now;
    let standing = &connection.standing;
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
                dt { "Complete up to" } dd { (ago(standing.current_at, now)) }
                dt { "Last pass" } dd { (ago(connection.last_run_at, now)) }
                dt { "Next pass" } dd { @if let Some(at) = connection.next_run_at { (time(at)) } @else { "when something happens" } }
                dt { "Last notification" } dd { (ago(connection.announced.heard_at, now)) }
                dt { "Watched until" } dd { @if let Some(at) = standing.watched_until { (time(at)) (in_days(at, now)) } @else { "not watched: it is polled" } }
                @if connection.announced.waiting.is_some() { dt { "Announced" } dd { "a change that no pass has looked for yet" } }
                @if connection.failures > 0 { dt { "Failed passes" } dd { (connection.failures) } }
                @if connection.last_run_at.is_some() { dt { "The last pass used" } dd { (used(&standing.used, known.limits)) } }
                @if let Some(quota) = &known.quota { dt { "Quota" } dd { (quota_use(quota, now)) } }
                dt { "Audit" } dd { (checked(known.audit)) }
            }
            @if let Some(problem) = &connection.problem { (described(&Trouble::from(problem))) }
            div.row {
                form method="post" action="/operations/retry" {
                    (visitor.field()) (id_field(connection))
                    button { "Sync now, and try again what was set aside" }
                }
                form method="post" action="/operations/audit" {
                    (visitor.field()) (id_field(connection))
                    button { "Audit now" }
                }
                @if known.set_aside.is_none() {
                    a.button href={ "/operations?aside=" (segment(connection.scope.connection.as_str())) } { "What was set aside" }
                }
            }
            @match &known.set_aside {
                None => {},
                Some(Err(trouble)) => (described(trouble)),
                Some(Ok(aside)) if aside.is_empty() => p.muted { "Nothing was set aside." },
                Some(Ok(aside)) => ul.plain { @for explanation in aside { (line(explanation)) } },
            }
        }
    }
}

/// What a pass used of what it may.
fn used(used: &Used, limits: Option<&Limits>) -> Markup {
    let requests = if used.requests == 1 { "request" } else { "requests" };
    let memory = limits.map(|limits| limits.memory as u64);
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let cpu = limits.map(|limits| milliseconds(limits.cpu));
    let wall = limits.map(|limits| milliseconds(limits.wall));
    html! {
        (used.requests) " " (requests) ", " (used.units) " quota units"
        br; (share("Memory", used.memory, memory, mebibytes))
        br; (share("Time inside the component", used.cpu, cpu, seconds))
        br; (share("Time in all", used.wall, wall, seconds))
    }
}

/// So much of what there is at most, as a picture and in words.
fn share(name: &str, used: u64, most: Option<u64>, text: impl Fn(u64) -> String) -> Markup {
    html! {
        (name) ": " (text(used))
        @if let Some(most) = most {
            " of " (text(most)) " "
            meter aria-label=(name) min="0" max=(most) high=(most / 4 * 3) value=(used) {}
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1_000, milliseconds % 1_000)
}

fn quota_use(quota: &quota::Used, now: u64) -> Markup {
    html! {
        (quota.units) @if let Some(of) = quota.of { " of " (of) } " units in the last minute"
        @if quota.barred_until > now { "; the provider wants no request before " (time(quota.barred_until)) }
        @if quota.sending_barred_until > now { "; no sending before " (time(quota.sending_barred_until)) }
    }
}

fn in_days(at: u64, now: u64) -> String {
    let hours = at.saturating_sub(now) / 3_600_000;
    match hours {
        0 => ", which is over or nearly so".to_owned(),
        1..=47 => format!(", in {hours} h"),
        _ => format!(", in {} days", hours / 24),
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
