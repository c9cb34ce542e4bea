//! The demo's contacts: sample ones, a CSV file's, or the most frequent senders of the mail.

use std::{collections::BTreeMap, path::Path};

use mail_parser::MessageParser;

use super::{
    super::{args::Demo, failure::Failure, runtime::TENANT},
    arrivals::{Arrivals, SAMPLES},
};
use crate::{
    contact_file::{self, Row as Contact},
    crm::{EmbeddedCrm, NewContact, Paging},
    scope::{TenantId, UserId},
};

/// Largest CSV file read, bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

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
    let lines = contact_file::read(&text).into_iter();
    lines
        .map(|(line, row)| row.map_err(|what| wrong(format!("line {line}: {what}"))))
        .collect()
}
