//! Bulk and workflow mail (S22): a row for each recipient, so that each has a result of its own. What is begun
//! and not heard of again is unconfirmed: it is never sent a second time.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection as Sql, OptionalExtension};

use super::{
    CrmError, CrmEvent, EmbeddedCrm,
    outbound::deliver,
    records::{self, Delivery, add_undelivered, decode},
};
use crate::{
    contract::{Deferral, Mailbox, Outbound, Problem, Undelivered, UndeliveredKind},
    scope::{ConnectionId, TenantId},
    smtp::bulk::{BulkQueue, Dispatch, Dispatched, Refusal, Tenants},
};

/// After so long without a word, whoever began a copy is taken for dead, ms: longer than any send takes.
const PATIENCE: u64 = 30 * 60_000;
/// The most bytes of a mail's attachments.
const ATTACHMENTS: usize = 50 << 20;

#[async_trait]
impl BulkQueue for EmbeddedCrm {
    async fn begin(&self, tenants: &Tenants, now: u64) -> Result<Option<Dispatch>, CrmError> {
        // Most looks find nothing, and need no lock.
        if !self.database.call(|sql| anything_waits(sql)).await? {
            return Ok(None);
        }
        let tenants = tenants.clone();
        let (dispatch, events) = self
            .database
            .write(move |sql| -> Result<_, CrmError> {
                let events = give_up(sql, now)?;
                Ok((begin(sql, &tenants, now)?, events))
            })
            .await?;
        self.announce(events);
        Ok(dispatch)
    }

    async fn settle(&self, dispatch: &Dispatch, result: &Dispatched) -> Result<(), CrmError> {
        let (dispatch, result, now) = (dispatch.clone(), result.clone(), self.clock.now());
        let event = self
            .database
            .write(move |sql| settle(sql, &dispatch, &result, now))
            .await?;
        self.announce(event);
        Ok(())
    }

    async fn attachments(&self, dispatch: &Dispatch) -> Result<Vec<Bytes>, CrmError> {
        let mut all = Vec::new();
        let mut left = ATTACHMENTS;
        for attachment in &dispatch.outbound.attachments {
            let (_, body) = self
                .attachment_body(&dispatch.tenant, &dispatch.outbound.id, &attachment.id)
                .await?;
            let bytes = body
                .collect(left)
                .await
                .map_err(|error| CrmError::Unavailable(error.to_string()))?;
            left -= bytes.len();
            all.push(bytes);
        }
        Ok(all)
    }
}

/// Makes the rows of a mail's copies: each address once.
pub(super) fn enqueue(sql: &Sql, outbound: &Outbound) -> Result<(), CrmError> {
    for (position, recipient) in recipients(outbound).into_iter().enumerate() {
        sql.prepare_cached(
            "INSERT INTO crm_dispatch (message, position, address, state, since) VALUES (?1, ?2, ?3, 'waits', 0)",
        )?
        .execute((&outbound.id, position, &recipient.address))?;
    }
    Ok(())
}

/// Whether any copy of a mail was begun.
pub(super) fn is_under_way(sql: &Sql, message: &str) -> rusqlite::Result<bool> {
    sql.prepare_cached("SELECT 1 FROM crm_dispatch WHERE message = ?1 AND state <> 'waits'")?
        .exists([message])
}

fn recipients(outbound: &Outbound) -> Vec<&Mailbox> {
    let mut all: Vec<&Mailbox> = Vec::new();
    for mailbox in outbound.to.iter().chain(&outbound.cc).chain(&outbound.bcc) {
        if !all
            .iter()
            .any(|known| known.address.eq_ignore_ascii_case(&mailbox.address))
        {
            all.push(mailbox);
        }
    }
    all
}

/// Whether any mail waits for a provider, or for what became of its copies.
fn anything_waits(sql: &Sql) -> Result<bool, CrmError> {
    let query = "SELECT 1 FROM crm_message WHERE waits = 1 AND route = 'provider' LIMIT 1";
    Ok(sql.prepare_cached(query)?.exists([])?)
}

fn begin(sql: &Sql, tenants: &Tenants, now: u64) -> Result<Option<Dispatch>, CrmError> {
    let (only, others) = match tenants {
        Tenants::Only(tenant) => (Some(tenant.as_str()), Vec::new()),
        Tenants::AllBut(others) => (None, others.iter().map(TenantId::as_str).collect()),
    };
    let others = records::encode(&others)?;
    let found: Option<(String, String, String, u32, u32)> = sql
        .prepare_cached(
            "SELECT m.tenant, m.connection, m.outbound, d.position, d.attempts
             FROM crm_message m JOIN crm_dispatch d ON d.message = m.id
             WHERE m.waits = 1 AND m.route = 'provider' AND d.state = 'waits' AND d.since <= ?1
                AND coalesce(m.held_until, 0) <= ?1
                AND (?2 IS NULL OR m.tenant = ?2) AND m.tenant NOT IN (SELECT value FROM json_each(?3))
             ORDER BY m.at, m.sequence, d.position LIMIT 1",
        )?
        .query_row((now, only, others), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((tenant, connection, outbound, position, attempts)) = found else {
        return Ok(None);
    };
    let outbound: Outbound = decode(&outbound)?;
    sql.execute(
        "UPDATE crm_dispatch SET state = 'begun', since = ?3 WHERE message = ?1 AND position = ?2",
        (&outbound.id, position, now),
    )?;
    let recipient = recipients(&outbound).get(position as usize).copied().cloned();
    Ok(Some(Dispatch {
        tenant: TenantId::new(tenant),
        connection: ConnectionId::new(connection),
        position,
        recipient: recipient.ok_or(CrmError::NotFound)?,
        attempts,
        outbound,
    }))
}

/// Copies that were begun so long ago that nobody will say any more what became of them.
fn give_up(sql: &Sql, now: u64) -> Result<Vec<CrmEvent>, CrmError> {
    let begun: Vec<(String, String, u32)> = sql
        .prepare_cached(
            "SELECT m.tenant, d.message, d.position FROM crm_dispatch d JOIN crm_message m ON m.id = d.message
             WHERE d.state = 'begun' AND d.since < ?1",
        )?
        .query_map([now.saturating_sub(PATIENCE)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut events = Vec::new();
    for (tenant, message, position) in begun {
        let result = Dispatched::Unconfirmed("the host was stopped while it was being sent".to_owned());
        note(sql, &message, position, &result, now)?;
        events.extend(conclude(sql, &TenantId::new(tenant), &message, now)?);
    }
    Ok(events)
}

fn settle(
    sql: &Sql,
    dispatch: &Dispatch,
    result: &Dispatched,
    now: u64,
) -> Result<Option<CrmEvent>, CrmError> {
    let id = &dispatch.outbound.id;
    if !note(sql, id, dispatch.position, result, now)? {
        return Ok(None);
    }
    if let Dispatched::Failed(refusal) = result {
        let undelivered = Undelivered {
            recipient: dispatch.recipient.address.clone(),
            kind: UndeliveredKind::Failed,
            status: refusal.status.clone(),
            diagnostic: refusal.text.clone(),
        };
        add_undelivered(sql, id, &[undelivered])?;
    }
    conclude(sql, &dispatch.tenant, id, now)
}

/// Notes what became of a copy; `false` if that was known.
fn note(sql: &Sql, message: &str, position: u32, result: &Dispatched, now: u64) -> Result<bool, CrmError> {
    let in_words = |refusal: &Refusal| format!("{} {}", refusal.status, refusal.text).trim().to_owned();
    let (state, since, more, text) = match result {
        Dispatched::Sent => ("sent", now, 0, None),
        Dispatched::Failed(refusal) => ("failed", now, 0, Some(in_words(refusal))),
        Dispatched::Later(until, refusal) => ("waits", *until, 1, Some(in_words(refusal))),
        Dispatched::Unconfirmed(why) => ("unconfirmed", now, 0, Some(why.clone())),
    };
    // What was given up may be heard of after all: that is the last word.
    let changed = sql
        .prepare_cached(
            "UPDATE crm_dispatch SET state = ?3, since = ?4, attempts = attempts + ?5, result = ?6
             WHERE message = ?1 AND position = ?2
             AND (state = 'begun' OR (state = 'unconfirmed' AND ?3 IN ('sent', 'failed')))",
        )?
        .execute((message, position, state, since, more, text))?;
    Ok(changed > 0)
}

/// What the copies together mean for the mail.
fn conclude(sql: &Sql, tenant: &TenantId, message: &str, now: u64) -> Result<Option<CrmEvent>, CrmError> {
    let there = records::by_id(sql, tenant, message)?.ok_or(CrmError::NotFound)?;
    let copies: Vec<(String, u64, Option<String>)> = sql
        .prepare_cached("SELECT state, since, result FROM crm_dispatch WHERE message = ?1 ORDER BY position")?
        .query_map([message], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let number = |wanted: &str| copies.iter().filter(|(state, ..)| state == wanted).count();
    let text = |wanted: &str| {
        let mut found = copies.iter().filter(|(state, ..)| state == wanted);
        found.find_map(|(.., result)| result.clone()).unwrap_or_default()
    };
    let next = copies
        .iter()
        .filter(|(state, ..)| state == "waits")
        .map(|(_, since, _)| *since)
        .min();
    let delivery = match next {
        Some(until) if until > now && number("begun") == 0 => Delivery::Deferred(Deferral {
            until,
            problem: Problem::ProviderUnavailable(text("waits")),
        }),
        Some(_) => Delivery::Queued,
        None if number("begun") > 0 => Delivery::Queued,
        None if number("unconfirmed") > 0 => {
            let of = copies.len();
            let text = format!(
                "{} of {of} copies: {}",
                number("unconfirmed"),
                text("unconfirmed")
            );
            Delivery::Unconfirmed(Problem::ProviderUnavailable(text))
        }
        None if number("sent") > 0 => Delivery::Sent,
        None => Delivery::Failed(Problem::MessageRefused(text("failed"))),
    };
    if delivery != there.delivery {
        deliver(sql, message, &delivery)?;
    }
    Ok(Some(there.updated(tenant)))
}
