//! Packets out of whatever bytes, and what is made of them.

use std::time::{Duration, Instant};

use camera_capture::media::gop::Codec;
use camera_capture::media::{jpeg, scan, sps, unit};
use camera_capture::source::rtp::marker::Markers;
use camera_capture::source::rtp::report::SenderReport;
use camera_capture::source::rtp::{Described, RtpReceiver};

/// What is kept beside what came: parameter sets and messages, each up to 64 KiB, and heads.
const KEPT: usize = 300 << 10;

/// Takes packets until the bytes end. The first byte says how the stream was described; of each packet one byte says
/// what is odd about its head, one how long its payload is.
pub fn receive(codec: Codec, bytes: &[u8]) {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let size = (first & 4 != 0).then_some((2560, 1440));
    let sets = if first & 8 != 0 { vec![vec![0x67, 0x42, 0, 30], Vec::new()] } else { Vec::new() };
    let described = Described { codec, payload_type: 96, sets, has_order: first & 2 != 0, size };
    let mut receiver = RtpReceiver::new(&described, first & 1 != 0, Markers::default());
    let (mut now, mut came) = (Instant::now(), 0);
    let (mut sequence, mut time, mut ssrc) = (65_530_u16, u32::MAX - 9000, 7_u32);
    while let Some(([odd, length], after)) = rest.split_first_chunk::<2>() {
        let (payload, next) = after.split_at(usize::from(*length).min(after.len()));
        rest = next;
        sequence = match odd >> 2 & 7 {
            0 => sequence.wrapping_sub(1),
            1 => sequence,
            2 => sequence.wrapping_add(2),
            3 => sequence.wrapping_add(u16::from(*length) << 8),
            _ => sequence.wrapping_add(1),
        };
        time = time.wrapping_add(if odd & 2 == 0 { 0 } else { 3600 });
        ssrc = ssrc.wrapping_add(u32::from(*odd == 0xff));
        now += Duration::from_millis(if odd & 0x40 == 0 { 1 } else { 40 });
        let head = [if odd & 0x20 == 0 { 0x80 } else { 0xb1 }, 96 | odd << 7];
        let whole =
            [&head[..], &sequence.to_be_bytes(), &time.to_be_bytes(), &ssrc.to_be_bytes(), payload].concat();
        came += whole.len();
        receiver.take(&whole, now);
        let _ = SenderReport::find(payload);
        if odd & 0x80 != 0 {
            receiver.slip();
        }
        if receiver.due_at().is_some_and(|due| due <= now) {
            receiver.expire(now);
            assert!(receiver.due_at().is_none_or(|due| due > now), "what is due is done");
        }
        while let Some(unit) = receiver.ready() {
            assert!(
                unit.picture.data.len() <= 8 * came + KEPT,
                "{} bytes of {came}",
                unit.picture.data.len()
            );
            let _ = receiver.ticks(time);
            examine(codec, &unit.picture.data);
        }
        // A unit of one byte becomes five; sets are put in front of a picture.
        assert!(receiver.held() <= 8 * came + KEPT, "{} bytes held of {came}", receiver.held());
    }
}

/// What is read of a picture before any decoder has it.
fn examine(codec: Codec, data: &[u8]) {
    match codec {
        Codec::Jpeg => {
            let _ = jpeg::inspect(data);
            let _ = scan::walk(data);
        }
        Codec::H264 | Codec::H265 => {
            let _ = sps::facts(codec, data);
            let _ = unit::kind(codec, data);
        }
    }
}
