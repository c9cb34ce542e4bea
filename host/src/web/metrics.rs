//! Numbers for Prometheus, in its text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Labels name connections by their ids alone: no address, tenant or user is in here.

use std::{collections::HashMap, fmt::Write as _};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use super::{Desk, failure::Failure};
use crate::{
    audit::AuditStanding,
    scope::ConnectionId,
    store::{Connection, ConnectionStatus},
};

/// `GET /metrics`.
pub(super) async fn page(desk: Desk) -> Result<Response, Failure> {
    let connections = desk.connections.list(&desk.tenant).await?;
    let audits = desk.connections.audits(&desk.tenant).await?;
    let text = text(&connections, &audits, desk.connections.now());
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response())
}

/// All metrics at `now`, ms since the epoch. Connections that were ended are left out.
fn text(connections: &[Connection], audits: &HashMap<ConnectionId, AuditStanding>, now: u64) -> String {
    let rows: Vec<(&Connection, Option<&AuditStanding>)> = connections
        .iter()
        .filter(|connection| connection.status != ConnectionStatus::Disconnected)
        .map(|connection| (connection, audits.get(&connection.scope.connection)))
        .collect();
    let age = |at: u64| now.saturating_sub(at) / 1_000;
    let mut out = String::new();
    family(
        &mut out,
        [
            "twinbox_connection_active",
            "gauge",
            "1 while the connection syncs, 0 while it waits for its user.",
        ],
        &rows,
        |connection, _| Some(u64::from(connection.status == ConnectionStatus::Active)),
    );
    family(
        &mut out,
        [
            "twinbox_connection_failures",
            "gauge",
            "Passes that failed since the last one that did not.",
        ],
        &rows,
        |connection, _| Some(connection.failures.into()),
    );
    family(
        &mut out,
        [
            "twinbox_connection_pass_age_seconds",
            "gauge",
            "Time since the last pass ended.",
        ],
        &rows,
        |connection, _| connection.last_run_at.map(age),
    );
    family(
        &mut out,
        [
            "twinbox_audit_missing",
            "gauge",
            "Messages that the last audit left missing.",
        ],
        &rows,
        |_, audit| Some(audit?.last.as_ref()?.1.missing.into()),
    );
    family(
        &mut out,
        [
            "twinbox_audit_age_seconds",
            "gauge",
            "Time since the last audit that did not fail.",
        ],
        &rows,
        |_, audit| Some(age(audit?.last.as_ref()?.0)),
    );
    family(
        &mut out,
        [
            "twinbox_audit_failures",
            "gauge",
            "Audits that failed since the last one that did not.",
        ],
        &rows,
        |_, audit| Some(audit?.failures.into()),
    );
    family(
        &mut out,
        [
            "twinbox_audit_healed_total",
            "counter",
            "Messages that were missing and that an audit brought in.",
        ],
        &rows,
        |_, audit| Some(audit.map_or(0, |audit| audit.healed)),
    );
    out
}

/// A metric: its name, type and meaning, and a line for each connection that has it.
fn family(
    out: &mut String,
    [name, kind, meaning]: [&str; 3],
    rows: &[(&Connection, Option<&AuditStanding>)],
    value: impl Fn(&Connection, Option<&AuditStanding>) -> Option<u64>,
) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "# HELP {name} {meaning}\n# TYPE {name} {kind}");
    for (connection, audit) in rows {
        if let Some(value) = value(connection, *audit) {
            let id = escaped(connection.scope.connection.as_str());
            let _ = writeln!(out, "{name}{{connection=\"{id}\"}} {value}");
        }
    }
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
