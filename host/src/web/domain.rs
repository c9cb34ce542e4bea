//! Why mail from a domain may land in spam (T08): what it publishes, judged, with the record to publish.

use std::collections::HashMap;

use axum::extract::Query;
use maud::{Markup, html};

use super::{
    Desk,
    connections::Trouble,
    failure::{Failure, described},
    layout::Section,
};
use crate::deliverability::{Finding, Question, Report, Sender, Severity};

/// `GET /settings/domain`. `domain` is the domain, or an address in it; without it nothing is looked up.
pub(super) async fn page(
    desk: Desk,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    let domain = query.get("domain").map_or("", |domain| domain.trim());
    let report = if domain.is_empty() {
        None
    } else {
        Some(checked(&desk, domain).await)
    };
    let main = html! {
        main.narrow {
            h1 { "Check a sending domain" }
            p {
                "Receivers look up what a domain publishes about its mail. This looks up the same, and says what to put right."
            }
            form.write method="get" action="/settings/domain" {
                label {
                    "Domain or address"
                    input type="text" name="domain" value=(domain) required maxlength="254" autocapitalize="none"
                        spellcheck="false";
                }
                p { button.primary { "Check" } " " a.button href="/settings" { "Settings" } }
            }
            @match &report {
                None => {},
                Some(Ok(report)) => (findings(report)),
                Some(Err(trouble)) => (described(trouble)),
            }
        }
    };
    Ok(desk.page("Check a domain", Section::Settings, &main))
}

async fn checked(desk: &Desk, domain: &str) -> Result<Report, Trouble> {
    let question = Question::new(domain, Sender::Gmail).map_err(|error| {
        Trouble::new(
            "domain",
            format!("{error}."),
            "Give a domain such as example.com, or an address in it.",
        )
    })?;
    desk.connections.check_domain(&question).await
}

fn findings(report: &Report) -> Markup {
    let open = report.findings.iter();
    let open = open.filter(|finding| finding.severity > Severity::Fine).count();
    html! {
        section aria-label="Findings" {
            h2 {
                (report.domain) ": "
                @if open == 0 { "everything is in order" } @else { (open) " to look at" }
            }
            @for finding in &report.findings { (card(finding)) }
        }
    }
}

fn card(finding: &Finding) -> Markup {
    let (class, word) = match finding.severity {
        Severity::Fine => ("good", "In order"),
        Severity::Advice => ("open", "To improve"),
        Severity::Warning => ("open", "To look at"),
        Severity::Problem => ("bad", "To put right"),
    };
    html! {
        div.card {
            p { span class={ "badge " (class) } { (word) } " " (finding.happened) }
            @if finding.severity > Severity::Fine { p.muted { (finding.advice) } }
            @if let Some(publish) = &finding.publish {
                p { "Publish this " (publish.kind) " record:" }
                pre { (publish.name) "\n" (publish.value) }
            }
        }
    }
}
