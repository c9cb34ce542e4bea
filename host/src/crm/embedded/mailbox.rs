//! What the sync writes and reads: messages of the mailbox, and what people did to them.

use rusqlite::{Connection as Sql, params};

use super::{
    BODY_LIMIT, CrmError, CrmEvent, SUBJECT_LIMIT, attachments, people,
    records::{self, Delivery, Located, decode, encode, new_id},
};
use crate::{
    contract::{Change, ChangePage, Flags, Message, MessageUpdate, PutOutcome, UpdateOutcome},
    scope::{Scope, TenantId},
};

/// Puts messages of the mailbox, an outcome each.
pub(super) fn put(sql: &Sql, scope: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
    messages
        .iter()
        .map(|message| put_one(sql, scope, message))
        .collect()
}

fn put_one(sql: &Sql, scope: &Scope, message: &Message) -> Result<PutOutcome, CrmError> {
    if let Some(there) = records::by_key(sql, &scope.tenant, &message.key)? {
        return Ok(PutOutcome::Already(there.id));
    }
    if let Some(reason) = over_limit(message) {
        return Ok(PutOutcome::Refused(reason.into()));
    }
    if people::by_id(sql, &scope.tenant, &message.contact_id)?.is_none() {
        return Ok(PutOutcome::Refused("the contact does not exist".into()));
    }
    let row = NewRow {
        id: new_id(),
        scope,
        key: Some(&message.key),
        message,
        delivery: &Delivery::Mailbox,
        outbound: None,
        idempotency_key: None,
        request_digest: None,
        route: Route::Mailbox,
    };
    insert(sql, &row)?;
    for (position, attachment) in message.attachments.iter().enumerate() {
        attachments::describe(sql, &row.id, position, attachment)?;
    }
    Ok(PutOutcome::Stored(row.id))
}

fn over_limit(message: &Message) -> Option<&'static str> {
    let longest = message
        .content
        .html
        .as_ref()
        .map_or(0, String::len)
        .max(message.content.text.len());
    if longest as u64 > BODY_LIMIT {
        return Some("the text is over the limit");
    }
    if message.subject.chars().count() > SUBJECT_LIMIT as usize {
        return Some("the subject is over the limit");
    }
    if message.key.is_empty() {
        return Some("the key is empty");
    }
    None
}

/// A message row to be made. Attachments have a table of their own.
pub(super) struct NewRow<'a> {
    pub(super) id: String,
    pub(super) scope: &'a Scope,
    pub(super) key: Option<&'a str>,
    pub(super) message: &'a Message,
    pub(super) delivery: &'a Delivery,
    pub(super) outbound: Option<String>,
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) request_digest: Option<&'a [u8]>,
    pub(super) route: Route,
}

/// Which way a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Through the mailbox.
    Mailbox,
    /// By the provider of bulk mail (S22).
    Provider,
}

pub(super) fn insert(sql: &Sql, row: &NewRow<'_>) -> Result<(), CrmError> {
    let message = row.message;
    let record = encode(&Message {
        attachments: Vec::new(),
        ..message.clone()
    })?;
    sql.prepare_cached(
        "INSERT INTO crm_message (id, tenant, contact, connection, user, key, at, unread, starred, archived,
             trashed, record, delivery, waits, outbound, idempotency_key, route, request_digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(params![
        row.id,
        row.scope.tenant.as_str(),
        message.contact_id,
        row.scope.connection.as_str(),
        row.scope.user.as_str(),
        row.key,
        message.received_at,
        message.flags.unread,
        message.flags.starred,
        message.flags.archived,
        message.flags.trashed,
        record,
        encode(row.delivery)?,
        row.delivery.waits(),
        row.outbound,
        row.idempotency_key,
        match row.route {
            Route::Mailbox => "mailbox",
            Route::Provider => "provider",
        },
        row.request_digest,
    ])?;
    Ok(())
}

/// Updates messages as the provider has them now; writes nothing to the change log (S17: no echo).
pub(super) fn update(
    sql: &Sql,
    tenant: &TenantId,
    updates: &[MessageUpdate],
) -> Result<(Vec<UpdateOutcome>, Vec<CrmEvent>), CrmError> {
    let mut outcomes = Vec::with_capacity(updates.len());
    let mut events = Vec::new();
    for update in updates {
        let Some(there) = records::by_key(sql, tenant, &update.key)? else {
            outcomes.push(UpdateOutcome::Gone);
            continue;
        };
        if update.retracted.is_some() {
            erase(sql, tenant, &there)?;
            events.push(there.updated(tenant));
            outcomes.push(UpdateOutcome::Done);
            continue;
        }
        let flags = update.flags.unwrap_or(there.flags);
        let deleted = there.deleted || update.deleted;
        let released = there.released || update.released;
        let is_marked = (flags, deleted, released) != (there.flags, there.deleted, there.released);
        if is_marked {
            set_marks(sql, &there.id, flags, deleted, released)?;
        }
        if records::add_undelivered(sql, &there.id, &update.undelivered)? || is_marked {
            events.push(there.updated(tenant));
        }
        outcomes.push(UpdateOutcome::Done);
    }
    Ok((outcomes, events))
}

/// Takes a message out with all that came with it, and with what people did to it (T06).
fn erase(sql: &Sql, tenant: &TenantId, there: &Located) -> Result<(), CrmError> {
    attachments::remove_all(sql, &there.id)?;
    sql.prepare_cached("DELETE FROM crm_message WHERE id = ?1")?
        .execute([&there.id])?;
    sql.prepare_cached(
        "DELETE FROM crm_change WHERE tenant = ?1 AND connection = ?2 AND json_extract(record, '$.key') = ?3",
    )?
    .execute((tenant.as_str(), &there.connection, &there.key))?;
    Ok(())
}

/// Sets what the reader has done with a message.
pub(super) fn set_marks(
    sql: &Sql,
    id: &str,
    flags: Flags,
    deleted: bool,
    released: bool,
) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "UPDATE crm_message SET unread = ?2, starred = ?3, archived = ?4, trashed = ?5, deleted = ?6,
             released = ?7
         WHERE id = ?1",
    )?
    .execute((
        id,
        flags.unread,
        flags.starred,
        flags.archived,
        flags.trashed,
        deleted,
        released,
    ))?;
    Ok(())
}

/// Writes what a person did to the change log. A message without a key is not in the mailbox yet.
pub(super) fn log_change(
    sql: &Sql,
    tenant: &TenantId,
    message: &Located,
    flags: Flags,
    deleted: bool,
    at: u64,
) -> Result<(), CrmError> {
    let Some(key) = &message.key else {
        return Ok(());
    };
    let change = Change {
        key: key.clone(),
        flags,
        deleted,
        at,
    };
    sql.prepare_cached("INSERT INTO crm_change (tenant, connection, record) VALUES (?1, ?2, ?3)")?
        .execute((tenant.as_str(), &message.connection, encode(&change)?))?;
    Ok(())
}

/// What people did to messages of this connection since `cursor`, a sequence of the change log.
pub(super) fn changes(
    sql: &Sql,
    scope: &Scope,
    cursor: Option<u64>,
    limit: usize,
) -> Result<ChangePage, CrmError> {
    let owner = (scope.tenant.as_str(), scope.connection.as_str());
    let Some(mut cursor) = cursor else {
        let last: u64 = sql
            .prepare_cached(
                "SELECT coalesce(max(sequence), 0) FROM crm_change WHERE tenant = ?1 AND connection = ?2",
            )?
            .query_row(owner, |row| row.get(0))?;
        return Ok(ChangePage {
            changes: Vec::new(),
            cursor: last.to_string(),
            more: false,
        });
    };
    let mut statement = sql.prepare_cached(
        "SELECT sequence, record FROM crm_change
         WHERE tenant = ?1 AND connection = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4",
    )?;
    let mut rows = statement.query((owner.0, owner.1, cursor, limit + 1))?;
    let mut changes = Vec::new();
    let mut more = false;
    while let Some(row) = rows.next()? {
        if changes.len() == limit {
            more = true;
            break;
        }
        cursor = row.get(0)?;
        changes.push(decode(&row.get::<_, String>(1)?)?);
    }
    Ok(ChangePage {
        changes,
        cursor: cursor.to_string(),
        more,
    })
}
