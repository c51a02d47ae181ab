//! What can go wrong with the disk or the database, by what a caller can do about it; the words say what a person can.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::words;

/// What went wrong with the disk or the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database file cannot be used.
    #[error("cannot use the database {path}: {source}{}", words::database(path))]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database file cannot be locked.
    #[error(
        "cannot use the database {path}: {source}. Either another program holds it (sudo fuser -v {path} names it), or its \
         file system ({kind}) does not lock files or share memory as a database needs it, as some network drives: then set \
         DATABASE_PATH to a place on a disk of this machine"
    )]
    Held {
        /// The file.
        path: PathBuf,
        /// The type of its file system.
        kind: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file belongs to another program.
    #[error("{path} is not a database of this program; set DATABASE_PATH to another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this program made it.
    #[error(
        "the database {path} has schema {found}, this version knows {known}; install the newer version again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i32,
        /// The newest one this program knows.
        known: usize,
    },
    /// A statement failed.
    #[error("database statement failed: {source}{step}", source = .0, step = words::statement(.0))]
    Statement(#[from] rusqlite::Error),
    /// A file or directory failed.
    #[error("cannot {action} {path}: {source}{}", words::step(path, source))]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk with the pictures is not mounted, or another one is.
    #[error("{why}")]
    Away {
        /// What is the matter and what to do.
        why: String,
    },
    /// Another daemon owns the picture directory or the database.
    #[error(
        "another camera-capture already uses {path}; stop it or choose another IMAGE_STORAGE_PATH and DATABASE_PATH"
    )]
    Owned {
        /// The directory or file.
        path: PathBuf,
    },
    /// The database holds something that cannot be.
    #[error("the database {path} is damaged: {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        found: String,
    },
    /// A picture whose file is whole and synced, and whose row could not be written yet.
    #[error(
        "the picture is kept as a file, and is listed and delivered as soon as the database takes it: {why}"
    )]
    Kept {
        /// Why its row could not be written.
        why: Box<Self>,
    },
    /// Nothing was tried, because what came before could not be written either.
    #[error("{why}")]
    Behind {
        /// Why that could not be written.
        why: Arc<Self>,
    },
    /// More pictures within one second than names.
    #[error("no free name left for this second")]
    NoName,
    /// The device has sent the same before, and that is stored.
    #[error("the same picture of this device is stored already")]
    PushedBefore,
    /// The statement's thread ended before it could answer.
    #[error("the database operation was interrupted")]
    Interrupted,
}

impl StoreError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::File { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Statement(error)
            | Self::Database { source: error, .. }
            | Self::Held { source: error, .. } => {
                // The second one: the index of the write-ahead log could not grow.
                let grown = error.sqlite_error().map(|error| error.extended_code);
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
                    || grown == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
            }
            Self::Kept { why } => why.is_full(),
            Self::Behind { why } => why.is_full(),
            Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Damaged { .. }
            | Self::Away { .. }
            | Self::Owned { .. }
            | Self::NoName
            | Self::PushedBefore
            | Self::Interrupted => false,
        }
    }

    /// Whether the database took nothing, so that nothing else can be written now either.
    pub fn is_of_database(&self) -> bool {
        match self {
            Self::Statement(_)
            | Self::Database { .. }
            | Self::Held { .. }
            | Self::Damaged { .. }
            | Self::Interrupted => true,
            Self::Kept { why } => why.is_of_database(),
            Self::Behind { why } => why.is_of_database(),
            Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::File { .. }
            | Self::Away { .. }
            | Self::Owned { .. }
            | Self::NoName
            | Self::PushedBefore => false,
        }
    }

    /// Whether another process holds the database.
    pub(super) fn is_locked(&self) -> bool {
        match self {
            Self::Held { .. } => true,
            Self::Statement(error) | Self::Database { source: error, .. } => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
            ),
            Self::Kept { why } => why.is_locked(),
            Self::Behind { why } => why.is_locked(),
            Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::File { .. }
            | Self::Damaged { .. }
            | Self::Away { .. }
            | Self::Owned { .. }
            | Self::NoName
            | Self::PushedBefore
            | Self::Interrupted => false,
        }
    }

    /// Whether the database itself is damaged: its head, or a page that cannot be what it says.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Statement(error) | Self::Database { source: error, .. } => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
            ),
            Self::Kept { why } => why.is_damage(),
            Self::Behind { why } => why.is_damage(),
            Self::Held { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::File { .. }
            | Self::Away { .. }
            | Self::Owned { .. }
            | Self::NoName
            | Self::PushedBefore
            | Self::Interrupted => false,
        }
    }
}
