//! Picture files: written whole and synced under a temporary name, then given their name without replacing any.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::crash;
use super::lock::{hold, kind_of};
use super::place::PictureFolder;
use super::strange::Strange;
use super::tree::{self, Folder, Kind, is_absent, is_in_the_way};
use crate::model::{FileName, ImageId};
use crate::system::folder;

/// Temporary files; on the same file system as the pictures, hidden from `cp` and `rsync` patterns like `*/`.
const INCOMING: &str = ".incoming";

/// Files that are not what their place says; kept for a person to look at.
pub(super) const QUARANTINE: &str = ".quarantine";

/// Held while a daemon owns the directory.
const LOCK: &str = ".lock";

/// What the name of something that was in the way of a folder ends with, once it is renamed; a number follows from the
/// second one on. It stays in its folder, so that a relative link means what it meant.
const ASIDE: &str = ".set-aside";

/// Neither a picture nor a clip is ever larger than this; a larger file is not ours.
const FILE_MAX: u64 = 64 << 20;

/// What the name of a file ends with that is not whole yet.
const PART: &str = ".part";

/// Rights of a picture's file.
const FILE_MODE: u16 = 0o640;

/// How often a picture is named again when its folder vanishes under it (retention, perhaps of another process, removes
/// empty day folders), and how many names are tried for what is in the way.
const FOLDER_TRIES: u32 = 16;

/// The picture directory. Nothing below it is followed anywhere, see `tree`.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
    strange: Strange,
    pub(super) place: PictureFolder,
}

/// A complete, synced file that has no name yet; one that this process wrote is removed when it is dropped unpublished.
#[derive(Debug)]
pub(super) struct Incoming {
    folder: Folder,
    name: Option<OsString>,
    /// Where it lies now, relative to the picture directory.
    place: PathBuf,
    /// A file that an earlier run left is the only copy of its picture and outlives every failure.
    is_kept: bool,
}

impl Incoming {
    /// Lets the file outlive this value, whatever becomes of it. Returns where it lies.
    pub(super) fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        std::mem::take(&mut self.place)
    }

    /// Where it lies now, relative to the picture directory.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }
}

/// Looks at many files, those of one folder together.
pub(super) struct FolderLook {
    top: Folder,
    last: Option<(OsString, Option<Folder>)>,
}

impl Files {
    /// Creates the directories that are missing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let files = Self::at(root);
        files.prepare()?;
        Ok(files)
    }

    /// Nothing is made or looked at yet.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), strange: Strange::default(), place: PictureFolder::default() }
    }

    /// Creates the directories that are missing.
    pub(super) fn prepare(&self) -> io::Result<()> {
        folder::create(&self.root)?;
        let top = self.top()?;
        for name in [INCOMING, QUARANTINE] {
            self.own_folder(&top, name.as_ref())?;
            self.give(name);
        }
        top.sync()
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What was found that is not this program's.
    pub(super) fn strange(&self) -> &Strange {
        &self.strange
    }

    fn top(&self) -> io::Result<Folder> {
        Folder::top(&self.root)
    }

    /// A folder of this program, made if it is missing. Anything else that has its name is renamed: a picture must not be
    /// lost to it, nor written to where it leads.
    fn own_folder(&self, top: &Folder, name: &OsStr) -> io::Result<Folder> {
        let mut tries = 0;
        loop {
            tries += 1;
            match top.folder(name) {
                Err(error) if tries > FOLDER_TRIES => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::NotFound => match top.make_folder(name) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {
                        self.give(name);
                        top.sync()?;
                    }
                },
                Err(error) if is_in_the_way(&error) => self.move_aside(top, name)?,
                opened => return opened,
            }
        }
    }

    /// What root makes belongs to the owner of the picture directory.
    fn give(&self, below: impl AsRef<Path>) {
        folder::give(&self.root.join(below), &self.root);
    }

    /// Renames what is in the way, which touches nothing but its name.
    fn move_aside(&self, top: &Folder, name: &OsStr) -> io::Result<()> {
        for n in 1..=FOLDER_TRIES {
            let mut to = name.to_owned();
            to.push(ASIDE);
            if n > 1 {
                to.push(format!("-{n}"));
            }
            match top.rename(name, top, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    top.sync()?;
                    self.strange.moved(&to);
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Takes the directory for this process until the file is dropped; `None` when another process has it.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let (top, name) = (self.top()?, OsStr::new(LOCK));
        if top.look(name)?.is_some_and(|(kind, _)| kind != Kind::File) {
            self.move_aside(&top, name)?;
        }
        let file = top.hold(name)?;
        self.give(LOCK);
        if !top.can_sync()? {
            let kind = kind_of(&self.root);
            warn!(
                kind,
                "the file system of the pictures does not sync folders; a power cut may take the newest names"
            );
        }
        Ok(hold(&file, &self.root)?.then_some(file))
    }

    /// Writes and syncs `bytes` under a temporary name. An error leaves nothing behind.
    ///
    /// A failed fsync is final for its descriptor (the kernel drops the dirty pages), so it is never tried again on
    /// the same file; the caller may write a new one.
    pub(super) fn write_incoming(&self, id: ImageId, bytes: &[u8]) -> io::Result<Incoming> {
        let folder = self.top()?.folder(INCOMING.as_ref())?;
        let name = OsString::from(format!("{id}{PART}"));
        let mut file = folder.create(&name, FILE_MODE)?;
        let place = Path::new(INCOMING).join(&name);
        self.give(&place);
        let incoming = Incoming { folder, name: Some(name), place, is_kept: false };
        crash::point("created");
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(incoming)
    }

    /// Gives a file its name; `false` when the name is taken, then the file is still incoming.
    pub(super) fn publish(&self, incoming: &mut Incoming, relative: &Path) -> io::Result<bool> {
        let Some(from) = &incoming.name else { return Ok(false) };
        if self.is_another() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the disk is away; is it mounted?"));
        }
        let (day, name) = tree::split(relative).ok_or(io::ErrorKind::InvalidInput)?;
        let top = self.top()?;
        let mut tries = 0;
        let folder = loop {
            tries += 1;
            let folder = self.own_folder(&top, day)?;
            match incoming.folder.rename(from, &folder, name) {
                Ok(()) => break folder,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                // Retention removed the empty folder a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < FOLDER_TRIES => {}
                Err(error) => return Err(error),
            }
        };
        incoming.name = None;
        relative.clone_into(&mut incoming.place);
        crash::point("renamed");
        folder.sync()?;
        Ok(true)
    }

    /// Takes over a file that a crash left in the incoming folder. It stays there when it cannot be published.
    pub(super) fn adopt_incoming(&self, name: &OsStr) -> io::Result<Incoming> {
        let folder = self.top()?.folder(INCOMING.as_ref())?;
        let place = Path::new(INCOMING).join(name);
        Ok(Incoming { folder, name: Some(name.to_owned()), place, is_kept: true })
    }

    /// Writes and syncs a small file into the incoming folder; one of that name says the same already.
    pub(super) fn write_note(&self, name: &OsStr, text: &[u8]) -> io::Result<()> {
        let folder = self.top()?.folder(INCOMING.as_ref())?;
        let mut file = match folder.create(name, FILE_MODE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            created => created?,
        };
        let written = file.write_all(text).and_then(|()| file.sync_all()).and_then(|()| folder.sync());
        if written.is_err() {
            // A torn one is set aside by the next start.
            let _ = folder.unlink(name);
        }
        written
    }

    /// Removes such a file, if it is there.
    pub(super) fn forget_note(&self, name: &OsStr) {
        self.remove_incoming(&Path::new(INCOMING).join(name));
    }

    /// Removes a file of the incoming folder. Best effort: the next start looks through the folder anyway.
    pub(super) fn remove_incoming(&self, place: &Path) {
        if let Some((_, name)) = tree::split(place) {
            let removed = self.top().and_then(|top| top.folder(INCOMING.as_ref())?.unlink(name));
            if let Err(error) = removed
                && !is_absent(&error)
            {
                warn!(file = %place.display(), %error, "cannot be removed");
            }
        }
    }

    /// Makes the name of a file durable that may have got it without that; an error when it has not.
    pub(super) fn sync_name(&self, relative: &Path) -> io::Result<()> {
        let (day, name) = tree::split(relative).ok_or(io::ErrorKind::InvalidInput)?;
        let folder = self.top()?.folder(day)?;
        folder.open(name)?;
        folder.sync()
    }

    /// Whether the directory is what [`Files::open`] prepared; a file system that has been unmounted leaves a bare one.
    pub(super) fn is_there(&self) -> bool {
        let found = self.top().and_then(|top| top.look(INCOMING.as_ref()));
        !self.is_another() && found.is_ok_and(|found| found.is_some_and(|(kind, _)| kind == Kind::Folder))
    }

    /// What a crash left in the incoming folder, as paths below the directory. What is no file is left there.
    pub(super) fn left_over(&self) -> io::Result<Vec<PathBuf>> {
        self.files_of(Path::new(INCOMING))
    }

    /// The day folders, in order, as paths below the directory.
    pub(super) fn day_folders(&self) -> io::Result<Vec<PathBuf>> {
        let top = self.top()?;
        let mut folders = Vec::new();
        for name in top.names()? {
            if name.to_str().is_some_and(is_day) {
                match top.look(&name)? {
                    Some((Kind::Folder, _)) => folders.push(PathBuf::from(name)),
                    Some((kind, _)) => self.strange.no_folder(&name, kind),
                    None => {}
                }
            } else if name.to_str().is_some_and(|name| name.contains(ASIDE)) {
                self.strange.moved(&name);
            }
        }
        folders.sort();
        Ok(folders)
    }

    /// When a name in a folder was last made or removed; `None` when it is gone.
    pub(super) fn changed_at(&self, folder: &Path) -> Option<i64> {
        self.top().and_then(|top| top.folder(folder.as_ref())?.changed_at()).ok()
    }

    /// The regular files of a folder, as paths below the directory; none when it is gone. Anything else in it is named
    /// and left.
    pub(super) fn files_of(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let opened = match self.top()?.folder(folder.as_ref()) {
            // Retention removed the last picture of that day a moment ago.
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut files = Vec::new();
        for name in opened.names()? {
            let path = folder.join(&name);
            match opened.look(&name)? {
                Some((Kind::File, _)) => files.push(path),
                Some((kind, _)) => self.strange.left(&path, kind),
                None => {}
            }
        }
        Ok(files)
    }

    /// The names of regular files in the directory itself: programs before this one put their pictures there.
    pub(super) fn flat(&self) -> io::Result<Vec<String>> {
        let top = self.top()?;
        let mut files = Vec::new();
        for name in top.names()?.into_iter().filter_map(|name| name.into_string().ok()) {
            if !name.starts_with('.') && matches!(top.look(name.as_ref())?, Some((Kind::File, _))) {
                files.push(name);
            }
        }
        Ok(files)
    }

    /// The whole content of a regular file; `None` when there is none of that name, or one that is too large to be ours.
    pub(super) fn read(&self, relative: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match tree::open_beneath(&self.root, relative) {
            Err(error) if is_absent(&error) => return Ok(None),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        if length > FILE_MAX {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= FILE_MAX).then_some(bytes))
    }

    /// Moves a regular file to the quarantine folder, under a name that is free there. Returns where it is now.
    pub(super) fn quarantine(&self, relative: &Path) -> io::Result<PathBuf> {
        let (folder, name) = tree::split(relative).ok_or(io::ErrorKind::InvalidInput)?;
        let top = self.top()?;
        let (from, to) = (top.folder(folder)?, self.own_folder(&top, QUARANTINE.as_ref())?);
        if from.look(name)?.is_none_or(|(kind, _)| kind != Kind::File) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut aside = OsString::from(format!("{}_", ImageId::random()));
        aside.push(name);
        from.rename(name, &to, &aside)?;
        Ok(Path::new(QUARANTINE).join(aside))
    }

    /// Removes a picture and makes that durable; a file that is already gone is fine, and so is anything that is no file
    /// of ours in its place, which stays. An empty day folder goes too.
    pub(super) fn remove(&self, relative: &Path) -> io::Result<()> {
        // Nothing of ours ever lay elsewhere.
        let Some((day, name)) = tree::split(relative) else { return Ok(()) };
        let top = self.top()?;
        let folder = match top.beneath(day) {
            Err(error) if is_absent(&error) => return Ok(()),
            opened => opened?,
        };
        match folder.look(name)? {
            Some((Kind::File, _)) => match folder.unlink(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            Some((kind, _)) => self.strange.left(relative, kind),
            // Perhaps a crash came between the removal and its sync, so the folder is synced all the same.
            None => {}
        }
        crash::point("unlinked");
        folder.sync()?;
        if !day.is_empty() && top.remove_folder(day).is_ok() {
            top.sync()?;
        }
        Ok(())
    }

    /// For looking at many files.
    pub(super) fn look(&self) -> io::Result<FolderLook> {
        Ok(FolderLook { top: self.top()?, last: None })
    }

    /// Bytes free for an ordinary user, and in all, of the file system that holds the pictures.
    pub(super) fn space(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
    }
}

impl FolderLook {
    /// The length of the regular file at `relative`; `None` when there is none. An error says that it cannot be told.
    pub(super) fn length(&mut self, relative: &Path) -> io::Result<Option<u64>> {
        let Some((folder, name)) = tree::split(relative) else { return Ok(None) };
        if self.last.as_ref().is_none_or(|(last, _)| last != folder) {
            let opened = match self.top.beneath(folder) {
                Err(error) if is_absent(&error) => None,
                opened => Some(opened?),
            };
            self.last = Some((folder.to_owned(), opened));
        }
        let Some((_, Some(folder))) = &self.last else { return Ok(None) };
        match folder.look(name) {
            Ok(found) => Ok(found.and_then(|(kind, length)| (kind == Kind::File).then_some(length))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Writes a file into a folder of its own below the picture directory, in place of any of that name. Returns where it is.
pub(super) fn save_below(images: &Path, folder: &str, name: &FileName, bytes: &[u8]) -> io::Result<PathBuf> {
    folder::create(images)?;
    let files = Files::at(images);
    let opened = files.own_folder(&files.top()?, folder.as_ref())?;
    let (part, name) = (OsString::from(format!(".{name}{PART}")), name.to_string());
    match opened.unlink(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    opened.create(&part, FILE_MODE)?.write_all(bytes)?;
    files.give(Path::new(folder).join(&part));
    opened.replace(&part, name.as_ref())?;
    Ok(images.join(folder).join(name))
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(name) = self.name.as_ref().filter(|_| !self.is_kept) {
            // Best effort: start-up looks through the folder anyway.
            let _ = self.folder.unlink(name);
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

/// Whether a file in the incoming folder is one that this program began.
pub(super) fn is_part(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(PART))
}

/// Whether a folder has the name of a day.
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
        assert_eq!(std::fs::read(dir.path().join(path)).unwrap(), b"first");
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
