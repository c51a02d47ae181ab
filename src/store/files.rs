//! Picture files: written whole and synced under a temporary name, then given their name without replacing any.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags};

use super::crash;
use crate::folder;
use crate::model::{FileName, ImageId};

/// Temporary files; on the same file system as the pictures, hidden from `cp` and `rsync` patterns like `*/`.
const INCOMING: &str = ".incoming";

/// Files that are not what their place says; kept for a person to look at.
const QUARANTINE: &str = ".quarantine";

/// Held while a daemon owns the directory.
const LOCK: &str = ".lock";

/// The picture directory.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
}

/// How often a picture is named again when its folder vanishes under it: retention, perhaps of another process, removes
/// empty day folders.
const FOLDER_TRIES: usize = 16;

/// A complete, synced file that has no name yet; one that this process wrote is removed when it is dropped unpublished.
#[derive(Debug)]
pub(super) struct Incoming {
    path: Option<PathBuf>,
    /// A file that an earlier run left is the only copy of its picture and outlives every failure.
    is_kept: bool,
}

impl Files {
    /// Creates the directories that are missing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        folder::create(&root.join(INCOMING))?;
        folder::create(&root.join(QUARANTINE))?;
        sync_dir(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the directory for this process until the file is dropped; `None` when another process has it.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.root.join(LOCK))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes and syncs `bytes` under a temporary name. An error leaves nothing behind.
    ///
    /// A failed fsync is final for its descriptor (the kernel drops the dirty pages), so it is never tried again on
    /// the same file; the caller may write a new one.
    pub(super) fn write_incoming(&self, id: ImageId, bytes: &[u8]) -> io::Result<Incoming> {
        let path = self.root.join(INCOMING).join(format!("{id}.part"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&path)?;
        let incoming = Incoming { path: Some(path), is_kept: false };
        crash::point("created");
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(incoming)
    }

    /// Gives a file its name; `false` when the name is taken, then the file is still incoming.
    pub(super) fn publish(&self, incoming: &mut Incoming, relative: &Path) -> io::Result<bool> {
        let Some(from) = &incoming.path else { return Ok(false) };
        let to = self.root.join(relative);
        let folder = to.parent().unwrap_or(&self.root);
        let mut renamed = rustix::fs::renameat_with(CWD, from, CWD, &to, RenameFlags::NOREPLACE);
        for _ in 0..FOLDER_TRIES {
            if renamed != Err(rustix::io::Errno::NOENT) {
                break;
            }
            // The first picture of its day, or retention removed the empty folder a moment ago.
            folder::create(folder)?;
            sync_dir(&self.root)?;
            renamed = rustix::fs::renameat_with(CWD, from, CWD, &to, RenameFlags::NOREPLACE);
        }
        match renamed {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Ok(false),
            // Some file systems (FAT, some network ones) lack RENAME_NOREPLACE; a hard link refuses to replace too.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => match fs::hard_link(from, &to) {
                Ok(()) => fs::remove_file(from)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error.into()),
        }
        incoming.path = None;
        crash::point("renamed");
        sync_dir(folder)?;
        Ok(true)
    }

    /// Takes over a file that a crash left in the incoming folder. It stays there when it cannot be published.
    pub(super) fn adopt_incoming(path: PathBuf) -> Incoming {
        Incoming { path: Some(path), is_kept: true }
    }

    /// Whether the directory is what [`Files::open`] prepared; a file system that has been unmounted leaves a bare one.
    pub(super) fn is_there(&self) -> bool {
        self.root.join(INCOMING).is_dir()
    }

    /// What a crash left in the incoming folder.
    pub(super) fn left_over(&self) -> io::Result<Vec<PathBuf>> {
        list(&self.root.join(INCOMING))
    }

    /// The day folders, in order.
    pub(super) fn day_folders(&self) -> io::Result<Vec<PathBuf>> {
        let mut folders: Vec<PathBuf> = list(&self.root)?
            .into_iter()
            .filter(|path| path.is_dir() && name_of(path).is_some_and(is_day))
            .collect();
        folders.sort();
        Ok(folders)
    }

    /// Moves a file to the quarantine folder, under a name that is free there.
    pub(super) fn quarantine(&self, path: &Path) -> io::Result<PathBuf> {
        let name = name_of(path).unwrap_or("unnamed");
        let to = self.root.join(QUARANTINE).join(format!("{}_{name}", ImageId::random()));
        fs::rename(path, &to)?;
        Ok(to)
    }

    /// Removes a picture and makes that durable; a file that is already gone is fine. An empty day folder goes too.
    pub(super) fn remove(&self, relative: &Path) -> io::Result<()> {
        let path = self.root.join(relative);
        match fs::remove_file(&path) {
            Ok(()) => {}
            // Perhaps a crash came between the removal and its sync, so the folder is synced all the same.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        crash::point("unlinked");
        let folder = path.parent().unwrap_or(&self.root);
        match sync_dir(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        if folder != self.root && fs::remove_dir(folder).is_ok() {
            sync_dir(&self.root)?;
        }
        Ok(())
    }

    /// Bytes free for an ordinary user, and in all, of the file system that holds the pictures.
    pub(super) fn space(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(path) = self.path.as_ref().filter(|_| !self.is_kept) {
            // Best effort: start-up looks through the folder anyway.
            let _ = fs::remove_file(path);
        }
    }
}

/// Where a picture lies below the picture directory: a folder for each UTC day, so that no folder grows for ever.
///
/// The day is that of the name, whose range is bounded, so a picture that claims to be of any other time cannot lie
/// outside the day folders.
pub(super) fn relative_path(name: &FileName) -> PathBuf {
    Path::new(&name.day()).join(name.to_string())
}

/// Makes the names in a directory durable.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

pub(super) fn is_day(name: &str) -> bool {
    name.len() == 10
        && name
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        let path = Path::new("2026-11-20/r1_1698765432.jpg");
        let mut first = files.write_incoming(ImageId::random(), b"first").unwrap();
        assert!(files.publish(&mut first, path).unwrap());
        let mut second = files.write_incoming(ImageId::random(), b"second").unwrap();
        assert!(!files.publish(&mut second, path).unwrap());
        drop(second);
        assert_eq!(fs::read(dir.path().join(path)).unwrap(), b"first");
        assert_eq!(files.left_over().unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn the_directory_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        let held = files.lock().unwrap();
        assert!(held.is_some());
        assert!(files.lock().unwrap().is_none());
        drop(held);
        assert!(files.lock().unwrap().is_some());
    }

    #[test]
    fn removing_the_last_picture_of_a_day_removes_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        let path = Path::new("2026-11-20/r1_1698765432.jpg");
        let mut file = files.write_incoming(ImageId::random(), b"x").unwrap();
        files.publish(&mut file, path).unwrap();
        assert_eq!(files.day_folders().unwrap().len(), 1);
        files.remove(path).unwrap();
        files.remove(path).unwrap();
        assert_eq!(files.day_folders().unwrap().len(), 0);
    }
}
