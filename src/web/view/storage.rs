//! The disk.

use serde::Serialize;
use utoipa::ToSchema;

use super::time::Time;
use crate::disk::Wear;
use crate::model::{RoomLevel, StorageState};

/// How the disk stands, as known since it was last looked at.
#[derive(Serialize, ToSchema)]
#[schema(as = StorageEvent)]
pub(in crate::web) struct StorageView {
    #[schema(value_type = RoomLevel)]
    pub(in crate::web) level: &'static str,
    /// Since when.
    pub(in crate::web) since: Time,
    /// What is the matter and what to do, for people.
    pub(in crate::web) message: Option<String>,
    /// Below so many free bytes delivered pictures go early.
    #[schema(example = 1_610_612_736)]
    pub(in crate::web) floor_bytes: u64,
    #[schema(example = 1_830_144)]
    pub(in crate::web) free_inodes: u64,
    /// 0: this file system has no limit of files.
    #[schema(example = 1_937_712)]
    pub(in crate::web) total_inodes: u64,
    /// The database's disk, if it is another one.
    #[schema(example = json!(null))]
    pub(in crate::web) database: Option<Room>,
    /// Held back for the ledger.
    #[schema(example = 4_194_304)]
    pub(in crate::web) ballast_bytes: u64,
    pub(in crate::web) evicted: Evicted,
    /// What this process has written to the disk; null where the kernel does not count, and in events.
    pub(in crate::web) written: Option<Written>,
}

impl StorageView {
    pub(in crate::web) fn of(storage: StorageState, wear: Option<Wear>) -> Self {
        Self {
            level: storage.level.as_str(),
            since: Time(storage.since),
            message: storage.message,
            floor_bytes: storage.floor_bytes,
            free_inodes: storage.pictures.free_inodes,
            total_inodes: storage.pictures.total_inodes,
            database: storage
                .database
                .map(|space| Room { free_bytes: space.free_bytes, total_bytes: space.total_bytes }),
            ballast_bytes: storage.ballast_bytes,
            evicted: Evicted {
                images: storage.evicted,
                bytes: storage.evicted_bytes,
                at: storage.evicted_at.map(Time),
            },
            written: wear.map(|wear| Written {
                bytes: wear.written_bytes,
                seconds: wear.since.as_secs(),
                captures: wear.captures,
                bytes_per_day: wear.bytes_per_day(),
                bytes_per_capture: wear.bytes_per_capture(),
            }),
        }
    }
}

/// Room on a disk.
#[derive(Serialize, ToSchema)]
#[schema(as = DiskRoom)]
pub(in crate::web) struct Room {
    pub(in crate::web) free_bytes: u64,
    pub(in crate::web) total_bytes: u64,
}

/// Pictures that were deleted before their time to make room, since the start.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Evicted {
    pub(in crate::web) images: u64,
    pub(in crate::web) bytes: u64,
    /// When the last of them went.
    #[schema(example = json!(null))]
    pub(in crate::web) at: Option<Time>,
}

/// What this process has written to the disk since its start.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Written {
    #[schema(example = 96_468_992)]
    pub(in crate::web) bytes: u64,
    /// Since the start.
    #[schema(example = 81_234)]
    pub(in crate::web) seconds: u64,
    /// Triggers that led to a picture.
    #[schema(example = 203)]
    pub(in crate::web) captures: u64,
    /// Null in the first ten minutes.
    #[schema(example = 102_604_800)]
    pub(in crate::web) bytes_per_day: Option<u64>,
    /// Null before the first capture.
    #[schema(example = 475_216)]
    pub(in crate::web) bytes_per_capture: Option<u64>,
}

/// The disk, and what is kept on it.
#[derive(Serialize, ToSchema)]
#[schema(as = Storage)]
pub(in crate::web) struct StorageAndUse {
    #[serde(flatten)]
    pub(in crate::web) disk: StorageView,
    /// All pictures and clips.
    #[schema(example = 496_123_904)]
    pub(in crate::web) used_bytes: u64,
    #[schema(example = 25_769_803_776_i64)]
    pub(in crate::web) free_bytes: u64,
    #[schema(example = 31_268_536_320_i64)]
    pub(in crate::web) total_bytes: u64,
    /// `STORAGE_MAX_BYTES`.
    pub(in crate::web) max_bytes: Option<u64>,
    /// `IMAGE_RETENTION_DAYS`.
    #[schema(example = 120)]
    pub(in crate::web) retention_days: u32,
}
