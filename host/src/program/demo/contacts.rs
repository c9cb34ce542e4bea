//! The demo's contacts: sample ones, a CSV file's, or the most frequent senders of the mail.

use std::{collections::BTreeMap, path::Path};

use mail_parser::MessageParser;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    super::{args::Demo, failure::Failure, runtime::TENANT},
    arrivals::{Arrivals, SAMPLES},
};
use crate::{
    crm::{EmbeddedCrm, NewContact, Paging},
    scope::{TenantId, UserId},
};

/// Largest CSV file read, bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// One contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) name: String,
    pub(super) address: String,
    assigned_user: Option<String>,
    created_at: Option<u64>,
}

/// The contacts the options ask for.
pub(super) fn choose(options: &Demo, arrivals: &Arrivals) -> Result<Vec<Contact>, Failure> {
    if let Some(path) = &options.contacts {
        return from_csv(path);
    }
    match options.contacts_from_mail {
        Some(number) => from_mail(arrivals, number),
        None => Ok(SAMPLES
            .iter()
            .map(|&(name, address, _)| contact(name, address))
            .collect()),
    }
}

/// Creates them, unless there are contacts from an earlier run.
pub(super) async fn create(crm: &EmbeddedCrm, contacts: &[Contact]) -> Result<(), Failure> {
    let tenant = TenantId::new(TENANT);
    let known = crm.list_contacts(&tenant, Paging::default()).await?;
    for contact in contacts {
        let is_known = known.iter().any(|known| {
            known.name == contact.name
                && known
                    .addresses
                    .iter()
                    .any(|address| address.eq_ignore_ascii_case(&contact.address))
        });
        if is_known {
            continue;
        }
        if let Some(user) = &contact.assigned_user {
            crm.create_user(&tenant, &UserId::new(user), user).await?;
        }
        let new = NewContact {
            name: contact.name.clone(),
            addresses: vec![contact.address.clone()],
            assigned_user: contact.assigned_user.as_ref().map(UserId::new),
            created_at: contact.created_at,
        };
        crm.create_contact(&tenant, new).await?;
    }
    Ok(())
}

fn contact(name: &str, address: &str) -> Contact {
    Contact {
        name: name.to_owned(),
        address: address.to_owned(),
        assigned_user: None,
        created_at: None,
    }
}

/// The most frequent senders; equal ones by address, so that every run has the same.
fn from_mail(arrivals: &Arrivals, number: usize) -> Result<Vec<Contact>, Failure> {
    let parser = MessageParser::new().with_address_headers();
    let mut senders: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for file in arrivals.files() {
        let raw = file.read()?;
        let Some(message) = parser.parse_headers(&raw) else {
            continue;
        };
        let Some(sender) = message.from().and_then(|from| from.first()) else {
            continue;
        };
        let Some(address) = sender.address() else { continue };
        let entry = senders.entry(address.trim().to_lowercase()).or_default();
        entry.0 += 1;
        if entry.1.is_empty() {
            sender.name().unwrap_or(address).clone_into(&mut entry.1);
        }
    }
    let mut senders: Vec<_> = senders
        .into_iter()
        .filter(|(address, _)| address.contains('@'))
        .collect();
    senders.sort_by(|(a, (more, _)), (b, (less, _))| less.cmp(more).then_with(|| a.cmp(b)));
    Ok(senders
        .into_iter()
        .take(number)
        .map(|(address, (_, name))| contact(&name, &address))
        .collect())
}

fn from_csv(path: &Path) -> Result<Vec<Contact>, Failure> {
    let advice = "A line is name,email,assigned-user,created-at; the last two may be empty.";
    let wrong = |what: String| Failure::configuration(format!("{}: {what}", path.display()), advice);
    if std::fs::metadata(path)
        .map_err(|error| wrong(error.to_string()))?
        .len()
        > LARGEST
    {
        return Err(wrong("the file is too large".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut contacts = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fields = fields(line);
        let is_header = number == 0
            && fields
                .get(1)
                .is_some_and(|field| field.eq_ignore_ascii_case("email"));
        if line.trim().is_empty() || is_header {
            continue;
        }
        contacts.push(row(&fields).map_err(|what| wrong(format!("line {}: {what}", number + 1)))?);
    }
    Ok(contacts)
}

fn row(fields: &[String]) -> Result<Contact, String> {
    let [name, address, rest @ ..] = fields else {
        return Err("a name and an address are needed".to_owned());
    };
    if !address.contains('@') {
        return Err(format!("{address} is not an address"));
    }
    let at = |index: usize| {
        rest.get(index)
            .map(String::as_str)
            .filter(|field| !field.is_empty())
    };
    let created_at = at(1)
        .map(|text| when(text).ok_or(format!("{text} is not a time")))
        .transpose()?;
    Ok(Contact {
        name: name.clone(),
        address: address.clone(),
        assigned_user: at(0).map(str::to_owned),
        created_at,
    })
}

fn when(text: &str) -> Option<u64> {
    if let Ok(milliseconds) = text.parse() {
        return Some(milliseconds);
    }
    let date_only = format!("{text}T00:00:00Z");
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&date_only, &Rfc3339))
        .ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// The fields of a line (RFC 4180, without line breaks inside fields).
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(character) = characters.next() {
        let Some(field) = fields.last_mut() else { break };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_line_may_quote_its_fields() {
        let row = row(&fields(r#""Archer, Ann",ann@a.example,sam,2026-01-02"#)).unwrap();
        assert_eq!(row.name, "Archer, Ann");
        assert_eq!(row.assigned_user.as_deref(), Some("sam"));
        assert_eq!(row.created_at, Some(1_767_312_000_000));
    }

    #[test]
    fn a_line_without_an_address_is_refused() {
        assert!(row(&fields("Ann,nowhere")).is_err());
        assert!(row(&fields("Ann")).is_err());
    }
}
