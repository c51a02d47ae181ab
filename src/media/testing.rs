//! Streams for tests: frames of plain grey, each lighter than the one before, so that a picture tells its number.

use std::time::{Duration, Instant};

use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, IntraFramePeriod};
use openh264::formats::YUVBuffer;

use super::frame::Frame;
use super::gop::{AccessUnit, Codec, DecodeRun};

/// Time from frame to frame.
pub(super) const FRAME: Duration = Duration::from_millis(40);

const DARKEST: usize = 40;
const STEP: usize = 4;

/// One group of H.264, 64 × 48.
pub(super) fn grey_steps(frames: u8) -> Vec<AccessUnit> {
    let config =
        EncoderConfig::new().intra_frame_period(IntraFramePeriod::from_num_frames(u32::from(frames)));
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
    let start = Instant::now();
    (0..frames)
        .map(|i| {
            let luma = u8::try_from(DARKEST + STEP * usize::from(i)).unwrap();
            let mut planes = vec![luma; 64 * 48];
            planes.extend([128; 64 * 48 / 2]);
            let data = encoder.encode(&YUVBuffer::from_vec(planes, 64, 48)).unwrap().to_vec();
            AccessUnit {
                rtp_ns: i64::from(i) * i64::try_from(FRAME.as_nanos()).unwrap(),
                instant: start + FRAME * u32::from(i),
                data: data.into(),
                starts: (i == 0).then_some(0),
                is_disposable: false,
                missing: 0,
                is_leading: false,
                doubt: None,
            }
        })
        .collect()
}

/// What is needed for the unit `wanted`.
pub(super) fn excerpt(units: &[AccessUnit], wanted: usize) -> DecodeRun {
    DecodeRun {
        codec: Codec::H264,
        wanted_rtp_ns: units[wanted].rtp_ns,
        instant: units[wanted].instant,
        units: units[..=wanted].to_vec(),
        remark: None,
        spacing: Duration::ZERO,
    }
}

/// The number of the frame a picture shows.
pub(super) fn step_shown(frame: &Frame) -> usize {
    assert_eq!((frame.width, frame.height), (64, 48));
    (usize::from(frame.y[1000]) + STEP / 2 - DARKEST) / STEP
}
