//! The provider's endpoints: what is asked of them and what their answers mean.
//!
//! Only `invalid_grant` in a 400 (RFC 6749, 5.2) says that a grant is gone. Everything else that is
//! not an answer is "not now" (S07): a passing 401 or 5xx never costs a connection.

use std::sync::Arc;

use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet,
    ExtraTokenFields, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, StandardRevocableToken,
    StandardTokenResponse, TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
        BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::{
    VaultError,
    http::{Http, HttpError},
};

/// What a token without `expires_in` is taken to last (RFC 6749, 5.1 leaves it open), in seconds.
const DEFAULT_LIFETIME: u64 = 3_599;

/// What a refresh token is taken to last at most, in milliseconds: a hundred years.
const LONGEST: u64 = 100 * 365 * 86_400_000;

/// Where a provider does what. The default is Google's
/// (<https://accounts.google.com/.well-known/openid-configuration>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// The page that asks for consent.
    pub authorize: String,
    /// Codes and refresh tokens for access tokens.
    pub token: String,
    /// Ends a grant (RFC 7009).
    pub revoke: String,
    /// Keys that sign id tokens. Not fetched: an id token is taken from the token endpoint alone, and TLS
    /// vouches for it (OpenID Connect Core 1.0, 3.1.3.7, point 6).
    pub jwks: String,
    /// OpenID Connect's userinfo.
    pub userinfo: String,
    /// What an id token may name as its issuer.
    pub issuers: Vec<String>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            authorize: "https://accounts.google.com/o/oauth2/v2/auth".into(),
            token: "https://oauth2.googleapis.com/token".into(),
            revoke: "https://oauth2.googleapis.com/revoke".into(),
            jwks: "https://www.googleapis.com/oauth2/v3/certs".into(),
            userinfo: "https://openidconnect.googleapis.com/v1/userinfo".into(),
            issuers: vec!["https://accounts.google.com".into(), "accounts.google.com".into()],
        }
    }
}

/// What the provider knows this program as.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: SecretString,
    /// Where the consent page sends the browser back to.
    pub redirect_uri: String,
    /// The scopes that are always asked for, all of them needed (S02).
    pub scopes: Vec<String>,
}

/// An endpoint or the redirect address is no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the OAuth configuration has an invalid URL: {0}")]
pub struct ConfigError(String);

/// A provider, ready to be asked. Clones share their connections.
#[derive(Clone)]
pub struct Provider {
    endpoints: Arc<Endpoints>,
    config: Arc<ClientConfig>,
    client: TokenClient,
    http: Http,
}

type Tokens = StandardTokenResponse<IdToken, BasicTokenType>;
type TokenClient = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What OpenID Connect and Google add to a token answer.
#[derive(Clone, Serialize, Deserialize)]
struct IdToken {
    id_token: Option<String>,
    /// Seconds. Only where access is limited in time
    /// (<https://developers.google.com/identity/protocols/oauth2/web-server#exchange-authorization-code>).
    #[serde(default, deserialize_with = "seconds")]
    refresh_token_expires_in: Option<u64>,
}

impl std::fmt::Debug for IdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdToken")
    }
}

impl ExtraTokenFields for IdToken {}

/// A token answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) access: SecretString,
    pub(super) refresh: Option<SecretString>,
    /// Milliseconds.
    pub(super) lifetime: u64,
    /// Milliseconds, if the refresh token lasts only for a while.
    pub(super) refresh_lifetime: Option<u64>,
    /// Absent when they are those that were asked for (RFC 6749, 5.1).
    pub(super) scopes: Option<Vec<String>>,
    pub(super) id_token: Option<SecretString>,
}

impl Provider {
    /// A provider with these endpoints.
    pub fn new(endpoints: Endpoints, config: ClientConfig) -> Result<Self, ConfigError> {
        let http = Http::new().map_err(|error| ConfigError(error.to_string()))?;
        let invalid = |url: &String| ConfigError(url.clone());
        Url::parse(&endpoints.revoke).map_err(|_| invalid(&endpoints.revoke))?;
        let client = Client::new(ClientId::new(config.client_id.clone()))
            .set_client_secret(ClientSecret::new(config.client_secret.expose_secret().to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(
                AuthUrl::new(endpoints.authorize.clone()).map_err(|_| invalid(&endpoints.authorize))?,
            )
            .set_token_uri(TokenUrl::new(endpoints.token.clone()).map_err(|_| invalid(&endpoints.token))?)
            .set_redirect_uri(
                RedirectUrl::new(config.redirect_uri.clone()).map_err(|_| invalid(&config.redirect_uri))?,
            );
        Ok(Self {
            endpoints: Arc::new(endpoints),
            config: Arc::new(config),
            client,
            http,
        })
    }

    /// Where it does what.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The page that asks for consent, with a state and a PKCE challenge (RFC 7636, S256).
    pub(super) fn consent_page(
        &self,
        state: String,
        verifier: &PkceCodeVerifier,
        scopes: Vec<String>,
        extra: &[(&str, &str)],
    ) -> Url {
        let mut request = self
            .client
            .authorize_url(|| oauth2::CsrfToken::new(state))
            .set_pkce_challenge(oauth2::PkceCodeChallenge::from_code_verifier_sha256(verifier))
            .add_scopes(scopes.into_iter().map(oauth2::Scope::new));
        for (name, value) in extra {
            request = request.add_extra_param((*name).to_owned(), (*value).to_owned());
        }
        request.url().0
    }

    /// A code for tokens. `ReconnectNeeded`: the code is not valid (any more).
    pub(super) async fn exchange(
        &self,
        code: String,
        verifier: PkceCodeVerifier,
    ) -> Result<Answer, VaultError> {
        self.client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(verifier)
            .request_async(&self.http)
            .await
            .map(|tokens| answer(&tokens))
            .map_err(meaning)
    }

    /// A refresh token for an access token.
    pub(super) async fn refresh(&self, token: &SecretString) -> Result<Answer, VaultError> {
        self.client
            .exchange_refresh_token(&RefreshToken::new(token.expose_secret().to_owned()))
            .request_async(&self.http)
            .await
            .map(|tokens| answer(&tokens))
            .map_err(meaning)
    }

    /// Ends a grant; at Google either token ends both. What fails is logged: the grant is dropped here
    /// all the same, and the user can end it in their account.
    pub(super) async fn revoke(&self, token: &SecretString) {
        if let Err(error) = self
            .http
            .post(&self.endpoints.revoke, &[("token", token.expose_secret())])
            .await
        {
            tracing::warn!(%error, "a token was not revoked");
        }
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("endpoints", &self.endpoints)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A number of seconds; anything else says nothing, and an answer is not refused for it.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(serde_json::Value::deserialize(from)?.as_u64())
}

fn answer(tokens: &Tokens) -> Answer {
    let lifetime = tokens
        .expires_in()
        .map_or(DEFAULT_LIFETIME, |lifetime| lifetime.as_secs());
    Answer {
        access: tokens.access_token().secret().as_str().into(),
        refresh: tokens.refresh_token().map(|token| token.secret().as_str().into()),
        lifetime: lifetime.saturating_mul(1_000),
        refresh_lifetime: tokens
            .extra_fields()
            .refresh_token_expires_in
            .map(|seconds| seconds.saturating_mul(1_000).min(LONGEST)),
        scopes: tokens
            .scopes()
            .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
        id_token: tokens.extra_fields().id_token.as_deref().map(Into::into),
    }
}

/// No text of the answer is repeated: what could not be parsed may hold a token.
fn meaning(error: RequestTokenError<HttpError, BasicErrorResponse>) -> VaultError {
    match error {
        RequestTokenError::ServerResponse(response) => match response.error() {
            BasicErrorResponseType::InvalidGrant => VaultError::ReconnectNeeded,
            other => VaultError::Unavailable(format!("the token endpoint answered {}", other.as_ref())),
        },
        RequestTokenError::Request(error) => VaultError::Unavailable(format!("the token endpoint: {error}")),
        _ => VaultError::Unavailable("the token endpoint's answer is malformed".into()),
    }
}
