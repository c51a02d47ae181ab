//! A file of an old installation: what it is called here, whether it is a picture, and its copy.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::former;
use super::reconcile::{FoundPicture, found};
use super::tree::Folder;
use crate::clock;
use crate::model::{CameraKey, FileName, ImageId, Medium, UnixMs, foreign};
use crate::system::folder;

/// Longest picture or clip that is read; a larger one is neither.
const FILE_MAX: u64 = 64 << 20;

/// The camera of pictures whose names tell none.
const NO_CAMERA: &str = "imported";

/// Rights of a copy.
const FILE_MODE: u16 = 0o640;

/// What the name of a copy ends with that is not whole yet.
const PART: &str = ".part";

/// A file that may be a picture of an old installation.
#[derive(Clone, Debug)]
pub(super) struct OldFile {
    pub(super) source: PathBuf,
    /// Its name there, by which a list knows it.
    pub(super) own_name: String,
    /// Its name here, if that is free; it tells camera and time.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Whether a file of this name and length is here already.
    pub(super) is_here: bool,
}

/// What lies in a folder of an old installation.
#[derive(Debug)]
pub(super) enum OldEntry {
    /// It may be a picture.
    Picture(OldFile),
    /// It has the name of a picture and is none that can be brought in: a folder, a link, larger than any picture, or its
    /// name is no text.
    Strange(String),
    Other,
}

impl OldEntry {
    pub(super) fn of(entry: &std::fs::DirEntry, images: &Path) -> io::Result<Self> {
        let own_name = entry.file_name();
        let shown = own_name.to_string_lossy();
        if shown.starts_with('.') || !former::is_picture(&shown) {
            return Ok(Self::Other);
        }
        let meta = entry.metadata()?;
        match own_name.to_str() {
            Some(own_name) if meta.is_file() && meta.len() <= FILE_MAX => {
                OldFile::of(own_name.to_owned(), &meta, entry.path(), images).map(Self::Picture)
            }
            _ => Ok(Self::Strange(shown.into_owned())),
        }
    }

    /// Its name there.
    pub(super) fn own_name(&self) -> &str {
        match self {
            Self::Picture(file) => &file.own_name,
            Self::Strange(own_name) => own_name,
            Self::Other => "",
        }
    }
}

impl OldFile {
    fn of(own_name: String, meta: &std::fs::Metadata, source: PathBuf, images: &Path) -> io::Result<Self> {
        let name = match former::name_of(&own_name, clock::of_local) {
            // What no terminal shows as it is has no place in a folder that people list.
            Some(name) if foreign::has_control(&own_name) => name.to_string(),
            Some(_) => own_name.clone(),
            None => by_time(&own_name, meta.modified()?),
        };
        let is_here = std::fs::symlink_metadata(images.join(&name))
            .is_ok_and(|here| here.is_file() && here.len() == meta.len());
        Ok(Self { source, own_name, name, bytes: meta.len(), is_here })
    }

    /// The whole picture or clip; `None` if it is none. Blocking.
    pub(super) fn picture(&self) -> io::Result<Option<(FoundPicture, Vec<u8>)>> {
        if self.bytes > FILE_MAX {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        File::open(&self.source)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        let name = former::name_of(&self.name, clock::of_local).filter(|_| bytes.len() as u64 <= FILE_MAX);
        let picture = name.and_then(|name| found(&bytes, Some(name))).map(FoundPicture::imported);
        Ok(picture.map(|picture| (picture, bytes)))
    }
}

/// A name with the time of the file, for a picture whose own tells none.
fn by_time(own_name: &str, modified: std::time::SystemTime) -> String {
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = UnixMs(i64::try_from(since.as_millis()).unwrap_or(0));
    let is_clip = own_name.to_ascii_lowercase().ends_with(Medium::Mp4.extension());
    let medium = if is_clip { Medium::Mp4 } else { Medium::Jpeg };
    let camera = CameraKey::parse(NO_CAMERA).ok();
    camera.map_or_else(
        || own_name.to_owned(),
        |camera| FileName::new(camera, at.epoch_s(), 1).of(medium).to_string(),
    )
}

/// Copies a picture flat into the directory `root`, synced and with the time of its source; `false` when another file has
/// this name. One with the same bytes there is the copy of a run that was cut off.
pub(super) fn copy_into(root: &Path, name: &str, bytes: &[u8], source: &Path) -> io::Result<bool> {
    let top = Folder::top(root)?;
    if let Some((_, length)) = top.look(name.as_ref())? {
        if length != bytes.len() as u64 {
            return Ok(false);
        }
        let Ok(file) = top.open(name.as_ref()) else { return Ok(false) };
        let mut there = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut there)?;
        if there == bytes {
            top.sync()?;
        }
        return Ok(there == bytes);
    }
    let part = OsString::from(format!(".{}{PART}", ImageId::random()));
    let mut file = top.create(&part, FILE_MODE)?;
    let written = file.write_all(bytes).and_then(|()| {
        // The time of the file is for people who look at the folder; not every file system has it.
        let _ =
            std::fs::metadata(source).and_then(|meta| meta.modified()).and_then(|at| file.set_modified(at));
        file.sync_all()
    });
    folder::give(&root.join(&part), root);
    let named = written.and_then(|()| top.rename(&part, &top, name.as_ref()));
    if named.is_err() {
        // A part of a file is worth nothing, and the error says more.
        let _ = top.unlink(&part);
    }
    match named {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        named => named.and_then(|()| top.sync()).map(|()| true),
    }
}

/// Removes what a run that was killed had begun to copy.
pub(super) fn remove_parts(root: &Path) -> io::Result<()> {
    let top = Folder::top(root)?;
    for name in top.names()? {
        let id = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(PART));
        if id.is_some_and(|id| ImageId::parse(id).is_some()) {
            top.unlink(&name)?;
        }
    }
    Ok(())
}

/// Whether both are the same folder.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_of_the_same_name_and_length_is_not_taken_for_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let copy = |bytes: &[u8]| {
            copy_into(dir.path(), "r1_1698765432.jpg", bytes, &dir.path().join("gone")).unwrap()
        };
        assert!(copy(b"one") && copy(b"one"), "the copy of a run that was cut off");
        assert!(!copy(b"two") && !copy(b"longer"));
        assert_eq!(std::fs::read(dir.path().join("r1_1698765432.jpg")).unwrap(), b"one");
    }
}
