//! Whether the file of the database is still the one that was opened. One that a person or another program removed or
//! replaced while this one runs is still whole for whoever has it open, and gone with the process: so it is written anew
//! from there, and what is in its place is set aside, never deleted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::backup;
use super::beside::{beside, sync_folder};
use super::mounts::{Mounts, resolved};
use super::{StoreError, replace};

/// An attempt that failed is made again after this; each may copy all of it.
const AGAIN: Duration = Duration::from_secs(10);

/// More often it is not put back: either somebody insists, or the file system gives no lasting numbers to its files.
const TIMES_MAX: u32 = 5;

/// A file by device and number, as stat(2) tells them.
type Number = (u64, u64);

/// What lies where the database was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The file that was opened, with its log.
    Same,
    /// The folder is the same or was removed, and the file is none or another one.
    Gone,
    /// The folder is another one: its disk is not mounted any more.
    Away,
}

/// The numbers of the files that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    folder: Option<Number>,
    database: Option<Number>,
    /// Where there is no such log, it is none.
    log: Option<Number>,
}

#[derive(Debug)]
struct Watch {
    numbers: Numbers,
    times: u32,
    tried: Option<Instant>,
    /// What was said last.
    said: Option<String>,
}

/// The file of the database, as it was opened.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    watch: Mutex<Watch>,
}

/// What was done for a database that is not in its place.
pub(super) enum DatabaseFound {
    /// It is in its place, or that cannot be told just now.
    Nothing,
    /// It is not, and could not be put there: new words for people, if there are any.
    Missing(Option<String>),
    /// It is there again, and is to be opened anew; words for people.
    PutBack(String),
}

impl Numbers {
    fn of(path: &Path) -> Self {
        let number = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        Self { folder: number(folder_of(path)), database: number(path), log: number(&beside(path, "-wal")) }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `has_disk` says whether a disk that should be mounted there is.
fn judge(opened: Numbers, now: Numbers, has_disk: bool) -> Standing {
    let is_same_log = opened.log.is_none() || opened.log == now.log;
    if opened.database.is_none() || (opened.database == now.database && is_same_log) {
        return Standing::Same;
    }
    match now.folder {
        folder if folder == opened.folder => Standing::Gone,
        None if has_disk => Standing::Gone,
        _ => Standing::Away,
    }
}

impl DatabaseFile {
    /// The file that has just been opened.
    pub(super) fn of(path: &Path) -> Self {
        let watch = Watch { numbers: Numbers::of(path), times: 0, tried: None, said: None };
        Self { path: path.to_owned(), watch: Mutex::new(watch) }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is to be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is in its place. Three calls of the system; blocking.
    pub(super) fn is_in_place(&self) -> bool {
        let now = Numbers::of(&self.path);
        let mut watch = self.watch();
        let is_same = judge(watch.numbers, now, true) == Standing::Same;
        if is_same && watch.numbers.log.is_none() {
            // The log is made with the first transaction.
            watch.numbers = now;
        }
        is_same
    }

    /// It was opened again.
    pub(super) fn opened(&self) {
        self.watch().numbers = Numbers::of(&self.path);
    }

    /// Puts the file back into its place, from what `open` has open. Blocking, as long as copying it takes.
    pub(super) fn tend(&self, open: &Connection) -> DatabaseFound {
        if self.is_in_place() {
            return DatabaseFound::Nothing;
        }
        let has_disk = Mounts::now().unmounted(&resolved(&self.path), None).is_none();
        let mut watch = self.watch();
        let standing = judge(watch.numbers, Numbers::of(&self.path), has_disk);
        let path = self.path.display();
        let failed = match standing {
            Standing::Same => return DatabaseFound::Nothing,
            Standing::Away => format!(
                "the disk with the database {path} is away: its folder is another one. The program goes on with what it \
                 has open; mount the disk again, then restart the program (sudo systemctl restart camera-capture)"
            ),
            Standing::Gone if watch.times >= TIMES_MAX => format!(
                "the database {path} was removed or replaced again and again and is not put back any more; what is \
                 written now is gone when the program ends, the pictures are not. Find what does it (a copy or clean-up \
                 program), then restart the program (sudo systemctl restart camera-capture)"
            ),
            Standing::Gone if watch.tried.is_some_and(|at| at.elapsed() < AGAIN) => {
                return DatabaseFound::Missing(None);
            }
            Standing::Gone => {
                watch.tried = Some(Instant::now());
                match put_back(&self.path, watch.numbers.log, open) {
                    Ok(aside) => {
                        (watch.times, watch.tried) = (watch.times + 1, None);
                        return DatabaseFound::PutBack(words(&self.path, aside));
                    }
                    Err(error) => format!(
                        "the database {path} was removed or replaced while the program runs, and it cannot be put back: \
                         {error}. It is tried again; what is written until then is gone when the program ends, the \
                         pictures are not"
                    ),
                }
            }
        };
        let is_new = watch.said.as_ref() != Some(&failed);
        watch.said = Some(failed.clone());
        DatabaseFound::Missing(is_new.then_some(failed))
    }
}

fn words(path: &Path, aside: Option<PathBuf>) -> String {
    let path = path.display();
    match aside {
        None => format!(
            "the database {path} was removed while the program runs. It was written again from what the program had open; \
             nothing is lost. Find what removed it"
        ),
        Some(aside) => format!(
            "another file was put in the place of the database {path} while the program runs. The program's own one is \
             there again, nothing is lost, and the other was kept as {}. To use that one: stop the program (sudo systemctl \
             stop camera-capture), give the file its name, and start it again",
            aside.display()
        ),
    }
}

/// Writes the database anew and gives it its name. Returns where is now what was in its place. A crash at any point leaves
/// what there was, or a finished copy that the next start puts into its place.
fn put_back(path: &Path, log: Option<Number>, open: &Connection) -> Result<Option<PathBuf>, StoreError> {
    let new = beside(path, ".new");
    let failed = |source| StoreError::File { action: "write", path: new.clone(), source };
    crate::system::folder::create(folder_of(path)).and_then(|()| backup::create(&new)).map_err(failed)?;
    let mut copy = Connection::open(&new)?;
    copy.execute_batch("pragma synchronous = off;")?;
    Backup::new(open, &mut copy)?.step(-1)?;
    // One file, without a log beside it.
    copy.execute_batch("pragma journal_mode = delete;")?;
    copy.close().map_err(|(_, error)| error)?;
    fs::File::open(&new)
        .and_then(|copy| copy.sync_all())
        .and_then(|()| fs::rename(&new, beside(path, ".rebuilt")))
        .and_then(|()| sync_folder(path))
        .map_err(failed)?;
    // What is in our own log is in the copy. It must not be taken for the log of that.
    if log.is_some() && log == Numbers::of(path).log {
        for suffix in ["-wal", "-shm"] {
            match fs::remove_file(beside(path, suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
    }
    replace::put_in_place(path, "replaced")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{OWED, Place, T0, assert_in_order, claim, take};
    use crate::store::{Reconciled, Store};

    #[test]
    fn a_file_is_gone_where_its_folder_is_the_same_and_away_where_that_is_another() {
        let opened = Numbers { folder: Some((1, 2)), database: Some((1, 3)), log: Some((1, 4)) };
        let (gone, other) = (Numbers { database: None, ..opened }, Some((9, 9)));
        for (now, has_disk, expected) in [
            (opened, true, Standing::Same),
            (gone, true, Standing::Gone),
            (Numbers { database: other, ..opened }, true, Standing::Gone),
            (Numbers { log: None, ..opened }, true, Standing::Gone),
            (Numbers { folder: None, ..gone }, true, Standing::Gone),
            (Numbers { folder: None, ..gone }, false, Standing::Away),
            (Numbers { folder: other, ..gone }, true, Standing::Away),
        ] {
            assert_eq!(judge(opened, now, has_disk), expected, "{now:?}");
        }
        let without_log = Numbers { log: None, ..opened };
        assert_eq!(judge(without_log, opened, true), Standing::Same);
    }

    fn names(place: &Place) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("x.db"))
            .collect();
        names.sort();
        names
    }

    async fn assert_goes_on(place: &Place, store: Store, pictures: usize, what: &str) {
        assert!(store.look_for_database().await.unwrap(), "{what}");
        assert_eq!(claim(&store, 100).await.len(), pictures, "{what}");
        assert_in_order(place);
        store.close().await.unwrap();
        drop(store);
        let store = place.open();
        assert_eq!(store.reconcile().await.unwrap(), Reconciled::default(), "{what}");
        assert_eq!(claim(&store, 100).await.len(), pictures, "{what}");
    }

    #[tokio::test]
    async fn a_database_that_is_removed_while_it_is_open_is_written_again() {
        for (what, files) in [
            ("the file", &["x.db"][..]),
            ("its log", &["x.db-wal"]),
            ("its index", &["x.db", "x.db-shm"]),
            ("all of it", &["x.db", "x.db-wal", "x.db-shm"]),
        ] {
            let place = Place::new();
            let store = place.open();
            take(&store, "r1", T0).await;
            files.iter().for_each(|name| fs::remove_file(place.path().join(name)).unwrap());
            // Nobody has looked yet.
            take(&store, "r1", T0 + 1000).await;
            let said = store.said_of_database().borrow().clone().unwrap();
            assert!(said.contains("was removed") || said.contains("another file"), "{what}: {said}");
            take(&store, "r1", T0 + 2000).await;
            assert_goes_on(&place, store, 3, what).await;
        }
    }

    #[tokio::test]
    async fn another_file_in_its_place_is_set_aside_and_the_own_one_is_there_again() {
        let place = Place::new();
        let store = place.open();
        take(&store, "r1", T0).await;
        // An old copy, and one that is none.
        store.close().await.unwrap();
        fs::copy(place.database(), place.path().join("old")).unwrap();
        take(&store, "r1", T0 + 1000).await;
        for (n, content) in
            [fs::read(place.path().join("old")).unwrap(), b"no database".to_vec()].iter().enumerate()
        {
            fs::write(place.path().join("other"), content).unwrap();
            fs::rename(place.path().join("other"), place.database()).unwrap();
            assert!(store.look_for_database().await.unwrap());
            let said = store.said_of_database().borrow().clone().unwrap();
            assert!(said.contains("kept as") && said.contains("x.db.replaced-"), "{said}");
            let aside: Vec<_> = names(&place).into_iter().filter(|name| name.contains("replaced")).collect();
            assert_eq!(aside.len(), n + 1, "{aside:?}");
        }
        assert_goes_on(&place, store, 2, "replaced").await;
    }

    #[tokio::test]
    async fn a_folder_that_is_removed_is_made_again_and_another_one_is_left_alone() {
        let place = Place::new();
        let folder = place.path().join("state");
        let store = Store::open(&place.images(), &folder.join("x.db"), OWED).unwrap();
        take(&store, "r1", T0).await;
        fs::remove_dir_all(&folder).unwrap();
        take(&store, "r1", T0 + 1000).await;
        assert!(folder.join("x.db").is_file());
        // As when its disk is unmounted.
        fs::rename(&folder, place.path().join("away")).unwrap();
        fs::create_dir(&folder).unwrap();
        take(&store, "r1", T0 + 2000).await;
        assert!(fs::read_dir(&folder).unwrap().next().is_none());
        let said = store.said_of_database().borrow().clone().unwrap();
        assert!(said.contains("is away"), "{said}");
        fs::remove_dir(&folder).unwrap();
        fs::rename(place.path().join("away"), &folder).unwrap();
        assert!(store.look_for_database().await.unwrap());
        assert_eq!(claim(&store, 100).await.len(), 3);
    }
}
