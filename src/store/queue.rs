//! The durable upload queue: what is owed to whom, leased while it is being sent.

use std::path::PathBuf;

use rusqlite::{OptionalExtension, named_params};

use super::images::{COLUMNS, image};
use super::{Image, Store, StoreError};
use crate::model::{CameraKey, Cause, FileName, ImageId, ImageKind, TargetKind, UnixMs, UploadState};

/// One picture that is owed to a target, leased to the caller.
#[derive(Clone, Debug)]
pub struct DueUpload {
    /// Row of the picture.
    pub(super) row: i64,
    /// To whom.
    pub target: TargetKind,
    /// Identity and idempotency key.
    pub id: ImageId,
    /// Its name.
    pub filename: FileName,
    /// The whole path of its file.
    pub path: PathBuf,
    /// The camera.
    pub camera: CameraKey,
    /// What asked for it.
    pub cause: Cause,
    /// The instant it shows.
    pub taken_at: UnixMs,
    /// That instant minus the edge, in milliseconds, where it is known.
    pub frame_offset_ms: Option<i64>,
    /// What it is to its trigger.
    pub kind: ImageKind,
    /// Length its file must have.
    pub bytes: u64,
    /// SHA-256 its file must have.
    pub sha256: [u8; 32],
    /// Attempts before this one.
    pub attempts: u32,
}

/// What an attempt leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The target confirmed it.
    Delivered {
        /// When.
        at: UnixMs,
    },
    /// Tried again, not before an instant.
    Retry {
        /// Earliest next attempt.
        not_before: UnixMs,
        /// What was met.
        error: String,
    },
    /// Put aside until someone asks for it.
    Dead {
        /// What the target said.
        error: String,
    },
    /// The file is gone or damaged.
    Lost {
        /// What was found.
        error: String,
    },
}

/// Every kind of target that uploads can be owed to.
const KINDS: [TargetKind; 4] = TargetKind::ALL;

/// What follows the columns of the claim.
const CLAIM_SQL: &str = "
    , attempts
    from uploads u join images i on i.id = u.image_id
    where u.target = :target
      and u.state = 'pending'
      and u.not_before <= :now
      and u.leased_until <= :now
      and i.state = 'present'
    order by u.image_id
    limit :limit";

pub(super) const LEASE_SQL: &str = "
    update uploads set leased_until = :until where image_id = :image and target = :target";

pub(super) const SETTLE_SQL: &str = "
    update uploads
    set state = :state, attempts = attempts + 1, not_before = :not_before, leased_until = 0,
        last_error = coalesce(:error, last_error), delivered_at = :delivered_at
    where image_id = :image and target = :target and state = 'pending'";

pub(super) const RELEASE_SQL: &str = "
    update uploads
    set leased_until = 0, not_before = case when not_before > :latest then 0 else not_before end
    where target = :target and state = 'pending' and (leased_until > 0 or not_before > :latest)";

pub(super) const NEXT_DUE_SQL: &str = "
    select min(max(not_before, leased_until)) from uploads
    where target = :target and state = 'pending'";

impl Store {
    /// Leases up to `limit` due uploads of a target until `until`, oldest first. A lease that runs out (its holder
    /// died) is due again by itself.
    pub async fn claim_due(
        &self,
        target: TargetKind,
        now: UnixMs,
        until: UnixMs,
        limit: usize,
    ) -> Result<Vec<DueUpload>, StoreError> {
        let root = self.root().to_owned();
        self.db
            .write(move |tx| {
                let due: Vec<DueUpload> = tx
                    .prepare_cached(&claim_sql())?
                    .query_map(
                        named_params! {":target": target.as_str(), ":now": now.0,
                        ":limit": i64::try_from(limit).unwrap_or(i64::MAX)},
                        |row| {
                            let attempts = row.get("attempts")?;
                            let (id, image) = image(row)?;
                            Ok(due_upload(id, image, target, attempts, &root))
                        },
                    )?
                    .collect::<Result<_, _>>()?;
                for upload in &due {
                    tx.prepare_cached(LEASE_SQL)?.execute(named_params! {
                        ":until": until.0, ":image": upload.row, ":target": target.as_str(),
                    })?;
                }
                Ok(due)
            })
            .await
    }

    /// Writes down what an attempt led to. An upload that was settled or given up meanwhile keeps its state; then the
    /// answer is `false`.
    pub async fn settle(&self, upload: &DueUpload, settlement: Settlement) -> Result<bool, StoreError> {
        let (row, target) = (upload.row, upload.target);
        let (state, not_before, error, delivered_at) = match settlement {
            Settlement::Delivered { at } => (UploadState::Delivered, 0, None, Some(at.0)),
            Settlement::Retry { not_before, error } => {
                (UploadState::Pending, not_before.0, Some(error), None)
            }
            Settlement::Dead { error } => (UploadState::Dead, 0, Some(error), None),
            Settlement::Lost { error } => (UploadState::Lost, 0, Some(error), None),
        };
        self.db
            .write(move |tx| {
                let settled = tx.prepare_cached(SETTLE_SQL)?.execute(named_params! {
                    ":state": state.as_str(), ":not_before": not_before, ":error": error,
                    ":delivered_at": delivered_at, ":image": row, ":target": target.as_str(),
                })?;
                Ok(settled > 0)
            })
            .await
    }

    /// Gives back every lease of a target: those of an earlier run, or those not used because the target went away.
    ///
    /// What waits for an instant after `latest` is due at once: no wait is that long, so the clock has been set back.
    pub async fn release_leases(&self, target: TargetKind, latest: UnixMs) -> Result<(), StoreError> {
        self.db
            .write(move |tx| {
                tx.execute(RELEASE_SQL, named_params! {":target": target.as_str(), ":latest": latest.0})?;
                Ok(())
            })
            .await
    }

    /// When the next upload of a target falls due; `None` when nothing is owed.
    pub async fn next_due(&self, target: TargetKind) -> Result<Option<UnixMs>, StoreError> {
        self.db
            .read(move |c| {
                let at: Option<i64> = c
                    .prepare_cached(NEXT_DUE_SQL)?
                    .query_row(named_params! {":target": target.as_str()}, |row| row.get(0))?;
                Ok(at.map(UnixMs))
            })
            .await
    }

    /// Makes everything of a picture that was put aside, was given up for want of its file, or is waiting due at once;
    /// `None` when there is no such picture.
    pub async fn retry(&self, name: &FileName) -> Result<Option<Image>, StoreError> {
        const RETRY_SQL: &str = "
            update uploads set state = 'pending', not_before = 0, leased_until = 0
            where image_id = (select id from images where file_name = :name and state = 'present')
              and (state in ('dead', 'lost') or (state = 'pending' and leased_until <= :now))";
        let filename = name.clone();
        self.db
            .write(move |tx| {
                tx.execute(
                    RETRY_SQL,
                    named_params! {":name": filename.to_string(), ":now": crate::clock::now().0},
                )?;
                Ok(())
            })
            .await?;
        self.due.send_modify(|count| *count = count.wrapping_add(1));
        self.image(name).await
    }

    /// Brings the queue in line with the configured targets: what waits for one that is switched off is skipped, what
    /// was skipped for one that is on is owed again. Leases of an earlier run are given back.
    pub(super) async fn align_targets(&self) -> Result<(), StoreError> {
        // The tally spares a look at every upload there ever was.
        const OWED_AGAIN_SQL: &str = "
            update uploads set state = 'pending', not_before = 0
            where target = :target and state = 'skipped'
              and exists (select 1 from images where id = image_id and state = 'present')
              and (select value from tallies where subject = :target and what = 'upload:skipped') > 0";
        const SKIP_SQL: &str = "
            update uploads set state = 'skipped' where target = :target and state = 'pending'";
        let active: Vec<TargetKind> = self
            .targets
            .iter()
            .filter(|(_, state)| *state == UploadState::Pending)
            .map(|(target, _)| *target)
            .collect();
        self.db
            .write(move |tx| {
                tx.execute(
                    "update uploads set leased_until = 0 where state = 'pending' and leased_until > 0",
                    [],
                )?;
                for target in KINDS {
                    let sql = if active.contains(&target) { OWED_AGAIN_SQL } else { SKIP_SQL };
                    tx.execute(sql, named_params! {":target": target.as_str()})?;
                }
                Ok(())
            })
            .await
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

pub(super) fn claim_sql() -> String {
    format!("select {COLUMNS}{CLAIM_SQL}")
}

fn due_upload(
    row: i64,
    image: Image,
    target: TargetKind,
    attempts: u32,
    root: &std::path::Path,
) -> DueUpload {
    DueUpload {
        row,
        target,
        id: image.id,
        filename: image.filename,
        path: root.join(&image.path),
        camera: image.camera,
        cause: image.cause,
        taken_at: image.taken_at,
        frame_offset_ms: image.frame_offset_ms,
        kind: image.kind,
        bytes: image.bytes,
        sha256: image.sha256,
        attempts,
    }
}
