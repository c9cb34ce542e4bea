//! A Google service account by its key file: an access token for an assertion it signs (RFC 7523;
//! <https://developers.google.com/identity/protocols/oauth2/service-account>). The token is kept until shortly
//! before it expires.

use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::http::{Http, HttpError};
use crate::clock::Clock;

/// What a token is asked for.
const SCOPE: &str = "https://www.googleapis.com/auth/pubsub";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is valid, in seconds: the most that Google takes.
const ASSERTION: u64 = 3_600;
/// How long before its end a token is not used any more, ms.
const MARGIN: u64 = 60_000;
/// What a token without `expires_in` is taken to last, in seconds.
const DEFAULT_LIFETIME: u64 = 3_599;
/// The largest answer, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// A service account that can get tokens.
pub struct ServiceAccount {
    address: String,
    key_id: Option<String>,
    key: EncodingKey,
    token_uri: String,
    http: Http,
    clock: Arc<dyn Clock>,
    kept: Mutex<Option<Kept>>,
}

/// Why there is no token, or no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceAccountError {
    /// The key file is not one; in what.
    #[error("this is not the key file of a service account: {0}")]
    KeyFile(&'static str),
    /// There is no HTTP client.
    #[error("no HTTP client: {0}")]
    Client(String),
    /// The token endpoint does not answer, or not with a token.
    #[error("the token endpoint: {0}")]
    Endpoint(String),
}

#[derive(Clone)]
struct Kept {
    token: SecretString,
    /// ms since the epoch.
    until: u64,
}

/// A key file as the Cloud console makes it.
#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    private_key_id: Option<String>,
    private_key: SecretString,
    token_uri: String,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize)]
struct Answer {
    access_token: SecretString,
    expires_in: Option<u64>,
}

impl ServiceAccount {
    /// The account of a key file (JSON).
    pub fn from_key_file(json: &SecretString, clock: Arc<dyn Clock>) -> Result<Self, ServiceAccountError> {
        use ServiceAccountError::{Client, KeyFile as Wrong};
        let file: KeyFile = serde_json::from_str(json.expose_secret())
            .map_err(|_| Wrong("client_email, private_key and token_uri are needed"))?;
        if file.kind != "service_account" {
            return Err(Wrong("its type is not service_account"));
        }
        let key = EncodingKey::from_rsa_pem(file.private_key.expose_secret().as_bytes())
            .map_err(|_| Wrong("private_key is not an RSA key in PEM"))?;
        Url::parse(&file.token_uri).map_err(|_| Wrong("token_uri is not a URL"))?;
        Ok(Self {
            address: file.client_email,
            key_id: file.private_key_id,
            key,
            token_uri: file.token_uri,
            http: Http::new().map_err(|error| Client(error.to_string()))?,
            clock,
            kept: Mutex::default(),
        })
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// An access token for Pub/Sub.
    pub(super) async fn token(&self) -> Result<SecretString, ServiceAccountError> {
        let now = self.clock.now();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| now < kept.until) {
            return Ok(kept.token);
        }
        let answer = self.ask(now).await?;
        let lifetime = answer
            .expires_in
            .unwrap_or(DEFAULT_LIFETIME)
            .saturating_mul(1_000);
        self.keep(Some(Kept {
            token: answer.access_token.clone(),
            until: now.saturating_add(lifetime.saturating_sub(MARGIN)),
        }));
        Ok(answer.access_token)
    }

    /// The token was refused: the next is a new one.
    pub(super) fn forget_token(&self) {
        self.keep(None);
    }

    async fn ask(&self, now: u64) -> Result<Answer, ServiceAccountError> {
        let failed = |error: HttpError| ServiceAccountError::Endpoint(error.to_string());
        let assertion = self.assertion(now / 1_000)?;
        let form = [("grant_type", GRANT), ("assertion", assertion.expose_secret())];
        let request = self.http.post(&self.token_uri).form(&form);
        let answer = self.http.send(request, ANSWER_LIMIT).await.map_err(failed)?;
        serde_json::from_slice(&answer.body)
            .map_err(|_| ServiceAccountError::Endpoint("the answer is malformed".into()))
    }

    fn assertion(&self, now: u64) -> Result<SecretString, ServiceAccountError> {
        let header = Header {
            kid: self.key_id.clone(),
            ..Header::new(Algorithm::RS256)
        };
        let claims = Assertion {
            iss: &self.address,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: now,
            exp: now + ASSERTION,
        };
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map(Into::into)
            .map_err(|_| ServiceAccountError::KeyFile("private_key cannot sign"))
    }

    fn keep(&self, kept: Option<Kept>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
