//! Whether a device has sent a picture before: the same bytes, or one under the same identity. A camera that resends after
//! a reboot, and a box whose answer was lost, have one picture here.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::image_row::NewRow;
use super::{Store, StoreError, parsed};
use crate::model::{DeviceName, FileName, ImageId};

/// Of one that is gone from the disk another may be kept; one that was deleted was here.
pub(super) const BYTES_SQL: &str = "
    select file_name, path, bytes from images indexed by images_pushed
    where device is not null and device = :device and pushed_sha256 = :sha256 and state <> 'missing'
    order by id limit 1";

pub(super) const FIRST_ID_SQL: &str = "
    select file_name, path, bytes from images indexed by images_pushed_first
    where device is not null and first_uid is not null and device = :device and first_uid = :first_id
      and state <> 'missing'
    order by id limit 1";

/// What a device sends, as far as it tells whether it came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushIdentity {
    /// The device.
    pub device: DeviceName,
    /// SHA-256 of the bytes as they came.
    pub sha256: [u8; 32],
    /// The identity that the first box of a chain gave it.
    pub first_id: Option<ImageId>,
}

/// A pushed picture that is stored, or was until it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPush {
    /// Its name.
    pub filename: FileName,
    /// Where it lies, relative to the picture directory.
    pub path: PathBuf,
    /// Length of its file.
    pub bytes: u64,
}

impl PushIdentity {
    /// That of a file that is to become a row, if it was pushed.
    pub(super) fn of(row: &NewRow) -> Option<Self> {
        let push = row.facts.push.as_ref()?;
        Some(Self { device: push.device.clone(), sha256: row.pushed_sha256?, first_id: push.first_id })
    }
}

impl Store {
    /// The picture that this is once more.
    pub async fn known_push(&self, identity: PushIdentity) -> Result<Option<KnownPush>, StoreError> {
        self.db.read(move |c| known(c, &identity)).await
    }

    /// Whether this is a file already, whose row the database does not take yet.
    pub fn is_push_kept(&self, identity: &PushIdentity) -> bool {
        self.late.holds_push(identity)
    }
}

/// The picture that this is once more.
pub(super) fn known(c: &Connection, identity: &PushIdentity) -> Result<Option<KnownPush>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(KnownPush {
            filename: parsed("file_name", FileName::parse(&row.get::<_, String>(0)?))?,
            path: PathBuf::from(row.get::<_, String>(1)?),
            bytes: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
        })
    };
    let PushIdentity { device, sha256, first_id } = identity;
    let params = named_params! {":device": device.as_str(), ":sha256": sha256};
    let same_bytes = c.prepare_cached(BYTES_SQL)?.query_row(params, read).optional()?;
    let Some(first_id) = first_id.filter(|_| same_bytes.is_none()) else { return Ok(same_bytes) };
    let params = named_params! {":device": device.as_str(), ":first_id": first_id.as_bytes()};
    Ok(c.prepare_cached(FIRST_ID_SQL)?.query_row(params, read).optional()?)
}

/// Whether a file that is to become a row was pushed and is stored already.
pub(super) fn is_known(c: &Connection, row: &NewRow) -> Result<bool, StoreError> {
    match PushIdentity::of(row) {
        Some(identity) => Ok(known(c, &identity)?.is_some()),
        None => Ok(false),
    }
}
