//! The servers that take a domain's mail: without one, bounces and answers have no way back.

use super::{
    lookup::{LookupError, MailServer},
    question::Sender,
    report::{Finding, Publish, Severity, Subject},
};

/// Where Google takes mail (<https://support.google.com/a/answer/174125>).
const GOOGLES: &str = "smtp.google.com";

/// What the MX records mean for who sends from the domain.
pub(super) fn judge(
    domain: &str,
    servers: &Result<Vec<MailServer>, LookupError>,
    sender: Sender,
) -> Vec<Finding> {
    let servers = match servers {
        Ok(servers) => servers.as_slice(),
        Err(LookupError::NoSuchName) => &[],
        Err(error) => return vec![Finding::unanswered(Subject::Mx, domain, error)],
    };
    vec![finding(domain, servers, sender)]
}

fn finding(domain: &str, servers: &[MailServer], sender: Sender) -> Finding {
    let googles = Publish {
        name: domain.to_owned(),
        kind: "MX",
        value: format!("1 {GOOGLES}."),
    };
    if servers.is_empty() {
        let missing = Finding::new(
            Subject::Mx,
            Severity::Problem,
            "mx-missing",
            format!("{domain} names no server that takes its mail, so bounces and answers cannot come back."),
            "Publish an MX record; receivers also mistrust senders that cannot be answered.",
        );
        return match sender {
            Sender::Gmail => missing.publishing(googles),
            Sender::Elsewhere => missing,
        };
    }
    if servers.iter().any(|server| server.name.is_empty()) {
        let declared = Finding::new(
            Subject::Mx,
            Severity::Problem,
            "mx-null",
            format!(
                "{domain} declares that it takes no mail (a null MX, RFC 7505): answers and bounces are lost."
            ),
            "Send from a domain that takes mail, or replace this record.",
        );
        return match sender {
            Sender::Gmail => declared.publishing(googles),
            Sender::Elsewhere => declared,
        };
    }
    let mut names: Vec<&MailServer> = servers.iter().collect();
    names.sort_by_key(|server| server.preference);
    let names: Vec<String> = names
        .iter()
        .take(5)
        .map(|server| crate::problem::quoted(&server.name))
        .collect();
    let names = names.join(", ");
    if sender == Sender::Gmail && !servers.iter().any(|server| is_googles(&server.name)) {
        return Finding::new(
            Subject::Mx,
            Severity::Advice,
            "mx-elsewhere",
            format!("Mail to {domain} goes to {names}, not to Gmail."),
            "Make sure that server passes mail on to Gmail: an answer that never reaches the mailbox is never synced.",
        );
    }
    Finding::fine(
        Subject::Mx,
        "mx-in-order",
        format!("Mail to {domain} goes to {names}."),
    )
}

fn is_googles(name: &str) -> bool {
    let is_in = |domain: &str| {
        name.strip_suffix(domain)
            .is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    ["google.com", "googlemail.com"].into_iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(servers: &[(u16, &str)], sender: Sender) -> (&'static str, Severity) {
        let servers = servers
            .iter()
            .map(|&(preference, name)| MailServer {
                preference,
                name: name.to_owned(),
            })
            .collect();
        let findings = judge("example.com", &Ok(servers), sender);
        let [finding] = &findings[..] else {
            panic!("{findings:?}");
        };
        (finding.code, finding.severity)
    }

    #[test]
    fn t08_without_a_mail_server_nothing_comes_back() {
        assert_eq!(code(&[], Sender::Gmail), ("mx-missing", Severity::Problem));
        assert_eq!(code(&[(0, "")], Sender::Gmail), ("mx-null", Severity::Problem));
        let absent = judge("example.com", &Err(LookupError::NoSuchName), Sender::Gmail);
        assert_eq!(absent[0].code, "mx-missing");
        assert_eq!(absent[0].publish.as_ref().unwrap().value, "1 smtp.google.com.");
        let failed = judge("example.com", &Err(LookupError::TimedOut), Sender::Gmail);
        assert_eq!(failed[0].code, "dns-unanswered");
    }

    #[test]
    fn t08_mail_that_arrives_elsewhere_is_pointed_out() {
        for name in [
            "smtp.google.com",
            "aspmx.l.google.com",
            "alt1.aspmx.googlemail.com",
        ] {
            assert_eq!(code(&[(1, name)], Sender::Gmail), ("mx-in-order", Severity::Fine));
        }
        let others = [(10, "mx.example.net"), (20, "notgoogle.com")];
        assert_eq!(code(&others, Sender::Gmail), ("mx-elsewhere", Severity::Advice));
        assert_eq!(code(&others, Sender::Elsewhere), ("mx-in-order", Severity::Fine));
    }
}
