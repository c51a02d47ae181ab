//! Pictures and clips.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::analysis::AnalysisView;
use super::time::Time;
use crate::config::words_of;
use crate::model::{
    CameraKey, Cause, ClockState, Coded, DeviceName, FileName, ImageId, ImageKind, Medium, TargetId,
    UploadState, hex,
};
use crate::store::{Image, UploadInfo};

/// A picture or clip.
#[derive(Serialize, ToSchema)]
#[schema(as = Image)]
pub(in crate::web) struct ImageView {
    pub(in crate::web) id: ImageId,
    pub(in crate::web) filename: FileName,
    #[schema(value_type = Medium)]
    pub(in crate::web) media_type: &'static str,
    pub(in crate::web) kind: ImageKind,
    /// Why it is not the plain one that was asked for.
    pub(in crate::web) note: Option<String>,
    /// Of a clip.
    pub(in crate::web) duration_ms: Option<u64>,
    pub(in crate::web) camera: CameraKey,
    /// The instant it shows; of a clip, the first one.
    pub(in crate::web) taken_at: Time,
    /// The same in milliseconds since 1970.
    #[schema(example = 1_795_176_000_250_i64)]
    pub(in crate::web) taken_at_ms: i64,
    /// How far the time can be trusted; null for a file without a trigger.
    pub(in crate::web) clock: Option<ClockState>,
    pub(in crate::web) cause: Cause,
    /// The device that sent it by itself (cause pushed).
    #[schema(value_type = Option<String>, example = json!(null))]
    pub(in crate::web) device: Option<DeviceName>,
    /// What that device calls it.
    #[schema(example = json!(null))]
    pub(in crate::web) own_name: Option<String>,
    /// When it was taken by the clock of that device, as the picture itself says.
    #[schema(example = json!(null))]
    pub(in crate::web) device_time: Option<String>,
    /// Its identity at the other box that sent it here, if one did.
    #[schema(value_type = Option<String>, example = json!(null))]
    pub(in crate::web) first_id: Option<ImageId>,
    /// From the trigger's instant to that of the picture.
    #[schema(example = -12)]
    pub(in crate::web) frame_offset_ms: Option<i64>,
    /// Pixels.
    #[schema(example = 1920)]
    pub(in crate::web) width: u32,
    /// Pixels.
    #[schema(example = 1080)]
    pub(in crate::web) height: u32,
    /// Length of the file.
    #[schema(example = 412_306)]
    pub(in crate::web) bytes: u64,
    /// Of the file, in hexadecimal digits.
    #[schema(
        pattern = "^[0-9a-f]{64}$",
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    pub(in crate::web) sha256: String,
    /// Kept whatever retention says.
    pub(in crate::web) protected: bool,
    /// One for each target it is or was owed to.
    pub(in crate::web) uploads: Vec<UploadView>,
    /// What is known of the texts in it; null where no server was ever to be asked.
    pub(in crate::web) analysis: Option<AnalysisView>,
}

impl From<Image> for ImageView {
    fn from(image: Image) -> Self {
        let taken_at = image.facts.taken_at();
        let push = image.facts.push;
        let first_id = push.as_ref().and_then(|push| push.first_id);
        let (device, own_name, device_time) =
            push.map_or((None, None, None), |push| (Some(push.device), push.own_name, push.device_time));
        Self {
            device,
            own_name,
            device_time,
            first_id,
            id: image.facts.id,
            media_type: image.filename.medium().media_type(),
            filename: image.filename,
            kind: image.facts.kind,
            note: image.facts.note,
            duration_ms: image.dimensions.duration_ms,
            camera: image.facts.camera,
            taken_at: Time(taken_at),
            taken_at_ms: taken_at.0,
            clock: image.clock,
            cause: image.facts.cause,
            frame_offset_ms: image.facts.frame_offset_ms,
            width: image.dimensions.width,
            height: image.dimensions.height,
            bytes: image.bytes,
            sha256: hex(&image.sha256),
            protected: image.protected,
            analysis: image.analysis.map(AnalysisView::from),
            uploads: image.uploads.into_iter().map(UploadView::from).collect(),
        }
    }
}

/// How the delivery of a picture to one target stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
pub(in crate::web) struct UploadView {
    pub(in crate::web) target: TargetId,
    /// What people call it.
    #[schema(example = "HTTP API")]
    pub(in crate::web) label: String,
    pub(in crate::web) state: UploadState,
    /// Attempts so far.
    #[schema(example = 1)]
    pub(in crate::web) attempts: u32,
    /// What the last failed attempt met.
    pub(in crate::web) last_error: Option<String>,
    /// The same for programs: one of the codes in docs/codes.md; null where there is none, as in rows of older versions.
    #[schema(example = json!(null))]
    pub(in crate::web) last_error_code: Option<&'static str>,
    /// What the code is about.
    #[schema(value_type = Option<Object>, example = json!(null))]
    pub(in crate::web) last_error_params: Option<Map<String, Value>>,
    /// What the server said last, with its status, of a delivery, too: one line without secrets; null while it has not answered.
    #[schema(example = "200: {\"success\":true}")]
    pub(in crate::web) answer: Option<String>,
    /// When the target confirmed it.
    pub(in crate::web) delivered_at: Option<Time>,
    /// Not before this it is tried again, while it is pending.
    #[schema(example = json!(null))]
    pub(in crate::web) next_attempt_at: Option<Time>,
}

impl From<UploadInfo> for UploadView {
    fn from(upload: UploadInfo) -> Self {
        Self {
            target: upload.target,
            label: upload.target.label(),
            state: upload.state,
            attempts: upload.attempts,
            last_error_code: upload.last_error.as_ref().and_then(Coded::code),
            last_error_params: upload.last_error.as_ref().map(Coded::params),
            last_error: upload.last_error.map(|fault| words_of(upload.target, &fault.to_string())),
            answer: upload.answer,
            delivered_at: upload.delivered_at.map(Time),
            next_attempt_at: upload.next_attempt.map(Time),
        }
    }
}

/// A page of pictures and clips, the newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct ImagePage {
    pub(in crate::web) images: Vec<ImageView>,
    /// Where the next page begins; null on the last one.
    pub(in crate::web) next_cursor: Option<String>,
    /// The number of this page, where pages are asked for by number.
    #[schema(example = 1)]
    pub(in crate::web) page: Option<u32>,
    /// Items on such a page.
    #[schema(example = 50)]
    pub(in crate::web) per_page: Option<u32>,
    /// Items on all of them.
    #[schema(example = 1203)]
    pub(in crate::web) total: Option<u64>,
}

/// The last picture of a camera.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct LastImage {
    pub(in crate::web) filename: FileName,
    pub(in crate::web) taken_at: Time,
    /// The same in milliseconds since 1970.
    #[schema(example = 1_795_176_000_250_i64)]
    pub(in crate::web) taken_at_ms: i64,
    #[schema(example = "/api/images/r1_1795176000.jpg")]
    pub(in crate::web) url: String,
}

impl From<Image> for LastImage {
    fn from(image: Image) -> Self {
        Self {
            url: format!("/api/images/{}", image.filename),
            filename: image.filename,
            taken_at: Time(image.facts.taken_at()),
            taken_at_ms: image.facts.taken_at().0,
        }
    }
}

/// Whether a picture shall stay whatever retention says.
#[derive(Deserialize, ToSchema)]
#[schema(as = Protection)]
pub(in crate::web) struct Protect {
    #[schema(example = true)]
    pub(in crate::web) protected: bool,
}
