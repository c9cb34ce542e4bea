//! One host: connections, their passes, and what a pass's end means for a connection.
//!
//! A [`Host`] holds nothing that must survive it. Every call takes the connection's lease first, so
//! that there is one pass per connection at a time, in this process or any other.

use std::{sync::Arc, time::Duration};

use tracing::Instrument;

use crate::{
    body::Body,
    capability::TooLarge,
    choices::{BCC_ADDRESS, Choices, knows_setting, with_setting},
    contract::{
        AuditMode, AuditReport, Connected, Explanation, OptionalScope, Outcome, Problem, Report, Subject,
        Trigger,
    },
    privacy::{ASSIGNED_USERS_CHOSEN, AssignedUsers, Privacy},
    release::Shadow,
    sandbox::{Ended, PassError, Usage},
    scope::{ConnectionId, Scope},
    sharing::SharingError,
    spans,
    store::{Announced, Connection, ConnectionStatus, Lease, Put, Standing, StoreError},
    trace::{Call, Trace},
    vault::VaultError,
};

mod check;
mod ended;
mod parts;
mod privacy;
mod running;
mod turn;

use ended::{Began, note, standing};
use running::Running;

pub use parts::{Parts, Witness};

/// A lease outlives the longest pass by so much, so that it never ends under one.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Why the host did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is no such connection.
    #[error("there is no connection {0}")]
    UnknownConnection(ConnectionId),
    /// Another pass of this connection is under way.
    #[error("a pass of this connection is under way")]
    Busy,
    /// The plugin refused, in its own words.
    #[error("{0:?}")]
    Refused(Problem),
    /// The pass ended without a result.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no grant to work with.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Claims on contacts did not answer.
    #[error(transparent)]
    Sharing(#[from] SharingError),
    /// The plugin's manifest is not usable.
    #[error("the plugin's manifest: {0}")]
    Manifest(String),
}

impl HostError {
    /// In the words people are shown.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => problem.clone(),
            Self::UnknownConnection(_) => Problem::NotConnected,
            Self::Busy => Problem::Superseded,
            Self::Pass(error) => Problem::PluginOverBudget(error.to_string()),
            Self::Store(error) => Problem::StorageUnavailable(error.to_string()),
            Self::Sharing(error) => Problem::StorageUnavailable(error.to_string()),
            Self::Vault(VaultError::ReconnectNeeded | VaultError::NoGrant) => Problem::ReconnectNeeded,
            Self::Vault(error) => Problem::ProviderUnavailable(error.to_string()),
            Self::Manifest(text) => Problem::Other(text.clone()),
        }
    }
}

/// What a pass did and used.
#[derive(Debug)]
pub struct Ran {
    /// The plugin's report.
    pub report: Report,
    /// What it used.
    pub usage: Usage,
}

/// Runs one plugin for many connections. Clones are the same host.
#[derive(Clone)]
pub struct Host {
    parts: Arc<Parts>,
    running: Arc<Running>,
    shadow: Arc<Shadow>,
}

impl Host {
    /// A host of these parts.
    pub fn new(parts: Parts) -> Result<Self, HostError> {
        Ok(Self {
            parts: Arc::new(parts),
            running: Arc::default(),
            shadow: Arc::default(),
        })
    }

    /// What it is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The rehearsals of a candidate.
    pub fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// Begins a connection whose grant the vault holds (S01). If the plugin refuses, nothing of it
    /// remains (S02, S03). A connection that is there is confirmed and active again (S07).
    pub async fn connect(
        &self,
        scope: Scope,
        expected_address: Option<String>,
        settings: String,
    ) -> Result<Connection, HostError> {
        let id = scope.connection.clone();
        let known = self.parts.registry.find(&id).await?;
        let connected = async {
            let settings = self.with_lists(&scope, &settings).await?;
            let connected = self.confirm(&scope, expected_address, settings.clone()).await?;
            self.parts.sharing.join(&scope).await?;
            Ok((connected, settings))
        };
        let (connected, settings) = match connected.await {
            Ok(connected) => connected,
            Err(error) => {
                self.forget_unless_connected(&scope).await;
                return Err(error);
            }
        };
        let now = self.parts.clock.now();
        let before = known.map(|known| (known.status, known.revision));
        loop {
            let known = self.parts.registry.find(&id).await?;
            let found = known.as_ref().map(|known| (known.status, known.revision));
            if found != before && found.is_some_and(|(status, _)| status == ConnectionStatus::Disconnected) {
                // Somebody has ended it since this began: that is the last word (S06).
                self.forget(&scope).await?;
                return Err(HostError::Refused(Problem::NotConnected));
            }
            // The user may have changed the lists meanwhile.
            let settings = match &known {
                Some(known) => Privacy::of(&known.settings)
                    .beside(&settings)
                    .in_settings(&settings),
                None => settings.clone(),
            };
            let mut connection = Connection {
                scope: scope.clone(),
                address: connected.address.clone(),
                status: ConnectionStatus::Active,
                settings,
                created_at: known.as_ref().map_or(now, |known| known.created_at),
                last_run_at: known.as_ref().and_then(|known| known.last_run_at),
                next_run_at: Some(now),
                failures: 0,
                problem: None,
                // A watch that is there now announces itself; whether notifications come is seen anew.
                announced: Announced::default(),
                standing: known
                    .as_ref()
                    .map(|known| Standing {
                        watched_until: None,
                        ..known.standing.clone()
                    })
                    .unwrap_or_default(),
                revision: known.map_or(0, |known| known.revision),
            };
            match self.put(&mut connection).await {
                Ok(Put::Written) => {
                    self.introduce(&connection).await?;
                    return Ok(connection);
                }
                Ok(Put::Stale) => {}
                Err(error) => {
                    self.forget_unless_connected(&scope).await;
                    return Err(error);
                }
            }
        }
    }

    /// Nothing remains of a connection that did not come about. One that somebody has made meanwhile stays; what cannot be
    /// given up now is when a platform tidies up.
    async fn forget_unless_connected(&self, scope: &Scope) {
        let forgotten = match self.parts.registry.find(&scope.connection).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => self.forget(scope).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = forgotten {
            tracing::warn!(connection = %scope.connection, %error, "what is left of a connection is not given up");
        }
    }

    /// Lets the component look whether it is the right mailbox and the grant is enough (S02, S03). A pass that is under
    /// way is waited for: the consent is spent.
    async fn confirm(
        &self,
        scope: &Scope,
        expected_address: Option<String>,
        settings: String,
    ) -> Result<Connected, HostError> {
        let until = self.parts.clock.now().saturating_add(self.lease_length());
        let lease = self.patiently(until, || self.lease(&scope.connection)).await?;
        let call = Call::Connect {
            expected_address: expected_address.clone(),
            settings: settings.clone(),
        };
        let begun = self.turn(scope.clone(), lease.clone(), call).await;
        let (pass, turn) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.give_back(&lease).await;
                return Err(error);
            }
        };
        let ended = turn.drive(pass.connect(expected_address, settings)).await;
        self.give_back(&lease).await;
        self.end(turn, &ended).await;
        ended.result?.map_err(HostError::Refused)
    }

    /// One pass. What its end means for the connection is stored.
    pub async fn run(&self, id: &ConnectionId, trigger: Trigger) -> Result<Ran, HostError> {
        self.run_recorded(id, trigger, None).await?.0
    }

    /// One pass as [`run`](Self::run), with its trace of at most so many bytes (T05).
    ///
    /// # Errors
    ///
    /// When no pass was begun. How one ended that was begun is in what is returned.
    pub async fn record(
        &self,
        id: &ConnectionId,
        trigger: Trigger,
        limit: usize,
    ) -> Result<(Result<Ran, HostError>, Result<Trace, TooLarge>), HostError> {
        let (ran, trace) = self.run_recorded(id, trigger, Some(limit)).await?;
        Ok((ran, trace.unwrap_or(Err(TooLarge { limit }))))
    }

    async fn run_recorded(
        &self,
        id: &ConnectionId,
        trigger: Trigger,
        limit: Option<usize>,
    ) -> Result<(Result<Ran, HostError>, Option<Result<Trace, TooLarge>>), HostError> {
        let span = spans::pass(&trigger);
        self.pass(id, trigger, limit).instrument(span).await
    }

    async fn pass(
        &self,
        id: &ConnectionId,
        trigger: Trigger,
        limit: Option<usize>,
    ) -> Result<(Result<Ran, HostError>, Option<Result<Trace, TooLarge>>), HostError> {
        let lease = self.lease(id).await?;
        // Entered before the status is read: a disconnect either shows in it or stops the pass.
        let stopped = self.running.enter(id);
        let begun = async {
            let connection = self.active(id).await?;
            let began = Began::of(&connection, &trigger, self.parts.clock.now());
            let settings = self.settings_of(&connection).await?;
            let call = Call::Run {
                trigger: trigger.clone(),
                settings: settings.clone(),
            };
            let (pass, turn) = self.turn_of(connection.scope, lease.clone(), call, limit).await?;
            Ok((pass, turn, settings, began))
        };
        let (pass, turn, settings, began) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                self.give_back(&lease).await;
                return Err(error);
            }
        };
        let ended = tokio::select! {
            ended = turn.drive(pass.run(trigger, settings)) => ended,
            // Dropping the pass ends it wherever it is (S06).
            () = stopped.wait() => return Err(HostError::Refused(Problem::NotConnected)),
        };
        spans::ended(&ended.result);
        self.give_back(&lease).await;
        let noted = self.note(id, &began, &ended).await;
        let trace = self.end(turn, &ended).await;
        noted?;
        let usage = ended.usage;
        let ran = ended.result.map(|report| Ran { report, usage });
        Ok((ran.map_err(HostError::from), trace))
    }

    /// Compares the mailbox with the ledger (T03), as they are; [`check`](Self::check) brings them up to
    /// date first.
    pub async fn audit(&self, id: &ConnectionId, mode: AuditMode) -> Result<AuditReport, HostError> {
        let lease = self.lease(id).await?;
        // As in a pass: a disconnect either shows in the status or stops the audit.
        let stopped = self.running.enter(id);
        let begun = async {
            let connection = self.active(id).await?;
            let settings = self.settings_of(&connection).await?;
            Ok((connection.scope, settings))
        };
        let (scope, settings) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                self.give_back(&lease).await;
                return Err(error);
            }
        };
        let call = Call::Audit {
            mode,
            settings: settings.clone(),
        };
        let (pass, turn) = self.turn(scope, lease.clone(), call).await?;
        let ended = tokio::select! {
            ended = turn.drive(pass.audit(mode, settings)) => ended,
            () = stopped.wait() => return Err(HostError::Refused(Problem::NotConnected)),
        };
        self.give_back(&lease).await;
        self.end(turn, &ended).await;
        ended.result?.map_err(HostError::Refused)
    }

    /// Takes in a mail of `size` bytes that came to the connection's BCC address (S18), `received_at` in ms
    /// since the epoch. Idempotent: what became of it stays so, however often it comes. Not recorded.
    pub async fn ingest(
        &self,
        id: &ConnectionId,
        recipient: String,
        raw: Body,
        size: u64,
        received_at: u64,
    ) -> Result<Outcome, HostError> {
        let lease = self.lease(id).await?;
        // As in a pass: a disconnect either shows in the status or stops it.
        let stopped = self.running.enter(id);
        let begun = async {
            let connection = self.active(id).await?;
            let settings = self.settings_of(&connection).await?;
            Ok((self.unrecorded(connection.scope, lease.clone()).await?, settings))
        };
        let (pass, settings) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                self.give_back(&lease).await;
                return Err(error);
            }
        };
        let ended = tokio::select! {
            ended = Box::pin(pass.ingest(recipient, raw, size, received_at, settings)) => ended,
            () = stopped.wait() => return Err(HostError::Refused(Problem::NotConnected)),
        };
        self.give_back(&lease).await;
        self.parts.quota.keep().await;
        ended.result?.map_err(HostError::Refused)
    }

    /// Says which rule decided (T02). Needs no lease: it writes nothing.
    pub async fn explain(&self, id: &ConnectionId, subject: Subject) -> Result<Vec<Explanation>, HostError> {
        let connection = self.known(id).await?;
        self.explain_with(connection, subject).await
    }

    /// What the component says where a connection has these settings.
    async fn explain_with(
        &self,
        connection: Connection,
        subject: Subject,
    ) -> Result<Vec<Explanation>, HostError> {
        let settings = self.settings_of(&connection).await?;
        // No lease was ever given this fence: nothing can be written.
        let lease = Lease {
            connection: connection.scope.connection.clone(),
            fence: 0,
        };
        let call = Call::Explain {
            subject: subject.clone(),
            settings: settings.clone(),
        };
        let (pass, turn) = self.turn(connection.scope, lease, call).await?;
        let ended = turn.drive(pass.explain(subject, settings)).await;
        self.end(turn, &ended).await;
        ended.result?.map_err(HostError::Refused)
    }

    /// Ends a connection (S06): a pass under way stops at once and none starts from here on, and the contacts
    /// it keeps are free (S31), whatever happens to the grant.
    pub async fn disconnect(&self, id: &ConnectionId) -> Result<(), HostError> {
        let connection = self
            .change(id, |connection| {
                connection.status = ConnectionStatus::Disconnected;
                connection.next_run_at = None;
                connection.problem = None;
            })
            .await?;
        self.running.stop(id);
        self.parts.sharing.leave(&connection.scope).await?;
        let lease = self.seize_lease(id).await?;
        let (pass, turn) = self
            .turn(connection.scope, lease.clone(), Call::Disconnect)
            .await?;
        let ended = turn.drive(pass.disconnect()).await;
        self.give_back(&lease).await;
        self.end(turn, &ended).await;
        ended.result?.map_err(HostError::Refused)?;
        // The plugin gives the grant up; a plugin that does not changes nothing about it.
        Ok(self.parts.vault.release(id).await?)
    }

    /// Finishes the disconnects that a host did not live to finish: frees the contacts that connections keep
    /// which were ended (S31), and gives up what is left of their grants (S06); how many grants there were. For a
    /// platform, when it starts. What cannot be done now is logged and left for the next time.
    pub async fn finish_disconnects(&self) -> Result<usize, HostError> {
        let mut finished = 0;
        for connection in self.parts.registry.list().await? {
            if connection.status != ConnectionStatus::Disconnected {
                continue;
            }
            let id = &connection.scope.connection;
            let ended = match self.parts.vault.grant(id).await {
                Ok(_) => self.disconnect(id).await.map(|()| finished += 1),
                Err(_) => self.forget(&connection.scope).await,
            };
            if let Err(error) = ended {
                tracing::warn!(connection = %id, %error, "a disconnect is still not finished");
            }
        }
        Ok(finished)
    }

    /// Gives up what is left of a connection whose grant is gone.
    async fn forget(&self, scope: &Scope) -> Result<(), HostError> {
        let left = self.parts.sharing.leave(scope).await;
        // What is shared may be out of reach, and the grant goes all the same.
        let released = self.parts.vault.release(&scope.connection).await;
        left?;
        Ok(released?)
    }

    /// Gives all connections that were not ended these settings, JSON, from their next pass on, beside what
    /// their users have ticked and listed; how many had others. For a platform whose settings are its configuration's,
    /// when it starts.
    pub async fn set_settings(&self, settings: &str) -> Result<usize, HostError> {
        let offers = self.offers().await;
        let of = |connection: &Connection| {
            let ticked = Choices::of(&offers, &connection.settings).in_settings(&offers, settings);
            Privacy::of(&connection.settings)
                .beside(settings)
                .in_settings(&ticked)
        };
        let mut changed = 0;
        for connection in self.parts.registry.list().await? {
            if connection.status == ConnectionStatus::Disconnected || connection.settings == of(&connection) {
                continue;
            }
            self.change(&connection.scope.connection, |connection| {
                connection.settings = of(connection);
            })
            .await?;
            changed += 1;
        }
        Ok(changed)
    }

    /// What the user of a connection can tick: settings of the component that runs, each with its scope.
    pub async fn offers(&self) -> Vec<OptionalScope> {
        let chosen = self.parts.plugins.chosen().await;
        chosen.current.manifest().optional_scopes.clone()
    }

    /// Changes what is ticked for a connection, from its next pass on. Whether the grant allows it is the
    /// caller's to know; see [`Accounts::choose`](crate::accounts::Accounts::choose).
    pub async fn choose(&self, id: &ConnectionId, choices: &Choices) -> Result<Connection, HostError> {
        let offers = self.offers().await;
        self.change(id, |connection| {
            connection.settings = choices.in_settings(&offers, &connection.settings);
        })
        .await
    }

    /// The settings of a connection with what its host adds to them: its BCC address, if the component knows
    /// such a thing.
    async fn settings_of(&self, connection: &Connection) -> Result<String, HostError> {
        let chosen = self.parts.plugins.chosen().await;
        let schema = &chosen.current.manifest().settings_schema;
        // A version that was rolled back to may know less.
        let settings = if knows_setting(schema, ASSIGNED_USERS_CHOSEN) {
            connection.settings.clone()
        } else {
            AssignedUsers::as_set(&connection.settings)
        };
        match &self.parts.bcc_addresses {
            Some(addresses) if knows_setting(schema, BCC_ADDRESS) => {
                let address = addresses.of(&connection.scope.connection).await?;
                Ok(with_setting(&settings, BCC_ADDRESS, address.into()))
            }
            _ => Ok(settings),
        }
    }

    /// Changes a connection's record as it is now, whoever writes it at the same time.
    async fn change(
        &self,
        id: &ConnectionId,
        change: impl Fn(&mut Connection),
    ) -> Result<Connection, HostError> {
        loop {
            let mut connection = self.known(id).await?;
            let before = connection.clone();
            change(&mut connection);
            if connection == before || self.put(&mut connection).await? == Put::Written {
                return Ok(connection);
            }
        }
    }

    async fn put(&self, connection: &mut Connection) -> Result<Put, HostError> {
        let put = self.parts.registry.put(connection).await?;
        connection.revision += u64::from(put == Put::Written);
        Ok(put)
    }

    async fn known(&self, id: &ConnectionId) -> Result<Connection, HostError> {
        let found = self.parts.registry.find(id).await?;
        found.ok_or_else(|| HostError::UnknownConnection(id.clone()))
    }

    async fn active(&self, id: &ConnectionId) -> Result<Connection, HostError> {
        let connection = self.known(id).await?;
        match connection.status {
            ConnectionStatus::Disconnected | ConnectionStatus::Connecting => {
                Err(HostError::Refused(Problem::NotConnected))
            }
            ConnectionStatus::Active | ConnectionStatus::NeedsReconnect => Ok(connection),
        }
    }

    async fn lease(&self, id: &ConnectionId) -> Result<Lease, HostError> {
        let now = self.parts.clock.now();
        let until = now + self.lease_length();
        self.parts
            .store
            .acquire(id, now, until)
            .await?
            .ok_or(HostError::Busy)
    }

    /// Takes the lease from whoever holds it, in this process or another: a pass that goes on there is
    /// fenced.
    async fn seize_lease(&self, id: &ConnectionId) -> Result<Lease, HostError> {
        let until = self.parts.clock.now() + self.lease_length();
        let lease = self.parts.store.acquire(id, u64::MAX >> 1, until).await?;
        lease.ok_or(HostError::Busy)
    }

    fn lease_length(&self) -> u64 {
        let length = self.parts.limits.wall + LEASE_MARGIN;
        u64::try_from(length.as_millis()).unwrap_or(u64::MAX >> 2)
    }

    async fn give_back(&self, lease: &Lease) {
        if let Err(error) = self.parts.store.release(lease).await {
            tracing::warn!(connection = %lease.connection, %error, "the lease was not given back; it expires");
        }
    }

    async fn note(&self, id: &ConnectionId, began: &Began, ended: &Ended<Report>) -> Result<(), HostError> {
        let now = self.parts.clock.now();
        self.change(id, |connection| {
            note(connection, &ended.result, now);
            connection.standing = standing(&connection.standing, ended);
            if let Ok(report) = &ended.result
                && report.problem.is_none()
            {
                connection
                    .announced
                    .looked(&began.announced, began.found(report), now);
            }
        })
        .await
        .map(drop)
    }
}
