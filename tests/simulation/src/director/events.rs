//! What the plan says happens, and what people write.

use gmail_sim::MessageView;
use twinbox_host::{
    contract::{self, AuditMode, Mailbox, OutboundKind, WhenLimited},
    privacy::Privacy,
};

use super::{Director, POLL, PUSH_TAKES, Retract, tenant_id};
use crate::{
    gmail::{Done, mark, mark_in},
    plan::{Answer, Blocked, CrmAct, Keeps, Lists, Patience, Shape, Threading, What},
    ports::crm::{Delivery, News, Queued},
    world::{Due, State},
};

impl Director<'_> {
    /// What the plan says happens.
    pub(super) fn happen(&mut self, what: &What) {
        {
            let mut state = self.world.lock();
            let now = state.now;
            state.trace.line(now, || format!("EVENT {what:?}"));
        }
        let now = self.world.lock().now;
        match what {
            What::Connect { tenant, slip } => self.connect(*tenant, *slip),
            What::Disconnect { tenant } => self.disconnect(*tenant),
            What::Arrives(mail) => {
                if let Some(id) = self.people.deliver(mail, now) {
                    let mut state = self.world.lock();
                    state.trace.line(now, || format!("arrived as {id}"));
                }
            }
            What::Gmail { mailbox, act, pick } => match self.people.act(*mailbox, *act, *pick, now) {
                Some(Done::Deleted(view)) => self.history.deleted.push((*mailbox, *view)),
                Some(Done::Relabelled(id)) => {
                    self.history.relabelled.insert((*mailbox, id));
                }
                Some(Done::Other) | None => {}
            },
            What::UserSends {
                mailbox,
                to,
                cc,
                writing,
            } => self.people.send(*mailbox, to, cc, *writing, now),
            What::Logs { .. } => self.log(what, now),
            What::Bounces(who) => {
                let address = self.unreached(*who);
                self.world.sim.bounce(&address);
            }
            What::Notice {
                mailbox,
                pick,
                about,
                verdict,
                answer,
            } => {
                let address = self.unreached(*about);
                let notice = self.people.notice(*mailbox, *pick, &address, *verdict, *answer);
                if notice.is_some() {
                    self.world.lock().coverage.hit(match answer {
                        Answer::InThread => "notice in the thread of its message",
                        Answer::Elsewhere => "notice in a thread of its own",
                    });
                }
            }
            What::CrmSends { .. } => self.queue(what, now),
            What::CrmActs { tenant, act, pick } => self.act_in_crm(*tenant, *act, *pick, now),
            What::Lists { tenant, lists } => self.change_lists(*tenant, lists, now),
            What::Keeps {
                tenant,
                contact,
                keeps,
            } => self.keep(*tenant, *contact, *keeps, now),
            What::Audit { tenant } => {
                self.audits.insert(*tenant);
                if let Some((host, _)) = self.any_host() {
                    self.audit(host, *tenant, AuditMode::Heal);
                }
            }
            What::Retract { tenant } => {
                self.retracts.insert(*tenant, Retract::Wanted);
                self.idle[*tenant] = 0;
                self.poll_at(0, *tenant, |state| state.now + 1_000);
            }
            What::AddressBook { mailbox, act, pick } => {
                self.people.change_book(*mailbox, *act, *pick);
                self.world.lock().coverage.hit("address book changed");
            }
            What::Push { mailbox, copies } => {
                self.people.watch(*mailbox);
                // Late and doubled: it says what the latest said.
                let announced = self.announced.get(mailbox).copied();
                self.push(*mailbox, *copies, announced);
            }
            _ => self.strike(what, now),
        }
    }

    /// Trouble that the plan has.
    fn strike(&mut self, what: &What, now: u64) {
        match what {
            What::Fault(fault) => self.world.sim.inject(fault.clone()),
            What::Trap(trap) => self.world.lock().traps.push(trap.clone()),
            What::CrmOutage { tenant, lasts } => {
                let mut state = self.world.lock();
                if let Some(crm) = state
                    .crm
                    .tenants
                    .get_mut(&tenant_id(self.plan.shape.account(*tenant)))
                {
                    crm.down_until = now + lasts;
                }
            }
            What::GmailOutage { lasts } => self.world.lock().wire.down_until = now + lasts,
            What::Blocked { mailbox, lasts, what } => {
                let until = i64::try_from(now + lasts).ok();
                let mailbox = Shape::mailbox(*mailbox);
                match what {
                    Blocked::Everything => self.world.sim.block_until(&mailbox, until),
                    Blocked::Sending => self.world.sim.block_sending_until(&mailbox, until),
                };
                self.world.lock().coverage.hit("mailbox blocked");
            }
            What::HistoryExpires { mailbox } => {
                self.world.sim.expire_history(&Shape::mailbox(*mailbox), None);
                self.world.lock().coverage.hit("history expired");
            }
            What::TokensExpire { mailbox } => {
                self.world.sim.expire_access_tokens(&Shape::mailbox(*mailbox));
                self.world.lock().coverage.hit("access tokens expired");
            }
            What::GrantWithdrawn { mailbox } => {
                self.world.sim.withdraw_consent(&Shape::mailbox(*mailbox));
                self.world.lock().coverage.hit("grant withdrawn");
                self.history.grants_ended = true;
            }
            What::ClockJumps { host, by } => {
                let mut state = self.world.lock();
                state.skew[*host] += by;
                let (skew, (behind, ahead)) = (state.skew[*host], state.furthest);
                state.furthest = (skew.min(behind), skew.max(ahead));
                state.coverage.hit("clock jumped");
            }
            What::Conflict { tenant } => {
                if let Some(id) = self.current(*tenant) {
                    self.world.lock().store.touch(&id);
                }
            }
            _ => {}
        }
    }

    /// What happens after all was calm has to be seen too.
    pub(super) fn look_again(&mut self) {
        if !self.is_calm {
            return;
        }
        self.stirred = self.world.lock().now;
        for tenant in 0..self.lives.len() {
            self.idle[tenant] = 0;
            self.poll_at(0, tenant, |state| state.now + POLL);
        }
    }

    /// What Gmail put off happens at its time, and not when somebody asks next.
    pub(super) fn await_put_off(&mut self) {
        let Some(due) = self.world.sim.next_due_ms() else {
            return;
        };
        let wait = u64::try_from(due - self.world.sim.now_ms()).unwrap_or_default();
        let mut state = self.world.lock();
        let at = state.now + wait;
        if self.put_off.is_none_or(|known| at < known) {
            self.put_off = Some(at);
            state.schedule(at, Due::PutOff);
        }
    }

    /// Its time has come: the next look at the simulator does it.
    pub(super) fn put_off_no_longer(&mut self) {
        self.put_off = None;
        self.stirred = self.stirred.max(self.world.lock().now);
        self.look_again();
    }

    /// Notifications that Gmail published wake the hosts; forged ones do not.
    pub(super) fn notice_pushes(&mut self) {
        for notification in self.world.sim.take_notifications() {
            let mailboxes = 0..self.plan.shape.mailboxes;
            let mut mailboxes =
                mailboxes.filter(|number| Shape::mailbox(*number) == notification.email_address);
            let (Some(mailbox), None) = (mailboxes.next(), notification.flaw) else {
                continue;
            };
            self.announced.insert(mailbox, notification.history_id);
            if self.is_news(mailbox) {
                self.push(mailbox, 1, Some(notification.history_id));
            }
        }
    }

    /// Whether no wake-up for a notification of this mailbox is still to come: hosts coalesce them.
    pub(super) fn is_news(&mut self, mailbox: usize) -> bool {
        let now = self.world.lock().now;
        let is_news = self.pushed.get(&mailbox).is_none_or(|until| *until < now);
        if is_news {
            self.pushed.insert(mailbox, now + PUSH_TAKES);
        }
        is_news
    }

    pub(super) fn push(&mut self, mailbox: usize, copies: u32, announced: Option<u64>) {
        // When all is calm the hosts look by themselves, so that what comes late has its time.
        if self.is_calm {
            return;
        }
        let mut state = self.world.lock();
        for (tenant, shape) in self.plan.shape.tenants.iter().enumerate() {
            for _ in 0..copies {
                if shape.mailbox == mailbox {
                    let host = usize::try_from(state.between(0, self.hosts.len() as u64)).unwrap_or_default();
                    let at = state.now + state.between(0, PUSH_TAKES);
                    state.schedule(
                        at,
                        Due::Wake {
                            host,
                            tenant,
                            announced,
                        },
                    );
                    state.coverage.hit("push");
                }
            }
        }
    }

    /// The user of a tenant changes what they keep out, as the host would write it.
    fn change_lists(&mut self, tenant: usize, lists: &Lists, now: u64) {
        // Not while the connection that takes over reads them.
        let next = self.plan.shape.next_of(tenant);
        let is_moving = next.is_some_and(|next| !self.lives[next].is_empty());
        let Some(id) = self.current(tenant).filter(|_| !is_moving) else {
            return;
        };
        let mut state = self.world.lock();
        let Some(row) = state.store.registry.get_mut(&id) else {
            return;
        };
        let privacy = self.lists(lists, &Privacy::of(&row.settings));
        row.settings = privacy.in_settings(&row.settings);
        row.revision += 1;
        state.coverage.hit("lists changed");
        drop(state);
        self.history
            .policy_changes(tenant, now, |policy| policy.lists = lists.clone());
    }

    /// The user of a tenant makes a conversation private, or opens it again.
    fn keep(&mut self, tenant: usize, contact: usize, keeps: Keeps, now: u64) {
        let mut state = self.world.lock();
        let Some(crm) = state
            .crm
            .tenants
            .get_mut(&tenant_id(self.plan.shape.account(tenant)))
        else {
            return;
        };
        if crm.contacts.is_empty() {
            return;
        }
        let number = contact % crm.contacts.len();
        let contact = &mut crm.contacts[number];
        contact.private = keeps == Keeps::Private;
        let id = contact.id.clone();
        state.coverage.hit("conversation made private or open");
        drop(state);
        for user in 0..self.lives.len() {
            if self.plan.shape.account(user) == self.plan.shape.account(tenant) {
                self.history.policy_changes(user, now, |policy| match keeps {
                    Keeps::Private => {
                        policy.private.insert(id.clone());
                    }
                    Keeps::Open => {
                        policy.private.remove(&id);
                    }
                });
            }
        }
    }

    /// Some host looks at what a tenant's user did in the CRM.
    fn looks_soon(&self, state: &mut State, tenant: usize) {
        let at = state.now + state.between(0, 10_000);
        let host = usize::try_from(state.between(0, self.hosts.len() as u64)).unwrap_or_default();
        let wake = Due::Wake {
            host,
            tenant,
            announced: None,
        };
        state.schedule(at, wake);
    }

    /// The user of a tenant does something to a message in the CRM.
    fn act_in_crm(&mut self, tenant: usize, act: CrmAct, pick: usize, now: u64) {
        let Some(connection) = self.current(tenant) else {
            return;
        };
        let mut state = self.world.lock();
        let crm = state
            .crm
            .tenants
            .get_mut(&tenant_id(self.plan.shape.account(tenant)));
        let Some(key) = crm.and_then(|crm| crm.act(&connection, act, pick, now)) else {
            return;
        };
        state.coverage.hit("changed in the CRM");
        self.looks_soon(&mut state, tenant);
        drop(state);
        let mailbox = self.plan.shape.tenants[tenant].mailbox;
        if act == CrmAct::Delete
            && let Some(id) = self.id_of(mailbox, &key)
        {
            self.history.trashed_in_crm.insert((mailbox, id));
        }
    }

    /// Gmail's id of the message that a CRM has under a key, also of what came to a BCC address (S18).
    fn id_of(&self, mailbox: usize, key: &str) -> Option<String> {
        if let Some((_, id)) = key.strip_prefix("gmail/").and_then(|rest| rest.rsplit_once('/')) {
            return Some(id.to_owned());
        }
        let state = self.world.lock();
        let mut rows = state.crm.tenants.values().flat_map(|crm| &crm.rows);
        let row = rows.find(|row| row.message.key == key)?;
        let mark = mark_in(&row.message.content.text)?;
        let view = self.world.sim.mailbox(&Shape::mailbox(mailbox))?;
        let is_it = |message: &&MessageView| {
            message.has("SENT") && mark_in(&String::from_utf8_lossy(&message.raw)) == Some(mark)
        };
        Some(view.messages.iter().find(is_it)?.id.clone())
    }

    /// The user of a tenant writes mail in the CRM.
    pub(super) fn queue(&mut self, what: &What, now: u64) {
        let What::CrmSends {
            tenant,
            kind,
            contact,
            cc,
            threading,
            attachment,
            patience,
        } = what
        else {
            return;
        };
        let Some(connection) = self.current(*tenant) else {
            return;
        };
        let serial = self.people.serial();
        self.letters += 1;
        let mut state = self.world.lock();
        let Some(crm) = state
            .crm
            .tenants
            .get_mut(&tenant_id(self.plan.shape.account(*tenant)))
        else {
            return;
        };
        if crm.contacts.is_empty() {
            return;
        }
        let contact = crm.contacts[contact % crm.contacts.len()].clone();
        let latest = crm
            .rows
            .iter()
            .rev()
            .find(|row| row.message.contact_id == contact.id);
        let answered = latest.filter(|_| *threading == Threading::Reply);
        let subject = match answered {
            Some(row) => format!("Re: {}", row.message.subject.trim_start_matches("Re: ")),
            None => format!("Letter {serial}"),
        };
        let outbound = contract::Outbound {
            id: format!("out-{serial}"),
            kind: *kind,
            contact_id: contact.id.clone(),
            thread: answered.map(|row| row.message.thread.clone()),
            in_reply_to: answered.map(|row| row.message.key.clone()),
            sender: None,
            to: vec![to(contact.addresses[0].clone())],
            cc: cc
                .iter()
                .map(|person| to(self.plan.shape.address(*person)))
                .collect(),
            bcc: Vec::new(),
            subject,
            text: format!("Dear {}, {}", contact.name, mark(serial)),
            html: None,
            attachments: attachment_of(*attachment),
            queued_at: now,
            when_limited: match patience {
                Patience::Fail => WhenLimited::Fail,
                Patience::Wait => WhenLimited::Wait,
            },
        };
        let is_bulk = *kind != OutboundKind::OneToOne;
        crm.outbound.push(Queued {
            connection,
            outbound,
            attachment: vec![b'x'; *attachment].into(),
            state: Delivery::Waits,
            news: News::new(),
        });
        if is_bulk {
            state.coverage.hit("bulk mail at the mailbox");
        }
        self.looks_soon(&mut state, *tenant);
    }

    /// Trouble ends; what it did has to be made good from here on.
    pub(super) fn calm(&mut self) {
        self.is_calm = true;
        self.world.sim.clear_faults();
        for mailbox in 0..self.plan.shape.mailboxes {
            let mailbox = Shape::mailbox(mailbox);
            self.world.sim.block_until(&mailbox, None);
            self.world.sim.block_sending_until(&mailbox, None);
        }
        let mut state = self.world.lock();
        let now = state.now;
        state.trace.line(now, || "calm".to_owned());
        state.traps.clear();
        state.wire.down_until = 0;
        for crm in state.crm.tenants.values_mut() {
            crm.down_until = 0;
        }
        drop(state);
        for host in 0..self.hosts.len() {
            self.finish_disconnects(host);
        }
        if self.world.lock().one_in(4) {
            self.questions = (0..self.lives.len()).collect();
        }
        for tenant in 0..self.lives.len() {
            self.idle[tenant] = 0;
            self.poll_at(0, tenant, |state| state.now + 1_000);
        }
    }
}

fn to(address: String) -> Mailbox {
    Mailbox { name: None, address }
}

fn attachment_of(size: usize) -> Vec<contract::OutboundAttachment> {
    let attachment = contract::OutboundAttachment {
        id: "a".to_owned(),
        name: "a.bin".to_owned(),
        media_type: "application/octet-stream".to_owned(),
        size: size as u64,
        content_id: None,
        disposition: contract::Disposition::Attached,
    };
    (size > 0).then_some(attachment).into_iter().collect()
}
