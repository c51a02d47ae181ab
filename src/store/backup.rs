//! A copy of the database that is whole: beside it, checked before it takes the place of the one before.
//!
//! The copy is that of one moment. It is read through a connection of its own, some pages at a time, so no picture waits
//! for it; what is written meanwhile is in the next one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::beside::{beside, sync_folder};
use super::blocking::{BUSY_TIMEOUT, blocking};
use super::{Store, StoreError};
use crate::model::UnixMs;

/// Pages copied at a time, 256 KiB, and the pause after them: a card has other things to do.
const PAGES: i32 = 64;

/// Pause between two steps.
const PAUSE: Duration = Duration::from_millis(5);

/// Bytes that stay free beside a copy, for pictures.
const SPARE: u64 = 64 << 20;

/// Tells work on the blocking pool that nobody wants it any more.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end; the work looks every few milliseconds.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where the copy of a database lies.
pub(super) fn path_of(database: &Path) -> PathBuf {
    beside(database, ".backup")
}

impl Store {
    /// Copies the database to `<database>.backup`, checks the copy and only then replaces the one before. Returns its
    /// bytes, or `None` when stopped.
    ///
    /// Dropping the future does not end the copying; `stop` does.
    pub(super) async fn back_up(&self, stop: Stop) -> Result<Option<u64>, StoreError> {
        let database = self.database.clone();
        blocking(move || copy(&database, PAUSE, &stop)).await
    }

    /// When the newest copy was made, by the file system's clock; `None` when there is none.
    pub(super) fn backed_up_at(&self) -> Option<UnixMs> {
        let modified = fs::metadata(path_of(&self.database)).and_then(|meta| meta.modified()).ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(UnixMs(i64::try_from(since.as_millis()).ok()?))
    }

    /// A number that changes whenever something is written.
    pub(super) async fn version(&self) -> Result<i64, StoreError> {
        self.db.read(|c| Ok(c.pragma_query_value(None, "data_version", |row| row.get(0))?)).await
    }

    /// Looks through the whole database for damage; `None` when stopped, else what was found, or an empty text. Takes
    /// seconds for a million rows, on a connection of its own.
    pub(super) async fn quick_check(&self, stop: Stop) -> Result<Option<String>, StoreError> {
        let database = self.database.clone();
        blocking(move || {
            let connection = open_to_read(&database)?;
            let interrupt = connection.get_interrupt_handle();
            std::thread::scope(|scope| {
                let (done, is_done) = std::sync::mpsc::channel::<()>();
                let stop = &stop;
                scope.spawn(move || {
                    /// How long a shutdown waits for a check at most.
                    const LOOK: Duration = Duration::from_millis(200);
                    while is_done.recv_timeout(LOOK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                        if stop.is_stopped() {
                            interrupt.interrupt();
                        }
                    }
                });
                let found = check(&connection);
                drop(done);
                match found {
                    _ if stop.is_stopped() => Ok(None),
                    Err(error) if error.is_damage() => Ok(Some(error.to_string())),
                    found => Ok(Some(found?)),
                }
            })
        })
        .await
    }
}

/// What is wrong with a database, in SQLite's words; empty when nothing is.
pub(super) fn check(connection: &Connection) -> Result<String, StoreError> {
    let found: String = connection.query_row("pragma quick_check(1)", [], |row| row.get(0))?;
    Ok(if found == "ok" { String::new() } else { found })
}

fn open_to_read(database: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch("pragma trusted_schema = off; pragma cache_size = -500;")?;
    Ok(connection)
}

/// Copies a database. Blocking. `None` when stopped; then, and after an error, the copy before is still there.
pub(super) fn copy(database: &Path, pause: Duration, stop: &Stop) -> Result<Option<u64>, StoreError> {
    let part = beside(database, ".backup.part");
    let made = make(database, &part, pause, stop);
    if !matches!(made, Ok(Some(_))) {
        // What is left is replaced by the next attempt.
        let _ = fs::remove_file(&part);
    }
    let Some(bytes) = made? else { return Ok(None) };
    let to = path_of(database);
    fs::rename(&part, &to).and_then(|()| sync_folder(&to)).map_err(|source| StoreError::File {
        action: "replace the copy of the database",
        path: to,
        source,
    })?;
    Ok(Some(bytes))
}

fn make(database: &Path, part: &Path, pause: Duration, stop: &Stop) -> Result<Option<u64>, StoreError> {
    let failed =
        |source| StoreError::File { action: "write the copy of the database", path: part.to_owned(), source };
    make_room(database, part).map_err(failed)?;
    let source = open_to_read(database)?;
    // One read transaction: the copy is of one moment, and writers need not wait for it nor it for them.
    source.execute_batch("begin; select count(*) from sqlite_schema;")?;
    let mut copy = create(part).map_err(failed).and_then(|()| Ok(Connection::open(part)?))?;
    copy.execute_batch("pragma synchronous = off;")?;
    {
        let backup = Backup::new(&source, &mut copy)?;
        while backup.step(PAGES)? != StepResult::Done {
            if stop.is_stopped() {
                return Ok(None);
            }
            std::thread::sleep(pause);
        }
    }
    // One file, without a log beside it.
    copy.execute_batch("pragma journal_mode = delete;")?;
    let damage = check(&copy)?;
    copy.close().map_err(|(_, error)| error)?;
    if !damage.is_empty() {
        return Err(StoreError::Damaged { path: database.to_owned(), found: damage });
    }
    let file = File::open(part).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(Some(file.metadata().map_err(failed)?.len()))
}

/// Fails when the copy would fill the disk.
fn make_room(database: &Path, part: &Path) -> io::Result<()> {
    let stat =
        rustix::fs::statvfs(part.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if fs::metadata(database)?.len().saturating_add(SPARE) > free {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// An empty file for a database that only its owner may read, in place of any that is there.
pub(super) fn create(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    crate::system::folder::give_to_parents(path);
    Ok(())
}
