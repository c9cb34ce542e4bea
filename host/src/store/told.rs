//! A registry that says when a connection was written, for pages that show it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{Connection, Put, Registry, StoreError};
use crate::scope::{ConnectionId, TenantId};

/// Changes kept for a slow reader; one who misses some is told so.
const KEPT: usize = 256;

/// A registry, and who wants to know what is written to it by this process. Clones are the same one.
#[derive(Clone)]
pub struct ToldRegistry {
    registry: Arc<dyn Registry>,
    changes: broadcast::Sender<TenantId>,
}

impl ToldRegistry {
    /// The same registry, telling.
    pub fn new(registry: Arc<dyn Registry>) -> Self {
        Self {
            registry,
            changes: broadcast::Sender::new(KEPT),
        }
    }

    /// The tenants whose connections are written from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<TenantId> {
        self.changes.subscribe()
    }
}

#[async_trait]
impl Registry for ToldRegistry {
    async fn put(&self, connection: &Connection) -> Result<Put, StoreError> {
        let put = self.registry.put(connection).await?;
        if put == Put::Written {
            // Nobody may be listening.
            let _ = self.changes.send(connection.scope.tenant.clone());
        }
        Ok(put)
    }

    async fn find(&self, id: &ConnectionId) -> Result<Option<Connection>, StoreError> {
        self.registry.find(id).await
    }

    async fn list(&self) -> Result<Vec<Connection>, StoreError> {
        self.registry.list().await
    }

    async fn of_mailbox(&self, address: &str) -> Result<Vec<Connection>, StoreError> {
        self.registry.of_mailbox(address).await
    }
}
