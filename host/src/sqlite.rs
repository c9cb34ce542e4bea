//! One SQLite database for the embedded defaults: store, vault and CRM each have tables and
//! migrations of their own in it.
//!
//! Write-ahead log with `synchronous=NORMAL`: a commit survives the death of the process, and a power
//! cut may lose the last commits but never leaves half of one (<https://sqlite.org/pragma.html#pragma_synchronous>).
//! `Durability::PowerLoss` syncs each commit. Calls run on tokio's blocking threads, one at a time.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, ffi};
use tokio::sync::Semaphore;

/// How long a call waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process. The last commits may be lost in a power cut.
    #[default]
    ProcessDeath,
    /// A power cut as well, at the price of one `fsync` for each commit.
    PowerLoss,
}

/// A shared connection to one database. Clones are the same connection.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    /// Whose turn it is. Whoever waits for theirs waits here and not on a thread: a thread for each of many callers would
    /// cost more memory than all they ask for.
    turn: Arc<Semaphore>,
}

impl Database {
    /// Opens a database file, which is created for its owner alone if it is absent.
    pub fn open(path: &Path, durability: Durability) -> rusqlite::Result<Self> {
        create_private(path);
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match durability {
            Durability::ProcessDeath => "NORMAL",
            Durability::PowerLoss => "FULL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        Self::over(connection)
    }

    /// A database that ends with its last clone.
    pub fn in_memory() -> rusqlite::Result<Self> {
        Self::over(Connection::open_in_memory()?)
    }

    fn over(connection: Connection) -> rusqlite::Result<Self> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS schema (part TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
        )?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Brings the tables of one part up to date: runs the steps that this database has not seen, in
    /// one transaction. A step that was released never changes.
    pub(crate) fn migrate(&self, part: &str, steps: &[&str]) -> rusqlite::Result<()> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done: usize = transaction
            .query_row("SELECT version FROM schema WHERE part = ?1", [part], |row| {
                row.get(0)
            })
            .optional()?
            .unwrap_or(0);
        for step in steps.iter().skip(done) {
            transaction.execute_batch(step)?;
        }
        transaction.execute(
            "INSERT INTO schema (part, version) VALUES (?1, ?2)
             ON CONFLICT (part) DO UPDATE SET version = max(version, excluded.version)",
            (part, steps.len()),
        )?;
        transaction.commit()
    }

    /// Runs `work` with the connection, blocking: for what happens before the runtime has work.
    pub(crate) fn call_blocking<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        work(&self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `work` with the connection on a blocking thread.
    pub(crate) async fn call<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let call = tokio::task::spawn_blocking(move || {
            // A panic in a transaction rolls it back when it is dropped: the connection stays sound.
            let _turn = turn;
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match call.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(stopping().into()),
        }
    }

    /// Runs `work` in one transaction that takes the write lock first; commits it if `work` succeeds.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.call(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
    }
}

fn stopping() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_INTERRUPT),
        Some("the runtime is stopping".into()),
    )
}

/// Mail is private: without this the file would have the process's default permissions. What fails
/// here fails again, with its reason, when SQLite opens the file.
fn create_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_migration_runs_once_and_a_later_step_is_added() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let first = "CREATE TABLE a (x INTEGER)";
        Database::open(&path, Durability::PowerLoss)
            .unwrap()
            .migrate("part", &[first])
            .unwrap();
        let database = Database::open(&path, Durability::ProcessDeath).unwrap();
        database
            .migrate("part", &[first, "ALTER TABLE a ADD COLUMN y INTEGER"])
            .unwrap();
        database
            .migrate("another", &["CREATE TABLE b (x INTEGER)"])
            .unwrap();
        let columns = database
            .call(|connection| {
                connection.query_row("SELECT count(*) FROM pragma_table_info('a')", [], |row| {
                    row.get::<_, u32>(0)
                })
            })
            .await
            .unwrap();
        assert_eq!(columns, 2);
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_nothing() {
        let database = Database::in_memory().unwrap();
        database.migrate("part", &["CREATE TABLE a (x INTEGER)"]).unwrap();
        let failed: rusqlite::Result<()> = database
            .write(|connection| {
                connection.execute("INSERT INTO a VALUES (1)", [])?;
                Err(rusqlite::Error::InvalidQuery)
            })
            .await;
        assert!(failed.is_err());
        let rows: rusqlite::Result<u32> = database
            .call(|connection| connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)))
            .await;
        assert_eq!(rows.unwrap(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        Database::open(&path, Durability::default()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
