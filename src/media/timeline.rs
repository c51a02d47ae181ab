//! When was this frame taken? Turns RTP time stamps into instants.
//!
//! RTP time stamps are regular but start anywhere, and the camera's clock may run fast or slow; arrivals are on our
//! clock but jitter, because of the network and because a keyframe is large. A frame cannot arrive before it was taken,
//! so a line is laid along the lower edge of arrival minus RTP time: its slope is the median of the slopes between the
//! least delayed frames of each half second (Theil and Sen), its height that of the least delayed frame of all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back the least delayed frame may lie. Long enough to bridge a keyframe's burst and a network hiccup.
const WINDOW_NS: i64 = 10_000_000_000;

/// Frames kept of the window; more than cameras send.
const POINTS_MAX: usize = 2_000;

/// Length of a piece of the line whose least delayed frame counts for the slope.
const PIECE_NS: i64 = 500_000_000;

/// Pieces the slope is taken from, at most; 30 s.
const PIECES_MAX: usize = 60;

/// Before so many pieces there is no slope.
const PIECES_MIN: usize = 6;

/// A camera's clock is never as wrong as this; a slope beyond it is no clock.
const SLOPE_MAX: f64 = 0.05;

/// Time stamps that go back by more than this were restarted; B-frames go back by less.
const BACK_NS: i64 = 300_000_000;

/// A jump of the difference by more than this means that the camera restarted its time stamps.
const JUMP: Duration = Duration::from_secs(2);

/// An arrival and how much later it is than its RTP time, in nanoseconds since the first arrival.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: i64,
    difference: i64,
}

/// Maps RTP time to instants, for one session.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The first arrival; all numbers are nanoseconds relative to it.
    origin: Option<Instant>,
    points: VecDeque<Point>,
    /// The least delayed frame of each half second, the current one last.
    pieces: VecDeque<Point>,
    /// When the current piece began.
    piece: i64,
    /// By how much the camera's clock is slow, seconds a second.
    slope: f64,
    /// Arrival minus RTP time of a frame without delay, at the newest arrival.
    height: i64,
    /// The highest RTP time.
    latest: Option<i64>,
}

impl Timeline {
    /// Takes note of a frame with RTP time `rtp_ns` (nanoseconds since any fixed start) that began to arrive at `arrival`.
    ///
    /// Returns `true` when the camera restarted its time stamps, so that instants of earlier frames no longer hold.
    pub fn push(&mut self, rtp_ns: i64, arrival: Instant) -> bool {
        let origin = *self.origin.get_or_insert(arrival);
        let at = nanoseconds_between(origin, arrival);
        let point = Point { at, difference: at.saturating_sub(rtp_ns) };
        let limit = u64::try_from(JUMP.as_nanos()).unwrap_or(u64::MAX);
        let went_back = self.latest.is_some_and(|latest| latest.saturating_sub(rtp_ns) > BACK_NS);
        let jumped = !self.points.is_empty() && (went_back || point.difference.abs_diff(self.height) > limit);
        if jumped {
            *self = Self { origin: Some(origin), ..Self::default() };
        }
        self.latest = self.latest.max(Some(rtp_ns));
        self.add(point);
        jumped
    }

    fn add(&mut self, point: Point) {
        let is_new_piece = self.pieces.is_empty() || point.at.saturating_sub(self.piece) >= PIECE_NS;
        if is_new_piece {
            self.slope = slope(self.pieces.make_contiguous());
            self.piece = point.at;
            self.pieces.push_back(point);
            if self.pieces.len() > PIECES_MAX {
                self.pieces.pop_front();
            }
        } else if let Some(least) = self.pieces.back_mut()
            && point.difference < least.difference
        {
            *least = point;
        }
        self.points.push_back(point);
        let oldest = point.at.saturating_sub(WINDOW_NS);
        while self.points.len() > POINTS_MAX || self.points.front().is_some_and(|first| first.at < oldest) {
            self.points.pop_front();
        }
        let carried =
            |p: &Point| p.difference.saturating_add(scaled(point.at.saturating_sub(p.at), self.slope));
        self.height = self.points.iter().map(carried).min().unwrap_or(point.difference);
    }

    /// The instant at which the frame with RTP time `rtp_ns`, one of the newest, was taken; `None` before the first
    /// [`Self::push`].
    pub fn instant_of(&self, rtp_ns: i64) -> Option<Instant> {
        let origin = self.origin?;
        let newest = self.points.back()?;
        // The line is steepest where it was measured last; frames are asked for when they have just come.
        let apart = rtp_ns.saturating_sub(newest.at.saturating_sub(newest.difference));
        let at = rtp_ns.checked_add(self.height)?.checked_add(scaled(apart, self.slope))?;
        let distance = Duration::from_nanos(at.unsigned_abs());
        if at >= 0 { origin.checked_add(distance) } else { origin.checked_sub(distance) }
    }

    /// How late frames arrive: 19 of 20 within this time of their turn, in the last ten seconds; `None` before.
    pub fn jitter(&self) -> Option<Duration> {
        let newest = self.points.back()?;
        if newest.at < WINDOW_NS {
            return None;
        }
        let late = |p: &Point| {
            let carried = p.difference.saturating_add(scaled(newest.at.saturating_sub(p.at), self.slope));
            carried.saturating_sub(self.height)
        };
        let mut late: Vec<i64> = self.points.iter().map(late).collect();
        let rank = (late.len() * 19 / 20).min(late.len().checked_sub(1)?);
        let (_, delay, _) = late.select_nth_unstable(rank);
        Some(Duration::from_nanos(u64::try_from(*delay).unwrap_or(0)))
    }
}

/// The median of the slopes between all pieces that are over.
fn slope(pieces: &[Point]) -> f64 {
    if pieces.len() < PIECES_MIN {
        return 0.0;
    }
    let between = |a: &Point, b: &Point| (b.difference - a.difference) as f64 / (b.at - a.at).max(1) as f64;
    let mut slopes: Vec<f64> = pieces
        .iter()
        .enumerate()
        .flat_map(|(i, a)| pieces[i + 1..].iter().map(move |b| between(a, b)))
        .collect();
    let middle = slopes.len() / 2;
    let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    if median.abs() <= SLOPE_MAX { *median } else { 0.0 }
}

fn scaled(ns: i64, slope: f64) -> i64 {
    (ns as f64 * slope) as i64
}

fn nanoseconds_between(origin: Instant, instant: Instant) -> i64 {
    match instant.checked_duration_since(origin) {
        Some(later) => i64::try_from(later.as_nanos()).unwrap_or(i64::MAX),
        None => -i64::try_from(origin.duration_since(instant).as_nanos()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME_NS: i64 = 40_000_000;

    fn after(start: Instant, ns: i64) -> Instant {
        start + Duration::from_nanos(ns.unsigned_abs())
    }

    #[test]
    fn a_late_arrival_does_not_move_the_instant() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        for i in 0..20_u32 {
            let late = if i == 10 { Duration::from_millis(300) } else { Duration::ZERO };
            timeline.push(i64::from(i) * FRAME_NS, start + Duration::from_millis(40) * i + late);
            assert_eq!(
                timeline.instant_of(i64::from(i) * FRAME_NS),
                Some(start + Duration::from_millis(40) * i),
                "frame {i}"
            );
        }
    }

    #[test]
    fn restarted_time_stamps_are_noticed_and_followed() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        assert!(!timeline.push(5_000_000_000, start));
        assert!(timeline.push(0, start + Duration::from_millis(40)));
        assert_eq!(timeline.instant_of(0), Some(start + Duration::from_millis(40)));
    }

    #[test]
    fn time_stamps_that_go_back_half_a_second_are_followed_and_b_frames_are_not() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut timeline = Timeline::default();
        for (i, ms) in [0_i64, 120, 40, 80, 240, 160, 200].iter().enumerate() {
            assert!(!timeline.push(ms * 1_000_000, at(120 + 40 * u64::try_from(i).unwrap())));
        }
        assert!(timeline.push(-220_000_000, at(400)));
        assert_eq!(timeline.instant_of(-220_000_000), Some(at(400)));
    }

    proptest! {
        /// Each frame is delayed by its number of milliseconds; the clock of the camera is wrong by up to 3 %.
        #[test]
        fn instants_are_right_within_the_smallest_delays_whatever_the_cameras_clock(
            delays in proptest::collection::vec(0_i64..60, 200..900), drift in -0.03_f64..0.03,
        ) {
            let start = Instant::now();
            let mut timeline = Timeline::default();
            for (i, delay) in delays.iter().enumerate() {
                let taken = i64::try_from(i).unwrap() * FRAME_NS;
                let arrival = after(start, taken + delay * 1_000_000);
                let rtp = (taken as f64 * (1.0 - drift)) as i64;
                prop_assert!(!timeline.push(rtp, arrival));
                let found = timeline.instant_of(rtp).unwrap();
                prop_assert!(found <= arrival, "no frame arrives before it was taken");
                // After four seconds the slope is known.
                if i >= 150 {
                    let taken = after(start, taken);
                    let apart = found.max(taken) - found.min(taken);
                    prop_assert!(apart < Duration::from_millis(35), "{apart:?} at {i}, drift {drift}");
                }
            }
        }

        #[test]
        fn any_time_stamps_are_taken_without_a_panic(stamps in proptest::collection::vec(any::<i64>(), 0..50)) {
            let start = Instant::now();
            let mut timeline = Timeline::default();
            for (i, stamp) in stamps.iter().enumerate() {
                timeline.push(*stamp, start + Duration::from_millis(u64::try_from(i).unwrap()));
                let _ = timeline.instant_of(*stamp);
            }
        }
    }
}
