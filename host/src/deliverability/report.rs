//! What is found, for people and for programs.

use serde::Serialize;

/// How much it matters, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// It works; it could be better.
    Advice,
    /// Some receivers will mistrust mail for it.
    Warning,
    /// Mail is refused or lands in spam for it, or answers are lost.
    Problem,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The domain as a whole.
    Domain,
    /// The servers that take mail for it.
    Mx,
    /// Which servers may send for it (RFC 7208).
    Spf,
    /// The keys its mail is signed with (RFC 6376).
    Dkim,
    /// What receivers are to do with mail that fails (RFC 7489).
    Dmarc,
}

/// A record to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Publish {
    /// Under which name.
    pub name: String,
    /// `TXT` or `MX`.
    pub kind: &'static str,
    /// Its value. Angle brackets stand around what only the domain's owner knows.
    pub value: String,
}

impl Publish {
    pub(super) fn txt(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: "TXT",
            value: value.into(),
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub subject: Subject,
    /// For programs: stays the same from version to version.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, in one or two sentences.
    pub happened: String,
    /// What to do.
    pub advice: String,
    /// The record that puts it right, where it can be said.
    pub publish: Option<Publish>,
}

impl Finding {
    pub(super) fn new(
        subject: Subject,
        severity: Severity,
        code: &'static str,
        happened: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            subject,
            code,
            severity,
            happened: happened.into(),
            advice: advice.into(),
            publish: None,
        }
    }

    pub(super) fn fine(subject: Subject, code: &'static str, happened: impl Into<String>) -> Self {
        Self::new(subject, Severity::Fine, code, happened, "There is nothing to do.")
    }

    /// The name servers gave no answer.
    pub(super) fn unanswered(subject: Subject, name: &str, why: &super::LookupError) -> Self {
        Self::new(
            subject,
            Severity::Warning,
            UNANSWERED,
            format!("{name} could not be looked up: {why}."),
            "Check again later; if it stays so, have the domain's name servers looked at, for receivers cannot ask \
             them either.",
        )
    }

    pub(super) fn publishing(self, publish: Publish) -> Self {
        Self {
            publish: Some(publish),
            ..self
        }
    }
}

/// The code of a lookup without an answer.
const UNANSWERED: &str = "dns-unanswered";

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The domain, in lower case and ASCII.
    pub domain: String,
    /// What matters most comes first.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(domain: &str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self {
            domain: domain.to_owned(),
            findings,
        }
    }

    /// How much the worst of it matters.
    pub fn worst(&self) -> Severity {
        let severities = self.findings.iter().map(|finding| finding.severity);
        severities.max().unwrap_or(Severity::Fine)
    }

    /// Whether everything could be looked up.
    pub fn is_complete(&self) -> bool {
        self.findings.iter().all(|finding| finding.code != UNANSWERED)
    }
}
