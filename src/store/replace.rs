//! One database in the place of another, which is renamed with its log: every step can be the last before a crash.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::beside::{beside, sync_folder};
use crate::clock;

/// Finishes what a crash interrupted: a new database that is complete is put into its place.
pub(super) fn finish_replacement(database: &Path) -> Result<(), StoreError> {
    if is_file(&beside(database, ".rebuilt")) {
        put_in_place(database, "damaged")?;
    } else if !database.exists() {
        // A log without its database would be taken for that of the next one.
        set_aside(database, "damaged")?;
    }
    Ok(())
}

/// Renames the old database with its log, then gives the new one its name. Returns where the old one is.
pub(super) fn put_in_place(database: &Path, why: &str) -> Result<Option<PathBuf>, StoreError> {
    let aside = set_aside(database, why)?;
    fs::rename(beside(database, ".rebuilt"), database)
        .and_then(|()| sync_folder(database))
        .map_err(|source| file("put the new database in place of", database, source))?;
    Ok(aside)
}

/// Renames a database and its log to a name with the time, such as `camera-capture.db.damaged-20261121T101500Z`.
pub(super) fn set_aside(database: &Path, why: &str) -> Result<Option<PathBuf>, StoreError> {
    let stamp: String =
        clock::now().rfc3339().chars().filter(|c| c.is_ascii_alphanumeric()).take(15).collect();
    let name = |n: u32| match n {
        1 => beside(database, &format!(".{why}-{stamp}Z")),
        n => beside(database, &format!(".{why}-{stamp}Z_{n}")),
    };
    let Some(to) = (1..1000).map(name).find(|path| fs::symlink_metadata(path).is_err()) else {
        return Err(file("set aside", database, io::ErrorKind::AlreadyExists.into()));
    };
    let (mut moved, mut is_changed) = (None, false);
    for suffix in ["", "-wal", "-shm"] {
        let from = beside(database, suffix);
        match fs::rename(&from, beside(&to, suffix)) {
            Ok(()) => {
                is_changed = true;
                moved = moved.or_else(|| suffix.is_empty().then(|| to.clone()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(file("set aside", &from, source)),
        }
    }
    if is_changed {
        sync_folder(database).map_err(|source| file("sync the directory of", database, source))?;
    }
    Ok(moved)
}

/// Whether a file that this program made is there; a link is none.
pub(super) fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
}

pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::File { action, path: path.to_owned(), source }
}
