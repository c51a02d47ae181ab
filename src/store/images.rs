//! Pictures and clips: recording, listing and protecting them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};
use sha2::{Digest, Sha256};

use super::crash;
use super::files::{Incoming, relative_path};
use super::ledger::{TriggerId, edge_of, mark_captured};
use super::page::{Cursor, Page};
use super::{Store, StoreError, kept, parsed, said, tree};
use crate::clock;
use crate::model::{
    CameraKey, Cause, ClockState, FileName, ImageId, ImageKind, Medium, TargetKind, UnixMs, UploadState,
};

/// A picture or clip to be kept.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// Its identity, the same as inside the file.
    pub id: ImageId,
    /// The ledger row it answers; a picture ends it as captured in the same transaction.
    pub trigger: TriggerId,
    /// The camera.
    pub camera: CameraKey,
    /// What asked for it.
    pub cause: Cause,
    /// The instant asked for; its second gives the name.
    pub edge_at: UnixMs,
    /// The same instant on the monotonic clock, for the latency.
    pub edge: Instant,
    /// The instant shown (of a clip: first shown) minus the edge, in milliseconds.
    pub frame_offset_ms: Option<i64>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// What it is to its trigger.
    pub kind: ImageKind,
    /// Why it is not the plain picture that was asked for, for people.
    pub note: Option<String>,
    /// How long it is, if it is a clip.
    pub duration_ms: Option<u64>,
    /// The complete file: a JPEG, or an MP4 if it is a clip.
    pub file: Vec<u8>,
}

/// A stored picture or clip.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its identity.
    pub id: ImageId,
    /// Its name.
    pub filename: FileName,
    /// Where it lies, relative to the picture directory.
    pub path: PathBuf,
    /// The camera.
    pub camera: CameraKey,
    /// What asked for it.
    pub cause: Cause,
    /// The instant it shows; of a clip, the first one.
    pub taken_at: UnixMs,
    /// How far that can be trusted; `None` for a file without a trigger.
    pub clock: Option<ClockState>,
    /// That instant minus the edge, in milliseconds.
    pub frame_offset_ms: Option<i64>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// What it is to its trigger.
    pub kind: ImageKind,
    /// Why it is not the plain file that was asked for, for people.
    pub note: Option<String>,
    /// How long it is, if it is a clip.
    pub duration_ms: Option<u64>,
    /// Kept whatever retention says.
    pub protected: bool,
    /// One for each target it is or was owed to.
    pub uploads: Vec<UploadInfo>,
}

/// How the delivery of one picture to one target stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadInfo {
    /// To whom.
    pub target: TargetKind,
    /// How it stands.
    pub state: UploadState,
    /// Attempts so far.
    pub attempts: u32,
    /// What the last failed attempt met.
    pub last_error: Option<String>,
    /// When the target confirmed it.
    pub delivered_at: Option<UnixMs>,
}

/// Which pictures to list.
#[derive(Clone, Debug, Default)]
pub struct ImageQuery {
    /// Only this camera.
    pub camera: Option<CameraKey>,
    /// Not before this instant.
    pub from: Option<UnixMs>,
    /// Before this instant.
    pub to: Option<UnixMs>,
    /// Only with an upload in this state.
    pub state: Option<UploadState>,
    /// Only pictures, or only clips.
    pub medium: Option<Medium>,
    /// At most this many, from 1.
    pub limit: u32,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
}

pub(super) const COLUMNS: &str =
    "id, uid, file_name, path, camera, cause, taken_at, frame_offset_ms, width, height, bytes,
    sha256, protected, kind, note, duration_ms,
    (select clock from triggers where triggers.id = trigger_id) as clock";

const INSERT_SQL: &str = "
    insert into images (uid, trigger_id, camera, file_name, path, cause, taken_at, frame_offset_ms, width, height,
                        bytes, sha256, kind, note, duration_ms)
    values (:uid, :trigger_id, :camera, :file_name, :path, :cause, :taken_at, :frame_offset_ms, :width, :height,
            :bytes, :sha256, :kind, :note, :duration_ms)";

/// A file that is to become a row; what [`insert`] needs beside the name.
pub(super) struct Facts {
    pub(super) id: ImageId,
    pub(super) trigger: Option<TriggerId>,
    pub(super) cause: Cause,
    pub(super) taken_at: UnixMs,
    pub(super) frame_offset_ms: Option<i64>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
    pub(super) kind: ImageKind,
    pub(super) note: Option<String>,
    pub(super) duration_ms: Option<u64>,
}

impl Store {
    /// Keeps a picture or clip: file synced, named, folder synced, then one transaction with its row, its uploads and the
    /// outcome of its trigger. When this returns, no power cut can undo it.
    ///
    /// Dropping the future may leave a synced file without a row, which start-up adopts.
    pub async fn record(&self, new: NewImage) -> Result<Image, StoreError> {
        let (files, database) = (self.files.clone(), self.database.clone());
        let id = new.id;
        // The slow part, outside the writer's lock.
        let (incoming, facts, first, edge) = super::db::blocking(move || {
            files.ready(&database)?;
            let incoming = files.write_incoming(new.id, &new.file).map_err(|source| StoreError::File {
                action: "write a picture below",
                path: files.root().to_owned(),
                source,
            })?;
            crash::point("written");
            let facts = Facts {
                id: new.id,
                trigger: Some(new.trigger),
                cause: new.cause,
                taken_at: new.edge_at.plus_ms(new.frame_offset_ms.unwrap_or(0)),
                frame_offset_ms: new.frame_offset_ms,
                width: new.width,
                height: new.height,
                bytes: new.file.len() as u64,
                sha256: Sha256::digest(&new.file).into(),
                kind: new.kind,
                note: new.note,
                duration_ms: new.duration_ms,
            };
            let first = FileName::new(new.camera, new.edge_at.epoch_s(), 1).of(new.kind.medium());
            Ok((incoming, facts, first, new.edge))
        })
        .await?;
        let store = self.clone();
        let image = self
            .db
            .write(move |tx| {
                let mut facts = facts;
                if let Some(trigger) = facts.trigger {
                    // The clock may have been set, and the trigger corrected, while the picture was made.
                    facts.taken_at = edge_of(tx, trigger)?.plus_ms(facts.frame_offset_ms.unwrap_or(0));
                }
                store.publish_and_insert(tx, incoming, first, &facts)?;
                if let Some(trigger) = facts.trigger.filter(|_| facts.kind.medium() == Medium::Jpeg) {
                    mark_captured(tx, trigger, Some(clock::signed_ms(Instant::now(), edge)))?;
                }
                crash::point("before commit");
                by_id(tx, id)?.ok_or(StoreError::Interrupted)
            })
            .await?;
        crash::point("committed");
        self.due.send_modify(|count| *count = count.wrapping_add(1));
        Ok(image)
    }

    /// Gives an incoming file the first free name of its second, and its row.
    pub(super) fn publish_and_insert(
        &self,
        tx: &Transaction<'_>,
        mut incoming: Incoming,
        mut name: FileName,
        facts: &Facts,
    ) -> Result<(), StoreError> {
        loop {
            // A deleted picture keeps its row, and so its name; the file system speaks for files without a row.
            if !name_is_known(tx, &name)? {
                let path = relative_path(&name);
                let published =
                    self.files.publish(&mut incoming, &path).map_err(|source| StoreError::File {
                        action: "name the picture",
                        path: self.files.root().join(&path),
                        source,
                    })?;
                if published {
                    return self.insert(tx, &name, &path, facts);
                }
            }
            name = name.next().ok_or(StoreError::NoName)?;
        }
    }

    /// Inserts the row of a file that lies at `path`, and what is owed of it: to every target.
    pub(super) fn insert(
        &self,
        tx: &Transaction<'_>,
        name: &FileName,
        path: &Path,
        facts: &Facts,
    ) -> Result<(), StoreError> {
        insert(tx, name, path, facts, &self.targets)
    }

    /// Pictures, newest first.
    pub async fn images(&self, query: ImageQuery) -> Result<Page<Image>, StoreError> {
        self.db.read(move |c| list(c, &query)).await
    }

    /// The picture with this name, if it is there.
    pub async fn image(&self, name: &FileName) -> Result<Option<Image>, StoreError> {
        let name = name.clone();
        self.db.read(move |c| by_name(c, &name)).await
    }

    /// Opens the file of a picture; whatever else may lie in its place is `NotFound`. Blocking.
    pub fn open_image(&self, image: &Image) -> io::Result<File> {
        tree::open_beneath(self.files.root(), &image.path).map_err(tree::or_absent)
    }

    /// The whole path of a picture; to be shown. It is opened by [`Store::open_image`].
    pub fn path_of(&self, image: &Image) -> PathBuf {
        self.files.root().join(&image.path)
    }

    /// Switches the protection of a picture; `None` when there is no such picture.
    pub async fn protect(&self, name: &FileName, protected: bool) -> Result<Option<Image>, StoreError> {
        const PROTECT_SQL: &str = "
            update images set protected = :protected where file_name = :name and state = 'present'";
        let name = name.clone();
        self.db
            .write(move |tx| {
                tx.execute(PROTECT_SQL, named_params! {":protected": protected, ":name": name.to_string()})?;
                by_name(tx, &name)
            })
            .await
    }
}

/// Inserts the row of a file that lies at `path`, and what is `owed` of it.
pub(super) fn insert(
    tx: &Transaction<'_>,
    name: &FileName,
    path: &Path,
    facts: &Facts,
    owed: &[(TargetKind, UploadState)],
) -> Result<(), StoreError> {
    tx.prepare_cached(INSERT_SQL)?.execute(named_params! {
        ":uid": facts.id.as_bytes(),
        ":trigger_id": facts.trigger.map(|id| id.0),
        ":camera": name.camera().as_str(),
        ":file_name": name.to_string(),
        ":path": path.to_string_lossy(),
        ":cause": facts.cause.as_str(),
        ":taken_at": facts.taken_at.0,
        ":frame_offset_ms": facts.frame_offset_ms,
        ":width": facts.width,
        ":height": facts.height,
        ":bytes": i64::try_from(facts.bytes).unwrap_or(i64::MAX),
        ":sha256": facts.sha256,
        ":kind": facts.kind.as_str(),
        ":note": facts.note.as_deref().map(kept),
        ":duration_ms": facts.duration_ms.and_then(|ms| i64::try_from(ms).ok()),
    })?;
    let image = tx.last_insert_rowid();
    for (target, state) in owed {
        owe(tx, image, *target, *state)?;
    }
    Ok(())
}

/// From now on the picture of this row is owed to `target`; nothing changes where it is or was already.
pub(super) fn owe(
    tx: &Transaction<'_>,
    image: i64,
    target: TargetKind,
    state: UploadState,
) -> Result<bool, StoreError> {
    const OWE_SQL: &str = "
        insert into uploads (image_id, target, state, camera, taken_at)
        select id, :target, :state, camera, taken_at from images where id = :image
        on conflict do nothing";
    let params = named_params! {":image": image, ":target": target.as_str(), ":state": state.as_str()};
    Ok(tx.prepare_cached(OWE_SQL)?.execute(params)? > 0)
}

pub(super) fn name_is_known(tx: &Transaction<'_>, name: &FileName) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("select 1 from images where file_name = :name")?
        .exists(named_params! {":name": name.to_string()})?)
}

pub(super) fn by_name(c: &Connection, name: &FileName) -> Result<Option<Image>, StoreError> {
    let sql = format!("select {COLUMNS} from images where file_name = :name and state = 'present'");
    one(c, &sql, named_params! {":name": name.to_string()})
}

fn by_id(c: &Connection, id: ImageId) -> Result<Option<Image>, StoreError> {
    let sql = format!("select {COLUMNS} from images where uid = :uid and state = 'present'");
    one(c, &sql, named_params! {":uid": id.as_bytes()})
}

fn one(c: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Option<Image>, StoreError> {
    let found = c.prepare_cached(sql)?.query_row(params, image).optional()?;
    found.map(|found| with_uploads(c, found)).transpose()
}

pub(super) fn images_of_trigger(c: &Connection, trigger: TriggerId) -> Result<Vec<Image>, StoreError> {
    let sql =
        format!("select {COLUMNS} from images where trigger_id = :trigger and state = 'present' order by id");
    let rows: Vec<(i64, Image)> = c
        .prepare_cached(&sql)?
        .query_map(named_params! {":trigger": trigger.0}, image)?
        .collect::<Result<_, _>>()?;
    rows.into_iter().map(|row| with_uploads(c, row)).collect()
}

/// The statement of a list; `query` decides on its shape only.
pub(super) fn list_sql(query: &ImageQuery) -> String {
    let of_camera = if query.camera.is_some() { "camera = :camera and" } else { ":camera is null and" };
    let in_state = match query.state {
        Some(_) => "exists (select 1 from uploads where image_id = images.id and uploads.state = :state) and",
        None => ":state is null and",
    };
    // The planner would not see that clips are few.
    let (by, of_medium) = match query.medium {
        None => ("", ""),
        Some(Medium::Jpeg) => ("", "kind <> 'clip' and"),
        Some(Medium::Mp4) => ("indexed by images_clips", "kind = 'clip' and"),
    };
    format!(
        "select {COLUMNS} from images {by}
         where {of_camera} {in_state} {of_medium} state = 'present'
           and (taken_at, id) < (:before_ms, :before_id) and taken_at >= :from and taken_at < :to
         order by taken_at desc, id desc limit :limit"
    )
}

/// The statement of a list of pictures of which few have an upload in the state that is asked for: those are looked up
/// and sorted, instead of walking through all.
pub(super) fn few_sql(query: &ImageQuery, state: UploadState) -> String {
    let of_medium = match query.medium {
        None => "",
        Some(Medium::Jpeg) => "kind <> 'clip' and",
        Some(Medium::Mp4) => "kind = 'clip' and",
    };
    format!(
        "select {COLUMNS} from images not indexed
         where id in (select image_id from uploads indexed by uploads_put_aside
                      where uploads.state in ('pending', 'dead', 'lost') and uploads.state = '{}')
           and (:camera is null or camera = :camera) and :state is not null and {of_medium} state = 'present'
           and (taken_at, id) < (:before_ms, :before_id) and taken_at >= :from and taken_at < :to
         order by taken_at desc, id desc limit :limit",
        state.as_str()
    )
}

/// The statement that answers a query soonest; `None` when there is nothing to find.
fn best_sql(c: &Connection, query: &ImageQuery) -> Result<Option<String>, StoreError> {
    /// More than so many are sooner found by walking than by sorting.
    const FEW: i64 = 20_000;
    let Some(state) = query.state else { return Ok(Some(list_sql(query))) };
    let sql = "select coalesce(sum(value), 0) from tallies where what = 'upload:' || :state";
    let count: i64 =
        c.prepare_cached(sql)?.query_row(named_params! {":state": state.as_str()}, |row| row.get(0))?;
    let is_indexed = matches!(state, UploadState::Pending | UploadState::Dead | UploadState::Lost);
    Ok(match count {
        0 => None,
        few if is_indexed && few <= FEW => Some(few_sql(query, state)),
        _ => Some(list_sql(query)),
    })
}

fn list(c: &Connection, query: &ImageQuery) -> Result<Page<Image>, StoreError> {
    let Some(sql) = best_sql(c, query)? else { return Ok(Page { items: Vec::new(), next: None }) };
    let before = query.cursor.unwrap_or(Cursor::END);
    let rows: Vec<(i64, Image)> = c
        .prepare_cached(&sql)?
        .query_map(
            named_params! {
                ":camera": query.camera.as_ref().map(CameraKey::as_str),
                ":state": query.state.map(UploadState::as_str),
                ":before_ms": before.ms,
                ":before_id": before.id,
                ":from": query.from.map_or(i64::MIN, |at| at.0),
                ":to": query.to.map_or(i64::MAX, |at| at.0),
                // One more than asked tells whether there is a next page.
                ":limit": i64::from(query.limit) + 1,
            },
            image,
        )?
        .collect::<Result<_, _>>()?;
    let page = Page::cut(rows, query.limit, |(id, image)| Cursor { ms: image.taken_at.0, id: *id });
    let items = page.items.into_iter().map(|row| with_uploads(c, row)).collect::<Result<_, _>>()?;
    Ok(Page { items, next: page.next })
}

fn with_uploads(c: &Connection, (row, image): (i64, Image)) -> Result<Image, StoreError> {
    const UPLOADS_SQL: &str = "
        select target, state, attempts, last_error, delivered_at from uploads
        where image_id = :image order by target";
    let uploads = c
        .prepare_cached(UPLOADS_SQL)?
        .query_map(named_params! {":image": row}, |row| {
            Ok(UploadInfo {
                target: parsed("target", TargetKind::parse(&row.get::<_, String>("target")?))?,
                state: parsed("state", UploadState::parse(&row.get::<_, String>("state")?))?,
                attempts: row.get("attempts")?,
                last_error: said(row, "last_error")?,
                delivered_at: row.get::<_, Option<i64>>("delivered_at")?.map(UnixMs),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Image { uploads, ..image })
}

/// A row and its identity.
pub(super) fn image(row: &Row<'_>) -> rusqlite::Result<(i64, Image)> {
    let image = Image {
        id: ImageId::from_bytes(row.get("uid")?),
        filename: parsed("file_name", FileName::parse(&row.get::<_, String>("file_name")?))?,
        path: PathBuf::from(row.get::<_, String>("path")?),
        camera: parsed("camera", CameraKey::parse(&row.get::<_, String>("camera")?).ok())?,
        cause: parsed("cause", Cause::parse(&row.get::<_, String>("cause")?))?,
        taken_at: UnixMs(row.get("taken_at")?),
        clock: row
            .get::<_, Option<String>>("clock")?
            .map(|text| parsed("clock", ClockState::parse(&text)))
            .transpose()?,
        frame_offset_ms: row.get("frame_offset_ms")?,
        width: row.get("width")?,
        height: row.get("height")?,
        bytes: u64::try_from(row.get::<_, i64>("bytes")?).unwrap_or(0),
        sha256: row.get("sha256")?,
        kind: parsed("kind", ImageKind::parse(&row.get::<_, String>("kind")?))?,
        note: said(row, "note")?,
        duration_ms: row.get::<_, Option<i64>>("duration_ms")?.and_then(|ms| u64::try_from(ms).ok()),
        protected: row.get("protected")?,
        uploads: Vec::new(),
    };
    Ok((row.get("id")?, image))
}
