//! Sealing at rest: XChaCha20-Poly1305 with a random nonce (192 bits: random ones do not collide,
//! <https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha-03>).
//!
//! What is sealed is bound to its owner and purpose: moved to another row it does not open. It names
//! its key, so keys can be rotated: new ones seal, older ones still open ([`super::ring`] reads them
//! from a file, [`super::rotate`] takes their place).

use std::{fmt, io};

use base64::{Engine, engine::general_purpose};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};

use super::VaultError;
use crate::hex::hex;

const FORMAT: u8 = 1;
const KEY_ID: usize = 8;
const NONCE: usize = 24;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is neither 64 hexadecimal digits nor base64 of 32 bytes.
    #[error("a sealing key has 32 bytes, as 64 hexadecimal digits or base64")]
    Malformed,
    /// The file has no key, or more than a ring can hold.
    #[error("a file of sealing keys has one key a line, 16 at most")]
    Count,
    /// The file cannot be read or made.
    #[error("the sealing key's file: {0}")]
    File(#[from] io::Error),
}

/// The name of a key: it says which key it is, and nothing of its bytes. Shown as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID]);

impl KeyId {
    /// The key that something was sealed with, if it was sealed.
    pub(super) fn of(sealed: &[u8]) -> Option<Self> {
        let (&FORMAT, rest) = sealed.split_first()? else {
            return None;
        };
        rest.first_chunk().copied().map(Self)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// One key of 32 bytes.
#[derive(Clone)]
pub struct SealingKey {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl SealingKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let digest: [u8; 32] = Sha256::new_with_prefix(b"twinbox sealing key id\0")
            .chain_update(bytes)
            .finalize()
            .into();
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest[..KEY_ID]);
        Self {
            id: KeyId(id),
            cipher: XChaCha20Poly1305::new(Key::from_slice(bytes)),
        }
    }

    /// A key as text, as it comes in an environment variable: 64 hexadecimal digits or base64.
    pub fn from_text(text: &SecretString) -> Result<Self, KeyError> {
        let text = text.expose_secret().trim();
        let bytes: SecretSlice<u8> = hexadecimal(text)
            .or_else(|| general_purpose::STANDARD.decode(text).ok())
            .or_else(|| general_purpose::URL_SAFE_NO_PAD.decode(text).ok())
            .ok_or(KeyError::Malformed)?
            .into();
        let bytes: &[u8; 32] = bytes
            .expose_secret()
            .try_into()
            .map_err(|_| KeyError::Malformed)?;
        Ok(Self::from_bytes(bytes))
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealingKey")
            .field(&format_args!("{}", self.id))
            .finish()
    }
}

/// The key that seals, and those that only open what was sealed before.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    current: SealingKey,
    older: Vec<SealingKey>,
}

impl SealingKeys {
    /// Keys in use.
    pub fn new(current: SealingKey, older: Vec<SealingKey>) -> Self {
        Self { current, older }
    }

    /// The key that seals.
    pub fn current(&self) -> KeyId {
        self.current.id
    }

    /// All keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.all().map(|key| key.id)
    }

    fn all(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// Takes in what another has and this has not. They open from here on.
    pub(super) fn keep(&mut self, other: &Self) {
        for key in other.all() {
            if !self.ids().any(|id| id == key.id) {
                self.older.push(key.clone());
            }
        }
    }

    /// Seals a secret for its owner (a connection) and purpose.
    pub fn seal(&self, owner: &str, purpose: &str, secret: &SecretString) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload {
            msg: secret.expose_secret().as_bytes(),
            aad: &bound_to(owner, purpose),
        };
        let sealed = self
            .current
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| VaultError::Sealed)?;
        Ok([&[FORMAT], self.current.id.as_bytes(), &nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for the same owner and purpose by any of the keys.
    pub fn open(&self, owner: &str, purpose: &str, sealed: &[u8]) -> Result<SecretString, VaultError> {
        let id = KeyId::of(sealed).ok_or(VaultError::Sealed)?;
        let rest = sealed.get(1 + KEY_ID..).ok_or(VaultError::Sealed)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE).ok_or(VaultError::Sealed)?;
        let key = self.all().find(|key| key.id == id).ok_or(VaultError::Sealed)?;
        let payload = Payload {
            msg: ciphertext,
            aad: &bound_to(owner, purpose),
        };
        let opened = key
            .cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| VaultError::Sealed)?;
        let text = String::from_utf8(opened).map_err(|_| VaultError::Sealed)?;
        Ok(text.into())
    }
}

/// The associated data. The length keeps `ab` + `c` apart from `a` + `bc`.
fn bound_to(owner: &str, purpose: &str) -> Vec<u8> {
    let length = (owner.len() as u64).to_be_bytes();
    [
        b"twinbox seal\0",
        &length[..],
        owner.as_bytes(),
        purpose.as_bytes(),
    ]
    .concat()
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes(&[byte; 32])
    }

    fn keys(byte: u8) -> SealingKeys {
        SealingKeys::new(key(byte), Vec::new())
    }

    #[test]
    fn a_secret_opens_only_for_its_owner_and_purpose_and_unchanged() {
        let keys = keys(1);
        let sealed = keys.seal("ab", "c", &"token".into()).unwrap();
        assert_eq!(keys.open("ab", "c", &sealed).unwrap().expose_secret(), "token");
        for (owner, purpose) in [("a", "bc"), ("ab", "d"), ("x", "c")] {
            assert!(matches!(
                keys.open(owner, purpose, &sealed),
                Err(VaultError::Sealed)
            ));
        }
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(keys.open("ab", "c", &changed).is_err());
            assert!(keys.open("ab", "c", &sealed[..position]).is_err());
        }
    }

    #[test]
    fn two_seals_of_one_secret_differ_and_do_not_contain_it() {
        let first = keys(1).seal("a", "p", &"token".into()).unwrap();
        let second = keys(1).seal("a", "p", &"token".into()).unwrap();
        assert_ne!(first, second);
        assert!(!first.windows(5).any(|window| window == b"token"));
    }

    #[test]
    fn after_a_rotation_older_keys_open_and_unknown_keys_do_not() {
        let sealed = keys(1).seal("a", "p", &"token".into()).unwrap();
        let rotated = SealingKeys::new(key(2), vec![key(1)]);
        assert_eq!(rotated.open("a", "p", &sealed).unwrap().expose_secret(), "token");
        let again = rotated.seal("a", "p", &"token".into()).unwrap();
        assert!(keys(1).open("a", "p", &again).is_err());
        assert!(keys(2).open("a", "p", &again).is_ok());
    }

    #[test]
    fn a_key_comes_from_hexadecimal_or_base64_text() {
        let sealed = keys(0xab).seal("a", "p", &"token".into()).unwrap();
        for text in ["ab".repeat(32), general_purpose::STANDARD.encode([0xab; 32])] {
            let key = SealingKey::from_text(&text.into()).unwrap();
            assert!(SealingKeys::new(key, Vec::new()).open("a", "p", &sealed).is_ok());
        }
        for text in ["", "ab", &"zz".repeat(32), &"ab".repeat(31)] {
            assert!(SealingKey::from_text(&text.into()).is_err());
        }
    }
}
