//! A decoder and what is kept of it, on a stream that is damaged anywhere. Which decoder: `DECODER`, else OpenH264.
#![no_main]

use std::sync::LazyLock;

use camera_capture::media::decoder::DecoderKind;
use camera_capture::media::gop::{Codec, DecodeRun};
use camera_capture::media::lane::DecodeSession;
use libfuzzer_sys::fuzz_target;

#[path = "../input.rs"]
mod input;

static KIND: LazyLock<DecoderKind> = LazyLock::new(|| match std::env::var("DECODER").as_deref() {
    Ok("libavcodec") => DecoderKind::Libavcodec,
    Ok("rust_h264") => DecoderKind::RustH264,
    Ok("rust_h265") => DecoderKind::RustH265,
    _ => DecoderKind::OpenH264,
});

fuzz_target!(|bytes: &[u8]| {
    let Some((_, units)) = input::units(bytes) else { return };
    let codec = if *KIND == DecoderKind::RustH265 { Codec::H265 } else { Codec::H264 };
    let mut lane = DecodeSession::default();
    for wanted in [units.len() / 2, units.len().saturating_sub(1)] {
        let Some(unit) = units.get(wanted) else { return };
        let excerpt = DecodeRun {
            codec,
            wanted_rtp_ns: unit.rtp_ns,
            instant: unit.instant,
            units: units[..=wanted].to_vec(),
            remark: None,
            spacing: std::time::Duration::ZERO,
        };
        if let Ok(decoded) = lane.picture(&excerpt, *KIND, KIND.crew(2)) {
            let frame = &decoded.frame;
            assert_eq!(frame.y.len(), frame.width * frame.height, "all lines are there");
        }
    }
});
