//! A file that only takes room, so that it can be given back: on a full disk SQLite can neither write down a failure nor
//! a deletion, and without deletions a disk stays full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;
use rustix::fs::FallocateFlags;
use tracing::{info, warn};

use super::StoreError;
use super::blocking::blocking;
use super::db::Db;

/// Most it takes: the write-ahead log is kept below 2 MiB and a checkpoint may copy all of it; the rest is for the
/// deletions and failures of a long day on a full disk.
const BYTES_MAX: u64 = 16 << 20;

/// Its share of a small disk, 4 %: 1.3 MB of 32 MB let a ledger of thousands of rows go on.
const SHARE: u64 = 25;

/// Written at once where the file system cannot allocate.
const CHUNK: usize = 64 * 1024;

/// The file beside the database.
#[derive(Clone, Debug)]
pub(super) struct Ballast {
    path: Arc<Path>,
}

impl Ballast {
    /// `camera-capture.db-ballast` beside `camera-capture.db`. Nothing is made yet.
    pub(super) fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push("-ballast");
        Self { path: PathBuf::from(name).into() }
    }

    /// Bytes it takes on a file system of this size.
    pub(super) fn wanted(total_bytes: u64) -> u64 {
        (total_bytes / SHARE).min(BYTES_MAX)
    }

    /// Bytes it takes now.
    pub(super) fn held(&self) -> u64 {
        fs::symlink_metadata(&self.path).map_or(0, |file| if file.is_file() { file.len() } else { 0 })
    }

    /// Takes so many bytes, really: the blocks are allocated, or written where that cannot be asked for. On an error
    /// nothing is held.
    pub(super) fn make(&self, bytes: u64) -> io::Result<()> {
        let made = self.try_make(bytes);
        if made.is_err() {
            self.release()?;
        }
        made
    }

    fn try_make(&self, bytes: u64) -> io::Result<()> {
        // Never into what has the name already: a link, or a second name of another file, would lead elsewhere.
        self.release()?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        crate::system::folder::give_to_parents(&self.path);
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
                write_zeros(&mut file, bytes)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the room back; whether there was any.
    pub(super) fn release(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the room back and says so.
    pub(super) async fn give(&self) {
        let ballast = self.clone();
        let released = blocking(move || {
            ballast.release().map_err(|source| StoreError::File {
                action: "remove",
                path: ballast.path.to_path_buf(),
                source,
            })
        });
        match released.await {
            Ok(true) => {
                info!("the disk is full; the ballast was released, so that the ledger can be written")
            }
            Ok(false) => {}
            Err(error) => warn!(%error, "the disk is full and the ballast could not be released"),
        }
    }
}

fn write_zeros(file: &mut File, bytes: u64) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.write_all(&[0; CHUNK][..now])?;
        left -= now as u64;
    }
    file.sync_all()
}

/// The database with its ballast: a transaction that meets a full disk releases it.
#[derive(Clone)]
pub(super) struct Ballasted {
    db: Db,
    pub(super) ballast: Ballast,
}

impl Deref for Ballasted {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Ballasted {
    pub(super) fn new(db: Db, ballast: Ballast) -> Self {
        Self { db, ballast }
    }

    /// As [`Db::write`]. When the disk is full the ballast goes, so that whoever tries again has room.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let result = self.db.write(work).await;
        if result.as_ref().is_err_and(StoreError::is_full) {
            self.ballast.give().await;
        }
        result
    }

    /// As [`Db::checkpoint`], and once more when the disk was full.
    pub(super) async fn checkpoint(&self) -> Result<(), StoreError> {
        match self.db.checkpoint().await {
            Err(error) if error.is_full() => {
                self.ballast.give().await;
                self.db.checkpoint().await
            }
            result => result,
        }
    }

    /// As [`Db::write_within`], and once more when the disk was full: for what must be written down all the same, and soon.
    pub(super) async fn insist_within<T, F>(&self, limit: Duration, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> Result<T, StoreError> + Clone + Send + 'static,
    {
        match self.db.write_within(limit, work.clone()).await {
            Err(error) if error.is_full() => {
                self.ballast.give().await;
                self.db.write_within(limit, work).await
            }
            result => result,
        }
    }

    /// As [`Self::write`], and once more when the disk was full: for what must be written down all the same.
    pub(super) async fn insist<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> Result<T, StoreError> + Clone + Send + 'static,
    {
        match self.write(work.clone()).await {
            Err(error) if error.is_full() => self.db.write(work).await,
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_ballast_takes_real_blocks_and_gives_them_back() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::beside(&dir.path().join("x.db"));
        assert_eq!(ballast.held(), 0);
        ballast.make(300_000).unwrap();
        let file = fs::metadata(dir.path().join("x.db-ballast")).unwrap();
        assert_eq!((ballast.held(), file.len()), (300_000, 300_000));
        assert!(file.blocks() * 512 >= 300_000, "{} blocks", file.blocks());
        assert!(ballast.release().unwrap());
        assert!(!ballast.release().unwrap());
        assert_eq!(ballast.held(), 0);
    }

    #[test]
    fn where_nothing_can_be_allocated_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zeros");
        write_zeros(&mut File::create(&path).unwrap(), 150_000).unwrap();
        let file = fs::metadata(&path).unwrap();
        assert_eq!(file.len(), 150_000);
        assert!(file.blocks() * 512 >= 150_000, "{} blocks", file.blocks());
    }

    #[test]
    fn it_is_a_small_part_of_a_small_disk_and_sixteen_mebibytes_of_any_other() {
        assert_eq!(Ballast::wanted(32 << 20), 1_342_177);
        assert_eq!(Ballast::wanted(400 << 20), 16 << 20);
        assert_eq!(Ballast::wanted(1 << 40), 16 << 20);
    }
}
