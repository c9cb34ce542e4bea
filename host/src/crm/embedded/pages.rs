//! What the pages show, and what people do in them.

use std::collections::BTreeSet;

use rusqlite::Connection as Sql;
use serde::{Deserialize, Serialize};

use super::{
    CrmError, CrmEvent, EmbeddedCrm, mailbox, people,
    records::{self, Delivery, STORED, StoredMessage, stored, with_attachments},
};
use crate::{
    contract::{Contact, Flags, Message},
    scope::{ConnectionId, TenantId},
};

/// The most of anything on one page.
pub(super) const PAGE_LIMIT: u32 = 500;
/// Messages that are marked in one transaction.
const MARKED_AT_ONCE: u32 = 200;
/// And contacts with a message whose subject is like it.
const WITH_SUBJECT_LIKE: &str = "
    UNION SELECT contact FROM crm_message INDEXED BY crm_message_subjects
    WHERE tenant = ?1 AND deleted = 0 AND subject LIKE ?4 ESCAPE '\\'";
/// The longest snippet, in characters.
const SNIPPET: usize = 140;

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paging {
    /// How many to leave out.
    pub offset: u32,
    /// How many at most; never more than 500.
    pub limit: u32,
}

impl Default for Paging {
    fn default() -> Self {
        Self {
            offset: 0,
            limit: PAGE_LIMIT,
        }
    }
}

/// A conversation in a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// The contact.
    pub contact: Contact,
    /// When its last message was accepted or queued, ms since the epoch.
    pub last_message_at: u64,
    /// Subject of the last message.
    pub subject: String,
    /// How the text of the last message begins.
    pub snippet: String,
    /// Messages that were not read yet.
    pub unread: u64,
    /// All messages that were not deleted.
    pub messages: u64,
}

/// How much there is of one tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Contacts.
    pub contacts: u64,
    /// Contacts with at least one message that was not deleted.
    pub conversations: u64,
    /// Messages that were not deleted.
    pub messages: u64,
    /// Those of them that were not read yet.
    pub unread: u64,
    /// Mail that waits to be sent.
    pub waiting: u64,
}

impl EmbeddedCrm {
    /// A tenant's conversations, the one with the newest message first.
    pub async fn conversations(
        &self,
        tenant: &TenantId,
        paging: Paging,
    ) -> Result<Vec<Conversation>, CrmError> {
        self.find_conversations(tenant, "", paging).await
    }

    /// The same of contacts alone whose name or address, or a subject of whose mail, has this in it, in any case of ASCII
    /// letters.
    pub async fn find_conversations(
        &self,
        tenant: &TenantId,
        find: &str,
        paging: Paging,
    ) -> Result<Vec<Conversation>, CrmError> {
        let (tenant, find) = (tenant.clone(), find.to_owned());
        self.database
            .call(move |sql| conversations(sql, &tenant, &find, paging))
            .await
    }

    /// A contact's messages in the order of their times. A page is counted from the newest.
    pub async fn conversation(
        &self,
        tenant: &TenantId,
        contact: &str,
        paging: Paging,
    ) -> Result<Vec<StoredMessage>, CrmError> {
        let (tenant, contact) = (tenant.clone(), contact.to_owned());
        self.database
            .call(move |sql| {
                people::by_id(sql, &tenant, &contact)?.ok_or(CrmError::NotFound)?;
                messages(sql, &tenant, &contact, paging)
            })
            .await
    }

    /// One message.
    pub async fn message(&self, tenant: &TenantId, id: &str) -> Result<StoredMessage, CrmError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.database
            .call(move |sql| {
                let query = format!("SELECT {STORED} FROM crm_message WHERE tenant = ?1 AND id = ?2");
                let mut statement = sql.prepare_cached(&query)?;
                let mut rows = statement.query((tenant.as_str(), &id))?;
                let row = rows.next()?.ok_or(CrmError::NotFound)?;
                with_attachments(sql, stored(row)?)
            })
            .await
    }

    /// Sets what the reader has done with a message, for the sync to carry on (S17).
    pub async fn set_marks(&self, tenant: &TenantId, id: &str, marks: Marks) -> Result<(), CrmError> {
        self.change(tenant, id, Edit::Marks(marks)).await
    }

    /// Marks all of a contact's messages read, for the sync to carry on (S17); the connections that they came by.
    pub async fn mark_all_read(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<BTreeSet<ConnectionId>, CrmError> {
        let mut connections = BTreeSet::new();
        loop {
            let (owner, contact, now) = (tenant.clone(), contact.to_owned(), self.clock.now());
            let marked = self.database.write(move |sql| {
                people::by_id(sql, &owner, &contact)?.ok_or(CrmError::NotFound)?;
                mark_some_read(sql, &owner, &contact, now)
            });
            let (events, by) = marked.await?;
            if events.is_empty() {
                return Ok(connections);
            }
            self.announce(events);
            connections.extend(by);
        }
    }

    /// Deletes a message, for the sync to carry on (S17). Mail that waits is cancelled, not deleted:
    /// `Refused`.
    pub async fn delete_message(&self, tenant: &TenantId, id: &str) -> Result<(), CrmError> {
        self.change(tenant, id, Edit::Delete).await
    }

    /// How much there is of one tenant.
    pub async fn counts(&self, tenant: &TenantId) -> Result<Counts, CrmError> {
        let tenant = tenant.clone();
        self.database
            .call(move |sql| {
                let counts = sql
                    .prepare_cached(
                        "SELECT (SELECT count(*) FROM crm_contact WHERE tenant = ?1),
                                count(DISTINCT contact), count(*), coalesce(sum(unread), 0),
                                coalesce(sum(waits), 0)
                         FROM crm_message WHERE tenant = ?1 AND deleted = 0",
                    )?
                    .query_row([tenant.as_str()], |row| {
                        Ok(Counts {
                            contacts: row.get(0)?,
                            conversations: row.get(1)?,
                            messages: row.get(2)?,
                            unread: row.get(3)?,
                            waiting: row.get(4)?,
                        })
                    })?;
                Ok(counts)
            })
            .await
    }

    async fn change(&self, tenant: &TenantId, id: &str, edit: Edit) -> Result<(), CrmError> {
        let (owner, id, now) = (tenant.clone(), id.to_owned(), self.clock.now());
        let events = self
            .database
            .write(move |sql| apply(sql, &owner, &id, edit, now))
            .await?;
        self.announce(events);
        Ok(())
    }
}

/// What a reader does with a message; what is absent stays as it is by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Not read yet.
    pub unread: Option<bool>,
    /// Starred.
    pub starred: Option<bool>,
    /// Not in the inbox.
    pub archived: Option<bool>,
    /// In the trash.
    pub trashed: Option<bool>,
}

impl From<Flags> for Marks {
    fn from(flags: Flags) -> Self {
        Self {
            unread: Some(flags.unread),
            starred: Some(flags.starred),
            archived: Some(flags.archived),
            trashed: Some(flags.trashed),
        }
    }
}

impl Marks {
    fn on(self, flags: Flags) -> Flags {
        Flags {
            unread: self.unread.unwrap_or(flags.unread),
            starred: self.starred.unwrap_or(flags.starred),
            archived: self.archived.unwrap_or(flags.archived),
            trashed: self.trashed.unwrap_or(flags.trashed),
        }
    }
}

/// Marks a contact's unread messages read, so many; what happened, and the connections they came by.
fn mark_some_read(
    sql: &Sql,
    tenant: &TenantId,
    contact: &str,
    now: u64,
) -> Result<(Vec<CrmEvent>, Vec<ConnectionId>), CrmError> {
    let unread: Vec<(String, String)> = sql
        .prepare_cached(
            "SELECT id, connection FROM crm_message
             WHERE tenant = ?1 AND contact = ?2 AND deleted = 0 AND unread = 1 LIMIT ?3",
        )?
        .query_map((tenant.as_str(), contact, MARKED_AT_ONCE), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let read = Marks {
        unread: Some(false),
        ..Marks::default()
    };
    let (mut events, mut connections) = (Vec::new(), Vec::new());
    for (id, connection) in unread {
        events.extend(apply(sql, tenant, &id, Edit::Marks(read), now)?);
        connections.push(ConnectionId::new(connection));
    }
    Ok((events, connections))
}

#[derive(Clone, Copy)]
enum Edit {
    Marks(Marks),
    Delete,
}

fn apply(sql: &Sql, tenant: &TenantId, id: &str, edit: Edit, now: u64) -> Result<Vec<CrmEvent>, CrmError> {
    let there = records::by_id(sql, tenant, id)?.ok_or(CrmError::NotFound)?;
    let (flags, deleted) = match edit {
        Edit::Marks(marks) => (marks.on(there.flags), there.deleted),
        Edit::Delete if there.delivery.waits() => {
            return Err(CrmError::Refused("the mail waits to be sent: cancel it".into()));
        }
        Edit::Delete => (there.flags, true),
    };
    if (flags, deleted) == (there.flags, there.deleted) {
        return Ok(Vec::new());
    }
    mailbox::set_marks(sql, id, flags, deleted, there.released)?;
    mailbox::log_change(sql, tenant, &there, flags, deleted, now)?;
    let mut events = vec![there.updated(tenant)];
    if there.key.is_some() {
        events.push(CrmEvent::ChangeLogged {
            tenant: tenant.clone(),
            connection: ConnectionId::new(there.connection),
        });
    }
    Ok(events)
}

fn conversations(
    sql: &Sql,
    tenant: &TenantId,
    find: &str,
    paging: Paging,
) -> Result<Vec<Conversation>, CrmError> {
    let wanted = people::pattern(find);
    let found = match &wanted {
        None => String::new(),
        Some(_) => format!("AND contact IN ({}{WITH_SUBJECT_LIKE})", people::LIKE),
    };
    // Counted in the index; a row of the table is read for what is on the page alone. `deleted = 0` has to
    // stand there as the index has it (https://sqlite.org/partialindex.html).
    let query = format!(
        "SELECT contact, max(at), sum(unread), count(*) FROM crm_message INDEXED BY crm_message_overview
         WHERE tenant = ?1 AND deleted = 0 {found} GROUP BY contact ORDER BY max(at) DESC, contact
         LIMIT ?2 OFFSET ?3"
    );
    let limit = paging.limit.min(PAGE_LIMIT);
    let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(String, u64, u64, u64)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    };
    let mut statement = sql.prepare_cached(&query)?;
    let rows: Vec<_> = match wanted {
        None => statement.query_map((tenant.as_str(), limit, paging.offset), row)?,
        Some(like) => statement.query_map((tenant.as_str(), limit, paging.offset, like), row)?,
    }
    .collect::<Result<_, _>>()?;
    let mut last = sql.prepare_cached(
        "SELECT record FROM crm_message WHERE tenant = ?1 AND contact = ?2 AND deleted = 0 AND at = ?3
         ORDER BY sequence DESC LIMIT 1",
    )?;
    rows.into_iter()
        .map(|(contact, at, unread, messages)| {
            let record: String = last.query_row((tenant.as_str(), &contact, at), |row| row.get(0))?;
            let last: Message = records::decode(&record)?;
            Ok(Conversation {
                contact: people::by_id(sql, tenant, &contact)?.ok_or(CrmError::NotFound)?,
                last_message_at: at,
                snippet: snippet(&last),
                subject: last.subject,
                unread,
                messages,
            })
        })
        .collect()
}

fn messages(
    sql: &Sql,
    tenant: &TenantId,
    contact: &str,
    paging: Paging,
) -> Result<Vec<StoredMessage>, CrmError> {
    let query = format!(
        "SELECT {STORED} FROM crm_message WHERE tenant = ?1 AND contact = ?2
         ORDER BY at DESC, sequence DESC LIMIT ?3 OFFSET ?4"
    );
    let mut statement = sql.prepare_cached(&query)?;
    let limit = paging.limit.min(PAGE_LIMIT);
    let mut rows = statement.query((tenant.as_str(), contact, limit, paging.offset))?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        messages.push(with_attachments(sql, stored(row)?)?);
    }
    messages.reverse();
    Ok(messages)
}

/// How the text begins, without quoted history and with single spaces.
fn snippet(message: &Message) -> String {
    let text = &message.content.text;
    let own = message
        .content
        .quoted_at
        .and_then(|at| text.get(..at as usize))
        .unwrap_or(text);
    let mut snippet = String::new();
    for word in own.split_whitespace() {
        if !snippet.is_empty() {
            snippet.push(' ');
        }
        snippet.push_str(word);
        if snippet.len() > 4 * SNIPPET {
            break;
        }
    }
    snippet.chars().take(SNIPPET).collect()
}

impl StoredMessage {
    /// Whether it was written here.
    pub fn is_written_here(&self) -> bool {
        self.delivery != Delivery::Mailbox
    }
}
