//! Which decoder is fastest on a camera's own stream, and right.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::policy;
use crate::config::DecoderChoice;
use crate::media::decoder::DecoderKind;
use crate::media::frame::Frame;
use crate::media::gop::{DecodeRun, UnitRange};
use crate::media::jpeg;
use crate::media::lane::DecodeSession;
use crate::status::{Decoding, StreamInfo};

/// Units decoded by each: an IDR and what follows it for half a second.
pub(super) const MEASURED: usize = 12;

/// One decoder on a piece of a stream.
#[derive(Debug)]
struct Measured {
    kind: DecoderKind,
    /// Time for one frame, the IDR's larger share included.
    per_frame: Duration,
    frame: Arc<Frame>,
}

/// The units that are measured: the begin of a group.
pub(super) fn sample(stretch: UnitRange) -> Option<DecodeRun> {
    let units: Vec<_> = stretch.units.into_iter().take(MEASURED).collect();
    let last = units.iter().max_by_key(|unit| unit.rtp_ns)?;
    Some(DecodeRun {
        codec: stretch.codec,
        wanted_rtp_ns: last.rtp_ns,
        instant: last.instant,
        units,
        remark: None,
        spacing: Duration::ZERO,
    })
}

/// What was found out about a stream on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) kind: DecoderKind,
    pub(super) per_frame: Duration,
    pub(super) encode: Duration,
}

/// Lets every decoder show what it can; `None` when none understands the stream. Blocking, up to a second or two.
pub(super) fn best(sample: &DecodeRun, kinds: &[DecoderKind]) -> Option<Best> {
    let mut all = Vec::new();
    for kind in kinds.iter().copied() {
        // Those that would hide damage are only asked when the others cannot, or need an umpire.
        if !kind.hides_damage() || !agree(&all) {
            all.extend(measure(sample, kind));
        }
    }
    let fastest = fastest_right(&all)?;
    let began = Instant::now();
    // What cannot be encoded takes no time; the trigger will say why.
    let _ = jpeg::encode_plain(&fastest.frame);
    Some(Best { kind: fastest.kind, per_frame: fastest.per_frame, encode: began.elapsed() })
}

impl Best {
    /// By how much one core is busy if the stream is decoded as it arrives.
    pub(super) fn share(&self, stream: Option<&StreamInfo>) -> f64 {
        let fps = stream.and_then(|stream| stream.fps).unwrap_or(25.0).max(0.1);
        self.per_frame.as_secs_f64() * fps
    }

    /// From a trigger to a file, on average and at worst, while nothing is decoded before.
    pub(super) fn times(&self, stream: Option<&StreamInfo>) -> Option<(Duration, Duration)> {
        let gop = stream?.gop_frames?;
        Some((self.per_frame * gop.div_ceil(2) + self.encode, self.per_frame * gop + self.encode))
    }

    /// The same for people.
    pub(super) fn decoding(&self, stream: Option<&StreamInfo>, is_hot: bool) -> Decoding {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let times = self.times(stream);
        Decoding {
            decoder: self.kind.as_str(),
            ms_per_frame: (self.per_frame.as_secs_f64() * 10_000.0).round() / 10.0,
            encode_ms: ms(self.encode),
            is_hot,
            core_percent: (self.share(stream) * 1000.0).round() / 10.0,
            mean_ms: times.map(|(mean, _)| ms(mean)),
            worst_ms: times.map(|(_, worst)| ms(worst)),
            is_behind: false,
        }
    }
}

/// What decoding a stream costs on this machine, for who has a piece of it at hand; `None` when nothing can decode it,
/// or need not. Blocking, up to a second or two.
pub fn examine(choice: DecoderChoice, piece: &DecodeRun, stream: Option<&StreamInfo>) -> Option<Decoding> {
    let stretch = UnitRange { codec: piece.codec, units: piece.units.clone() };
    let sample = sample(stretch)?;
    let kinds = DecoderKind::candidates(sample.codec, &sample.units.first()?.data, policy(choice));
    best(&sample, &kinds).map(|best| best.decoding(stream, false))
}

/// Lets one decoder decode the sample; `None` when it cannot. Blocking.
fn measure(sample: &DecodeRun, kind: DecoderKind) -> Option<Measured> {
    let began = Instant::now();
    let decoded = DecodeSession::default().picture(sample, kind, 1).ok()?;
    let frames = u32::try_from(sample.units.len().max(1)).unwrap_or(u32::MAX);
    Some(Measured { kind, per_frame: began.elapsed() / frames, frame: decoded.frame })
}

/// The fastest of the largest party that shows the same picture, for decoding is exact; of equal parties that of the
/// decoder named first.
fn fastest_right(all: &[Measured]) -> Option<&Measured> {
    let agreeing = |one: &Measured| all.iter().filter(|other| other.frame == one.frame).count();
    let most = all.iter().map(agreeing).max()?;
    let leader = all.iter().find(|one| agreeing(one) == most)?;
    all.iter().filter(|one| one.frame == leader.frame).min_by_key(|one| one.per_frame)
}

/// Whether there are some, and all show the same picture.
fn agree(all: &[Measured]) -> bool {
    all.first().is_some_and(|first| all.iter().all(|other| other.frame == first.frame))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::Colours;

    fn measured(kind: DecoderKind, ms: u64, shade: u8) -> Measured {
        let frame =
            Frame { width: 1, height: 1, y: vec![shade], u: vec![128], v: vec![128], colours: Colours::JPEG };
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
