//! Access units of a camera: parameter sets, slice headers, and what players are told of them.
//!
//! The first byte says which codec; each unit is two bytes of length and flags, and as many bytes.
#![no_main]

use camera_capture::media::continuity::Continuity;
use camera_capture::media::fmp4::Muxer;
use camera_capture::media::gop::UnitRange;
use camera_capture::media::h264::nal_units;
use camera_capture::media::mp4;
use camera_capture::media::sps;
use camera_capture::media::unit::kind;
use libfuzzer_sys::fuzz_target;

#[path = "../input.rs"]
mod input;

fuzz_target!(|bytes: &[u8]| {
    let Some((codec, units)) = input::units(bytes) else { return };
    let (mut continuity, mut fragments) = (Continuity::default(), Muxer::default());
    for unit in &units {
        let total: usize = nal_units(&unit.data).map(<[u8]>::len).sum();
        assert!(total <= unit.data.len(), "units do not overlap");
        let _ = sps::facts(codec, &unit.data);
        let _ = kind(codec, &unit.data);
        let _ = continuity.misses(codec, unit);
        let _ = fragments.push(codec, unit);
    }
    if let Ok(muxed) = mp4::mux(&UnitRange { codec, units }, b"", 1_795_132_800) {
        mp4::inspect(&muxed.bytes).expect("what was written can be read");
    }
});
