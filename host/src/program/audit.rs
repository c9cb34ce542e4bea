//! `twinbox audit`: compares mailboxes with their ledgers (T03). And what `status` says of audits.

use std::{process::ExitCode, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    Outcome, answer,
    args::Audit,
    commands::{choose, start},
    failure::{Failure, LATER, MISSING},
    runtime::Runtime,
};
use crate::{
    audit::{AuditStanding, Findings},
    contract::{AuditMode, AuditReport},
    host::HostError,
    problem::{describe, utc_text},
    store::{Connection, ConnectionStatus},
};

/// How long a pass that is under way is waited for: longer than a pass may take.
const PATIENCE: Duration = Duration::from_mins(3);
/// Messages that are named at most, of those missing and of those quarantined.
const NAMED: usize = 20;

/// `twinbox audit`: of one connection, or of all that were not ended.
pub(super) async fn audit(options: Audit, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let connections = match &options.connection {
        Some(wanted) => vec![choose(&runtime, Some(wanted)).await?],
        None => connected(&runtime).await?,
    };
    let mode = if options.heal {
        AuditMode::Heal
    } else {
        AuditMode::ReportOnly
    };
    let mut audited = Vec::new();
    for connection in connections {
        let found = runtime
            .host
            .check(&connection.scope.connection, mode, PATIENCE)
            .await;
        audited.push(Audited {
            connection,
            result: found.map_err(Failure::from_audit),
        });
    }
    let all = Value::from(audited.iter().map(Audited::value).collect::<Vec<_>>());
    answer(json, &json!({ "audits": all }), || {
        if audited.is_empty() {
            return "No mailbox is connected. `twinbox connect` connects one.".to_owned();
        }
        let mut lines: Vec<String> = audited.iter().map(Audited::lines).collect();
        if mode == AuditMode::ReportOnly && audited.iter().any(Audited::is_incomplete) {
            lines.push("`twinbox audit --heal` brings in what is missing.".to_owned());
        }
        lines.join("\n")
    });
    Ok(exit_code(&audited))
}

async fn connected(runtime: &Runtime) -> Result<Vec<Connection>, Failure> {
    let mut connections = runtime.host.parts().registry.list().await?;
    connections.retain(|connection| {
        matches!(
            connection.status,
            ConnectionStatus::Active | ConnectionStatus::NeedsReconnect
        )
    });
    Ok(connections)
}

/// That messages are missing counts for more than that some audit was not made.
fn exit_code(audited: &[Audited]) -> ExitCode {
    if audited.iter().any(Audited::is_incomplete) {
        return ExitCode::from(MISSING);
    }
    let failure = audited.iter().find_map(|audited| audited.result.as_ref().err());
    failure.map_or(ExitCode::SUCCESS, Failure::exit_code)
}

/// A connection and what its audit found.
struct Audited {
    connection: Connection,
    result: Result<AuditReport, Failure>,
}

impl Audited {
    fn is_incomplete(&self) -> bool {
        matches!(&self.result, Ok(report) if !report.missing.is_empty())
    }

    fn value(&self) -> Value {
        let mut value = match &self.result {
            Ok(report) => {
                let mut value = findings(&report.into());
                let named = report.quarantined.iter();
                let named: Vec<Value> = named
                    .map(|message| json!({ "id": message.id, "reason": message.reason }))
                    .collect();
                value.insert("quarantined".to_owned(), named.into());
                value.insert("missing".to_owned(), report.missing.clone().into());
                value
            }
            Err(failure) => Map::from_iter([("error".to_owned(), failure.value())]),
        };
        value.insert("id".to_owned(), self.connection.scope.connection.as_str().into());
        value.insert("address".to_owned(), self.connection.address.clone().into());
        value.into()
    }

    fn lines(&self) -> String {
        let address = &self.connection.address;
        let report = match &self.result {
            Ok(report) => report,
            Err(failure) => return format!("{address}: not audited: {failure}"),
        };
        let mut lines = vec![format!("{address}: {}", sentence(report))];
        let missing = report.missing.iter().take(NAMED);
        lines.extend(missing.map(|id| format!("  missing      {id}")));
        let quarantined = report.quarantined.iter().take(NAMED);
        lines.extend(quarantined.map(|message| format!("  quarantined  {}: {}", message.id, message.reason)));
        let unnamed = [report.missing.len(), report.quarantined.len()].map(|all| all.saturating_sub(NAMED));
        if let more @ 1.. = unnamed.iter().sum::<usize>() {
            lines.push(format!("  … and {more} more, in --json"));
        }
        lines.join("\n")
    }
}

/// `1000 listed; delivered 587, excluded 413 by rule (S10 400, spam 13), missing 0`.
fn sentence(report: &AuditReport) -> String {
    let findings = Findings::from(report);
    let rules: Vec<String> = findings
        .excluded
        .iter()
        .map(|(rule, count)| format!("{rule} {count}"))
        .collect();
    let rules = if rules.is_empty() {
        String::new()
    } else {
        format!(" ({})", rules.join(", "))
    };
    let mut parts = vec![
        format!("{} listed; delivered {}", findings.listed, findings.delivered),
        format!("excluded {} by rule{rules}", findings.excluded_in_all()),
    ];
    let some = [(findings.gone, "gone"), (findings.quarantined, "quarantined")];
    let some = some.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(some.map(|(count, what)| format!("{what} {count}")));
    parts.push(format!("missing {}", findings.missing));
    if findings.healed > 0 {
        parts.push(format!("healed {}", findings.healed));
    }
    parts.join(", ")
}

/// What is known of a connection's audits, for `status`.
pub(super) fn shown(standing: Option<&AuditStanding>) -> Value {
    let Some(standing) = standing else {
        return Value::Null;
    };
    let mut value = standing
        .last
        .as_ref()
        .map_or_else(Map::new, |(_, found)| findings(found));
    let problem = standing.problem.as_ref().map(describe);
    value.insert("at".to_owned(), json!(standing.last.as_ref().map(|(at, _)| at)));
    value.insert("tried_at".to_owned(), json!(standing.tried_at));
    value.insert("failures".to_owned(), json!(standing.failures));
    value.insert("healed_in_all".to_owned(), json!(standing.healed));
    value.insert("problem".to_owned(), json!(problem));
    value.into()
}

/// The same as a line.
pub(super) fn line(standing: Option<&AuditStanding>) -> String {
    let found = standing.and_then(|standing| standing.last.as_ref());
    let found = match found {
        Some((at, findings)) => format!("\n  last check {}: {}", utc_text(*at), findings.summary()),
        None => "\n  not checked yet".to_owned(),
    };
    let failed = standing.and_then(|standing| Some((standing.tried_at, standing.problem.as_ref()?)));
    let failed = failed.map(|(at, problem)| {
        format!(
            "\n  the check at {} failed: {}",
            utc_text(at),
            describe(problem).happened
        )
    });
    found + &failed.unwrap_or_default()
}

fn findings(found: &Findings) -> Map<String, Value> {
    match serde_json::to_value(found) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

impl Failure {
    fn from_audit(error: HostError) -> Self {
        match error {
            HostError::Busy => Self::new(
                "busy",
                format!(
                    "a pass of this connection has been under way for {} s",
                    PATIENCE.as_secs()
                ),
                "Try again later; `twinbox status` shows when its last pass ended.",
            )
            .exiting(LATER),
            error => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::RuleCount;

    fn report(missing: &[&str]) -> AuditReport {
        AuditReport {
            listed: 1_000,
            delivered: 587,
            excluded: vec![
                RuleCount {
                    rule: "S10".into(),
                    count: 400,
                },
                RuleCount {
                    rule: "spam".into(),
                    count: 13,
                },
            ],
            gone: 0,
            quarantined: Vec::new(),
            missing: missing.iter().map(|&id| id.to_owned()).collect(),
            healed: 0,
        }
    }

    #[test]
    fn t03_the_report_is_one_sentence() {
        assert_eq!(
            sentence(&report(&[])),
            "1000 listed; delivered 587, excluded 413 by rule (S10 400, spam 13), missing 0"
        );
        let healed = AuditReport {
            healed: 2,
            gone: 3,
            ..report(&["x"])
        };
        assert!(sentence(&healed).ends_with(", gone 3, missing 1, healed 2"));
    }
}
