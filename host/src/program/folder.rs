//! The data folder. Every process that works in it holds a shared lock on a file there, which the
//! system takes away when the process dies, however it dies. Whoever finds no other lock knows that
//! the leases in the folder are a dead process's, and need not wait until they expire.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::failure::Failure;
use crate::store::SqliteStore;

const LOCK: &str = "twinbox.lock";

/// Whether other processes were in a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    Others,
}

/// A process's presence in a data folder, as long as it lives.
pub(super) struct Presence {
    /// Who was there when this process came.
    pub(super) company: Company,
    _lock: File,
}

impl Presence {
    /// Announces this process; gives back the leases of dead ones if nobody else is there.
    pub(super) async fn announce(folder: &Path, store: &SqliteStore) -> Result<Self, Failure> {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))?;
        let company = match lock.try_lock() {
            // Nobody takes a lease before it has its shared lock, so none of these is in use.
            Ok(()) => {
                store.release_all().await?;
                lock.unlock()?;
                Company::Alone
            }
            Err(TryLockError::WouldBlock) => Company::Others,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        };
        lock.lock_shared()?;
        Ok(Self { company, _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scope::ConnectionId, store::Store};

    #[tokio::test]
    async fn leases_of_the_dead_are_given_back_and_those_of_the_living_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("twinbox.db")).unwrap();
        let id = ConnectionId::new("c");
        let first = Presence::announce(folder.path(), &store).await.unwrap();
        assert!(store.acquire(&id, 1_000, 9_000).await.unwrap().is_some());
        let second = Presence::announce(folder.path(), &store).await.unwrap();
        assert_eq!((first.company, second.company), (Company::Alone, Company::Others));
        assert_eq!(store.acquire(&id, 1_000, 9_000).await.unwrap(), None);
        drop((first, second));
        let _third = Presence::announce(folder.path(), &store).await.unwrap();
        assert!(store.acquire(&id, 1_000, 9_000).await.unwrap().is_some());
    }
}
