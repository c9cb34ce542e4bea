//! The consent: OAuth 2.0 code flow with PKCE (RFC 7636), state and nonce, as Google wants it
//! (<https://developers.google.com/identity/protocols/oauth2/web-server>).
//!
//! A flow is bound to one browser session, is used once and lasts ten minutes. Nothing is stored
//! until everything fits: all scopes (S02), the right mailbox (S03). A grant that does not fit is
//! given back, unless the account has other connections: revoking could end theirs as well.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use oauth2::PkceCodeVerifier;
use rusqlite::OptionalExtension;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Grant, OAuthVault, Tokens, VaultError,
    identity::{Expected, Identity},
    provider::Answer,
    rows::{self, FLOW},
};
use crate::{contract::AddressMismatch, mailbox::normalised};

/// How long a flow lasts, in milliseconds.
const FLOW_LIFETIME: u64 = 10 * 60 * 1_000;
/// The most flows under way.
const FLOWS_LIMIT: u64 = 10_000;
/// The longest code, state or session value, in bytes, and the most of the caller's data.
const TEXT_LIMIT: usize = 8 << 10;

/// A consent to be asked for.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// What only this browser session has: the flow can be finished with nothing else.
    pub session: String,
    /// The mailbox the user asked for (S03), a hint to the consent page as well.
    pub expected_address: Option<String>,
    /// Scopes to ask for beside those that are always needed; needed as well then (S02).
    pub scopes: Vec<String>,
    /// The caller's own; comes back in [`Consent`].
    pub data: String,
}

/// Where to send the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The consent page.
    pub url: Url,
    /// Until when it can be finished, ms since the epoch.
    pub expires_at: u64,
}

/// What the provider sent the browser back with.
#[derive(Clone, Debug)]
pub enum Callback {
    /// `code`.
    Code(SecretString),
    /// `error`.
    Error(String),
}

/// A consent that fits.
#[derive(Debug)]
pub struct Consent {
    /// The caller's own, from [`Begin`].
    pub data: String,
    /// What was granted.
    pub grant: Grant,
    /// For [`OAuthVault::adopt`].
    pub tokens: Tokens,
}

/// Why there is no consent. Nothing was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// The flow is unknown, was used, has expired, or is another browser's.
    #[error(
        "this sign-in is not under way in this browser: it was used already, took too long, or is another's"
    )]
    UnknownFlow,
    /// The user said no.
    #[error("access was declined")]
    Declined,
    /// The provider refused; its code.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// S02: these scopes were left out.
    #[error("access was not granted to everything that is needed")]
    ScopeMissing(Vec<String>),
    /// S03: another mailbox than the one asked for.
    #[error("another mailbox was connected than the one asked for")]
    WrongMailbox(AddressMismatch),
    /// The id token cannot be trusted; why.
    #[error("the provider's identity token is not valid: {0}")]
    Identity(&'static str),
    /// The provider gave nothing that lasts.
    #[error("the provider gave no refresh token")]
    NotLasting,
    /// Not now.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl OAuthVault {
    /// Begins a consent.
    pub async fn begin(&self, begin: Begin) -> Result<Authorization, VaultError> {
        if begin.session.len() > TEXT_LIMIT || begin.data.len() > TEXT_LIMIT {
            return Err(VaultError::Unavailable("the request is over its limit".into()));
        }
        let (state, nonce) = (random_text(), random_text());
        let verifier = PkceCodeVerifier::new(random_text());
        let mut extra = vec![
            ("access_type", "offline"),
            ("prompt", "consent select_account"),
            ("nonce", nonce.as_str()),
        ];
        if let Some(address) = &begin.expected_address {
            extra.push(("login_hint", address));
        }
        let scopes: Vec<String> = self.scopes_with(begin.scopes.iter().map(String::as_str));
        let url = self
            .provider()
            .consent_page(state.clone(), &verifier, scopes, &extra);
        let key = digest(&state);
        let secret = format!("{} {nonce}", verifier.secret()).into();
        let keys = self.keys().clone();
        let now = self.now();
        let expires_at = now + FLOW_LIFETIME;
        self.database()
            .write(move |sql| {
                sql.execute("DELETE FROM vault_flow WHERE expires_at <= ?1", [now])?;
                let flows: u64 = sql.query_row("SELECT count(*) FROM vault_flow", [], |row| row.get(0))?;
                if flows >= FLOWS_LIMIT {
                    return Err(VaultError::Unavailable("too many sign-ins are under way".into()));
                }
                let sealed = rows::seal(sql, &keys, &text_of(&key), FLOW, &secret)?;
                sql.execute(
                    "INSERT INTO vault_flow (state, session, secret, expected, scopes, data, expires_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    (
                        key,
                        digest(&begin.session),
                        sealed,
                        begin.expected_address,
                        begin.scopes.join(" "),
                        begin.data,
                        expires_at,
                    ),
                )?;
                Ok(())
            })
            .await?;
        Ok(Authorization { url, expires_at })
    }

    /// Finishes a consent with what the provider sent the browser back with.
    pub async fn finish(
        &self,
        state: &str,
        session: &str,
        callback: Callback,
    ) -> Result<Consent, ConsentError> {
        let (flow, verifier) = self.take_flow(state, session).await?;
        let code = match callback {
            Callback::Code(code) if code.expose_secret().len() <= TEXT_LIMIT => code,
            Callback::Code(_) => return Err(ConsentError::Refused("code_over_limit".into())),
            Callback::Error(error) if error == "access_denied" => return Err(ConsentError::Declined),
            Callback::Error(error) => return Err(ConsentError::Refused(error_code(error))),
        };
        let answer = self
            .provider()
            .exchange(code.expose_secret().to_owned(), verifier)
            .await
            .map_err(|error| match error {
                VaultError::ReconnectNeeded => ConsentError::Refused("invalid_grant".into()),
                other => other.into(),
            })?;
        let identity = Identity::read(
            answer.id_token.as_ref(),
            &Expected {
                issuers: &self.provider().endpoints().issuers,
                client: &self.provider().config().client_id,
                nonce: &flow.nonce,
                now: self.now() / 1_000,
            },
        )
        .map_err(ConsentError::Identity)?;
        let fits = check(&answer, &identity, &flow);
        let refresh = match fits {
            Ok(refresh) => refresh,
            Err(error) => {
                self.give_back(&answer, &identity.sub).await;
                return Err(error);
            }
        };
        let grant = Grant {
            subject: identity.sub,
            email: identity.email,
            scopes: granted(&answer, &flow.scopes),
        };
        Ok(Consent {
            data: flow.data,
            tokens: Tokens {
                grant: grant.clone(),
                access: answer.access,
                refresh,
                expires_at: self.now().saturating_add(answer.lifetime),
                lasts_until: answer
                    .refresh_lifetime
                    .map(|lifetime| self.now().saturating_add(lifetime)),
            },
            grant,
        })
    }

    /// Takes the flow out: it is used once, whatever comes of it.
    async fn take_flow(&self, state: &str, session: &str) -> Result<(Flow, PkceCodeVerifier), ConsentError> {
        if state.len() > TEXT_LIMIT || session.len() > TEXT_LIMIT {
            return Err(ConsentError::UnknownFlow);
        }
        let key = digest(state);
        let row = self
            .database()
            .write(move |sql| -> Result<_, VaultError> {
                let row = sql
                    .query_row(
                        "DELETE FROM vault_flow WHERE state = ?1
                         RETURNING session, secret, expected, scopes, data, expires_at",
                        [key],
                        |row| {
                            Ok(Row {
                                session: row.get(0)?,
                                secret: row.get(1)?,
                                expected: row.get(2)?,
                                scopes: row.get(3)?,
                                data: row.get(4)?,
                                expires_at: row.get(5)?,
                            })
                        },
                    )
                    .optional()?;
                Ok(row)
            })
            .await?
            .ok_or(ConsentError::UnknownFlow)?;
        if row.session != digest(session) || row.expires_at <= self.now() {
            return Err(ConsentError::UnknownFlow);
        }
        let secret = self.keys().open_sealed(&text_of(&key), FLOW, &row.secret)?;
        let (verifier, nonce) = secret
            .expose_secret()
            .split_once(' ')
            .ok_or(ConsentError::Vault(VaultError::Sealed))?;
        let verifier = PkceCodeVerifier::new(verifier.to_owned());
        let flow = Flow {
            nonce: nonce.to_owned(),
            expected: row.expected,
            scopes: self.scopes_with(row.scopes.split_whitespace()),
            data: row.data,
        };
        Ok((flow, verifier))
    }

    /// The scopes that are always asked for, and these.
    fn scopes_with<'s>(&self, more: impl Iterator<Item = &'s str>) -> Vec<String> {
        let always = &self.provider().config().scopes;
        always.iter().cloned().chain(more.map(str::to_owned)).collect()
    }

    async fn give_back(&self, answer: &Answer, subject: &str) {
        match self.is_held(subject).await {
            Ok(false) => {
                let token = answer.refresh.as_ref().unwrap_or(&answer.access);
                self.provider().revoke(token).await;
            }
            Ok(true) => {}
            Err(error) => tracing::warn!(%error, "a grant that does not fit was not given back"),
        }
    }
}

struct Row {
    session: [u8; 32],
    secret: Vec<u8>,
    expected: Option<String>,
    scopes: String,
    data: String,
    expires_at: u64,
}

struct Flow {
    nonce: String,
    expected: Option<String>,
    /// All that were asked for.
    scopes: Vec<String>,
    data: String,
}

/// S02, S03, and that the grant lasts: its refresh token.
fn check(answer: &Answer, identity: &Identity, flow: &Flow) -> Result<SecretString, ConsentError> {
    let granted: BTreeSet<String> = granted(answer, &flow.scopes).into_iter().collect();
    let missing: Vec<String> = flow
        .scopes
        .iter()
        .filter(|scope| !granted.contains(full_scope(scope)))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(ConsentError::ScopeMissing(missing));
    }
    if let Some(expected) = flow.expected.as_deref()
        && !same_mailbox(expected, &identity.email)
    {
        return Err(ConsentError::WrongMailbox(AddressMismatch {
            expected: expected.to_owned(),
            found: identity.email.clone(),
        }));
    }
    answer.refresh.clone().ok_or(ConsentError::NotLasting)
}

/// What was granted where this was asked for; an answer without scopes granted all (RFC 6749, 5.1).
fn granted(answer: &Answer, asked: &[String]) -> Vec<String> {
    let granted = answer.scopes.as_deref().unwrap_or(asked);
    granted.iter().map(|scope| full_scope(scope).to_owned()).collect()
}

/// Google answers the short names of OpenID Connect's scopes with its own
/// (<https://developers.google.com/identity/protocols/oauth2/scopes#oauth2>).
fn full_scope(scope: &str) -> &str {
    match scope {
        "email" => "https://www.googleapis.com/auth/userinfo.email",
        "profile" => "https://www.googleapis.com/auth/userinfo.profile",
        other => other,
    }
}

/// Whether both addresses are of one Google mailbox.
fn same_mailbox(one: &str, other: &str) -> bool {
    normalised(one) == normalised(other)
}

/// The provider's code, if it is one (RFC 6749, 4.1.2.1, and Google's): it comes by the browser, from
/// anyone, and is shown.
fn error_code(text: String) -> String {
    let is_code = (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|character| matches!(character, 'a'..='z' | '0'..='9' | '_'));
    if is_code { text } else { "unknown_error".into() }
}

/// 256 bits in 43 characters: as long as PKCE wants its verifier at least (RFC 7636, 4.1).
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn text_of(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
