//! How it moves. One call of the component is one [`Pass`] over one connection: it loads the
//! connection's row, does bounded work, and commits what became of each message together with the
//! cursor, so that a crash at any point repeats work but never loses or doubles any.

mod aliases;
mod audit;
mod carry;
mod changes;
mod claims;
mod connect;
mod contacts;
mod deliver;
mod disconnect;
mod explain;
mod gap;
mod ingest;
mod matching;
mod message;
mod pull;
mod reflag;
mod retract;
mod retry;
mod run;
mod send;
mod sending;
mod sharing;
mod watch;

pub use audit::audit;
pub use connect::connect;
pub use disconnect::disconnect;
pub use explain::explain;
pub use ingest::{Mail, ingest};
pub use run::run;

use std::{
    cell::{Cell, OnceCell},
    collections::BTreeSet,
};

use crate::{
    contract::{
        Change, Counts, CrmError, Expectation, Features, Field, Flags, Level, MessageUpdate, Problem,
    },
    gmail::{Gmail, GmailError},
    ledger::{self, CONNECTION, ConnectionRow, ConnectionState, Delivered},
    mail::{Envelope, Sanitiser},
    mutation::Mutation,
    ports::Host,
    rules::{Own, Privacy, Rule, s18_bcc_address},
    settings::Settings,
};

/// These texts as a set, one by one: collecting would sort them first, which is several KiB of code for each type.
pub(crate) fn set_of<'t>(texts: impl Iterator<Item = &'t str>) -> BTreeSet<&'t str> {
    let mut set = BTreeSet::new();
    for text in texts {
        set.insert(text);
    }
    set
}

/// Everything one call works with.
pub(crate) struct Pass<'h, H> {
    pub(crate) host: &'h H,
    pub(crate) gmail: Gmail<'h, H>,
    pub(crate) settings: Settings,
    pub(crate) connection: ConnectionRow,
    pub(crate) counts: Cell<Counts>,
    features: OnceCell<Features>,
    sanitiser: OnceCell<Sanitiser>,
    version: u64,
}

/// Why a pass ends before all is done. The cursor stays where it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stop {
    pub(crate) problem: Problem,
    /// When to come back, ms since the epoch; `None`: as the schedule says.
    pub(crate) retry_at: Option<u64>,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        let retry_at = match problem {
            Problem::RateLimited(until) => Some(until),
            _ => None,
        };
        Self { problem, retry_at }
    }
}

impl From<GmailError> for Stop {
    fn from(error: GmailError) -> Self {
        error.into_problem().into()
    }
}

impl From<CrmError> for Stop {
    fn from(error: CrmError) -> Self {
        crm_problem(error).into()
    }
}

/// A CRM's failure in the words people are shown. Waiting for the CRM is told by [`Stop::retry_at`].
pub(crate) fn crm_problem(error: CrmError) -> Problem {
    match error {
        CrmError::RateLimited(until) => Problem::RateLimited(until),
        CrmError::Unavailable(message) | CrmError::Other(message) => Problem::CrmUnavailable(message),
        CrmError::Refused(message) => Problem::CrmUnavailable(format!("refused: {message}")),
        CrmError::NotFound => Problem::CrmUnavailable("not found".to_owned()),
        CrmError::Unsupported => Problem::CrmUnavailable("not supported".to_owned()),
    }
}

/// News for the CRM of the message with this key; absent flags are unchanged ones.
pub(crate) fn update(key: String, flags: Option<Flags>) -> MessageUpdate {
    MessageUpdate {
        key,
        flags,
        deleted: false,
        released: false,
        retracted: None,
        undelivered: Vec::new(),
    }
}

/// News for the CRM of a message that a rule no longer allows there (T06).
pub(crate) fn retraction(key: String) -> MessageUpdate {
    MessageUpdate {
        retracted: Some(Rule::T06.name().to_owned()),
        ..update(key, None)
    }
}

/// News for the CRM of a message whose contact another tenant keeps (S31).
pub(crate) fn release(key: String) -> MessageUpdate {
    MessageUpdate {
        released: true,
        ..update(key, None)
    }
}

/// What the CRM is told of a message that this rule keeps out, as it may be there: put by a pass that died when the rules
/// were others, or the contact was nobody's.
pub(crate) fn correction(rule: Rule) -> Option<fn(String) -> MessageUpdate> {
    match rule {
        Rule::T06 => Some(retraction),
        Rule::S31 => Some(release),
        _ => None,
    }
}

/// News for the CRM of a message that left the mailbox for good.
pub(crate) fn deletion(key: String) -> MessageUpdate {
    MessageUpdate {
        deleted: true,
        ..update(key, None)
    }
}

pub(crate) type Step<T = ()> = Result<T, Stop>;

/// No counts yet.
pub(crate) const NOTHING: Counts = Counts {
    seen: 0,
    delivered: 0,
    excluded: 0,
    gone: 0,
    quarantined: 0,
    sent: 0,
    unsent: 0,
    updates_in: 0,
    updates_out: 0,
    retracted: 0,
    requests: 0,
    units: 0,
};

impl<'h, H: Host> Pass<'h, H> {
    /// Loads the connection.
    pub(crate) async fn load(host: &'h H, settings: Settings) -> Result<Self, Problem> {
        let Some((connection, version)) = ledger::read::<ConnectionRow>(host, CONNECTION).await? else {
            return Err(Problem::NotConnected);
        };
        if connection.state != ConnectionState::Active {
            return Err(Problem::NotConnected);
        }
        Ok(Self {
            host,
            gmail: Gmail::new(host, settings.quota_table),
            settings,
            connection,
            counts: Cell::new(NOTHING),
            features: OnceCell::new(),
            sanitiser: OnceCell::new(),
            version,
        })
    }

    /// Commits rows, if the connection is as this pass knows it.
    pub(crate) async fn commit(&self, changes: Vec<Change>) -> Result<(), Problem> {
        let expectation = Expectation {
            key: CONNECTION.to_owned(),
            version: Some(self.version),
        };
        ledger::commit(self.host, vec![expectation], changes).await
    }

    /// Commits rows together with the connection's row: the cursor moves with the ledger (T01).
    pub(crate) async fn commit_connection(
        &mut self,
        connection: ConnectionRow,
        mut changes: Vec<Change>,
    ) -> Result<(), Problem> {
        if connection == self.connection {
            return self.commit(changes).await;
        }
        changes.push(ledger::put(CONNECTION.to_owned(), &connection)?);
        self.commit(changes).await?;
        let stored = ledger::read::<ConnectionRow>(self.host, CONNECTION).await?;
        self.version = stored.ok_or(Problem::Superseded)?.1;
        self.connection = connection;
        Ok(())
    }

    /// Mail accepted before this time stays out (S04), ms since the epoch.
    pub(crate) fn since(&self) -> u64 {
        if self.settings.has(Mutation::PastMailTaken) {
            return 0;
        }
        self.connection.since
    }

    /// The user's own addresses, as they are known now.
    pub(crate) fn own(&self) -> Own {
        let aliases = self.connection.aliases.iter().flat_map(|known| &known.addresses);
        let aliases = aliases.filter(|_| !self.settings.has(Mutation::AliasTakenForContact));
        let others = aliases.chain(&self.settings.own_addresses);
        Own::of(
            std::iter::once(&self.connection.address)
                .chain(others)
                .map(String::as_str),
        )
    }

    /// What people want to keep out (T06).
    pub(crate) fn privacy(&self) -> Privacy {
        Privacy::of(&self.settings, &self.connection.address)
    }

    pub(crate) fn features(&self) -> &Features {
        self.features.get_or_init(|| self.host.supported())
    }

    pub(crate) fn sanitiser(&self) -> &Sanitiser {
        self.sanitiser.get_or_init(Sanitiser::new)
    }

    /// Takes BCC addresses out of the lists of recipients (S18).
    pub(crate) fn hide(&self, envelope: &mut Envelope) {
        s18_bcc_address::hide(envelope, self.settings.bcc_address.as_deref());
    }

    /// Counts something.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// The idempotency key of a message: the same mail in the same mailbox has the same for ever.
    pub(crate) fn message_key(&self, id: &str) -> String {
        format!("gmail/{}/{id}", self.connection.address)
    }

    /// The key of a thread.
    pub(crate) fn thread_key(&self, id: &str) -> String {
        self.message_key(id)
    }

    /// The key under which the CRM has a delivered message.
    pub(crate) fn key_of(&self, id: &str, delivered: &Delivered) -> String {
        let other = delivered.key.clone();
        other.unwrap_or_else(|| self.message_key(id))
    }

    /// The provider's id in a key, if it is of the mailbox that is connected now (S05).
    pub(crate) fn id_in<'k>(&self, key: &'k str) -> Option<&'k str> {
        let (mailbox, id) = key.strip_prefix("gmail/")?.rsplit_once('/')?;
        (mailbox == self.connection.address).then_some(id)
    }

    /// Tells the CRM, if it takes changes at all; how many it was told.
    pub(crate) async fn tell_crm(&self, updates: Vec<MessageUpdate>) -> Step<u32> {
        if updates.is_empty() || !self.features().edit_after_log {
            return Ok(0);
        }
        let number = u32::try_from(updates.len()).unwrap_or(u32::MAX);
        self.host.update_messages(updates).await?;
        Ok(number)
    }

    pub(crate) fn warn(&self, message: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|&(name, value)| Field {
            name: name.to_owned(),
            value: value.to_owned(),
        });
        self.host.write(Level::Warning, message, fields.collect());
    }
}
