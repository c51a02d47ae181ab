//! What is kept: pictures as plain files, and one SQLite database with the ledger, the images, the upload queue,
//! settings and sessions.
//!
//! A picture is synced and has its name before a row mentions it; its row, its uploads and the outcome of its trigger
//! are one transaction. [`Store::reconcile`] leads back to that after a crash.

mod access;
mod analyses;
mod analysis_rows;
mod apart;
mod backup;
mod ballast;
mod beside;
mod blocking;
mod catch_up;
mod changes;
mod compare;
mod db;
mod dead;
mod deletion;
mod disk;
mod error;
mod facets;
mod files;
mod former;
mod former_files;
mod former_list;
mod gone;
mod image_row;
mod images;
mod import;
mod late;
mod latency;
mod ledger;
mod links;
mod list;
mod lock;
mod migrate;
mod mounts;
mod old_file;
mod order;
mod origin;
mod owner;
mod page;
mod place;
mod push;
mod queue;
mod readings;
mod reconcile;
mod record;
mod recover;
mod refused;
mod replace;
mod rows;
mod saved;
mod seen;
mod settings;
mod settlement;
mod space;
mod stats;
mod strange;
mod streaming;
mod taken_over;
mod takeover;
mod text_search;
mod time;
mod tokens;
mod told;
mod unwritten;
mod wake;
mod watched;
mod words;
mod written;

#[cfg(test)]
#[path = "tests/analyses.rs"]
mod analysis_tests;
#[cfg(test)]
#[path = "tests/crash.rs"]
mod crash_tests;
#[cfg(test)]
#[path = "tests/late.rs"]
mod late_tests;
#[cfg(test)]
#[path = "tests/links.rs"]
mod links_tests;
#[cfg(test)]
#[path = "tests/model.rs"]
mod model_tests;
#[cfg(test)]
#[path = "tests/page.rs"]
mod page_tests;
#[cfg(test)]
#[path = "tests/plan.rs"]
mod plan_tests;
#[cfg(test)]
#[path = "tests/reconcile.rs"]
mod reconcile_tests;
#[cfg(test)]
#[path = "tests/recover.rs"]
mod recover_tests;
#[cfg(test)]
#[path = "tests/scale.rs"]
mod scale_tests;
#[cfg(test)]
#[path = "tests/strange.rs"]
mod strange_tests;
#[cfg(test)]
#[path = "tests/testing.rs"]
pub(crate) mod testing;
#[cfg(test)]
#[path = "tests/store.rs"]
mod tests;
#[cfg(test)]
#[path = "tests/time.rs"]
mod time_tests;

#[cfg(test)]
pub(crate) use crash_tests::POINTS as CRASH_POINTS;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::model::{Cause, TargetId, foreign};
use crate::system::{crash, tree};

pub use access::{LoginEntry, Session, Visitor};
pub use analyses::{AnalysisCounts, AnalysisOutcome, AnalysisQueue, DueAnalysis, Spending};
pub use analysis_rows::{Analysis, AnalysisState, NewReading, TextCorrection, TextReading};
pub use apart::save_apart;
pub use backup::Stop;
pub use catch_up::CaughtUp;
pub use changes::Change;
pub use compare::Comparison;
pub use dead::{DeadCursor, DeadLetter, DeadQuery};
pub use deletion::Deletion;
pub use disk::{Disk, database_away, pictures_away, remember_database};
pub use error::StoreError;
pub use facets::{
    ImageFiles, StoreAccess, StoreCatalog, StoreIntake, StoreRetention, StoreUpkeep, TargetQueue,
    TriggerLedger,
};
pub use former_list::{ListKind, PictureList, read as read_list};
pub use gone::GoneCount;
pub use import::{Import, ImportFrom, ImportOutlook, ImportReport};
pub use ledger::{LedgerEntry, LedgerQuery};
pub use links::{LINKS_MAX, Link, LinkMade, Linked, NewLink};
pub use owner::denial;
pub use page::{Cursor, Page};
pub use push::{KnownPush, PushIdentity};
pub use queue::{Claim, DuePicture, DueUpload, LaneTurn};
pub use reconcile::Reconciled;
pub use record::Entered;
pub use recover::{Carried, OpenedStore, Rebuilt};
pub use refused::{RefusedCount, RefusedFile, RefusedFolder, RefusedPush};
pub use rows::{Image, ImageQuery, NewImage, TriggerId, UploadInfo};
pub use saved::Saved;
pub use seen::{UNSEEN_MAX, Unseen};
pub use settlement::{AttemptEnd, Settlement};
pub use space::{DiskRoom, Held, PictureUsage, measure};
pub use stats::{CameraTally, Deletable, DeviceTally, Kept, Newest, Stats, Witness};
pub use strange::Strangers;
pub use taken_over::TakenOver;
pub use takeover::{Former, Takeover};
pub use text_search::TEXTS_FOUND_MAX;
pub use time::{Doubtful, STEP_MS};
pub use tokens::{NewToken, Scope, Token};
pub use wake::{Wake, Wakes, Waking};
pub use watched::{WATCHED_NEWS_MAX, WatchedNews, WatchedText};

use ballast::{Ballast, Ballasted};
use db::Db;
use disk::Standing;
use files::Files;
use place::PictureFolder;

/// A cheap handle on everything that is kept.
#[derive(Clone)]
pub struct Store {
    db: Ballasted,
    files: Files,
    database: Arc<Path>,
    boot_id: Arc<str>,
    /// What the ledger is owed.
    late: late::Late,
    /// Pictures found gone.
    gone: gone::Gone,
    /// Targets that get a row for each new image, and the state it starts in.
    targets: Arc<[(TargetId, crate::model::UploadState)]>,
    /// Of new pictures of these causes an analysis is owed, too.
    analysed: Arc<[Cause]>,
}

/// Holds the picture directory and the database for this process until it is dropped.
#[derive(Debug)]
pub struct Ownership {
    place: PictureFolder,
    _database: Option<File>,
}

impl Drop for Ownership {
    fn drop(&mut self) {
        self.place.hold(None);
    }
}

impl Store {
    /// Opens the picture directory and the database, creating what is missing; nothing in the place of a disk that is
    /// not mounted ([`Store::away`]). Blocking; call it before the runtime
    /// serves anything, or from the blocking pool.
    ///
    /// `targets` are the upload targets that are owed every image recorded from now on.
    pub fn open(
        images: &Path,
        database: &Path,
        targets: &[(TargetId, crate::model::UploadState)],
    ) -> Result<Self, StoreError> {
        let files = Files::at(images);
        let standing = disk::stand(images, database);
        if let Standing::Ours(_) = standing {
            files.prepare().map_err(|source| StoreError::File {
                action: "create the picture directory",
                path: images.to_owned(),
                source,
            })?;
        }
        if let Some(parent) = database.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            crate::system::folder::create(parent).map_err(|source| StoreError::File {
                action: "create the directory",
                path: parent.to_owned(),
                source,
            })?;
        }
        space::make_way(database);
        ready(database)?;
        let db = Db::open(database)?;
        match standing {
            Standing::Ours(identity) => files.take(&identity, database)?,
            Standing::Away(why) => files.place.set_away(Some(why)),
        }
        Ok(Self {
            db: Ballasted::new(db, Ballast::beside(database)),
            files,
            database: database.into(),
            boot_id: crate::clock::boot_id().into(),
            late: late::Late::default(),
            gone: gone::Gone::default(),
            targets: targets.into(),
            analysed: Arc::default(),
        })
    }

    /// Takes the picture directory for this process; fails when a daemon already has it.
    pub fn own(&self) -> Result<Ownership, StoreError> {
        let path = || self.files.root().to_owned();
        match self.files.lock() {
            Ok(Some(lock)) => Ok(self.ownership(Some(lock), None)),
            Ok(None) => Err(StoreError::Owned { path: path() }),
            Err(source) => Err(StoreError::File { action: "lock", path: path(), source }),
        }
    }

    fn ownership(&self, folder: Option<File>, database: Option<File>) -> Ownership {
        self.files.place.hold(folder);
        Ownership { place: self.files.place.clone(), _database: database }
    }

    /// The picture directory.
    pub fn root(&self) -> &Path {
        self.files.root()
    }

    /// Whether the picture directory is the one that was opened; false while its file system is not mounted.
    pub fn is_there(&self) -> bool {
        self.files.is_there()
    }

    /// Every change that is committed from now on; one of another process is not among them. A listener that is too slow
    /// misses some, and no write waits for it.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.db.changes().subscribe()
    }

    /// Counts the commits of which [`Store::changes`] tells, for whoever only wants to look again. It costs no write
    /// anything.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.db.changes().commits()
    }

    /// What ends the waits of lanes. [`Wake::Owed`] is raised by the commit that makes something due.
    pub fn wakes(&self) -> &Wakes {
        self.db.changes().wakes()
    }

    /// What is wrong with the database, once a statement or `Store::report_damage` has said so.
    pub fn damage(&self) -> watch::Receiver<Option<String>> {
        self.db.damage()
    }

    /// What happened to the file of the database while it was open, for people.
    fn said_of_database(&self) -> watch::Receiver<Option<String>> {
        self.db.said()
    }

    /// Looks whether the file of the database is in its place, and puts it there; whether it is there now.
    async fn look_for_database(&self) -> Result<bool, StoreError> {
        self.db.look().await
    }

    /// Says that the database is damaged.
    fn report_damage(&self, found: String) {
        self.db.report_damage(found);
    }

    /// Writes everything back into the database file; the last act before the program ends.
    pub async fn close(&self) -> Result<(), StoreError> {
        if let Err(error) = self.catch_up().await {
            tracing::error!(%error, "the ledger is still owed triggers");
        }
        self.db.checkpoint().await
    }

    /// Answers when the database answers; the watchdog asks it.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.read(|c| Ok(c.query_row("select 1", [], |_| Ok(()))?)).await
    }
}

/// Makes sure that the database, if there is one, can be written: SQLite would open one that cannot, and fail at the first
/// statement without a word on why. What root once made is given back where root runs.
fn ready(database: &Path) -> Result<(), StoreError> {
    for end in ["", "-wal", "-shm"] {
        let path = beside::beside(database, end);
        crate::system::folder::give_to_parents(&path);
        // It is not opened for that: closing it would end the locks that this process has on it.
        match rustix::fs::access(&path, rustix::fs::Access::WRITE_OK) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => {
                return Err(StoreError::File { action: "write to the database", path, source: error.into() });
            }
        }
    }
    Ok(())
}

/// Longest words of others that are kept, characters.
const SAID_MAX: usize = 2_000;

/// Words that are kept: fit to be shown, whoever said them.
fn kept(text: &str) -> String {
    foreign::line(text, SAID_MAX)
}

/// Words that were kept, perhaps by an older version or by somebody else.
fn said(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<String>> {
    Ok(row.get::<_, Option<String>>(column)?.map(|text| kept(&text)))
}

/// A value of a column that this program wrote and that therefore must parse.
fn parsed<T>(column: &'static str, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Text,
            format!("column {column} holds a value this version does not know").into(),
        )
    })
}
