//! S08: contacts of the Google account are brought into the CRM when the user ticks that choice.

use super::{Own, s18_bcc_address::is_logging};
use crate::{contract::Person, mail::normalise, people::GooglePerson};

/// Who the CRM is to have; `None` for an entry that is deleted, or by whom nobody could be written to. The
/// user is no contact of themselves: mail to oneself would have a conversation. Neither is a BCC address (S18), which
/// people keep in their address books.
pub fn wanted(person: &GooglePerson, own: &Own, bcc_address: Option<&str>) -> Option<Person> {
    if person.metadata.deleted {
        return None;
    }
    let mut addresses: Vec<String> = Vec::new();
    for address in &person.email_addresses {
        let address = address.value.trim();
        let is_known = addresses.iter().any(|known| known.eq_ignore_ascii_case(address));
        let is_somebody = !own.has(address) && !is_logging(address, bcc_address);
        if normalise(address).is_some() && is_somebody && !is_known {
            addresses.push(address.to_owned());
        }
    }
    let name = person.names.first().map(|name| name.display_name.trim());
    (!addresses.is_empty()).then(|| Person {
        key: person.resource_name.clone(),
        name: name.unwrap_or_default().to_owned(),
        addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(address: &str) -> Own {
        Own::of([address].into_iter())
    }

    fn person(json: &str) -> GooglePerson {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn s08_a_person_has_a_name_and_each_address_once() {
        let ada = person(
            r#"{"resourceName": "people/c1", "etag": "x", "names": [{"displayName": "Ada"}],
                "emailAddresses": [{"value": "ada@example.com", "type": "home"}, {"value": " Ada@Example.com"}]}"#,
        );
        let wanted = wanted(&ada, &own("me@example.com"), None).unwrap();
        assert_eq!(wanted.key, "people/c1");
        assert_eq!(wanted.name, "Ada");
        assert_eq!(wanted.addresses, ["ada@example.com"]);
    }

    #[test]
    fn s08_who_is_deleted_or_has_no_address_is_not_wanted() {
        let deleted = person(r#"{"resourceName": "people/c1", "metadata": {"deleted": true}}"#);
        let nameless = person(r#"{"resourceName": "people/c2", "names": [{"displayName": "Bo"}]}"#);
        let broken = person(r#"{"resourceName": "people/c3", "emailAddresses": [{"value": "call him"}]}"#);
        for person in [deleted, nameless, broken] {
            assert_eq!(wanted(&person, &own("me@example.com"), None), None);
        }
    }

    #[test]
    fn s18_a_bcc_address_in_the_address_book_is_no_contact() {
        let bcc = "log-abcdefghijklmnopqrstuvwx23@log.crm.example";
        let log = person(&format!(
            r#"{{"resourceName": "people/c1", "emailAddresses": [{{"value": "{bcc}"}}]}}"#
        ));
        assert_eq!(wanted(&log, &own("me@example.com"), Some(bcc)), None);
    }

    #[test]
    fn s08_the_user_is_no_contact_of_themselves() {
        let me = person(
            r#"{"resourceName": "people/c1", "emailAddresses": [{"value": "m.e@googlemail.com"}, {"value": "me@work.example"}]}"#,
        );
        assert_eq!(
            wanted(&me, &own("me@gmail.com"), None).unwrap().addresses,
            ["me@work.example"]
        );
    }
}
