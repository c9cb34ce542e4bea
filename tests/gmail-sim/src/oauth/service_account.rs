//! Service accounts: an access token for an assertion that is signed with the account's key (RFC 7523;
//! <https://developers.google.com/identity/protocols/oauth2/service-account>).

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{Keypair, Verifier};
use serde_json::{Value, json};

use super::ACCESS_MS;
use super::token::{DEAD_ASSERTION, MISSING_ASSERTION, Refusal};
use crate::api::Query;
use crate::world::World;

/// `grant_type` of an assertion.
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The key of every service account here, in the source for everyone to read.
const KEY: &str = include_str!("service_account_key.pem");
/// Its id.
const KEY_ID: &str = "gmail-sim-service-account-key";
/// Scopes, any one of which allows pulling.
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/pubsub",
    "https://www.googleapis.com/auth/cloud-platform",
];
/// How far a client's clock may be off, in seconds.
const SKEW: i64 = 300;

/// A service account's token.
#[derive(Clone, Debug)]
pub(super) struct Robot {
    account: String,
    expires_at: i64,
}

/// The key file of a service account, as the Cloud console makes it; tokens are had at `origin`.
pub fn service_account_key(email: &str, origin: &str) -> String {
    json!({
        "type": "service_account",
        "project_id": "gmail-sim",
        "private_key_id": KEY_ID,
        "private_key": KEY,
        "client_email": email,
        "client_id": "100000000000000000002",
        "token_uri": format!("{origin}/token"),
    })
    .to_string()
}

impl super::Oauth {
    /// Whose token this is, if it is a service account's and has not expired.
    pub(crate) fn robot(&self, token: &str, now: i64) -> Option<&String> {
        let robot = self.robots.get(token)?;
        (robot.expires_at > now).then_some(&robot.account)
    }
}

/// A token for an assertion.
pub(super) fn by_assertion(world: &mut World, form: &Query) -> Result<Value, Refusal> {
    let assertion = form.get("assertion").ok_or(MISSING_ASSERTION)?;
    let claims = verified(assertion).ok_or(DEAD_ASSERTION)?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default();
    let number = |name: &str| claims[name].as_i64().unwrap_or_default();
    let now = world.now().div_euclid(1000);
    let (issued, expires) = (number("iat"), number("exp"));
    let holds = text("aud").ends_with("/token")
        && text("iss").contains('@')
        && text("scope").split(' ').any(|scope| SCOPES.contains(&scope))
        && issued <= now + SKEW
        && expires > now - SKEW
        && expires - issued <= 3_600;
    if !holds {
        return Err(DEAD_ASSERTION);
    }
    let token = format!("ya29.c.{}", world.token(150));
    let robot = Robot {
        account: text("iss").to_owned(),
        expires_at: world.now() + ACCESS_MS,
    };
    world.oauth.robots.insert(token.clone(), robot);
    Ok(json!({"access_token": token, "expires_in": ACCESS_MS / 1000 - 1, "token_type": "Bearer"}))
}

/// The claims of an assertion that the key has signed with RS256.
fn verified(assertion: &str) -> Option<Value> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let signature = Signature::try_from(URL_SAFE_NO_PAD.decode(signature).ok()?.as_slice()).ok()?;
    key().verify(signed.as_bytes(), &signature).ok()?;
    if json(header)?["alg"] != "RS256" {
        return None;
    }
    json(claims)
}

#[expect(
    clippy::expect_used,
    reason = "the PEM is part of the source; a test reads it"
)]
fn key() -> &'static VerifyingKey<Sha256> {
    static KEY_READ: OnceLock<VerifyingKey<Sha256>> = OnceLock::new();
    KEY_READ.get_or_init(|| {
        let key = RsaPrivateKey::from_pkcs8_pem(KEY).expect("the test key is PKCS #8");
        SigningKey::<Sha256>::new(key).verifying_key()
    })
}
