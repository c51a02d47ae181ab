//! The durable upload queue: what is owed to whom, who goes next, and what became of it.
//!
//! A claim writes nothing. The picture directory has one owner, so what is being sent is known to the lane that sends
//! it; only outcomes are written, and a crash leaves nothing to clean.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, named_params};

use super::analysis_rows::{TextReading, readings_of_one};
use super::image_row::{COLUMNS, image};
use super::order::{CameraLine, LIVE_MS, Waiting, choose};
use super::settlement::{AttemptEnd, Settlement};
use super::written::KeptReason;
use super::{Image, Store, StoreError, crash, denial, kept, tree};
use crate::clock;
use crate::model::{FileName, ImageId, LinkToken, PictureFacts, TargetId, UnixMs, UploadState};

/// A stored picture that is to be sent somewhere.
#[derive(Clone, Debug)]
pub struct DuePicture {
    /// Row of the picture.
    pub(super) row: i64,
    /// What is told of it; its identity is the idempotency key.
    pub facts: PictureFacts,
    /// Its name.
    pub filename: FileName,
    /// The whole path of its file, to be shown; [`DuePicture::open`] opens it.
    pub path: PathBuf,
    /// The picture directory.
    pub(super) root: PathBuf,
    /// Length its file must have.
    pub bytes: u64,
    /// SHA-256 its file must have.
    pub sha256: [u8; 32],
}

impl DuePicture {
    pub(super) fn of(row: i64, image: Image, root: &Path) -> Self {
        Self {
            row,
            facts: image.facts,
            filename: image.filename,
            path: root.join(&image.path),
            root: root.to_owned(),
            bytes: image.bytes,
            sha256: image.sha256,
        }
    }

    /// Row of the picture; the same for every target.
    pub fn row(&self) -> i64 {
        self.row
    }

    /// Opens its file; what is not there, or is no file in the picture directory, is `NotFound`. Blocking.
    pub fn open(&self) -> io::Result<File> {
        let relative = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
        tree::open_beneath(&self.root, relative).map_err(tree::or_absent)
    }

    /// Why this program may not read its file: whose it is, and what to type; `None` where that is not the reason.
    /// Blocking.
    pub fn denial(&self) -> Option<String> {
        denial(&self.path)
    }
}

/// One picture that is owed to a target.
#[derive(Clone, Debug)]
pub struct DueUpload {
    pub(super) picture: DuePicture,
    /// To whom.
    pub target: TargetId,
    /// Attempts before this one.
    pub attempts: u32,
    /// How often the target refused this picture itself.
    pub refusals: u32,
    /// What was read in it until now, the best first.
    pub readings: Vec<TextReading>,
    /// The public link for the target's message, where it sends no file.
    pub link: Option<LinkToken>,
}

impl Deref for DueUpload {
    type Target = DuePicture;

    fn deref(&self) -> &DuePicture {
        &self.picture
    }
}

/// What a lane knows when it asks for more.
#[derive(Clone, Debug, Default)]
pub struct LaneTurn {
    /// Rows of the pictures it has in hand: being sent, or sent and not yet written down.
    pub held: Vec<i64>,
    /// The camera whose backlog was served last.
    pub after: Option<String>,
    /// Whether pictures that wait for no instant of their own go before those that did and are due again. While a target
    /// refuses one picture after the other, this finds the one it takes among any number that it does not.
    pub fresh_first: bool,
}

/// What a lane gets.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// In the order in which they should go.
    pub uploads: Vec<DueUpload>,
    /// The camera whose backlog was served last, for the next [`LaneTurn`].
    pub after: Option<String>,
}

/// Of which camera something waits, one after the other.
pub(super) const KNOWN_TARGETS_SQL: &str = "
    select distinct subject from tallies where what >= 'upload:' and what < 'upload;'";

pub(super) const NEXT_CAMERA_SQL: &str = "
    select camera from uploads indexed by uploads_waiting
    where target = :target and state = 'pending' and camera > :after
    order by camera limit 1";

/// What is due of a camera, oldest first.
pub(super) const WAITING_SQL: &str = "
    select image_id, taken_at from uploads indexed by uploads_waiting
    where target = :target and state = 'pending' and camera = :camera
      and taken_at >= :from and taken_at < :to and not_before <= :now
      and exists (select 1 from images where images.id = image_id and images.state = 'present')
    order by taken_at, image_id
    limit :limit";

const TRIED_SQL: &str = "
    select attempts, refusals from uploads where image_id = :image and target = :target";

pub(super) const OLDEST_SQL: &str = "
    select taken_at from uploads indexed by uploads_waiting
    where target = :target and state = 'pending' and camera = :camera
    order by taken_at limit 1";

pub(super) const SETTLE_SQL: &str = "
    update uploads
    set state = :state, attempts = attempts + 1, refusals = refusals + :refusals, not_before = :not_before,
        tried_at = :now, delivered_at = :delivered_at, last_error = coalesce(:error, last_error),
        last_error_code = case when :error is null then last_error_code else :error_code end,
        last_error_params = case when :error is null then last_error_params else :error_params end,
        answer = coalesce(:answer, answer)
    where image_id = :image and target = :target and state = 'pending'";

pub(super) const EXCUSE_SQL: &str = "
    update uploads set state = 'pending', refusals = 0, not_before = :not_before
    where image_id = :image and target = :target and state in ('pending', 'dead')
      and exists (select 1 from images where images.id = image_id and images.state = 'present')";

pub(super) const WAKE_SQL: &str = "
    update uploads indexed by uploads_resting set not_before = 0
    where target = :target and state = 'pending' and not_before > 0 and not_before > :latest";

pub(super) const NEXT_DUE_SQL: &str = "
    select not_before from uploads indexed by uploads_resting
    where target = :target and state = 'pending' and not_before > 0 and not_before > :now
    order by not_before limit 1";

impl Store {
    /// Up to `limit` due uploads of a target that are not in hand already: live pictures first, oldest of them first;
    /// then the backlog, oldest first and one camera after the other. Writes nothing.
    pub(super) async fn claim(
        &self,
        target: TargetId,
        now: UnixMs,
        limit: usize,
        turn: LaneTurn,
    ) -> Result<Claim, StoreError> {
        let root = self.root().to_owned();
        self.db
            .read(move |c| {
                // What is in hand is still pending, and stands at the head of the index.
                let most = limit.saturating_add(turn.held.len());
                let pick = |due_by: UnixMs| -> Result<(Vec<i64>, Option<String>), StoreError> {
                    let look = |camera: &str, from: i64, to: i64| {
                        waiting(c, target, camera, (from, to), due_by, most, &turn.held)
                    };
                    let (mut live, mut lines) = (Vec::new(), Vec::new());
                    for camera in cameras(c, target)? {
                        let (from, to) = (now.0.saturating_sub(LIVE_MS), now.0.saturating_add(LIVE_MS));
                        live.extend(look(&camera, from, to)?);
                        let waiting = look(&camera, i64::MIN, i64::MAX)?;
                        lines.push(CameraLine { camera, waiting });
                    }
                    Ok(choose(live, &lines, limit, turn.after.as_deref()))
                };
                let (mut rows, mut after) = if turn.fresh_first { pick(UnixMs(0))? } else { pick(now)? };
                if rows.is_empty() && turn.fresh_first {
                    (rows, after) = pick(now)?;
                }
                let mut uploads = Vec::with_capacity(rows.len());
                for row in rows {
                    uploads.extend(due_upload(c, target, row, &root)?);
                }
                Ok(Claim { uploads, after: after.or(turn.after) })
            })
            .await
    }

    /// Writes down what one attempt led to that was answered nothing; see [`Self::settle_all`].
    pub(super) async fn settle(
        &self,
        upload: &DueUpload,
        settlement: Settlement,
    ) -> Result<bool, StoreError> {
        let settled = self
            .settle_all(upload.target, vec![AttemptEnd { row: upload.row, settlement, answer: None }])
            .await?;
        Ok(settled.contains(&true))
    }

    /// Writes down what attempts led to, all of them or none, in their order. When this returns, no power cut undoes
    /// it. An upload that was settled or given up meanwhile keeps its state; then its answer is `false`. On a full disk
    /// the ballast makes room for it: what is known to be delivered may go, and that ends the shortage.
    pub(super) async fn settle_all(
        &self,
        target: TargetId,
        outcomes: Vec<AttemptEnd>,
    ) -> Result<Vec<bool>, StoreError> {
        let settled = self
            .db
            .insist(move |tx| {
                let settle = |end: &AttemptEnd| {
                    let is_changed = write(tx, target, end.clone())?;
                    crash::point("settled one");
                    Ok(is_changed)
                };
                outcomes.iter().map(settle).collect()
            })
            .await?;
        crash::point("settled");
        Ok(settled)
    }

    /// Ends the waits of a target's uploads that would end after `latest`: they are due at once.
    ///
    /// No wait is longer than a lane makes it, so one that ends later is of a clock that has been set back since.
    pub(super) async fn end_waits(&self, target: TargetId, latest: UnixMs) -> Result<(), StoreError> {
        // At rest nothing is written.
        if self.next_due(target, latest).await?.is_none() {
            return Ok(());
        }
        self.db
            .write(move |tx| {
                tx.prepare_cached(WAKE_SQL)?
                    .execute(named_params! {":target": target.as_str(), ":latest": latest.0})?;
                crash::point("waking");
                Ok(())
            })
            .await?;
        crash::point("woken");
        Ok(())
    }

    /// When the next upload of a target falls due of those that wait for an instant after `now`; `None` when none does.
    pub(super) async fn next_due(&self, target: TargetId, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        self.db
            .read(move |c| {
                let at = c
                    .prepare_cached(NEXT_DUE_SQL)?
                    .query_row(named_params! {":target": target.as_str(), ":now": now.0}, |row| row.get(0))
                    .optional()?;
                Ok(at.map(UnixMs))
            })
            .await
    }

    /// Makes everything of a picture that was put aside, was given up for want of its file, or is waiting due at once;
    /// `None` when there is no such picture.
    pub async fn retry(&self, name: &FileName) -> Result<Option<Image>, StoreError> {
        const RETRY_SQL: &str = "
            update uploads set state = 'pending', not_before = 0, refusals = 0
            where image_id = (select id from images where file_name = :name and state = 'present')
              and state in ('dead', 'lost', 'pending')";
        let filename = name.clone();
        self.db
            .write(move |tx| {
                tx.execute(RETRY_SQL, named_params! {":name": filename.to_string()})?;
                crash::point("owing again");
                Ok(())
            })
            .await?;
        crash::point("owed again");
        self.image(name).await
    }

    /// Brings the queue in line with the configured targets: what waits for one that is switched off is skipped, what
    /// was skipped for one that is on is owed again.
    pub(super) async fn align_targets(&self) -> Result<(), StoreError> {
        // The tally spares a look at every upload there ever was.
        const OWED_AGAIN_SQL: &str = "
            update uploads set state = 'pending', not_before = 0
            where target = :target and state = 'skipped'
              and exists (select 1 from images where id = image_id and state = 'present')
              and (select value from tallies where subject = :target and what = 'upload:skipped') > 0";
        const SKIP_SQL: &str = "
            update uploads set state = 'skipped' where target = :target and state = 'pending'";
        let active: Vec<TargetId> = self
            .targets
            .iter()
            .filter(|(_, state)| *state == UploadState::Pending)
            .map(|(target, _)| *target)
            .collect();
        self.db
            .write(move |tx| {
                for target in known_targets(tx)? {
                    let sql = if active.contains(&target) { OWED_AGAIN_SQL } else { SKIP_SQL };
                    tx.execute(sql, named_params! {":target": target.as_str()})?;
                    crash::point("aligned one");
                }
                Ok(())
            })
            .await?;
        crash::point("aligned");
        Ok(())
    }

    /// Whether anything of a picture still waits for its first attempt.
    pub async fn is_untried(&self, id: ImageId) -> Result<bool, StoreError> {
        const UNTRIED_SQL: &str = "
            select 1 from uploads
            where image_id = (select id from images where uid = :uid) and state = 'pending' and attempts = 0";
        self.db
            .read(move |c| {
                let found = c
                    .prepare_cached(UNTRIED_SQL)?
                    .query_row(named_params! {":uid": id.as_bytes()}, |_| Ok(()))
                    .optional()?;
                Ok(found.is_some())
            })
            .await
    }
}

/// Every target of which something was ever owed. Those of a newer version are not known and left alone.
pub(super) fn known_targets(c: &Connection) -> Result<Vec<TargetId>, StoreError> {
    let mut statement = c.prepare_cached(KNOWN_TARGETS_SQL)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let names = names.collect::<Result<Vec<_>, _>>()?;
    Ok(names.iter().filter_map(|name| TargetId::parse(name)).collect())
}

/// The cameras of which something waits for a target, in the order of their keys.
pub(super) fn cameras(c: &Connection, target: TargetId) -> Result<Vec<String>, StoreError> {
    let mut statement = c.prepare_cached(NEXT_CAMERA_SQL)?;
    let mut cameras: Vec<String> = Vec::new();
    loop {
        let after = cameras.last().map_or("", String::as_str);
        let next = statement
            .query_row(named_params! {":target": target.as_str(), ":after": after}, |row| row.get(0))
            .optional()?;
        match next {
            Some(camera) => cameras.push(camera),
            None => return Ok(cameras),
        }
    }
}

/// The instant of the oldest picture that waits for a target.
pub(super) fn oldest(c: &Connection, target: TargetId) -> Result<Option<UnixMs>, StoreError> {
    let mut oldest = None;
    for camera in cameras(c, target)? {
        let at: Option<i64> = c
            .prepare_cached(OLDEST_SQL)?
            .query_row(named_params! {":target": target.as_str(), ":camera": camera}, |row| row.get(0))
            .optional()?;
        // What has been delivered since the camera was seen does not wait any more.
        oldest = oldest.into_iter().chain(at).min();
    }
    Ok(oldest.map(UnixMs))
}

fn waiting(
    c: &Connection,
    target: TargetId,
    camera: &str,
    (from, to): (i64, i64),
    now: UnixMs,
    most: usize,
    held: &[i64],
) -> Result<Vec<Waiting>, StoreError> {
    let rows = c
        .prepare_cached(WAITING_SQL)?
        .query_map(
            named_params! {":target": target.as_str(), ":camera": camera, ":from": from, ":to": to, ":now": now.0,
            ":limit": i64::try_from(most).unwrap_or(i64::MAX)},
            |row| Ok(Waiting { row: row.get(0)?, taken_at: UnixMs(row.get(1)?) }),
        )?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().filter(|waiting| !held.contains(&waiting.row)).collect())
}

fn write(tx: &Transaction<'_>, target: TargetId, end: AttemptEnd) -> Result<bool, StoreError> {
    let AttemptEnd { row, settlement, answer } = end;
    let state = settlement.state();
    let (not_before, error, delivered_at, refusals) = match settlement {
        Settlement::Delivered { at } => (0, None, Some(at.0), 0),
        Settlement::Retry { not_before, error } => (not_before.0, Some(error), None, 0),
        Settlement::Refused { not_before, error } => (not_before.0, Some(error), None, 1),
        Settlement::Dead { error } => (0, Some(error), None, 1),
        Settlement::Lost { error } => (0, Some(error), None, 0),
        Settlement::Excused { not_before } => {
            let excused = tx.prepare_cached(EXCUSE_SQL)?.execute(named_params! {
                ":not_before": not_before.0, ":image": row, ":target": target.as_str(),
            })?;
            return Ok(excused > 0);
        }
    };
    let error = error.as_ref().map(KeptReason::of).unwrap_or_default();
    let settled = tx.prepare_cached(SETTLE_SQL)?.execute(named_params! {
        ":state": state.as_str(), ":refusals": refusals, ":not_before": not_before, ":now": clock::now().0,
        ":error": error.words, ":error_code": error.code, ":error_params": error.params, ":delivered_at": delivered_at,
        ":answer": answer.as_deref().map(kept),
        ":image": row, ":target": target.as_str(),
    })?;
    Ok(settled > 0)
}

fn due_upload(
    c: &Connection,
    target: TargetId,
    row: i64,
    root: &Path,
) -> Result<Option<DueUpload>, StoreError> {
    let found: Option<(i64, Image)> =
        c.prepare_cached(&image_sql())?.query_row(named_params! {":image": row}, image).optional()?;
    let Some((_, image)) = found else { return Ok(None) };
    let tried = c
        .prepare_cached(TRIED_SQL)?
        .query_row(named_params! {":image": row, ":target": target.as_str()}, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((attempts, refusals)) = tried else { return Ok(None) };
    let readings = readings_of_one(c, row)?;
    let picture = DuePicture::of(row, image, root);
    Ok(Some(DueUpload { picture, target, attempts, refusals, readings, link: None }))
}

fn image_sql() -> String {
    format!("select {COLUMNS} from images where id = :image")
}
