//! How far a camera is behind.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::number::whole_or_null;
use crate::capture::latency::LatencyOrigin;
use crate::model::CameraKey;

/// From the light on the sensor to the first packet.
#[derive(Serialize, ToSchema)]
#[schema(as = Latency)]
pub(in crate::web) struct LatencyView {
    #[schema(example = 142)]
    pub(in crate::web) ms: u64,
    #[schema(value_type = LatencyOrigin)]
    pub(in crate::web) from: &'static str,
}

/// What is known of a camera's latency, and a clock to measure it by.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownLatency)]
pub(in crate::web) struct LatencyKnown {
    pub(in crate::web) camera: CameraKey,
    /// The camera's name for people.
    #[schema(example = "Entry")]
    pub(in crate::web) label: String,
    /// Milliseconds since the program's start.
    #[schema(example = 81_234.567)]
    pub(in crate::web) clock_ms: f64,
    /// Null for a camera that has no stream or is switched off.
    pub(in crate::web) latency: Option<LatencyView>,
    /// The setting that wins over what was measured.
    #[schema(example = "CAMERA_1_LATENCY_MS")]
    pub(in crate::web) variable: String,
}

/// As `CAMERA_n_LATENCY_MS`.
pub(in crate::web) const LATENCY_MS_MAX: u64 = 2_000;

/// A measured latency that shall be used.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MeasuredLatency)]
pub(in crate::web) struct Taken {
    /// Null forgets it.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 0, maximum = 2000, example = 142)]
    pub(in crate::web) latency_ms: Option<u64>,
}

/// The latency that is in use now.
#[derive(Serialize, ToSchema)]
#[schema(as = LatencyInUse)]
pub(in crate::web) struct LatencyTaken {
    pub(in crate::web) camera: CameraKey,
    pub(in crate::web) latency: Option<LatencyView>,
}

/// How a measurement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::web) enum MeasureState {
    /// No time code is seen.
    Looking,
    /// There is one, and it cannot be read.
    Unclear,
    /// It is read.
    Reading,
    /// The camera sends nothing.
    Away,
    /// The last word: it was read often enough.
    Done,
    /// The last word: it was not.
    Failed,
}

/// How a measurement of latency goes.
#[derive(Serialize, ToSchema)]
#[schema(as = LatencyMeasurement)]
pub(in crate::web) struct MeasurementView {
    pub(in crate::web) state: MeasureState,
    /// Why the camera is away.
    pub(in crate::web) reason: Option<String>,
    /// Frames looked at.
    #[schema(example = 250)]
    pub(in crate::web) frames: u64,
    /// How often the time code was read.
    #[schema(example = 60)]
    pub(in crate::web) readings: usize,
    /// How often is enough.
    #[schema(example = 60)]
    pub(in crate::web) enough: usize,
    /// What comes of the readings so far.
    pub(in crate::web) delay: Option<DelayView>,
}

/// How far pictures were behind; the screen's own delay is in it.
#[derive(Serialize, ToSchema)]
#[schema(as = Delay)]
pub(in crate::web) struct DelayView {
    #[schema(example = 142.3)]
    pub(in crate::web) median_ms: f64,
    /// The 5th percentile.
    #[schema(example = 128.0)]
    pub(in crate::web) low_ms: f64,
    /// The 95th percentile.
    #[schema(example = 160.9)]
    pub(in crate::web) high_ms: f64,
    /// Readings it comes from.
    #[schema(example = 60)]
    pub(in crate::web) readings: usize,
}
