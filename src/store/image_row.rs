//! A row of `images`: its columns, the only way to write one and the only way to read one.

use std::path::{Path, PathBuf};

use rusqlite::{Row, Transaction, named_params};
use sha2::{Digest, Sha256};

use super::rows::{Image, TriggerId};
use super::{StoreError, kept, parsed, said};
use crate::media::jpeg;
use crate::model::{
    CameraKey, Cause, ClockState, DeviceName, Dimensions, FileName, ImageId, ImageKind, PictureFacts,
    PushFacts, UnixMs,
};

/// What [`image`] reads.
pub(super) const COLUMNS: &str =
    "id, uid, file_name, path, camera, cause, taken_at, frame_offset_ms, width, height, bytes,
    sha256, protected, kind, note, duration_ms, device, own_name, device_time, first_uid,
    (select clock from triggers where triggers.id = trigger_id) as clock";

const INSERT_SQL: &str = "
    insert into images (uid, trigger_id, camera, file_name, path, cause, taken_at, frame_offset_ms, width, height,
                        bytes, sha256, kind, note, duration_ms, deliveries,
                        device, own_name, device_time, first_uid, pushed_sha256)
    values (:uid, :trigger_id, :camera, :file_name, :path, :cause, :taken_at, :frame_offset_ms, :width, :height,
            :bytes, :sha256, :kind, :note, :duration_ms, :deliveries,
            :device, :own_name, :device_time, :first_uid, :pushed_sha256)";

/// A whole file that is to become a row; what the row needs beside name and place.
#[derive(Clone, Debug)]
pub(super) struct NewRow {
    pub(super) facts: PictureFacts,
    pub(super) dimensions: Dimensions,
    pub(super) trigger: Option<TriggerId>,
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
    /// SHA-256 of what a device sent, if it is pushed.
    pub(super) pushed_sha256: Option<[u8; 32]>,
}

impl NewRow {
    /// That of a file with these facts inside, which are not looked for again.
    pub(super) fn of(facts: PictureFacts, dimensions: Dimensions, file: &[u8]) -> Self {
        let pushed_sha256 = facts.push.as_ref().map(|_| {
            let (start, rest) = jpeg::without_caption(file);
            Sha256::new().chain_update(start).chain_update(rest).finalize().into()
        });
        let (bytes, sha256) = (file.len() as u64, Sha256::digest(file).into());
        Self { facts, dimensions, trigger: None, bytes, sha256, pushed_sha256 }
    }
}

/// Writes the row of a file that lies at `path`; returns its number. `deliveries` is the set of states of what is owed of
/// it, as in that column.
pub(super) fn insert_image(
    tx: &Transaction<'_>,
    name: &FileName,
    path: &Path,
    new: &NewRow,
    deliveries: i64,
) -> Result<i64, StoreError> {
    let NewRow { facts, dimensions, trigger, bytes, sha256, pushed_sha256 } = new;
    let push = facts.push.as_ref();
    tx.prepare_cached(INSERT_SQL)?.execute(named_params! {
        ":uid": facts.id.as_bytes(),
        ":trigger_id": trigger.map(|id| id.0),
        ":camera": facts.camera.as_str(),
        ":file_name": name.to_string(),
        ":path": path.to_string_lossy(),
        ":cause": facts.cause.as_str(),
        ":taken_at": facts.taken_at().0,
        ":frame_offset_ms": facts.frame_offset_ms,
        ":width": dimensions.width,
        ":height": dimensions.height,
        ":bytes": i64::try_from(*bytes).unwrap_or(i64::MAX),
        ":sha256": sha256,
        ":kind": facts.kind.as_str(),
        ":note": facts.note.as_deref().map(kept),
        ":duration_ms": dimensions.duration_ms.and_then(|ms| i64::try_from(ms).ok()),
        ":deliveries": deliveries,
        ":device": push.map(|push| push.device.as_str()),
        ":own_name": push.and_then(|push| push.own_name.as_deref().map(kept)),
        ":device_time": push.and_then(|push| push.device_time.as_deref().map(kept)),
        ":first_uid": push.and_then(|push| push.first_id).map(|id| *id.as_bytes()),
        ":pushed_sha256": pushed_sha256,
    })?;
    Ok(tx.last_insert_rowid())
}

/// A row, without what is owed of it, and its number.
pub(super) fn image(row: &Row<'_>) -> rusqlite::Result<(i64, Image)> {
    let frame_offset_ms: Option<i64> = row.get("frame_offset_ms")?;
    let taken_at = UnixMs(row.get("taken_at")?);
    let image = Image {
        facts: PictureFacts {
            id: ImageId::from_bytes(row.get("uid")?),
            camera: parsed("camera", CameraKey::parse(&row.get::<_, String>("camera")?).ok())?,
            cause: parsed("cause", Cause::parse(&row.get::<_, String>("cause")?))?,
            kind: parsed("kind", ImageKind::parse(&row.get::<_, String>("kind")?))?,
            edge_at: taken_at.plus_ms(frame_offset_ms.unwrap_or(0).saturating_neg()),
            frame_offset_ms,
            note: said(row, "note")?,
            push: push(row)?,
        },
        dimensions: Dimensions {
            width: row.get("width")?,
            height: row.get("height")?,
            duration_ms: row.get::<_, Option<i64>>("duration_ms")?.and_then(|ms| u64::try_from(ms).ok()),
        },
        filename: parsed("file_name", FileName::parse(&row.get::<_, String>("file_name")?))?,
        path: PathBuf::from(row.get::<_, String>("path")?),
        clock: row
            .get::<_, Option<String>>("clock")?
            .map(|text| parsed("clock", ClockState::parse(&text)))
            .transpose()?,
        bytes: u64::try_from(row.get::<_, i64>("bytes")?).unwrap_or(0),
        sha256: row.get("sha256")?,
        protected: row.get("protected")?,
        uploads: Vec::new(),
        analysis: None,
    };
    Ok((row.get("id")?, image))
}

fn push(row: &Row<'_>) -> rusqlite::Result<Option<PushFacts>> {
    let Some(device) = row.get::<_, Option<String>>("device")? else { return Ok(None) };
    Ok(Some(PushFacts {
        device: parsed("device", DeviceName::parse(&device).ok())?,
        own_name: said(row, "own_name")?,
        device_time: said(row, "device_time")?,
        first_id: row.get::<_, Option<[u8; 16]>>("first_uid")?.map(ImageId::from_bytes),
    }))
}
