//! Refused pictures that are kept.

use serde::Serialize;
use utoipa::ToSchema;

use super::time::Time;
use crate::store::RefusedFile;

/// What was refused and kept. It is in no other list and is never delivered.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct QuarantineList {
    /// The newest first; 200 at most.
    pub(in crate::web) pictures: Vec<QuarantinedView>,
    /// Most bytes of all (STORAGE_QUARANTINE_MAX_BYTES); null where none are kept.
    #[schema(example = 50_000_000)]
    pub(in crate::web) bytes_max: Option<u64>,
}

/// One that was refused.
#[derive(Serialize, ToSchema)]
#[schema(as = Quarantined)]
pub(in crate::web) struct QuarantinedView {
    /// By which it is fetched and deleted.
    #[schema(example = "refused_1795176000000_door_018c2f6e7d1a4b3c9e5f0a1b2c3d4e5f.bin")]
    pub(in crate::web) name: String,
    /// The device that brought it.
    #[schema(example = "door")]
    pub(in crate::web) device: String,
    /// When it came.
    pub(in crate::web) at: Time,
    #[schema(example = 20_480)]
    pub(in crate::web) bytes: u64,
    /// Why it was refused, for people.
    #[schema(example = "the picture was cut off on its way: 20480 bytes came, and its end is missing")]
    pub(in crate::web) reason: String,
}

impl From<RefusedFile> for QuarantinedView {
    fn from(file: RefusedFile) -> Self {
        let RefusedFile { name, device, at, bytes, reason } = file;
        Self { name, device, at: Time(at), bytes, reason }
    }
}
