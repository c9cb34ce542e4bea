//! The signature of Standard Webhooks: HMAC-SHA256 over id, time and body, so that a receiver knows who sent an event, that
//! nobody changed it, and that it is not an old one sent again.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// How secrets begin.
const PREFIX: &str = "whsec_";
/// Bytes of a secret; the specification wants 24 to 64.
const LENGTH: usize = 32;

/// A new secret, as its receiver is shown it.
pub(super) fn new_secret() -> SecretString {
    let bytes: [u8; LENGTH] = rand::random();
    format!("{PREFIX}{}", STANDARD.encode(bytes)).into()
}

/// What `webhook-signature` says. `at` is `webhook-timestamp`, in seconds since the epoch.
pub(super) fn sign(secret: &SecretString, id: &str, at: u64, body: &str) -> String {
    let text = secret.expose_secret();
    let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
    // Whoever brings a secret that is no base64 means its bytes.
    let key = STANDARD
        .decode(encoded)
        .unwrap_or_else(|_| encoded.as_bytes().to_vec());
    // INVARIANT: HMAC takes keys of any length.
    #[expect(clippy::expect_used, reason = "see the invariant")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
    for piece in [id, ".", &at.to_string(), ".", body] {
        mac.update(piece.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn signs_as_standard_webhooks_does() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = r#"{"test": 2432232314}"#;
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_is_its_own_and_long_enough() {
        let (one, other) = (new_secret(), new_secret());
        assert_ne!(one.expose_secret(), other.expose_secret());
        let bytes = STANDARD.decode(&one.expose_secret()[PREFIX.len()..]).unwrap();
        assert_eq!(bytes.len(), LENGTH);
    }
}
