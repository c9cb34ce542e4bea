//! Persons of users' address books, and the contacts they are (S08).
//!
//! What people made in the CRM is theirs: a person with an address of a contact that is there becomes that
//! contact, which keeps its name and gains only addresses that no contact has. A contact that was made from
//! an address book follows it, and goes with it unless something was done with it.

use rusqlite::{Connection as Sql, OptionalExtension};

use super::{
    CrmError,
    people::{self, NewContact},
};
use crate::{
    contract::{Person, PersonOutcome},
    scope::{Scope, TenantId},
};

/// Whether a contact was there before the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// People made it.
    Found,
    /// It was made of the person.
    Made,
}

struct Link {
    contact: String,
    origin: Origin,
}

/// Puts persons; an outcome each.
pub(super) fn put(
    sql: &Sql,
    scope: &Scope,
    persons: &[Person],
    now: u64,
) -> Result<Vec<PersonOutcome>, CrmError> {
    let outcomes = persons.iter().map(|person| {
        if let Err(CrmError::Refused(why)) = people::within_limits(&person.name, &person.addresses) {
            return Ok(PersonOutcome::Refused(why));
        }
        put_one(sql, scope, person, now).map(PersonOutcome::Stored)
    });
    outcomes.collect()
}

fn put_one(sql: &Sql, scope: &Scope, person: &Person, now: u64) -> Result<String, CrmError> {
    let tenant = &scope.tenant;
    if let Some(Link { contact, origin }) = link(sql, scope, &person.key)? {
        match origin {
            Origin::Made => {
                sql.prepare_cached("UPDATE crm_contact SET name = ?3 WHERE tenant = ?1 AND id = ?2")?
                    .execute((tenant.as_str(), &contact, shown(person)))?;
                people::set_addresses(sql, tenant, &contact, &person.addresses)?;
            }
            Origin::Found => gain(sql, tenant, &contact, person)?,
        }
        return Ok(contact);
    }
    let known = people::with_addresses(sql, tenant, &person.addresses)?;
    let (contact, origin) = if let Some(first) = known.into_iter().next() {
        gain(sql, tenant, &first.id, person)?;
        (first.id, Origin::Found)
    } else {
        let new = NewContact {
            name: shown(person).to_owned(),
            addresses: person.addresses.clone(),
            assigned_user: None,
            created_at: Some(now),
        };
        (people::insert(sql, tenant, &new, now)?, Origin::Made)
    };
    sql.prepare_cached(
        "INSERT INTO crm_person (tenant, account, key, contact, made) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        tenant.as_str(),
        &scope.account,
        &person.key,
        &contact,
        origin == Origin::Made,
    ))?;
    Ok(contact)
}

/// Takes persons away. Idempotent.
pub(super) fn remove(sql: &Sql, scope: &Scope, keys: &[String]) -> Result<(), CrmError> {
    let tenant = scope.tenant.as_str();
    for key in keys {
        let Some(Link { contact, origin }) = link(sql, scope, key)? else {
            continue;
        };
        sql.prepare_cached("DELETE FROM crm_person WHERE tenant = ?1 AND account = ?2 AND key = ?3")?
            .execute((tenant, &scope.account, key))?;
        if origin == Origin::Found {
            continue;
        }
        let is_used = sql
            .prepare_cached(
                "SELECT 1 FROM crm_message WHERE tenant = ?1 AND contact = ?2
                 UNION ALL SELECT 1 FROM crm_person WHERE tenant = ?1 AND contact = ?2
                 UNION ALL SELECT 1 FROM crm_contact WHERE tenant = ?1 AND id = ?2 AND assigned_user IS NOT NULL",
            )?
            .exists((tenant, &contact))?;
        if !is_used {
            people::set_addresses(sql, &scope.tenant, &contact, &[])?;
            sql.prepare_cached("DELETE FROM crm_contact WHERE tenant = ?1 AND id = ?2")?
                .execute((tenant, &contact))?;
        }
    }
    Ok(())
}

fn link(sql: &Sql, scope: &Scope, key: &str) -> Result<Option<Link>, CrmError> {
    let link = sql
        .prepare_cached(
            "SELECT contact, made FROM crm_person WHERE tenant = ?1 AND account = ?2 AND key = ?3",
        )?
        .query_row((scope.tenant.as_str(), &scope.account, key), |row| {
            let origin = if row.get(1)? { Origin::Made } else { Origin::Found };
            Ok(Link {
                contact: row.get(0)?,
                origin,
            })
        })
        .optional()?;
    Ok(link)
}

/// Adds to a contact what it lacks and no contact has.
fn gain(sql: &Sql, tenant: &TenantId, contact: &str, person: &Person) -> Result<(), CrmError> {
    let Some(known) = people::by_id(sql, tenant, contact)? else {
        return Err(CrmError::NotFound);
    };
    let mut addresses = known.addresses.clone();
    for address in &person.addresses {
        if people::with_addresses(sql, tenant, std::slice::from_ref(address))?.is_empty() {
            addresses.push(address.clone());
        }
    }
    if addresses == known.addresses || people::within_limits("", &addresses).is_err() {
        return Ok(());
    }
    people::set_addresses(sql, tenant, contact, &addresses)
}

/// A contact without a name goes by its main address.
fn shown(person: &Person) -> &str {
    if person.name.is_empty() {
        person.addresses.first().map_or("", String::as_str)
    } else {
        &person.name
    }
}
