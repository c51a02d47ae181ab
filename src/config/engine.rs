//! How pictures are decoded: `DECODER`, `DECODE_BUDGET_PERCENT`, `ARM_SECONDS`, and of each camera `CAMERA_n_MODE`,
//! `CAMERA_n_ARMED_BY`, `CAMERA_n_TOLERANCE_MS`, `CAMERA_n_LATENCY_MS`, `CAMERA_n_CLOCK`.

use std::time::Duration;

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{choice, whole};
use crate::model::CameraKey;

/// Words of `DECODER`.
pub(super) const DECODERS: &[(&str, DecoderChoice)] = &[
    ("auto", DecoderChoice::Auto),
    ("openh264", DecoderChoice::OpenH264),
    ("libavcodec", DecoderChoice::Libavcodec),
    ("rust", DecoderChoice::Rust),
];

/// Words of `CAMERA_n_MODE`.
pub(super) const MODES: &[(&str, DecodeMode)] = &[
    ("cold", DecodeMode::Cold),
    ("hot", DecodeMode::Hot),
    ("armed", DecodeMode::Armed),
    ("auto", DecodeMode::Auto),
];

/// Words of `CAMERA_n_CLOCK`.
pub(super) const CLOCKS: &[(&str, ClockSource)] =
    &[("arrival", ClockSource::Arrival), ("camera", ClockSource::Camera)];

/// Which clock tells when a frame was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// Ours, from when frames arrive.
    Arrival,
    /// The camera's (RTCP), while what it says is possible; else ours.
    Camera,
}

/// Which decoders may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoderChoice {
    /// Whichever is fastest and right on the camera's own stream.
    Auto,
    /// OpenH264 for H.264.
    OpenH264,
    /// libavcodec where it is installed.
    Libavcodec,
    /// `rust_h264` and `rust_h265`.
    Rust,
}

/// When a camera's stream is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeMode {
    /// From the trigger on: costs nothing at rest.
    Cold,
    /// As frames arrive: the picture is there at once, and a good part of a core is busy for ever.
    Hot,
    /// Hot for a while after a hint, else cold.
    Armed,
    /// Hot if triggers would otherwise wait long and the processor budget allows it, else cold.
    Auto,
}

/// What holds for all cameras.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// `DECODER`.
    pub decoder: DecoderChoice,
    /// `DECODE_BUDGET_PERCENT`: of all cores together, 0 to 100, for cameras in mode auto.
    pub budget_percent: u8,
    /// `ARM_SECONDS`: how long a camera stays hot after a hint, 1 to 3600 s.
    pub arm: Duration,
}

/// What holds for one camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraEngine {
    /// `CAMERA_n_MODE`.
    pub mode: DecodeMode,
    /// `CAMERA_n_ARMED_BY`: cameras whose triggers are the hint.
    pub armed_by: Vec<CameraKey>,
    /// `CAMERA_n_TOLERANCE_MS`: a keyframe so near to the wanted instant is taken instead, 0 to 10 s.
    pub tolerance: Duration,
    /// `CAMERA_n_LATENCY_MS`: from the light on the sensor to the first packet, 0 to 2 s. If unset, as measured.
    pub latency: Option<Duration>,
    /// `CAMERA_n_CLOCK`.
    pub clock: ClockSource,
}

impl EngineConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let decoder = reader.required("DECODER", choice(DECODERS));
        let budget = reader.required("DECODE_BUDGET_PERCENT", whole(0..=100, "percent"));
        let arm = reader.required("ARM_SECONDS", whole(1..=3600, "s"));
        Ok(Self {
            decoder: decoder?,
            budget_percent: u8::try_from(budget?).unwrap_or(100),
            arm: Duration::from_secs(arm?),
        })
    }
}

impl CameraEngine {
    pub(super) fn read(reader: &mut VariableReader<'_>, number: u8) -> ReadResult<Self> {
        let name = |suffix: &str| format!("CAMERA_{number}_{suffix}");
        let mode = reader.required(&name("MODE"), choice(MODES));
        let armed_by = reader.optional(&name("ARMED_BY"), keys);
        let tolerance = reader.required(&name("TOLERANCE_MS"), whole(0..=10_000, "ms"));
        let latency = reader.optional(&name("LATENCY_MS"), whole(0..=2_000, "ms"));
        let clock = reader.required(&name("CLOCK"), choice(CLOCKS));
        Ok(Self {
            mode: mode?,
            armed_by: armed_by?.unwrap_or_default(),
            tolerance: Duration::from_millis(tolerance?),
            latency: latency?.map(Duration::from_millis),
            clock: clock?,
        })
    }
}

fn keys(text: &str) -> Result<Vec<CameraKey>, Wrong> {
    text.split(',')
        .map(|key| {
            CameraKey::parse(key.trim()).map_err(|_| {
                Wrong::new("not a list of cameras", "short names of cameras, comma separated, such as r1,r2")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem};
    use super::*;

    #[test]
    fn a_camera_is_cold_exact_and_without_latency_unless_said_otherwise() {
        let config = config(&[("CAMERA_1_IP", "a")]);
        assert_eq!(
            config.cameras[0].engine,
            CameraEngine {
                mode: DecodeMode::Cold,
                armed_by: Vec::new(),
                tolerance: Duration::ZERO,
                latency: None,
                clock: ClockSource::Arrival,
            }
        );
        assert_eq!((config.engine.decoder, config.engine.budget_percent), (DecoderChoice::Auto, 25));
    }

    #[test]
    fn hints_name_cameras_that_exist() {
        let both = [("CAMERA_1_IP", "a"), ("CAMERA_2_IP", "b"), ("CAMERA_2_MODE", "armed")];
        let armed = config(&[both[0], both[1], both[2], ("CAMERA_2_ARMED_BY", "r1")]);
        assert_eq!(armed.cameras[1].engine.armed_by[0].as_str(), "r1");
        let text = problem(&[both[0], both[1], both[2], ("CAMERA_2_ARMED_BY", "r1,r9")]);
        assert!(text.starts_with("CAMERA_2_ARMED_BY: there is no camera r9"), "{text}");
        let text = problem(&[both[0], both[1], both[2], ("CAMERA_2_ARMED_BY", "R 1")]);
        assert!(text.starts_with("CAMERA_2_ARMED_BY: not a list of cameras"), "{text}");
    }
}
