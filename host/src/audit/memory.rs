//! What audits found, until the process ends.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{AuditLog, AuditStanding, Audited, KEPT};
use crate::{scope::ConnectionId, store::StoreError};

/// Connections whose audits are kept at most; the one audited longest ago is forgotten.
const CONNECTIONS: usize = 100_000;

/// What audits found, until the process ends.
#[derive(Debug, Default)]
pub struct MemoryAudits(Mutex<HashMap<ConnectionId, (AuditStanding, VecDeque<Audited>)>>);

impl MemoryAudits {
    fn held(&self) -> MutexGuard<'_, HashMap<ConnectionId, (AuditStanding, VecDeque<Audited>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl AuditLog for MemoryAudits {
    async fn add(&self, connection: &ConnectionId, audited: &Audited) -> Result<(), StoreError> {
        let mut held = self.held();
        if held.len() >= CONNECTIONS && !held.contains_key(connection) {
            let oldest = held.iter().min_by_key(|(_, (standing, _))| standing.tried_at);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                held.remove(&id);
            }
        }
        let (standing, latest) = held.entry(connection.clone()).or_default();
        *standing = std::mem::take(standing).after(audited);
        latest.push_front(audited.clone());
        latest.truncate(KEPT);
        Ok(())
    }

    async fn standings(&self) -> Result<HashMap<ConnectionId, AuditStanding>, StoreError> {
        let held = self.held();
        let standings = held
            .iter()
            .map(|(id, (standing, _))| (id.clone(), standing.clone()));
        Ok(standings.collect())
    }

    async fn latest(&self, connection: &ConnectionId) -> Result<Vec<Audited>, StoreError> {
        let held = self.held();
        let latest = held
            .get(connection)
            .map(|(_, latest)| latest.iter().cloned().collect());
        Ok(latest.unwrap_or_default())
    }
}
