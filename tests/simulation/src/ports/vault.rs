//! The vault: grants and tokens of the simulated Gmail, refreshed at its token endpoint.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axum::http;
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;
use twinbox_host::{
    scope::ConnectionId,
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

use super::Ports;
use crate::{plan::Port, world::World};

/// What every connection is granted.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/gmail.modify";

/// Grants by connection.
#[derive(Default)]
pub(crate) struct VaultState {
    held: BTreeMap<ConnectionId, Held>,
}

struct Held {
    grant: Grant,
    access: String,
    refresh: String,
}

impl VaultState {
    /// Whose access token it is.
    pub(crate) fn mailbox_of(&self, token: &str) -> Option<String> {
        let held = self.held.values().find(|held| held.access == token)?;
        Some(held.grant.email.clone())
    }
}

impl World {
    /// The owner of a mailbox consents: the vault holds a grant for this connection.
    pub(crate) fn consent(&self, connection: &ConnectionId, mailbox: &str) {
        let Some(tokens) = self.sim.issue_token(mailbox, &[SCOPE]) else {
            return;
        };
        let grant = Grant {
            subject: mailbox.to_owned(),
            email: mailbox.to_owned(),
            scopes: vec![SCOPE.to_owned()],
        };
        let held = Held {
            grant,
            access: tokens.access_token,
            refresh: tokens.refresh_token,
        };
        self.lock().vault.held.insert(connection.clone(), held);
    }

    fn refresh(&self, connection: &ConnectionId) -> Result<String, VaultError> {
        let refresh = match self.lock().vault.held.get(connection) {
            Some(held) => held.refresh.clone(),
            None => return Err(VaultError::NoGrant),
        };
        let form = format!(
            "grant_type=refresh_token&refresh_token={refresh}&client_id=twinbox-demo&client_secret=twinbox-demo-secret"
        );
        let request = http::Request::post("https://oauth2.googleapis.com/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form));
        #[expect(clippy::expect_used, reason = "all of its parts are written here")]
        let answer = self.sim.handle(request.expect("a request"));
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if body["error"] == "invalid_grant" {
            self.lock().coverage.hit("grant gone");
            return Err(VaultError::ReconnectNeeded);
        }
        let Some(access) = body["access_token"].as_str() else {
            return Err(VaultError::Unavailable(answer.status().to_string()));
        };
        if let Some(held) = self.lock().vault.held.get_mut(connection) {
            access.clone_into(&mut held.access);
        }
        Ok(access.to_owned())
    }
}

#[async_trait]
impl Vault for Ports {
    async fn grant(&self, connection: &ConnectionId) -> Result<Grant, VaultError> {
        let line = || format!("grant {connection}");
        self.world
            .turn(self.host, Port::Vault, line, |world| {
                let state = world.lock();
                let held = state.vault.held.get(connection);
                held.map(|held| held.grant.clone()).ok_or(VaultError::NoGrant)
            })
            .await
            .or_else(|_| VaultError::Unavailable("simulated".to_owned()))?
    }

    async fn access_token(
        &self,
        connection: &ConnectionId,
        freshness: Freshness,
    ) -> Result<SecretString, VaultError> {
        if freshness == Freshness::Valid {
            let state = self.world.lock();
            let held = state.vault.held.get(connection).ok_or(VaultError::NoGrant)?;
            return Ok(held.access.clone().into());
        }
        let line = || format!("refresh {connection}");
        let refreshed = self
            .world
            .turn(self.host, Port::Vault, line, |world| world.refresh(connection))
            .await
            .or_else(|_| VaultError::Unavailable("simulated".to_owned()))??;
        Ok(refreshed.into())
    }

    async fn holders(&self, connection: &ConnectionId) -> Result<Holders, VaultError> {
        let state = self.world.lock();
        let account = |of: &ConnectionId| state.vault.held.get(of).map(|held| held.grant.subject.clone());
        let own = account(connection);
        let others = state
            .vault
            .held
            .keys()
            .any(|other| other != connection && account(other) == own);
        Ok(if others { Holders::Others } else { Holders::Last })
    }

    async fn release(&self, connection: &ConnectionId) -> Result<(), VaultError> {
        let line = || format!("release {connection}");
        self.world
            .turn(self.host, Port::Vault, line, |world| {
                world.lock().vault.held.remove(connection);
            })
            .await
            .or_else(|_| VaultError::Unavailable("simulated".to_owned()))
    }
}
