//! The signing key, JWKS, and the two kinds of token that are signed: id_tokens and the bearer of a push.
//!
//! The key is a fixed one for tests, in the source for everyone to read: a signature by it proves nothing outside a test.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};

use crate::config::PushEndpoint;

/// `iss` of every token.
pub(crate) const ISSUER: &str = "https://accounts.google.com";
const KEY_ID: &str = "gmail-sim-test-key";
const TEST_KEY: &str = include_str!("test_key.pem");

/// The bearer token of a push: an OIDC token of the endpoint's service account, valid for an hour.
pub fn push_token(endpoint: &PushEndpoint, now_ms: i64) -> String {
    let now = now_ms.div_euclid(1000);
    sign(&json!({
        "iss": ISSUER,
        "aud": endpoint.audience,
        "azp": "100000000000000000001",
        "sub": "100000000000000000001",
        "email": endpoint.service_account,
        "email_verified": true,
        "iat": now,
        "exp": now + 3600,
    }))
}

/// A JWT (RFC 7519) with RS256.
pub(crate) fn sign(claims: &Value) -> String {
    let header = json!({"alg": "RS256", "kid": KEY_ID, "typ": "JWT"});
    let signed = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = key().sign(signed.as_bytes());
    format!("{signed}.{}", encode(&signature.to_vec()))
}

/// The public key as a JWK set (RFC 7517).
pub(crate) fn jwks() -> Value {
    let public: &rsa::RsaPublicKey = key().as_ref().as_ref();
    json!({"keys": [{
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "kid": KEY_ID,
        "n": encode(&public.n().to_bytes_be()),
        "e": encode(&public.e().to_bytes_be()),
    }]})
}

fn key() -> &'static SigningKey<Sha256> {
    static KEY: OnceLock<SigningKey<Sha256>> = OnceLock::new();
    #[expect(
        clippy::expect_used,
        reason = "the PEM is part of the source; a test reads it"
    )]
    KEY.get_or_init(|| {
        SigningKey::new(RsaPrivateKey::from_pkcs8_pem(TEST_KEY).expect("the test key is PKCS #8"))
    })
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use rsa::pkcs1v15::{Signature, VerifyingKey};
    use rsa::signature::Verifier;

    use super::*;

    #[test]
    fn signatures_verify_with_the_published_key() {
        let token = sign(&json!({"sub": "1"}));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let number = |name: &str| {
            let text = jwks()["keys"][0][name].as_str().unwrap().to_owned();
            rsa::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(text).unwrap())
        };
        let public = rsa::RsaPublicKey::new(number("n"), number("e")).unwrap();
        let signature = Signature::try_from(URL_SAFE_NO_PAD.decode(signature).unwrap().as_slice()).unwrap();
        VerifyingKey::<Sha256>::new(public)
            .verify(signed.as_bytes(), &signature)
            .unwrap();
    }
}
