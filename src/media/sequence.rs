//! Every picture of a stretch, one after the other, for those who want more of it than one.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::continuity::Continuity;
use super::decode_error::DecodeError;
use super::decoder::{DecodedPicture, DecoderKind};
use super::frame::{Colours, Frame};
use super::gop::{self, AccessUnit, Codec, UnitRange};
use super::{jpeg, sps};

/// Decodes a stretch and shows each picture with its RTP time, in the order of display, until `show` breaks off. Blocking.
///
/// `kind` is the decoder; none is needed for JPEG, whose pictures are shown without their colours. A group of pictures
/// that is damaged ends where the damage is; the next one begins anew. The error is that of a stretch that showed nothing.
pub fn each(
    stretch: &UnitRange,
    kind: Option<DecoderKind>,
    mut show: impl FnMut(i64, &Frame) -> ControlFlow<()>,
) -> Result<(), DecodeError> {
    let (mut shown, mut failure) = (0_usize, None);
    // What begins clean and its followers, each.
    for group in stretch.units.chunk_by(|_, next| next.starts != Some(0)) {
        let mut flow = ControlFlow::Continue(());
        let mut take = |rtp_ns: i64, frame: Option<Frame>| {
            if let Some(frame) = frame.filter(|_| flow.is_continue()) {
                shown += 1;
                flow = show(rtp_ns, &frame);
            }
            flow
        };
        let decoded = match kind {
            Some(kind) => decode(stretch.codec, group, kind, &mut take),
            None => {
                // Whether it was broken off stands in `flow`.
                let _ = group.iter().try_for_each(|unit| take(unit.rtp_ns, jpeg::luma(&unit.data)));
                Ok(())
            }
        };
        failure = decoded.err().or(failure);
        if flow.is_break() {
            return Ok(());
        }
    }
    match failure {
        Some(error) if shown == 0 => Err(error),
        _ if shown == 0 => Err(DecodeError::NotShown { shown, total: stretch.units.len() }),
        _ => Ok(()),
    }
}

/// Decodes one group, until it ends, is damaged or `take` breaks off.
fn decode(
    codec: Codec,
    group: &[AccessUnit],
    kind: DecoderKind,
    take: &mut impl FnMut(i64, Option<Frame>) -> ControlFlow<()>,
) -> Result<(), DecodeError> {
    let total = group.len();
    // Leading units refer to the group before.
    let usable = || group.iter().enumerate().filter(|(_, unit)| !unit.is_leading);
    let colours = group.first().and_then(|unit| sps::facts(codec, &unit.data)).map(|facts| facts.colours);
    let colours = colours.unwrap_or(Colours::VIDEO);
    // Pictures come in the order of display; not every decoder carries their time along.
    let mut times: Vec<i64> = usable().map(|(_, unit)| unit.rtp_ns).collect();
    times.sort_unstable();
    let clean = gop::bases(group.iter().map(|unit| (unit, true)));
    let clean: HashSet<i64> =
        group.iter().zip(clean).filter(|(_, base)| base.is_some()).map(|(unit, _)| unit.rtp_ns).collect();
    let mut times = times.into_iter();
    let mut flow = ControlFlow::Continue(());
    let mut show = |picture: DecodedPicture<'_>| {
        let by_rank = times.next();
        let rtp_ns = picture.rtp_ns.or(by_rank).filter(|rtp_ns| clean.contains(rtp_ns));
        if let Some(rtp_ns) = rtp_ns.filter(|_| flow.is_continue()) {
            flow = take(rtp_ns, picture.to_frame(colours));
        }
        flow
    };
    let mut decoder = kind.start(codec, 1).map_err(|reason| DecodeError::Start { reason })?;
    let mut continuity = Continuity::default();
    for (i, unit) in usable() {
        if continuity.misses(codec, unit) {
            return Err(DecodeError::Gap { number: i + 1, total });
        }
        let mut is_over = false;
        decoder
            .feed(unit, &mut |picture| is_over |= show(picture).is_break())
            .map_err(|reason| DecodeError::Refused { number: i + 1, total, reason })?;
        if is_over {
            return Ok(());
        }
    }
    decoder.drain(&mut |picture| _ = show(picture)).map_err(|reason| DecodeError::Refused {
        number: total,
        total,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openh264::OpenH264API;
    use openh264::encoder::{Encoder, EncoderConfig, IntraFramePeriod};
    use openh264::formats::YUVBuffer;
    use std::time::Instant;

    const FRAME_NS: i64 = 40_000_000;

    /// Frames of plain grey, each `8` lighter than the one before; an IDR every five.
    fn stretch(frames: u8) -> UnitRange {
        let config = EncoderConfig::new().intra_frame_period(IntraFramePeriod::from_num_frames(5));
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
        let units = (0..frames).map(|i| {
            let mut planes = vec![40 + 8 * i; 64 * 48];
            planes.extend([128; 64 * 48 / 2]);
            AccessUnit {
                rtp_ns: i64::from(i) * FRAME_NS,
                instant: Instant::now(),
                data: encoder.encode(&YUVBuffer::from_vec(planes, 64, 48)).unwrap().to_vec().into(),
                starts: i.is_multiple_of(5).then_some(0),
                is_disposable: false,
                missing: 0,
                is_leading: false,
                doubt: None,
            }
        });
        UnitRange { codec: Codec::H264, units: units.collect() }
    }

    /// The frames shown, by their time and by their grey.
    fn shown(stretch: &UnitRange, most: usize) -> (Vec<i64>, Vec<i64>) {
        let (mut by_time, mut by_grey) = (Vec::new(), Vec::new());
        let _ = each(stretch, Some(DecoderKind::OpenH264), |rtp_ns, frame| {
            by_time.push(rtp_ns / FRAME_NS);
            by_grey.push((i64::from(frame.y[1000]) - 40 + 4) / 8);
            if by_time.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        (by_time, by_grey)
    }

    #[test]
    fn every_picture_is_shown_once_with_its_own_time() {
        let all: Vec<i64> = (0..12).collect();
        assert_eq!(shown(&stretch(12), usize::MAX), (all.clone(), all));
        assert_eq!(shown(&stretch(12), 7).0.len(), 7, "until it is told to end");
    }

    #[test]
    fn damage_in_one_group_costs_that_group_alone() {
        let mut damaged = stretch(15);
        damaged.units[5].data = vec![0, 0, 1, 0x65, 1, 2, 3].into();
        let (by_time, by_grey) = shown(&damaged, usize::MAX);
        assert_eq!(by_time, by_grey);
        assert_eq!(by_time, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
        damaged.units.truncate(10);
        damaged.units.drain(..5);
        assert!(each(&damaged, Some(DecoderKind::OpenH264), |_, _| ControlFlow::Continue(())).is_err());
    }
}
