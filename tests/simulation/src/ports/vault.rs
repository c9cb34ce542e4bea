//! The vault: grants and tokens of the simulated Gmail, refreshed at its token endpoint, revoked there with the last
//! connection of an account (S06).

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
use crate::{
    plan::{AddressBook, Port},
    world::World,
};

/// What every connection is granted.
const SCOPE: &str = "https://www.googleapis.com/auth/gmail.modify";
/// What is granted as well where the contacts of the account come along.
const SCOPE_CONTACTS: &str = "https://www.googleapis.com/auth/contacts.readonly";

/// What a user consents to.
pub(crate) fn scopes(book: AddressBook) -> &'static [&'static str] {
    match book {
        AddressBook::Ticked => &[SCOPE, SCOPE_CONTACTS],
        AddressBook::Unticked => &[SCOPE],
    }
}

/// The same without one that is needed.
pub(crate) fn scopes_but_one(book: AddressBook) -> &'static [&'static str] {
    match book {
        AddressBook::Ticked => &[SCOPE],
        AddressBook::Unticked => &[SCOPE_CONTACTS],
    }
}

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
    /// Whether a connection has a grant.
    pub(crate) fn holds(&self, connection: &ConnectionId) -> bool {
        self.held.contains_key(connection)
    }

    /// Whose access token it is.
    pub(crate) fn mailbox_of(&self, token: &str) -> Option<String> {
        let held = self.held.values().find(|held| held.access == token)?;
        Some(held.grant.email.clone())
    }
}

impl World {
    /// The owner of a mailbox consents, as whom Google signed: the vault holds a grant for this connection.
    pub(crate) fn consent(&self, connection: &ConnectionId, mailbox: &str, signed: &str, scopes: &[&str]) {
        let Some(tokens) = self.sim.issue_token(mailbox, scopes) else {
            return;
        };
        let grant = Grant {
            subject: mailbox.to_owned(),
            email: signed.to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
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
        let answer = self.post("token", form);
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

    /// Whether another connection of the same account has a grant.
    fn holders(&self, connection: &ConnectionId) -> Holders {
        let state = self.lock();
        let account = |of: &ConnectionId| state.vault.held.get(of).map(|held| held.grant.subject.clone());
        let own = account(connection);
        let is_another = |other: &&ConnectionId| *other != connection && account(other) == own;
        if state.vault.held.keys().any(|other| is_another(&other)) {
            Holders::Others
        } else {
            Holders::Last
        }
    }

    /// The connection's grant goes, and the token with it if nobody else is said to hold one.
    fn give_up(&self, connection: &ConnectionId, holders: Holders) {
        let Some(held) = self.lock().vault.held.remove(connection) else {
            return;
        };
        match holders {
            Holders::Others => self.lock().coverage.hit("grant kept for another tenant"),
            Holders::Last => {
                self.lock().coverage.hit("grant revoked");
                // Whatever it is answered: the grant is given up.
                drop(self.post("revoke", format!("token={}", held.refresh)));
            }
        }
    }

    /// A form for Google's OAuth server.
    fn post(&self, path: &str, form: String) -> http::Response<Bytes> {
        let request = http::Request::post(format!("https://oauth2.googleapis.com/{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form));
        #[expect(clippy::expect_used, reason = "all of its parts are written here")]
        self.sim.handle(request.expect("a request"))
    }
}

impl Ports {
    async fn released(
        &self,
        connection: &ConnectionId,
        holders: impl FnOnce(&World) -> Holders,
    ) -> Result<(), VaultError> {
        let line = || format!("release {connection}");
        self.world
            .turn(self.host, Port::Vault, line, |world| {
                world.give_up(connection, holders(world));
            })
            .await
            .or_else(|_| VaultError::Unavailable("simulated".to_owned()))
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
        Ok(self.world.holders(connection))
    }

    async fn release(&self, connection: &ConnectionId) -> Result<(), VaultError> {
        self.released(connection, |world| world.holders(connection)).await
    }
}

/// A deliberate bug: each connection takes itself for the last of its account.
pub(crate) struct Uncounted(pub(crate) Ports);

#[async_trait]
impl Vault for Uncounted {
    async fn grant(&self, connection: &ConnectionId) -> Result<Grant, VaultError> {
        self.0.grant(connection).await
    }

    async fn access_token(
        &self,
        connection: &ConnectionId,
        freshness: Freshness,
    ) -> Result<SecretString, VaultError> {
        self.0.access_token(connection, freshness).await
    }

    async fn holders(&self, _: &ConnectionId) -> Result<Holders, VaultError> {
        Ok(Holders::Last)
    }

    async fn release(&self, connection: &ConnectionId) -> Result<(), VaultError> {
        self.0.released(connection, |_| Holders::Last).await
    }
}
