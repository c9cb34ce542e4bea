//! On whose behalf a capability is used.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id with this text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// One CRM account.
    TenantId
}
id! {
    /// A person in a tenant.
    UserId
}
id! {
    /// A user's link from a tenant to one mailbox.
    ConnectionId
}

/// Whom a capability call is for. The host makes it from its own records; nothing of it ever comes
/// from a guest, so a guest cannot name another tenant (S33).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantId,
    /// The user whose mailbox it is.
    pub user: UserId,
    /// The connection.
    pub connection: ConnectionId,
    /// The provider's stable id of the account (OpenID Connect `sub`): connections of one account
    /// share quota and claims.
    pub account: String,
}
