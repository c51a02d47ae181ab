//! How much room there is for pictures and for the database, and the ballast that is held beside it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::named_params;

use super::ballast::Ballast;
use super::blocking::blocking;
use super::{Store, StoreError};
use crate::model::{Space, TargetId};

/// Room for everything that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskRoom {
    /// Of the pictures' file system.
    pub pictures: Space,
    /// Of the database's, if it is another one.
    pub database: Option<Space>,
    /// Bytes the ballast takes.
    pub ballast_bytes: u64,
    /// Bytes it shall take.
    pub ballast_wanted: u64,
}

/// Pictures that may not go, by why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Waiting for delivery, by target.
    pub owed: Vec<(TargetId, PictureUsage)>,
    /// Put aside, by target.
    pub dead: Vec<(TargetId, PictureUsage)>,
    /// Protected by a person.
    pub protected: PictureUsage,
}

/// So many pictures of so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureUsage {
    /// Pictures and clips.
    pub pictures: u64,
    /// Their size.
    pub bytes: u64,
}

/// From what is owed to its pictures: the other way would read every picture there is.
pub(super) const HELD_SQL: &str = "
    select uploads.target, uploads.state, count(*), sum(images.bytes)
    from uploads indexed by uploads_waiting cross join images on images.id = uploads.image_id
    where uploads.state = 'pending' and images.state = 'present'
    group by uploads.target
    union all
    select uploads.target, uploads.state, count(*), sum(images.bytes)
    from uploads indexed by uploads_dead cross join images on images.id = uploads.image_id
    where uploads.state = 'dead' and images.state = 'present'
    group by uploads.target";

const PROTECTED_SQL: &str = "
    select count(*), coalesce(sum(bytes), 0) from images where state = 'present' and protected = 1";

impl Store {
    /// Room for pictures and database, as it is now.
    pub(super) async fn room(&self) -> Result<DiskRoom, StoreError> {
        let (files, ballast, database) = (self.files.clone(), self.db.ballast.clone(), self.database.clone());
        blocking(move || {
            let folder = folder_of(&database);
            let measured = || {
                let pictures = measure(files.root())?;
                let is_same = std::fs::metadata(files.root())?.dev() == std::fs::metadata(folder)?.dev();
                let database = if is_same { None } else { Some(measure(folder)?) };
                Ok((pictures, database))
            };
            let (pictures, database) = measured().map_err(|source| StoreError::File {
                action: "measure the room of",
                path: files.root().to_owned(),
                source,
            })?;
            let total = database.unwrap_or(pictures).total_bytes;
            Ok(DiskRoom {
                pictures,
                database,
                ballast_bytes: ballast.held(),
                ballast_wanted: Ballast::wanted(total),
            })
        })
        .await
    }

    /// Takes the room of the ballast; an error leaves none taken.
    pub(super) async fn make_ballast(&self, bytes: u64) -> Result<(), StoreError> {
        let (ballast, path) = (self.db.ballast.clone(), self.database.clone());
        blocking(move || {
            ballast.make(bytes).map_err(|source| StoreError::File {
                action: "make the ballast beside",
                path: path.to_path_buf(),
                source,
            })
        })
        .await
    }

    /// Gives the room of the ballast back: the disk is full, and the ledger must be written.
    pub(super) async fn release_ballast(&self) {
        self.db.ballast.give().await;
    }

    /// How much may not go, and why. Reads every row that is owed, so it is not for every picture.
    pub(super) async fn held(&self) -> Result<Held, StoreError> {
        self.db
            .read(|c| {
                let mut held = Held::default();
                let count = |n: i64| u64::try_from(n).unwrap_or(0);
                let mut statement = c.prepare_cached(HELD_SQL)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let (target, state): (String, String) = (row.get(0)?, row.get(1)?);
                    let heap = PictureUsage { pictures: count(row.get(2)?), bytes: count(row.get(3)?) };
                    let Some(target) = TargetId::parse(&target) else { continue };
                    if state == "pending" {
                        held.owed.push((target, heap))
                    } else {
                        held.dead.push((target, heap))
                    }
                }
                held.protected = c.prepare_cached(PROTECTED_SQL)?.query_row(named_params! {}, |row| {
                    Ok(PictureUsage { pictures: count(row.get(0)?), bytes: count(row.get(1)?) })
                })?;
                Ok(held)
            })
            .await
    }
}

/// Opening a database creates two files and writes to them. On a disk too full for that the ballast goes first; it is
/// made again when there is room.
pub(super) fn make_way(database: &Path) {
    const OPENING_BYTES: u64 = 256 * 1024;
    const OPENING_INODES: u64 = 2;
    let is_full = measure(folder_of(database)).is_ok_and(|space| {
        space.free_bytes < OPENING_BYTES || (space.total_inodes > 0 && space.free_inodes < OPENING_INODES)
    });
    if is_full && let Err(error) = Ballast::beside(database).release() {
        // Opening says what is wrong if it is.
        tracing::warn!(%error, "the disk is full and the ballast could not be released");
    }
}

/// The folder a file lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The room on the disk that holds a path, which must be there. Blocking.
pub fn measure(path: &Path) -> std::io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space {
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        free_inodes: stat.f_favail,
        total_inodes: stat.f_files,
    })
}
