//! One user of one tenant, with one mailbox: what happens there, and what is seen of it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gmail_sim::{Consent, Decision, Fault, FaultKind, Server, Sim};
use twinbox_host::{
    Database, Host, HostError, Ran,
    accounts::{Accounts, ConnectError},
    audit::Audited,
    choices::{Choices, Wanted},
    clock::Clock,
    contract::{AuditMode, AuditReport, Explanation, Flags, PreviewRange, Problem, Subject, Trigger},
    crm::{Counts, Delivery, EmbeddedCrm, NewContact, Paging, Secrecy, StoredMessage},
    privacy::Privacy,
    quota::Rates,
    release::{Plugins, ShadowSummary},
    scope::{ConnectionId, TenantId, UserId},
    store::Connection,
    trace::Trace,
    vault::{Callback, OAuthVault},
};

use crate::{
    ANN, CrmFault, LeapingClock, Letter, Mail, Mailbox, Setup,
    crm::FaultyCrm,
    traces::Traces,
    wire::{Moment, Wire},
};

/// Passes after which a sync that never ends is taken for a loop.
const MOST_PASSES: usize = 200;
/// How often the schedule looks, ms.
const POLL: u64 = 60_000;
/// How far [`World::settle`] follows what a pass asks for, ms.
const HORIZON: u64 = 3 * 3_600_000;

/// Whether a pass died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Died {
    /// At the request it was meant to die at.
    Yes,
    /// It was over before that.
    No,
}

/// What several tenants share.
pub(crate) struct Platform {
    pub(crate) sim: Sim,
    pub(crate) origin: String,
    pub(crate) _server: Server,
    pub(crate) clock: LeapingClock,
    pub(crate) host: Host,
    pub(crate) accounts: Accounts,
    pub(crate) vault: OAuthVault,
    pub(crate) settings: String,
    pub(crate) rates: Option<Rates>,
    pub(crate) crm: EmbeddedCrm,
    pub(crate) faulty: Arc<FaultyCrm>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) database: Database,
    pub(crate) browser: reqwest::Client,
    /// Numbers what is made, so that no two are alike.
    pub(crate) serial: AtomicU32,
}

/// Who looks at it.
pub(crate) struct Seat {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) mailbox: String,
}

/// One user of one tenant, with one mailbox.
pub struct World {
    pub(crate) platform: Arc<Platform>,
    pub(crate) seat: Seat,
    connection: Option<ConnectionId>,
    choices: Choices,
}

impl World {
    /// A connected mailbox and the contact Ann.
    pub async fn connected() -> Self {
        Setup::default().connected().await
    }

    pub(crate) async fn new(platform: Arc<Platform>, seat: Seat) -> Self {
        let crm = &platform.crm;
        crm.create_tenant(&seat.tenant, "A tenant").await.unwrap();
        crm.create_user(&seat.tenant, &seat.user, "A user").await.unwrap();
        Self {
            platform,
            seat,
            connection: None,
            choices: Choices::default(),
        }
    }

    /// Another tenant whose user has the same mailbox; nothing is connected there yet.
    pub async fn in_another_tenant(&self, tenant: &str) -> Self {
        let seat = Seat {
            tenant: TenantId::new(tenant),
            user: UserId::new(tenant),
            mailbox: self.seat.mailbox.clone(),
        };
        Self::new(self.platform.clone(), seat).await
    }

    /// Another tenant whose user has connected the same mailbox and has the contact Ann.
    pub async fn sharing(&self, tenant: &str) -> Self {
        let mut other = self.in_another_tenant(tenant).await;
        other.create_contact(ann()).await;
        other.connect().await.expect("a connection");
        other
    }

    /// Another user of the same tenant, with the same mailbox; nothing is connected there yet.
    pub async fn colleague(&self, user: &str) -> Self {
        let seat = Seat {
            tenant: self.seat.tenant.clone(),
            user: UserId::new(user),
            mailbox: self.seat.mailbox.clone(),
        };
        Self::new(self.platform.clone(), seat).await
    }

    /// Gives a contact to a user, or to nobody.
    pub async fn assign(&self, who: &str, user: Option<&str>) {
        let (contact, user) = (self.contact_id(who).await, user.map(UserId::new));
        let crm = &self.platform.crm;
        let assigned = crm
            .assign_contact(&self.seat.tenant, &contact, user.as_ref())
            .await;
        assigned.expect("a contact and a user");
    }

    /// Deletes a contact in the CRM.
    pub async fn delete_contact(&self, who: &str) {
        let contact = self.contact_id(who).await;
        let deleted = self
            .platform
            .crm
            .delete_contact(&self.seat.tenant, &contact)
            .await;
        deleted.expect("a contact");
    }

    /// Another letter in the CRM to a contact, and the passes that send it; the id.
    pub async fn writes_to(&self, who: &str) -> String {
        let letter = self.letter(who).await.queued().await;
        self.sync().await;
        letter
    }

    /// The messages of a conversation that are marked as released, by subject.
    pub async fn released(&self, who: &str) -> Vec<String> {
        let mut conversation = self.conversation(who).await;
        conversation.retain(|message| message.released);
        subjects(&conversation)
    }

    /// A mailbox that nothing is connected to yet, and the contact Ann.
    pub async fn unconnected() -> Self {
        Setup::default().unconnected().await
    }

    /// The user's side of connections.
    pub fn accounts(&self) -> &Accounts {
        &self.platform.accounts
    }

    /// What the user ticks from now on when they connect.
    pub fn ticks(&mut self, settings: &[&str]) {
        self.choices = Choices::ticked(settings.iter().copied());
    }

    /// Connects as a user would, saying yes to everything.
    pub async fn connect(&mut self) -> Result<Connection, ConnectError> {
        let mailbox = self.seat.mailbox.clone();
        self.consent(&mailbox, Decision::All, Some(&mailbox)).await
    }

    /// Goes through the consent page: signs in as `account` and ticks what `decision` says. The user has
    /// asked for the mailbox `expected`.
    pub async fn consent(
        &mut self,
        account: &str,
        decision: Decision,
        expected: Option<&str>,
    ) -> Result<Connection, ConnectError> {
        let platform = &self.platform;
        let wanted = Wanted {
            address: expected.map(str::to_owned),
            choices: self.choices.clone(),
        };
        let session = "a browser";
        let page = platform
            .accounts
            .begin(&self.seat.tenant, &self.seat.user, session, wanted)
            .await?;
        platform.sim.set_consent(Consent::Auto {
            account: Some(account.to_owned()),
            decision,
        });
        let answer = platform.browser.get(page).send().await.expect("the consent page");
        let back = answer.headers()["location"].to_str().unwrap();
        let back = reqwest::Url::parse(back).unwrap();
        let value = |wanted: &str| {
            back.query_pairs()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        let callback = match value("code") {
            Some(code) => Callback::Code(code.into()),
            None => Callback::Error(value("error").unwrap_or_default()),
        };
        let state = value("state").unwrap_or_default();
        let connection = platform.accounts.finish(&state, session, callback).await?;
        self.connection = Some(connection.scope.connection.clone());
        Ok(connection)
    }

    /// Ends the connection.
    pub async fn disconnect(&self) {
        self.platform
            .host
            .disconnect(self.connection_id())
            .await
            .expect("a disconnect");
    }

    /// One pass.
    pub async fn pass(&self) -> Result<Ran, HostError> {
        self.platform
            .host
            .run(self.connection_id(), Trigger::Manual)
            .await
    }

    /// Passes until one does not ask for another at once; that one.
    pub async fn sync(&self) -> Ran {
        for _ in 0..MOST_PASSES {
            let ran = self.pass().await.expect("a pass");
            let more = ran.report.problem.is_none() && ran.report.next.is_some_and(|next| next <= self.now());
            if !more {
                return ran;
            }
        }
        panic!("more than {MOST_PASSES} passes: a loop");
    }

    /// Passes as the schedule would run them, time moved on to each, until nothing is left to do for the
    /// next hours and a last look a minute later finds nothing; all of them.
    pub async fn settle(&self) -> Vec<Ran> {
        let end = self.now() + HORIZON;
        let mut passes = Vec::new();
        let mut is_idle = false;
        while passes.len() < MOST_PASSES {
            passes.push(self.pass().await.expect("a pass"));
            match self.connection_row().await.next_run_at {
                Some(next) if next <= end => self.tick(next.saturating_sub(self.now())),
                _ if is_idle => return passes,
                _ => self.tick(POLL),
            }
            let last = passes.last().map(|ran| ran.report.counts.seen);
            is_idle = last == Some(0) && passes.len() > 1;
        }
        panic!("more than {MOST_PASSES} passes: a loop");
    }

    /// One pass that dies at a request, with the process it runs in, and the time it takes until the
    /// connection is free again. `n` counts the pass's requests from 0.
    pub async fn pass_that_dies(&self, n: usize, moment: Moment) -> Died {
        self.run_that_dies(Trigger::Manual, n, moment).await
    }

    /// The same of a pass that a retract begins with (T06).
    pub async fn retract_that_dies(&self, n: usize, moment: Moment) -> Died {
        self.run_that_dies(Trigger::Retract, n, moment).await
    }

    async fn run_that_dies(&self, trigger: Trigger, n: usize, moment: Moment) -> Died {
        let killed = self.platform.wire.kill_at(n, moment);
        let died = tokio::select! {
            ran = self.platform.host.run(self.connection_id(), trigger) => {
                ran.expect("a pass");
                Died::No
            }
            () = killed.notified() => Died::Yes,
        };
        self.platform.wire.let_live();
        // Longer than any lease.
        self.tick(20 * 60_000);
        died
    }

    /// The host's process ends, and another one begins over the same database. Only this world may look
    /// at it then.
    pub async fn restart(&mut self) {
        let (host, accounts) = crate::setup::restarted(&self.platform).await;
        let platform = Arc::get_mut(&mut self.platform).expect("no other world or mailbox");
        platform.host = host;
        platform.accounts = accounts;
    }

    /// The connection as the host knows it.
    pub async fn connection_row(&self) -> Connection {
        let registry = &self.platform.host.parts().registry;
        registry.find(self.connection_id()).await.unwrap().unwrap()
    }

    /// A connection as the host knows it.
    pub async fn connection_row_of(&self, id: &ConnectionId) -> Connection {
        let found = self.platform.host.parts().registry.find(id).await;
        found.expect("the registry").expect("a connection")
    }

    /// All connections of all tenants.
    pub async fn connections(&self) -> Vec<Connection> {
        self.platform.host.parts().registry.list().await.unwrap()
    }

    /// Compares mailbox and ledger.
    pub async fn audit(&self, mode: AuditMode) -> AuditReport {
        let audit = self.platform.host.audit(self.connection_id(), mode).await;
        audit.expect("an audit")
    }

    /// Compares mailbox and ledger of a connection that was brought up to date, and keeps what that finds. A
    /// lease that is held is waited for so long.
    pub async fn check(&self, mode: AuditMode, patience: Duration) -> Result<AuditReport, HostError> {
        self.platform
            .host
            .check(self.connection_id(), mode, patience)
            .await
    }

    /// What is kept of this connection's audits, the latest first.
    pub async fn audits(&self) -> Vec<Audited> {
        let audits = &self.platform.host.parts().audits;
        audits.latest(self.connection_id()).await.expect("a log")
    }

    /// Compares mailbox and ledger, and asserts that every message of the mailbox has a fate (T01).
    pub async fn assert_all_accounted_for(&self) -> AuditReport {
        let report = self.audit(AuditMode::ReportOnly).await;
        assert_eq!(report.missing, Vec::<String>::new());
        let excluded: u32 = report.excluded.iter().map(|rule| rule.count).sum();
        let quarantined = u32::try_from(report.quarantined.len()).unwrap();
        assert!(
            report.delivered + excluded + report.gone + quarantined >= report.listed,
            "{report:?}"
        );
        report
    }

    /// Says which rule decided about one message.
    pub async fn explain(&self, id: &str) -> Explanation {
        let mut found = self.explain_all(Subject::Message(id.to_owned())).await;
        found.pop().expect("a ledger row")
    }

    /// Explains a message, or all of a contact.
    pub async fn explain_all(&self, subject: Subject) -> Vec<Explanation> {
        let found = self.platform.host.explain(self.connection_id(), subject).await;
        found.expect("an explanation")
    }

    /// What an explanation of a message says under this name; nothing if it says nothing.
    pub async fn input(&self, id: &str, name: &str) -> Option<String> {
        let explanation = self.explain(id).await;
        let found = explanation.inputs.into_iter().find(|input| input.name == name);
        found.map(|input| input.value)
    }

    /// The user changes their lists (T06).
    pub async fn keeps_out(&self, change: impl FnOnce(&mut Privacy)) -> Result<Connection, HostError> {
        let mut lists = Privacy::of(&self.connection_row().await.settings);
        change(&mut lists);
        self.platform.host.set_privacy(self.connection_id(), &lists).await
    }

    /// The user makes a conversation private, or opens it again.
    pub async fn keeps(&self, who: &str, secrecy: Secrecy) {
        let contact = self.contact_id(who).await;
        let kept = self
            .platform
            .crm
            .set_secrecy(&self.seat.tenant, &contact, secrecy);
        kept.await.expect("a contact");
    }

    /// A dry run over the newest messages, with these lists or with the connection's own.
    pub async fn preview(&self, most: u32, lists: Option<&Privacy>) -> Vec<Explanation> {
        let range = PreviewRange { since: 0, most };
        let found = self
            .platform
            .host
            .preview(self.connection_id(), range, lists)
            .await;
        found.expect("a dry run")
    }

    /// Takes out what the rules no longer allow; how many messages.
    pub async fn retract(&self) -> u32 {
        let retracted = self
            .platform
            .host
            .retract(self.connection_id(), Duration::ZERO)
            .await;
        retracted.expect("a retract")
    }

    /// Whether nothing is left of a message.
    pub async fn is_erased(&self, message: &StoredMessage) -> bool {
        let crm = &self.platform.crm;
        let found = crm.message(&self.seat.tenant, &message.id).await;
        let mut parts = message.message.attachments.iter();
        let part = parts.next().map(|part| part.part.clone()).unwrap_or_default();
        let bytes = crm.attachment_body(&self.seat.tenant, &message.id, &part).await;
        found.is_err() && bytes.is_err()
    }

    /// Every key of the connection's storage with its value, as text.
    pub async fn storage(&self) -> Vec<(String, String)> {
        let store = &self.platform.host.parts().store;
        let page = store.scan(self.connection_id(), "", None, 10_000).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        page.entries
            .iter()
            .map(|entry| (entry.key.clone(), text(&entry.value)))
            .collect()
    }

    /// The rule that decided about a message, in the words of the ledger.
    pub async fn rule(&self, id: &str) -> String {
        self.explain(id).await.rule
    }

    /// Time passes.
    pub fn tick(&self, milliseconds: u64) {
        self.platform.clock.advance(milliseconds);
    }

    /// The time, ms since the epoch.
    pub fn now(&self) -> u64 {
        self.platform.clock.now()
    }

    /// The simulator.
    pub fn sim(&self) -> &Sim {
        &self.platform.sim
    }

    /// Where the simulator is.
    pub fn origin(&self) -> &str {
        &self.platform.origin
    }

    /// The next request of a method fails.
    pub fn fault(&self, method: &str, kind: FaultKind) {
        self.platform.sim.inject(Fault {
            mailbox: Some(self.seat.mailbox.clone()),
            ..Fault::next(method, kind)
        });
    }

    /// The CRM fails.
    pub fn crm_fault(&self, fault: CrmFault) {
        self.platform.faulty.inject(fault);
    }

    /// The CRM fails no more.
    pub fn crm_recovers(&self) {
        self.platform.faulty.clear();
    }

    /// Something happens just before the next request of a pass whose line contains `text`.
    pub fn before_request(&self, text: &str, happening: impl Future<Output = ()> + Send + 'static) {
        self.platform.wire.before(text, Box::pin(happening));
    }

    /// The requests of the passes since the last call, as `GET /path?query`.
    pub fn requests(&self) -> Vec<String> {
        self.platform.wire.take()
    }

    /// The traces of all passes since the last call, oldest first.
    pub fn traces(&self) -> Vec<Trace> {
        let traces = self.platform.traces.as_ref().expect("a recorded world");
        traces.take()
    }

    /// Every token that was ever sent.
    pub fn tokens(&self) -> BTreeSet<String> {
        self.platform.wire.tokens()
    }

    /// The components, looked up anew as another process would.
    pub async fn reopened_plugins(&self) -> Arc<Plugins> {
        let database = self.platform.database.clone();
        crate::component::releases(database).await
    }

    /// The components.
    pub fn plugins(&self) -> &Arc<Plugins> {
        &self.platform.host.parts().plugins
    }

    /// What the shadow passes of the candidate showed, once the last one is over.
    pub async fn shadow(&self) -> ShadowSummary {
        self.platform.host.shadow().idle().await;
        let store = self.plugins().store().expect("a world with releases");
        let candidate = store.choice().await.unwrap().candidate.expect("a candidate");
        store.summary(&candidate).await.unwrap()
    }

    /// The CRM, without its faults.
    pub fn crm(&self) -> EmbeddedCrm {
        self.platform.crm.clone()
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.platform.host
    }

    /// Mail to write: from Ann to the user, unless told otherwise.
    pub fn mail(&self) -> Mail<'_> {
        Mail::new(self)
    }

    /// The user's mailbox, as they see it in Gmail.
    pub fn gmail(&self) -> Mailbox {
        self.mailbox(&self.seat.mailbox)
    }

    /// Somebody's mailbox.
    pub fn mailbox(&self, address: &str) -> Mailbox {
        Mailbox::new(self.platform.clone(), address)
    }

    /// A letter in the CRM to a contact, by name or address.
    pub async fn letter(&self, who: &str) -> Letter<'_> {
        Letter::to(self, who).await
    }

    /// A letter in the CRM that answers a message.
    pub fn reply(&self, message: &StoredMessage) -> Letter<'_> {
        Letter::answering(self, message)
    }

    /// Makes a contact; its id.
    pub async fn create_contact(&self, contact: NewContact) -> String {
        let created = self.platform.crm.create_contact(&self.seat.tenant, contact).await;
        created.expect("a contact")
    }

    /// How many contacts there are.
    pub async fn contacts(&self) -> usize {
        self.all_contacts().await.len()
    }

    /// A contact's conversation, by name or address.
    pub async fn conversation(&self, who: &str) -> Vec<StoredMessage> {
        let contact = self.contact_id(who).await;
        let conversation = self
            .platform
            .crm
            .conversation(&self.seat.tenant, &contact, Paging::default());
        conversation.await.expect("a conversation")
    }

    /// The only message of a conversation.
    pub async fn only_message(&self, who: &str) -> StoredMessage {
        let mut messages = self.conversation(who).await;
        assert_eq!(messages.len(), 1, "{:?}", subjects(&messages));
        messages.remove(0)
    }

    /// The subjects of a conversation, in its order.
    pub async fn subjects(&self, who: &str) -> Vec<String> {
        subjects(&self.conversation(who).await)
    }

    /// How much the tenant has.
    pub async fn counts(&self) -> Counts {
        self.platform.crm.counts(&self.seat.tenant).await.unwrap()
    }

    /// The bytes of a message's attachment.
    pub async fn attachment(&self, message: &StoredMessage, part: &str) -> Vec<u8> {
        let body = self
            .platform
            .crm
            .attachment_body(&self.seat.tenant, &message.id, part);
        let (_, body) = body.await.expect("an attachment");
        body.collect(64 << 20).await.unwrap().to_vec()
    }

    /// What became of mail that was written in the CRM.
    pub async fn delivery(&self, id: &str) -> Delivery {
        self.message(id).await.delivery
    }

    /// The problem for which mail was not sent, if it was not.
    pub async fn failure(&self, id: &str) -> Option<Problem> {
        match self.delivery(id).await {
            Delivery::Failed(problem) => Some(problem),
            _ => None,
        }
    }

    /// A message of the CRM.
    pub async fn message(&self, id: &str) -> StoredMessage {
        let found = self.platform.crm.message(&self.seat.tenant, id).await;
        found.expect("a message")
    }

    /// The CRM's user marks a message.
    pub async fn marks(&self, message: &StoredMessage, flags: Flags) {
        let marked = self
            .platform
            .crm
            .set_marks(&self.seat.tenant, &message.id, flags.into())
            .await;
        marked.expect("a message");
    }

    /// The CRM's user deletes a message.
    pub async fn deletes(&self, message: &StoredMessage) {
        let deleted = self
            .platform
            .crm
            .delete_message(&self.seat.tenant, &message.id)
            .await;
        deleted.expect("a message");
    }

    pub(crate) fn connection_id(&self) -> &ConnectionId {
        self.connection.as_ref().expect("a connected mailbox")
    }

    pub(crate) async fn contact_id(&self, who: &str) -> String {
        let found = self.all_contacts().await.into_iter().find(|contact| {
            contact.name == who
                || contact
                    .addresses
                    .iter()
                    .any(|address| address.eq_ignore_ascii_case(who))
        });
        found.unwrap_or_else(|| panic!("there is no contact {who}")).id
    }

    pub(crate) fn next_number(&self) -> u32 {
        self.platform.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// All contacts of the tenant.
    pub async fn all_contacts(&self) -> Vec<twinbox_host::contract::Contact> {
        let mut all = Vec::new();
        loop {
            let paging = Paging {
                offset: u32::try_from(all.len()).unwrap(),
                ..Paging::default()
            };
            let page = self.platform.crm.list_contacts(&self.seat.tenant, paging);
            let page = page.await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }
}

fn ann() -> NewContact {
    NewContact {
        name: "Ann".to_owned(),
        addresses: vec![ANN.to_owned()],
        created_at: Some(1),
        ..NewContact::default()
    }
}

fn subjects(messages: &[StoredMessage]) -> Vec<String> {
    messages
        .iter()
        .map(|message| message.message.subject.clone())
        .collect()
}
