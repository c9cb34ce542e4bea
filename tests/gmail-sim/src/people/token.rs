//! Page tokens and sync tokens: opaque, good for the account they were given to, and for the request they continue.
//!
//! They carry what they stand for, so nothing has to be kept for them; a mark in front tells those that were made up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes of the mark.
const MARK: usize = 9;

/// Where a listing stands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Only changes after this position; `None` lists everybody.
    pub(super) after: Option<usize>,
    /// Only changes up to this position.
    pub(super) until: usize,
    /// How many were listed before.
    pub(super) offset: usize,
    /// When the sync that the next sync token belongs to began, on the steady clock.
    pub(super) synced_at: i64,
}

/// What a page token stands for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PageToken {
    pub(super) cursor: Cursor,
    /// When it was given out, on the steady clock.
    pub(super) given_at: i64,
    pub(super) epoch: u64,
    /// Fingerprint of the request.
    pub(super) asked: String,
}

/// What a sync token stands for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SyncToken {
    /// The position up to which changes are known.
    pub(super) position: usize,
    /// When its full sync began, on the steady clock.
    pub(super) synced_at: i64,
    pub(super) epoch: u64,
    /// Fingerprint of the request.
    pub(super) asked: String,
}

/// A token's kind, so that none passes for one of another kind.
pub(super) trait Kind: Serialize + DeserializeOwned {
    const NAME: &'static str;
}

impl Kind for PageToken {
    const NAME: &'static str = "page";
}

impl Kind for SyncToken {
    const NAME: &'static str = "sync";
}

/// A token for an account, as its client gets it.
pub(super) fn seal<T: Kind>(owner: &str, token: &T) -> String {
    let content = serde_json::to_vec(token).unwrap_or_default();
    let mut bytes = mark::<T>(owner, &content);
    bytes.extend(content);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a token stands for; `None` if it was not given to this account.
pub(super) fn open<T: Kind>(owner: &str, text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (marked, content) = bytes.split_at_checked(MARK)?;
    if marked != mark::<T>(owner, content) {
        return None;
    }
    serde_json::from_slice(content).ok()
}

/// A short stand-in for a text.
pub(super) fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text);
    URL_SAFE_NO_PAD.encode(digest.get(..MARK).unwrap_or_default())
}

fn mark<T: Kind>(owner: &str, content: &[u8]) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(T::NAME);
    digest.update(owner);
    digest.update(content);
    digest.finalize().iter().copied().take(MARK).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_account_and_its_kind_alone() {
        let token = SyncToken {
            position: 3,
            synced_at: 7,
            epoch: 0,
            asked: fingerprint("names"),
        };
        let text = seal("1", &token);
        assert_eq!(open::<SyncToken>("1", &text).unwrap().position, 3);
        assert!(open::<SyncToken>("2", &text).is_none());
        assert!(open::<PageToken>("1", &text).is_none());
        for wrong in ["", "x", "!", &text[1..]] {
            assert!(open::<SyncToken>("1", wrong).is_none(), "{wrong}");
        }
    }
}
