//! Mail that is written here: queued, handed to the sync, and what became of it.

use std::time::Duration;

use rusqlite::{Connection as Sql, OptionalExtension};

use super::{
    BODY_LIMIT, CrmError, CrmEvent, EmbeddedCrm, SUBJECT_LIMIT, attachments, bulk,
    content::{Pending, Rejected, Ticket},
    mailbox::{self, NewRow, Route},
    people,
    records::{self, Delivery, Located, decode, encode, new_id},
};
use crate::{
    body::Body,
    contract::{
        Attachment, Content, Direction, Disposition, Flags, Mailbox, Message, Outbound, OutboundAttachment,
        OutboundKind, OutboundOutcome, Sent, WhenLimited,
    },
    scope::{ConnectionId, Scope, TenantId, UserId},
};

/// The most bytes of all attachments of one mail. What the mailbox accepts is the plugin's to say
/// (S21); this only bounds what is stored.
const TOTAL_LIMIT: u64 = 50 << 20;
/// The most attachments, and the most recipients, of one mail.
const COUNT_LIMIT: usize = 500;

/// An attachment of mail to be written; its size is that of its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAttachment {
    /// File name.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Content-ID without brackets.
    pub content_id: Option<String>,
    /// How it is meant.
    pub disposition: Disposition,
}

/// Mail to be written. What the fields mean is said at `outbound` in `wit/messages.wit`.
#[derive(Debug)]
pub struct NewOutbound {
    /// The tenant.
    pub tenant: TenantId,
    /// Who writes.
    pub user: UserId,
    /// The connection it goes through.
    pub connection: ConnectionId,
    /// The contact whose conversation it is in.
    pub contact: String,
    /// The thread it answers; absent for a new one.
    pub thread: Option<String>,
    /// Key of the message it answers.
    pub in_reply_to: Option<String>,
    /// From; absent: the connected address.
    pub sender: Option<Mailbox>,
    /// To.
    pub to: Vec<Mailbox>,
    /// Cc.
    pub cc: Vec<Mailbox>,
    /// Bcc.
    pub bcc: Vec<Mailbox>,
    /// Subject.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML, as the user wrote it.
    pub html: Option<String>,
    /// What it carries.
    pub attachments: Vec<(NewAttachment, Body)>,
    /// What to do at the daily limit (S21).
    pub when_limited: WhenLimited,
    /// What kind of mail it is (S22).
    pub kind: OutboundKind,
    /// How long it is held back before it goes, so that it can be withdrawn.
    pub hold: Duration,
    /// The request's own key: a second request with it is the same mail (S23).
    pub idempotency_key: Option<String>,
    /// What the request said, to tell another that comes under its key; absent: nobody will ask.
    pub request_digest: Option<[u8; 32]>,
}

impl EmbeddedCrm {
    /// Queues mail; its id, which is also the message's. `Refused` when it is over a limit.
    pub async fn queue_outbound(&self, new: NewOutbound) -> Result<String, CrmError> {
        check_limits(&new)?;
        let id = new_id();
        let (mail, bodies) = compose(new, &id, self.clock.now());
        if let Some(there) = self.asked_before(&mail).await? {
            return Ok(there);
        }
        let mut left = TOTAL_LIMIT;
        let mut pending = Vec::with_capacity(bodies.len());
        for body in bodies {
            let bytes = match Pending::write(&self.database, body, left, self.clock.now()).await {
                Ok(bytes) => bytes,
                Err(Rejected::OverLimit) => {
                    return Err(CrmError::Refused("the attachments are over the limit".into()));
                }
                Err(Rejected::Crm(error)) => return Err(error),
            };
            left -= bytes.size();
            pending.push(bytes);
        }
        let tickets: Vec<Ticket> = pending.iter().map(Pending::ticket).collect();
        let tenant = mail.scope.tenant.clone();
        let connection = mail.scope.connection.clone();
        let contact = mail.outbound.contact_id.clone();
        let stored = self.database.write(move |sql| mail.insert(sql, &tickets)).await?;
        if stored == id {
            pending.into_iter().for_each(Pending::keep);
            self.announce([
                CrmEvent::MessageStored {
                    tenant: tenant.clone(),
                    contact,
                    message: id.clone(),
                },
                CrmEvent::OutboundQueued {
                    tenant,
                    connection,
                    message: id,
                },
            ]);
        }
        Ok(stored)
    }

    /// The digest of the request that queued a mail, where one was given.
    pub async fn request_digest(&self, tenant: &TenantId, id: &str) -> Result<Option<[u8; 32]>, CrmError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.database
            .call(move |sql| {
                let digest = sql
                    .prepare_cached("SELECT request_digest FROM crm_message WHERE tenant = ?1 AND id = ?2")?
                    .query_row((tenant.as_str(), id), |row| row.get(0))
                    .optional()?;
                digest.ok_or(CrmError::NotFound)
            })
            .await
    }

    /// Withdraws mail that waits. `Refused` when it does not wait any more. If a pass has it in hand
    /// already, its report still says what became of it.
    pub async fn cancel_outbound(&self, tenant: &TenantId, id: &str) -> Result<(), CrmError> {
        let (owner, id) = (tenant.clone(), id.to_owned());
        let event = self
            .database
            .write(move |sql| {
                let there = records::by_id(sql, &owner, &id)?.ok_or(CrmError::NotFound)?;
                match there.delivery {
                    Delivery::Cancelled => {}
                    Delivery::Queued | Delivery::Deferred(_) if bulk::is_under_way(sql, &id)? => {
                        return Err(CrmError::Refused("some have been sent already".into()));
                    }
                    Delivery::Queued | Delivery::Deferred(_) => deliver(sql, &id, &Delivery::Cancelled)?,
                    _ => return Err(CrmError::Refused("the mail does not wait any more".into())),
                }
                Ok(there.updated(&owner))
            })
            .await?;
        self.announce([event]);
        Ok(())
    }

    /// How many messages a connection's mailbox has sent from here since then (S21).
    pub async fn sent_since(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        since: u64,
    ) -> Result<u32, CrmError> {
        let (tenant, connection) = (tenant.clone(), connection.clone());
        let sent = encode(&Delivery::Sent)?;
        self.database
            .call(move |sql| {
                let count = sql
                    .prepare_cached(
                        "SELECT count(*) FROM crm_message WHERE tenant = ?1 AND connection = ?2 AND at >= ?3
                             AND route = 'mailbox' AND outbound IS NOT NULL AND delivery = ?4",
                    )?
                    .query_row((tenant.as_str(), connection.as_str(), since, sent), |row| {
                        row.get(0)
                    })?;
                Ok(count)
            })
            .await
    }

    /// Lets mail go that is held back. Nothing happens to mail that is not.
    pub async fn send_now(&self, tenant: &TenantId, id: &str) -> Result<(), CrmError> {
        let (owner, id) = (tenant.clone(), id.to_owned());
        let event = self
            .database
            .write(move |sql| {
                let there = records::by_id(sql, &owner, &id)?.ok_or(CrmError::NotFound)?;
                hold(sql, &id, None)?;
                Ok::<_, CrmError>(there.updated(&owner))
            })
            .await?;
        self.announce([event]);
        Ok(())
    }

    async fn asked_before(&self, mail: &Mail) -> Result<Option<String>, CrmError> {
        let Some(key) = mail.idempotency_key.clone() else {
            return Ok(None);
        };
        let tenant = mail.scope.tenant.clone();
        self.database
            .call(move |sql| Ok(by_request(sql, &tenant, &key)?))
            .await
    }
}

/// Mail of this connection and user that waits and is not held back, oldest first.
pub(super) fn waiting(sql: &Sql, scope: &Scope, now: u64, limit: usize) -> Result<Vec<Outbound>, CrmError> {
    let mut statement = sql.prepare_cached(
        "SELECT outbound FROM crm_message
         WHERE waits = 1 AND route = 'mailbox' AND tenant = ?1 AND connection = ?2 AND user = ?3
             AND coalesce(held_until, 0) <= ?4
         ORDER BY at, sequence LIMIT ?5",
    )?;
    let mut rows = statement.query((
        scope.tenant.as_str(),
        scope.connection.as_str(),
        scope.user.as_str(),
        now,
        limit,
    ))?;
    let mut mail = Vec::new();
    while let Some(row) = rows.next()? {
        mail.push(decode(&row.get::<_, String>(0)?)?);
    }
    Ok(mail)
}

/// Notes what became of it. That it was sent is the last word: nothing replaces it.
pub(super) fn report(
    sql: &Sql,
    scope: &Scope,
    id: &str,
    outcome: &OutboundOutcome,
) -> Result<Vec<CrmEvent>, CrmError> {
    let there = records::by_id(sql, &scope.tenant, id)?
        .filter(|there| there.connection == scope.connection.as_str())
        .ok_or(CrmError::NotFound)?;
    let delivery = match (&there.delivery, outcome) {
        (Delivery::Mailbox, _) => return Err(CrmError::NotFound),
        (Delivery::Sent, OutboundOutcome::Sent(sent)) if there.key.as_deref() == Some(&sent.key) => {
            return Ok(Vec::new());
        }
        (Delivery::Sent, _) => return Err(CrmError::Refused("it was sent, under another key".into())),
        (_, OutboundOutcome::Sent(sent)) => {
            note_sent(sql, scope, &there, sent)?;
            Delivery::Sent
        }
        (Delivery::Cancelled, _) => return Ok(Vec::new()),
        (_, OutboundOutcome::Failed(problem)) => Delivery::Failed(problem.clone()),
        (_, OutboundOutcome::Unconfirmed(problem)) => Delivery::Unconfirmed(problem.clone()),
        (_, OutboundOutcome::Deferred(deferral)) if there.delivery.waits() => {
            Delivery::Deferred(deferral.clone())
        }
        (_, OutboundOutcome::Deferred(_)) => {
            return Err(CrmError::Refused("it does not wait any more".into()));
        }
    };
    if delivery == there.delivery {
        return Ok(Vec::new());
    }
    deliver(sql, id, &delivery)?;
    Ok(vec![there.updated(&scope.tenant)])
}

/// Writes where the mail is onto its row. If the same mail came by the mailbox first, that row goes:
/// this one stays, with what the reader has done with the other.
fn note_sent(sql: &Sql, scope: &Scope, there: &Located, sent: &Sent) -> Result<(), CrmError> {
    if let Some(twin) = records::by_key(sql, &scope.tenant, &sent.key)? {
        if twin.delivery != Delivery::Mailbox {
            return Err(CrmError::Refused("another mail was sent under this key".into()));
        }
        attachments::remove_all(sql, &twin.id)?;
        sql.execute("DELETE FROM crm_message WHERE id = ?1", [&twin.id])?;
        mailbox::set_marks(sql, &there.id, twin.flags, twin.deleted, twin.released)?;
    }
    let record: String = sql
        .prepare_cached("SELECT record FROM crm_message WHERE id = ?1")?
        .query_row([&there.id], |row| row.get(0))?;
    let mut message: Message = decode(&record)?;
    message.key.clone_from(&sent.key);
    message.thread.clone_from(&sent.thread);
    message.message_id.clone_from(&sent.message_id);
    message.received_at = sent.at;
    if let Some(sender) = &sent.sender {
        message.sender = sender.clone();
    }
    sql.prepare_cached("UPDATE crm_message SET key = ?2, at = ?3, record = ?4 WHERE id = ?1")?
        .execute((&there.id, &sent.key, sent.at, encode(&message)?))?;
    Ok(())
}

pub(super) fn deliver(sql: &Sql, id: &str, delivery: &Delivery) -> Result<(), CrmError> {
    sql.prepare_cached("UPDATE crm_message SET delivery = ?2, waits = ?3 WHERE id = ?1")?
        .execute((id, encode(delivery)?, delivery.waits()))?;
    Ok(())
}

fn hold(sql: &Sql, id: &str, until: Option<u64>) -> Result<(), CrmError> {
    sql.prepare_cached("UPDATE crm_message SET held_until = ?2 WHERE id = ?1")?
        .execute((id, until))?;
    Ok(())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn by_request(sql: &Sql, tenant: &TenantId, key: &str) -> rusqlite::Result<Option<String>> {
    sql.prepare_cached("SELECT id FROM crm_message WHERE tenant = ?1 AND idempotency_key = ?2")?
        .query_row((tenant.as_str(), key), |row| row.get(0))
        .optional()
}

fn check_limits(new: &NewOutbound) -> Result<(), CrmError> {
    let recipients = new.to.len() + new.cc.len() + new.bcc.len();
    let longest = new.html.as_ref().map_or(0, String::len).max(new.text.len());
    if new.attachments.len() > COUNT_LIMIT || recipients > COUNT_LIMIT {
        return Err(CrmError::Refused("too many attachments or recipients".into()));
    }
    if longest as u64 > BODY_LIMIT || new.subject.chars().count() > SUBJECT_LIMIT as usize {
        return Err(CrmError::Refused(
            "the text or the subject is over the limit".into(),
        ));
    }
    Ok(())
}

/// Mail on its way into the database.
struct Mail {
    scope: Scope,
    outbound: Outbound,
    idempotency_key: Option<String>,
    request_digest: Option<[u8; 32]>,
    held_until: Option<u64>,
}

fn compose(new: NewOutbound, id: &str, now: u64) -> (Mail, Vec<Body>) {
    let held_until = (!new.hold.is_zero()).then(|| now.saturating_add(milliseconds(new.hold)));
    let (attachments, bodies): (Vec<_>, Vec<_>) = new.attachments.into_iter().unzip();
    let attachments = attachments
        .into_iter()
        .enumerate()
        .map(|(index, attachment)| OutboundAttachment {
            id: (index + 1).to_string(),
            name: attachment.name,
            media_type: attachment.media_type,
            size: 0,
            content_id: attachment.content_id,
            disposition: attachment.disposition,
        });
    let mail = Mail {
        outbound: Outbound {
            id: id.to_owned(),
            kind: new.kind,
            contact_id: new.contact,
            thread: new.thread,
            in_reply_to: new.in_reply_to,
            sender: new.sender,
            to: new.to,
            cc: new.cc,
            bcc: new.bcc,
            subject: new.subject,
            text: new.text,
            html: new.html,
            attachments: attachments.collect(),
            queued_at: now,
            when_limited: new.when_limited,
        },
        scope: Scope {
            tenant: new.tenant,
            user: new.user,
            connection: new.connection,
            account: String::new(),
        },
        idempotency_key: new.idempotency_key,
        request_digest: new.request_digest,
        held_until,
    };
    (mail, bodies)
}

impl Mail {
    /// Makes the row; the id, or that of the mail that the same request made before.
    fn insert(mut self, sql: &Sql, tickets: &[Ticket]) -> Result<String, CrmError> {
        let tenant = &self.scope.tenant;
        if let Some(key) = &self.idempotency_key
            && let Some(there) = by_request(sql, tenant, key)?
        {
            return Ok(there);
        }
        if people::by_id(sql, tenant, &self.outbound.contact_id)?.is_none() {
            return Err(CrmError::NotFound);
        }
        for (attachment, ticket) in self.outbound.attachments.iter_mut().zip(tickets) {
            attachment.size = ticket.size();
        }
        // S22: bulk and workflow mail never comes near the mailbox.
        let route = match self.outbound.kind {
            OutboundKind::OneToOne => Route::Mailbox,
            OutboundKind::Bulk | OutboundKind::Workflow => Route::Provider,
        };
        mailbox::insert(
            sql,
            &NewRow {
                id: self.outbound.id.clone(),
                scope: &self.scope,
                key: None,
                message: &as_message(&self.outbound),
                delivery: &Delivery::Queued,
                outbound: Some(encode(&self.outbound)?),
                idempotency_key: self.idempotency_key.as_deref(),
                request_digest: self.request_digest.as_ref().map(<[u8; 32]>::as_slice),
                route,
            },
        )?;
        hold(sql, &self.outbound.id, self.held_until)?;
        if route == Route::Provider {
            bulk::enqueue(sql, &self.outbound)?;
        }
        for (attachment, ticket) in self.outbound.attachments.iter().zip(tickets) {
            attachments::attach(sql, &self.outbound.id, &as_attachment(attachment), *ticket)?;
        }
        Ok(self.outbound.id)
    }
}

/// How mail to send looks in its conversation.
fn as_message(outbound: &Outbound) -> Message {
    Message {
        key: String::new(),
        thread: outbound.thread.clone().unwrap_or_default(),
        contact_id: outbound.contact_id.clone(),
        direction: Direction::Outbound,
        message_id: None,
        subject: outbound.subject.clone(),
        sender: outbound.sender.clone().unwrap_or(Mailbox {
            name: None,
            address: String::new(),
        }),
        reply_to: Vec::new(),
        to: outbound.to.clone(),
        cc: outbound.cc.clone(),
        bcc: outbound.bcc.clone(),
        received_at: outbound.queued_at,
        dated_at: None,
        content: Content {
            text: outbound.text.clone(),
            quoted_at: None,
            html: outbound.html.clone(),
            truncated: false,
        },
        attachments: Vec::new(),
        flags: Flags {
            unread: false,
            starred: false,
            archived: false,
            trashed: false,
        },
        authentication: None,
        rule: match outbound.kind {
            OutboundKind::OneToOne => "S20".into(),
            OutboundKind::Bulk | OutboundKind::Workflow => "S22".into(),
        },
    }
}

fn as_attachment(attachment: &OutboundAttachment) -> Attachment {
    Attachment {
        part: attachment.id.clone(),
        name: attachment.name.clone(),
        media_type: attachment.media_type.clone(),
        size: attachment.size,
        content_id: attachment.content_id.clone(),
        disposition: attachment.disposition,
    }
}
