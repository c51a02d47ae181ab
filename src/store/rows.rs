//! What is said of pictures and triggers that are stored, or are to be: plain values, which several parts of the store give.

use std::path::PathBuf;
use std::time::Instant;

use super::analysis_rows::Analysis;
use super::page::Cursor;
use crate::model::{
    CameraKey, Cause, ClockState, DeviceName, Dimensions, FileName, Medium, PictureFacts, PlateText,
    TargetId, UnixMs, UploadFault, UploadState,
};

/// Identity of a ledger row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TriggerId(pub(super) i64);

impl TriggerId {
    /// As given by someone who was shown it; there need not be such a row.
    pub fn of(id: i64) -> Self {
        Self(id)
    }

    /// As shown in the API.
    pub fn get(self) -> i64 {
        self.0
    }
}

/// A picture or clip to be kept.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// What its file says of it.
    pub facts: PictureFacts,
    /// What its file shows.
    pub dimensions: Dimensions,
    /// The ledger row it answers; a picture ends it as captured in the same transaction. `None` when that row could not
    /// be written: it is written together with the picture.
    pub trigger: Option<TriggerId>,
    /// The edge on the monotonic clock, for the latency.
    pub at: Instant,
    /// The complete file: a JPEG, or an MP4 if it is a clip.
    pub file: Vec<u8>,
}

/// A stored picture or clip.
#[derive(Clone, Debug)]
pub struct Image {
    /// What its file says of it; its times are those of the database, where they may have been corrected.
    pub facts: PictureFacts,
    /// What its file shows.
    pub dimensions: Dimensions,
    /// Its name.
    pub filename: FileName,
    /// Where it lies, relative to the picture directory.
    pub path: PathBuf,
    /// How far its times can be trusted; `None` for a file without a trigger.
    pub clock: Option<ClockState>,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Kept whatever retention says.
    pub protected: bool,
    /// One for each target it is or was owed to.
    pub uploads: Vec<UploadInfo>,
    /// What is known of the texts in it; `None` where a server was never to be asked.
    pub analysis: Option<Analysis>,
}

/// How the delivery of one picture to one target stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadInfo {
    /// To whom.
    pub target: TargetId,
    /// How it stands.
    pub state: UploadState,
    /// Attempts so far.
    pub attempts: u32,
    /// What the last failed attempt met.
    pub last_error: Option<UploadFault>,
    /// What the target said last, with its status: `200: stored`. Also of a delivery.
    pub answer: Option<String>,
    /// When the target confirmed it.
    pub delivered_at: Option<UnixMs>,
    /// Before when it is not tried again; `None` while it is due, or not to be tried at all.
    pub next_attempt: Option<UnixMs>,
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
    /// Only those in which this text was read, or one that begins so or is nearly the same.
    pub text: Option<PlateText>,
    /// Only pictures, or only clips.
    pub medium: Option<Medium>,
    /// Only what this asked for.
    pub cause: Option<Cause>,
    /// Only what this device brought.
    pub device: Option<DeviceName>,
    /// At most this many, from 1.
    pub limit: u32,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
}
