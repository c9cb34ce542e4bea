//! What the pages need of the host to connect a mailbox.

use std::collections::HashMap;

use async_trait::async_trait;
use url::Url;

use crate::{
    accounts::Chosen,
    audit::AuditStanding,
    choices::{Choices, Wanted},
    clock::{Clock, SystemClock},
    contract::{Explanation, OptionalScope, PreviewRange, Problem, Subject, Trigger},
    deliverability::{Question, Report},
    privacy::Privacy,
    problem::{Described, describe},
    quota,
    sandbox::Limits,
    scope::{ConnectionId, TenantId, UserId},
    store::Connection,
    vault::{Callback, Lasting},
};

/// Why something could not be done, as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{happened} {advice} [{code}]")]
pub struct Trouble {
    /// Stable, in kebab case.
    pub code: &'static str,
    /// What happened, one sentence.
    pub happened: String,
    /// What to do, one sentence.
    pub advice: String,
}

impl Trouble {
    /// A trouble in words of one's own.
    pub fn new(code: &'static str, happened: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code,
            happened: happened.into(),
            advice: advice.into(),
        }
    }
}

impl From<Described> for Trouble {
    fn from(described: Described) -> Self {
        Self {
            code: described.code,
            happened: described.happened,
            advice: described.advice,
        }
    }
}

impl From<&Problem> for Trouble {
    fn from(problem: &Problem) -> Self {
        describe(problem).into()
    }
}

/// Links to mailboxes, as the pages use them. The host implements it over its vault, registry and
/// schedule.
#[async_trait]
pub trait Connections: Send + Sync {
    /// The tenant's connections, of all its users, ended ones included.
    async fn list(&self, tenant: &TenantId) -> Result<Vec<Connection>, Trouble>;

    /// Sets the lists of a connection, from its next pass on (T06).
    async fn set_privacy(&self, connection: &ConnectionId, privacy: &Privacy) -> Result<(), Trouble>;

    /// Begins to take out what the rules no longer allow (T06); it goes on by itself.
    fn retract(&self, connection: &ConnectionId);

    /// Begins an audit that brings in what is missing (T03); it goes on by itself. Nothing, unless this is implemented.
    fn audit(&self, _connection: &ConnectionId) {}

    /// Name and version of the component at work; not known unless this is implemented.
    async fn component(&self) -> String {
        "unknown".to_owned()
    }

    /// What a pass of a connection may use; not known unless this is implemented.
    async fn limits(&self) -> Option<Limits> {
        None
    }

    /// How a connection stands with the provider's quota, where that is counted.
    fn quota(&self, _connection: &Connection) -> Option<quota::Used> {
        None
    }

    /// Why mail is here or is not (T02); nothing is known of it unless this is implemented.
    async fn explain(
        &self,
        _connection: &ConnectionId,
        _subject: Subject,
    ) -> Result<Vec<Explanation>, Trouble> {
        Ok(Vec::new())
    }

    /// A dry run over a mailbox's newest mail (T06); it finds nothing unless this is implemented.
    async fn preview(
        &self,
        _connection: &ConnectionId,
        _range: PreviewRange,
    ) -> Result<Vec<Explanation>, Trouble> {
        Ok(Vec::new())
    }

    /// What a sending domain publishes, judged (T08).
    async fn check_domain(&self, _question: &Question) -> Result<Report, Trouble> {
        Err(Trouble::new(
            "domain",
            "Domains cannot be looked up here.",
            "Ask whoever runs this server.",
        ))
    }

    /// How long the grant of a connection lasts; nothing is known of it unless this is implemented.
    async fn lasting(&self, _connection: &ConnectionId) -> Lasting {
        Lasting::default()
    }

    /// Begins a consent and answers the provider's page to send the browser to. Only the browser
    /// session `session` can finish it.
    async fn begin(
        &self,
        tenant: &TenantId,
        user: &UserId,
        session: &str,
        wanted: Wanted,
    ) -> Result<Url, Trouble>;

    /// What the user can tick; nothing, unless this is implemented.
    async fn offers(&self) -> Vec<OptionalScope> {
        Vec::new()
    }

    /// Changes what is ticked for a connection, as far as its grant allows.
    async fn choose(&self, _connection: &ConnectionId, _choices: &Choices) -> Result<Chosen, Trouble> {
        Ok(Chosen::ConsentNeeded)
    }

    /// The BCC address of a connection (S18); none, unless the host has such addresses.
    async fn bcc_address(&self, _connection: &ConnectionId) -> Result<Option<String>, Trouble> {
        Ok(None)
    }

    /// Gives a connection another BCC address; the one before is refused from now on.
    async fn rotate_bcc_address(&self, _connection: &ConnectionId) -> Result<(), Trouble> {
        Ok(())
    }

    /// Finishes a consent. On a refusal (S02, S03) nothing half-connected remains.
    async fn finish(&self, state: &str, session: &str, callback: Callback) -> Result<Connection, Trouble>;

    /// Ends a connection (S06). Idempotent.
    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), Trouble>;

    /// What is known from audits of the tenant's connections (T03); nothing, unless they are kept.
    async fn audits(&self, _tenant: &TenantId) -> Result<HashMap<ConnectionId, AuditStanding>, Trouble> {
        Ok(HashMap::new())
    }

    /// Now, ms since the epoch.
    fn now(&self) -> u64 {
        SystemClock.now()
    }

    /// Asks for a pass soon.
    fn wake(&self, connection: &ConnectionId, why: Trigger);
}
