//! Google's OAuth 2.0 and OpenID Connect endpoints for web server apps.
//!
//! Codes are single use and live ten minutes; access tokens an hour; refresh tokens do not rotate and come only with
//! `access_type=offline` on the first consent or with `prompt=consent`. Every dead grant is `invalid_grant`. Source: facts
//! 1.13; RFC 6749, RFC 7636.

mod authorize;
mod keys;
mod page;
mod scope;
mod service_account;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::{HeaderValue, Method as Verb, Response, header};
use bytes::Bytes;
use serde_json::json;

pub use keys::{TokenFlaw, push_token};
pub(crate) use scope::Scope;
pub use service_account::service_account_key;

use crate::api::Request;
use crate::errors::{ApiError, bytes_response, json_response};
use crate::fault;
use crate::world::World;

/// Access tokens live this long, in milliseconds; `expires_in` says one second less.
pub(crate) const ACCESS_MS: i64 = 3_600_000;
/// Codes live this long, in milliseconds.
const CODE_MS: i64 = 600_000;

/// Everything issued.
#[derive(Debug, Default)]
pub(crate) struct Oauth {
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Arc<Access>>,
    refresh: BTreeMap<String, Grant>,
    /// What each account has consented to, by client.
    consents: BTreeMap<(String, String), BTreeSet<String>>,
    issued: u64,
    /// Tokens of service accounts.
    robots: BTreeMap<String, service_account::Robot>,
    pub(crate) keys: keys::Keys,
    pub(crate) push_tokens: keys::PushTokens,
}

/// An authorization code.
#[derive(Clone, Debug)]
struct Code {
    client: String,
    account: String,
    redirect_uri: String,
    scopes: BTreeSet<String>,
    nonce: Option<String>,
    challenge: Option<Challenge>,
    offline: bool,
    expires_at: i64,
}

/// A PKCE challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Challenge {
    value: String,
    sha256: bool,
}

/// What an access token allows.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Key of the account.
    pub(crate) account: String,
    pub(crate) scopes: BTreeSet<String>,
    /// Cloud project of the client.
    pub(crate) project: u64,
    client: String,
    expires_at: i64,
    /// The refresh token it belongs to.
    refresh: Option<String>,
}

/// A refresh token.
#[derive(Clone, Debug)]
struct Grant {
    client: String,
    account: String,
    scopes: BTreeSet<String>,
    issued_at: i64,
    /// Order of issue: the oldest dies when there are too many.
    serial: u64,
}

/// A pair of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// For the token endpoint.
    pub refresh_token: String,
}

impl Access {
    /// Whether the token has one of the scopes.
    pub(crate) fn may(&self, any_of: &[Scope]) -> bool {
        any_of.iter().any(|scope| self.scopes.contains(scope.url()))
    }

    /// Whether it can see headers but not bodies.
    pub(crate) fn metadata_only(&self) -> bool {
        self.may(&[Scope::Metadata]) && !self.may(&[Scope::Mail, Scope::Modify, Scope::Readonly])
    }
}

impl Oauth {
    /// What a token allows now.
    pub(crate) fn access(&self, token: &str, now: i64) -> Option<&Arc<Access>> {
        self.access.get(token).filter(|access| access.expires_at > now)
    }

    /// Ends every access token of an account at once, refresh tokens stay.
    pub(crate) fn expire_access(&mut self, account: &str) {
        self.access.retain(|_, access| access.account != account);
    }

    /// A changed password ends the grants that hold Gmail scopes.
    pub(crate) fn password_changed(&mut self, account: &str) {
        let gmail = |scopes: &BTreeSet<String>| scopes.iter().any(|scope| Scope::is_gmail(scope));
        self.refresh
            .retain(|_, grant| grant.account != account || !gmail(&grant.scopes));
        self.access
            .retain(|_, access| access.account != account || !gmail(&access.scopes));
    }

    /// The account removes the app: every grant and the consent itself.
    pub(crate) fn withdraw(&mut self, account: &str, client: Option<&str>) {
        let concerned = |found: &str, by: &str| found == account && client.is_none_or(|client| client == by);
        self.refresh
            .retain(|_, grant| !concerned(&grant.account, &grant.client));
        self.access
            .retain(|_, access| !concerned(&access.account, &access.client));
        self.consents.retain(|(by, found), _| !concerned(found, by));
    }

    /// Signs with a new key from now on; the last one stays published.
    pub(crate) fn rotate_keys(&mut self) {
        self.keys.rotate();
        self.push_tokens.forget();
    }

    /// Live refresh tokens of an account.
    pub(crate) fn live_grants(&self, account: &str) -> usize {
        self.refresh
            .values()
            .filter(|grant| grant.account == account)
            .count()
    }
}

/// Issues tokens without the flow, for tests.
pub(crate) fn issue(world: &mut World, account: &str, scopes: BTreeSet<String>) -> Tokens {
    let client = world
        .clients
        .first()
        .map(|client| client.id.clone())
        .unwrap_or_default();
    let refresh_token = token::new_grant(world, &client, account, &scopes);
    let access_token = token::new_access(world, &client, account, scopes, Some(&refresh_token));
    Tokens {
        access_token,
        refresh_token,
    }
}

/// Answers a request to one of the endpoints; `None` if the path is none of them.
pub(crate) fn handle(world: &mut World, request: &Request) -> Option<Response<Bytes>> {
    let get = request.verb == Verb::GET;
    let post = request.verb == Verb::POST;
    let response = match request.path.as_str() {
        "/o/oauth2/v2/auth" | "/o/oauth2/auth" if get => authorize::begin(world, request),
        page::DECISION_PATH if post => authorize::decide(world, request),
        "/token" | "/oauth2/v4/token" if post => token::exchange(world, request),
        "/revoke" | "/o/oauth2/revoke" if post || get => {
            fault::under(world, "", "revoke", |world| token::revoke(world, request))
        }
        "/v1/userinfo" | "/oauth2/v3/userinfo" => {
            let mailbox = world.owner_of(request.bearer());
            fault::under(world, &mailbox, "userinfo", |world| userinfo(world, request))
        }
        "/oauth2/v3/certs" if get => fault::under(world, "", "certs", |world| {
            cached(json_response(200, &world.oauth.keys.jwks()))
        }),
        "/oauth2/v1/certs" if get => fault::under(world, "", "certs", |world| {
            cached(json_response(200, &world.oauth.keys.certificates()))
        }),
        "/.well-known/openid-configuration" if get => cached(discovery(&request.origin)),
        _ => return None,
    };
    *world.stats.oauth.entry(request.path.clone()).or_default() += 1;
    Some(response)
}

fn userinfo(world: &World, request: &Request) -> Response<Bytes> {
    let now = world.now();
    let access = request.bearer().and_then(|token| world.oauth.access(&token, now));
    let account = access.and_then(|access| Some((access, world.accounts.get(&access.account)?)));
    let Some((access, account)) = account else {
        return ApiError::invalid_credentials().response();
    };
    let mut claims = json!({"sub": account.subject});
    if let Some(object) = claims.as_object_mut() {
        if access.may(&[Scope::Email]) {
            object.insert("email".to_owned(), json!(account.email));
            object.insert("email_verified".to_owned(), json!(true));
        }
        if access.may(&[Scope::Profile]) {
            object.insert("name".to_owned(), json!(account.display_name));
        }
    }
    json_response(200, &claims)
}

fn discovery(origin: &str) -> Response<Bytes> {
    json_response(
        200,
        &json!({
            "issuer": keys::ISSUER,
            "authorization_endpoint": format!("{origin}/o/oauth2/v2/auth"),
            "token_endpoint": format!("{origin}/token"),
            "userinfo_endpoint": format!("{origin}/v1/userinfo"),
            "revocation_endpoint": format!("{origin}/revoke"),
            "jwks_uri": format!("{origin}/oauth2/v3/certs"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "name", "sub"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "grant_types_supported": ["authorization_code", "refresh_token", service_account::GRANT],
        }),
    )
}

fn cached(mut response: Response<Bytes>) -> Response<Bytes> {
    let value = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

/// A page for a person.
fn html(code: u16, body: String) -> Response<Bytes> {
    bytes_response(code, "text/html; charset=utf-8", body)
}
