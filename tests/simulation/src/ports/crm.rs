//! A CRM in memory, which remembers everything it was told, so that the model can judge it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use twinbox_host::{
    body::Body,
    contract::{
        Attachment, Change, ChangePage, Contact, Features, Flags, Message, MessageUpdate, Outbound,
        OutboundOutcome, Person, PersonOutcome, PutOutcome, Sent, Undelivered, UndeliveredKind,
        UpdateOutcome,
    },
    crm::{Crm, CrmError},
    scope::{ConnectionId, Scope, TenantId},
};

use super::Ports;
use crate::{
    plan::{CrmAct, CrmKind, Port, TrapKind},
    world::{State, Turn, World},
};

/// How long a CRM that asks to wait asks for, ms.
const LIMITED_FOR: u64 = 45_000;
/// The largest attachment here, bytes.
const ATTACHMENT: usize = 1 << 20;

/// All tenants' CRMs.
#[derive(Default)]
pub(crate) struct CrmState {
    pub(crate) tenants: BTreeMap<TenantId, TenantCrm>,
}

/// One tenant's.
pub(crate) struct TenantCrm {
    pub(crate) kind: CrmKind,
    pub(crate) contacts: Vec<Contact>,
    /// What was put, in order; twice the same key only if it was stored twice.
    pub(crate) rows: Vec<Row>,
    /// Whom address books brought, by account and key: name and addresses.
    pub(crate) persons: BTreeMap<(String, String), (String, Vec<String>)>,
    /// What people did to messages here, in order.
    pub(crate) changes: Vec<(ConnectionId, Change)>,
    /// What was written here, in order.
    pub(crate) outbound: Vec<Queued>,
    /// Bytes by message key and part.
    pub(crate) attachments: BTreeMap<(String, String), Bytes>,
    /// Down until then, ms since the epoch.
    pub(crate) down_until: u64,
}

/// A message that was put.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) by: ConnectionId,
    pub(crate) message: Message,
    /// The sync said that it is gone from the mailbox.
    pub(crate) is_deleted: bool,
    /// Whether the sync goes on with it (S31).
    pub(crate) bond: Bond,
    /// A person deleted it here.
    pub(crate) is_removed: bool,
    /// What a person made of it here last.
    pub(crate) wanted: Option<Flags>,
    /// How often the sync told what the CRM itself had said.
    pub(crate) echoes: u32,
    /// Whom it has not reached, as the sync said.
    pub(crate) news: News,
    pub(crate) meeting: Meeting,
}

/// Whether a message was put or looked for again: whoever does not know that it is here says how it is, which is no
/// echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// It was not.
    Once,
    /// It was, and nothing was said of it since.
    Again,
    /// It was, and something was said of it since.
    AgainAndTold,
}

/// Whom a message has not reached, by address in lower case.
pub(crate) type News = BTreeMap<String, UndeliveredKind>;

/// What ties a message to the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bond {
    /// What becomes of it on one side shows on the other.
    Synced,
    /// The sync said that another tenant keeps the contact.
    Released,
}

impl Row {
    pub(crate) fn is_released(&self) -> bool {
        self.bond == Bond::Released
    }

    /// Whether its mail named a BCC address, or came to one (S18).
    pub(crate) fn is_logged(&self) -> bool {
        self.message.key.starts_with("bcc/")
    }
}

/// Mail that was written in the CRM.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) connection: ConnectionId,
    pub(crate) outbound: Outbound,
    pub(crate) attachment: Bytes,
    pub(crate) state: Delivery,
    pub(crate) news: News,
}

/// What is known of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Delivery {
    Waits,
    Sent(Sent),
    Failed,
    Unconfirmed,
}

impl TenantCrm {
    pub(crate) fn new(kind: CrmKind, contacts: Vec<Contact>) -> Self {
        Self {
            kind,
            contacts,
            rows: Vec::new(),
            persons: BTreeMap::new(),
            changes: Vec::new(),
            outbound: Vec::new(),
            attachments: BTreeMap::new(),
            down_until: 0,
        }
    }

    /// Whether the message with this key is here, put or sent.
    fn knows(&self, key: &str) -> bool {
        let is_sent = |queued: &Queued| matches!(&queued.state, Delivery::Sent(sent) if sent.key == key);
        self.rows.iter().any(|row| row.message.key == key) || self.outbound.iter().any(is_sent)
    }

    fn meet_again(&mut self, key: &str) {
        for row in self.rows.iter_mut().filter(|row| row.message.key == key) {
            row.meeting = Meeting::Again;
        }
    }

    fn put(&mut self, by: &ConnectionId, message: &Message) -> PutOutcome {
        if self.kind == CrmKind::Idempotent && self.knows(&message.key) {
            self.meet_again(&message.key);
            return PutOutcome::Already(message.key.clone());
        }
        self.rows.push(Row {
            by: by.clone(),
            message: message.clone(),
            is_deleted: false,
            bond: Bond::Synced,
            is_removed: false,
            wanted: None,
            echoes: 0,
            news: News::new(),
            meeting: Meeting::Once,
        });
        PutOutcome::Stored(message.key.clone())
    }

    /// A person does something to a message of a connection; its key, if there is one to do it to.
    pub(crate) fn act(&mut self, by: &ConnectionId, act: CrmAct, pick: usize, at: u64) -> Option<String> {
        let is_there = |row: &&mut Row| row.by == *by && !row.is_deleted && !row.is_removed;
        let mut rows: Vec<&mut Row> = self.rows.iter_mut().filter(is_there).collect();
        let number = rows.len();
        let row = rows.get_mut(pick.checked_rem(number)?)?;
        let flags = &mut row.message.flags;
        match act {
            CrmAct::Read => flags.unread = false,
            CrmAct::Unread => flags.unread = true,
            CrmAct::Star => flags.starred = true,
            CrmAct::Unstar => flags.starred = false,
            CrmAct::Archive => flags.archived = true,
            CrmAct::Unarchive => flags.archived = false,
            CrmAct::Delete => row.is_removed = true,
        }
        let flags = row.message.flags;
        row.wanted = Some(flags);
        let key = row.message.key.clone();
        let change = Change {
            key: key.clone(),
            flags,
            deleted: act == CrmAct::Delete,
            at,
        };
        self.changes.push((by.clone(), change));
        Some(key)
    }

    fn update(&mut self, update: &MessageUpdate) -> UpdateOutcome {
        if update.retracted.is_some() {
            self.attachments.retain(|(key, _), _| *key != update.key);
            let before = self.rows.len();
            self.rows.retain(|row| row.message.key != update.key);
            return if self.rows.len() < before {
                UpdateOutcome::Done
            } else {
                UpdateOutcome::Gone
            };
        }
        let mut outcome = UpdateOutcome::Gone;
        for queued in &mut self.outbound {
            if matches!(&queued.state, Delivery::Sent(sent) if sent.key == update.key) {
                learn(&mut queued.news, &update.undelivered);
                outcome = UpdateOutcome::Done;
            }
        }
        let found = self.rows.iter_mut().filter(|row| row.message.key == update.key);
        for row in found {
            if let Some(flags) = update.flags {
                let is_echo =
                    row.wanted == Some(flags) && row.message.flags == flags && row.meeting != Meeting::Again;
                row.echoes += u32::from(is_echo);
                if row.meeting == Meeting::Again {
                    row.meeting = Meeting::AgainAndTold;
                }
                row.message.flags = flags;
            }
            learn(&mut row.news, &update.undelivered);
            row.is_deleted |= update.deleted;
            if update.released {
                row.bond = Bond::Released;
            }
            outcome = UpdateOutcome::Done;
        }
        outcome
    }
}

/// What is final stays.
fn learn(news: &mut News, undelivered: &[Undelivered]) {
    for failure in undelivered {
        let known = news
            .entry(failure.recipient.to_lowercase())
            .or_insert(failure.kind);
        if failure.kind == UndeliveredKind::Failed {
            *known = failure.kind;
        }
    }
}

impl State {
    fn report(&mut self, scope: &Scope, id: &str, outcome: &OutboundOutcome) -> Result<(), CrmError> {
        let tenant = self
            .crm
            .tenants
            .get_mut(&scope.tenant)
            .ok_or(CrmError::NotFound)?;
        let queued = tenant.outbound.iter_mut().find(|queued| queued.outbound.id == id);
        let queued = queued.ok_or(CrmError::NotFound)?;
        let contradiction = match (&queued.state, outcome) {
            (Delivery::Sent(known), OutboundOutcome::Sent(sent)) => known.key != sent.key,
            (Delivery::Sent(_), OutboundOutcome::Failed(_) | OutboundOutcome::Unconfirmed(_))
            | (Delivery::Failed, OutboundOutcome::Sent(_)) => true,
            _ => false,
        };
        let before = queued.state.clone();
        match outcome {
            OutboundOutcome::Sent(sent) => queued.state = Delivery::Sent(sent.clone()),
            OutboundOutcome::Failed(_) if before == Delivery::Waits => queued.state = Delivery::Failed,
            OutboundOutcome::Unconfirmed(_) if before == Delivery::Waits => {
                queued.state = Delivery::Unconfirmed;
            }
            _ => {}
        }
        if contradiction {
            self.violation(
                "S23",
                format!("{id} was {before:?} and is reported as {outcome:?}"),
            );
        }
        Ok(())
    }
}

impl Ports {
    /// A call of a tenant's CRM.
    async fn crm<T>(
        &self,
        scope: &Scope,
        port: Port,
        line: impl FnOnce() -> String,
        effect: impl FnOnce(&mut State, &Scope) -> Result<T, CrmError>,
    ) -> Result<T, CrmError> {
        let turn = self.crm_turn(scope, port, line, effect).await;
        self.answered(turn)
    }

    fn answered<T>(&self, turn: Turn<Result<T, CrmError>>) -> Result<T, CrmError> {
        match turn {
            Turn::Done(answer) => answer,
            Turn::Refused(TrapKind::CrmLimited) => {
                let now = self.world.lock().now;
                Err(CrmError::RateLimited(now + LIMITED_FOR))
            }
            Turn::Refused(_) | Turn::Lost(_) => Err(CrmError::Unavailable("simulated".to_owned())),
        }
    }

    /// The same, what went wrong still to be seen. The CRM may be down.
    async fn crm_turn<T>(
        &self,
        scope: &Scope,
        port: Port,
        line: impl FnOnce() -> String,
        effect: impl FnOnce(&mut State, &Scope) -> Result<T, CrmError>,
    ) -> Turn<Result<T, CrmError>> {
        let turn = self.world.turn(self.host, port, line, |world: &World| {
            let mut state = world.lock();
            let now = state.now;
            match state.crm.tenants.get(&scope.tenant) {
                None => Err(CrmError::NotFound),
                Some(tenant) if tenant.down_until > now => {
                    state.coverage.hit("CRM outage");
                    Err(CrmError::Unavailable("down".to_owned()))
                }
                Some(_) => effect(&mut state, scope),
            }
        });
        turn.await
    }
}

fn tenant<'s>(state: &'s mut State, scope: &Scope) -> Result<&'s mut TenantCrm, CrmError> {
    state.crm.tenants.get_mut(&scope.tenant).ok_or(CrmError::NotFound)
}

#[async_trait]
impl Crm for Ports {
    fn features(&self) -> Features {
        // The same for all: what differs is asked with the tenant's scope.
        Features {
            server_idempotency: self.world.lock().crm.is_idempotent(),
            deltas: true,
            attachments: true,
            edit_after_log: true,
            outbound: true,
            address_book: true,
            body_limit: 100_000,
            subject_limit: 500,
        }
    }

    async fn find_contacts(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        let line = || format!("{} {addresses:?}", scope.tenant);
        self.crm(scope, Port::CrmFind, line, |state, scope| {
            let asked: Vec<String> = addresses.iter().map(|address| address.to_lowercase()).collect();
            let contacts = tenant(state, scope)?.contacts.iter();
            let has_one = |contact: &&Contact| {
                contact
                    .addresses
                    .iter()
                    .any(|address| asked.contains(&address.to_lowercase()))
            };
            Ok(contacts.filter(has_one).cloned().collect())
        })
        .await
    }

    async fn put_contacts(&self, scope: &Scope, persons: &[Person]) -> Result<Vec<PersonOutcome>, CrmError> {
        let line = || {
            let keys: Vec<&str> = persons.iter().map(|person| person.key.as_str()).collect();
            format!("{} {keys:?}", scope.tenant)
        };
        self.crm(scope, Port::CrmPut, line, |state, scope| {
            let tenant = tenant(state, scope)?;
            let put = persons.iter().map(|person| {
                let key = (scope.account.clone(), person.key.clone());
                let is = (person.name.clone(), person.addresses.clone());
                tenant.persons.insert(key, is);
                PersonOutcome::Stored(person.key.clone())
            });
            Ok(put.collect())
        })
        .await
    }

    async fn remove_contacts(&self, scope: &Scope, keys: &[String]) -> Result<(), CrmError> {
        let line = || format!("{} {keys:?}", scope.tenant);
        self.crm(scope, Port::CrmPut, line, |state, scope| {
            let tenant = tenant(state, scope)?;
            for key in keys {
                tenant.persons.remove(&(scope.account.clone(), key.clone()));
            }
            Ok(())
        })
        .await
    }

    async fn put_messages(&self, scope: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        let line = || {
            let keys: Vec<&str> = messages.iter().map(|message| message.key.as_str()).collect();
            format!("{} {keys:?}", scope.tenant)
        };
        let put = |state: &mut State, scope: &Scope| {
            let tenant = tenant(state, scope)?;
            let put = messages
                .iter()
                .map(|message| tenant.put(&scope.connection, message));
            Ok(put.collect())
        };
        match self.crm_turn(scope, Port::CrmPut, line, put).await {
            Turn::Lost(TrapKind::CrmUnknown) => Ok(vec![PutOutcome::Unknown; messages.len()]),
            turn => self.answered(turn),
        }
    }

    async fn find_messages(&self, scope: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        let line = || format!("{} {keys:?}", scope.tenant);
        self.crm(scope, Port::CrmFind, line, |state, scope| {
            let tenant = tenant(state, scope)?;
            let found = keys.iter().map(|key| {
                tenant.meet_again(key);
                tenant.knows(key).then(|| key.clone())
            });
            Ok(found.collect())
        })
        .await
    }

    async fn update_messages(
        &self,
        scope: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        let line = || {
            let keys: Vec<&str> = updates.iter().map(|update| update.key.as_str()).collect();
            format!("{} {keys:?}", scope.tenant)
        };
        self.crm(scope, Port::CrmUpdate, line, |state, scope| {
            if updates.iter().any(|update| update.released) {
                state.coverage.hit("contact released");
            }
            if updates.iter().any(|update| !update.undelivered.is_empty()) {
                state.coverage.hit("recipient shown as not reached");
            }
            let tenant = tenant(state, scope)?;
            Ok(updates.iter().map(|update| tenant.update(update)).collect())
        })
        .await
    }

    async fn put_attachment(
        &self,
        scope: &Scope,
        message_key: &str,
        attachment: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        let bytes = content
            .collect(ATTACHMENT)
            .await
            .map_err(|error| CrmError::Unavailable(error.to_string()))?;
        let line = || format!("{} {message_key} {}", scope.tenant, attachment.part);
        self.crm(scope, Port::CrmAttachment, line, |state, scope| {
            let tenant = tenant(state, scope)?;
            if !tenant.knows(message_key) {
                return Err(CrmError::NotFound);
            }
            let key = (message_key.to_owned(), attachment.part.clone());
            tenant.attachments.insert(key, bytes);
            Ok(PutOutcome::Stored(attachment.part.clone()))
        })
        .await
    }

    async fn open_attachment(
        &self,
        scope: &Scope,
        outbound_id: &str,
        _attachment_id: &str,
    ) -> Result<Body, CrmError> {
        let line = || format!("{} {outbound_id}", scope.tenant);
        self.crm(scope, Port::CrmAttachment, line, |state, scope| {
            let queued = tenant(state, scope)?
                .outbound
                .iter()
                .find(|queued| queued.outbound.id == outbound_id);
            let queued = queued.ok_or(CrmError::NotFound)?;
            Ok(Body::Inline(queued.attachment.clone()))
        })
        .await
    }

    async fn changes(&self, scope: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError> {
        let line = || format!("{} after {cursor:?}", scope.tenant);
        self.crm(scope, Port::CrmChanges, line, |state, scope| {
            let changes = &tenant(state, scope)?.changes;
            let from = cursor.map_or(changes.len(), |cursor| cursor.parse().unwrap_or_default());
            let to = changes.len().min(from + limit as usize);
            let own = changes[from..to].iter().filter(|(by, _)| *by == scope.connection);
            Ok(ChangePage {
                changes: own.map(|(_, change)| change.clone()).collect(),
                cursor: to.to_string(),
                more: to < changes.len(),
            })
        })
        .await
    }

    async fn next_outbound(&self, scope: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        let line = || scope.tenant.to_string();
        self.crm(scope, Port::CrmNext, line, |state, scope| {
            let waiting = tenant(state, scope)?
                .outbound
                .iter()
                .filter(|queued| queued.state == Delivery::Waits && queued.connection == scope.connection);
            Ok(waiting
                .take(limit as usize)
                .map(|queued| queued.outbound.clone())
                .collect())
        })
        .await
    }

    async fn report_outbound(
        &self,
        scope: &Scope,
        id: &str,
        outcome: &OutboundOutcome,
    ) -> Result<(), CrmError> {
        let line = || format!("{} {id} {outcome:?}", scope.tenant);
        self.crm(scope, Port::CrmReport, line, |state, scope| {
            state.report(scope, id, outcome)
        })
        .await
    }
}

impl CrmState {
    /// Whether all tenants' CRMs know a key they have seen.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.tenants
            .values()
            .all(|tenant| tenant.kind == CrmKind::Idempotent)
    }
}
