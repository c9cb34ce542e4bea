//! Tenants, users and contacts.

use std::collections::BTreeSet;

use rusqlite::{Connection as Sql, OptionalExtension};

use super::{CrmError, CrmEvent, EmbeddedCrm, Paging, attachments, pages::PAGE_LIMIT, records::new_id};
use crate::{
    contract::Contact,
    mailbox::normalised,
    scope::{TenantId, UserId},
};

/// The most addresses of one contact.
const ADDRESSES_LIMIT: usize = 100;
/// The longest address (RFC 5321, 4.5.3.1.3 allows 254 in a path) and the longest name, in bytes.
const TEXT_LIMIT: usize = 1_000;
/// The longest text that is looked for, in characters.
const FIND_LIMIT: usize = 200;

/// The ids of contacts of the tenant `?1` whose name or address is like the [`pattern`] `?4`.
pub(super) const LIKE: &str = "
    SELECT id FROM crm_contact WHERE tenant = ?1 AND name LIKE ?4 ESCAPE '\\'
    UNION SELECT contact FROM crm_address WHERE tenant = ?1 AND folded LIKE ?4 ESCAPE '\\'";

/// A contact to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewContact {
    /// Display name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The user it is assigned to; absent: anyone's (S30).
    pub assigned_user: Option<UserId>,
    /// When it was created, ms since the epoch; absent: now.
    pub created_at: Option<u64>,
}

/// An address of a contact whose mail another contact gets (S16).
#[derive(Clone, Debug, PartialEq)]
pub struct Outranked {
    /// The address, as the contact has it.
    pub address: String,
    /// The contact with the same address that was created first.
    pub winner: Contact,
}

/// What became of a contact to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is here now, under this id.
    Added(String),
    /// A contact had its address already: this one.
    Known(String),
    /// It cannot be one, and why.
    Refused(String),
}

/// Whether a contact's mail comes in (T06).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// It does, as far as the other rules let it.
    Open,
    /// It does not.
    Private,
}

impl EmbeddedCrm {
    /// Makes a tenant, or names it anew.
    pub async fn create_tenant(&self, tenant: &TenantId, name: &str) -> Result<(), CrmError> {
        let (tenant, name) = (tenant.clone(), name.to_owned());
        self.database
            .write(move |sql| {
                sql.execute(
                    "INSERT INTO crm_tenant (id, name) VALUES (?1, ?2)
                     ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                    (tenant.as_str(), name),
                )?;
                Ok(())
            })
            .await
    }

    /// All tenants with their names, in the order of their ids. For the operator's pages.
    pub async fn list_tenants(&self) -> Result<Vec<(TenantId, String)>, CrmError> {
        self.database
            .call(|sql| {
                let mut statement = sql.prepare_cached("SELECT id, name FROM crm_tenant ORDER BY id")?;
                let rows = statement
                    .query_map([], |row| {
                        Ok((TenantId::new(row.get::<_, String>(0)?), row.get(1)?))
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(rows)
            })
            .await
    }

    /// Makes a user of a tenant, or names them anew.
    pub async fn create_user(&self, tenant: &TenantId, user: &UserId, name: &str) -> Result<(), CrmError> {
        let (tenant, user, name) = (tenant.clone(), user.clone(), name.to_owned());
        self.database
            .write(move |sql| {
                tenant_exists(sql, &tenant)?;
                sql.execute(
                    "INSERT INTO crm_user (tenant, id, name) VALUES (?1, ?2, ?3)
                     ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name",
                    (tenant.as_str(), user.as_str(), name),
                )?;
                Ok(())
            })
            .await
    }

    /// A tenant's users with their names, in the order of their ids.
    pub async fn list_users(&self, tenant: &TenantId) -> Result<Vec<(UserId, String)>, CrmError> {
        let tenant = tenant.clone();
        self.database
            .call(move |sql| {
                let mut statement =
                    sql.prepare_cached("SELECT id, name FROM crm_user WHERE tenant = ?1 ORDER BY id")?;
                let rows = statement
                    .query_map([tenant.as_str()], |row| {
                        Ok((UserId::new(row.get::<_, String>(0)?), row.get(1)?))
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(rows)
            })
            .await
    }

    /// Makes a contact; its id.
    pub async fn create_contact(&self, tenant: &TenantId, contact: NewContact) -> Result<String, CrmError> {
        within_limits(&contact.name, &contact.addresses)?;
        let (tenant, now) = (tenant.clone(), self.clock.now());
        self.database
            .write(move |sql| insert(sql, &tenant, &contact, now))
            .await
    }

    /// Makes contacts, but for those whose first address is a contact's already; what became of each, in their order.
    pub async fn import_contacts(
        &self,
        tenant: &TenantId,
        contacts: Vec<NewContact>,
    ) -> Result<Vec<Imported>, CrmError> {
        let (owner, now) = (tenant.clone(), self.clock.now());
        let imported = self
            .database
            .write(move |sql| {
                let each = contacts.iter().map(|contact| import(sql, &owner, contact, now));
                each.collect::<Result<Vec<_>, CrmError>>()
            })
            .await?;
        let tenant = tenant.clone();
        self.announce([CrmEvent::ContactsChanged { tenant }]);
        Ok(imported)
    }

    /// Gives a contact to a user of the tenant, or to nobody (S30).
    pub async fn assign_contact(
        &self,
        tenant: &TenantId,
        id: &str,
        user: Option<&UserId>,
    ) -> Result<(), CrmError> {
        let (tenant, id, user) = (tenant.clone(), id.to_owned(), user.cloned());
        self.database
            .write(move |sql| {
                user_exists(sql, &tenant, user.as_ref())?;
                let changed = sql
                    .prepare_cached(
                        "UPDATE crm_contact SET assigned_user = ?3 WHERE tenant = ?1 AND id = ?2",
                    )?
                    .execute((tenant.as_str(), &id, user.as_ref().map(UserId::as_str)))?;
                if changed == 0 {
                    Err(CrmError::NotFound)
                } else {
                    Ok(())
                }
            })
            .await
    }

    /// Deletes a contact with its conversation. `Refused` while mail to it waits to be sent.
    pub async fn delete_contact(&self, tenant: &TenantId, id: &str) -> Result<(), CrmError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.database
            .write(move |sql| {
                by_id(sql, &tenant, &id)?.ok_or(CrmError::NotFound)?;
                let owner = (tenant.as_str(), id.as_str());
                let mut statement = sql
                    .prepare_cached("SELECT id, waits FROM crm_message WHERE tenant = ?1 AND contact = ?2")?;
                let messages: Vec<(String, bool)> = statement
                    .query_map(owner, |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<_, _>>()?;
                if messages.iter().any(|(_, waits)| *waits) {
                    return Err(CrmError::Refused("mail to the contact waits to be sent".into()));
                }
                for (message, _) in &messages {
                    attachments::remove_all(sql, message)?;
                }
                for table in ["crm_message", "crm_person", "crm_address"] {
                    sql.execute(
                        &format!("DELETE FROM {table} WHERE tenant = ?1 AND contact = ?2"),
                        owner,
                    )?;
                }
                sql.execute("DELETE FROM crm_contact WHERE tenant = ?1 AND id = ?2", owner)?;
                Ok(())
            })
            .await
    }

    /// Makes a contact's conversation private, or open again (T06): while it is private none of its mail comes in.
    pub async fn set_secrecy(&self, tenant: &TenantId, id: &str, secrecy: Secrecy) -> Result<(), CrmError> {
        let (owner, id) = (tenant.clone(), id.to_owned());
        let changed = self
            .database
            .write(move |sql| {
                let is_private = secrecy == Secrecy::Private;
                let changed = sql
                    .prepare_cached("UPDATE crm_contact SET private = ?3 WHERE tenant = ?1 AND id = ?2")?
                    .execute((owner.as_str(), id, is_private))?;
                Ok::<_, CrmError>(changed)
            })
            .await?;
        if changed == 0 {
            return Err(CrmError::NotFound);
        }
        let tenant = tenant.clone();
        self.announce([CrmEvent::ContactsChanged { tenant }]);
        Ok(())
    }

    /// The tenant's contacts whose conversation is private, by name; the first 1,000.
    pub async fn private_contacts(&self, tenant: &TenantId) -> Result<Vec<Contact>, CrmError> {
        let tenant = tenant.clone();
        self.database
            .call(move |sql| {
                let ids: Vec<String> = sql
                    .prepare_cached(
                        "SELECT id FROM crm_contact WHERE tenant = ?1 AND private = 1 ORDER BY name, id LIMIT 1000",
                    )?
                    .query_map([tenant.as_str()], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                ids.iter()
                    .filter_map(|id| by_id(sql, &tenant, id).transpose())
                    .collect()
            })
            .await
    }

    /// The tenant's contact with this address, however it is written; of several the one created first (S16).
    pub async fn contact_with(&self, tenant: &TenantId, address: &str) -> Result<Contact, CrmError> {
        let (tenant, address) = (tenant.clone(), address.to_owned());
        self.database
            .call(move |sql| owner(sql, &tenant, &address)?.ok_or(CrmError::NotFound))
            .await
    }

    /// A tenant's contacts, the one created first before the others.
    pub async fn list_contacts(&self, tenant: &TenantId, paging: Paging) -> Result<Vec<Contact>, CrmError> {
        self.search_contacts(tenant, "", paging).await
    }

    /// Those whose name or address has this in it, in any case of ASCII letters.
    pub async fn search_contacts(
        &self,
        tenant: &TenantId,
        find: &str,
        paging: Paging,
    ) -> Result<Vec<Contact>, CrmError> {
        let (tenant, like) = (tenant.clone(), pattern(find));
        self.database
            .call(move |sql| {
                let found = match &like {
                    None => String::new(),
                    Some(_) => format!("AND id IN ({LIKE})"),
                };
                let mut statement = sql.prepare_cached(&format!(
                    "SELECT id FROM crm_contact WHERE tenant = ?1 {found} ORDER BY created_at, id
                     LIMIT ?2 OFFSET ?3"
                ))?;
                let (limit, offset) = (paging.limit.min(PAGE_LIMIT), paging.offset);
                let id = |row: &rusqlite::Row<'_>| row.get(0);
                let ids: Vec<String> = match like {
                    None => statement.query_map((tenant.as_str(), limit, offset), id)?,
                    Some(like) => statement.query_map((tenant.as_str(), limit, offset, like), id)?,
                }
                .collect::<Result<_, _>>()?;
                ids.iter()
                    .filter_map(|id| by_id(sql, &tenant, id).transpose())
                    .collect()
            })
            .await
    }

    /// What each of these contacts of a tenant does not get because another was created first (S16).
    pub async fn outranked(
        &self,
        tenant: &TenantId,
        contacts: &[Contact],
    ) -> Result<Vec<Vec<Outranked>>, CrmError> {
        let (tenant, contacts) = (tenant.clone(), contacts.to_vec());
        self.database
            .call(move |sql| {
                let each = contacts.iter().map(|contact| outranked(sql, &tenant, contact));
                each.collect()
            })
            .await
    }

    /// One contact.
    pub async fn contact(&self, tenant: &TenantId, id: &str) -> Result<Contact, CrmError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.database
            .call(move |sql| by_id(sql, &tenant, &id)?.ok_or(CrmError::NotFound))
            .await
    }
}

/// All contacts of the tenant with one of these addresses, in any case; created first, first.
pub(super) fn with_addresses(
    sql: &Sql,
    tenant: &TenantId,
    addresses: &[String],
) -> Result<Vec<Contact>, CrmError> {
    let query = "SELECT contact FROM crm_address WHERE tenant = ?1 AND folded = ?2";
    find(sql, tenant, query, addresses.iter().map(|address| fold(address)))
}

/// The same and more: all contacts with an address that may be the same mailbox as one of these. The sync decides
/// which of them is.
pub(super) fn alike(sql: &Sql, tenant: &TenantId, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
    let query = "SELECT contact FROM crm_address WHERE tenant = ?1 AND loose = ?2";
    let wanted: BTreeSet<String> = addresses.iter().map(|address| loose(address)).collect();
    find(sql, tenant, query, wanted.into_iter())
}

/// Indexes addresses from before there was an index by likeness.
pub(super) fn index(sql: &Sql) -> rusqlite::Result<()> {
    let unindexed: Vec<(i64, String)> = sql
        .prepare("SELECT rowid, address FROM crm_address WHERE loose IS NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut statement = sql.prepare("UPDATE crm_address SET loose = ?2 WHERE rowid = ?1")?;
    for (row, address) in unindexed {
        statement.execute((row, loose(&address)))?;
    }
    Ok(())
}

fn find(
    sql: &Sql,
    tenant: &TenantId,
    query: &str,
    wanted: impl Iterator<Item = String>,
) -> Result<Vec<Contact>, CrmError> {
    let mut statement = sql.prepare_cached(query)?;
    let mut ids = BTreeSet::new();
    for wanted in wanted {
        let mut rows = statement.query((tenant.as_str(), wanted))?;
        while let Some(row) = rows.next()? {
            ids.insert(row.get::<_, String>(0)?);
        }
    }
    let mut contacts: Vec<Contact> = ids
        .iter()
        .filter_map(|id| by_id(sql, tenant, id).transpose())
        .collect::<Result<_, _>>()?;
    contacts.sort_by_key(|contact| contact.created_at);
    Ok(contacts)
}

/// The tenant's contact with this id.
pub(super) fn by_id(sql: &Sql, tenant: &TenantId, id: &str) -> Result<Option<Contact>, CrmError> {
    let contact = sql
        .prepare_cached(
            "SELECT id, name, created_at, assigned_user, private FROM crm_contact WHERE tenant = ?1 AND id = ?2",
        )?
        .query_row((tenant.as_str(), id), |row| {
            Ok(Contact {
                id: row.get(0)?,
                name: row.get(1)?,
                addresses: Vec::new(),
                created_at: row.get(2)?,
                assigned_user: row.get(3)?,
                private: row.get(4)?,
            })
        })
        .optional()?;
    let Some(mut contact) = contact else {
        return Ok(None);
    };
    contact.addresses = sql
        .prepare_cached(
            "SELECT address FROM crm_address WHERE tenant = ?1 AND contact = ?2 ORDER BY position",
        )?
        .query_map((tenant.as_str(), id), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(Some(contact))
}

/// Who gets the mail of an address (S16).
fn owner(sql: &Sql, tenant: &TenantId, address: &str) -> Result<Option<Contact>, CrmError> {
    let same = same_mailbox(address);
    let has_it = |contact: &Contact| contact.addresses.iter().any(|own| same_mailbox(own) == same);
    // Gmail's older name is another domain to whoever compares letters.
    let older = same
        .strip_suffix("@gmail.com")
        .map(|local| format!("{local}@googlemail.com"));
    let spellings: Vec<String> = older.into_iter().chain([same.clone()]).collect();
    Ok(alike(sql, tenant, &spellings)?.into_iter().find(has_it))
}

fn outranked(sql: &Sql, tenant: &TenantId, contact: &Contact) -> Result<Vec<Outranked>, CrmError> {
    let mut lost = Vec::new();
    for address in &contact.addresses {
        if let Some(winner) = owner(sql, tenant, address)?
            && winner.id != contact.id
        {
            lost.push(Outranked {
                address: address.clone(),
                winner,
            });
        }
    }
    Ok(lost)
}

fn import(sql: &Sql, tenant: &TenantId, contact: &NewContact, now: u64) -> Result<Imported, CrmError> {
    if let Some(known) = with_addresses(sql, tenant, &contact.addresses)?
        .into_iter()
        .next()
    {
        return Ok(Imported::Known(known.id));
    }
    let made = within_limits(&contact.name, &contact.addresses);
    match made.and_then(|()| insert(sql, tenant, contact, now)) {
        Ok(id) => Ok(Imported::Added(id)),
        Err(CrmError::Refused(why)) => Ok(Imported::Refused(why)),
        Err(error) => Err(error),
    }
}

pub(super) fn insert(
    sql: &Sql,
    tenant: &TenantId,
    contact: &NewContact,
    now: u64,
) -> Result<String, CrmError> {
    tenant_exists(sql, tenant)?;
    user_exists(sql, tenant, contact.assigned_user.as_ref())?;
    let id = new_id();
    let assigned_user = contact.assigned_user.as_ref().map(UserId::as_str);
    sql.prepare_cached(
        "INSERT INTO crm_contact (tenant, id, name, created_at, assigned_user) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        tenant.as_str(),
        &id,
        &contact.name,
        contact.created_at.unwrap_or(now),
        assigned_user,
    ))?;
    set_addresses(sql, tenant, &id, &contact.addresses)?;
    Ok(id)
}

/// Gives a contact these addresses instead of what it has.
pub(super) fn set_addresses(
    sql: &Sql,
    tenant: &TenantId,
    id: &str,
    addresses: &[String],
) -> Result<(), CrmError> {
    sql.prepare_cached("DELETE FROM crm_address WHERE tenant = ?1 AND contact = ?2")?
        .execute((tenant.as_str(), id))?;
    let mut statement = sql.prepare_cached(
        "INSERT INTO crm_address (tenant, contact, position, address, folded, loose)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (position, address) in addresses.iter().enumerate() {
        statement.execute((
            tenant.as_str(),
            id,
            position,
            address,
            fold(address),
            loose(address),
        ))?;
    }
    Ok(())
}

/// Refuses what no contact may have.
pub(super) fn within_limits(name: &str, addresses: &[String]) -> Result<(), CrmError> {
    let long = |text: &str| text.len() > TEXT_LIMIT;
    if addresses.len() > ADDRESSES_LIMIT || addresses.iter().any(|address| long(address)) || long(name) {
        return Err(CrmError::Refused("too many addresses, or a text too long".into()));
    }
    Ok(())
}

fn user_exists(sql: &Sql, tenant: &TenantId, user: Option<&UserId>) -> Result<(), CrmError> {
    let Some(user) = user else { return Ok(()) };
    let known = sql
        .prepare_cached("SELECT 1 FROM crm_user WHERE tenant = ?1 AND id = ?2")?
        .exists((tenant.as_str(), user.as_str()))?;
    if known {
        Ok(())
    } else {
        Err(CrmError::Refused("the tenant has no such user".into()))
    }
}

fn tenant_exists(sql: &Sql, tenant: &TenantId) -> Result<(), CrmError> {
    let known = sql
        .prepare_cached("SELECT 1 FROM crm_tenant WHERE id = ?1")?
        .exists([tenant.as_str()])?;
    if known { Ok(()) } else { Err(CrmError::NotFound) }
}

fn fold(address: &str) -> String {
    address.trim().to_lowercase()
}

/// What is [like](LIKE) a text that has this in it; of no text nothing is asked.
pub(super) fn pattern(find: &str) -> Option<String> {
    let find: String = find.trim().chars().take(FIND_LIMIT).collect();
    if find.is_empty() {
        return None;
    }
    let mut pattern = String::from("%");
    for c in find.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    Some(pattern)
}

/// What addresses have in common that may be the same mailbox with whatever provider: dots and a tag of the local part
/// do not count, nor the form in which a domain is written (RFC 5891).
fn loose(address: &str) -> String {
    let folded = with_ascii_domain(fold(address));
    let Some((local, domain)) = folded.rsplit_once('@') else {
        return folded;
    };
    let plain = local.split('+').next().filter(|plain| !plain.is_empty());
    let local = plain.unwrap_or(local).replace('.', "");
    format!("{local}@{domain}")
}

/// What the addresses of one mailbox have in common. A tag stays: who has an address with a tag gets its mail.
fn same_mailbox(address: &str) -> String {
    normalised(&with_ascii_domain(fold(address)))
}

fn with_ascii_domain(address: String) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return address;
    };
    match url::Host::parse(domain) {
        Ok(ascii) => format!("{local}@{ascii}"),
        Err(_) => address,
    }
}
