//! The order of a stream: times that lie, groups without end, damage reported of any unit.
#![no_main]

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use camera_capture::media::continuity::Cadence;
use camera_capture::media::gop::{Codec, Gops, GopLimits};
use camera_capture::media::timeline::Timeline;
use libfuzzer_sys::fuzz_target;

#[path = "../input.rs"]
mod input;

const LIMITS: GopLimits = GopLimits { bytes: 4096, span: Duration::from_secs(3) };

fuzz_target!(|bytes: &[u8]| {
    let Some((times, rest)) = bytes.split_at_checked(usize::from(bytes.first().copied().unwrap_or(0))) else {
        return;
    };
    let start = Instant::now();
    let (mut timeline, mut cadence) = (Timeline::default(), Cadence::default());
    let mut arrival = start;
    for chunk in times.chunks_exact(9) {
        let rtp_ns = i64::from_le_bytes(chunk[..8].try_into().unwrap_or_default());
        arrival += Duration::from_millis(u64::from(chunk[8]).pow(2));
        timeline.push(rtp_ns, arrival);
        let _ = (cadence.missing(rtp_ns), timeline.stamps(), timeline.jitter());
    }
    let Some((_, units)) = input::units(rest) else { return };
    let mut gops = Gops::new(Codec::H264, LIMITS, Duration::from_millis(200));
    let _ = units.iter().try_for_each(|unit| {
        gops.push(unit.clone());
        let at = start + Duration::from_nanos(unit.rtp_ns.unsigned_abs());
        if let Some(excerpt) = gops.nearest(at) {
            assert!(excerpt.units[0].is_start(), "it starts where decoding can");
            assert!(excerpt.units.iter().any(|unit| unit.rtp_ns == excerpt.wanted_rtp_ns));
            assert!(excerpt.units.iter().map(|unit| unit.data.len()).sum::<usize>() <= LIMITS.bytes);
        }
        let _ = gops.stretch(at, at + Duration::from_secs(1));
        match unit.data.first() {
            Some(0) => gops.drop_damaged(unit),
            Some(1) => gops.break_off(),
            Some(2) => gops.clear(),
            Some(3) => return ControlFlow::Break(()),
            _ => {}
        }
        assert!(gops.settled().is_none() || gops.is_ready());
        ControlFlow::Continue(())
    });
});
