//! An SPF record as it is written (RFC 7208, sections 4.5 to 6).

use std::net::{Ipv4Addr, Ipv6Addr};

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qualifier {
    Pass,
    Neutral,
    SoftFail,
    Fail,
}

/// What is compared with the server that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism<'a> {
    All,
    Include(&'a str),
    /// `a`, `mx` and `exists`: one lookup, nothing to follow.
    Lookup,
    Ptr,
    /// `ip4` and `ip6`.
    Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term<'a> {
    pub(super) qualifier: Qualifier,
    pub(super) mechanism: Mechanism<'a>,
    /// As it is written.
    pub(super) text: &'a str,
}

/// A record that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    terms: Vec<Term<'a>>,
    redirect: Option<&'a str>,
    /// Everything after the version, as it is written.
    texts: Vec<&'a str>,
}

/// Whether a TXT record is one of SPF (section 4.5).
pub(super) fn is_spf(text: &str) -> bool {
    let version = text.split(' ').next().unwrap_or_default();
    version.eq_ignore_ascii_case("v=spf1")
}

impl<'a> Record<'a> {
    /// Reads a record; the error is the term that cannot be read.
    pub(super) fn read(text: &'a str) -> Result<Self, &'a str> {
        let texts: Vec<&str> = text.split(' ').skip(1).filter(|term| !term.is_empty()).collect();
        let mut record = Self {
            terms: Vec::new(),
            redirect: None,
            texts: Vec::new(),
        };
        for &text in &texts {
            if !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(text);
            }
            match modifier(text) {
                Some((name, value)) if name.eq_ignore_ascii_case("redirect") => {
                    if value.is_empty() || record.redirect.replace(value).is_some() {
                        return Err(text);
                    }
                }
                // An explanation, or something that is not known and has to be ignored (section 6).
                Some(_) => {}
                None => record.terms.push(term(text).ok_or(text)?),
            }
        }
        record.texts = texts;
        Ok(record)
    }

    /// The mechanisms that count: those before `all`.
    pub(super) fn effective(&self) -> impl Iterator<Item = Term<'a>> + '_ {
        let terms = self.terms.iter().copied();
        terms.take_while(|term| term.mechanism != Mechanism::All)
    }

    /// What is meant for everybody else.
    pub(super) fn all(&self) -> Option<Qualifier> {
        let all = self.terms.iter().find(|term| term.mechanism == Mechanism::All);
        all.map(|term| term.qualifier)
    }

    /// Where it goes on; `all` leaves it without effect (section 6.1).
    pub(super) fn redirect(&self) -> Option<&'a str> {
        self.redirect.filter(|_| self.all().is_none())
    }

    /// A mechanism that stands after `all`.
    pub(super) fn after_all(&self) -> Option<&'a str> {
        let mut terms = self.terms.iter();
        terms.find(|term| term.mechanism == Mechanism::All)?;
        terms.next().map(|term| term.text)
    }

    /// The names whose records count as well, in lower case.
    pub(super) fn follows(&self) -> Vec<String> {
        let included = self.effective().filter_map(|term| match term.mechanism {
            Mechanism::Include(name) => Some(name),
            _ => None,
        });
        included.chain(self.redirect()).map(plain).collect()
    }

    /// Those of them by which a server may pass.
    pub(super) fn allows(&self) -> Vec<String> {
        let included = self
            .effective()
            .filter_map(|term| match (term.qualifier, term.mechanism) {
                (Qualifier::Pass, Mechanism::Include(name)) => Some(name),
                _ => None,
            });
        included.chain(self.redirect()).map(plain).collect()
    }

    /// The lookups that it takes itself, without those of the records it includes.
    pub(super) fn lookups(&self) -> usize {
        let terms = self
            .effective()
            .filter(|term| term.mechanism != Mechanism::Address);
        terms.count() + usize::from(self.redirect().is_some())
    }

    /// Everything after the version, as it is written.
    pub(super) fn terms(&self) -> &[&'a str] {
        &self.texts
    }

    /// The record with `end` in the place of its `all`.
    pub(super) fn ending_with(&self, end: &str) -> String {
        let is_all = |text: &str| matches!(term(text), Some(term) if term.mechanism == Mechanism::All);
        let kept = self.texts.iter().copied().filter(|text| !is_all(text));
        let terms: Vec<&str> = ["v=spf1"].into_iter().chain(kept).chain([end]).collect();
        terms.join(" ")
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// `name=value`.
fn modifier(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    is_name.then_some((name, value))
}

fn term(text: &str) -> Option<Term<'_>> {
    let qualifier = match text.as_bytes().first()? {
        b'+' => Some(Qualifier::Pass),
        b'-' => Some(Qualifier::Fail),
        b'~' => Some(Qualifier::SoftFail),
        b'?' => Some(Qualifier::Neutral),
        _ => None,
    };
    let rest = text.get(usize::from(qualifier.is_some())..)?;
    let name_end = rest.find([':', '/']).unwrap_or(rest.len());
    let (name, argument) = rest.split_at(name_end);
    let name = name.to_ascii_lowercase();
    let domain = argument.strip_prefix(':').filter(|domain| !domain.is_empty());
    let mechanism = match name.as_str() {
        "all" if argument.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(domain.filter(|domain| !domain.contains('/'))?),
        "exists" if domain.is_some() => Mechanism::Lookup,
        "a" | "mx" if is_domain_and_length(argument) => Mechanism::Lookup,
        "ptr" if argument.is_empty() || domain.is_some() => Mechanism::Ptr,
        "ip4" if is_network::<Ipv4Addr>(domain?, 32) => Mechanism::Address,
        "ip6" if is_network::<Ipv6Addr>(domain?, 128) => Mechanism::Address,
        _ => return None,
    };
    Some(Term {
        qualifier: qualifier.unwrap_or(Qualifier::Pass),
        mechanism,
        text,
    })
}

/// `[:domain][/length][//length]`.
fn is_domain_and_length(argument: &str) -> bool {
    let (domain, lengths) = match argument.find('/') {
        Some(at) => argument.split_at(at),
        None => (argument, ""),
    };
    let four = lengths.split("//").next().unwrap_or_default();
    let six = lengths.split_once("//").map(|(_, length)| length);
    let is_length = |length: &str, most: u8| length.parse::<u8>().is_ok_and(|length| length <= most);
    domain != ":"
        && (four.is_empty() || four.strip_prefix('/').is_some_and(|length| is_length(length, 32)))
        && six.is_none_or(|length| is_length(length, 128))
}

fn is_network<A: std::str::FromStr>(network: &str, most: u8) -> bool {
    match network.split_once('/') {
        Some((address, length)) => {
            address.parse::<A>().is_ok() && length.parse::<u8>().is_ok_and(|length| length <= most)
        }
        None => network.parse::<A>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t08_a_record_of_spf_begins_with_its_version() {
        for text in ["v=spf1", "v=spf1 -all", "V=SPF1 ~all"] {
            assert!(is_spf(text), "{text}");
        }
        for text in [
            "",
            "v=spf10 -all",
            "v=spf2.0/pra -all",
            " v=spf1",
            "google-site-verification=x",
        ] {
            assert!(!is_spf(text), "{text}");
        }
    }

    #[test]
    fn t08_every_mechanism_is_read() {
        let text = "v=spf1  a mx:mail.example.com/24//64 a/24 a//64 include:_spf.google.com ip4:192.0.2.0/24 ip6:2001:db8::/32 \
                    ptr exists:%{i}.example.com exp=why.example.com unknown=x ?all";
        let record = Record::read(text).unwrap();
        assert_eq!(record.lookups(), 7);
        assert_eq!(record.follows(), ["_spf.google.com"]);
        assert_eq!(record.all(), Some(Qualifier::Neutral));
        assert_eq!(record.redirect(), None);
        let elsewhere = Record::read("v=spf1 redirect=_SPF.example.com.").unwrap();
        assert_eq!(elsewhere.follows(), ["_spf.example.com"]);
        assert_eq!(elsewhere.lookups(), 1);
    }

    #[test]
    fn t08_what_cannot_be_read_is_named() {
        for wrong in [
            "include:",
            "include",
            "all:x",
            "ip4:192.0.2.256",
            "ip4:2001:db8::",
            "ip4",
            "ip6:x",
            "ip4:192.0.2.0/33",
            "mx:",
            "a/33",
            "a//129",
            "a/",
            "includ:x",
            "exists",
            "redirect=",
            "-",
            "v=spf1;",
            "1=x",
            "ä",
        ] {
            let text = format!("v=spf1 mx {wrong} -all");
            // `v=…` is a modifier that nobody knows, and has to be ignored.
            let expected = if wrong.starts_with("v=") {
                Ok(())
            } else {
                Err(wrong)
            };
            assert_eq!(Record::read(&text).map(|_| ()), expected, "{wrong}");
        }
        assert_eq!(
            Record::read("v=spf1 redirect=a.b redirect=c.d"),
            Err("redirect=c.d")
        );
    }

    #[test]
    fn t08_nothing_counts_after_all() {
        let record =
            Record::read("v=spf1 include:a.example -all include:b.example redirect=c.example").unwrap();
        assert_eq!(record.follows(), ["a.example"]);
        assert_eq!(record.after_all(), Some("include:b.example"));
        assert_eq!(
            Record::read("v=spf1 mx +all").unwrap().ending_with("~all"),
            "v=spf1 mx ~all"
        );
    }
}
