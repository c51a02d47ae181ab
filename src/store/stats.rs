//! Running counts and retention's questions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::{OptionalExtension, named_params};

use super::deletion::mark_deleting;
use super::queue::oldest;
use super::space::PictureUsage;
use super::{Store, StoreError};
use crate::model::{ImageId, TargetId, UnixMs, UploadState};

/// What has happened so far, and what is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By camera key.
    pub cameras: BTreeMap<String, CameraTally>,
    /// By name of the device.
    pub devices: BTreeMap<String, DeviceTally>,
    /// Number of uploads by target and state.
    pub uploads: BTreeMap<TargetId, Vec<(UploadState, u64)>>,
    /// The instant of the oldest picture that waits, by target; a target for which nothing waits is not there.
    pub oldest: BTreeMap<TargetId, UnixMs>,
    /// Bytes an ordinary user may still write to the pictures' file system.
    pub free_bytes: u64,
    /// Size of that file system.
    pub total_bytes: u64,
}

/// What one camera has done, and what is kept of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraTally {
    /// Triggers that led to a picture.
    pub captured: u64,
    /// Triggers for which another one stands.
    pub coalesced: u64,
    /// Triggers without a picture.
    pub failed: u64,
    /// Pictures that are there.
    pub images: u64,
    /// Their size.
    pub bytes: u64,
}

/// What one device has ever brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceTally {
    /// Pictures, also those that were deleted since.
    pub pushed: u64,
    /// Deliveries of them that were taken, by all targets.
    pub delivered: u64,
}

impl Stats {
    /// Pictures owed to any target.
    pub fn pending(&self) -> u64 {
        self.in_state(UploadState::Pending)
    }

    /// Uploads in one state, over all targets.
    pub fn in_state(&self, wanted: UploadState) -> u64 {
        self.uploads.values().flatten().filter(|(state, _)| *state == wanted).map(|(_, n)| n).sum()
    }

    /// Uploads of one target in one state.
    pub fn of_target(&self, target: TargetId, wanted: UploadState) -> u64 {
        let states = self.uploads.get(&target).into_iter().flatten();
        states.filter(|(state, _)| *state == wanted).map(|(_, n)| n).sum()
    }

    /// Pictures and clips that are there.
    pub fn images(&self) -> u64 {
        self.cameras.values().map(|tally| tally.images).sum()
    }

    /// Size of all pictures that are there.
    pub fn used_bytes(&self) -> u64 {
        self.cameras.values().map(|tally| tally.bytes).sum()
    }
}

/// A picture that may go, oldest first.
#[derive(Clone, Debug)]
pub struct Deletable {
    /// Its identity.
    pub id: ImageId,
    /// Its name, for the report.
    pub filename: String,
    /// Its place.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The instant it shows.
    pub taken_at: UnixMs,
    /// Key of its camera.
    pub camera: String,
}

/// The picture taken last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Its name.
    pub filename: String,
    /// The instant it shows.
    pub taken_at: UnixMs,
}

/// The last trigger for whose time a time service vouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its instant.
    pub at: UnixMs,
    /// Milliseconds from the start of the system to it, if it came since the system was started.
    pub boot_ms: Option<i64>,
}

/// Pictures past their time that stay, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Still owed to a target.
    pub owed: u64,
    /// Put aside by a target, waiting for a person.
    pub dead: u64,
    /// Protected by a person.
    pub protected: u64,
}

/// Not protected, and nothing of it pending or put aside.
pub(super) const DELETABLE_SQL: &str = "
    select id, uid, file_name, path, bytes, taken_at, camera from images
    where state = 'present' and protected = 0 and taken_at < :before
      and not exists (select 1 from uploads where image_id = images.id and uploads.state in ('pending', 'dead'))
      and (taken_at, id) > (:after_ms, :after_id)
    order by taken_at, id
    limit :limit";

/// How many of them there are, and their size.
pub(super) const EXPIRED_SQL: &str = "
    select count(*), coalesce(sum(bytes), 0) from images
    where state = 'present' and protected = 0 and taken_at < :before
      and not exists (select 1 from uploads where image_id = images.id and uploads.state in ('pending', 'dead'))";

pub(super) const KEPT_SQL: &str = "
    select
        count(*) filter (where not protected and exists (
            select 1 from uploads where image_id = images.id and uploads.state = 'pending')),
        count(*) filter (where not protected and exists (
            select 1 from uploads where image_id = images.id and uploads.state = 'dead')),
        count(*) filter (where protected)
    from images where state = 'present' and taken_at < :before";

/// The index is named, because with statistics the planner would rather sort every row than walk it for one.
pub(super) const NEWEST_SQL: &str = "
    select file_name, taken_at from images indexed by images_by_time where state = 'present'
    order by taken_at desc, id desc limit 1";

/// `corrected` is not enough: a person, or a wrong clock of the machine, may have set the time. By identity, because a time
/// that was wrong may lie ahead of all others.
pub(super) const WITNESS_SQL: &str = "
    select edge_at, boot_id, boot_ms from
      (select id, edge_at, boot_id, boot_ms, clock from triggers order by id desc limit 100000)
    where clock = 'synced' order by id desc limit 1";

/// 2000-01-01. A machine without a clock begins in 1970, and runs for less than thirty years.
pub(super) const UNSET: UnixMs = UnixMs(946_684_800_000);

impl Store {
    /// The running counts.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let files = self.files.clone();
        self.db
            .read(move |c| {
                let mut stats = Stats::default();
                let mut statement = c.prepare_cached("select subject, what, value from tallies")?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let (subject, what): (String, String) = (row.get(0)?, row.get(1)?);
                    let value = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
                    stats.add(subject, &what, value);
                }
                let waiting: Vec<_> = stats
                    .uploads
                    .keys()
                    .copied()
                    .filter(|target| stats.of_target(*target, UploadState::Pending) > 0)
                    .collect();
                for target in waiting {
                    if let Some(at) = oldest(c, target)? {
                        stats.oldest.insert(target, at);
                    }
                }
                if let Ok((free, total)) = files.space() {
                    (stats.free_bytes, stats.total_bytes) = (free, total);
                }
                Ok(stats)
            })
            .await
    }

    /// Up to `limit` pictures taken before an instant that retention may delete, oldest first, after `after`.
    pub(super) async fn deletable(
        &self,
        before: UnixMs,
        after: Option<(UnixMs, i64)>,
        limit: u32,
    ) -> Result<Vec<(i64, Deletable)>, StoreError> {
        let (after_ms, after_id) = after.map_or((i64::MIN, i64::MIN), |(at, id)| (at.0, id));
        self.db
            .read(move |c| {
                let found = c
                    .prepare_cached(DELETABLE_SQL)?
                    .query_map(
                        named_params! {":before": before.0, ":after_ms": after_ms, ":after_id": after_id,
                        ":limit": limit},
                        |row| {
                            let deletable = Deletable {
                                id: ImageId::from_bytes(row.get("uid")?),
                                filename: row.get("file_name")?,
                                path: PathBuf::from(row.get::<_, String>("path")?),
                                bytes: u64::try_from(row.get::<_, i64>("bytes")?).unwrap_or(0),
                                taken_at: UnixMs(row.get("taken_at")?),
                                camera: row.get("camera")?,
                            };
                            Ok((row.get("id")?, deletable))
                        },
                    )?
                    .collect::<Result<_, _>>()?;
                Ok(found)
            })
            .await
    }

    /// The picture taken last.
    pub(super) async fn newest(&self) -> Result<Option<Newest>, StoreError> {
        self.db
            .read(|c| {
                Ok(c.prepare_cached(NEWEST_SQL)?
                    .query_row([], |row| Ok(Newest { filename: row.get(0)?, taken_at: UnixMs(row.get(1)?) }))
                    .optional()?)
            })
            .await
    }

    /// The last trigger for whose time a time service vouched, among the newest hundred thousand.
    pub(super) async fn witness(&self) -> Result<Option<Witness>, StoreError> {
        let boot_id = self.boot_id.clone();
        self.db
            .read(move |c| {
                Ok(c.prepare_cached(WITNESS_SQL)?
                    .query_row([], |row| {
                        let boot: String = row.get(1)?;
                        let is_of_this_boot = !boot.is_empty() && *boot == *boot_id;
                        let boot_ms: i64 = row.get(2)?;
                        Ok(Witness { at: UnixMs(row.get(0)?), boot_ms: is_of_this_boot.then_some(boot_ms) })
                    })
                    .optional()?)
            })
            .await
    }

    /// How many pictures taken before an instant may go, and their size.
    pub(super) async fn expired(&self, before: UnixMs) -> Result<PictureUsage, StoreError> {
        self.db
            .read(move |c| {
                Ok(c.prepare_cached(EXPIRED_SQL)?.query_row(named_params! {":before": before.0}, |row| {
                    let count = |n: i64| u64::try_from(n).unwrap_or(0);
                    Ok(PictureUsage { pictures: count(row.get(0)?), bytes: count(row.get(1)?) })
                })?)
            })
            .await
    }

    /// How many pictures taken before an instant stay, and why.
    pub(super) async fn kept(&self, before: UnixMs) -> Result<Kept, StoreError> {
        self.db
            .read(move |c| {
                Ok(c.prepare_cached(KEPT_SQL)?.query_row(named_params! {":before": before.0}, |row| {
                    let count = |n: i64| u64::try_from(n).unwrap_or(0);
                    Ok(Kept {
                        owed: count(row.get(0)?),
                        dead: count(row.get(1)?),
                        protected: count(row.get(2)?),
                    })
                })?)
            })
            .await
    }

    /// Deletes what [`Self::deletable`] found and is still deletable. Returns what went.
    pub(super) async fn delete_expired(
        &self,
        candidates: Vec<Deletable>,
    ) -> Result<Vec<Deletable>, StoreError> {
        const STILL_SQL: &str = "
            select 1 from images
            where uid = :uid and state = 'present' and protected = 0 and not exists (
                select 1 from uploads where image_id = images.id and uploads.state in ('pending', 'dead'))
              and not exists (select 1 from triggers
                              where triggers.id = trigger_id and clock = 'unsynced' and boot_id = :boot_id
                                and edge_at < :unset)";
        self.must_be_here()?;
        // What this boot took before the clock was set looks old until its time has been corrected.
        let boot_id = self.boot_id.clone();
        let decided = self
            .db
            .insist(move |tx| {
                let mut decided = Vec::with_capacity(candidates.len());
                for candidate in candidates.iter().cloned() {
                    // Someone may have protected it or asked for it again since it was listed.
                    if tx
                        .prepare_cached(STILL_SQL)?
                        .exists(named_params! {":uid": candidate.id.as_bytes(), ":boot_id": &*boot_id, ":unset": UNSET.0})?
                    {
                        mark_deleting(tx, candidate.id, "retention")?;
                        decided.push(candidate);
                    }
                }
                Ok(decided)
            })
            .await?;
        self.finish_deletion(decided.iter().map(|d| (d.id, d.path.clone())).collect()).await?;
        Ok(decided)
    }
}

impl Stats {
    fn add(&mut self, subject: String, what: &str, value: u64) {
        if let Some(state) = what.strip_prefix("upload:") {
            if let (Some(target), Some(state)) = (TargetId::parse(&subject), UploadState::parse(state)) {
                self.uploads.entry(target).or_default().push((state, value));
            }
            return;
        }
        match what {
            "pushed" => {
                self.devices.entry(subject).or_default().pushed = value;
                return;
            }
            "pushed:delivered" => {
                self.devices.entry(subject).or_default().delivered = value;
                return;
            }
            _ => {}
        }
        let tally = self.cameras.entry(subject).or_default();
        match what {
            "captured" => tally.captured = value,
            "coalesced" => tally.coalesced = value,
            "failed" => tally.failed = value,
            "images" => tally.images = value,
            "bytes" => tally.bytes = value,
            _ => {}
        }
    }
}
