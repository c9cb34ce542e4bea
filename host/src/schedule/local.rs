//! The schedule inside one process: polling with jitter, coalesced wakes.
//!
//! Nothing here must survive the process: when a connection is due stands in its registry row.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::Schedule;
use crate::{
    contract::Trigger,
    host::{Host, HostError},
    scope::ConnectionId,
    store::{Connection, ConnectionStatus},
};

/// How often connections are looked at when nothing wakes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// Time between two passes of a connection.
    pub interval: Duration,
    /// Up to so much more, by chance, so that connections do not all come at once.
    pub jitter: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            jitter: Duration::from_secs(10),
        }
    }
}

/// How long the schedule sleeps at most before it looks at the registry again: connections may be
/// made by another process.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The schedule; it ends when this is dropped.
pub struct LocalSchedule {
    wakes: mpsc::UnboundedSender<(ConnectionId, Trigger)>,
    task: AbortHandle,
}

impl LocalSchedule {
    /// Starts it for a host.
    pub fn start(host: Host, polling: Polling) -> Arc<Self> {
        let (wakes, woken) = mpsc::unbounded_channel();
        let task = Loop {
            host,
            polling,
            woken,
            running: HashSet::new(),
            pending: HashMap::new(),
        };
        let task = tokio::spawn(task.run()).abort_handle();
        Arc::new(Self { wakes, task })
    }
}

impl Schedule for LocalSchedule {
    fn wake(&self, connection: &ConnectionId, trigger: Trigger) {
        // After the end there is nobody to wake.
        let _ = self.wakes.send((connection.clone(), trigger));
    }
}

impl Drop for LocalSchedule {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Loop {
    host: Host,
    polling: Polling,
    woken: mpsc::UnboundedReceiver<(ConnectionId, Trigger)>,
    running: HashSet<ConnectionId>,
    pending: HashMap<ConnectionId, Trigger>,
}

impl Loop {
    async fn run(mut self) {
        let mut passes: JoinSet<ConnectionId> = JoinSet::new();
        loop {
            let wait = self.start_due(&mut passes).await;
            tokio::select! {
                woken = self.woken.recv() => match woken {
                    // The latest trigger counts: a pass looks at everything anyway.
                    Some((connection, trigger)) => { self.pending.insert(connection, trigger); }
                    None => return,
                },
                Some(ended) = passes.join_next(), if !passes.is_empty() => match ended {
                    Ok(connection) => { self.running.remove(&connection); }
                    Err(error) => {
                        tracing::error!(%error, "a pass's task ended");
                        self.running.clear();
                    }
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Starts what is due; answers how long nothing more will be.
    async fn start_due(&mut self, passes: &mut JoinSet<ConnectionId>) -> Duration {
        let now = self.host.parts().clock.now();
        let connections = match self.host.parts().registry.list().await {
            Ok(connections) => connections,
            Err(error) => {
                tracing::warn!(%error, "the registry does not answer");
                return LOOK_AGAIN;
            }
        };
        let mut wait = LOOK_AGAIN;
        for connection in connections.iter().filter(|connection| may_run(connection)) {
            let id = &connection.scope.connection;
            if self.running.contains(id) {
                continue;
            }
            let due = self.due_at(connection);
            let trigger = match self.pending.remove(id) {
                Some(trigger) => trigger,
                None if due <= now => Trigger::Schedule,
                None => {
                    wait = wait.min(Duration::from_millis(due - now));
                    continue;
                }
            };
            self.running.insert(id.clone());
            passes.spawn(pass(self.host.clone(), id.clone(), trigger));
        }
        wait
    }

    fn due_at(&self, connection: &Connection) -> u64 {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4);
        let since = connection.last_run_at.unwrap_or(0);
        let jitter = milliseconds(self.polling.jitter).max(1);
        let poll = since + milliseconds(self.polling.interval) + spread(connection, jitter);
        match (connection.next_run_at, &connection.problem) {
            // A connection in trouble comes when its back-off says, not when the clock does.
            (Some(at), Some(_)) => at,
            (Some(at), None) => at.min(poll),
            (None, _) => poll,
        }
    }
}

fn may_run(connection: &Connection) -> bool {
    connection.status == ConnectionStatus::Active
}

/// A share of the jitter that differs between connections and from one pass to the next.
fn spread(connection: &Connection, jitter: u64) -> u64 {
    let text = connection.scope.connection.as_str().bytes();
    let seed = connection.last_run_at.unwrap_or(0);
    let mixed = text.fold(seed, |hash, byte| {
        hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
    });
    mixed % jitter
}

async fn pass(host: Host, id: ConnectionId, trigger: Trigger) -> ConnectionId {
    match host.run(&id, trigger).await {
        Ok(ran) => tracing::info!(
            connection = %id,
            seen = ran.report.counts.seen,
            delivered = ran.report.counts.delivered,
            sent = ran.report.counts.sent,
            problem = ?ran.report.problem,
            "pass"
        ),
        // Another host has it: its turn, not a failure.
        Err(HostError::Busy) => {}
        Err(error) => tracing::warn!(connection = %id, %error, "pass failed"),
    }
    id
}
