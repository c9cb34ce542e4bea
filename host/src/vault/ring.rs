//! The keys in use, read from a file that may change while they are: `twinbox keys rotate` is another
//! process.
//!
//! The file has one key a line, the newest last: that one seals, all of them open. It is looked at
//! before something is sealed, and read again when it is another file than before, or when something
//! was sealed with a key that is not known. A key this process has known opens until the process ends:
//! what was read from the database may have been sealed anew since.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, engine::general_purpose};
use secrecy::{ExposeSecret, SecretString};

use super::{KeyError, SealingKey, SealingKeys, VaultError, seal::KeyId};
use crate::key_file;

/// The most keys of a file: a rotation leaves one.
const KEYS_LIMIT: usize = 16;
/// The largest file read, in bytes.
const FILE_LIMIT: u64 = 16 << 10;

/// Keys that seal and open. Clones are the same ring.
#[derive(Clone, Debug)]
pub struct KeyRing {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    keys: SealingKeys,
    /// Which file they were read from.
    seen: Option<Stamp>,
}

/// What changes when a file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl From<SealingKeys> for KeyRing {
    /// Keys that stay as they are: to rotate them, make a vault with a new key and the old ones, and call
    /// [`seal_anew`](super::seal_anew).
    fn from(keys: SealingKeys) -> Self {
        Self::new(None, Known { keys, seen: None })
    }
}

impl KeyRing {
    /// The keys of a file. It is made, with one new key, for its owner alone, if it is absent.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or made, or is no file of keys.
    pub fn open(file: &Path) -> Result<Self, KeyError> {
        let known = match Known::read(file) {
            Err(KeyError::File(error)) if error.kind() == io::ErrorKind::NotFound => {
                key_file::create_once(file, new_line().expose_secret().as_bytes())?;
                Known::read(file)?
            }
            known => known?,
        };
        Ok(Self::new(Some(file.to_owned()), known))
    }

    /// Its keys, as they are now.
    pub fn keys(&self) -> SealingKeys {
        self.known().keys.clone()
    }

    /// Where it is kept, if it is in a file.
    pub(super) fn file(&self) -> Option<&Path> {
        self.inner.file.as_deref()
    }

    /// Seals with the newest key.
    pub(super) fn seal(
        &self,
        owner: &str,
        purpose: &str,
        secret: &SecretString,
    ) -> Result<Vec<u8>, VaultError> {
        self.look();
        self.known().keys.seal(owner, purpose, secret)
    }

    /// Opens what any of the keys has sealed.
    pub(super) fn open_sealed(
        &self,
        owner: &str,
        purpose: &str,
        sealed: &[u8],
    ) -> Result<SecretString, VaultError> {
        let is_unknown =
            |known: &Known| KeyId::of(sealed).is_some_and(|id| !known.keys.ids().any(|it| it == id));
        if is_unknown(&self.known()) {
            self.reread();
        }
        self.known().keys.open(owner, purpose, sealed)
    }

    /// Reads the file again.
    pub(super) fn reread(&self) {
        let Some(file) = self.file() else { return };
        match Known::read(file) {
            Ok(mut now) => {
                let mut known = self.known();
                now.keys.keep(&known.keys);
                *known = now;
            }
            Err(error) => tracing::warn!(%error, "the sealing keys were not read again; those in use stay"),
        }
    }

    /// Reads the file again if it is another one.
    fn look(&self) {
        let now = self.file().and_then(|file| fs::metadata(file).ok());
        let before = self.known().seen;
        if now.is_some_and(|now| Some(Stamp::of(&now)) != before) {
            self.reread();
        }
    }

    /// Adds a new key, which seals from here on.
    pub(super) fn add(&self, file: &Path) -> Result<(), KeyError> {
        let text = read_text(file)?;
        let kept: Vec<&str> = lines(text.expose_secret()).collect();
        let line = new_line();
        let all = SecretString::from([&kept[..], &[line.expose_secret()]].concat().join("\n"));
        parse(all.expose_secret())?;
        key_file::replace(file, all.expose_secret().as_bytes())?;
        self.reread();
        Ok(())
    }

    /// Takes keys out of the file. Others stay, also those that were added since.
    pub(super) fn remove(&self, file: &Path, retired: &[KeyId]) -> Result<(), KeyError> {
        let text = read_text(file)?;
        let mut left = Vec::new();
        for line in lines(text.expose_secret()) {
            if !retired.contains(&SealingKey::from_text(&line.into())?.id()) {
                left.push(line);
            }
        }
        let left = SecretString::from(left.join("\n"));
        parse(left.expose_secret())?;
        key_file::replace(file, left.expose_secret().as_bytes())?;
        self.reread();
        Ok(())
    }

    /// The keys of the file and no other.
    pub(super) fn keys_of_file(file: &Path) -> Result<SealingKeys, KeyError> {
        Ok(Known::read(file)?.keys)
    }

    fn new(file: Option<PathBuf>, known: Known) -> Self {
        Self {
            inner: Arc::new(Inner {
                file,
                known: Mutex::new(known),
            }),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn read(file: &Path) -> Result<Self, KeyError> {
        // Before the text: a file that is replaced meanwhile is read again.
        let seen = Stamp::of(&fs::metadata(file)?);
        Ok(Self {
            keys: parse(read_text(file)?.expose_secret())?,
            seen: Some(seen),
        })
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn read_text(file: &Path) -> Result<SecretString, KeyError> {
    if fs::metadata(file)?.len() > FILE_LIMIT {
        return Err(KeyError::Count);
    }
    Ok(fs::read_to_string(file)?.into())
}

fn parse(text: &str) -> Result<SealingKeys, KeyError> {
    let keys: Result<Vec<_>, _> = lines(text)
        .map(|line| SealingKey::from_text(&line.into()))
        .collect();
    let mut keys = keys?;
    if keys.len() > KEYS_LIMIT {
        return Err(KeyError::Count);
    }
    let newest = keys.pop().ok_or(KeyError::Count)?;
    keys.reverse();
    Ok(SealingKeys::new(newest, keys))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn new_line() -> SecretString {
    general_purpose::STANDARD
        .encode(rand::random::<[u8; 32]>())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        let first = KeyRing::open(&path).unwrap();
        let second = KeyRing::open(&path).unwrap();
        let sealed = first.seal("a", "p", &"token".into()).unwrap();
        assert!(second.open_sealed("a", "p", &sealed).is_ok());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_one_key_as_it_was_always_written_opens_what_it_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        for text in ["ab".repeat(32), general_purpose::STANDARD.encode([0xab; 32])] {
            fs::write(&path, text).unwrap();
            let before = SealingKeys::new(SealingKey::from_bytes(&[0xab; 32]), Vec::new());
            let sealed = before.seal("a", "p", &"token".into()).unwrap();
            let ring = KeyRing::open(&path).unwrap();
            assert!(ring.open_sealed("a", "p", &sealed).is_ok());
        }
    }

    #[test]
    fn another_process_s_new_key_seals_and_opens_here_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        let (serving, rotating) = (KeyRing::open(&path).unwrap(), KeyRing::open(&path).unwrap());
        let old = serving.keys().current();
        rotating.add(&path).unwrap();
        let new = rotating.keys().current();
        let sealed = rotating.seal("a", "p", &"token".into()).unwrap();
        assert!(
            serving.open_sealed("a", "p", &sealed).is_ok(),
            "an unknown key is looked for"
        );
        let again = KeyRing::open(&path)
            .unwrap()
            .seal("a", "p", &"token".into())
            .unwrap();
        assert_eq!(KeyId::of(&again), Some(new));
        rotating.add(&path).unwrap();
        let sealed = serving.seal("a", "p", &"token".into()).unwrap();
        assert_eq!(
            KeyId::of(&sealed),
            Some(rotating.keys().current()),
            "a changed file is seen"
        );
        let third = rotating.keys().current();
        rotating.remove(&path, &[old]).unwrap();
        let left: Vec<_> = KeyRing::open(&path).unwrap().keys().ids().collect();
        assert_eq!(left, [third, new]);
        assert!(rotating.remove(&path, &left).is_err(), "a file without a key");
        assert_eq!(KeyRing::open(&path).unwrap().keys().current(), third);
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused_and_one_that_becomes_so_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        let ring = KeyRing::open(&path).unwrap();
        let sealed = ring.seal("a", "p", &"token".into()).unwrap();
        let key = "ab".repeat(32);
        for text in ["", "ab", &vec![key; KEYS_LIMIT + 1].join("\n")] {
            fs::write(&path, text).unwrap();
            assert!(KeyRing::open(&path).is_err());
            assert!(ring.seal("a", "p", &"token".into()).is_ok());
            assert!(ring.open_sealed("a", "p", &sealed).is_ok());
        }
    }
}
