//! When was this frame taken? Turns RTP time stamps into instants.
//!
//! RTP time stamps are regular but start anywhere; arrivals are on our clock but jitter, because of the network and
//! because a keyframe is large. A frame cannot arrive before it was taken, so of all recent frames the one with the
//! smallest arrival minus RTP time was delayed least, and its difference maps the others.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back the least delayed frame may lie. Long enough to bridge a keyframe's burst and a short network
/// hiccup, short enough to follow the drift of a camera's clock (100 ppm over 10 s is 1 ms).
const WINDOW: Duration = Duration::from_secs(10);

/// A jump of the difference by more than this means that the camera restarted its time stamps.
const JUMP: Duration = Duration::from_secs(2);

/// Maps RTP time to instants, for one session.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The first arrival; all numbers are nanoseconds relative to it.
    origin: Option<Instant>,
    /// Candidates for the minimum: arrival, difference; differences rise from front to back.
    minima: VecDeque<(i64, i64)>,
}

impl Timeline {
    /// Takes note of a frame with RTP time `rtp_ns` (nanoseconds since any fixed start) that began to arrive at `arrival`.
    ///
    /// Returns `true` when the camera restarted its time stamps, so that instants of earlier frames no longer hold.
    pub fn push(&mut self, rtp_ns: i64, arrival: Instant) -> bool {
        let origin = *self.origin.get_or_insert(arrival);
        let arrival_ns = nanoseconds_between(origin, arrival);
        let difference = arrival_ns.saturating_sub(rtp_ns);
        let jumped = self.minima.front().is_some_and(|(_, known)| {
            difference.abs_diff(*known) > u64::try_from(JUMP.as_nanos()).unwrap_or(u64::MAX)
        });
        if jumped {
            self.minima.clear();
        }
        while self.minima.back().is_some_and(|(_, known)| *known >= difference) {
            self.minima.pop_back();
        }
        self.minima.push_back((arrival_ns, difference));
        let oldest = arrival_ns.saturating_sub(i64::try_from(WINDOW.as_nanos()).unwrap_or(i64::MAX));
        while self.minima.len() > 1 && self.minima.front().is_some_and(|(at, _)| *at < oldest) {
            self.minima.pop_front();
        }
        jumped
    }

    /// The instant at which the frame with RTP time `rtp_ns` was taken; `None` before the first [`Self::push`].
    pub fn instant_of(&self, rtp_ns: i64) -> Option<Instant> {
        let origin = self.origin?;
        let (_, difference) = self.minima.front()?;
        let at = rtp_ns.checked_add(*difference)?;
        let distance = Duration::from_nanos(at.unsigned_abs());
        if at >= 0 { origin.checked_add(distance) } else { origin.checked_sub(distance) }
    }
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

    proptest! {
        /// The naive version: the smallest difference among the frames of the window.
        #[test]
        fn instants_follow_the_least_delayed_frame_of_the_window(
            delays in proptest::collection::vec(0_u64..1_000, 1..600),
        ) {
            let start = Instant::now();
            let mut timeline = Timeline::default();
            let mut seen: Vec<(i64, i64)> = Vec::new();
            for (i, delay) in delays.iter().enumerate() {
                let rtp = i64::try_from(i).unwrap() * FRAME_NS;
                let arrival = rtp + i64::try_from(*delay).unwrap() * 1_000_000;
                timeline.push(rtp, start + Duration::from_nanos(arrival.unsigned_abs()));
                let first = seen.first().map_or(arrival, |(first, _)| *first);
                seen.push((arrival, arrival - rtp));
                let oldest = arrival - 10_000_000_000;
                let least = seen.iter().filter(|(at, _)| *at >= oldest).map(|(_, d)| *d).min().unwrap();
                let expected = start + Duration::from_nanos((rtp + least).unsigned_abs());
                // Arrivals that overtake one another may leave the window a little early or late.
                let found = timeline.instant_of(rtp).unwrap();
                let apart = found.max(expected) - found.min(expected);
                prop_assert!(apart <= Duration::from_millis(1_000), "{apart:?} {first}");
                if delays.len() < 200 {
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
