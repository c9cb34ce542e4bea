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
    push::PushCounts,
    scope::ConnectionId,
    store::{Connection, ConnectionStatus},
};

/// `GET /metrics`.
pub(super) async fn page(desk: Desk) -> Result<Response, Failure> {
    let connections = desk.connections.list(&desk.tenant).await?;
    let audits = desk.connections.audits(&desk.tenant).await?;
    let mut text = text(&connections, &audits, desk.connections.now());
    if let Some(heard) = &desk.site.heard {
        of_notifications(&heard.counts(), &mut text);
    }
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response())
}

/// A metric of connections.
struct Family {
    name: &'static str,
    /// `gauge` or `counter`.
    kind: &'static str,
    meaning: &'static str,
    value: fn(&Row<'_>) -> Option<u64>,
}

/// A connection, and what is known of it.
struct Row<'r> {
    connection: &'r Connection,
    audit: Option<&'r AuditStanding>,
    /// ms since the epoch.
    now: u64,
}

impl Row<'_> {
    /// Seconds since then.
    fn age(&self, at: u64) -> u64 {
        self.now.saturating_sub(at) / 1_000
    }

    /// Something of the last pass, where there was one.
    fn of_last_pass(&self, value: u64) -> Option<u64> {
        self.connection.last_run_at.map(|_| value)
    }
}

const FAMILIES: [Family; 11] = [
    Family {
        name: "twinbox_connection_active",
        kind: "gauge",
        meaning: "1 while the connection syncs, 0 while it waits for its user.",
        value: |row| Some(u64::from(row.connection.status == ConnectionStatus::Active)),
    },
    Family {
        name: "twinbox_connection_failures",
        kind: "gauge",
        meaning: "Passes that failed since the last one that did not.",
        value: |row| Some(row.connection.failures.into()),
    },
    Family {
        name: "twinbox_connection_pass_age_seconds",
        kind: "gauge",
        meaning: "Time since the last pass ended.",
        value: |row| row.connection.last_run_at.map(|at| row.age(at)),
    },
    Family {
        name: "twinbox_connection_lag_seconds",
        kind: "gauge",
        meaning: "Time since everything that the provider had was accounted for.",
        value: |row| row.connection.standing.current_at.map(|at| row.age(at)),
    },
    Family {
        name: "twinbox_connection_watch_seconds",
        kind: "gauge",
        meaning: "Time until the provider stops to push, 0 when it has.",
        value: |row| Some(row.connection.standing.watched_until?.saturating_sub(row.now) / 1_000),
    },
    Family {
        name: "twinbox_pass_memory_bytes",
        kind: "gauge",
        meaning: "The most memory of the last pass at any time.",
        value: |row| row.of_last_pass(row.connection.standing.used.memory),
    },
    Family {
        name: "twinbox_pass_quota_units",
        kind: "gauge",
        meaning: "Quota units that the last pass took.",
        value: |row| row.of_last_pass(row.connection.standing.used.units.into()),
    },
    Family {
        name: "twinbox_audit_missing",
        kind: "gauge",
        meaning: "Messages that the last audit left missing.",
        value: |row| Some(row.audit?.last.as_ref()?.1.missing.into()),
    },
    Family {
        name: "twinbox_audit_age_seconds",
        kind: "gauge",
        meaning: "Time since the last audit that did not fail.",
        value: |row| Some(row.age(row.audit?.last.as_ref()?.0)),
    },
    Family {
        name: "twinbox_audit_failures",
        kind: "gauge",
        meaning: "Audits that failed since the last one that did not.",
        value: |row| Some(row.audit?.failures.into()),
    },
    Family {
        name: "twinbox_audit_healed_total",
        kind: "counter",
        meaning: "Messages that were missing and that an audit brought in.",
        value: |row| Some(row.audit.map_or(0, |audit| audit.healed)),
    },
];

/// All metrics at `now`, ms since the epoch. Connections that were ended are left out.
fn text(connections: &[Connection], audits: &HashMap<ConnectionId, AuditStanding>, now: u64) -> String {
    let current = connections
        .iter()
        .filter(|connection| connection.status != ConnectionStatus::Disconnected);
    let rows: Vec<Row<'_>> = current
        .map(|connection| Row {
            connection,
            audit: audits.get(&connection.scope.connection),
            now,
        })
        .collect();
    let mut out = String::new();
    for Family {
        name,
        kind,
        meaning,
        value,
    } in FAMILIES
    {
        // Writing to a string does not fail.
        let _ = writeln!(out, "# HELP {name} {meaning}\n# TYPE {name} {kind}");
        for row in &rows {
            if let Some(value) = value(row) {
                let id = escaped(row.connection.scope.connection.as_str());
                let _ = writeln!(out, "{name}{{connection=\"{id}\"}} {value}");
            }
        }
    }
    out
}

/// Notifications that no connection of anybody got. Those that did are the tenants' own affair: their connections say
/// when the last one came.
fn of_notifications(counts: &PushCounts, out: &mut String) {
    let name = "twinbox_push_unused_total";
    let _ = writeln!(
        out,
        "# HELP {name} Push notifications that asked for no pass, by reason.\n# TYPE {name} counter"
    );
    let known = [
        ("unknown-mailbox", counts.unknown_mailbox),
        ("unreadable", counts.unreadable),
        ("unavailable", counts.unavailable),
    ];
    let refused = counts.refused.iter().map(|(reason, count)| (*reason, *count));
    for (reason, count) in known.into_iter().chain(refused) {
        let _ = writeln!(out, "{name}{{reason=\"{}\"}} {count}", escaped(reason));
    }
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
