//! Attachments: what is known of them, and their bytes.

use rusqlite::{Connection as Sql, OptionalExtension};

use super::{
    CrmError, CrmEvent, EmbeddedCrm,
    content::{self, Pending, Rejected, Ticket},
    records::{self, Delivery, decode, encode},
};
use crate::{
    body::Body,
    contract::{Attachment, PutOutcome},
    scope::{Scope, TenantId},
};

/// The largest attachment, in bytes. Gmail takes in messages of up to 50 MB.
const SIZE_LIMIT: u64 = 64 << 20;

impl EmbeddedCrm {
    /// The bytes of a message's attachment, and what is known of it. `NotFound` also while its bytes
    /// have not come.
    pub async fn attachment_body(
        &self,
        tenant: &TenantId,
        message_id: &str,
        part: &str,
    ) -> Result<(Attachment, Body), CrmError> {
        let (tenant, message, part) = (tenant.clone(), message_id.to_owned(), part.to_owned());
        let (attachment, content, size) = self
            .database
            .call(move |sql| published(sql, &tenant, &message, &part))
            .await?;
        Ok((attachment, content::read(&self.database, content, size).await?))
    }

    pub(super) async fn outbound_attachment(
        &self,
        scope: &Scope,
        outbound_id: &str,
        attachment_id: &str,
    ) -> Result<Body, CrmError> {
        let (reader, id) = (scope.clone(), outbound_id.to_owned());
        self.database
            .call(move |sql| match records::by_id(sql, &reader.tenant, &id)? {
                Some(found)
                    if found.connection == reader.connection.as_str()
                        && found.delivery != Delivery::Mailbox =>
                {
                    Ok(())
                }
                _ => Err(CrmError::NotFound),
            })
            .await?;
        let (_, body) = self
            .attachment_body(&scope.tenant, outbound_id, attachment_id)
            .await?;
        Ok(body)
    }

    pub(super) async fn store_attachment(
        &self,
        scope: &Scope,
        message_key: &str,
        attachment: &Attachment,
        body: Body,
    ) -> Result<PutOutcome, CrmError> {
        if attachment.size > SIZE_LIMIT {
            return Ok(PutOutcome::Refused("the attachment is over the limit".into()));
        }
        let (tenant, key, part) = (
            scope.tenant.clone(),
            message_key.to_owned(),
            attachment.part.clone(),
        );
        let before = self
            .database
            .call(move |sql| standing(sql, &tenant, &key, &part))
            .await?;
        if let Err(outcome) = before {
            return Ok(outcome);
        }
        let pending = match Pending::write(&self.database, body, attachment.size, self.clock.now()).await {
            Ok(pending) => pending,
            Err(Rejected::OverLimit) => return Ok(wrong_size(attachment.size, "more")),
            Err(Rejected::Crm(error)) => return Err(error),
        };
        if pending.size() < attachment.size {
            return Ok(wrong_size(attachment.size, "fewer"));
        }
        let (tenant, key, attachment) = (scope.tenant.clone(), message_key.to_owned(), attachment.clone());
        let ticket = pending.ticket();
        let (outcome, event) = self
            .database
            .write(move |sql| publish(sql, &tenant, &key, &attachment, ticket))
            .await?;
        if let Some(event) = event {
            pending.keep();
            self.announce([event]);
        }
        Ok(outcome)
    }
}

/// Notes an attachment whose bytes have not come.
pub(super) fn describe(
    sql: &Sql,
    message: &str,
    position: usize,
    attachment: &Attachment,
) -> Result<(), CrmError> {
    sql.prepare_cached(
        "INSERT INTO crm_attachment (message, part, position, record) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (message, part) DO NOTHING",
    )?
    .execute((message, &attachment.part, position, encode(attachment)?))?;
    Ok(())
}

/// Notes an attachment together with its bytes, replacing what was noted without them.
pub(super) fn attach(
    sql: &Sql,
    message: &str,
    attachment: &Attachment,
    ticket: Ticket,
) -> Result<(), CrmError> {
    let content = ticket.publish(sql)?;
    sql.prepare_cached(
        "INSERT INTO crm_attachment (message, part, position, record, content)
         VALUES (?1, ?2, (SELECT count(*) FROM crm_attachment WHERE message = ?1), ?3, ?4)
         ON CONFLICT (message, part) DO UPDATE SET record = excluded.record, content = excluded.content",
    )?
    .execute((message, &attachment.part, encode(attachment)?, content))?;
    Ok(())
}

/// Removes a message's attachments and their bytes.
pub(super) fn remove_all(sql: &Sql, message: &str) -> rusqlite::Result<()> {
    let contents: Vec<u64> = sql
        .prepare_cached("SELECT content FROM crm_attachment WHERE message = ?1 AND content IS NOT NULL")?
        .query_map([message], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    sql.execute("DELETE FROM crm_attachment WHERE message = ?1", [message])?;
    for content in contents {
        sql.execute("DELETE FROM crm_content WHERE id = ?1", [content])?;
    }
    Ok(())
}

/// The message that the bytes are for, or the outcome when there is nothing to do. Mail that was
/// written here has its own bytes: those the provider gives back are not stored a second time.
fn standing(
    sql: &Sql,
    tenant: &TenantId,
    key: &str,
    part: &str,
) -> Result<Result<records::Located, PutOutcome>, CrmError> {
    let Some(message) = records::by_key(sql, tenant, key)? else {
        return Ok(Err(PutOutcome::Refused("the message does not exist".into())));
    };
    let there = sql
        .prepare_cached(
            "SELECT 1 FROM crm_attachment WHERE message = ?1 AND part = ?2 AND content IS NOT NULL",
        )?
        .exists((&message.id, part))?;
    if there || message.delivery != Delivery::Mailbox {
        return Ok(Err(PutOutcome::Already(attachment_id(&message.id, part))));
    }
    Ok(Ok(message))
}

/// Publishes the bytes, unless another call has done it meanwhile.
fn publish(
    sql: &Sql,
    tenant: &TenantId,
    key: &str,
    attachment: &Attachment,
    ticket: Ticket,
) -> Result<(PutOutcome, Option<CrmEvent>), CrmError> {
    let message = match standing(sql, tenant, key, &attachment.part)? {
        Ok(message) => message,
        Err(outcome) => return Ok((outcome, None)),
    };
    attach(sql, &message.id, attachment, ticket)?;
    let id = attachment_id(&message.id, &attachment.part);
    Ok((PutOutcome::Stored(id), Some(message.updated(tenant))))
}

fn published(
    sql: &Sql,
    tenant: &TenantId,
    message: &str,
    part: &str,
) -> Result<(Attachment, u64, u64), CrmError> {
    let found: Option<(String, u64, u64)> = sql
        .prepare_cached(
            "SELECT a.record, c.id, c.size FROM crm_attachment a
             JOIN crm_message m ON m.id = a.message
             JOIN crm_content c ON c.id = a.content
             WHERE m.tenant = ?1 AND a.message = ?2 AND a.part = ?3",
        )?
        .query_row((tenant.as_str(), message, part), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let (record, content, size) = found.ok_or(CrmError::NotFound)?;
    Ok((decode(&record)?, content, size))
}

fn wrong_size(expected: u64, came: &str) -> PutOutcome {
    PutOutcome::Refused(format!("{came} than the {expected} bytes announced came"))
}

fn attachment_id(message: &str, part: &str) -> String {
    format!("{message}/{part}")
}
