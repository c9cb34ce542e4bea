//! Why mail from a domain may land in spam (T08).

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    extract::At,
    problem::{Problem, Refused},
};
use crate::{
    deliverability::{self, Question, Sender},
    web::Desk,
};

/// How much a finding matters.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    /// As it should be.
    Fine,
    /// It could be better.
    Advice,
    /// Some receivers will mistrust mail for it.
    Warning,
    /// Mail is refused or lands in spam for it.
    Problem,
}

/// A DNS record to publish.
#[derive(Debug, Serialize, ToSchema)]
struct Publish {
    /// Under which name.
    name: String,
    /// `TXT` or `MX`.
    kind: String,
    /// Its value. Angle brackets stand around what only the domain's owner knows.
    value: String,
}

/// Something that was found.
#[derive(Debug, Serialize, ToSchema)]
struct Finding {
    /// Stable, in kebab case.
    code: String,
    /// How much it matters.
    severity: Severity,
    /// What was found.
    happened: String,
    /// What to do.
    advice: String,
    /// The record that puts it right, where it can be said.
    publish: Option<Publish>,
}

impl From<deliverability::Finding> for Finding {
    fn from(finding: deliverability::Finding) -> Self {
        Self {
            code: finding.code.to_owned(),
            severity: match finding.severity {
                deliverability::Severity::Fine => Severity::Fine,
                deliverability::Severity::Advice => Severity::Advice,
                deliverability::Severity::Warning => Severity::Warning,
                deliverability::Severity::Problem => Severity::Problem,
            },
            happened: finding.happened,
            advice: finding.advice,
            publish: finding.publish.map(|publish| Publish {
                name: publish.name,
                kind: publish.kind.to_owned(),
                value: publish.value,
            }),
        }
    }
}

/// What a domain publishes about its mail, judged.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Report {
    /// The domain.
    domain: String,
    /// What was found.
    findings: Vec<Finding>,
}

/// Looks up what a sending domain publishes about its mail, as receivers do.
#[utoipa::path(get, operation_id = "checkDomain", path = "/domains/{domain}", tag = "connections",
    params(("domain" = String, Path, description = "A domain, or an address in it")),
    responses((status = 200, body = Report), Refused))]
pub(super) async fn check(desk: Desk, At(domain): At<String>) -> Result<Json<Report>, Problem> {
    let question = Question::new(&domain, Sender::Gmail).map_err(|error| {
        Problem::invalid(
            format!("{error}."),
            "Give a domain such as example.com, or an address in it.",
        )
    })?;
    let report = desk.connections.check_domain(&question).await?;
    Ok(Json(Report {
        domain: report.domain,
        findings: report.findings.into_iter().map(Into::into).collect(),
    }))
}
