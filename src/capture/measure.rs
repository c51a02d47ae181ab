//! Which decoder is fastest on a camera's own stream, and right.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::media::decoder::DecoderKind;
use crate::media::frame::Frame;
use crate::media::gop::{Excerpt, Stretch};
use crate::media::lane::Lane;

/// Units decoded by each: an IDR and what follows it for half a second.
pub(super) const MEASURED: usize = 12;

/// One decoder on a piece of a stream.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) kind: DecoderKind,
    /// Time for one frame, the IDR's larger share included.
    pub(super) per_frame: Duration,
    frame: Arc<Frame>,
}

/// The units that are measured: the begin of a group.
pub(super) fn sample(stretch: Stretch) -> Option<Excerpt> {
    let units: Vec<_> = stretch.units.into_iter().take(MEASURED).collect();
    let last = units.iter().max_by_key(|unit| unit.rtp_ns)?;
    Some(Excerpt { codec: stretch.codec, wanted_rtp_ns: last.rtp_ns, instant: last.instant, units })
}

/// Lets one decoder decode the sample; `None` when it cannot. Blocking.
pub(super) fn measure(sample: &Excerpt, kind: DecoderKind) -> Option<Measured> {
    let began = Instant::now();
    let decoded = Lane::default().picture(sample, kind).ok()?;
    let frames = u32::try_from(sample.units.len().max(1)).unwrap_or(u32::MAX);
    Some(Measured { kind, per_frame: began.elapsed() / frames, frame: decoded.frame })
}

/// The fastest of the largest party that shows the same picture, for decoding is exact; of equal parties that of the
/// decoder named first.
pub(super) fn fastest_right(all: &[Measured]) -> Option<&Measured> {
    let agreeing = |one: &Measured| all.iter().filter(|other| other.frame == one.frame).count();
    let most = all.iter().map(agreeing).max()?;
    let leader = all.iter().find(|one| agreeing(one) == most)?;
    all.iter().filter(|one| one.frame == leader.frame).min_by_key(|one| one.per_frame)
}

/// Whether there are some, and all show the same picture.
pub(super) fn agree(all: &[Measured]) -> bool {
    all.first().is_some_and(|first| all.iter().all(|other| other.frame == first.frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(kind: DecoderKind, ms: u64, shade: u8) -> Measured {
        let frame =
            Frame { width: 1, height: 1, y: vec![shade], u: vec![128], v: vec![128], is_full_range: true };
        Measured { kind, per_frame: Duration::from_millis(ms), frame: Arc::new(frame) }
    }

    #[test]
    fn the_fastest_wins_only_if_it_shows_what_the_others_show() {
        let kind = |all: &[Measured]| fastest_right(all).map(|one| one.kind);
        let (a, b, c) = (DecoderKind::OpenH264, DecoderKind::RustH264, DecoderKind::Libavcodec);
        assert_eq!(kind(&[measured(a, 16, 5), measured(b, 24, 5), measured(c, 5, 5)]), Some(c));
        assert_eq!(kind(&[measured(a, 16, 5), measured(b, 24, 5), measured(c, 5, 6)]), Some(a));
        assert_eq!(kind(&[measured(a, 16, 5), measured(c, 5, 6)]), Some(a), "in doubt what is built in");
        assert_eq!(kind(&[]), None);
    }
}
