//! Start-up repair: after a crash, the folder and the database agree again.
//!
//! * A complete picture or clip without a row is adopted, with its own identity, time and trigger as written inside it.
//! * A file that is neither goes to the quarantine folder.
//! * A row without its file is marked missing, and what was owed of it is lost, loudly; when the file is back, it is
//!   owed again.
//! * A deletion that had begun is finished.
//! * A trigger without an outcome ends as failed, and an edge that the ledger did not take is written into it.
//!
//! One file that cannot be dealt with (full disk, bad sector) does not keep the program from starting: it stays where it
//! is, and the next start tries again. Files and rows are held against each other in `compare`.

use std::path::{Path, PathBuf};

use rusqlite::named_params;
use tracing::{error, info, warn};

use super::crash;
use super::files::{Files, is_part};
use super::image_row::NewRow;
use super::ledger::{Values, mark_captured, trigger_of_orphan};
use super::tree::Kind;
use super::{Store, StoreError, push};
use crate::media::{exif, jpeg, mp4};
use crate::model::chain::chain;
use crate::model::{
    Cause, ClockState, Dimensions, FileName, ImageId, ImageKind, Medium, PUSH_AGE_MAX_MS, PictureFacts,
    UnixMs, foreign,
};

/// Longest name in the log, characters.
const NAME_MAX: usize = 200;

/// Longest note that a picture's own facts may have, characters.
const NOTE_MAX: usize = 500;

/// Farthest that a picture lies from its edge; a larger number in a file was not written by this program.
const OFFSET_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// What start-up found and mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Pictures without a row that got one.
    pub adopted: usize,
    /// Files that were not pictures.
    pub quarantined: usize,
    /// Rows whose file is gone.
    pub missing: usize,
    /// Deletions that were finished.
    pub deletions: usize,
    /// Triggers that were still open, or not in the ledger yet.
    pub interrupted: usize,
    /// Files and folders that could not be dealt with; the next start tries again.
    pub unfinished: usize,
}

/// A whole picture found on the disk.
pub(super) struct FoundPicture {
    pub(super) name: FileName,
    pub(super) row: NewRow,
}

impl Reconciled {
    /// Adds what another step did.
    pub fn add(&mut self, other: Self) {
        self.adopted += other.adopted;
        self.quarantined += other.quarantined;
        self.missing += other.missing;
        self.deletions += other.deletions;
        self.interrupted += other.interrupted;
        self.unfinished += other.unfinished;
    }
}

impl Store {
    /// Brings folder and database into agreement, all of it. Only the owner of the directory may call it.
    pub async fn reconcile(&self) -> Result<Reconciled, StoreError> {
        let mut done = self.reconcile_first().await?;
        let mut comparison = self.comparison().await?;
        while let Some(step) = self.compare_some(&mut comparison).await? {
            done.add(step);
        }
        Ok(done)
    }

    /// What must be in order before anything else happens: what the last run began and did not finish, and the newest
    /// folders. Small, however many pictures there are; `Store::comparison` does the rest. Only the owner of the
    /// directory may call it.
    pub async fn reconcile_first(&self) -> Result<Reconciled, StoreError> {
        // While the disk with the pictures is away, nothing can be said of them.
        let mut done = match self.away() {
            None => self.reconcile_folder().await?,
            Some(_) => Reconciled::default(),
        };
        // Last, because it also judges what is owed again.
        self.align_targets().await?;
        done.interrupted += self.close_open_triggers().await?;
        if done != Reconciled::default() {
            info!(
                adopted = done.adopted,
                quarantined = done.quarantined,
                missing = done.missing,
                deletions = done.deletions,
                interrupted = done.interrupted,
                unfinished = done.unfinished,
                "the last run ended in the middle of something; put in order"
            );
        }
        Ok(done)
    }

    /// What the last run began in the folder and did not finish, and the newest folders. Only while nothing is stored.
    pub(super) async fn reconcile_folder(&self) -> Result<Reconciled, StoreError> {
        let mut done = Reconciled::default();
        match self.finish_begun_deletions().await {
            Ok(count) => done.deletions = count,
            Err(error) => unfinished(&mut done, self.root(), &error),
        }
        let left_over = self.files.left_over().map_err(|e| self.failed("read the incoming folder of", e))?;
        let (of, mut unfit) = (left_over.len(), Vec::new());
        // Before the pictures, which find their triggers by that.
        let left_over = self.take_notes(left_over, &mut done).await?;
        for path in left_over {
            match self.adopt_left_over(path.clone(), &mut done).await {
                Ok(true) => {}
                Ok(false) if is_part(&path) => unfit.push(path),
                Ok(false) => self.files.strange().left(&path, Kind::File),
                Err(error) => unfinished(&mut done, &path, &error),
            }
        }
        if let Err(error) = self.set_aside(unfit, of, &mut done).await {
            unfinished(&mut done, self.root(), &error);
        }
        self.compare_newest(&mut done).await?;
        Ok(done)
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> StoreError {
        StoreError::File { action, path: self.files.root().to_owned(), source }
    }

    /// Finishes deletions that were decided and then interrupted or refused by the disk. Returns how many there were.
    pub(super) async fn finish_begun_deletions(&self) -> Result<usize, StoreError> {
        let begun: Vec<(ImageId, PathBuf)> = self
            .db
            .read(|c| {
                let rows = c
                    .prepare("select uid, path from images where state = 'deleting'")?
                    .query_map([], |row| {
                        Ok((ImageId::from_bytes(row.get(0)?), PathBuf::from(row.get::<_, String>(1)?)))
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(rows)
            })
            .await?;
        let count = begun.len();
        if count > 0 {
            self.finish_deletion(begun).await?;
        }
        Ok(count)
    }

    /// A synced file that never got its name is adopted; whether it is one.
    async fn adopt_left_over(&self, path: PathBuf, done: &mut Reconciled) -> Result<bool, StoreError> {
        let store = self.clone();
        let adopted = self
            .db
            .write(move |tx| {
                let Some(mut found) = read_file(&store.files, &path, None)? else { return Ok(false) };
                if is_known(tx, &found)? {
                    return Ok(false);
                }
                if push::is_known(tx, &found.row)? {
                    // It was sent again while it waited for its row.
                    store.files.remove_incoming(&path);
                    return Ok(true);
                }
                found.find_trigger(tx)?;
                found.make_trigger(tx)?;
                let name = path.file_name().unwrap_or_default();
                let incoming = store.files.adopt_incoming(name).map_err(|source| StoreError::File {
                    action: "take over",
                    path: path.clone(),
                    source,
                })?;
                store.publish_and_insert(tx, incoming, found.name.clone(), &found.row)?;
                crash::point("adopted");
                found.mark_captured(tx)?;
                Ok(true)
            })
            .await?;
        done.adopted += usize::from(adopted);
        Ok(adopted)
    }

    /// Moves files of one folder that are no pictures to the quarantine folder, if they are few among its `of` files;
    /// otherwise none.
    pub(super) async fn set_aside(
        &self,
        unfit: Vec<PathBuf>,
        of: usize,
        done: &mut Reconciled,
    ) -> Result<(), StoreError> {
        let folder = unfit.first().and_then(|path| path.parent()).unwrap_or(Path::new("")).to_owned();
        if unfit.is_empty() || !self.files.strange().may_set_aside(&folder, unfit.len(), of) {
            return Ok(());
        }
        for path in unfit {
            let files = self.files.clone();
            let moved = self
                .db
                .write(move |tx| {
                    // Whatever has a row by now is a picture.
                    Ok(!path_is_known(tx, &path)? && quarantine(&files, &path))
                })
                .await?;
            done.quarantined += usize::from(moved);
        }
        Ok(())
    }
}

pub(super) fn unfinished(done: &mut Reconciled, path: &Path, error: &StoreError) {
    done.unfinished += 1;
    let path = foreign::line(&path.to_string_lossy(), NAME_MAX);
    error!(path, error = chain(error), "cannot be put in order; the next start tries again");
}

pub(super) fn is_known(tx: &rusqlite::Transaction<'_>, found: &FoundPicture) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("select 1 from images where uid = :uid")?
        .exists(named_params! {":uid": found.row.facts.id.as_bytes()})?)
}

impl FoundPicture {
    /// It comes from a program before this one: that is why it is here, unless it says something else itself.
    #[must_use]
    pub(super) fn imported(mut self) -> Self {
        if self.row.facts.cause == Cause::Recovered {
            self.row.facts.cause = Cause::Import;
        }
        self
    }

    /// Joins it to its trigger, if that is known; a time that was corrected there is corrected here.
    pub(super) fn find_trigger(&mut self, tx: &rusqlite::Transaction<'_>) -> Result<(), StoreError> {
        let facts = &self.row.facts;
        let Some((id, edge_at)) = trigger_of_orphan(tx, &facts.camera, facts.edge_at)? else {
            return Ok(());
        };
        self.row.trigger = Some(id);
        self.row.facts.edge_at = edge_at;
        Ok(())
    }

    /// Writes its trigger down where that is not known: the file of a picture does not wait for the database. Nobody
    /// vouches for its clock, and nothing corrects it, because its boot is not known either.
    pub(super) fn make_trigger(&mut self, tx: &rusqlite::Transaction<'_>) -> Result<(), StoreError> {
        if self.row.trigger.is_some() || self.row.facts.kind.medium() != Medium::Jpeg {
            return Ok(());
        }
        let values = Values {
            camera: self.row.facts.camera.clone(),
            cause: self.row.facts.cause,
            device: self.row.facts.push.as_ref().map(|push| push.device.clone()),
            edge_at: self.row.facts.edge_at,
            boot_id: "".into(),
            boot_ms: 0,
            clock: ClockState::Unsynced,
            end: None,
        };
        self.row.trigger = Some(values.insert(tx)?);
        Ok(())
    }

    /// Ends its trigger, if it is a picture: a clip alone is not what was asked for.
    pub(super) fn mark_captured(&self, tx: &rusqlite::Transaction<'_>) -> Result<(), StoreError> {
        match self.row.trigger.filter(|_| self.row.facts.kind.medium() == Medium::Jpeg) {
            Some(trigger) => mark_captured(tx, trigger, None),
            None => Ok(()),
        }
    }
}

/// What a whole file is, by its own bytes.
struct Whole {
    medium: Medium,
    dimensions: Dimensions,
    written: Option<exif::Caption>,
}

impl Whole {
    fn of(bytes: &[u8]) -> Option<Self> {
        if let Ok(size) = jpeg::inspect(bytes) {
            let dimensions = Dimensions::of_picture(size);
            return Some(Self { medium: Medium::Jpeg, dimensions, written: exif::read(bytes) });
        }
        let inside = mp4::inspect(bytes).ok()?;
        let dimensions =
            Dimensions { width: inside.width, height: inside.height, duration_ms: Some(inside.duration_ms) };
        Some(Self { medium: Medium::Mp4, dimensions, written: mp4::caption(bytes) })
    }
}

/// Reads a file that may be a picture or clip of ours: whole, by its markers or boxes, and with its facts inside, or
/// with a name of ours that tells camera, time and medium. Facts that contradict the name (a copied or forged file) do
/// not count.
pub(super) fn read_file(
    files: &Files,
    relative: &Path,
    name: Option<FileName>,
) -> Result<Option<FoundPicture>, StoreError> {
    let read = files.read(relative).map_err(|source| StoreError::File {
        action: "read",
        path: files.root().join(relative),
        source,
    })?;
    Ok(read.and_then(|bytes| found(&bytes, name)))
}

/// The same of the bytes of a file.
pub(super) fn found(bytes: &[u8], name: Option<FileName>) -> Option<FoundPicture> {
    let whole = Whole::of(bytes)?;
    let inside = whole.written.as_ref().map(|caption| {
        (&caption.facts, FileName::first_of(&caption.facts, caption.utc_offset_s).of(whole.medium))
    });
    let is_named_so = |first: &FileName| name.as_ref().is_none_or(|name| name.is_of_second_of(first));
    let (written, first) = inside.filter(|(_, first)| is_named_so(first)).unzip();
    let name = match (first, name) {
        (_, Some(name)) if name.medium() != whole.medium => return None,
        (_, Some(name)) | (Some(name), None) => name,
        (None, None) => return None,
    };
    // The name of a pushed picture tells neither camera nor instant; without its facts it is not one of ours.
    let camera = name.camera().or(written.map(|written| &written.camera))?.clone();
    let by_name = name.epoch_s().and_then(|s| i64::try_from(s).ok()).map(|s| UnixMs(s.saturating_mul(1000)));
    // A time that no name can hold is as good as none.
    let edge_at = written
        .map(|written| written.edge_at)
        .filter(|at| at.0 >= 0 && name.epoch_s().is_none_or(|named| named == at.epoch_s()))
        .or(by_name)?;
    let push = written.and_then(|written| written.push.clone());
    let farthest = if push.is_some() { PUSH_AGE_MAX_MS } else { OFFSET_MAX_MS };
    let frame_offset_ms = written
        .and_then(|written| written.frame_offset_ms)
        .filter(|offset| offset.unsigned_abs() <= farthest);
    let plain = match whole.medium {
        Medium::Jpeg => ImageKind::Instant,
        Medium::Mp4 => ImageKind::Clip,
    };
    let kind = written.map(|written| written.kind).filter(|kind| kind.medium() == whole.medium);
    let id = written.map_or_else(ImageId::random, |written| written.id);
    let cause = written.map_or(Cause::Recovered, |written| written.cause);
    let facts = PictureFacts {
        frame_offset_ms,
        note: written.and_then(|written| written.note.as_deref().map(|note| foreign::line(note, NOTE_MAX))),
        push,
        ..PictureFacts::plain(id, camera, cause, kind.unwrap_or(plain), edge_at)
    };
    Some(FoundPicture { name, row: NewRow::of(facts, whole.dimensions, bytes) })
}

/// Whether a row names this place.
pub(super) fn path_is_known(c: &rusqlite::Connection, relative: &Path) -> Result<bool, StoreError> {
    Ok(c.prepare_cached("select 1 from images where path = :path")?
        .exists(named_params! {":path": relative.to_string_lossy()})?)
}

fn quarantine(files: &Files, relative: &Path) -> bool {
    let file = foreign::line(&relative.to_string_lossy(), NAME_MAX);
    match files.quarantine(relative) {
        Ok(to) => {
            let moved_to = foreign::line(&to.to_string_lossy(), NAME_MAX);
            warn!(file, moved_to, "not a complete picture of this program; set aside");
            true
        }
        Err(error) => {
            warn!(file, %error, "not a complete picture of this program, and it cannot be moved");
            false
        }
    }
}
