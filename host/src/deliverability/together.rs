//! What the parts mean together.

use super::{
    dmarc::Policy,
    question::Sender,
    report::{Finding, Severity, Subject},
};

/// Google's own domain for everybody.
pub(super) fn googles_own(domain: &str) -> Finding {
    Finding::fine(
        Subject::Domain,
        "google-publishes",
        format!("{domain} is Google's: mail from its addresses through Gmail is authenticated by Google."),
    )
}

/// The name does not exist.
pub(super) fn absent(domain: &str) -> Finding {
    Finding::new(
        Subject::Domain,
        Severity::Problem,
        "domain-absent",
        format!("{domain} does not exist in the domain name system."),
        "Check its spelling, and whether its registration has run out.",
    )
}

/// Mail passes DMARC by SPF or by DKIM; what fails is if neither holds.
pub(super) fn judge(
    domain: &str,
    findings: &[Finding],
    policy: Option<Policy>,
    sender: Sender,
) -> Option<Finding> {
    if sender != Sender::Gmail || holds(findings, Subject::Spf)? || holds(findings, Subject::Dkim)? {
        return None;
    }
    let finding = match policy {
        Some(strict @ (Policy::Quarantine | Policy::Reject)) => Finding::new(
            Subject::Domain,
            Severity::Problem,
            "own-policy-hits-own-mail",
            format!(
                "Neither SPF nor DKIM holds for mail from {domain} through Gmail, and the domain's own DMARC policy asks receivers \
                 for “{}” then.",
                strict.word()
            ),
            "Put SPF and DKIM right first; until then, set the policy to p=none.",
        ),
        Some(Policy::None) | None => Finding::new(
            Subject::Domain,
            Severity::Problem,
            "unauthenticated",
            format!(
                "Neither SPF nor DKIM holds for mail from {domain} through Gmail: receivers take it for forged. Gmail itself \
                 refuses such mail (550 5.7.26)."
            ),
            "Put SPF right first, which takes one record, then DKIM.",
        ),
    };
    Some(finding)
}

/// Whether it proves the sender; of several keys one is enough. `None` if it could not be looked up.
fn holds(findings: &[Finding], subject: Subject) -> Option<bool> {
    let about = findings.iter().filter(|finding| finding.subject == subject);
    let mut known = about
        .filter(|finding| finding.code != "dns-unanswered")
        .peekable();
    known.peek()?;
    Some(match subject {
        Subject::Dkim => known.any(|finding| finding.severity < Severity::Warning),
        _ => known.all(|finding| finding.severity < Severity::Problem),
    })
}
