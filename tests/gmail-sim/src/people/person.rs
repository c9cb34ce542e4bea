//! A contact as the API writes it: a `Person` with the fields that were asked for.
//!
//! Fields without content are absent. Source: the People API's reference, `Person`, `Name`, `EmailAddress`, `PersonMetadata`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::contacts::{Contact, Version, resource_name};

/// What `personFields` may name.
pub(super) const FIELDS: &[&str] = &[
    "addresses",
    "ageRanges",
    "biographies",
    "birthdays",
    "calendarUrls",
    "clientData",
    "coverPhotos",
    "emailAddresses",
    "events",
    "externalIds",
    "genders",
    "imClients",
    "interests",
    "locales",
    "locations",
    "memberships",
    "metadata",
    "miscKeywords",
    "names",
    "nicknames",
    "occupations",
    "organizations",
    "phoneNumbers",
    "photos",
    "relations",
    "sipAddresses",
    "skills",
    "urls",
    "userDefined",
];

/// Whether a listing is of everybody or of what has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    Full,
    /// With the names that people had before.
    Changes,
}

/// A name in its parts.
struct Name<'a> {
    given: &'a str,
    middle: Option<&'a str>,
    /// A single name has none.
    family: Option<&'a str>,
}

impl<'a> Name<'a> {
    /// The last word is the family name, those between are middle names.
    fn parse(name: &'a str) -> Self {
        let name = name.trim();
        let Some((first, family)) = name.rsplit_once(' ') else {
            return Self {
                given: name,
                middle: None,
                family: None,
            };
        };
        let (given, middle) = match first.split_once(' ') {
            Some((given, middle)) => (given, Some(middle.trim())),
            None => (first, None),
        };
        Self {
            given,
            middle: middle.filter(|middle| !middle.is_empty()),
            family: Some(family),
        }
    }

    fn last_first(&self) -> String {
        let first = [Some(self.given), self.middle];
        let first: Vec<&str> = first.into_iter().flatten().collect();
        match self.family {
            Some(family) => format!("{family}, {}", first.join(" ")),
            None => first.join(" "),
        }
    }
}

/// A version of a contact as JSON.
pub(super) fn show(version: &Version, fields: &BTreeSet<&str>, listing: Listing) -> Value {
    let mut person = Map::new();
    person.insert("resourceName".to_owned(), json!(resource_name(version.id)));
    person.insert("etag".to_owned(), json!(etag('%', version)));
    let Some(contact) = &version.contact else {
        let mut gone = metadata(version, Listing::Full);
        gone["deleted"] = json!(true);
        person.insert("metadata".to_owned(), gone);
        return Value::Object(person);
    };
    if fields.contains("metadata") {
        person.insert("metadata".to_owned(), metadata(version, listing));
    }
    if let (true, Some(name)) = (fields.contains("names"), written_name(contact)) {
        person.insert("names".to_owned(), json!([name_of(version, name)]));
    }
    if fields.contains("emailAddresses") && !contact.addresses.is_empty() {
        let addresses = contact.addresses.iter().enumerate();
        let addresses: Vec<Value> = addresses
            .map(|(place, address)| address_of(version, place, address))
            .collect();
        person.insert("emailAddresses".to_owned(), json!(addresses));
    }
    Value::Object(person)
}

/// What people are sorted by.
pub(super) fn first_name(version: &Version) -> String {
    let name = version.contact.as_ref().and_then(written_name);
    name.map(|name| Name::parse(name).given.to_lowercase())
        .unwrap_or_default()
}

/// The same; a single name counts as the last.
pub(super) fn last_name(version: &Version) -> String {
    let name = version.contact.as_ref().and_then(written_name).map(Name::parse);
    name.map(|name| name.family.unwrap_or(name.given).to_lowercase())
        .unwrap_or_default()
}

fn written_name(contact: &Contact) -> Option<&str> {
    contact.name.as_deref().filter(|name| !name.trim().is_empty())
}

fn metadata(version: &Version, listing: Listing) -> Value {
    let mut source = source(version);
    source["etag"] = json!(etag('#', version));
    source["updateTime"] = json!(instant(version.changed_at));
    let mut metadata = json!({"sources": [source], "objectType": "PERSON"});
    if listing == Listing::Changes && !version.previous.is_empty() {
        let names: Vec<String> = version.previous.iter().map(|id| resource_name(*id)).collect();
        metadata["previousResourceNames"] = json!(names);
    }
    metadata
}

fn name_of(version: &Version, written: &str) -> Value {
    let name = Name::parse(written);
    let mut value = json!({
        "metadata": {"primary": true, "sourcePrimary": true, "source": source(version)},
        "displayName": written.trim(),
        "givenName": name.given,
        "displayNameLastFirst": name.last_first(),
        "unstructuredName": written.trim(),
    });
    if let Some(middle) = name.middle {
        value["middleName"] = json!(middle);
    }
    if let Some(family) = name.family {
        value["familyName"] = json!(family);
    }
    value
}

/// The first address is the one at home, the second that at work, and the others have no type.
fn address_of(version: &Version, place: usize, address: &str) -> Value {
    let mut metadata = json!({"source": source(version)});
    if place == 0 {
        metadata["primary"] = json!(true);
        metadata["sourcePrimary"] = json!(true);
    }
    let mut value = json!({"metadata": metadata, "value": address});
    let kinds = [("home", "Home"), ("work", "Work")];
    if let Some((kind, formatted)) = kinds.get(place) {
        value["type"] = json!(kind);
        value["formattedType"] = json!(formatted);
    }
    value
}

fn source(version: &Version) -> Value {
    json!({"type": "CONTACT", "id": format!("{:x}", version.id)})
}

fn etag(sign: char, version: &Version) -> String {
    let content = format!("{:x}.{}", version.id, version.position);
    format!("{sign}{}", STANDARD_NO_PAD.encode(content))
}

fn instant(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_by_its_words() {
        for (written, given, family, last_first) in [
            ("Carl Client", "Carl", Some("Client"), "Client, Carl"),
            (
                "Carl  M. N. Client ",
                "Carl",
                Some("Client"),
                "Client, Carl M. N.",
            ),
            ("Cher", "Cher", None, "Cher"),
        ] {
            let name = Name::parse(written);
            assert_eq!((name.given, name.family), (given, family), "{written}");
            assert_eq!(name.last_first(), last_first);
        }
    }
}
