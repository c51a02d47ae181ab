//! The ledger.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::image::ImageView;
use super::number::whole;
use super::time::Time;
use crate::model::{CameraKey, Cause, ClockState, Coded, DeviceName, Outcome};
use crate::store::{LedgerEntry, Unseen};

/// A trigger and what came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::web) struct EventView {
    #[schema(example = 1204)]
    pub(in crate::web) id: i64,
    pub(in crate::web) camera: CameraKey,
    pub(in crate::web) cause: Cause,
    /// The device that sent its picture by itself (cause pushed).
    #[schema(value_type = Option<String>, example = json!(null))]
    pub(in crate::web) device: Option<DeviceName>,
    /// The instant asked for.
    pub(in crate::web) edge_at: Time,
    /// The same in milliseconds since 1970.
    #[schema(example = 1_795_176_000_262_i64)]
    pub(in crate::web) edge_at_ms: i64,
    pub(in crate::web) clock: ClockState,
    /// What the clock showed then, if the time has been corrected.
    #[schema(example = json!(null))]
    pub(in crate::web) stamped_at: Option<Time>,
    /// Null while the capture is under way.
    pub(in crate::web) outcome: Option<Outcome>,
    /// Why there is no picture, for people.
    pub(in crate::web) reason: Option<String>,
    /// The same for programs, stable: unknown_camera, camera_disabled, busy (coalesced), no_frame (the camera gave
    /// none), frame_too_old, undecodable, not_stored, disk_full, kept_as_file, stopping, interrupted (the program or the
    /// power ended), file_removed; of what a device sent not_jpeg, torn, too_large, too_many_pixels,
    /// too_often; there may be more. Null where there is none, as in entries of versions before it.
    #[schema(example = "disk_full")]
    pub(in crate::web) reason_code: Option<&'static str>,
    /// What the code is about: camera, waiting, age_ms, bytes, limit, width, height, detail (in words).
    #[schema(value_type = Option<Object>, example = json!({"waiting": 8}))]
    pub(in crate::web) reason_params: Option<Map<String, Value>>,
    /// What was wished beside the picture and could not be had, and why.
    pub(in crate::web) remark: Option<String>,
    /// From the trigger to the first stored picture.
    #[schema(example = 184)]
    pub(in crate::web) latency_ms: Option<i64>,
    /// When a person said that its failure was seen.
    #[schema(example = json!(null))]
    pub(in crate::web) seen_at: Option<Time>,
    /// In the order in which they were stored.
    pub(in crate::web) images: Vec<ImageView>,
}

impl From<LedgerEntry> for EventView {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            id: entry.id.get(),
            camera: entry.camera,
            cause: entry.cause,
            device: entry.device,
            edge_at: Time(entry.edge_at),
            edge_at_ms: entry.edge_at.0,
            clock: entry.clock,
            stamped_at: entry.stamped_at.map(Time),
            outcome: entry.outcome,
            reason_code: entry.reason.as_ref().and_then(Coded::code),
            reason_params: entry.reason.as_ref().map(Coded::params),
            reason: entry.reason.map(|reason| reason.to_string()),
            remark: entry.remark,
            latency_ms: entry.latency_ms,
            seen_at: entry.seen_at.map(Time),
            images: entry.images.into_iter().map(ImageView::from).collect(),
        }
    }
}

/// A page of the ledger, the newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct EventPage {
    pub(in crate::web) events: Vec<EventView>,
    /// Where the next page begins; null on the last one.
    pub(in crate::web) next_cursor: Option<String>,
}

/// Failed triggers that nobody has seen yet; `POST /api/events/seen` ends that.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Failures {
    /// At most 1000.
    pub(in crate::web) unseen: u64,
    /// Up to three.
    pub(in crate::web) newest: Vec<EventView>,
}

impl From<Unseen> for Failures {
    fn from(unseen: Unseen) -> Self {
        Self { unseen: unseen.count, newest: unseen.newest.into_iter().map(EventView::from).collect() }
    }
}

/// Up to which event failures were seen.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Seen)]
pub(in crate::web) struct SeenWish {
    /// Id of the newest event that was shown.
    #[serde(deserialize_with = "whole")]
    #[schema(example = 1204)]
    pub(in crate::web) up_to: i64,
}

/// What came of that.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct SeenCount {
    /// How many of them were news.
    #[schema(example = 1)]
    pub(in crate::web) seen: usize,
    /// How many are still unseen.
    pub(in crate::web) unseen: u64,
}
