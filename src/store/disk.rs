//! Whether the picture directory is the one that the database knows: the same identity stands in both. A bare folder in
//! the place of a disk that is not mounted, or another disk, is *away*: nothing is written there, and nothing that is
//! missing there is lost. A folder that a person emptied or removed is made anew.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, named_params};
use tracing::{info, warn};

use super::backup;
use super::beside::beside;
use super::blocking::{self, blocking};
use super::files::Files;
use super::lock;
use super::mounts::{Mounts, resolved};
use super::tree::{Folder, is_absent};
use super::{Reconciled, Store, StoreError, Wake, settings};
use crate::model::ImageId;
use crate::system::folder;

/// The folder's identity; an empty file is a person's word that this folder is to be used.
const IDENTITY: &str = ".identity";

/// Longest identity that is read, bytes.
const IDENTITY_MAX: u64 = 128;

/// The database's identity, and where the disk with the pictures is mounted, among the settings.
const ID_KEY: &str = "pictures.identity";
const POINT_KEY: &str = "pictures.mount";

/// Newest pictures by which a folder without an identity is known: some of them may have been removed.
const KNOWN_BY: i64 = 20;

/// How long this waits for a database that another process holds: what it says is told by the folder, too, as a rule.
const KNOWN_PATIENCE: Duration = Duration::from_secs(1);

/// In the working directory: where the disk with the database is mounted, when it is another one.
const WITNESS: &str = ".camera-capture-disk";

/// What the folder is to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The one that it knows, or one that it takes, by this identity.
    Ours(String),
    /// Not there; what is the matter and what to do.
    Away(String),
}

/// What the database knows of its folder.
#[derive(Clone, Debug, Default)]
struct Known {
    identity: Option<String>,
    point: Option<PathBuf>,
    newest: Vec<(PathBuf, u64)>,
}

/// What was found by a look at the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk {
    /// It is as it was: here.
    Here,
    /// It is away, for this reason.
    Away(String),
    /// It has come back; what was found on it.
    Back(Reconciled),
}

impl Files {
    /// Whether what lies there now is not what was opened.
    pub(super) fn is_another(&self) -> bool {
        match self.place.identity() {
            Some(identity) => !matches!(read(self.root()), Ok(Some(found)) if found == identity),
            // It was away when it was opened.
            None => self.place.away().is_some(),
        }
    }

    /// Before something is written: whether the folder is the right one. One that a person removed is made anew.
    /// Blocking.
    pub(super) fn ready(&self, database: &Path) -> Result<(), StoreError> {
        let away = |why| StoreError::Away { why };
        if let Some(why) = self.place.away() {
            return Err(away(why));
        }
        if !self.is_another() {
            return Ok(());
        }
        match stand_now(self.root(), database)? {
            Standing::Ours(identity) => {
                warn!(folder = %self.root().display(), "the picture directory was removed; it is made again");
                self.take(&identity, database)
            }
            Standing::Away(why) => {
                self.place.set_away(Some(why.clone()));
                Err(away(why))
            }
        }
    }

    /// Makes what is missing in the folder and writes the identity into both. Blocking.
    pub(super) fn take(&self, identity: &str, database: &Path) -> Result<(), StoreError> {
        self.prepare().map_err(|source| StoreError::File {
            action: "create the picture directory",
            path: self.root().to_owned(),
            source,
        })?;
        let written = write(self.root(), identity).map_err(|source| StoreError::File {
            action: "write the identity of",
            path: self.root().to_owned(),
            source,
        });
        let point = Mounts::now().point_of(&resolved(self.root()));
        match written.and_then(|()| remember(database, identity, &point)) {
            Ok(()) => self.place.set_identity(identity.to_owned()),
            // A full disk, or one that can only be read: pictures and deliveries do not depend on it.
            Err(error) => warn!(%error, "a disk that is not mounted cannot be told from an empty one"),
        }
        if self.place.is_held() {
            self.place.hold(None);
            self.place.hold(Some(self.hold_lock()?));
        }
        Ok(())
    }

    fn hold_lock(&self) -> Result<File, StoreError> {
        match self.lock() {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(StoreError::Owned { path: self.root().to_owned() }),
            Err(source) => Err(StoreError::File { action: "lock", path: self.root().to_owned(), source }),
        }
    }
}

impl Store {
    /// Why the disk with the pictures is away; `None` while it is here.
    pub fn away(&self) -> Option<String> {
        self.files.place.away()
    }

    /// Waits until the disk with the pictures is here.
    pub(super) async fn here(&self) {
        self.files.place.here().await;
    }

    /// Looks whether the disk with the pictures is here. When it has come back, what lies on it is put in order before
    /// anything is written there; call it from one task only. Dropping it halfway leaves the disk away until the next
    /// look.
    pub(super) async fn look_for_disk(&self) -> Result<Disk, StoreError> {
        let (files, database) = (self.files.clone(), self.database.clone());
        let standing = blocking(move || {
            let is_same = files.place.away().is_none() && !files.is_another();
            if is_same { Ok(None) } else { stand_now(files.root(), &database).map(Some) }
        });
        match (standing.await?, self.away()) {
            (None, _) => Ok(Disk::Here),
            (Some(Standing::Away(why)), _) => {
                self.files.place.set_away(Some(why.clone()));
                Ok(Disk::Away(why))
            }
            // Removed by a person: the next picture makes it anew.
            (Some(Standing::Ours(_)), None) => Ok(Disk::Here),
            (Some(Standing::Ours(identity)), Some(_)) => {
                let (files, database) = (self.files.clone(), self.database.clone());
                blocking(move || {
                    files.place.hold(None);
                    files.take(&identity, &database)?;
                    files.place.hold(Some(files.hold_lock()?));
                    Ok(())
                })
                .await?;
                let found = self.reconcile_folder().await?;
                self.files.place.set_away(None);
                info!("the disk with the pictures is here again");
                self.wakes().raise(Wake::Disk);
                Ok(Disk::Back(found))
            }
        }
    }
}

/// What the folder is to the database, or to its copy where it is damaged or gone. Blocking.
pub(super) fn stand(images: &Path, database: &Path) -> Standing {
    let known = [database.to_owned(), backup::path_of(database)].iter().find_map(|path| known(path).ok());
    // What cannot be read is none of ours.
    standing(images, known.unwrap_or_default(), read(images).unwrap_or_default())
}

/// The same while the program runs: nothing is concluded from what cannot be asked just now, such as with too many open
/// files or a database that is locked. Blocking.
fn stand_now(images: &Path, database: &Path) -> Result<Standing, StoreError> {
    let failed =
        |source| StoreError::File { action: "read the identity of", path: images.to_owned(), source };
    Ok(standing(images, known(database)?, read(images).map_err(failed)?))
}

fn standing(images: &Path, known: Known, folder: Option<String>) -> Standing {
    let is_known_picture = |(path, bytes): &(PathBuf, u64)| {
        fs::symlink_metadata(images.join(path)).is_ok_and(|meta| meta.is_file() && meta.len() == *bytes)
    };
    let place = resolved(images);
    judge(Seen {
        images,
        folder,
        database: known.identity,
        has_known_picture: known.newest.iter().any(is_known_picture),
        unmounted: Mounts::now().unmounted(&place, known.point.as_deref()),
    })
}

struct Seen<'a> {
    images: &'a Path,
    folder: Option<String>,
    database: Option<String>,
    has_known_picture: bool,
    unmounted: Option<PathBuf>,
}

fn judge(seen: Seen<'_>) -> Standing {
    let ours = |known: Option<String>| Standing::Ours(known.unwrap_or_else(|| ImageId::random().to_string()));
    let images = seen.images.display();
    match (seen.folder, seen.database) {
        // A person says so.
        (Some(folder), known) if folder.is_empty() => ours(known),
        (Some(folder), Some(known)) if folder != known && !seen.has_known_picture => Standing::Away(format!(
            "the disk with the pictures is away: {images} is another one, which belongs to another database. Nothing is \
             written there, and what is owed waits. Mount the right disk; if this one is right, empty its file {IDENTITY}: \
             sudo truncate -s 0 {images}/{IDENTITY}"
        )),
        (Some(folder), _) => Standing::Ours(folder),
        (None, known) => match seen.unmounted {
            Some(point) if !seen.has_known_picture => Standing::Away(format!(
                "the disk with the pictures is away: nothing is mounted on {}. Nothing is written to {images}, pictures \
                 cannot be stored, and what is owed waits. Connect the disk and mount it: sudo mount {} (a line in \
                 /etc/fstab with the option nofail mounts it at every start). To go on without it: create {images} with an \
                 empty file {IDENTITY} in it",
                point.display(),
                point.display()
            )),
            _ => ours(known),
        },
    }
}

/// The identity in a folder; `None` when there is none. An error says that it cannot be told.
fn read(images: &Path) -> io::Result<Option<String>> {
    let file = match Folder::top(images).and_then(|top| top.open(OsStr::new(IDENTITY))) {
        Err(error) if is_absent(&error) => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(IDENTITY_MAX).read_to_string(&mut text)?;
    Ok(Some(text.trim().to_owned()))
}

fn write(images: &Path, identity: &str) -> io::Result<()> {
    if read(images)?.as_deref() == Some(identity) {
        return Ok(());
    }
    let (top, part) = (Folder::top(images)?, format!("{IDENTITY}.part"));
    match top.unlink(part.as_ref()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = top.create(part.as_ref(), 0o640)?;
    folder::give(&images.join(&part), images);
    writeln!(file, "{identity}")?;
    file.sync_all()?;
    top.replace(part.as_ref(), IDENTITY.as_ref())?;
    top.sync()
}

fn known(database: &Path) -> rusqlite::Result<Known> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let c = Connection::open_with_flags(database, flags)?;
    c.busy_timeout(KNOWN_PATIENCE)?;
    let setting = |key: &str| {
        c.query_row("select value from settings where key = :key", named_params! {":key": key}, |row| {
            row.get::<_, String>(0)
        })
        .optional()
    };
    let newest = c
        .prepare("select path, bytes from images where state = 'present' order by id desc limit :limit")?
        .query_map(named_params! {":limit": KNOWN_BY}, |row| {
            let bytes = row.get::<_, i64>(1)?;
            Ok((PathBuf::from(row.get::<_, String>(0)?), u64::try_from(bytes).unwrap_or(0)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Known { identity: setting(ID_KEY)?, point: setting(POINT_KEY)?.map(PathBuf::from), newest })
}

/// Writes down what the folder is; nothing when that is known.
fn remember(database: &Path, identity: &str, point: &Path) -> Result<(), StoreError> {
    let before = known(database)?;
    if before.identity.as_deref() == Some(identity) && before.point.as_deref() == Some(point) {
        return Ok(());
    }
    let mut c = Connection::open(database)?;
    c.busy_timeout(blocking::BUSY_TIMEOUT)?;
    let tx = c.transaction()?;
    for (key, value) in [(ID_KEY, identity.to_owned()), (POINT_KEY, point.to_string_lossy().into_owned())] {
        settings::put(&tx, key, Some(&value))?;
    }
    tx.commit()?;
    Ok(())
}

/// Takes folder and database for this process, as long as the files are held; the inner error says that the folder's
/// disk is away. Blocking.
pub(super) fn own(
    images: &Path,
    database: &Path,
) -> Result<(Result<File, StoreError>, Option<File>), StoreError> {
    let folder = match stand(images, database) {
        Standing::Away(why) => Err(StoreError::Away { why }),
        Standing::Ours(_) => {
            let files = Files::open(images).map_err(|source| StoreError::File {
                action: "create the picture directory",
                path: images.to_owned(),
                source,
            })?;
            Ok(files.hold_lock()?)
        }
    };
    Ok((folder, own_database(database)?))
}

/// Takes the database for this process until the file is dropped: two folders may name one database. `None` where the
/// file system knows no such locks.
pub(super) fn own_database(database: &Path) -> Result<Option<File>, StoreError> {
    let path = beside(database, "-lock");
    let made = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let Ok(file) = made.inspect_err(|error| warn!(%error, "the database cannot be locked")) else {
        return Ok(None);
    };
    folder::give_to_parents(&path);
    match lock::hold(&file, database) {
        Ok(true) => Ok(Some(file)),
        Ok(false) => Err(StoreError::Owned { path: database.to_owned() }),
        Err(error) => {
            warn!(%error, "the database cannot be locked");
            Ok(None)
        }
    }
}

/// Why the disk with the pictures is away, before anything is opened. Blocking.
pub fn pictures_away(images: &Path, database: &Path) -> Option<String> {
    match stand(images, database) {
        Standing::Away(why) => Some(why),
        Standing::Ours(_) => None,
    }
}

/// Why the disk with the database is away, as far as that can be known: the file is not there, and a disk that should be
/// mounted above it is not. The folder `working` remembers where that was. Blocking.
pub fn database_away(database: &Path, working: &Path) -> Option<String> {
    if database.exists() {
        return None;
    }
    let remembered = fs::read_to_string(working.join(WITNESS)).ok();
    let remembered = remembered.as_ref().map(|text| Path::new(text.trim_end_matches('\n')));
    let point =
        Mounts::now().unmounted(&resolved(database), remembered.filter(|point| point.is_absolute()))?;
    let (point, database) = (point.display(), database.display());
    Some(format!(
        "the disk with the database {database} is away: nothing is mounted on {point}. Nothing is written there. Connect \
         the disk and mount it: sudo mount {point} (a line in /etc/fstab with the option nofail mounts it at every start), \
         or set DATABASE_PATH and IMAGE_STORAGE_PATH to another place"
    ))
}

/// Remembers in the folder `working` where the disk with the database is mounted, when that is another one. Blocking.
pub fn remember_database(database: &Path, working: &Path) {
    let (mounts, file) = (Mounts::now(), working.join(WITNESS));
    let point = mounts.point_of(&resolved(database));
    let wanted = (point != mounts.point_of(&resolved(working))).then(|| format!("{}\n", point.display()));
    let found = fs::read_to_string(&file).ok();
    let kept = match (&wanted, found) {
        (wanted, found) if *wanted == found => Ok(()),
        (Some(text), _) => fs::write(&file, text).inspect(|()| folder::give_to_parents(&file)),
        (None, _) => fs::remove_file(&file),
    };
    if let Err(error) = kept {
        info!(%error, file = %file.display(), "where the disk with the database is mounted cannot be remembered");
    }
}

#[cfg(test)]
#[path = "tests/disk.rs"]
mod tests;
