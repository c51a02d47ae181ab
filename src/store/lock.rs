//! One program at a time: files locked for as long as they are open.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tracing::warn;

use super::mounts::{Mounts, resolved};

/// Locks a file until it is closed; false when another process has it. Where the file system refuses locks, as network
/// drives without a lock service do (`ENOLCK`), it goes on without one, and says so. `of` is what the file stands for.
pub(super) fn hold(file: &File, of: &Path) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)) => {
            warn!(
                path = %of.display(),
                kind = kind_of(of),
                error = %io::Error::from(error),
                "the file system refuses locks, so a second camera-capture on it would not be noticed: see that there is \
                 one only, and set DATABASE_PATH to a place on a disk of this machine"
            );
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// The type of the file system that holds a path, for people.
pub(super) fn kind_of(path: &Path) -> String {
    Mounts::now().kind_of(&resolved(path)).unwrap_or("unknown").to_owned()
}
