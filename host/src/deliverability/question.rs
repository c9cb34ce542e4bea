//! What is asked: of which domain, by whom its mail is sent, under which names it may have keys.

use thiserror::Error;
use url::Host;

/// Selectors that are looked up at most.
const MOST_SELECTORS: usize = 10;
/// The selector that Google's Admin console proposes (<https://support.google.com/a/answer/174124>).
pub(super) const GOOGLES_SELECTOR: &str = "google";

/// By whom the domain's mail is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// By Gmail, from mailboxes of Google Workspace.
    Gmail,
    /// By another server.
    Elsewhere,
}

/// A domain to look at.
#[derive(Clone, Debug)]
pub struct Question {
    domain: String,
    selectors: Vec<String>,
    sender: Sender,
}

/// Why it cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuestionError {
    /// It is no domain name.
    #[error("“{0}” is not the name of a domain")]
    Domain(String),
    /// It cannot be the name of a key.
    #[error("“{0}” is not a selector")]
    Selector(String),
    /// There are too many names of keys.
    #[error("more than {MOST_SELECTORS} selectors")]
    Selectors,
}

impl Question {
    /// Asks about a domain, or about that of an address. The name may be in any script.
    pub fn new(domain: &str, sender: Sender) -> Result<Self, QuestionError> {
        let wrong = || QuestionError::Domain(crate::problem::quoted(domain));
        let name = domain.rsplit('@').next().unwrap_or(domain).trim();
        let name = name.strip_suffix('.').unwrap_or(name);
        let Ok(Host::Domain(name)) = Host::parse(name) else {
            return Err(wrong());
        };
        if !is_name(&name) || !name.contains('.') {
            return Err(wrong());
        }
        Ok(Self {
            domain: name,
            selectors: Vec::new(),
            sender,
        })
    }

    /// Looks for keys under these names; without any, under `google` if Gmail sends.
    pub fn with_selectors<S: Into<String>>(
        mut self,
        selectors: impl IntoIterator<Item = S>,
    ) -> Result<Self, QuestionError> {
        for selector in selectors {
            let selector = selector.into().to_ascii_lowercase();
            if !is_name(&format!("{selector}._domainkey.{}", self.domain)) {
                return Err(QuestionError::Selector(crate::problem::quoted(&selector)));
            }
            if !self.selectors.contains(&selector) {
                self.selectors.push(selector);
            }
        }
        if self.selectors.len() > MOST_SELECTORS {
            return Err(QuestionError::Selectors);
        }
        Ok(self)
    }

    /// The domain, in lower case and ASCII.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// By whom its mail is sent.
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// The names that keys are looked for under.
    pub fn selectors(&self) -> Vec<&str> {
        if self.selectors.is_empty() && self.sender == Sender::Gmail {
            return vec![GOOGLES_SELECTOR];
        }
        self.selectors.iter().map(String::as_str).collect()
    }

    /// Whether somebody chose the selectors.
    pub(super) fn names_selectors(&self) -> bool {
        !self.selectors.is_empty()
    }

    /// Whether it is the domain of Google's own mailboxes for everybody.
    pub(super) fn is_consumer(&self) -> bool {
        matches!(self.domain.as_str(), "gmail.com" | "googlemail.com")
    }
}

/// Whether it can be asked for (RFC 1035, section 2.3.4): labels of at most 63 bytes, at most 253 together, of letters,
/// digits, `-` and `_`.
pub(super) fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t08_a_domain_may_be_an_address_or_in_any_script() {
        for (given, domain) in [
            ("Example.COM", "example.com"),
            ("ann@mail.example.com", "mail.example.com"),
            (" example.com. ", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            let question = Question::new(given, Sender::Gmail);
            assert_eq!(question.unwrap().domain(), domain, "{given}");
        }
    }

    #[test]
    fn t08_what_is_no_domain_is_not_asked() {
        let long = format!("{}.example", "a".repeat(64));
        for given in [
            "",
            "com",
            "192.0.2.1",
            "[::1]",
            "a b.example",
            "https://example.com/",
            "a..b",
            &long,
            "ann@",
        ] {
            assert!(Question::new(given, Sender::Gmail).is_err(), "{given}");
        }
    }

    #[test]
    fn t08_the_selector_is_googles_unless_others_are_named() {
        let question = |sender| Question::new("example.com", sender).unwrap();
        assert_eq!(question(Sender::Gmail).selectors(), ["google"]);
        assert!(question(Sender::Elsewhere).selectors().is_empty());
        let named = question(Sender::Gmail)
            .with_selectors(["S1", "s1", "s2.mail"])
            .unwrap();
        assert_eq!(named.selectors(), ["s1", "s2.mail"]);
        let wrong = question(Sender::Gmail).with_selectors(["a b"]);
        assert_eq!(wrong.unwrap_err(), QuestionError::Selector("a b".into()));
        let many = question(Sender::Gmail).with_selectors((0..11).map(|n| format!("s{n}")));
        assert_eq!(many.unwrap_err(), QuestionError::Selectors);
    }
}
