//! The proof that a push request comes from our subscription: an OIDC token of the service account that the
//! subscription was given (<https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>).
//!
//! RS256 alone is taken, whatever the token's header says (RFC 8725, 3.1). Any customer of Google can have a
//! token for any audience, so the service account's address is what makes it ours.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::Deserialize;

use super::{
    http::Http,
    keys::{KeySet, NoKey},
};
use crate::{clock::Clock, vault::Endpoints};

/// How far the issuer's clock may be off, in seconds.
const SKEW: u64 = 60;
/// The longest token looked at, in bytes.
const TOKEN_LIMIT: usize = 8 << 10;

/// Who may push, and how that is proved.
pub struct TrustedSender {
    issuers: Vec<String>,
    audience: String,
    service_account: String,
    keys: KeySet,
    clock: Arc<dyn Clock>,
}

/// There is no client to fetch keys with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no HTTP client for the issuer's keys: {0}")]
pub struct SenderError(String);

/// Why a request is not proved to come from our subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no bearer token.
    Missing,
    /// It is not a JWT, or over its limit.
    Malformed,
    /// It is not signed with RS256.
    Algorithm,
    /// The issuer has no key of that name.
    UnknownKey,
    /// The signature is not the key's.
    Signature,
    /// Another issuer.
    Issuer,
    /// For somebody else.
    Audience,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// Another account's.
    Account,
    /// The account's address was not verified.
    Unverified,
    /// Proved, but from another subscription than ours.
    Subscription,
}

impl Refusal {
    /// For counters and the log, in kebab case.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown-key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not-yet",
            Self::Account => "account",
            Self::Unverified => "unverified",
            Self::Subscription => "subscription",
        }
    }
}

/// Whether a token proves its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unproved {
    /// It does not.
    Refused(Refusal),
    /// It cannot be said: the issuer's keys cannot be had.
    Unavailable,
}

impl From<Refusal> for Unproved {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a token of a push says. Times are seconds since the epoch.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
    #[serde(default)]
    email: String,
    #[serde(default)]
    email_verified: bool,
}

impl TrustedSender {
    /// The subscription whose tokens are `service_account`'s, an address, and for `audience`. Keys come from
    /// the provider's endpoint.
    pub fn new(
        endpoints: &Endpoints,
        audience: String,
        service_account: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SenderError> {
        let http = Http::new().map_err(|error| SenderError(error.to_string()))?;
        Ok(Self {
            issuers: endpoints.issuers.clone(),
            audience,
            service_account,
            keys: KeySet::new(endpoints.jwks.clone(), http, clock.clone()),
            clock,
        })
    }

    /// Checks the value of a request's `Authorization`.
    pub(super) async fn check(&self, authorization: Option<&str>) -> Result<(), Unproved> {
        let token = bearer(authorization).ok_or(Refusal::Missing)?;
        if token.len() > TOKEN_LIMIT {
            return Err(Refusal::Malformed.into());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| algorithm_of(token))?;
        if header.alg != Algorithm::RS256 {
            return Err(Refusal::Algorithm.into());
        }
        let id = header.kid.ok_or(Refusal::Malformed)?;
        let key = self.keys.get(&id).await.map_err(|error| match error {
            NoKey::Unknown => Refusal::UnknownKey.into(),
            NoKey::Unavailable => Unproved::Unavailable,
        })?;
        let token = jsonwebtoken::decode::<Claims>(token, &key, &signature_alone());
        let claims = token.map_err(|error| meaning(error.kind()))?.claims;
        Ok(self.check_claims(&claims)?)
    }

    fn check_claims(&self, claims: &Claims) -> Result<(), Refusal> {
        let now = self.clock.now() / 1_000;
        let begins = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
        let checks = [
            (self.issuers.contains(&claims.iss), Refusal::Issuer),
            (claims.aud == self.audience, Refusal::Audience),
            (now < claims.exp.saturating_add(SKEW), Refusal::Expired),
            (begins <= now.saturating_add(SKEW), Refusal::NotYet),
            (claims.email == self.service_account, Refusal::Account),
            (claims.email_verified, Refusal::Unverified),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, refusal)) => Err(refusal),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for TrustedSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedSender")
            .field("audience", &self.audience)
            .field("service_account", &self.service_account)
            .finish_non_exhaustive()
    }
}

/// The claims are checked here, by our clock.
fn signature_alone() -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn meaning(error: &ErrorKind) -> Refusal {
    match error {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAlgorithm => Refusal::Algorithm,
        _ => Refusal::Malformed,
    }
}

/// A header that is one, but names an algorithm that there is not: `none`, for one (RFC 8725, 2.1).
fn algorithm_of(token: &str) -> Refusal {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    #[derive(Deserialize)]
    struct Named {
        alg: String,
    }
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    match serde_json::from_slice::<Named>(&header) {
        Ok(named) if named.alg != "RS256" => Refusal::Algorithm,
        _ => Refusal::Malformed,
    }
}
