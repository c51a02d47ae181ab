//! The camera's own clock: RTCP sender reports (RFC 3550 section 6.4.1) pair its time of day with RTP time.
//!
//! Worth as much as that clock: a camera that takes its time from the same server as we do tells when a picture was
//! taken, its own delay included; others are wrong by hours. So it is believed only while what it says is possible.

use std::time::{Duration, Instant};

use crate::model::UnixMs;

/// Seconds from 1900, where NTP time begins, to 1970.
const NTP_TO_UNIX_S: i64 = 2_208_988_800;

/// Cameras without a clock say 0, or count from 1970 or from when their firmware was made (2000): before 2001 is no time.
const NO_TIME_BEFORE_S: i64 = 978_307_200;

/// By so much one report may depart from what the one before it said of this moment; RTP time runs evenly, and a clock
/// that is being set does not.
const UNSTEADY: Duration = Duration::from_millis(250);

/// A frame cannot be sent before it was taken, but for the error of two clocks.
const EARLY: Duration = Duration::from_millis(10);

/// Nor so much later.
const LATE: Duration = Duration::from_secs(2);

/// The newest report of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CameraClock {
    /// RTP time in nanoseconds, and the instant it stands for by the camera's clock.
    report: Option<(i64, Instant)>,
    /// It does not fit the one before.
    is_unsteady: bool,
}

impl CameraClock {
    /// Takes note of a report that came at `now`, which is `wall` on our clock: RTP time, and NTP time as it stands in
    /// the report (seconds in the upper half).
    pub(super) fn take(&mut self, rtp_ns: i64, ntp: u64, now: Instant, wall: UnixMs) {
        let seconds = i64::try_from(ntp >> 32).unwrap_or(0) - NTP_TO_UNIX_S;
        if seconds < NO_TIME_BEFORE_S {
            return;
        }
        let ms = i64::try_from(((ntp & 0xffff_ffff) * 1000) >> 32).unwrap_or(0);
        let ago = wall.0.saturating_sub(seconds.saturating_mul(1000).saturating_add(ms));
        let distance = Duration::from_millis(ago.unsigned_abs());
        let instant = if ago >= 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
        let apart = |said: Instant| instant.map_or(Duration::MAX, |at| at.max(said) - at.min(said));
        self.is_unsteady = self.said(rtp_ns).is_some_and(|said| apart(said) > UNSTEADY);
        self.report = instant.map(|instant| (rtp_ns, instant));
    }

    /// The instant of a frame by the camera's clock, if that is possible for one that was sent at `sent`.
    pub(super) fn instant_of(&self, rtp_ns: i64, sent: Instant) -> Option<Instant> {
        let at = self.said(rtp_ns)?;
        let is_possible = at <= sent + EARLY && sent.saturating_duration_since(at) <= LATE;
        (is_possible && !self.is_unsteady).then_some(at)
    }

    /// Camera's clock minus ours in milliseconds, rounded to tenths of a second; what a frame takes until it is sent
    /// counts against the camera.
    pub(super) fn offset_ms(&self, rtp_ns: i64, sent: Instant) -> Option<i64> {
        let at = self.said(rtp_ns)?;
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let offset = ms(at.saturating_duration_since(sent)) - ms(sent.saturating_duration_since(at));
        Some((offset.saturating_add(offset.signum() * 50)) / 100 * 100)
    }

    fn said(&self, rtp_ns: i64) -> Option<Instant> {
        let (reported, instant) = self.report?;
        let since = rtp_ns.checked_sub(reported)?;
        let distance = Duration::from_nanos(since.unsigned_abs());
        if since >= 0 { instant.checked_add(distance) } else { instant.checked_sub(distance) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ntp(unix_ms: i64) -> u64 {
        let seconds = u64::try_from(unix_ms.div_euclid(1000) + NTP_TO_UNIX_S).unwrap();
        let fraction = (u64::try_from(unix_ms.rem_euclid(1000)).unwrap() << 32).div_ceil(1000);
        seconds << 32 | fraction
    }

    #[test]
    fn a_clock_that_agrees_with_ours_tells_when_a_frame_was_taken() {
        let (now, wall) = (Instant::now(), UnixMs(1_795_132_800_000));
        let mut clock = CameraClock::default();
        assert_eq!(clock.instant_of(0, now), None);
        clock.take(5_000_000_000, ntp(wall.0 - 120), now, wall);
        let taken = now - Duration::from_millis(120) + Duration::from_millis(40);
        assert_eq!(clock.instant_of(5_040_000_000, now + Duration::from_millis(30)), Some(taken));
        assert_eq!(clock.offset_ms(5_040_000_000, now + Duration::from_millis(30)), Some(-100));
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_and_not_believed() {
        let (now, wall) = (Instant::now(), UnixMs(1_795_132_800_000));
        for wrong in [-7_200_000, -3_000, 1_000, 3_600_000] {
            let mut clock = CameraClock::default();
            clock.take(0, ntp(wall.0 + wrong), now, wall);
            assert_eq!((clock.instant_of(0, now), clock.offset_ms(0, now)), (None, Some(wrong)));
        }
    }

    /// Field report: cameras that were never told the time; others whose report carries another RTP time than their packets.
    #[test]
    fn a_camera_without_a_clock_and_one_that_contradicts_itself_are_not_believed() {
        let (now, wall) = (Instant::now(), UnixMs(1_795_132_800_000));
        let mut clock = CameraClock::default();
        for nothing in [0, ntp(0), ntp(946_684_800_000)] {
            clock.take(0, nothing, now, wall);
            assert_eq!((clock.instant_of(0, now), clock.offset_ms(0, now)), (None, None));
        }
        clock.take(0, ntp(wall.0 - 100), now, wall);
        assert!(clock.instant_of(0, now).is_some());
        let later = now + Duration::from_secs(5);
        clock.take(6_000_000_000, ntp(wall.0 + 4_900), later, UnixMs(wall.0 + 5_000));
        assert_eq!(clock.instant_of(6_000_000_000, later), None);
        clock.take(7_000_000_000, ntp(wall.0 + 5_900), later, UnixMs(wall.0 + 5_000));
        assert!(clock.instant_of(6_100_000_000, later).is_some());
    }

    proptest! {
        #[test]
        fn any_report_is_taken_without_a_panic(rtp_ns: i64, ntp: u64, wall: i64, asked: i64) {
            let mut clock = CameraClock::default();
            let now = Instant::now();
            clock.take(rtp_ns, ntp, now, UnixMs(wall));
            let _ = (clock.instant_of(asked, now), clock.offset_ms(asked, now));
        }
    }
}
