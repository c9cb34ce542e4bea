#![allow(
    unsafe_code,
    reason = "compiled code is taken from files that this host has signed"
)]
//! Compiled components, kept in files.
//!
//! **Whoever can write such a file owns the host**: it is machine code. So each carries an HMAC-SHA256
//! under a key that only the host can read, over the component's digest, the engine's compatibility
//! hash and the code. Anything else than exactly what this host wrote for this engine is compiled anew.
//! The only module with `unsafe`.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use super::LoadError;
use crate::key_file::create_once;

/// Bytes of the key and of a tag.
const KEY: usize = 32;
const TAG: usize = 32;

/// SHA-256 of a component, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A folder of compiled components.
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; KEY],
    compatibility: String,
}

impl Cache {
    /// Opens the folder; makes it and its key where they are not there.
    pub(super) fn open(folder: PathBuf, engine: &Engine) -> Result<Self, LoadError> {
        let path = folder.join("cache.key");
        let key = fs::create_dir_all(&folder)
            .and_then(|()| key(&path))
            .map_err(|error| LoadError::File(path, error))?;
        let mut compatibility = ShaHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut compatibility);
        Ok(Self {
            folder,
            key,
            compatibility: hex(&compatibility.0.finalize()),
        })
    }

    /// The component, from its file if that is ours, else compiled.
    pub(super) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, LoadError> {
        let path = self.path(digest);
        if let Some(code) = self.read(&path, digest) {
            // SAFETY: the tag was verified, so this host wrote the code under this engine's
            // compatibility hash; `code` is the buffer that was verified, not the file again;
            // its tag is left out.
            match unsafe { Component::deserialize(engine, code.get(TAG..).unwrap_or_default()) } {
                Ok(component) => return Ok(component),
                Err(error) => tracing::warn!(%error, "a compiled component is of no use"),
            }
        }
        let invalid = |error: wasmtime::Error| LoadError::Invalid(format!("{error:#}"));
        let component = Component::from_binary(engine, bytes).map_err(invalid)?;
        let code = component.serialize().map_err(invalid)?;
        if let Err(error) = self.write(&path, digest, &code) {
            tracing::warn!(%error, "a compiled component cannot be kept");
        }
        Ok(component)
    }

    fn path(&self, digest: &str) -> PathBuf {
        let engine = self.compatibility.get(..16).unwrap_or_default();
        self.folder.join(format!("{digest}-{engine}.cwasm"))
    }

    /// Tag and code of a file, if the tag is right.
    fn read(&self, path: &Path, digest: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(path).ok()?;
        let (tag, code) = bytes.split_at_checked(TAG)?;
        if self.mac(digest, code).verify_slice(tag).is_err() {
            tracing::warn!(digest, "a compiled component was not written by this host");
            return None;
        }
        Some(bytes)
    }

    /// Writes beside, then renames: a reader never sees half a file.
    fn write(&self, path: &Path, digest: &str, code: &[u8]) -> io::Result<()> {
        let unfinished = path.with_extension(format!("{}.part", std::process::id()));
        let tag = self.mac(digest, code).finalize().into_bytes();
        let mut file = private().create(true).truncate(true).open(&unfinished)?;
        file.write_all(&tag)?;
        file.write_all(code)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    }

    fn mac(&self, digest: &str, code: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        // Both are of fixed length, so nothing can move from one part to the next.
        mac.update(digest.as_bytes());
        mac.update(self.compatibility.as_bytes());
        mac.update(code);
        mac
    }
}

/// The key, made when it is not there.
fn key(path: &Path) -> io::Result<[u8; KEY]> {
    create_once(path, &rand::random::<[u8; KEY]>())?;
    let mut key = [0; KEY];
    fs::File::open(path)?.read_exact(&mut key)?;
    Ok(key)
}

/// For the host's user alone.
fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Feeds what a `Hash` says to SHA-256: 64 bits are too few to tell engines apart for good.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
