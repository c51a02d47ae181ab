//! The folder by handle: no link is followed, and what is done is done to the file that was read. Blocking.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::system::tree::{FileStamp, Folder, Kind};

/// Folders within folders that are looked into.
const DEPTH_MAX: usize = 8;

/// Names of one look; what is beyond them has its turn when they are gone.
const NAMES_MAX: usize = 20_000;

/// Pictures of one look.
const FILES_MAX: usize = 2_000;

/// Endings of what is a picture. Everything else stays.
const PICTURES: [&str; 4] = ["jpg", "jpeg", "jpe", "jfif"];

/// Where files go that were taken, and those that were refused.
const DONE: &str = ".done";
const REFUSED: &str = ".refused";

/// Other names that are tried for a file whose own is taken there.
const OTHER_NAMES: u32 = 1_000;

/// Rights of the reason beside a refused file.
const REASON_MODE: u16 = 0o640;

/// The folder of a device.
#[derive(Debug)]
pub(super) struct FolderPlace {
    root: PathBuf,
}

/// A file that may be a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FolderFile {
    folders: Vec<OsString>,
    /// Its own name.
    pub(super) name: OsString,
    /// As it was when it was found.
    pub(super) stamp: FileStamp,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// In the order of their paths.
    pub(super) files: Vec<FolderFile>,
    /// One of those that cannot be read.
    pub(super) unreadable: Option<(PathBuf, io::Error)>,
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileEnd {
    /// It is removed.
    Removed,
    /// It moves to `.done`.
    Done,
    /// It moves to `.refused`, with the reason beside it.
    Refused(String),
}

impl FolderFile {
    /// Its path within the folder.
    pub(super) fn path(&self) -> PathBuf {
        self.folders.iter().chain([&self.name]).collect()
    }
}

impl FolderPlace {
    /// Nothing is looked at yet.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Looks for files that may be pictures, in the folders of it, too. The error is the folder's own.
    pub(super) fn look(&self) -> io::Result<Look> {
        let mut found = Look::default();
        let mut names = 0;
        look_into(&Folder::top(&self.root)?, &mut Vec::new(), &mut names, &mut found)?;
        found.files.sort_by_cached_key(FolderFile::path);
        Ok(found)
    }

    /// All of a file; `None` when it is another one by now, or gone.
    pub(super) fn read(&self, file: &FolderFile) -> io::Result<Option<Vec<u8>>> {
        let Some(folder) = self.folder_of(file)? else { return Ok(None) };
        if folder.stamp(&file.name)? != Some(file.stamp) {
            return Ok(None);
        }
        let mut open = folder.open(&file.name)?;
        let mut bytes = Vec::new();
        (&mut open).take(file.stamp.length).read_to_end(&mut bytes)?;
        let is_same = FileStamp::of(&open)? == file.stamp && bytes.len() as u64 == file.stamp.length;
        Ok(is_same.then_some(bytes))
    }

    /// Removes or moves a file. One that is another by now stays, and is a new one.
    pub(super) fn finish(&self, file: &FolderFile, end: &FileEnd) -> io::Result<()> {
        let Some(folder) = self.folder_of(file)? else { return Ok(()) };
        if folder.stamp(&file.name)? != Some(file.stamp) {
            return Ok(());
        }
        match end {
            FileEnd::Removed => folder.unlink(&file.name),
            FileEnd::Done => self.moved(&folder, &file.name, DONE).map(drop),
            FileEnd::Refused(reason) => {
                let (place, name) = self.moved(&folder, &file.name, REFUSED)?;
                let mut beside = name;
                beside.push(".txt");
                // One of a file that was removed by hand may be left.
                let _ = place.unlink(&beside);
                place.create(&beside, REASON_MODE)?.write_all(format!("{reason}\n").as_bytes())
            }
        }
    }

    /// The folder that a file lies in; `None` when it is gone.
    fn folder_of(&self, file: &FolderFile) -> io::Result<Option<Folder>> {
        let mut folder = Folder::top(&self.root)?;
        for name in &file.folders {
            folder = match folder.folder(name) {
                Ok(folder) => folder,
                Err(error) if crate::system::tree::is_absent(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        Ok(Some(folder))
    }

    /// Moves a file into a folder of ours in this one; what is there already keeps its name.
    fn moved(&self, from: &Folder, name: &OsStr, into: &str) -> io::Result<(Folder, OsString)> {
        let top = Folder::top(&self.root)?;
        match top.make_folder(into.as_ref()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let place = top.folder(into.as_ref())?;
        for number in 1..=OTHER_NAMES {
            let wanted = numbered(name, number);
            match from.rename(name, &place, &wanted) {
                Ok(()) => return Ok((place, wanted)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

fn look_into(
    folder: &Folder,
    path: &mut Vec<OsString>,
    names: &mut usize,
    found: &mut Look,
) -> io::Result<()> {
    for name in folder.names()? {
        *names += 1;
        if *names > NAMES_MAX || found.files.len() >= FILES_MAX {
            return Ok(());
        }
        if is_of_others(&name) {
            continue;
        }
        let looked = match folder.look(&name) {
            Ok(Some((Kind::File, _))) if is_picture(&name) => folder.stamp(&name).map(|stamp| {
                let file = |stamp| FolderFile { folders: path.clone(), name: name.clone(), stamp };
                found.files.extend(stamp.map(file));
            }),
            Ok(Some((Kind::Folder, _))) if path.len() < DEPTH_MAX => folder.folder(&name).and_then(|inner| {
                path.push(name.clone());
                let looked = look_into(&inner, path, names, found);
                path.pop();
                looked
            }),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            let path: PathBuf = path.iter().chain([&name]).collect();
            found.unreadable.get_or_insert((path, error));
        }
    }
    Ok(())
}

/// What is hidden or of a system: temporary names of rsync, our own folders, recycle bins and thumbnails of network storage.
fn is_of_others(name: &OsStr) -> bool {
    matches!(name.as_bytes().first(), Some(b'.' | b'~' | b'@' | b'#' | b'$') | None)
}

fn is_picture(name: &OsStr) -> bool {
    let ending = Path::new(name).extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| PICTURES.contains(&ending.as_str()))
}

/// `snap.jpg`, `snap_2.jpg`, `snap_3.jpg`.
fn numbered(name: &OsStr, number: u32) -> OsString {
    if number == 1 {
        return name.to_owned();
    }
    let path = Path::new(name);
    let mut other = path.file_stem().unwrap_or(name).to_owned();
    other.push(format!("_{number}"));
    if let Some(ending) = path.extension() {
        other.push(".");
        other.push(ending);
    }
    other
}
