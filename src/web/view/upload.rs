//! What waits, and what was put aside.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::image::UploadView;
use super::time::Time;
use crate::config::words_of;
use crate::model::{CameraKey, Coded, FileName, TargetId, UploadState};
use crate::store::{DeadLetter, UploadInfo};

/// An upload that was put aside.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(in crate::web) struct DeadLetterView {
    pub(in crate::web) filename: FileName,
    pub(in crate::web) camera: CameraKey,
    pub(in crate::web) taken_at: Time,
    /// The same in milliseconds since 1970.
    #[schema(example = 1_795_176_000_250_i64)]
    pub(in crate::web) taken_at_ms: i64,
    /// Length of the file.
    #[schema(example = 412_306)]
    pub(in crate::web) bytes: u64,
    /// Who refused it.
    pub(in crate::web) target: TargetId,
    /// What people call it.
    #[schema(example = "HTTP API")]
    pub(in crate::web) label: String,
    /// Attempts so far.
    #[schema(example = 1)]
    pub(in crate::web) attempts: u32,
    /// What the target said.
    #[schema(example = "answered 413: too large")]
    pub(in crate::web) last_error: Option<String>,
    /// The same for programs: one of the codes in docs/codes.md; null where there is none, as in rows of older versions.
    #[schema(example = "answered")]
    pub(in crate::web) last_error_code: Option<&'static str>,
    /// What the code is about.
    #[schema(value_type = Option<Object>, example = json!({"status": 413, "words": "too large"}))]
    pub(in crate::web) last_error_params: Option<Map<String, Value>>,
    /// When it was last tried; null for those put aside by older versions.
    pub(in crate::web) tried_at: Option<Time>,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        Self {
            filename: letter.filename,
            camera: letter.camera,
            taken_at: Time(letter.taken_at),
            taken_at_ms: letter.taken_at.0,
            bytes: letter.bytes,
            target: letter.target,
            label: letter.target.label(),
            attempts: letter.attempts,
            last_error_code: letter.last_error.as_ref().and_then(Coded::code),
            last_error_params: letter.last_error.as_ref().map(Coded::params),
            last_error: letter.last_error.map(|fault| words_of(letter.target, &fault.to_string())),
            tried_at: letter.tried_at.map(Time),
        }
    }
}

/// A page of what was put aside, the newest picture first.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct DeadLetterPage {
    pub(in crate::web) uploads: Vec<DeadLetterView>,
    /// Where the next page begins; null on the last one.
    pub(in crate::web) next_cursor: Option<String>,
}

/// What shall be sent again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retry)]
pub(in crate::web) struct RetryWish {
    /// Only to this target.
    #[schema(value_type = Option<TargetId>)]
    pub(in crate::web) target: Option<String>,
    /// What was put aside; what waits is sent by itself.
    #[schema(pattern = "^dead$", example = "dead")]
    pub(in crate::web) state: String,
}

/// How many are owed again.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct OwedAgain {
    #[schema(example = 3)]
    pub(in crate::web) owed_again: u64,
}

/// Uploads by their states.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct UploadCounts {
    pub(in crate::web) pending: u64,
    #[schema(example = 1203)]
    pub(in crate::web) delivered: u64,
    pub(in crate::web) dead: u64,
    pub(in crate::web) skipped: u64,
    pub(in crate::web) lost: u64,
}

impl UploadCounts {
    pub(in crate::web) fn of(count: impl Fn(UploadState) -> u64) -> Self {
        Self {
            pending: count(UploadState::Pending),
            delivered: count(UploadState::Delivered),
            dead: count(UploadState::Dead),
            skipped: count(UploadState::Skipped),
            lost: count(UploadState::Lost),
        }
    }
}

/// An upload changed: how it stands since.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadEvent)]
pub(in crate::web) struct UploadChange {
    #[serde(flatten)]
    pub(in crate::web) upload: UploadView,
    /// Its picture or clip.
    pub(in crate::web) filename: FileName,
    /// What was met, unless it is delivered.
    pub(in crate::web) error: Option<String>,
}

impl UploadChange {
    pub(in crate::web) fn of(filename: FileName, upload: UploadInfo) -> Self {
        let error = upload.last_error.as_ref().filter(|_| upload.state != UploadState::Delivered);
        let error = error.map(|fault| words_of(upload.target, &fault.to_string()));
        Self { upload: upload.into(), filename, error }
    }
}
