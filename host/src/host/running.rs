//! Passes under way in this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::scope::ConnectionId;

/// Passes under way in this process, so that they can be stopped.
#[derive(Default)]
pub(super) struct Running(Mutex<HashMap<ConnectionId, Arc<Notify>>>);

/// A pass under way; it leaves when this is dropped.
pub(super) struct Entered<'r> {
    running: &'r Running,
    id: ConnectionId,
    stop: Arc<Notify>,
}

impl Running {
    pub(super) fn enter(&self, id: &ConnectionId) -> Entered<'_> {
        let stop = Arc::new(Notify::new());
        self.passes().insert(id.clone(), stop.clone());
        Entered {
            running: self,
            id: id.clone(),
            stop,
        }
    }

    pub(super) fn stop(&self, id: &ConnectionId) {
        if let Some(stop) = self.passes().get(id) {
            stop.notify_one();
        }
    }

    fn passes(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entered<'_> {
    pub(super) async fn wait(&self) {
        self.stop.notified().await;
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.running.passes().remove(&self.id);
    }
}
