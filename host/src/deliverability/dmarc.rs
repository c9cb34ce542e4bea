//! DMARC (RFC 7489): what receivers are to do with mail whose sender cannot be proved.
//!
//! A domain without a policy has that of its organisation (section 6.6.3). Which domain that is, the RFC takes from a list
//! of public suffixes; walking up the names, as its successor does (draft-ietf-dmarc-dmarcbis, section 4.10), finds it
//! without one: public suffixes have no policy of their own, or say what they are (`psd=y`).

use futures_util::future::join_all;

use super::{
    lookup::{Asking, LookupError},
    report::{Finding, Publish, Severity, Subject},
    tags::Tags,
};

/// Names above the domain that are looked up at most.
const MOST_PARENTS: usize = 5;

/// What receivers do with mail that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Policy {
    None,
    Quarantine,
    Reject,
}

impl Policy {
    fn read(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "quarantine" => Some(Self::Quarantine),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// What the domain and the names above it publish, the domain first.
pub(super) struct Published(Vec<(String, Result<Vec<String>, LookupError>)>);

impl Published {
    pub(super) fn unanswered(domain: &str) -> Self {
        Self(vec![(domain.to_owned(), Err(LookupError::TimedOut))])
    }
}

/// Looks up the policy of the domain and of those above it.
pub(super) async fn look(asking: Asking<'_>, domain: &str) -> Published {
    let names = lineage(domain);
    let answers = join_all(
        names
            .iter()
            .map(|name| async move { asking.txt(&at(name)).await }),
    )
    .await;
    Published(names.into_iter().map(str::to_owned).zip(answers).collect())
}

/// The domain and the names above it, down to two labels.
fn lineage(domain: &str) -> Vec<&str> {
    let above = std::iter::successors(Some(domain), |name| {
        let (_, parent) = name.split_once('.')?;
        parent.contains('.').then_some(parent)
    });
    above.take(1 + MOST_PARENTS).collect()
}

fn at(domain: &str) -> String {
    format!("_dmarc.{domain}")
}

/// The policy that receivers apply to the domain's mail, if one can be found.
pub(super) fn policy(published: &Published) -> Option<Policy> {
    let (position, record) = found(published)?;
    let tags = Tags::read(record).ok()?;
    let inherited = tags.get("sp").filter(|_| position > 0);
    Policy::read(inherited.or_else(|| tags.get("p"))?)
}

/// The record that applies, and how far above the domain it stands. None if there are several, or if a name below was
/// not answered.
fn found(published: &Published) -> Option<(usize, &str)> {
    for (position, (_, answer)) in published.0.iter().enumerate() {
        match answer {
            Ok(texts) => match policies(texts).as_slice() {
                [] => {}
                [text] if position > 0 && is_of_a_public_suffix(text) => {}
                [text] => return Some((position, text)),
                _ => return None,
            },
            Err(LookupError::NoSuchName) => {}
            Err(_) => return None,
        }
    }
    None
}

/// The records that are policies; others at the name do not count.
fn policies(texts: &[String]) -> Vec<&str> {
    let is_policy = |text: &&str| {
        let first = text.split(';').next().unwrap_or_default();
        let Some((name, version)) = first.split_once('=') else {
            return false;
        };
        name.trim() == "v" && version.trim() == "DMARC1"
    };
    texts.iter().map(String::as_str).filter(is_policy).collect()
}

fn is_of_a_public_suffix(text: &str) -> bool {
    Tags::read(text).is_ok_and(|tags| tags.get("psd") == Some("y"))
}

/// What the policy means for who sends from the domain.
pub(super) fn judge(domain: &str, published: &Published) -> Vec<Finding> {
    for (name, answer) in &published.0 {
        match answer {
            Err(LookupError::NoSuchName) => {}
            Err(error) => return vec![Finding::unanswered(Subject::Dmarc, &at(name), error)],
            Ok(texts) => match policies(texts).as_slice() {
                [] => {
                    if let Some(wrong) = texts.iter().find(|text| is_meant_as_one(text)) {
                        return vec![unreadable(name, wrong)];
                    }
                }
                [text] if name != domain && is_of_a_public_suffix(text) => {}
                [text] => return judge_record(domain, name, text),
                several => return vec![too_many(name, several.len())],
            },
        }
    }
    vec![missing(domain)]
}

/// `v=dmarc1`, `"v=DMARC1`, `DMARC1; p=none`: receivers see no policy there.
fn is_meant_as_one(text: &str) -> bool {
    text.to_ascii_lowercase().contains("dmarc1")
}

fn missing(domain: &str) -> Finding {
    Finding::new(
        Subject::Dmarc,
        Severity::Warning,
        "dmarc-missing",
        format!("{domain} has no DMARC policy. Gmail and Yahoo ask for one of everybody who sends much, and anybody can use \
                 the domain's name."),
        "Publish a policy that only reports, read the reports for a few weeks, then make it stricter.",
    )
    .publishing(Publish::txt(at(domain), format!("v=DMARC1; p=none; rua=mailto:dmarc@{domain}")))
}

fn too_many(name: &str, count: usize) -> Finding {
    Finding::new(
        Subject::Dmarc,
        Severity::Problem,
        "dmarc-several",
        format!(
            "{} has {count} DMARC records; with more than one, none of them counts (RFC 7489, section 6.6.3).",
            at(name)
        ),
        "Keep one and remove the others.",
    )
}

fn unreadable(name: &str, what: &str) -> Finding {
    Finding::new(
        Subject::Dmarc,
        Severity::Problem,
        "dmarc-syntax",
        format!("The DMARC record at {} cannot be read at “{}”.", at(name), crate::problem::quoted(what)),
        "Correct it: it begins with v=DMARC1, then comes p= with none, quarantine or reject, and parts are separated by \
         semicolons.",
    )
    .publishing(Publish::txt(at(name), format!("v=DMARC1; p=none; rua=mailto:dmarc@{name}")))
}

fn judge_record(domain: &str, name: &str, text: &str) -> Vec<Finding> {
    let tags = match Tags::read(text) {
        Ok(tags) => tags,
        Err(wrong) => return vec![unreadable(name, wrong)],
    };
    if let Some(wrong) = first_wrong(&tags) {
        return vec![unreadable(name, &wrong)];
    }
    let own = tags.get("p").and_then(Policy::read).unwrap_or(Policy::None);
    let below = tags.get("sp").and_then(Policy::read).unwrap_or(own);
    let applies = if name == domain { own } else { below };
    let mut findings = Vec::new();
    if applies == Policy::None {
        let tag = if name != domain && tags.get("sp").is_some() {
            "sp"
        } else {
            "p"
        };
        findings.push(
            Finding::new(
                Subject::Dmarc,
                Severity::Advice,
                "dmarc-policy-none",
                format!("The DMARC policy of {domain} only watches ({tag}=none): forged mail in its name is delivered."),
                "When the reports show that all genuine mail passes, ask for quarantine, later for rejection.",
            )
            .publishing(Publish::txt(at(name), tags.with(tag, Policy::Quarantine.word()))),
        );
    } else if name == domain && below < own {
        findings.push(Finding::new(
            Subject::Dmarc,
            Severity::Advice,
            "dmarc-subdomains",
            format!(
                "The DMARC policy of {domain} is weaker for names below it (sp={}).",
                below.word()
            ),
            "Remove sp= so that the same policy protects them.",
        ));
    }
    if let Some(percent) = tags.get("pct").filter(|percent| *percent != "100") {
        findings.push(
            Finding::new(
                Subject::Dmarc,
                Severity::Advice,
                "dmarc-partial",
                format!("The DMARC policy of {name} applies to {percent} of 100 messages, and not all receivers heed that."),
                "Apply it to all, or choose a weaker policy for all.",
            )
            .publishing(Publish::txt(at(name), tags.with("pct", "100"))),
        );
    }
    if tags.get("rua").is_none_or(str::is_empty) {
        findings.push(
            Finding::new(
                Subject::Dmarc,
                Severity::Advice,
                "dmarc-no-reports",
                format!("The DMARC policy of {name} names nobody who is told what passes and what fails."),
                "Add rua= with an address for the daily reports.",
            )
            .publishing(Publish::txt(
                at(name),
                format!("{}; rua=mailto:dmarc@{name}", text_of(&tags)),
            )),
        );
    }
    if findings.is_empty() {
        let whose = if name == domain {
            String::new()
        } else {
            format!(", which is that of {name},")
        };
        findings.push(Finding::fine(
            Subject::Dmarc,
            "dmarc-in-order",
            format!(
                "The DMARC policy of {domain}{whose} asks receivers for “{}”.",
                applies.word()
            ),
        ));
    }
    findings
}

fn text_of(tags: &Tags<'_>) -> String {
    tags.with("v", "DMARC1").trim_end_matches("; rua=").to_owned()
}

/// A tag whose value means nothing (section 6.3).
fn first_wrong(tags: &Tags<'_>) -> Option<String> {
    let Some(policy) = tags.get("p") else {
        return Some("p=".to_owned());
    };
    let is_policy = |word: &str| Policy::read(word).is_some();
    let is_alignment = |word: &str| matches!(word, "r" | "s");
    let is_percent = |word: &str| word.parse::<u8>().is_ok_and(|percent| percent <= 100);
    let wrong = |name: &str, is_right: &dyn Fn(&str) -> bool| {
        let value = tags.get(name)?;
        (!is_right(value)).then(|| format!("{name}={value}"))
    };
    if !is_policy(policy) {
        return Some(format!("p={policy}"));
    }
    wrong("sp", &is_policy)
        .or_else(|| wrong("adkim", &is_alignment))
        .or_else(|| wrong("aspf", &is_alignment))
        .or_else(|| wrong("pct", &is_percent))
        .or_else(|| wrong("rua", &are_addresses))
        .or_else(|| wrong("ruf", &are_addresses))
}

/// `mailto:` addresses, each perhaps with a size (`!10m`).
fn are_addresses(list: &str) -> bool {
    list.is_empty()
        || list.split(',').all(|uri| {
            let uri = uri.trim();
            let address = uri
                .get(..7)
                .filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
            address.is_some() && uri.contains('@')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliverability::Table;

    const DOMAIN: &str = "example.com";

    async fn of(domain: &str, table: &Table) -> (Vec<Finding>, Option<Policy>) {
        let published = look(Asking::new(table), domain).await;
        (judge(domain, &published), policy(&published))
    }

    async fn codes(record: &str) -> Vec<&'static str> {
        let table = Table::new().txt("_dmarc.example.com", record);
        let (findings, _) = of(DOMAIN, &table).await;
        findings.iter().map(|finding| finding.code).collect()
    }

    #[tokio::test]
    async fn t08_a_strict_policy_with_reports_is_in_order() {
        for record in [
            "v=DMARC1; p=reject; rua=mailto:d@example.com",
            "v = DMARC1;p=quarantine;rua=mailto:d@example.com!10m,MAILTO:x@example.net;adkim=s;aspf=r;pct=100;fo=1;",
            "v=DMARC1; p=Reject; sp=reject; rua=mailto:d@example.com; unknown=x",
        ] {
            assert_eq!(codes(record).await, ["dmarc-in-order"], "{record}");
        }
    }

    #[tokio::test]
    async fn t08_without_a_policy_one_that_reports_is_proposed() {
        let (findings, policy) = of(DOMAIN, &Table::new().txt("_dmarc.example.com", "unrelated")).await;
        assert_eq!((findings[0].code, policy), ("dmarc-missing", None));
        let publish = findings[0].publish.as_ref().unwrap();
        assert_eq!(publish.name, "_dmarc.example.com");
        assert_eq!(publish.value, "v=DMARC1; p=none; rua=mailto:dmarc@example.com");
    }

    #[tokio::test]
    async fn t08_a_policy_that_only_watches_is_to_become_stricter() {
        let table = Table::new().txt("_dmarc.example.com", "v=DMARC1; p=none; rua=mailto:d@example.com");
        let (findings, policy) = of(DOMAIN, &table).await;
        assert_eq!(
            (findings[0].code, policy),
            ("dmarc-policy-none", Some(Policy::None))
        );
        assert_eq!(
            findings[0].publish.as_ref().unwrap().value,
            "v=DMARC1; p=quarantine; rua=mailto:d@example.com"
        );
    }

    #[tokio::test]
    async fn t08_weak_spots_of_a_policy_are_named() {
        for (record, code) in [
            (
                "v=DMARC1; p=reject; sp=none; rua=mailto:d@example.com",
                "dmarc-subdomains",
            ),
            (
                "v=DMARC1; p=reject; pct=20; rua=mailto:d@example.com",
                "dmarc-partial",
            ),
            ("v=DMARC1; p=reject", "dmarc-no-reports"),
            ("v=DMARC1; p=reject; rua=", "dmarc-no-reports"),
        ] {
            assert_eq!(codes(record).await, [code], "{record}");
        }
        let table = Table::new().txt("_dmarc.example.com", "v=DMARC1; p=reject");
        let (findings, _) = of(DOMAIN, &table).await;
        assert_eq!(
            findings[0].publish.as_ref().unwrap().value,
            "v=DMARC1; p=reject; rua=mailto:dmarc@example.com"
        );
    }

    #[tokio::test]
    async fn t08_a_policy_that_cannot_be_read_is_a_problem() {
        for record in [
            "v=DMARC1",
            "v=DMARC1; p=block",
            "v=DMARC1 p=none",
            "v=DMARC1; none",
            "v=dmarc1; p=none",
            "p=none; v=DMARC1",
            "v=DMARC1; p=none; p=reject",
            "v=DMARC1; p=none; sp=x",
            "v=DMARC1; p=none; adkim=strict",
            "v=DMARC1; p=none; pct=101",
            "v=DMARC1; p=none; rua=d@example.com",
            "v=DMARC1; p=none; rua=https://example.com/",
        ] {
            assert_eq!(codes(record).await, ["dmarc-syntax"], "{record}");
        }
        let two = Table::new()
            .txt("_dmarc.example.com", "v=DMARC1; p=none")
            .txt("_dmarc.example.com", "v=DMARC1; p=reject");
        let (findings, policy) = of(DOMAIN, &two).await;
        assert_eq!((findings[0].code, policy), ("dmarc-several", None));
    }

    #[tokio::test]
    async fn t08_a_name_below_has_the_policy_of_its_organisation() {
        let table = Table::new()
            .txt(
                "_dmarc.example.co.uk",
                "v=DMARC1; p=reject; sp=quarantine; rua=mailto:d@example.co.uk",
            )
            .txt("_dmarc.co.uk", "v=DMARC1; p=none; psd=y");
        let (findings, policy) = of("mail.crm.example.co.uk", &table).await;
        assert_eq!(
            (findings[0].code, policy),
            ("dmarc-in-order", Some(Policy::Quarantine))
        );
        assert!(findings[0].happened.contains("that of example.co.uk"));
        let (findings, policy) = of("other.co.uk", &table).await;
        assert_eq!((findings[0].code, policy), ("dmarc-missing", None));
    }

    #[tokio::test]
    async fn t08_a_name_that_is_not_answered_ends_the_walk() {
        let table = Table::new()
            .txt("_dmarc.example.com", "v=DMARC1; p=reject")
            .failing("_dmarc.mail.example.com", LookupError::TimedOut);
        let (findings, policy) = of("mail.example.com", &table).await;
        assert_eq!((findings[0].code, policy), ("dns-unanswered", None));
        assert_eq!(lineage("a.b.c.d.e.f.g.h.example.com").len(), 1 + MOST_PARENTS);
        assert_eq!(lineage(DOMAIN), [DOMAIN]);
    }
}
