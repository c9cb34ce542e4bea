//! Who gave a consent: the id token.
//!
//! Its signature is not checked: it came straight from the token endpoint over TLS, which vouches for
//! it (OpenID Connect Core 1.0, 3.1.3.7, point 6). Only such a token is ever read here: one that came by a
//! browser would have to be verified with the keys of `Endpoints::jwks`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// How far the provider's clock may be behind, in seconds.
const SKEW: u64 = 60;

/// Claims of an id token (OpenID Connect Core 1.0, 2 and 5.1).
#[derive(Deserialize)]
pub(super) struct Identity {
    iss: String,
    aud: Audience,
    exp: u64,
    nonce: Option<String>,
    pub(super) sub: String,
    #[serde(default)]
    pub(super) email: String,
}

/// What an id token has to name.
pub(super) struct Expected<'a> {
    pub(super) issuers: &'a [String],
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
    /// Seconds since the epoch.
    pub(super) now: u64,
}

impl Identity {
    /// Reads an id token and checks its claims; what is wrong with it otherwise.
    pub(super) fn read(token: Option<&SecretString>, expected: &Expected<'_>) -> Result<Self, &'static str> {
        let token = token.ok_or("it is missing")?;
        let payload = token
            .expose_secret()
            .split('.')
            .nth(1)
            .and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok())
            .ok_or("it is malformed")?;
        let identity: Self = serde_json::from_slice(&payload).map_err(|_| "it is malformed")?;
        if !expected.issuers.contains(&identity.iss) {
            return Err("issuer");
        }
        if !identity.aud.is(expected.client) {
            return Err("audience");
        }
        if identity.exp.saturating_add(SKEW) <= expected.now {
            return Err("it has expired");
        }
        if identity.nonce.as_deref() != Some(expected.nonce) {
            return Err("nonce");
        }
        if identity.sub.is_empty() || identity.email.is_empty() {
            return Err("it names nobody");
        }
        Ok(identity)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// With several audiences others could use the token as well: only one is taken.
    fn is(&self, client: &str) -> bool {
        match self {
            Self::One(audience) => audience == client,
            Self::Many(audiences) => matches!(audiences.as_slice(), [audience] if audience == client),
        }
    }
}
