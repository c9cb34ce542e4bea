//! Origins and who grants them. A grant is scheme, host and port, exactly: no patterns, no suffixes.

use std::collections::{HashMap, HashSet};

use url::Url;

/// Scheme, host and port (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// The text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an origin: {0}")]
pub struct OriginError(String);

impl Origin {
    /// Parses `https://host` or `https://host:port`; nothing may follow.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let error = || OriginError(text.to_owned());
        let (url, origin) = parse(text).ok_or_else(error)?;
        if url.path() == "/" && url.query().is_none() && !text.ends_with('?') {
            Ok(origin)
        } else {
            Err(error())
        }
    }

    /// The URL with this origin in place of its own.
    pub(super) fn rebase(&self, url: &Url) -> Option<Url> {
        let mut rebased = Url::parse(&self.to_string()).ok()?;
        rebased.set_path(url.path());
        rebased.set_query(url.query());
        Some(rebased)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// An absolute `http` or `https` URL without user name, password or fragment, and its origin.
pub(super) fn parse(text: &str) -> Option<(Url, Origin)> {
    const LONGEST: usize = 16 << 10;
    if text.len() > LONGEST {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let origin = Origin {
        scheme: url.scheme().to_owned(),
        // A trailing dot names the same host to DNS and another one to a list.
        host: url.host_str()?.trim_end_matches('.').to_owned(),
        port: url.port_or_known_default()?,
    };
    Some((url, origin))
}

/// A set of origins. Empty by default: nothing is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(HashSet<Origin>);

impl Grants {
    /// These origins.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, OriginError> {
        texts
            .into_iter()
            .map(|text| Origin::parse(text.as_ref()))
            .collect()
    }

    /// Whether this origin is granted.
    pub fn allow(&self, origin: &Origin) -> bool {
        self.0.contains(origin)
    }
}

impl FromIterator<Origin> for Grants {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        Self(origins.into_iter().collect())
    }
}

/// Which origin stands in for which granted one, in tests.
#[derive(Clone, Debug, Default)]
pub struct StandIns(HashMap<Origin, Origin>);

impl StandIns {
    /// `stand_in` answers for `origin`.
    #[must_use]
    pub fn with(mut self, origin: Origin, stand_in: Origin) -> Self {
        self.0.insert(origin, stand_in);
        self
    }

    pub(super) fn of(&self, origin: &Origin) -> Option<&Origin> {
        self.0.get(origin)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scheme_host_and_port_all_matter() {
        let grants = Grants::parse(["https://mail.example"]).unwrap();
        let allowed = |text| grants.allow(&Origin::parse(text).unwrap());
        assert!(allowed("https://mail.example"));
        assert!(allowed("https://MAIL.example:443/"));
        assert!(allowed("https://mail.example."));
        assert!(!allowed("http://mail.example"));
        assert!(!allowed("https://mail.example:8443"));
        assert!(!allowed("https://mail.example.evil.example"));
        assert!(!allowed("https://evil-mail.example"));
    }

    #[test]
    fn what_hides_another_host_is_not_an_origin() {
        for text in [
            "",
            "mail.example",
            "ftp://mail.example",
            "https://user@mail.example",
            "https://mail.example@evil.example",
            "https://mail.example/path",
            "https://mail.example?q",
            "https://mail.example#f",
            "data:text/plain,x",
            "file:///etc/passwd",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,200}") {
            if let Some((url, origin)) = parse(&text) {
                prop_assert!(origin.rebase(&url).is_some());
            }
        }
    }
}
