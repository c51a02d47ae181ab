//! Folders and files by handle, so that no name leads out of the picture directory.
//!
//! Every component of a path is opened by itself, below the handle of the one before, and never through a link. That is
//! what `openat2` does with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS`, on every kernel and within
//! sandboxes that forbid that call. What is done afterwards is done to the handle: a link that is put into the place of
//! a folder meanwhile changes nothing.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use crate::folder;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Pipe,
    Socket,
    Device,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

impl Kind {
    fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Pipe,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => Self::Device,
        }
    }
}

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// The picture directory itself, which may be a link: an operator says where it is.
    pub(super) fn top(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    /// The folder `name` in it. Anything else of that name is an error of which [`is_in_the_way`] is true.
    pub(super) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, single(name)?, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// The folder of a path as [`split`] gives it: one in it, or itself where that is empty.
    pub(super) fn beneath(&self, folder: &OsStr) -> io::Result<Self> {
        if folder.is_empty() { Ok(Self(self.0.try_clone()?)) } else { self.folder(folder) }
    }

    /// Makes a folder.
    pub(super) fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, single(name)?, Mode::from_raw_mode(folder::MODE))?)
    }

    /// What has this name, and its length in bytes; `None` when nothing has.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<(Kind, u64)>> {
        match rustix::fs::statat(&self.0, single(name)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((Kind::of(&stat), u64::try_from(stat.st_size).unwrap_or(0)))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a regular file to read it. Anything else of that name is an error of which [`is_in_the_way`] is true.
    pub(super) fn open(&self, name: &OsStr) -> io::Result<File> {
        let name = single(name)?;
        // Looked at first, because opening a device can do something, and again by its handle, because it may be another
        // one by then.
        let is_file = |stat: &Stat| Kind::of(stat) == Kind::File;
        if !is_file(&rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?) {
            return Err(no_file());
        }
        // A pipe would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        if is_file(&rustix::fs::fstat(&file)?) { Ok(file.into()) } else { Err(no_file()) }
    }

    /// Makes a file that was not there, to write it.
    pub(super) fn create(&self, name: &OsStr, mode: u16) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, single(name)?, flags, Mode::from_raw_mode(mode.into()))?.into())
    }

    /// Opens a file to hold it, and makes it if it is not there; nothing of it is changed.
    pub(super) fn hold(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, single(name)?, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// The names in it, without `.` and `..`.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// Gives something another name, perhaps in another folder; `AlreadyExists` when the name is taken.
    pub(super) fn rename(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        let (from, to) = (single(from)?, single(to)?);
        match rustix::fs::renameat_with(&self.0, from, &folder.0, to, RenameFlags::NOREPLACE) {
            // Some file systems (FAT, some network ones) lack RENAME_NOREPLACE; a hard link refuses to replace too.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(&self.0, from, &folder.0, to, AtFlags::empty())?;
                self.unlink(from)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Gives a file another name in this folder, in place of whatever has it, folders excepted.
    pub(super) fn replace(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, single(from)?, &self.0, single(to)?)?)
    }

    /// Removes a name that is no folder's. A link goes itself, never what it leads to.
    pub(super) fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, single(name)?, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub(super) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, single(name)?, AtFlags::REMOVEDIR)?)
    }

    /// When a name in it was last made or removed, in seconds since 1970.
    pub(super) fn changed_at(&self) -> io::Result<i64> {
        Ok(rustix::fs::fstat(&self.0)?.st_mtime)
    }

    /// Makes the names in it durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

/// Opens a regular file in `root` or in a folder of it; no link, no `..` and no other kind of file leads anywhere. Blocking.
pub(super) fn open_beneath(root: &Path, relative: &Path) -> io::Result<File> {
    let (folder, name) = split(relative).ok_or_else(no_name)?;
    Folder::top(root)?.beneath(folder)?.open(name)
}

/// Folder and name of a path such as `2026-11-20/r1_1795132800.jpg`, or an empty folder and the name of one such as
/// `r1_1795132800.jpg`, which programs before this one wrote; `None` for any other shape.
pub(super) fn split(relative: &Path) -> Option<(&OsStr, &OsStr)> {
    let mut components = relative.components();
    match (components.next(), components.next(), components.next()) {
        (Some(Component::Normal(folder)), Some(Component::Normal(name)), None) => Some((folder, name)),
        (Some(Component::Normal(name)), None, None) => Some((OsStr::new(""), name)),
        _ => None,
    }
}

/// Whether an error says that there is something else than what was looked for: a link, a file in place of a folder, no
/// regular file.
pub(super) fn is_in_the_way(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    is(Errno::LOOP) || is(Errno::NOTDIR) || error.kind() == io::ErrorKind::InvalidInput
}

/// Whether an error says that what was looked for is not there, whatever is in its place.
pub(super) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || is_in_the_way(error)
}

/// The same error; `NotFound` where something else is in the place.
pub(super) fn or_absent(error: io::Error) -> io::Error {
    if is_absent(&error) { io::Error::new(io::ErrorKind::NotFound, error) } else { error }
}

/// One component, so that no name leads anywhere.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(name),
        _ => Err(no_name()),
    }
}

fn no_file() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "what is in its place is no regular file, and is not followed",
    )
}

fn no_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no name within the picture directory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::symlink;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn nothing_but_a_regular_file_below_the_root_is_opened() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "secret").unwrap();
        fs::create_dir(root.path().join("day")).unwrap();
        fs::write(root.path().join("day/a.jpg"), "fine").unwrap();
        fs::write(root.path().join("top.jpg"), "of a program before this one").unwrap();
        symlink(outside.path().join("secret"), root.path().join("top-link.jpg")).unwrap();
        fs::create_dir(root.path().join("day/folder.jpg")).unwrap();
        symlink(outside.path().join("secret"), root.path().join("day/link.jpg")).unwrap();
        symlink("a.jpg", root.path().join("day/inside.jpg")).unwrap();
        symlink("nowhere", root.path().join("day/dangling.jpg")).unwrap();
        symlink("loop.jpg", root.path().join("day/loop.jpg")).unwrap();
        symlink(outside.path(), root.path().join("linked")).unwrap();
        symlink("/proc/self/fd", root.path().join("magic")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.path().join("day/pipe.jpg"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("day/socket.jpg")).unwrap();
        for path in ["day/a.jpg", "top.jpg"] {
            assert!(open_beneath(root.path(), Path::new(path)).is_ok(), "{path}");
        }
        for path in [
            "day/link.jpg",
            "day/inside.jpg",
            "day/dangling.jpg",
            "day/loop.jpg",
            "day/pipe.jpg",
            "day/socket.jpg",
            "day/folder.jpg",
            "linked/secret",
            "magic/0",
            "../secret",
            "day/../day/a.jpg",
            "/etc/passwd",
            "day",
            "top-link.jpg",
            "linked",
            "a.jpg/x",
            "",
            ".",
            "..",
            "day/missing.jpg",
            "day/../../x",
        ] {
            let error = open_beneath(root.path(), Path::new(path)).unwrap_err();
            assert!(is_absent(&error), "{path}: {error:?}");
        }
        // The root itself may be a link.
        let link = outside.path().join("pictures");
        symlink(root.path(), &link).unwrap();
        assert!(open_beneath(&link, Path::new("day/a.jpg")).is_ok());
    }

    #[test]
    fn a_link_put_in_place_of_an_open_folder_leads_nowhere() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("day")).unwrap();
        fs::write(root.path().join("day/a"), "ours").unwrap();
        fs::write(outside.path().join("a"), "theirs").unwrap();
        let top = Folder::top(root.path()).unwrap();
        let folder = top.folder(name("day")).unwrap();
        fs::rename(root.path().join("day"), root.path().join("moved")).unwrap();
        symlink(outside.path(), root.path().join("day")).unwrap();

        let mut text = String::new();
        folder.open(name("a")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "ours");
        folder.create(name("b"), 0o640).unwrap().write_all(b"ours").unwrap();
        folder.rename(name("b"), &folder, name("c")).unwrap();
        folder.unlink(name("a")).unwrap();
        assert!(top.remove_folder(name("day")).is_err());
        assert!(is_in_the_way(&top.folder(name("day")).unwrap_err()));
        assert_eq!(fs::read_to_string(outside.path().join("a")).unwrap(), "theirs");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert!(root.path().join("moved/c").is_file());
    }

    #[test]
    fn no_name_is_a_path() {
        let root = tempfile::tempdir().unwrap();
        let top = Folder::top(root.path()).unwrap();
        for bad in ["", ".", "..", "a/b", "/a", "a/", "./a"] {
            assert!(top.create(name(bad), 0o600).is_err(), "{bad:?}");
            assert!(top.unlink(name(bad)).is_err(), "{bad:?}");
            assert!(top.make_folder(name(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(top.names().unwrap(), Vec::<OsString>::new());
    }
}
