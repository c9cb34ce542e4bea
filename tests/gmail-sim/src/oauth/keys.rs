//! The signing keys, JWKS, and the two kinds of token that are signed: id_tokens and the bearer of a push.
//!
//! The keys are fixed ones for tests, in the source for everyone to read: a signature by them proves nothing outside a
//! test. They are read when the first token is signed, not before.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::PushEndpoint;

/// `iss` of every token.
pub(crate) const ISSUER: &str = "https://accounts.google.com";
/// `kid` of the first key; later ones have a number behind it.
const KEY_ID: &str = "gmail-sim-test-key";
/// The service account of the pushes.
const PUSH_SUBJECT: &str = "100000000000000000001";
/// How long a token of a push is valid, in seconds.
const PUSH_SECONDS: i64 = 3600;
/// How long one is used again, in milliseconds.
const PUSH_TOKEN_KEPT_MS: i64 = 600_000;

/// What is wrong with the token of a forged push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenFlaw {
    /// Signed by another key under the published `kid`.
    WrongKey,
    /// Signed by another key under a `kid` that is not published.
    UnknownKey,
    /// `alg` `none`, no signature (RFC 8725, section 2.1).
    Unsigned,
    /// `aud` is somebody else's.
    WrongAudience,
    /// `email` is another service account's: any customer of Google can have such a token.
    WrongEmail,
    /// `email_verified` is false.
    UnverifiedEmail,
    /// `iss` is not Google.
    WrongIssuer,
    /// `exp` was an hour ago.
    Expired,
    /// `iat` is in an hour.
    NotYetValid,
    /// There is no token.
    Missing,
}

impl TokenFlaw {
    /// Each of them.
    pub const ALL: &'static [Self] = &[
        Self::WrongKey,
        Self::UnknownKey,
        Self::Unsigned,
        Self::WrongAudience,
        Self::WrongEmail,
        Self::UnverifiedEmail,
        Self::WrongIssuer,
        Self::Expired,
        Self::NotYetValid,
        Self::Missing,
    ];
}

/// The keys in use: one signs, and that one and the one before are published.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keys {
    rotations: u64,
}

impl Keys {
    /// Signs with a new key from now on.
    pub(crate) fn rotate(&mut self) {
        self.rotations += 1;
    }

    /// A JWT (RFC 7519) with RS256.
    pub(crate) fn sign(self, claims: &Value) -> String {
        sign(&key_id(self.rotations), own_key(self.rotations), claims)
    }

    /// The public keys as a JWK set (RFC 7517).
    pub(crate) fn jwks(self) -> Value {
        let published = self.rotations.saturating_sub(1)..=self.rotations;
        let keys: Vec<Value> = published.rev().map(jwk).collect();
        json!({"keys": keys})
    }

    /// The same keys as X.509 certificates by `kid`, as Google's Python library asks for them by default.
    pub(crate) fn certificates(self) -> Value {
        let published = self.rotations.saturating_sub(1)..=self.rotations;
        let by_id = published.map(|rotation| (key_id(rotation), json!(certificate(rotation))));
        Value::Object(by_id.collect())
    }

    /// The bearer token of a push: an OIDC token of the endpoint's service account, valid for an hour, unless it has a
    /// flaw. `None` where the flaw is that there is none.
    pub(crate) fn push_token(
        self,
        endpoint: &PushEndpoint,
        now_ms: i64,
        flaw: Option<TokenFlaw>,
    ) -> Option<String> {
        let claims = push_claims(endpoint, now_ms, flaw);
        Some(match flaw {
            Some(TokenFlaw::Missing) => return None,
            Some(TokenFlaw::Unsigned) => unsigned(&claims),
            Some(TokenFlaw::WrongKey) => sign(&key_id(self.rotations), foreign_key(), &claims),
            Some(TokenFlaw::UnknownKey) => sign("somebody-elses-key", foreign_key(), &claims),
            _ => self.sign(&claims),
        })
    }
}

/// Tokens of pushes that are used again for a while, as Google does; signing is what costs most in a push.
#[derive(Debug, Default)]
pub(crate) struct PushTokens(BTreeMap<(String, String, Option<TokenFlaw>), (i64, String)>);

impl PushTokens {
    /// A token for an endpoint, with a flaw or without, by the key in use; `None` where the flaw is that there is none.
    pub(crate) fn get(
        &mut self,
        keys: Keys,
        endpoint: &PushEndpoint,
        now_ms: i64,
        flaw: Option<TokenFlaw>,
    ) -> Option<String> {
        let whose = (endpoint.audience.clone(), endpoint.service_account.clone(), flaw);
        let kept = self.0.get(&whose);
        if let Some((_, token)) =
            kept.filter(|(made_at, _)| (0..PUSH_TOKEN_KEPT_MS).contains(&(now_ms - made_at)))
        {
            return Some(token.clone());
        }
        let token = keys.push_token(endpoint, now_ms, flaw)?;
        self.0.insert(whose, (now_ms, token.clone()));
        Some(token)
    }

    /// Makes all anew from now on.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

/// The bearer token of a push, signed by the first key: an OIDC token of the endpoint's service account, valid for an
/// hour. After a rotation use [`crate::Sim::push_token`].
pub fn push_token(endpoint: &PushEndpoint, now_ms: i64) -> String {
    Keys::default().sign(&push_claims(endpoint, now_ms, None))
}

fn push_claims(endpoint: &PushEndpoint, now_ms: i64, flaw: Option<TokenFlaw>) -> Value {
    let now = now_ms.div_euclid(1000);
    let has = |wanted: TokenFlaw| flaw == Some(wanted);
    let issued = match flaw {
        Some(TokenFlaw::Expired) => now - 2 * PUSH_SECONDS,
        Some(TokenFlaw::NotYetValid) => now + PUSH_SECONDS,
        _ => now,
    };
    json!({
        "iss": if has(TokenFlaw::WrongIssuer) { "https://accounts.attacker.test" } else { ISSUER },
        "aud": if has(TokenFlaw::WrongAudience) { "https://another.test/push" } else { endpoint.audience.as_str() },
        "azp": PUSH_SUBJECT,
        "sub": PUSH_SUBJECT,
        "email": if has(TokenFlaw::WrongEmail) {
            "push@attacker.iam.gserviceaccount.com"
        } else {
            endpoint.service_account.as_str()
        },
        "email_verified": !has(TokenFlaw::UnverifiedEmail),
        "iat": issued,
        "exp": issued + PUSH_SECONDS,
    })
}

fn sign(key_id: &str, key: &SigningKey<Sha256>, claims: &Value) -> String {
    let signed = unsigned_parts(&json!({"alg": "RS256", "kid": key_id, "typ": "JWT"}), claims);
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", encode(&signature.to_vec()))
}

fn unsigned(claims: &Value) -> String {
    format!(
        "{}.",
        unsigned_parts(&json!({"alg": "none", "typ": "JWT"}), claims)
    )
}

fn unsigned_parts(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| encode(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

fn jwk(rotation: u64) -> Value {
    let public: &rsa::RsaPublicKey = own_key(rotation).as_ref().as_ref();
    json!({
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "kid": key_id(rotation),
        "n": encode(&public.n().to_bytes_be()),
        "e": encode(&public.e().to_bytes_be()),
    })
}

fn key_id(rotation: u64) -> String {
    match rotation {
        0 => KEY_ID.to_owned(),
        later => format!("{KEY_ID}-{later}"),
    }
}

/// Two keys take turns under ever new names: only neighbours are published together.
fn own_key(rotation: u64) -> &'static SigningKey<Sha256> {
    static FIRST: OnceLock<SigningKey<Sha256>> = OnceLock::new();
    static SECOND: OnceLock<SigningKey<Sha256>> = OnceLock::new();
    if rotation.is_multiple_of(2) {
        FIRST.get_or_init(|| read(include_str!("test_key.pem")))
    } else {
        SECOND.get_or_init(|| read(include_str!("second_key.pem")))
    }
}

/// The certificate of a key, self-signed.
fn certificate(rotation: u64) -> &'static str {
    if rotation.is_multiple_of(2) {
        include_str!("test_cert.pem")
    } else {
        include_str!("second_cert.pem")
    }
}

/// A key that is never published.
fn foreign_key() -> &'static SigningKey<Sha256> {
    static KEY: OnceLock<SigningKey<Sha256>> = OnceLock::new();
    KEY.get_or_init(|| read(include_str!("foreign_key.pem")))
}

#[expect(
    clippy::expect_used,
    reason = "the PEMs are part of the source; a test reads them"
)]
fn read(pem: &str) -> SigningKey<Sha256> {
    SigningKey::new(RsaPrivateKey::from_pkcs8_pem(pem).expect("the test keys are PKCS #8"))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use rsa::pkcs1v15::{Signature, VerifyingKey};
    use rsa::signature::Verifier;

    use super::*;

    /// Whether a token verifies with the published key that its header names.
    fn verifies(keys: Keys, token: &str) -> bool {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let header = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().0).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        let jwks = keys.jwks();
        let published = jwks["keys"].as_array().unwrap().iter();
        let Some(jwk) = published.into_iter().find(|jwk| jwk["kid"] == header["kid"]) else {
            return false;
        };
        let number = |name: &str| {
            rsa::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap())
        };
        let public = rsa::RsaPublicKey::new(number("n"), number("e")).unwrap();
        let signature = Signature::try_from(URL_SAFE_NO_PAD.decode(signature).unwrap().as_slice()).unwrap();
        VerifyingKey::<Sha256>::new(public)
            .verify(signed.as_bytes(), &signature)
            .is_ok()
    }

    #[test]
    fn signatures_verify_with_the_published_keys_until_the_second_rotation() {
        let mut keys = Keys::default();
        let token = keys.sign(&json!({"sub": "1"}));
        assert!(verifies(keys, &token));
        keys.rotate();
        assert!(verifies(keys, &token));
        assert!(verifies(keys, &keys.sign(&json!({"sub": "1"}))));
        keys.rotate();
        assert!(!verifies(keys, &token));
    }

    #[test]
    fn each_flaw_is_where_it_should_be() {
        let keys = Keys::default();
        let endpoint = PushEndpoint {
            url: "http://x.test".into(),
            audience: "aud".into(),
            service_account: "push@p.test".into(),
            subscription: "s".into(),
        };
        let good = keys.push_token(&endpoint, 0, None).unwrap();
        assert!(verifies(keys, &good));
        let forged = [TokenFlaw::WrongKey, TokenFlaw::UnknownKey];
        for flaw in TokenFlaw::ALL {
            let Some(token) = keys.push_token(&endpoint, 0, Some(*flaw)) else {
                assert_eq!(*flaw, TokenFlaw::Missing);
                continue;
            };
            assert_ne!(token, good);
            if *flaw == TokenFlaw::Unsigned {
                assert!(token.ends_with('.'));
            } else {
                assert_eq!(verifies(keys, &token), !forged.contains(flaw), "{flaw:?}");
            }
            let claims = |token: &str| token.split('.').nth(1).unwrap().to_owned();
            let same = forged.contains(flaw) || *flaw == TokenFlaw::Unsigned;
            assert_eq!(claims(&token) == claims(&good), same, "{flaw:?}");
        }
    }
}
