//! `twinbox check-domain`: why mail from a domain may land in spam (T08).

use std::{
    net::{IpAddr, SocketAddr},
    process::ExitCode,
};

use serde_json::json;

use super::{
    Outcome, answer,
    args::CheckDomain,
    failure::{DOMAIN, Failure, LATER, USAGE},
};
use crate::deliverability::{
    self, Finding, NameServers, NameServersError, Question, Report, Sender, Severity,
};

/// The port of name servers (RFC 1035, section 4.2).
const PORT: u16 = 53;

/// `twinbox check-domain`.
pub(super) async fn check(options: CheckDomain, json: bool) -> Outcome {
    let sender = if options.not_gmail {
        Sender::Elsewhere
    } else {
        Sender::Gmail
    };
    let question = Question::new(&options.domain, sender)
        .and_then(|question| question.with_selectors(options.selectors))
        .map_err(|error| {
            let advice = "Name a domain such as example.com, and up to ten selectors.";
            Failure::new("domain", error, advice).exiting(USAGE)
        })?;
    let servers = match &options.dns {
        Some(text) => NameServers::at(server(text)?),
        None => NameServers::of_the_system(),
    };
    let servers = servers.map_err(|error: NameServersError| {
        Failure::configuration(error, "Name one with --dns, such as --dns 192.0.2.1.")
    })?;
    let report = deliverability::check(&servers, &question).await;
    answer(json, &json!(report), || text(&report));
    Ok(exit_code(&report))
}

fn server(text: &str) -> Result<SocketAddr, Failure> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    address.or_else(|_| text.parse()).map_err(|_| {
        let happened = format!(
            "“{}” is not the address of a name server",
            crate::problem::quoted(text)
        );
        Failure::new("dns", happened, "Give an IP address, with or without a port.").exiting(USAGE)
    })
}

fn exit_code(report: &Report) -> ExitCode {
    match report.worst() {
        Severity::Problem => ExitCode::from(DOMAIN),
        _ if !report.is_complete() => ExitCode::from(LATER),
        _ => ExitCode::SUCCESS,
    }
}

fn text(report: &Report) -> String {
    let count = |severity| {
        let of_it = report
            .findings
            .iter()
            .filter(|finding| finding.severity == severity);
        of_it.count()
    };
    let counts = [
        (Severity::Problem, "to put right"),
        (Severity::Warning, "to look at"),
        (Severity::Advice, "to improve"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(severity, what)| (count(severity), what))
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let counts = if counts.is_empty() {
        "everything is in order".to_owned()
    } else {
        counts.join(", ")
    };
    let lines = report.findings.iter().map(lines);
    let all: Vec<String> = [format!("{}: {counts}", report.domain)]
        .into_iter()
        .chain(lines)
        .collect();
    all.join("\n")
}

fn lines(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Fine => "ok",
        Severity::Advice => "advice",
        Severity::Warning => "warning",
        Severity::Problem => "problem",
    };
    let mut lines = vec![format!("\n{severity:<8} {}: {}", finding.code, finding.happened)];
    if finding.severity > Severity::Fine {
        lines.push(finding.advice.clone());
    }
    if let Some(publish) = &finding.publish {
        lines.push(format!("{} {}  {}", publish.name, publish.kind, publish.value));
    }
    lines.join("\n         ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliverability::Table;

    #[tokio::test]
    async fn t08_the_record_to_publish_stands_on_a_line_of_its_own() {
        let table = Table::new().mx("example.com", 1, "smtp.google.com");
        let question = Question::new("example.com", Sender::Gmail).unwrap();
        let report = deliverability::check(&table, &question).await;
        let text = text(&report);
        assert!(
            text.starts_with("example.com: 3 to put right, 1 to look at\n"),
            "{text}"
        );
        assert!(
            text.contains("\n         example.com TXT  v=spf1 include:_spf.google.com ~all\n"),
            "{text}"
        );
        assert!(text.contains("\nok       mx-in-order: "), "{text}");
    }

    #[test]
    fn a_name_server_is_an_address_with_or_without_a_port() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
        ] {
            assert_eq!(server(text).unwrap(), address.parse().unwrap(), "{text}");
        }
        assert!(server("dns.example").is_err());
    }
}
