//! Answers of the routes of older receivers: a success says so first.

use serde::Serialize;
use utoipa::ToSchema;

use super::time::Time;
use crate::capture::PushCount;
use crate::model::CameraKey;

/// A picture that a device brought is safe.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct ReceivedPicture {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    /// Its name here.
    #[schema(example = "photo_20261120_120000.jpg")]
    pub(in crate::web) filename: String,
    /// Length of its file, bytes: what was sent and what is noted of it.
    #[schema(example = 123_456)]
    pub(in crate::web) size: u64,
    /// Where the file lies on this computer.
    #[schema(example = "/var/lib/camera-capture/images/2026/11/20/photo_20261120_120000.jpg")]
    pub(in crate::web) path: String,
    /// The device had sent it before; it is stored once.
    #[schema(example = false)]
    pub(in crate::web) known: bool,
}

/// The picture that came last.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct LastReceived {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    /// Where it can be fetched.
    #[schema(example = "/uploads/photo_20261120_120000.jpg")]
    pub(in crate::web) url: String,
    /// The same.
    #[schema(example = "/uploads/photo_20261120_120000.jpg")]
    pub(in crate::web) image_url: String,
    #[schema(example = "photo_20261120_120000.jpg")]
    pub(in crate::web) filename: String,
}

/// A picture that was asked for is stored.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Triggered {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    /// For people.
    #[schema(example = "the picture is stored")]
    pub(in crate::web) message: String,
    /// Where it can be fetched.
    #[schema(example = "/uploads/r1_1795176000.jpg")]
    pub(in crate::web) url: String,
    /// The same.
    #[schema(example = "/uploads/r1_1795176000.jpg")]
    pub(in crate::web) image_url: String,
    #[schema(example = "r1_1795176000.jpg")]
    pub(in crate::web) filename: String,
}

/// Pictures, the one that came last first.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct FileList {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    /// How many there are in this list.
    #[schema(example = 1)]
    pub(in crate::web) count: usize,
    pub(in crate::web) files: Vec<ListedFile>,
}

/// A picture in such a list.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct ListedFile {
    #[schema(example = "photo_20261120_120000.jpg")]
    pub(in crate::web) filename: String,
    /// Bytes.
    #[schema(example = 123_456)]
    pub(in crate::web) size: u64,
    /// Where the file lies on this computer.
    #[schema(example = "/var/lib/camera-capture/images/2026/11/20/photo_20261120_120000.jpg")]
    pub(in crate::web) path: String,
    pub(in crate::web) received_at: Time,
}

/// What was brought since the start of the program.
#[derive(Clone, Copy, Default, Serialize, ToSchema)]
pub(in crate::web) struct Brought {
    /// New pictures, stored.
    #[schema(example = 12)]
    pub(in crate::web) stored: u64,
    /// Pictures that were sent once more.
    #[schema(example = 1)]
    pub(in crate::web) known: u64,
    /// What was refused.
    #[schema(example = 0)]
    pub(in crate::web) refused: u64,
    /// When the last picture came.
    pub(in crate::web) last_at: Option<Time>,
}

impl Brought {
    /// Of several devices.
    pub(in crate::web) fn by_all<'a>(counts: impl Iterator<Item = &'a PushCount>) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            stored: sum.stored + count.stored,
            known: sum.known + count.known,
            refused: sum.refused + count.refused,
            last_at: sum.last_at.map(|time| time.0).max(count.last_at).map(Time),
        })
    }
}

/// A device that may bring pictures.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct DeviceView {
    #[schema(example = "door")]
    pub(in crate::web) name: String,
    /// The key under which its pictures are listed.
    #[schema(example = "r1")]
    pub(in crate::web) camera: CameraKey,
    #[serde(flatten)]
    pub(in crate::web) brought: Brought,
}
