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
    time::Instant,
};

use super::{
    Schedule,
    rhythm::{Turn, turn},
};
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
    /// Time between two passes of a connection whose mailbox announces changes by itself (push), and up to a
    /// quarter more.
    pub pushed: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            jitter: Duration::from_secs(10),
            pushed: Duration::from_mins(10),
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
            resting: HashMap::new(),
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
    /// Connections whose pass was not run, and until when they are left alone.
    resting: HashMap<ConnectionId, Instant>,
    pending: HashMap<ConnectionId, Trigger>,
}

impl Loop {
    async fn run(mut self) {
        let mut passes: JoinSet<Passed> = JoinSet::new();
        loop {
            let wait = self.start_due(&mut passes).await;
            tokio::select! {
                woken = self.woken.recv() => match woken {
                    Some(wake) => self.note(wake),
                    None => return,
                },
                Some(ended) = passes.join_next(), if !passes.is_empty() => match ended {
                    Ok(passed) => self.ended(passed),
                    Err(error) => {
                        tracing::error!(%error, "a pass's task ended");
                        self.running.clear();
                    }
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The latest trigger counts: a pass looks at everything anyway. All that wait are taken at once, so that
    /// many wakes are one look at the registry.
    fn note(&mut self, wake: (ConnectionId, Trigger)) {
        self.pending.extend([wake]);
        while let Ok(wake) = self.woken.try_recv() {
            self.pending.extend([wake]);
        }
    }

    fn ended(&mut self, passed: Passed) {
        match passed {
            Passed::Done(connection) => {
                self.running.remove(&connection);
            }
            Passed::NotRun(connection, trigger) => {
                self.running.remove(&connection);
                if let Some(trigger) = trigger {
                    // What came meanwhile asks for no less.
                    self.pending.entry(connection.clone()).or_insert(trigger);
                }
                self.resting.insert(connection, Instant::now() + LOOK_AGAIN);
            }
        }
    }

    /// Starts what is due; answers how long nothing more will be.
    async fn start_due(&mut self, passes: &mut JoinSet<Passed>) -> Duration {
        self.resting.retain(|_, until| *until > Instant::now());
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
            if self.running.contains(id) || self.resting.contains_key(id) {
                continue;
            }
            match turn(connection, self.pending.remove(id), self.polling, now) {
                Turn::Now(trigger) => {
                    self.running.insert(id.clone());
                    passes.spawn(pass(self.host.clone(), id.clone(), trigger));
                }
                Turn::At(due) => wait = wait.min(Duration::from_millis(due - now)),
            }
        }
        wait
    }
}

fn may_run(connection: &Connection) -> bool {
    connection.status == ConnectionStatus::Active
}

/// What became of a pass.
enum Passed {
    /// Its connection's row says when the next is due.
    Done(ConnectionId),
    /// It was not run: the row says what it said before. With what is still to be asked for, where the connection was in
    /// use.
    NotRun(ConnectionId, Option<Trigger>),
}

async fn pass(host: Host, id: ConnectionId, trigger: Trigger) -> Passed {
    match host.run(&id, trigger.clone()).await {
        Ok(ran) => {
            tracing::info!(
                connection = %id,
                seen = ran.report.counts.seen,
                delivered = ran.report.counts.delivered,
                sent = ran.report.counts.sent,
                problem = ?ran.report.problem,
                "pass"
            );
            Passed::Done(id)
        }
        // An audit or another host has it: its turn, not a failure. Only the row says when a scheduled pass is due.
        Err(HostError::Busy) => {
            let asked = (trigger != Trigger::Schedule).then_some(trigger);
            Passed::NotRun(id, asked)
        }
        Err(error) => {
            tracing::warn!(connection = %id, %error, "pass failed");
            Passed::NotRun(id, None)
        }
    }
}
