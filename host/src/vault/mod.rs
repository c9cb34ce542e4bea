//! Grants and tokens. The only place that holds a token; it never leaves the host, is sealed at
//! rest and `secrecy` in memory.

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::scope::ConnectionId;

mod http;
mod identity;
mod lasting;
mod oauth;
mod provider;
mod refresh;
mod ring;
mod rotate;
mod rows;
mod seal;
mod tokens;

pub use lasting::{Lasting, Limit};

pub use oauth::{Authorization, Begin, Callback, Consent, ConsentError};
pub use provider::{ClientConfig, ConfigError, Endpoints, Provider};
pub use ring::KeyRing;
pub use rotate::{
    Begun, RotateError, Rotation, SealedAnew, SealedValues, rotate_keys, seal_anew, sealed_values,
};
pub use seal::{KeyError, KeyId, SealingKey, SealingKeys};
pub use tokens::{OAuthVault, Tokens};

/// What the user granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The provider's stable id of the account (OpenID Connect `sub`).
    pub subject: String,
    /// The account's address, from the id token.
    pub email: String,
    /// The scopes that were really granted.
    pub scopes: Vec<String>,
}

/// Which access token will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// One that has not expired.
    Valid,
    /// A newer one than the provider has just refused with 401.
    Refreshed,
}

/// Other connections of the same account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holders {
    /// No other connection of any tenant has a grant of this account.
    Last,
    /// Another one still has.
    Others,
}

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum VaultError {
    /// S07: revoked or expired (`invalid_grant`); the user has to connect again.
    #[error("the grant was revoked or has expired")]
    ReconnectNeeded,
    /// There is no grant for this connection.
    #[error("there is no grant")]
    NoGrant,
    /// The provider or the store did not answer; a later try may succeed.
    #[error("the credential cannot be had now: {0}")]
    Unavailable(String),
    /// The key does not open what was sealed.
    #[error("the sealed token cannot be opened: wrong key, or it was changed")]
    Sealed,
}

/// Grants and tokens of connections.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The grant of a connection.
    async fn grant(&self, connection: &ConnectionId) -> Result<Grant, VaultError>;

    /// An access token. At most one refresh per connection is in flight, in all processes.
    async fn access_token(
        &self,
        connection: &ConnectionId,
        freshness: Freshness,
    ) -> Result<SecretString, VaultError>;

    /// How long the grant lasts, also of one that is gone; nothing is known of it unless this is
    /// implemented.
    async fn lasting(&self, _connection: &ConnectionId) -> Result<Lasting, VaultError> {
        Ok(Lasting::default())
    }

    /// Whether another connection of the same account has a grant (S06).
    async fn holders(&self, connection: &ConnectionId) -> Result<Holders, VaultError>;

    /// Removes the grant; revokes the token at the provider if nobody else needs it (S06). Idempotent.
    async fn release(&self, connection: &ConnectionId) -> Result<(), VaultError>;
}

#[cfg(test)]
mod tests;
