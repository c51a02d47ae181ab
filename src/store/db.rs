//! Connections to the database: one writer behind a fair lock, one read-only connection for the dashboard.
//!
//! Statements run on the blocking pool with an owned lock, so a transaction that has begun finishes even when the
//! future that asked for it is dropped.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Mutex;

use super::StoreError;

/// How long a statement waits for another process (`--cleanup-now` beside the daemon) before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of every connection. FULL makes each commit survive a power cut; no memory map, because a dying card
/// would end the process by SIGBUS; a short write-ahead log, because a full disk must leave room to delete.
const PRAGMAS: &str = "
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma foreign_keys = on;
    pragma wal_autocheckpoint = 256;
    pragma journal_size_limit = 2097152;
    pragma temp_store = memory;
    pragma mmap_size = 0;
    pragma trusted_schema = off;
    pragma cell_size_check = on;
    pragma cache_size = -2000;
";

/// The two connections.
#[derive(Clone)]
pub(super) struct Db {
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
}

impl Db {
    /// Opens the database, creating it and bringing it up to this version's schema where needed. Blocking.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Database { path: path.to_owned(), source };
        let mut writer = Connection::open(path).map_err(failed)?;
        writer.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        super::migrate::check_identity(&writer, path)?;
        writer.execute_batch(PRAGMAS).map_err(failed)?;
        super::migrate::migrate(&mut writer, path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(path, flags).map_err(failed)?;
        reader.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        reader.execute_batch("pragma trusted_schema = off; pragma cache_size = -2000;").map_err(failed)?;
        for connection in [&writer, &reader] {
            connection.set_prepared_statement_cache_capacity(64);
        }
        Ok(Self { writer: Arc::new(Mutex::new(writer)), reader: Arc::new(Mutex::new(reader)) })
    }

    /// Runs `work` in one immediate transaction and commits it; an error rolls it back.
    ///
    /// Dropping the future after the first poll does not stop the transaction.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let mut guard = Arc::clone(&self.writer).lock_owned().await;
        blocking(move || {
            let tx = guard.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        })
        .await
    }

    /// Runs `work` on the read-only connection, which never waits for a writer.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let guard = Arc::clone(&self.reader).lock_owned().await;
        blocking(move || work(&guard)).await
    }

    /// Moves the write-ahead log into the database; the last act before the program ends.
    pub(super) async fn checkpoint(&self) -> Result<(), StoreError> {
        let guard = Arc::clone(&self.writer).lock_owned().await;
        blocking(move || {
            guard.execute_batch("pragma optimize; pragma wal_checkpoint(truncate);")?;
            Ok(())
        })
        .await
    }
}

/// Runs `work` on the blocking pool.
pub(super) async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Interrupted)?
}
