//! SPF (RFC 7208): which servers may send mail for a domain.
//!
//! A record may include the records of other domains, so those are looked up first, level by level and each once; what is
//! judged is what all of them say together. A receiver stops with an error after ten lookups (section 4.6.4), and an
//! error means that nobody may send.

mod record;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use futures_util::future::join_all;

use super::{
    lookup::{Asking, LookupError},
    question::{Sender, is_name},
    report::{Finding, Publish, Severity, Subject},
};
use record::{Mechanism, Qualifier, Record};

/// Google's servers (<https://support.google.com/a/answer/33786>).
const GOOGLES: &str = "_spf.google.com";
/// Lookups that a receiver makes at most (section 4.6.4).
const MOST_LOOKUPS: usize = 10;
/// Names that are looked up at most; more than a receiver would follow.
const MOST_NAMES: usize = 25;

/// The records of the domain and of those it includes, by name.
pub(super) struct Published(BTreeMap<String, Result<Vec<String>, LookupError>>);

impl Published {
    pub(super) fn unanswered(domain: &str) -> Self {
        Self(BTreeMap::from([(domain.to_owned(), Err(LookupError::TimedOut))]))
    }

    /// Whether the name does not exist at all.
    pub(super) fn is_absent(&self, domain: &str) -> bool {
        self.0.get(domain) == Some(&Err(LookupError::NoSuchName))
    }

    /// The one record of a name, if it has exactly one that can be read.
    fn record(&self, name: &str) -> Option<Record<'_>> {
        let [record] = self.0.get(name)?.as_ref().ok()?.as_slice() else {
            return None;
        };
        Record::read(record).ok()
    }
}

/// Looks up the domain's record and those it includes.
pub(super) async fn look(asking: Asking<'_>, domain: &str) -> Published {
    let mut known: BTreeMap<String, Result<Vec<String>, LookupError>> = BTreeMap::new();
    let mut next = BTreeSet::from([domain.to_owned()]);
    while !next.is_empty() {
        let names = std::mem::take(&mut next);
        let answers = join_all(names.iter().map(|name| asking.txt(name))).await;
        for (name, answer) in names.into_iter().zip(answers) {
            let answer =
                answer.map(|records| records.into_iter().filter(|text| record::is_spf(text)).collect());
            known.insert(name, answer);
        }
        let included = known
            .values()
            .flatten()
            .flatten()
            .filter_map(|text| Record::read(text).ok());
        let room = MOST_NAMES.saturating_sub(known.len());
        next = included
            .flat_map(|record| record.follows())
            .filter(|name| is_name(name) && !known.contains_key(name))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .take(room)
            .collect();
    }
    Published(known)
}

/// What the record means for who sends from the domain.
pub(super) fn judge(domain: &str, published: &Published, sender: Sender) -> Vec<Finding> {
    let texts = match published.0.get(domain) {
        Some(Ok(texts)) => texts.as_slice(),
        None | Some(Err(LookupError::NoSuchName)) => &[],
        Some(Err(error)) => return vec![Finding::unanswered(Subject::Spf, domain, error)],
    };
    let text = match texts {
        [] => return vec![missing(domain, sender)],
        [text] => text,
        several => return vec![too_many(domain, several, sender)],
    };
    let record = match Record::read(text) {
        Ok(record) => record,
        Err(term) => return vec![unreadable(domain, term, sender)],
    };
    let mut findings = Vec::new();
    findings.extend(broken_includes(published, domain, &record));
    findings.extend(too_many_lookups(published, domain));
    if sender == Sender::Gmail && !includes_google(published, domain) {
        findings.push(without_google(domain, &record));
    }
    findings.extend(of_all(published, domain, &record));
    findings.extend(of_habits(domain, &record));
    if findings.is_empty() {
        let happened = format!(
            "{domain} says which servers may send for it: {}.",
            crate::problem::quoted(text)
        );
        findings.push(Finding::fine(Subject::Spf, "spf-in-order", happened));
    }
    findings
}

fn missing(domain: &str, sender: Sender) -> Finding {
    let happened =
        format!("{domain} has no SPF record, so receivers cannot tell which servers may send for it.");
    let finding = Finding::new(
        Subject::Spf,
        Severity::Problem,
        "spf-missing",
        happened,
        "Publish one TXT record that names every service that sends mail for the domain.",
    );
    match sender {
        Sender::Gmail => finding.publishing(Publish::txt(domain, format!("v=spf1 include:{GOOGLES} ~all"))),
        Sender::Elsewhere => finding,
    }
}

fn too_many(domain: &str, texts: &[String], sender: Sender) -> Finding {
    let finding = Finding::new(
        Subject::Spf,
        Severity::Problem,
        "spf-several",
        format!(
            "{domain} has {} SPF records; with more than one, none of them counts (RFC 7208, section 4.5).",
            texts.len()
        ),
        "Put everything into one record and remove the others.",
    );
    let records: Result<Vec<Record<'_>>, _> = texts.iter().map(|text| Record::read(text)).collect();
    match records {
        Ok(records) => finding.publishing(Publish::txt(domain, merged(&records, sender))),
        Err(_) => finding,
    }
}

/// One record with the mechanisms of all, each once.
fn merged(records: &[Record<'_>], sender: Sender) -> String {
    let mut terms: Vec<&str> = Vec::new();
    let google = format!("include:{GOOGLES}");
    let needed = (sender == Sender::Gmail).then_some(google.as_str());
    let written = records.iter().flat_map(Record::effective).map(|term| term.text);
    for term in needed.into_iter().chain(written) {
        if !terms.iter().any(|known| known.eq_ignore_ascii_case(term)) {
            terms.push(term);
        }
    }
    format!("v=spf1 {} ~all", terms.join(" "))
}

fn unreadable(domain: &str, term: &str, sender: Sender) -> Finding {
    let term = crate::problem::quoted(term);
    let finding = Finding::new(
        Subject::Spf,
        Severity::Problem,
        "spf-syntax",
        format!("The SPF record of {domain} cannot be read at “{term}”; receivers ignore all of it."),
        "Correct or remove that part.",
    );
    match sender {
        Sender::Gmail => finding.publishing(Publish::txt(domain, format!("v=spf1 include:{GOOGLES} ~all"))),
        Sender::Elsewhere => finding,
    }
}

/// Everything that is included has to have one record that can be read (section 5.2).
fn broken_includes(published: &Published, domain: &str, record: &Record<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::from([domain.to_owned()]);
    let mut names: Vec<String> = record.follows();
    while let Some(name) = names.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let why = match published.0.get(&name) {
            // Behind a macro, or further away than a receiver would go.
            None => continue,
            Some(Err(error @ (LookupError::TimedOut | LookupError::TooLarge | LookupError::Failed(_)))) => {
                findings.push(Finding::unanswered(Subject::Spf, &name, error));
                continue;
            }
            Some(Err(LookupError::NoSuchName)) => "does not exist",
            Some(Ok(texts)) => match texts.as_slice() {
                [] => "has no SPF record",
                [text] => match Record::read(text) {
                    Ok(included) => {
                        names.extend(included.follows());
                        continue;
                    }
                    Err(_) => "has an SPF record that cannot be read",
                },
                _ => "has several SPF records",
            },
        };
        findings.push(Finding::new(
            Subject::Spf,
            Severity::Problem,
            "spf-include-broken",
            format!("The SPF record of {domain} includes {name}, which {why}; receivers ignore all of it."),
            format!("Remove {name} from the record, or ask whoever runs it to repair it."),
        ));
    }
    findings
}

fn too_many_lookups(published: &Published, domain: &str) -> Option<Finding> {
    let mut lookups = 0;
    count(published, domain, &mut Vec::new(), &mut lookups);
    (lookups > MOST_LOOKUPS).then(|| {
        Finding::new(
            Subject::Spf,
            Severity::Problem,
            "spf-lookups",
            format!(
                "The SPF record of {domain} needs more than {MOST_LOOKUPS} lookups, where receivers give up and ignore it (RFC \
                 7208, section 4.6.4)."
            ),
            "Remove what no longer sends for the domain, or replace an include by the addresses behind it.",
        )
    })
}

/// Counts until it is too many. A record that includes itself never ends.
fn count(published: &Published, name: &str, path: &mut Vec<String>, lookups: &mut usize) {
    let Some(record) = published.record(name) else {
        return;
    };
    path.push(name.to_owned());
    *lookups += record.lookups();
    for included in record.follows() {
        if *lookups > MOST_LOOKUPS {
            break;
        }
        if path.contains(&included) {
            *lookups = MOST_LOOKUPS + 1;
            break;
        }
        count(published, &included, path, lookups);
    }
    path.pop();
}

/// Whether Google's servers pass, directly or through what is included.
fn includes_google(published: &Published, domain: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut names = vec![domain.to_owned()];
    while let Some(name) = names.pop() {
        if name.eq_ignore_ascii_case(GOOGLES) {
            return true;
        }
        if seen.insert(name.clone())
            && let Some(record) = published.record(&name)
        {
            names.extend(record.allows());
        }
    }
    false
}

fn without_google(domain: &str, record: &Record<'_>) -> Finding {
    Finding::new(
        Subject::Spf,
        Severity::Problem,
        "spf-without-google",
        format!("The SPF record of {domain} does not name Google's servers, which send its mail from Gmail."),
        format!("Add include:{GOOGLES} to the record that is there."),
    )
    .publishing(Publish::txt(domain, with_google(record)))
}

/// The record with Google's servers first, everything else as it is.
fn with_google(record: &Record<'_>) -> String {
    let mut text = format!("v=spf1 include:{GOOGLES}");
    for term in record.terms() {
        // Writing to a string cannot fail.
        let _ = write!(text, " {term}");
    }
    if record.all().is_none() && record.redirect().is_none() {
        text.push_str(" ~all");
    }
    text
}

/// What happens to servers that are not named.
fn of_all(published: &Published, domain: &str, record: &Record<'_>) -> Option<Finding> {
    let mut last = record.clone();
    for _ in 0..MOST_LOOKUPS {
        let Some(next) = last.redirect().and_then(|name| published.record(name)) else {
            break;
        };
        last = next;
    }
    let open = |severity, code, happened: String| {
        Finding::new(
            Subject::Spf,
            severity,
            code,
            happened,
            "End the record with ~all, or with -all once every service that sends is in it.",
        )
        .publishing(Publish::txt(domain, record.ending_with("~all")))
    };
    match last.all() {
        Some(Qualifier::Fail | Qualifier::SoftFail) => None,
        Some(Qualifier::Pass) => Some(open(
            Severity::Problem,
            "spf-all-pass",
            format!(
                "The SPF record of {domain} ends with +all: it lets every server in the world send for it."
            ),
        )),
        Some(Qualifier::Neutral) => Some(open(
            Severity::Warning,
            "spf-all-neutral",
            format!(
                "The SPF record of {domain} ends with ?all and says nothing about servers that are not in it."
            ),
        )),
        // Where it leads could not be looked up; that is said already.
        None if last.redirect().is_some() => None,
        None => Some(open(
            Severity::Warning,
            "spf-all-missing",
            format!(
                "The SPF record of {domain} has no “all” at its end and says nothing about servers that are not in it."
            ),
        )),
    }
}

fn of_habits(domain: &str, record: &Record<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(term) = record.after_all() {
        let term = crate::problem::quoted(term);
        findings.push(Finding::new(
            Subject::Spf,
            Severity::Warning,
            "spf-after-all",
            format!("In the SPF record of {domain}, “{term}” stands after “all”, where nothing counts."),
            "Move “all” to the end.",
        ));
    }
    if record.effective().any(|term| term.mechanism == Mechanism::Ptr) {
        findings.push(Finding::new(
            Subject::Spf,
            Severity::Advice,
            "spf-ptr",
            format!("The SPF record of {domain} uses “ptr”, which is slow and which some receivers ignore (RFC 7208, section 5.5)."),
            "Name the servers by their addresses instead.",
        ));
    }
    findings
}

#[cfg(test)]
mod tests;
