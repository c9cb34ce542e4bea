//! Passwords: Argon2id with 19 MiB, two passes, one lane (OWASP's first recommendation), as a PHC string
//! that says its own parameters.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};
use rand::seq::IndexedRandom;
use secrecy::{ExposeSecret, SecretString};

use super::{People, PeopleError};

/// The shortest password, in characters.
pub const SHORTEST_PASSWORD: usize = 12;
/// The longest password, in bytes: more is not hashed.
pub const LONGEST_PASSWORD: usize = 1_024;
/// Passwords that are hashed at the same time.
pub(super) const AT_ONCE: usize = 2;

/// Of which passwords are made: nothing that looks like another.
const LETTERS: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a password that is made: 116 bits.
const MADE_LENGTH: usize = 20;

/// A password that nobody can guess.
pub fn new_password() -> SecretString {
    let mut random = rand::rng();
    let letters = (0..MADE_LENGTH).filter_map(|_| LETTERS.choose(&mut random));
    letters
        .map(|letter| char::from(*letter))
        .collect::<String>()
        .into()
}

/// Refuses a password that is too short or too long. There are no other rules: they make passwords worse
/// (NIST SP 800-63B-4, 3.1.1.2).
pub(super) fn check(password: &SecretString) -> Result<(), PeopleError> {
    let password = password.expose_secret();
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(PeopleError::Invalid(format!(
            "a password has at least {SHORTEST_PASSWORD} characters"
        )));
    }
    if password.len() > LONGEST_PASSWORD {
        return Err(PeopleError::Invalid(format!(
            "a password has at most {LONGEST_PASSWORD} bytes"
        )));
    }
    Ok(())
}

impl People {
    /// The hash of a password.
    pub(super) async fn hash(&self, password: SecretString) -> Result<String, PeopleError> {
        self.hashing(move || {
            let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
            let hash = hasher()?.hash_password(password.expose_secret().as_bytes(), &salt)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether a hash is this password's. Takes as long without a hash: a login that does not exist is not
    /// told from a wrong password.
    pub(super) async fn matches(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, PeopleError> {
        let too_long = password.expose_secret().len() > LONGEST_PASSWORD;
        self.hashing(move || {
            let password = if too_long { "" } else { password.expose_secret() };
            let Some(hash) = hash else {
                hasher()?.hash_password(password.as_bytes(), &SaltString::encode_b64(&[0; 16])?)?;
                return Ok(false);
            };
            match hasher()?.verify_password(password.as_bytes(), &PasswordHash::new(&hash)?) {
                Ok(()) => Ok(!too_long),
                Err(argon2::password_hash::Error::Password) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, PeopleError> {
        let unavailable = |error: &dyn std::fmt::Display| PeopleError::Unavailable(error.to_string());
        let _turn = self
            .hashing
            .acquire()
            .await
            .map_err(|error| unavailable(&error))?;
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| unavailable(&error))?
            .map_err(|error| unavailable(&error))
    }
}

fn hasher() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(19 * 1024, 2, 1, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}
