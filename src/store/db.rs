//! Connections to the database: one writer behind a fair lock, one read-only connection for the dashboard.
//!
//! Statements run on the blocking pool with an owned lock, so a transaction that has begun finishes even when the
//! future that asked for it is dropped.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, ffi};
use tokio::sync::{Mutex, watch};
use tracing::{error, info, warn};

use super::StoreError;
use super::blocking::{BUSY_TIMEOUT, EDGE_PATIENCE, blocking};
use super::changes::Changes;
use super::lock::kind_of;
use super::origin::{DatabaseFile, DatabaseFound};

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
    /// Who hears of what is committed.
    changes: Changes,
    /// What is wrong with the file, once a statement has met it.
    damage: watch::Sender<Option<String>>,
    /// Whether the file is in its place.
    origin: Arc<DatabaseFile>,
    /// What happened to the file.
    said: watch::Sender<Option<String>>,
}

impl Db {
    /// Opens the database, creating it and bringing it up to this version's schema where needed. Blocking.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            // Hashes are in it. SQLite gives its log the same mode.
            let made = super::backup::create(path);
            made.map_err(|source| StoreError::File {
                action: "create the database",
                path: path.to_owned(),
                source,
            })?;
        }
        let changes = Changes::new();
        let (writer, reader) = connect(path, &changes)?;
        Ok(Self {
            changes,
            writer: Arc::new(Mutex::new(writer)),
            reader: Arc::new(Mutex::new(reader)),
            damage: watch::Sender::new(None),
            origin: Arc::new(DatabaseFile::of(path)),
            said: watch::Sender::new(None),
        })
    }

    /// Looks whether the file is in its place, and puts it there; whether it is there now.
    pub(super) async fn look(&self) -> Result<bool, StoreError> {
        let origin = Arc::clone(&self.origin);
        if blocking(move || Ok(origin.is_in_place())).await? {
            return Ok(true);
        }
        let (mut guard, db) = (Arc::clone(&self.writer).lock_owned().await, self.clone());
        blocking(move || {
            db.tend(&mut guard)?;
            Ok(db.origin.is_in_place())
        })
        .await
    }

    /// What happened to the file of the database while it was open.
    pub(super) fn said(&self) -> watch::Receiver<Option<String>> {
        self.said.subscribe()
    }

    /// Before something is written: a file that was removed or replaced is put back, so that nothing is written into one
    /// that is gone when the program ends. Blocking.
    fn tend(&self, writer: &mut Connection) -> Result<(), StoreError> {
        match self.origin.tend(writer) {
            DatabaseFound::Nothing | DatabaseFound::Missing(None) => {}
            DatabaseFound::Missing(Some(words)) => {
                error!(words, "the database is not in its place");
                self.said.send_replace(Some(words));
            }
            DatabaseFound::PutBack(words) => {
                let (new_writer, new_reader) = connect(self.origin.path(), &self.changes)?;
                *writer = new_writer;
                *self.reader.blocking_lock() = new_reader;
                self.origin.opened();
                error!(words, "the database was not in its place");
                self.said.send_replace(Some(words));
            }
        }
        Ok(())
    }

    /// Runs `work` in one immediate transaction and commits it; an error rolls it back. What it changed is told to whoever
    /// listens, in the order of the commits.
    ///
    /// Dropping the future after the first poll does not stop the transaction.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (mut guard, db) = (Arc::clone(&self.writer).lock_owned().await, self.clone());
        blocking(move || {
            db.tend(&mut guard)?;
            db.transact(&mut guard, work)
        })
        .await
        .inspect_err(|error| self.notice(error))
    }

    /// As [`Self::write`], but fails when the transaction cannot begin within `limit`.
    pub(super) async fn write_within<T, F>(&self, limit: Duration, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let end = Instant::now() + limit;
        let mut guard = match Arc::clone(&self.writer).try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => tokio::time::timeout(limit, Arc::clone(&self.writer).lock_owned())
                .await
                .map_err(|_| locked())?,
        };
        let db = self.clone();
        blocking(move || {
            db.tend(&mut guard)?;
            guard.busy_timeout(end.saturating_duration_since(Instant::now()))?;
            let done = db.transact(&mut guard, work);
            guard.busy_timeout(BUSY_TIMEOUT)?;
            done
        })
        .await
        .inspect_err(|error| self.notice(error))
    }

    /// Runs `work` on the read-only connection, which never waits for a writer.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let guard = Arc::clone(&self.reader).lock_owned().await;
        blocking(move || work(&guard)).await.inspect_err(|error| self.notice(error))
    }

    /// Who hears of what is committed.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What is wrong with the file, once it is known.
    pub(super) fn damage(&self) -> watch::Receiver<Option<String>> {
        self.damage.subscribe()
    }

    /// Says that the file is damaged; the first words stay.
    pub(super) fn report_damage(&self, found: String) {
        self.damage.send_if_modified(|known| {
            let is_new = known.is_none();
            if is_new {
                *known = Some(found);
            }
            is_new
        });
    }

    /// Blocking. The connection is held until the change is told, so that changes are told in the order of the commits.
    fn transact<T>(
        &self,
        connection: &mut Connection,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.changes.begin();
        let value = work(&tx)?;
        let gathered = self.changes.gather(&tx);
        tx.commit()?;
        self.changes.tell(gathered);
        Ok(value)
    }

    fn notice(&self, error: &StoreError) {
        if error.is_damage() {
            self.report_damage(error.to_string());
        }
    }

    /// Moves the write-ahead log into the database; the last act before the program ends.
    pub(super) async fn checkpoint(&self) -> Result<(), StoreError> {
        let guard = Arc::clone(&self.writer).lock_owned().await;
        blocking(move || {
            // The end waits for nobody: what is in the log is as safe as in the file.
            guard.busy_timeout(EDGE_PATIENCE)?;
            guard.execute_batch("pragma optimize; pragma wal_checkpoint(truncate);")?;
            Ok(())
        })
        .await
    }
}

/// An error of opening the database, in words that fit locks that are refused.
fn explained(path: &Path, error: StoreError) -> StoreError {
    let (StoreError::Statement(source) | StoreError::Database { source, .. }) = error else { return error };
    let code = source.sqlite_error().map_or(0, |error| error.extended_code);
    let is_of_locks = matches!(code & 0xff, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL)
        || matches!(
            code,
            ffi::SQLITE_IOERR_LOCK
                | ffi::SQLITE_IOERR_RDLOCK
                | ffi::SQLITE_IOERR_UNLOCK
                | ffi::SQLITE_IOERR_CHECKRESERVEDLOCK
                | ffi::SQLITE_IOERR_SHMOPEN
                | ffi::SQLITE_IOERR_SHMLOCK
                | ffi::SQLITE_IOERR_SHMMAP
        );
    let path = path.to_owned();
    if is_of_locks {
        StoreError::Held { kind: kind_of(&path), path, source }
    } else {
        StoreError::Database { path, source }
    }
}

/// The two connections to a file that is there, brought up to this version's schema where needed. Blocking.
fn connect(path: &Path, changes: &Changes) -> Result<(Connection, Connection), StoreError> {
    try_connect(path, changes).map_err(|error| explained(path, error))
}

fn try_connect(path: &Path, changes: &Changes) -> Result<(Connection, Connection), StoreError> {
    let failed = |source| StoreError::Database { path: path.to_owned(), source };
    let mut writer = Connection::open(path).map_err(failed)?;
    writer.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    super::migrate::check_identity(&writer, path)?;
    if super::migrate::is_old(&writer).map_err(failed)? {
        match super::backup::copy(path, Duration::ZERO, &super::Stop::default()) {
            Ok(_) => info!("the database was copied before it is brought up to this version"),
            Err(error) if error.is_damage() => return Err(error),
            Err(error) => warn!(%error, "the database is brought up to this version without a copy"),
        }
    }
    writer.execute_batch(PRAGMAS).map_err(failed)?;
    super::migrate::migrate(&mut writer, path)?;
    changes.note_on(&writer).map_err(failed)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags).map_err(failed)?;
    reader.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    reader.execute_batch("pragma trusted_schema = off; pragma cache_size = -2000;").map_err(failed)?;
    for connection in [&writer, &reader] {
        // Without it each new value of a parameter that could be compared with the condition of a partial index has
        // the statement parsed and planned anew, which is most of the work of a claim. The conditions are written
        // out in the statements, so nothing is lost by it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
    }
    Ok((writer, reader))
}

/// What SQLite says, too, when somebody else is writing for too long.
fn locked() -> StoreError {
    let code = ffi::Error::new(ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, Some("database is locked".to_owned())).into()
}
