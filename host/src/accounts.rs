//! From consent to connection and back: the vault's flow and the host's calls in the order that leaves
//! nothing half-connected.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    audit::AuditStanding,
    choices::{Choices, Wanted},
    contract::{AuditMode, Explanation, OptionalScope, PreviewRange, Problem, Subject, Trigger},
    deliverability::{self, NameServers, Question, Report},
    host::{Host, HostError},
    privacy::Privacy,
    quota,
    sandbox::Limits,
    schedule::Schedule,
    scope::{ConnectionId, Scope, TenantId, UserId},
    store::{Connection, ConnectionStatus},
    vault::{Begin, Callback, Consent, ConsentError, Lasting, OAuthVault, Vault, VaultError},
    web::{Connections, Trouble},
};

/// How long a retract waits for passes that are under way.
const RETRACT_WITHIN: Duration = Duration::from_mins(10);
/// How long an audit waits for a pass that is under way: longer than one may take.
const AUDIT_WITHIN: Duration = Duration::from_mins(12);

/// The longest that a consent takes to become a connection, ms: a pass and all that it may wait for, many times over.
const LONGEST_CONNECT: u64 = 3_600_000;

/// What had been cut short and is finished now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutShort {
    /// Disconnects.
    pub disconnects: usize,
    /// Consents that became no connection: their grants are given back.
    pub consents: usize,
    /// Changes of the mailbox: the former one is released.
    pub changes: usize,
}

/// Connects mailboxes of users.
#[derive(Clone)]
pub struct Accounts {
    host: Host,
    vault: OAuthVault,
    settings: String,
}

/// Why a mailbox was not connected. Nothing of it remains.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Consent was not given, or not as it is needed (S02, S03).
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The grant could not be stored.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The plugin or the host refused.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl ConnectError {
    /// In the words people are shown.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Consent(ConsentError::ScopeMissing(scopes)) => Problem::ScopeMissing(scopes.clone()),
            Self::Consent(ConsentError::WrongMailbox(mismatch)) => Problem::WrongMailbox(mismatch.clone()),
            Self::Consent(error) => Problem::Other(error.to_string()),
            Self::Vault(error) => Problem::ProviderUnavailable(error.to_string()),
            Self::Host(error) => error.problem(),
        }
    }
}

/// What comes back with a consent.
#[derive(Serialize, Deserialize)]
struct Asked {
    tenant: TenantId,
    user: UserId,
    wanted: Wanted,
}

/// What became of a change of choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// It holds from the next pass on.
    Done,
    /// The user has to consent to it first; nothing has changed.
    ConsentNeeded,
}

impl Accounts {
    /// Accounts of a host and its vault; `settings` are the plugin's, for new connections.
    pub fn new(host: Host, vault: OAuthVault, settings: String) -> Self {
        Self {
            host,
            vault,
            settings,
        }
    }

    /// The consent page to send the browser to. `session` is what only this browser has.
    pub async fn begin(
        &self,
        tenant: &TenantId,
        user: &UserId,
        session: &str,
        wanted: Wanted,
    ) -> Result<Url, ConnectError> {
        let expected_address = wanted.address.clone();
        let scopes = wanted.choices.scopes(&self.offers().await);
        let asked = Asked {
            tenant: tenant.clone(),
            user: user.clone(),
            wanted,
        };
        let data =
            serde_json::to_string(&asked).map_err(|error| VaultError::Unavailable(error.to_string()))?;
        let begin = Begin {
            session: session.to_owned(),
            expected_address,
            scopes,
            data,
        };
        Ok(self.vault.begin(begin).await?.url)
    }

    /// What the consent page sent the browser back with: a connection that syncs, or nothing. A user has
    /// one mailbox: another one they had connected ends, and what came by it stays (S05).
    pub async fn finish(
        &self,
        state: &str,
        session: &str,
        callback: Callback,
    ) -> Result<Connection, ConnectError> {
        let Consent { data, grant, tokens } = self.vault.finish(state, session, callback).await?;
        let asked: Asked =
            serde_json::from_str(&data).map_err(|error| VaultError::Unavailable(error.to_string()))?;
        let before = self.connections_of(&asked).await?;
        let known = before
            .iter()
            .find(|connection| connection.scope.account == grant.subject);
        let id = known.map_or_else(new_id, |connection| connection.scope.connection.clone());
        self.vault.adopt(&id, tokens).await?;
        let scope = Scope {
            tenant: asked.tenant,
            user: asked.user,
            connection: id.clone(),
            account: grant.subject,
        };
        let Wanted { address, choices } = asked.wanted;
        let settings = choices.in_settings(&self.offers().await, &self.settings);
        let connected = self.host.connect(scope, address, settings).await?;
        for other in before
            .iter()
            .map(|connection| &connection.scope.connection)
            .filter(|other| **other != id)
        {
            // The new mailbox is connected whatever becomes of the old one's grant; its passes have ended.
            if let Err(error) = self.host.disconnect(other).await {
                tracing::warn!(connection = %other, %error, "the former mailbox was not released");
            }
        }
        Ok(connected)
    }

    /// Finishes what a process did not live to finish: disconnects (S06), grants of consents that became no connection,
    /// and the former mailbox of a user who changed to another (S05). For a platform, when it starts and from time to time,
    /// whose vault serves this registry alone: a grant without a connection there is taken for nobody's.
    /// What cannot be done now is logged and left for the next time.
    pub async fn finish_what_was_cut_short(&self) -> Result<CutShort, ConnectError> {
        let disconnects = self.host.finish_disconnects().await?;
        let connections = self.host.parts().registry.list().await.map_err(HostError::from)?;
        let before = self.host.parts().clock.now().saturating_sub(LONGEST_CONNECT);
        Ok(CutShort {
            disconnects,
            consents: self.release_unclaimed(&connections, before).await?,
            changes: self.end_former(&connections, before).await?,
        })
    }

    /// Gives back the grants from before then that are no connection's; how many.
    async fn release_unclaimed(
        &self,
        connections: &[Connection],
        before: u64,
    ) -> Result<usize, ConnectError> {
        let claimed: HashSet<&ConnectionId> =
            connections.iter().map(|known| &known.scope.connection).collect();
        let mut released = 0;
        for id in self.vault.granted_before(before).await? {
            if claimed.contains(&id) {
                continue;
            }
            match self.vault.release(&id).await {
                Ok(()) => released += 1,
                Err(error) => tracing::warn!(connection = %id, %error, "a grant is still not given back"),
            }
        }
        Ok(released)
    }

    /// Ends the connections of users who had connected another mailbox before then; how many.
    async fn end_former(&self, connections: &[Connection], before: u64) -> Result<usize, ConnectError> {
        let mut latest: HashMap<(&TenantId, &UserId), (u64, &ConnectionId)> = HashMap::new();
        let is_current = |connection: &&Connection| connection.status != ConnectionStatus::Disconnected;
        for connection in connections.iter().filter(is_current) {
            let id = &connection.scope.connection;
            // Connecting again is as good as connecting.
            let consented = match self.vault.lasting(id).await {
                Err(VaultError::NoGrant) => None,
                lasting => lasting?.granted_at,
            };
            let at = consented.unwrap_or(connection.created_at);
            let user = (&connection.scope.tenant, &connection.scope.user);
            let last = latest.entry(user).or_insert((at, id));
            *last = (*last).max((at, id));
        }
        let mut ended = 0;
        for Scope {
            tenant,
            user,
            connection: id,
            ..
        } in connections
            .iter()
            .filter(is_current)
            .map(|connection| &connection.scope)
        {
            let is_former = |(at, last): &(u64, &ConnectionId)| *last != id && *at < before;
            if !latest.get(&(tenant, user)).is_some_and(is_former) {
                continue;
            }
            match self.host.disconnect(id).await {
                Ok(()) => ended += 1,
                Err(error) => {
                    tracing::warn!(connection = %id, %error, "a former mailbox is still not released");
                }
            }
        }
        Ok(ended)
    }

    /// What the user can tick.
    pub async fn offers(&self) -> Vec<OptionalScope> {
        self.host.offers().await
    }

    /// Changes what is ticked for a connection, as far as its grant allows.
    pub async fn choose(&self, id: &ConnectionId, choices: &Choices) -> Result<Chosen, ConnectError> {
        let granted = match self.host.parts().vault.grant(id).await {
            // It was ended: there is nothing to choose for.
            Err(VaultError::NoGrant) => return Err(HostError::Refused(Problem::NotConnected).into()),
            granted => granted?.scopes,
        };
        let needed = choices.scopes(&self.offers().await);
        if !needed.iter().all(|scope| granted.contains(scope)) {
            return Ok(Chosen::ConsentNeeded);
        }
        self.host.choose(id, choices).await?;
        Ok(Chosen::Done)
    }

    /// The connections of this user that were not ended. Connecting one again goes on where it stopped
    /// (S07).
    async fn connections_of(&self, asked: &Asked) -> Result<Vec<Connection>, HostError> {
        let mut connections = self.host.parts().registry.list().await?;
        connections.retain(|connection| {
            connection.scope.tenant == asked.tenant
                && connection.scope.user == asked.user
                && connection.status != ConnectionStatus::Disconnected
        });
        Ok(connections)
    }
}

/// What the pages need, over accounts and a schedule.
#[derive(Clone)]
pub struct Connected {
    accounts: Accounts,
    schedule: Arc<dyn Schedule>,
    /// What is being audited, as somebody asked for it.
    audited: Arc<Mutex<HashSet<ConnectionId>>>,
}

impl Connected {
    /// Connections made by these accounts and run by this schedule.
    pub fn new(accounts: Accounts, schedule: Arc<dyn Schedule>) -> Self {
        Self {
            accounts,
            schedule,
            audited: Arc::default(),
        }
    }
}

#[async_trait]
impl Connections for Connected {
    async fn list(&self, tenant: &TenantId) -> Result<Vec<Connection>, Trouble> {
        let listed = self.accounts.host.parts().registry.list().await;
        let mut connections = listed.map_err(|error| Trouble::from(&HostError::from(error).problem()))?;
        connections.retain(|connection| connection.scope.tenant == *tenant);
        Ok(connections)
    }

    async fn set_privacy(&self, connection: &ConnectionId, privacy: &Privacy) -> Result<(), Trouble> {
        let set = self.accounts.host.set_privacy(connection, privacy).await;
        set.map(drop).map_err(|error| Trouble::from(&error.problem()))
    }

    fn retract(&self, connection: &ConnectionId) {
        let (host, id) = (self.accounts.host.clone(), connection.clone());
        tokio::spawn(async move {
            match host.retract(&id, RETRACT_WITHIN).await {
                Ok(retracted) => tracing::info!(connection = %id, retracted, "retracted"),
                Err(error) => tracing::warn!(connection = %id, %error, "a retract did not end"),
            }
        });
    }

    fn audit(&self, connection: &ConnectionId) {
        let (host, id) = (self.accounts.host.clone(), connection.clone());
        let audited = self.audited.clone();
        let is_new = audited
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone());
        if !is_new {
            return;
        }
        tokio::spawn(async move {
            // What it found is kept with the audits of the schedule, and shown with them.
            match host.check(&id, AuditMode::Heal, AUDIT_WITHIN).await {
                Ok(report) => tracing::info!(connection = %id, healed = report.healed, "audited"),
                Err(error) => tracing::warn!(connection = %id, %error, "an audit did not end"),
            }
            audited.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }

    async fn component(&self) -> String {
        let chosen = self.accounts.host.parts().plugins.chosen().await;
        let manifest = chosen.current.manifest();
        format!("{} {}", manifest.name, manifest.version)
    }

    async fn limits(&self) -> Option<Limits> {
        let parts = self.accounts.host.parts();
        let chosen = parts.plugins.chosen().await;
        Some(parts.limits.capped_by(&chosen.current.manifest().budget))
    }

    fn quota(&self, connection: &Connection) -> Option<quota::Used> {
        self.accounts.host.parts().quota.used(&connection.scope)
    }

    async fn explain(
        &self,
        connection: &ConnectionId,
        subject: Subject,
    ) -> Result<Vec<Explanation>, Trouble> {
        let explained = self.accounts.host.explain(connection, subject).await;
        explained.map_err(|error| Trouble::from(&error.problem()))
    }

    async fn preview(
        &self,
        connection: &ConnectionId,
        range: PreviewRange,
    ) -> Result<Vec<Explanation>, Trouble> {
        let found = self.accounts.host.preview(connection, range, None).await;
        found.map_err(|error| Trouble::from(&error.problem()))
    }

    async fn check_domain(&self, question: &Question) -> Result<Report, Trouble> {
        let servers = NameServers::of_the_system().map_err(|error| {
            Trouble::new(
                "dns",
                format!("No name server can be asked: {error}."),
                "Whoever runs this server can name one in /etc/resolv.conf.",
            )
        })?;
        Ok(deliverability::check(&servers, question).await)
    }

    async fn lasting(&self, connection: &ConnectionId) -> Lasting {
        let lasting = self.accounts.host.parts().vault.lasting(connection).await;
        lasting.unwrap_or_default()
    }

    async fn begin(
        &self,
        tenant: &TenantId,
        user: &UserId,
        session: &str,
        wanted: Wanted,
    ) -> Result<Url, Trouble> {
        let page = self.accounts.begin(tenant, user, session, wanted).await;
        page.map_err(Into::into)
    }

    async fn offers(&self) -> Vec<OptionalScope> {
        self.accounts.offers().await
    }

    async fn choose(&self, connection: &ConnectionId, choices: &Choices) -> Result<Chosen, Trouble> {
        let chosen = self.accounts.choose(connection, choices).await?;
        if chosen == Chosen::Done {
            self.schedule.wake(connection, Trigger::Manual);
        }
        Ok(chosen)
    }

    async fn bcc_address(&self, connection: &ConnectionId) -> Result<Option<String>, Trouble> {
        let Some(addresses) = &self.accounts.host.parts().bcc_addresses else {
            return Ok(None);
        };
        let address = addresses.of(connection).await;
        let address = address.map_err(|error| Trouble::from(&HostError::from(error).problem()))?;
        Ok(Some(address))
    }

    async fn rotate_bcc_address(&self, connection: &ConnectionId) -> Result<(), Trouble> {
        if let Some(addresses) = &self.accounts.host.parts().bcc_addresses {
            let rotated = addresses.rotate(connection).await;
            rotated.map_err(|error| Trouble::from(&HostError::from(error).problem()))?;
        }
        Ok(())
    }

    async fn finish(&self, state: &str, session: &str, callback: Callback) -> Result<Connection, Trouble> {
        // A task of its own: a browser that goes away does not leave it half done.
        let (accounts, state, session) = (self.accounts.clone(), state.to_owned(), session.to_owned());
        let finished = tokio::spawn(async move { accounts.finish(&state, &session, callback).await });
        let connection = finished.await.map_err(|_| {
            Trouble::new(
                "failed",
                "The connection broke off.",
                "Try to connect again; if this stays, ask whoever runs this server.",
            )
        })??;
        self.schedule
            .wake(&connection.scope.connection, Trigger::Reconnected);
        Ok(connection)
    }

    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), Trouble> {
        let ended = self.accounts.host.disconnect(connection).await;
        ended.map_err(|error| Trouble::from(&error.problem()))
    }

    async fn audits(&self, tenant: &TenantId) -> Result<HashMap<ConnectionId, AuditStanding>, Trouble> {
        let own = self.list(tenant).await?;
        let known = self.accounts.host.parts().audits.standings().await;
        let mut known = known.map_err(|error| Trouble::from(&HostError::from(error).problem()))?;
        known.retain(|id, _| own.iter().any(|connection| connection.scope.connection == *id));
        Ok(known)
    }

    fn now(&self) -> u64 {
        self.accounts.host.parts().clock.now()
    }

    fn wake(&self, connection: &ConnectionId, why: Trigger) {
        self.schedule.wake(connection, why);
    }
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Consent(
                error @ (ConsentError::UnknownFlow
                | ConsentError::Declined
                | ConsentError::Refused(_)
                | ConsentError::Identity(_)
                | ConsentError::NotLasting),
            ) => Self::new(
                "consent",
                format!("The mailbox was not connected: {error}."),
                consent_advice(&error),
            ),
            other => Self::from(&other.problem()),
        }
    }
}

/// What to do where the consent came to nothing. Codes of the consent page:
/// <https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors>.
fn consent_advice(error: &ConsentError) -> &'static str {
    match error {
        ConsentError::UnknownFlow => "Start again from here, in one tab; cookies must be allowed.",
        ConsentError::Refused(code) => match code.as_str() {
            "admin_policy_enforced" => {
                "Ask the account's administrator to trust this app (Admin console, Security, API controls), then \
                 start again."
            }
            "org_internal" => {
                "The OAuth app is for accounts of its own organisation; choose one of those, or make the app external."
            }
            "invalid_grant" => {
                "The code was used before, is too old, or was given to somebody else; start again from here."
            }
            "disallowed_useragent" => "Start again in an ordinary browser.",
            _ => "Start again; if it happens again, tell the operator and give this code.",
        },
        _ => "Start again, and allow everything the page asks for.",
    }
}

fn new_id() -> ConnectionId {
    let number: u128 = rand::random();
    ConnectionId::new(format!("c{number:032x}"))
}
