//! Folder and database held against each other: rows whose file is gone or back, and files that have no row.
//!
//! Years of pictures take minutes to look at, so only the newest folders are compared before the program serves; the
//! others follow in small steps while it does. Every change is guarded by what was seen, so it does not matter what else
//! happens meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::named_params;
use tracing::{error, info, warn};

use super::crash;
use super::files::Files;
use super::images::name_is_known;
use super::queue::known_targets;
use super::reconcile::{Reconciled, is_known, path_is_known, read_file, unfinished};
use super::tree::Kind;
use super::written::KeptReason;
use super::{Store, StoreError};
use crate::model::{FileName, UploadFault, UploadState};

/// Rows compared with the disk, or names with the database, in one step.
const STEP: i64 = 500;

/// Folders compared before the program serves: the newest by name, and those written to last, which differ where the
/// clock was wrong.
const NEWEST: usize = 2;

/// Missing pictures that one step names in the log; of any more only the number is said.
const NAMED_MAX: usize = 3;

/// How far a comparison has come. Everything is compared once.
#[derive(Debug)]
pub struct Comparison {
    /// The last row that was looked at.
    after: i64,
    have_rows_ended: bool,
    /// Folders still to be looked at; the next one is the last.
    folders: Vec<PathBuf>,
    /// Rows and files looked at.
    seen: u64,
}

impl Comparison {
    /// Rows and files looked at so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

/// A row, as far as it can be held against its file.
pub(super) struct Row {
    pub(super) image: i64,
    path: String,
    bytes: i64,
    pub(super) was_there: bool,
}

/// A row that says one thing while the disk says another.
struct Change {
    image: i64,
    path: String,
    is_there: bool,
}

/// Rows of one folder; the order is that of the unique index on paths.
pub(super) const FOLDER_SQL: &str = "
    select id, path, bytes, state = 'present' from images
    where path > :after and path < :end and state in ('present', 'missing')
    order by path limit :limit";

pub(super) const LOST_SQL: &str = "
    select 1 from uploads indexed by uploads_lost
    where state = 'lost'
      and exists (select 1 from images where id = image_id and state = 'present') limit 1";

pub(super) const PAGE_SQL: &str = "
    select id, path, bytes, state = 'present' from images
    where id > :after and state in ('present', 'missing')
    order by id limit :limit";

impl Store {
    /// Compares the newest folders.
    pub(super) async fn compare_newest(&self, done: &mut Reconciled) -> Result<(), StoreError> {
        let files = self.files.clone();
        let newest = super::blocking::blocking(move || newest(&files).map_err(|e| failed(files.root(), e)));
        for folder in newest.await? {
            done.missing += self.compare_rows_of(&folder).await?;
            if let Err(error) = self.adopt_orphans(&folder, done).await {
                unfinished(done, &folder, &error);
            }
        }
        self.owe_again().await
    }

    /// A comparison of everything. Blocking for as long as it takes to list the day folders.
    pub(super) async fn comparison(&self) -> Result<Comparison, StoreError> {
        let files = self.files.clone();
        let folders =
            super::blocking::blocking(move || files.day_folders().map_err(|e| failed(files.root(), e)))
                .await?;
        Ok(Comparison { after: 0, have_rows_ended: false, folders, seen: 0 })
    }

    /// The next step of a comparison; `None` when everything has been compared. Takes some milliseconds, and a picture
    /// never waits for more than one changed row. Fails when the picture directory is not mounted any more.
    pub(super) async fn compare_some(
        &self,
        comparison: &mut Comparison,
    ) -> Result<Option<Reconciled>, StoreError> {
        let mut done = Reconciled::default();
        if !comparison.have_rows_ended {
            let after = comparison.after;
            let rows = self.rows(PAGE_SQL, move |statement| {
                statement
                    .query_map(named_params! {":after": after, ":limit": STEP}, Row::of)?
                    .collect::<Result<Vec<_>, _>>()
            });
            let rows = rows.await?;
            match rows.last() {
                Some(last) => {
                    comparison.after = last.image;
                    comparison.seen += rows.len() as u64;
                    done.missing = self.compare_rows(rows).await?;
                }
                None => comparison.have_rows_ended = true,
            }
            return Ok(Some(done));
        }
        let Some(folder) = comparison.folders.pop() else {
            self.owe_again().await?;
            return Ok(None);
        };
        match self.adopt_orphans(&folder, &mut done).await {
            Ok(seen) => comparison.seen += seen,
            Err(error) => unfinished(&mut done, &folder, &error),
        }
        Ok(Some(done))
    }

    async fn rows(
        &self,
        sql: &'static str,
        read: impl FnOnce(&mut rusqlite::CachedStatement<'_>) -> rusqlite::Result<Vec<Row>> + Send + 'static,
    ) -> Result<Vec<Row>, StoreError> {
        self.db.read(move |c| Ok(read(&mut c.prepare_cached(sql)?)?)).await
    }

    async fn compare_rows_of(&self, folder: &Path) -> Result<usize, StoreError> {
        let day = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // '0' follows '/' in the order of bytes.
        let (mut after, end) = (format!("{day}/"), format!("{day}0"));
        let mut missing = 0;
        loop {
            let (from, until) = (after.clone(), end.clone());
            let rows = self.rows(FOLDER_SQL, move |statement| {
                statement
                    .query_map(named_params! {":after": from, ":end": until, ":limit": STEP}, Row::of)?
                    .collect::<Result<Vec<_>, _>>()
            });
            let rows = rows.await?;
            let Some(last) = rows.last() else { return Ok(missing) };
            after.clone_from(&last.path);
            missing += self.compare_rows(rows).await?;
        }
    }

    /// Looks for the files of some rows and writes down what differs. Returns how many are newly gone.
    pub(super) async fn compare_rows(&self, rows: Vec<Row>) -> Result<usize, StoreError> {
        let files = self.files.clone();
        let changes = super::blocking::blocking(move || {
            let mut look = files.look().map_err(|e| failed(files.root(), e))?;
            let (mut changes, mut unknown) = (Vec::new(), None);
            for row in rows {
                match look.length(Path::new(&row.path)) {
                    Ok(length) => {
                        let is_there = length.is_some_and(|length| i64::try_from(length) == Ok(row.bytes));
                        if is_there != row.was_there {
                            changes.push(Change { image: row.image, path: row.path, is_there });
                        }
                    }
                    // Too many open files, a bad sector: that is not gone.
                    Err(error) => unknown = unknown.or(Some((row.path, error))),
                }
            }
            if let Some((file, error)) = unknown {
                warn!(file, %error, "cannot be looked at, and perhaps others; their rows stay as they are");
            }
            Ok(changes)
        })
        .await?;
        if changes.is_empty() {
            return Ok(0);
        }
        if !self.is_there() {
            let source = io::Error::new(io::ErrorKind::NotFound, "it is not mounted any more");
            return Err(failed(self.root(), source));
        }
        self.write_changes(changes).await
    }

    async fn write_changes(&self, changes: Vec<Change>) -> Result<usize, StoreError> {
        // A picture that retention deleted a moment ago is not missing.
        const STATE_SQL: &str = "update images set state = :state where id = :image and state = :was";
        const LOST_SQL: &str = "
            update uploads
            set state = 'lost', last_error = :error, last_error_code = :error_code, last_error_params = :error_params
            where image_id = :image and state in ('pending', 'dead', 'skipped')";
        let (gone, back) = self
            .db
            .write(move |tx| {
                let (mut gone, mut back) = (Vec::new(), Vec::new());
                let error = KeptReason::of(&UploadFault::FileMissing);
                for Change { image, path, is_there } in changes {
                    let (was, state) = if is_there { ("missing", "present") } else { ("present", "missing") };
                    let changed = tx
                        .prepare_cached(STATE_SQL)?
                        .execute(named_params! {":state": state, ":was": was, ":image": image})?;
                    if changed == 0 {
                        continue;
                    }
                    if is_there {
                        info!(file = path, "a picture that was missing is back");
                        back.push(image);
                        continue;
                    }
                    gone.push(image);
                    if gone.len() <= NAMED_MAX {
                        error!(
                            file = path,
                            "a stored picture is gone or changed its size; is the disk mounted?"
                        );
                    }
                    tx.prepare_cached(LOST_SQL)?.execute(named_params! {
                        ":error": error.words, ":error_code": error.code, ":error_params": error.params,
                        ":image": image,
                    })?;
                }
                Ok((gone, back))
            })
            .await?;
        self.gone.note(&gone, &back);
        let missing = gone.len();
        if missing > NAMED_MAX {
            error!(more = missing - NAMED_MAX, "stored pictures are gone or changed their size");
        }
        Ok(missing)
    }

    /// What was lost of pictures that are there is owed again, also what was given up while the program ran. A file that
    /// is damaged is found out again at its delivery.
    pub(super) async fn owe_again(&self) -> Result<(), StoreError> {
        const OWED_AGAIN_SQL: &str = "
            update uploads indexed by uploads_lost set state = :state, not_before = 0
            where state = 'lost' and target = :target
              and exists (select 1 from images where id = image_id and state = 'present')";
        // Nothing is written at rest.
        if !self.db.read(|c| Ok(c.prepare_cached(LOST_SQL)?.exists([])?)).await? {
            return Ok(());
        }
        let targets = self.targets.clone();
        self.db
            .write(move |tx| {
                for target in known_targets(tx)? {
                    let is_on = targets.contains(&(target, UploadState::Pending));
                    let state = if is_on { UploadState::Pending } else { UploadState::Skipped };
                    tx.execute(
                        OWED_AGAIN_SQL,
                        named_params! {":target": target.as_str(), ":state": state.as_str()},
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// Files of a folder that have a name but no row. Returns how many files were looked at.
    async fn adopt_orphans(&self, folder: &Path, done: &mut Reconciled) -> Result<u64, StoreError> {
        let (files, listing) = (self.files.clone(), folder.to_owned());
        let paths = super::blocking::blocking(move || {
            files.files_of(&listing).map_err(|e| failed(&files.root().join(listing), e))
        })
        .await?;
        let (seen, mut unfit) = (paths.len(), Vec::new());
        for chunk in paths.chunks(usize::try_from(STEP).unwrap_or(usize::MAX)) {
            for path in self.without_row(chunk.to_vec()).await? {
                if self.adopt_orphan(path.clone(), done).await? {
                    unfit.push(path);
                }
            }
        }
        self.set_aside(unfit, seen, done).await?;
        Ok(seen as u64)
    }

    async fn without_row(&self, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, StoreError> {
        self.db
            .read(move |c| {
                let mut orphans = Vec::new();
                for path in paths {
                    if !path_is_known(c, &path)? {
                        orphans.push(path);
                    }
                }
                Ok(orphans)
            })
            .await
    }

    /// Adopts one file; whether it has a name of ours and is none, so that it should be set aside. In one transaction,
    /// because a picture that is being stored has its name before its row is committed.
    async fn adopt_orphan(&self, path: PathBuf, done: &mut Reconciled) -> Result<bool, StoreError> {
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Became {
            Known,
            Adopted,
            Unfit,
            Strange,
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(FileName::parse) else {
            self.files.strange().left(&path, Kind::File);
            return Ok(false);
        };
        let store = self.clone();
        // Whoever keeps pictures may name them by a date, too, so that alone makes none ours.
        let (is_ours_by_name, strange) = (name.camera().is_some(), self.files.strange().clone());
        let of = path.clone();
        let became = self
            .db
            .write(move |tx| {
                if path_is_known(tx, &path)? {
                    return Ok(Became::Known);
                }
                let Some(mut found) = read_file(&store.files, &path, Some(name))? else {
                    let look = store.files.look().and_then(|mut look| look.length(&path));
                    let is_gone = look.map_err(|e| failed(&path, e))?.is_none();
                    return Ok(match (is_gone, is_ours_by_name) {
                        (true, _) => Became::Known,
                        (false, true) => Became::Unfit,
                        (false, false) => Became::Strange,
                    });
                };
                if is_known(tx, &found)? || name_is_known(tx, &found.name)? {
                    // A copy, or a file that a person moved to another day.
                    return Ok(Became::Unfit);
                }
                found.find_trigger(tx)?;
                if found.row.facts.push.is_some() {
                    // Its trigger comes with its row, so that of a crash between name and row is not there either.
                    found.make_trigger(tx)?;
                }
                store.insert(tx, &found.name, &path, &found.row)?;
                crash::point("adopted");
                found.mark_captured(tx)?;
                info!(file = %path.display(), "adopted a picture that had no row");
                Ok(Became::Adopted)
            })
            .await?;
        match became {
            Became::Adopted => done.adopted += 1,
            Became::Strange => strange.left(&of, Kind::File),
            Became::Known | Became::Unfit => {}
        }
        Ok(became == Became::Unfit)
    }
}

impl Row {
    pub(super) fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { image: row.get(0)?, path: row.get(1)?, bytes: row.get(2)?, was_there: row.get(3)? })
    }
}

/// Of day folders in their order, the newest by name and by what was written last.
fn newest(files: &Files) -> io::Result<BTreeSet<PathBuf>> {
    let folders = files.day_folders()?;
    let mut by_change: Vec<_> =
        folders.iter().filter_map(|folder| Some((files.changed_at(folder)?, folder))).collect();
    by_change.sort();
    let last_changed = by_change.into_iter().rev().map(|(_, folder)| folder).take(NEWEST);
    Ok(folders.iter().rev().take(NEWEST).chain(last_changed).cloned().collect())
}

fn failed(path: &Path, source: io::Error) -> StoreError {
    StoreError::File { action: "read", path: path.to_owned(), source }
}
