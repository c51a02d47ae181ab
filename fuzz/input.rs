//! Access units out of whatever bytes.

use std::time::{Duration, Instant};

use camera_capture::media::gop::{AccessUnit, Codec};

/// The first byte says which codec; of each unit two bytes say its length, whether a group begins there, whether it can
/// be left out, and how far RTP time moves.
pub fn units(bytes: &[u8]) -> Option<(Codec, Vec<AccessUnit>)> {
    let (first, mut rest) = bytes.split_first()?;
    let codec = [Codec::H264, Codec::H265, Codec::Jpeg][usize::from(first % 3)];
    let start = Instant::now();
    let (mut units, mut rtp_ns) = (Vec::new(), 0_i64);
    while let Some(([low, high], after)) = rest.split_first_chunk::<2>() {
        let length = (usize::from(high & 7) << 8 | usize::from(*low)).min(after.len());
        let (data, next) = after.split_at(length);
        rest = next;
        rtp_ns += (i64::from(high >> 5) - 2) * 20_000_000;
        let is_idr = units.is_empty() || high & 8 != 0;
        units.push(AccessUnit {
            rtp_ns,
            instant: start + Duration::from_millis(40) * u32::try_from(units.len()).ok()?,
            data: data.into(),
            starts: is_idr.then_some(0),
            is_disposable: high & 16 != 0,
            missing: u32::from(high >> 5) * 8,
            is_leading: !is_idr && high & 16 != 0,
            doubt: None,
        });
    }
    Some((codec, units))
}
