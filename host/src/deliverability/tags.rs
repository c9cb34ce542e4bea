//! Lists of tags, as keys and policies are written: `v=DKIM1; k=rsa; p=…` (RFC 6376, section 3.2).

/// The tags of a record, each once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Tags<'a> {
    /// Reads a list; the error is what cannot be read.
    pub(super) fn read(record: &'a str) -> Result<Self, &'a str> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for part in record.split(';') {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=').ok_or(part)?;
            let (name, value) = (name.trim_end(), value.trim_start());
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name || tags.iter().any(|(known, _)| *known == name) {
                return Err(part);
            }
            tags.push((name, value));
        }
        Ok(Self(tags))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// The name of the first one.
    pub(super) fn first(&self) -> Option<&'a str> {
        self.0.first().map(|(name, _)| *name)
    }

    /// The list with one value changed, as it would be published: without what is not plain text.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let tags = self.0.iter().map(|(known, old)| {
            let value = if *known == name { value } else { old };
            format!("{known}={value}")
        });
        let text = tags.collect::<Vec<_>>().join("; ");
        text.chars()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t08_tags_are_read_with_white_space_and_an_end() {
        let tags = Tags::read(" v = DMARC1 ;p=none;\t rua=mailto:a@example.com ; ").unwrap();
        assert_eq!(tags.first(), Some("v"));
        assert_eq!((tags.get("p"), tags.get("x")), (Some("none"), None));
        assert_eq!(
            tags.with("p", "reject"),
            "v=DMARC1; p=reject; rua=mailto:a@example.com"
        );
        assert_eq!(Tags::read("p=").unwrap().get("p"), Some(""));
        let hostile = Tags::read("v=DMARC1; rua=mailto:a\u{1b}[31m@b\u{202e}").unwrap();
        assert_eq!(hostile.with("p", "reject"), "v=DMARC1; rua=mailto:a[31m@b");
    }

    #[test]
    fn t08_what_is_no_tag_is_named() {
        for (record, wrong) in [
            ("v=1; none", "none"),
            ("=x", "=x"),
            ("a b=1", "a b=1"),
            ("p=1; p=2", "p=2"),
        ] {
            assert_eq!(Tags::read(record), Err(wrong), "{record}");
        }
    }
}
