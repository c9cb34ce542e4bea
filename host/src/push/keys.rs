//! The issuer's public keys (JWKS, RFC 7517), kept.
//!
//! They are fetched when they are needed and too old, as `Cache-Control` says within bounds, and when a token
//! names a key that is not among them: keys rotate. However many ask, one fetch is under way, and one is tried
//! in [`RETRY`], so that forged tokens cannot make this host a nuisance. While the issuer does not answer, the
//! last keys serve for [`OUTAGE`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jsonwebtoken::DecodingKey;
use serde::Deserialize;

use super::http::{Http, HttpError};
use crate::clock::Clock;

/// The least time between two fetches, ms.
pub(super) const RETRY: u64 = 10_000;
/// How long keys are kept at least, at most, and if the answer does not say, ms.
const FRESH: (u64, u64, u64) = (60_000, 24 * 3_600_000, 3_600_000);
/// How long after they were fetched keys serve while no others can be had, ms.
pub(super) const OUTAGE: u64 = 24 * 3_600_000;
/// The largest answer, in bytes, and the most keys of it.
const ANSWER_LIMIT: usize = 64 << 10;
const KEYS_LIMIT: usize = 32;

/// Keys of one issuer.
pub(super) struct KeySet {
    url: String,
    http: Http,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// Held by the fetch that is under way.
    fetching: tokio::sync::Mutex<()>,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has none of this name.
    Unknown,
    /// The issuer does not answer, and the keys that are there are too old or none.
    Unavailable,
}

#[derive(Clone, Default)]
struct Known {
    keys: Arc<HashMap<String, Arc<DecodingKey>>>,
    /// ms since the epoch.
    fetched_at: Option<u64>,
    fresh_until: u64,
    tried_at: Option<u64>,
}

impl KeySet {
    pub(super) fn new(url: String, http: Http, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            http,
            clock,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// The key of this name.
    pub(super) async fn get(&self, id: &str) -> Result<Arc<DecodingKey>, NoKey> {
        let known = self.known().clone();
        let key = known.keys.get(id).cloned();
        let now = self.clock.now();
        if let Some(key) = key.clone().filter(|_| now < known.fresh_until) {
            return Ok(key);
        }
        let lasts = known.fetched_at.is_some_and(|at| now.saturating_sub(at) < OUTAGE);
        let old = key.filter(|_| lasts);
        match (self.fetching.try_lock(), old) {
            (Ok(turn), _) => {
                self.fetch_if_due().await;
                drop(turn);
            }
            // Who has a key that will do does not wait for another's fetch.
            (Err(_), Some(old)) => return Ok(old),
            (Err(_), None) => drop(self.fetching.lock().await),
        }
        self.answer(id)
    }

    /// What can be said when no more is to be fetched now.
    fn answer(&self, id: &str) -> Result<Arc<DecodingKey>, NoKey> {
        let known = self.known();
        let now = self.clock.now();
        let lasts = known.fetched_at.is_some_and(|at| now.saturating_sub(at) < OUTAGE);
        match known.keys.get(id) {
            Some(key) if lasts => Ok(key.clone()),
            None if now < known.fresh_until => Err(NoKey::Unknown),
            _ => Err(NoKey::Unavailable),
        }
    }

    async fn fetch_if_due(&self) {
        let now = self.clock.now();
        {
            let mut known = self.known();
            if known.tried_at.is_some_and(|at| now.saturating_sub(at) < RETRY) {
                return;
            }
            known.tried_at = Some(now);
        }
        match self.fetch().await {
            Ok((keys, lifetime)) => {
                let mut known = self.known();
                known.keys = Arc::new(keys);
                known.fetched_at = Some(now);
                known.fresh_until = now.saturating_add(lifetime);
            }
            Err(error) => tracing::warn!(%error, "the issuer's keys cannot be had"),
        }
    }

    async fn fetch(&self) -> Result<(HashMap<String, Arc<DecodingKey>>, u64), FetchError> {
        let answer = self.http.send(self.http.get(&self.url), ANSWER_LIMIT).await?;
        let set: Set = serde_json::from_slice(&answer.body).map_err(|_| FetchError::Malformed)?;
        let keys: HashMap<_, _> = set
            .keys
            .into_iter()
            .take(KEYS_LIMIT)
            .filter_map(Jwk::key)
            .collect();
        if keys.is_empty() {
            return Err(FetchError::Malformed);
        }
        let (least, most, usual) = FRESH;
        let lifetime = answer
            .max_age
            .map_or(usual, |seconds| seconds.saturating_mul(1_000).clamp(least, most));
        Ok((keys, lifetime))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the answer holds no keys")]
    Malformed,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwk {
    /// A key that signs with RS256. Others are not ours to use.
    fn key(self) -> Option<(String, Arc<DecodingKey>)> {
        let signs = self.kty == "RSA"
            && self.alg.is_none_or(|alg| alg == "RS256")
            && self.purpose.is_none_or(|purpose| purpose == "sig");
        let key = DecodingKey::from_rsa_components(&self.n?, &self.e?).ok()?;
        Some((self.kid.filter(|_| signs)?, Arc::new(key)))
    }
}
