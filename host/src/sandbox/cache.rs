#![allow(
    unsafe_code,
    reason = "compiled code is taken from files that this host has signed"
)]
//! Compiled components, kept in files with what they said of themselves.
//!
//! **Whoever can write such a file owns the host**: it is machine code. So each begins with a MAC (keyed
//! BLAKE3) under a key that only the host can read, over the hashes of the component, of the engine's
//! compatibility with the contract, and of the code, and over what is known of the component. Anything
//! else than exactly what this host wrote for this component, engine and contract is compiled anew.
//! What was verified is what is run: code is copied into sealed memory, verified there and run from
//! there. The only module with `unsafe`. docs/adr/0018.

use std::{
    fs::{self, File},
    hash::Hasher,
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::mpsc::{self, SyncSender},
    thread,
    time::SystemTime,
};

use blake3::Hash;
use memfd::{FileSeal, Memfd, MemfdOptions};
use serde::{Deserialize, Serialize};
use wasmtime::{Engine, component::Component};

use super::LoadError;
use crate::{
    contract::{self, PluginManifest},
    key_file::create_once,
};

/// Components kept; the oldest goes when another comes.
const KEPT: usize = 8;

/// The largest file that is read, and the most that is known of a component, bytes.
const LARGEST: u64 = 256 << 20;
const MOST_KNOWN: u32 = 1 << 20;

/// What is read, copied and hashed at a time, bytes: it stays in the processor's cache.
const PIECE: usize = 64 << 10;
/// Pieces that hashing may be behind.
const BEHIND: usize = 8;

/// What was found out about a component when it was compiled.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Known {
    /// SHA-256 of the component, in hexadecimal.
    pub(super) digest: String,
    /// What it says it is: the same each time, by the contract.
    pub(super) manifest: PluginManifest,
}

/// A folder of compiled components.
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; blake3::KEY_LEN],
    /// What else than the component decides whether code can be used.
    surroundings: Hash,
}

impl Cache {
    /// Opens the folder; makes it and its key where they are not there.
    pub(super) fn open(folder: PathBuf, engine: &Engine) -> Result<Self, LoadError> {
        let path = folder.join("cache.key");
        let key = fs::create_dir_all(&folder)
            .and_then(|()| key(&path))
            .map_err(|error| LoadError::File(path, error))?;
        Ok(Self {
            folder,
            key,
            surroundings: surroundings(engine),
        })
    }

    /// The component from its file, if that is ours.
    pub(super) fn take(&self, engine: &Engine, component: &[u8]) -> Option<(Component, Known)> {
        let name = blake3::hash(component);
        let file = File::open(self.path(&name)).ok()?;
        let (code, known) = match self.verified(&name, file) {
            Ok(verified) => verified,
            Err(error) => {
                tracing::warn!(component = %name, %error, "a compiled component was not written by this host");
                return None;
            }
        };
        let memory = format!("/proc/self/fd/{}", code.as_file().as_raw_fd());
        // SAFETY: the tag was verified, so this host wrote the code, for this engine's compatibility
        // hash. It lies in sealed memory, where it was verified and where nobody can change it.
        match unsafe { Component::deserialize_file(engine, memory) } {
            Ok(component) => Some((component, known)),
            Err(error) => {
                tracing::warn!(%error, "a compiled component is of no use");
                None
            }
        }
    }

    /// Keeps a component that was compiled, and forgets what cannot be used any more.
    pub(super) fn keep(&self, component: &[u8], compiled: &Component, known: &Known) {
        let kept = compiled
            .serialize()
            .map_err(|error| io::Error::other(format!("{error:#}")))
            .and_then(|code| self.write(&blake3::hash(component), known, &code))
            .and_then(|()| self.prune());
        if let Err(error) = kept {
            tracing::warn!(%error, "a compiled component cannot be kept");
        }
    }

    fn path(&self, name: &Hash) -> PathBuf {
        self.folder.join(format!("{}{}", name.to_hex(), self.suffix()))
    }

    /// How the names of the files end that this engine can use.
    fn suffix(&self) -> String {
        let surroundings = self.surroundings.to_hex();
        format!("-{}.cwasm", surroundings.get(..16).unwrap_or_default())
    }

    /// What a file holds, if its tag is right: tag, length of what is known, what is known, code.
    fn verified(&self, name: &Hash, mut file: File) -> io::Result<(Memfd, Known)> {
        if file.metadata()?.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut tag = [0; blake3::OUT_LEN];
        file.read_exact(&mut tag)?;
        let mut length = [0; 4];
        file.read_exact(&mut length)?;
        let known = u32::from_le_bytes(length);
        if known > MOST_KNOWN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut known = vec![0; known as usize];
        file.read_exact(&mut known)?;
        let (code, hash) = sealed(&mut file)?;
        // Hashes are compared in constant time.
        if self.tag(name, &hash, &known) != Hash::from_bytes(tag) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its tag is another"));
        }
        Ok((code, serde_json::from_slice(&known)?))
    }

    /// Writes beside, then renames: a reader never sees half a file.
    fn write(&self, name: &Hash, known: &Known, code: &[u8]) -> io::Result<()> {
        let known = serde_json::to_vec(known)?;
        let length = u32::try_from(known.len())
            .ok()
            .filter(|length| *length <= MOST_KNOWN)
            .ok_or(io::ErrorKind::FileTooLarge)?
            .to_le_bytes();
        let tag = self.tag(name, &blake3::hash(code), &known);
        let path = self.path(name);
        let unfinished = path.with_extension(format!("{}.part", std::process::id()));
        let mut file = private().create(true).truncate(true).open(&unfinished)?;
        for part in [tag.as_bytes(), &length[..], &known, code] {
            file.write_all(part)?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, &path)
    }

    /// Removes what another engine or contract left, and the oldest of too many.
    fn prune(&self) -> io::Result<()> {
        let mut usable = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(&self.suffix()) {
                let written = file.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                usable.push((written, file.path()));
            } else if name.ends_with(".cwasm") {
                fs::remove_file(file.path())?;
            }
        }
        usable.sort_unstable();
        let surplus = usable.len().saturating_sub(KEPT);
        usable
            .iter()
            .take(surplus)
            .try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// The MAC of a file. What has no fixed length comes last, so nothing can move from one to the next.
    fn tag(&self, name: &Hash, code: &Hash, known: &[u8]) -> Hash {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(name.as_bytes());
        mac.update(self.surroundings.as_bytes());
        mac.update(code.as_bytes());
        mac.update(known);
        mac.finalize()
    }
}

/// The rest of a file, in memory of ours that can be read and mapped and never again be changed; and its
/// hash, of the same bytes that went into that memory. Copying and hashing take as long as each other, so
/// they go side by side.
fn sealed(file: &mut File) -> io::Result<(Memfd, Hash)> {
    let sealable = MemfdOptions::default().allow_sealing(true);
    let memory = sealable.create("twinbox-component").map_err(io::Error::other)?;
    let hash = thread::scope(|scope| {
        let (copied, pieces) = mpsc::sync_channel::<Vec<u8>>(BEHIND);
        let hashing = scope.spawn(move || {
            let mut hash = blake3::Hasher::new();
            for piece in pieces {
                hash.update(&piece);
            }
            hash.finalize()
        });
        copy(file, memory.as_file(), &copied)?;
        drop(copied);
        hashing
            .join()
            .map_err(|_| io::Error::other("hashing ended early"))
    })?;
    let seals = [
        FileSeal::SealShrink,
        FileSeal::SealGrow,
        FileSeal::SealWrite,
        FileSeal::SealSeal,
    ];
    memory.add_seals(&seals).map_err(io::Error::other)?;
    Ok((memory, hash))
}

/// Copies the rest of a file, and hands on each piece that was copied.
fn copy(from: &mut File, mut to: &File, copied: &SyncSender<Vec<u8>>) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE];
        let length = from.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        piece.truncate(length);
        to.write_all(&piece)?;
        copied
            .send(piece)
            .map_err(|_| io::Error::other("hashing ended early"))?;
    }
}

/// The key, made when it is not there.
fn key(path: &Path) -> io::Result<[u8; blake3::KEY_LEN]> {
    create_once(path, &rand::random::<[u8; blake3::KEY_LEN]>())?;
    let mut key = [0; blake3::KEY_LEN];
    File::open(path)?.read_exact(&mut key)?;
    Ok(key)
}

/// For the host's user alone.
fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn surroundings(engine: &Engine) -> Hash {
    use std::hash::Hash as _;
    let mut surroundings = Hashing(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut surroundings);
    surroundings.0.update(contract::WORLD);
    surroundings.0.finalize()
}

/// Feeds what a `Hash` says to BLAKE3: 64 bits are too few to tell engines apart for good.
struct Hashing(blake3::Hasher);

impl Hasher for Hashing {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
