//! What to do where the system forbids to write or to read.

use std::io;
use std::path::Path;

use super::owner;

/// A file system that can only be read.
const READ_ONLY: &str = "; a service may write to its own folder only: allow this one with ReadWritePaths= in a drop-in \
     (sudo systemctl edit camera-capture, or run deploy/install.sh again). If it could be written before, the card or disk \
     may be failing: look at dmesg, and run fsck";

/// Rights that are missing, where owners and modes do not tell why.
const DENIED: &str = "; the user of this program may not write there: look with ls -ld who owns it, and change that with \
     chown";

/// What else may be the reason, in a place that was set.
const SERVICE: &str = ". A service sees nothing of /home, and may write to its own folder only: allow others in a drop-in \
     (sudo systemctl edit camera-capture) with ReadWritePaths=, in /home with ProtectHome=tmpfs and BindPaths=";

/// Where the service lives.
const OWN_FOLDER: &str = "/var/lib/camera-capture";

/// The next step after an error of the system on `path`, to be put behind it; empty where the error says enough. Blocking.
pub(super) fn step(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => READ_ONLY.to_owned(),
        io::ErrorKind::PermissionDenied => {
            let is_own = path.is_relative() || path.starts_with(OWN_FOLDER);
            denied(path).unwrap_or_else(|| DENIED.to_owned()) + if is_own { "" } else { SERVICE }
        }
        _ => String::new(),
    }
}

/// The next step where SQLite could not use a file. Blocking.
pub(super) fn database(path: &Path) -> String {
    let is_read_only = || {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let access = rustix::fs::access(folder.unwrap_or(Path::new(".")), rustix::fs::Access::WRITE_OK);
        access == Err(rustix::io::Errno::ROFS)
    };
    denied(path)
        .or_else(|| is_read_only().then(|| READ_ONLY.to_owned()))
        .unwrap_or_else(|| "; check that the directory exists, is writable and has space".to_owned())
}

/// The next step where a statement failed; empty where the error says enough.
pub(super) fn statement(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly, SystemIoFailure};
    // The index of the log that could not grow: the disk is full, which is said elsewhere.
    let is_full =
        error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
    match error.sqlite_error_code() {
        Some(CannotOpen | ReadOnly | SystemIoFailure) if !is_full => {
            "; the disk or card with the database may be failing, or has become read-only: look at dmesg, and run fsck"
        }
        _ => "",
    }
}

fn denied(path: &Path) -> Option<String> {
    owner::denial(path).map(|words| format!("; {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_statement_that_the_disk_refuses_is_said_with_what_to_look_at() {
        let failed = |code| {
            StoreError::Statement(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
                .to_string()
        };
        for code in
            [rusqlite::ffi::SQLITE_IOERR, rusqlite::ffi::SQLITE_READONLY, rusqlite::ffi::SQLITE_CANTOPEN]
        {
            assert!(failed(code).contains("dmesg"), "{}", failed(code));
        }
        for code in
            [rusqlite::ffi::SQLITE_FULL, rusqlite::ffi::SQLITE_BUSY, rusqlite::ffi::SQLITE_IOERR_SHMSIZE]
        {
            assert!(!failed(code).contains("dmesg"), "{}", failed(code));
        }
    }

    #[test]
    fn a_place_that_the_unit_forbids_is_said_with_the_drop_in() {
        for (code, words) in [
            (30, &["ReadWritePaths=", "drop-in", "fsck"][..]),
            (13, &["ReadWritePaths=", "ProtectHome=", "chown"][..]),
            (2, &[][..]),
        ] {
            // Root may write anywhere, so here nobody's mode is the reason.
            if code == 13 && !rustix::process::geteuid().is_root() {
                continue;
            }
            let source = io::Error::from_raw_os_error(code);
            let error =
                StoreError::File { action: "create", path: "/mnt/usb/images".into(), source }.to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
            assert!(error.starts_with("cannot create /mnt/usb/images: "), "{error}");
        }
    }
}
