//! Answers of the routes of older receivers: a success says so first.

use serde::Serialize;
use utoipa::ToSchema;

use super::image::LastImage;
use super::time::Time;
use crate::capture::{LastRefusal, PushCount};
use crate::model::{CameraKey, Coded as _};

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
    /// How it may come: `http_token`, `http_address` (needs no token from there), `ftp`, `folder`.
    #[schema(example = json!(["http_token"]))]
    pub(in crate::web) ways: Vec<&'static str>,
    #[serde(flatten)]
    pub(in crate::web) brought: Brought,
    /// Pictures that it has ever brought, also those that were deleted since.
    #[schema(example = 2204)]
    pub(in crate::web) stored_in_all: u64,
    /// Deliveries of them that were taken, by all targets.
    #[schema(example = 2203)]
    pub(in crate::web) sent_on: u64,
    /// The last of its pictures that is there.
    pub(in crate::web) last_image: Option<LastImage>,
    /// What was refused last since the start of the program.
    pub(in crate::web) last_refusal: Option<RefusedView>,
}

/// A picture that was refused.
#[derive(Serialize, ToSchema)]
#[schema(as = RefusedPicture)]
pub(in crate::web) struct RefusedView {
    pub(in crate::web) at: Time,
    /// Why, for people.
    #[schema(example = "the picture was cut off on its way: 2048 bytes came, and its end is missing")]
    pub(in crate::web) reason: String,
    /// The same for programs, as of events.
    #[schema(example = "torn")]
    pub(in crate::web) reason_code: Option<&'static str>,
}

impl From<LastRefusal> for RefusedView {
    fn from(last: LastRefusal) -> Self {
        Self { at: Time(last.at), reason: last.reason.to_string(), reason_code: last.reason.code() }
    }
}

/// What all devices together have brought.
#[derive(Serialize, ToSchema)]
#[schema(as = Receiver)]
pub(in crate::web) struct ReceiverView {
    /// Pictures since the start of the program, those that were sent once more among them.
    #[schema(example = 13)]
    pub(in crate::web) received: u64,
    /// Pictures that were ever stored, also those that were deleted since.
    #[schema(example = 2204)]
    pub(in crate::web) stored: u64,
    /// Deliveries of them that were taken, by all targets.
    #[schema(example = 2203)]
    pub(in crate::web) sent_on: u64,
    /// Where pictures lie on this computer.
    #[schema(example = "/var/lib/camera-capture/images")]
    pub(in crate::web) place: String,
    /// Refused pictures that are kept for whoever mends their device (STORAGE_QUARANTINE_MAX_BYTES); null where none are.
    pub(in crate::web) refused_kept: Option<RefusedKept>,
    /// The port of the FTP server; null while it is off.
    #[schema(example = 2121)]
    pub(in crate::web) ftp_port: Option<u16>,
}

/// Refused pictures that are kept. They are in no list and are never delivered.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct RefusedKept {
    #[schema(example = 3)]
    pub(in crate::web) pictures: usize,
    /// Their size.
    #[schema(example = 123_456)]
    pub(in crate::web) bytes: u64,
    /// Most bytes of all.
    #[schema(example = 50_000_000)]
    pub(in crate::web) bytes_max: u64,
    /// Where they lie on this computer, each with its reason beside it.
    #[schema(example = "/var/lib/camera-capture/images/.quarantine")]
    pub(in crate::web) place: String,
}
