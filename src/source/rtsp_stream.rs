//! What a session has seen of its stream: the pictures it keeps, the clock they are told by, and what it is like.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::camera_clock::CameraClock;
use crate::media::arrival_rate;
use crate::media::continuity::Cadence;
use crate::media::gop::{Codec, GopLimits, Gops};
use crate::media::jpeg;
use crate::media::keyframes::Keyframes;
use crate::media::shelf::Shelf;
use crate::media::sps::{self, SpsFacts};
use crate::media::timeline::Timeline;
use crate::media::unit::Starts;
use crate::model::{CameraFault, Stamps};
use crate::status::StreamInfo;

/// Bounds of what is kept of one camera. 48 MiB hold 20 s of 16 Mbit/s and leave room for three cameras in 256 MiB. Cameras
/// that send a keyframe in a minute or two send few pictures and small ones.
const LIMITS: GopLimits = GopLimits { bytes: 48 << 20, span: Duration::from_secs(300) };

/// What a session has seen of its stream.
pub(super) struct StreamState {
    pub(super) codec: Codec,
    pub(super) gops: Gops,
    pub(super) timeline: Timeline,
    pub(super) cadence: Cadence,
    pub(super) starts: Starts,
    pub(super) clock: CameraClock,
    pub(super) info: StreamInfo,
    /// Frames since the newest IDR.
    pub(super) group: Option<u32>,
    /// What is taken off for the camera's own delay.
    pub(super) latency: Duration,
    pub(super) last_frame: Instant,
    /// The newest picture of which nothing was missing.
    pub(super) last_whole: Instant,
    pub(super) keyframes: Keyframes,
    /// No frame has come yet.
    pub(super) is_new: bool,
}

impl StreamState {
    pub(super) fn new(codec: Codec, reach: Duration, streams: &Shelf) -> Self {
        let info = StreamInfo {
            codec: format!("{codec:?}").to_lowercase(),
            width: 0,
            height: 0,
            fps: None,
            gop_frames: None,
            jitter_ms: None,
            clock_offset_ms: None,
            stamps: Stamps::Good,
        };
        let now = Instant::now();
        Self {
            codec,
            gops: Gops::new(codec, LIMITS, reach).on(streams),
            timeline: Timeline::default(),
            cadence: Cadence::default(),
            starts: Starts::default(),
            clock: CameraClock::default(),
            info,
            group: None,
            latency: Duration::ZERO,
            last_frame: now,
            last_whole: now,
            keyframes: Keyframes::new(now),
            is_new: true,
        }
    }

    /// Takes note of what a picture says of its size and coding.
    pub(super) fn describe(&mut self, picture: &[u8]) {
        match self.codec {
            Codec::Jpeg => {
                if let Ok((width, height)) = jpeg::inspect(picture) {
                    (self.info.width, self.info.height) = (width, height);
                }
            }
            Codec::H264 | Codec::H265 => {
                if let Some(facts) = sps::facts(self.codec, picture) {
                    let SpsFacts { rfc6381: codec, width, height, .. } = facts;
                    self.info = StreamInfo { codec, width, height, ..self.info.clone() };
                }
            }
        }
    }

    /// Measures the group that ends where an IDR begins, and what arrived since the one before.
    pub(super) fn measure(&mut self) {
        if let Some(frames) = self.group.replace(1) {
            self.info.gop_frames = Some(frames);
        }
        if let Some(fps) = self.timeline.rate().per_second() {
            self.info.fps = Some(arrival_rate::steady(self.info.fps, fps));
        }
        self.info.jitter_ms = self.timeline.jitter().map(steps_of_5_ms);
        self.info.stamps = self.timeline.stamps();
    }

    /// Whether it was found out just now what the stamps are worth.
    pub(super) fn has_new_stamps(&mut self) -> bool {
        let (known, now) = (self.info.stamps, self.timeline.stamps());
        let is_new = known.as_str() != now.as_str();
        if is_new {
            self.info.stamps = now;
        }
        is_new
    }

    /// The instant of a frame that was sent at `sent`, by the camera's clock, if that is believed; stamps that are no clock
    /// tell nothing of it.
    pub(super) fn by_camera(&mut self, raw_ns: i64, sent: Instant) -> Option<Instant> {
        let is_clock = self.timeline.stamps() == Stamps::Good;
        self.info.clock_offset_ms = self.clock.offset_ms(raw_ns, sent).filter(|_| is_clock);
        self.clock.instant_of(raw_ns, sent).filter(|_| is_clock)
    }

    /// Why a request got no frame from a session that stands.
    pub(super) fn reason(&self, address: String) -> CameraFault {
        if self.gops.is_outgrown() {
            CameraFault::GroupTooLarge { address }
        } else if self.gops.is_ready() {
            CameraFault::NoPictureSince { address }
        } else if self.is_new {
            // Rounded.
            let tenths =
                u64::try_from((self.last_frame.elapsed().as_millis() + 50) / 100).unwrap_or(u64::MAX);
            CameraFault::NoFirstPicture { address, tenths }
        } else {
            self.no_keyframe(address)
        }
    }

    /// Why nothing can be decoded although pictures come.
    pub(super) fn no_keyframe(&self, address: String) -> CameraFault {
        if self.gops.is_outgrown() {
            return self.reason(address);
        }
        let (since, usual) = self.keyframes.since(Instant::now());
        let usual = usual.filter(|usual| *usual > since).map(|usual| usual.as_secs());
        CameraFault::NoKeyframe { address, seconds: since.as_secs(), usual }
    }
}

/// Milliseconds, rounded up, so that the figure does not change with every keyframe.
fn steps_of_5_ms(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(5) * 5).unwrap_or(u32::MAX)
}

/// RTP time as nanoseconds.
pub(super) fn nanoseconds(ticks: i64, clock_rate: NonZeroU32) -> i64 {
    let ns = i128::from(ticks) * 1_000_000_000 / i128::from(clock_rate.get());
    i64::try_from(ns).unwrap_or(i64::MAX)
}
