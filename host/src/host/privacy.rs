//! What people keep out of the CRM, and what follows from it (T06).

use std::time::Duration;

use super::{Host, HostError};
use crate::{
    contract::{Explanation, PreviewRange, Problem, Subject, Trigger},
    privacy::Privacy,
    scope::{ConnectionId, Scope},
    store::{Connection, ConnectionStatus},
};

/// Passes of one retract at most: 200 messages each.
const MOST_PASSES: u32 = 5_000;

impl Host {
    /// Sets the lists of a connection, from its next pass on. What is there already stays until it is
    /// [retracted](Self::retract).
    ///
    /// # Errors
    ///
    /// [`Problem::SettingsInvalid`] when the component does not understand an entry: nothing has changed.
    pub async fn set_privacy(&self, id: &ConnectionId, privacy: &Privacy) -> Result<Connection, HostError> {
        let settings = privacy.in_settings(&self.known(id).await?.settings);
        self.check_settings(settings).await?;
        self.change(id, |connection| {
            connection.settings = privacy.in_settings(&connection.settings);
        })
        .await
    }

    /// A dry run: what the rules would make of the mailbox's newest mail if it came now, with these lists or with the
    /// connection's own. Headers alone are read, nothing is written.
    pub async fn preview(
        &self,
        id: &ConnectionId,
        range: PreviewRange,
        privacy: Option<&Privacy>,
    ) -> Result<Vec<Explanation>, HostError> {
        let mut connection = self.known(id).await?;
        if let Some(privacy) = privacy {
            connection.settings = privacy.in_settings(&connection.settings);
        }
        self.explain_with(connection, Subject::Preview(range)).await
    }

    /// Takes out of the CRM what the rules no longer allow; how many messages. A pass that is under way is waited for
    /// so long. What an interruption leaves undone, later passes do.
    pub async fn retract(&self, id: &ConnectionId, patience: Duration) -> Result<u32, HostError> {
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX >> 1);
        let until = self.parts.clock.now().saturating_add(milliseconds);
        let mut retracted = 0;
        let mut trigger = Trigger::Retract;
        for _ in 0..MOST_PASSES {
            let ran = self.patiently(until, || self.run(id, trigger.clone())).await?;
            retracted += ran.report.counts.retracted;
            if let Some(problem) = ran.report.problem {
                return Err(HostError::Refused(problem));
            }
            if ran.report.next.is_none_or(|next| next > self.parts.clock.now()) {
                break;
            }
            trigger = Trigger::Manual;
        }
        Ok(retracted)
    }

    /// The settings of a connection that begins or begins again: with the lists that its user has in this tenant, and
    /// the addresses of the other mailboxes they have or had there.
    pub(super) async fn with_lists(&self, scope: &Scope, settings: &str) -> Result<String, HostError> {
        let mut lists = Privacy::default();
        let known = self.of_user(scope).await?;
        if let Some(latest) = known.last() {
            lists = Privacy::of(&latest.settings);
        }
        for other in known.iter().filter(|other| other.scope.account != scope.account) {
            lists = lists.owning(&other.address);
        }
        Ok(lists.beside(settings).in_settings(settings))
    }

    /// The user's other mailboxes in this tenant learn that this one is the user's too.
    pub(super) async fn introduce(&self, connection: &Connection) -> Result<(), HostError> {
        for other in self.of_user(&connection.scope).await? {
            if other.scope.account == connection.scope.account
                || other.status == ConnectionStatus::Disconnected
            {
                continue;
            }
            self.change(&other.scope.connection, |other| {
                let lists = Privacy::of(&other.settings).owning(&connection.address);
                other.settings = lists.in_settings(&other.settings);
            })
            .await?;
        }
        Ok(())
    }

    /// All connections that a user ever had in a tenant, this one last, the latest before it.
    async fn of_user(&self, scope: &Scope) -> Result<Vec<Connection>, HostError> {
        let mut connections = self.parts.registry.list().await?;
        connections.retain(|known| known.scope.tenant == scope.tenant && known.scope.user == scope.user);
        connections.sort_by_key(|known| (known.scope.connection == scope.connection, known.created_at));
        Ok(connections)
    }

    async fn check_settings(&self, settings: String) -> Result<(), HostError> {
        let chosen = self.parts.plugins.chosen().await;
        let checked = chosen.current.idle_pass().validate_settings(settings).await;
        checked.result?.map_err(|errors| {
            let texts: Vec<String> = errors
                .iter()
                .map(|error| format!("{} {}", error.pointer, error.message))
                .collect();
            HostError::Refused(Problem::SettingsInvalid(texts.join("; ")))
        })
    }
}
