//! Folders and files by handle, so that no name leads out of the picture directory, or of a folder of devices.
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
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::folder;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Rights of a file that only takes a name.
const PLACE_MODE: u16 = 0o600;

/// What lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device, or something that is not known.
    Device,
}

/// What tells whether a file is still the one that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    /// Its length in bytes.
    pub length: u64,
    inode: u64,
    /// When it was last written, in seconds and nanoseconds.
    written_at: (i64, i64),
}

impl FileStamp {
    /// That of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        let known = file.metadata()?;
        let written_at = (known.mtime(), known.mtime_nsec());
        Ok(Self { length: known.len(), inode: known.ino(), written_at })
    }
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
pub struct Folder(OwnedFd);

impl Folder {
    /// The picture directory itself, which may be a link: an operator says where it is.
    pub fn top(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    /// The folder `name` in it. Anything else of that name is an error of which [`is_in_the_way`] is true.
    pub fn folder(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, single(name)?, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// The folder of a path as [`split`] gives it: one in it, or itself where that is empty.
    pub fn beneath(&self, folder: &OsStr) -> io::Result<Self> {
        if folder.is_empty() { Ok(Self(self.0.try_clone()?)) } else { self.folder(folder) }
    }

    /// Makes a folder.
    pub fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, single(name)?, Mode::from_raw_mode(folder::MODE))?)
    }

    /// What has this name, and its length in bytes; `None` when nothing has.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<(Kind, u64)>> {
        match rustix::fs::statat(&self.0, single(name)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((Kind::of(&stat), u64::try_from(stat.st_size).unwrap_or(0)))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The regular file of this name as it is now; `None` for anything else, and where nothing is.
    pub fn stamp(&self, name: &OsStr) -> io::Result<Option<FileStamp>> {
        match self.open(name) {
            Ok(file) => FileStamp::of(&file).map(Some),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file to read it. Anything else of that name is an error of which [`is_in_the_way`] is true.
    pub fn open(&self, name: &OsStr) -> io::Result<File> {
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
    pub fn create(&self, name: &OsStr, mode: u16) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, single(name)?, flags, Mode::from_raw_mode(mode.into()))?.into())
    }

    /// Opens a file to hold it, and makes it if it is not there; nothing of it is changed.
    pub fn hold(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, single(name)?, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// The names in it, without `.` and `..`.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
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
    pub fn rename(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        let (from, to) = (single(from)?, single(to)?);
        match rustix::fs::renameat_with(&self.0, from, &folder.0, to, RenameFlags::NOREPLACE) {
            Err(error) if is_lacking(error) => self.rename_by_link(from, folder, to),
            renamed => Ok(renamed?),
        }
    }

    /// Where the file system lacks `RENAME_NOREPLACE` (FUSE, NFS and SMB do, says rename(2)): a hard link refuses to
    /// replace, too.
    fn rename_by_link(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        match rustix::fs::linkat(&self.0, from, &folder.0, to, AtFlags::empty()) {
            Ok(()) => self.unlink(from),
            // FAT and exFAT know no links, SMB and many on FUSE refuse them, and none has links to folders.
            Err(error) if is_lacking(error) || error == Errno::MLINK => {
                self.rename_by_place(from, folder, to)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where there are no links either: the name is taken first, by an empty file or folder that must not have been
    /// there, and only that is replaced. A crash in between leaves it beside what it was taken for.
    fn rename_by_place(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        let is_folder = match self.look(from)? {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some((kind, _)) => kind == Kind::Folder,
        };
        if is_folder {
            folder.make_folder(to)?;
        } else {
            drop(folder.create(to, PLACE_MODE)?);
        }
        // A folder is replaced only while it is empty, and so is a file, if nobody has written into it meanwhile. Numbers
        // of files say nothing here: not every file system on FUSE keeps them.
        if !is_folder && folder.look(to)? != Some((Kind::File, 0)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        rustix::fs::renameat(&self.0, from, &folder.0, to).map_err(|error| {
            // The name is free again, and another try may do; it is not taken by somebody else.
            let given_back = if is_folder { folder.remove_folder(to) } else { folder.unlink(to) };
            match given_back {
                Ok(()) if matches!(error, Errno::EXIST | Errno::NOTEMPTY) => {
                    io::Error::other("the file system replaces nothing by a rename")
                }
                _ => error.into(),
            }
        })
    }

    /// Gives a file another name in this folder, in place of whatever has it, folders excepted.
    pub fn replace(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, single(from)?, &self.0, single(to)?)?)
    }

    /// Removes a name that is no folder's. A link goes itself, never what it leads to.
    pub fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, single(name)?, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, single(name)?, AtFlags::REMOVEDIR)?)
    }

    /// When a name in it was last made or removed, in seconds since 1970.
    pub fn changed_at(&self) -> io::Result<i64> {
        Ok(rustix::fs::fstat(&self.0)?.st_mtime)
    }

    /// Bytes of its disk that are free for this program, and all of them.
    pub fn room(&self) -> io::Result<(u64, u64)> {
        let known = rustix::fs::fstatvfs(&self.0)?;
        Ok((known.f_bavail.saturating_mul(known.f_frsize), known.f_blocks.saturating_mul(known.f_frsize)))
    }

    /// Makes the names in it durable, where the file system can ([`Self::can_sync`]).
    pub fn sync(&self) -> io::Result<()> {
        self.can_sync().map(drop)
    }

    /// The same; false where the file system does not sync folders, as some on FUSE, SMB and NFS. There it is the
    /// server's part, or nobody's.
    pub fn can_sync(&self) -> io::Result<bool> {
        synced(rustix::fs::fsync(&self.0).map_err(io::Error::from))
    }
}

/// Whether an error says that a file system does not know what was asked, rather than that it failed.
fn is_lacking(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM)
}

/// What it means that a folder was synced with this result: false where the file system does not sync folders, which
/// fsync(2) says with `EINVAL`, and file systems on FUSE with others.
pub fn synced(result: io::Result<()>) -> io::Result<bool> {
    const LACKING: [Errno; 6] =
        [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::BADF, Errno::ISDIR, Errno::PERM];
    match result {
        Ok(()) => Ok(true),
        Err(error) if LACKING.iter().any(|lacking| error.raw_os_error() == Some(lacking.raw_os_error())) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Opens a regular file in `root` or in a folder of it; no link, no `..` and no other kind of file leads anywhere. Blocking.
pub fn open_beneath(root: &Path, relative: &Path) -> io::Result<File> {
    let (folder, name) = split(relative).ok_or_else(no_name)?;
    Folder::top(root)?.beneath(folder)?.open(name)
}

/// Folder and name of a path such as `2026-11-20/r1_1795132800.jpg`, or an empty folder and the name of one such as
/// `r1_1795132800.jpg`, which programs before this one wrote; `None` for any other shape.
pub fn split(relative: &Path) -> Option<(&OsStr, &OsStr)> {
    let mut components = relative.components();
    match (components.next(), components.next(), components.next()) {
        (Some(Component::Normal(folder)), Some(Component::Normal(name)), None) => Some((folder, name)),
        (Some(Component::Normal(name)), None, None) => Some((OsStr::new(""), name)),
        _ => None,
    }
}

/// Whether an error says that there is something else than what was looked for: a link, a file in place of a folder, no
/// regular file.
pub fn is_in_the_way(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    is(Errno::LOOP) || is(Errno::NOTDIR) || error.kind() == io::ErrorKind::InvalidInput
}

/// Whether an error says that what was looked for is not there, whatever is in its place.
pub fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || is_in_the_way(error)
}

/// The same error; `NotFound` where something else is in the place.
pub fn or_absent(error: io::Error) -> io::Error {
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

    /// Every way in which a name is given without taking one from another; a file system may know only the last.
    type Way = fn(&Folder, &OsStr, &Folder, &OsStr) -> io::Result<()>;
    const WAYS: [(&str, Way); 3] =
        [("rename", Folder::rename), ("link", Folder::rename_by_link), ("place", Folder::rename_by_place)];

    #[test]
    fn whatever_the_file_system_knows_no_name_is_taken_from_another() {
        for (way, rename) in WAYS {
            let root = tempfile::tempdir().unwrap();
            let at = |path: &str| root.path().join(path);
            fs::create_dir(at("day")).unwrap();
            let top = Folder::top(root.path()).unwrap();
            let day = top.folder(name("day")).unwrap();
            let taken = || {
                fs::write(at("from"), "new").unwrap();
                let kept = rename(&top, name("from"), &day, name("to")).unwrap_err();
                assert_eq!(kept.kind(), io::ErrorKind::AlreadyExists, "{way}");
                assert_eq!(fs::read_to_string(at("from")).unwrap(), "new", "{way}");
            };
            fs::write(at("from"), "first").unwrap();
            rename(&top, name("from"), &day, name("to")).unwrap();
            assert_eq!(fs::read_to_string(at("day/to")).unwrap(), "first", "{way}");
            assert!(!at("from").exists(), "{way}");
            taken();
            assert_eq!(fs::read_to_string(at("day/to")).unwrap(), "first", "{way}");
            // An empty file, a folder and a link that leads nowhere have their names, too.
            fs::write(at("day/to"), "").unwrap();
            taken();
            fs::remove_file(at("day/to")).unwrap();
            fs::create_dir(at("day/to")).unwrap();
            taken();
            fs::remove_dir(at("day/to")).unwrap();
            symlink("nowhere", at("day/to")).unwrap();
            taken();
            assert!(!at("day/nowhere").exists(), "{way}");
            let missing = rename(&top, name("gone"), &day, name("other")).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound, "{way}");
            assert!(!at("day/other").exists(), "{way}");
        }
    }

    #[test]
    fn whatever_the_file_system_knows_a_folder_and_a_link_are_renamed_as_they_are() {
        for (way, rename) in WAYS {
            let root = tempfile::tempdir().unwrap();
            let at = |path: &str| root.path().join(path);
            let top = Folder::top(root.path()).unwrap();
            fs::create_dir(at("folder")).unwrap();
            fs::write(at("folder/in"), "x").unwrap();
            symlink("nowhere", at("link")).unwrap();
            rename(&top, name("folder"), &top, name("moved")).unwrap();
            rename(&top, name("link"), &top, name("renamed")).unwrap();
            assert!(at("moved/in").is_file() && !at("folder").exists(), "{way}");
            assert_eq!(fs::read_link(at("renamed")).unwrap(), Path::new("nowhere"), "{way}");
            // Over an empty folder neither.
            fs::create_dir(at("empty")).unwrap();
            let kept = rename(&top, name("moved"), &top, name("empty")).unwrap_err();
            assert_eq!(kept.kind(), io::ErrorKind::AlreadyExists, "{way}");
            assert!(at("moved/in").is_file(), "{way}");
        }
    }

    #[test]
    fn of_many_that_want_one_name_at_once_one_gets_it_and_all_are_still_there() {
        for (way, rename) in WAYS {
            let root = tempfile::tempdir().unwrap();
            let files: Vec<String> = (0..16).map(|n| format!("file-{n}")).collect();
            files.iter().for_each(|file| fs::write(root.path().join(file), file).unwrap());
            let got = std::thread::scope(|scope| {
                let tries: Vec<_> = files
                    .iter()
                    .map(|file| {
                        let top = Folder::top(root.path()).unwrap();
                        scope.spawn(move || rename(&top, name(file), &top, name("wanted")).is_ok())
                    })
                    .collect();
                tries.into_iter().map(|one| one.join().unwrap()).filter(|got| *got).count()
            });
            assert_eq!(got, 1, "{way}");
            let winner = fs::read_to_string(root.path().join("wanted")).unwrap();
            let left = files.iter().filter(|file| root.path().join(file).is_file()).count();
            assert!(files.contains(&winner), "{way}: {winner:?}");
            assert_eq!(left, files.len() - 1, "{way}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_no_failure_and_a_broken_one_is() {
        let of = |errno: Errno| synced(Err(errno.into()));
        assert!(synced(Ok(())).unwrap());
        for errno in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::BADF] {
            assert!(!of(errno).unwrap(), "{errno}");
        }
        for errno in [Errno::IO, Errno::NOSPC, Errno::ROFS] {
            assert!(of(errno).is_err(), "{errno}");
        }
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
