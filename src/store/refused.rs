//! Pictures that were refused, kept for whoever mends their device: bounded in number and bytes, the oldest go first. They
//! are in no list, no row and no queue, and nothing but this removes them.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::QUARANTINE;
use super::tree::{Folder, Kind};
use crate::model::{ImageId, UnixMs, foreign};

/// Most pictures that are kept, whatever their size.
const PICTURES_MAX: usize = 200;

/// With what their names begin; others in that folder are none of these.
const PREFIX: &str = "refused_";

/// A picture, or whatever it was.
const PICTURE: &str = ".bin";

/// The reason beside it.
const REASON: &str = ".txt";

/// Longest reason that is read, characters.
const REASON_MAX: usize = 400;

/// Files are for the program and its group, as pictures are.
const FILE_MODE: u16 = 0o640;

/// What was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPush {
    /// Short name of the device, which is a part of the file's name.
    pub device: String,
    /// When it came.
    pub at: UnixMs,
    /// As it came.
    pub bytes: Vec<u8>,
    /// Why it is not taken.
    pub reason: String,
}

/// How many are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedCount {
    /// Pictures.
    pub pictures: usize,
    /// Their size, without the reasons.
    pub bytes: u64,
}

/// One that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFile {
    /// Its name in the folder.
    pub name: String,
    /// Short name of the device.
    pub device: String,
    /// When it came.
    pub at: UnixMs,
    /// Its length.
    pub bytes: u64,
    /// Why it was not taken; empty where that is lost.
    pub reason: String,
}

/// The folder of refused pictures, within the picture directory. One at a time keeps or drops.
#[derive(Debug)]
pub struct RefusedFolder {
    root: PathBuf,
    bytes_max: u64,
    count: Mutex<Option<RefusedCount>>,
}

impl RefusedFolder {
    /// Nothing is looked at yet. `root` is the picture directory.
    pub fn new(root: &Path, bytes_max: u64) -> Self {
        Self { root: root.to_owned(), bytes_max, count: Mutex::default() }
    }

    /// Most bytes of all.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Where they are.
    pub fn place(&self) -> PathBuf {
        self.root.join(QUARANTINE)
    }

    /// How many there are. Blocking when it is not known yet.
    pub fn count(&self) -> io::Result<RefusedCount> {
        let mut known = self.lock();
        if let Some(count) = *known {
            return Ok(count);
        }
        let count = counted(&kept(&self.folder()?)?);
        *known = Some(count);
        Ok(count)
    }

    /// Keeps one, and lets as many of the oldest go as that takes; false for one that is larger than all may be. What a
    /// power cut leaves of it does no harm. Blocking.
    pub fn keep(&self, refused: &RefusedPush) -> io::Result<bool> {
        let length = refused.bytes.len() as u64;
        if length > self.bytes_max {
            return Ok(false);
        }
        let mut known = self.lock();
        *known = None;
        let folder = self.folder()?;
        let mut others = kept(&folder)?;
        while others.len() >= PICTURES_MAX || counted(&others).bytes + length > self.bytes_max {
            let (name, _) = others.remove(0);
            remove(&folder, &name)?;
        }
        let RefusedPush { device, at, bytes, reason } = refused;
        // In the order of time, and none like another.
        let stem = format!("{PREFIX}{:013}_{device}_{}", at.0.max(0), ImageId::random());
        folder.create(OsStr::new(&format!("{stem}{REASON}")), FILE_MODE)?.write_all(reason.as_bytes())?;
        folder.create(OsStr::new(&format!("{stem}{PICTURE}")), FILE_MODE)?.write_all(bytes)?;
        let before = counted(&others);
        *known = Some(RefusedCount { pictures: before.pictures + 1, bytes: before.bytes + length });
        Ok(true)
    }

    /// All of them, the oldest first. Blocking.
    pub fn list(&self) -> io::Result<Vec<RefusedFile>> {
        let _alone = self.lock();
        let folder = self.folder()?;
        let described = |(name, bytes): (OsString, u64)| described(&folder, name.to_str()?, bytes);
        Ok(kept(&folder)?.into_iter().filter_map(described).collect())
    }

    /// The bytes of one of them; `None` where none has that name. Blocking.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let _alone = self.lock();
        let folder = self.folder()?;
        if !kept(&folder)?.iter().any(|(kept, _)| kept == name) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        folder.open(name.as_ref())?.take(self.bytes_max).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Lets one of them go; false where none has that name. Blocking.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        let mut known = self.lock();
        *known = None;
        let folder = self.folder()?;
        if !kept(&folder)?.iter().any(|(kept, _)| kept == name) {
            return Ok(false);
        }
        remove(&folder, name.as_ref())?;
        Ok(true)
    }

    /// Lets all of them go; how many there were. Blocking.
    pub fn clear(&self) -> io::Result<RefusedCount> {
        let mut known = self.lock();
        if *known == Some(RefusedCount::default()) {
            return Ok(RefusedCount::default());
        }
        *known = None;
        let folder = self.folder()?;
        let all = kept(&folder)?;
        for (name, _) in &all {
            remove(&folder, name)?;
        }
        *known = Some(RefusedCount::default());
        Ok(counted(&all))
    }

    fn folder(&self) -> io::Result<Folder> {
        Folder::top(&self.root)?.folder(QUARANTINE.as_ref())
    }

    fn lock(&self) -> MutexGuard<'_, Option<RefusedCount>> {
        // It is forgotten before anything is changed, so a panicked holder cannot have left a wrong one.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names and lengths of those that are kept, the oldest first.
fn kept(folder: &Folder) -> io::Result<Vec<(OsString, u64)>> {
    let mut found = Vec::new();
    for name in folder.names()? {
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(PICTURE));
        if is_ours && let Some((Kind::File, length)) = folder.look(&name)? {
            found.push((name, length));
        }
    }
    found.sort();
    Ok(found)
}

/// What its name and the reason beside it tell; `None` for a name that this program has not made.
fn described(folder: &Folder, name: &str, bytes: u64) -> Option<RefusedFile> {
    let stem = name.strip_suffix(PICTURE)?;
    let (at, rest) = stem.strip_prefix(PREFIX)?.split_once('_')?;
    let (device, _) = rest.rsplit_once('_')?;
    let mut reason = Vec::new();
    if let Ok(file) = folder.open(OsStr::new(&format!("{stem}{REASON}"))) {
        // What cannot be read of it is missing.
        let _ = file.take(4 * REASON_MAX as u64).read_to_end(&mut reason);
    }
    let reason = foreign::line(&String::from_utf8_lossy(&reason), REASON_MAX);
    let (name, device) = (name.to_owned(), device.to_owned());
    Some(RefusedFile { name, device, at: UnixMs(at.parse().ok()?), bytes, reason })
}

fn counted(kept: &[(OsString, u64)]) -> RefusedCount {
    RefusedCount { pictures: kept.len(), bytes: kept.iter().map(|(_, length)| length).sum() }
}

/// The reason first, so that none is left alone.
fn remove(folder: &Folder, name: &OsStr) -> io::Result<()> {
    let is_gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    if let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(PICTURE)) {
        is_gone(folder.unlink(OsStr::new(&format!("{stem}{REASON}"))))?;
    }
    is_gone(folder.unlink(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(bytes_max: u64) -> (tempfile::TempDir, RefusedFolder) {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join(QUARANTINE)).unwrap();
        let folder = RefusedFolder::new(place.path(), bytes_max);
        (place, folder)
    }

    fn refused(at: i64, length: usize) -> RefusedPush {
        let reason = format!("reason {at}");
        RefusedPush { device: "esp".to_owned(), at: UnixMs(at), bytes: vec![7; length], reason }
    }

    fn names(folder: &RefusedFolder) -> Vec<String> {
        let entries = std::fs::read_dir(folder.place()).unwrap();
        let mut names: Vec<_> = entries.map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_refused_is_kept_with_its_reason_and_the_oldest_go_for_the_newest() {
        let (_place, folder) = folder(100);
        for at in 1..=4 {
            assert!(folder.keep(&refused(at, 30)).unwrap());
        }
        let names = names(&folder);
        assert_eq!(names.len(), 6, "{names:?}");
        assert!(names[0].starts_with("refused_0000000000002_esp_"), "the first is gone: {names:?}");
        let reason = std::fs::read_to_string(folder.place().join(&names[1])).unwrap();
        assert_eq!((names[1].ends_with(".txt"), reason.as_str()), (true, "reason 2"));
        assert_eq!(folder.count().unwrap(), RefusedCount { pictures: 3, bytes: 90 });
        assert!(!folder.keep(&refused(5, 101)).unwrap(), "none goes for one that cannot be kept");
        let again = RefusedFolder::new(&folder.root, 100);
        assert_eq!(again.count().unwrap(), folder.count().unwrap(), "after another start");
    }

    #[test]
    fn each_is_listed_read_and_removed_by_its_name_and_nothing_else_is() {
        let (place, folder) = folder(100);
        for at in 1..=3 {
            folder.keep(&refused(at, 10)).unwrap();
        }
        std::fs::write(folder.place().join("0123_r1_1795132800.jpg"), b"set aside").unwrap();
        std::fs::write(place.path().join("secret"), b"secret").unwrap();
        std::os::unix::fs::symlink(place.path().join("secret"), folder.place().join("refused_1_x_y.bin"))
            .unwrap();
        let listed = folder.list().unwrap();
        let told: Vec<_> = listed
            .iter()
            .map(|one| (one.at.0, one.device.as_str(), one.bytes, one.reason.as_str()))
            .collect();
        assert_eq!(
            told,
            [(1, "esp", 10, "reason 1"), (2, "esp", 10, "reason 2"), (3, "esp", 10, "reason 3")]
        );
        assert_eq!(folder.read(&listed[1].name).unwrap(), Some(vec![7; 10]));
        for other in ["0123_r1_1795132800.jpg", "../secret", "refused_1_x_y.bin", "", "/etc/passwd"] {
            assert_eq!(folder.read(other).unwrap(), None, "{other}");
            assert!(!folder.remove(other).unwrap(), "{other}");
        }
        assert!(folder.remove(&listed[1].name).unwrap() && !folder.remove(&listed[1].name).unwrap());
        assert_eq!(folder.count().unwrap(), RefusedCount { pictures: 2, bytes: 20 });
        assert_eq!(names(&folder).len(), 2 * 2 + 2, "its reason is gone, too, and all others are there");
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let (_place, folder) = folder(1 << 20);
        for at in 0..250 {
            folder.keep(&refused(at, 1)).unwrap();
        }
        assert_eq!(folder.count().unwrap().pictures, PICTURES_MAX);
        assert_eq!(names(&folder).len(), 2 * PICTURES_MAX);
    }

    #[test]
    fn what_is_not_of_these_stays() {
        let (_place, folder) = folder(100);
        std::fs::write(folder.place().join("0123_r1_1795132800.jpg"), b"set aside").unwrap();
        std::fs::create_dir(folder.place().join("refused_folder.bin")).unwrap();
        folder.keep(&refused(1, 60)).unwrap();
        folder.keep(&refused(2, 60)).unwrap();
        assert_eq!(folder.clear().unwrap(), RefusedCount { pictures: 1, bytes: 60 });
        assert_eq!(names(&folder), ["0123_r1_1795132800.jpg", "refused_folder.bin"]);
        assert_eq!(folder.clear().unwrap(), RefusedCount::default());
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_not_followed() {
        let (place, folder) = folder(100);
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::remove_dir(folder.place()).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), place.path().join(QUARANTINE)).unwrap();
        assert!(folder.keep(&refused(1, 10)).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
