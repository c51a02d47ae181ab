//! Are keyframes missing, or does this camera send them rarely? What can be decoded tells: a camera that sends one in 75
//! seconds (frigate 8881) is well as long as its group is whole, and one that sends none is not.

use std::time::{Duration, Instant};

/// Pictures come, but none that can be decoded, for so long: the operator must change the camera's settings.
pub const NO_START_LIMIT: Duration = Duration::from_secs(30);

/// Follows when pictures of a stream came that decoding can begin with, and when any was of use.
#[derive(Clone, Copy, Debug)]
pub struct Keyframes {
    /// The stream began, or the newest picture that could be decoded came.
    useful_at: Instant,
    /// When the newest picture came that decoding can begin with.
    start_at: Option<Instant>,
    /// The longest time from one to the next.
    usual: Option<Duration>,
}

impl Keyframes {
    /// Of a stream that begins now.
    pub fn new(now: Instant) -> Self {
        Self { useful_at: now, start_at: None, usual: None }
    }

    /// Takes note of a picture that came now: whether decoding can begin there, and whether the buffer had use for it.
    pub fn take(&mut self, now: Instant, is_start: bool, is_of_use: bool) {
        if is_start {
            let distance = self.start_at.replace(now).map(|before| now.saturating_duration_since(before));
            self.usual = self.usual.max(distance);
        }
        if is_start || is_of_use {
            self.useful_at = now;
        }
    }

    /// Whether pictures have been of no use for too long.
    pub fn are_missing(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.useful_at) > NO_START_LIMIT
    }

    /// How long there has been none, and how long that is at most with this camera as far as is known.
    pub fn since(&self, now: Instant) -> (Duration, Option<Duration>) {
        (now.saturating_duration_since(self.start_at.unwrap_or(self.useful_at)), self.usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rare_keyframes_are_missing_only_while_nothing_can_be_decoded() {
        let start = Instant::now();
        let mut keyframes = Keyframes::new(start);
        (0..=30).for_each(|i| keyframes.take(start + seconds(i), false, false));
        assert!(!keyframes.are_missing(start + seconds(30)) && keyframes.are_missing(start + seconds(31)));
        keyframes.take(start + seconds(40), true, true);
        assert!(!keyframes.are_missing(start + seconds(40)));
        (41..115).for_each(|i| keyframes.take(start + seconds(i), false, true));
        assert!(!keyframes.are_missing(start + seconds(115)), "75 s from one to the next, all of use");
        keyframes.take(start + seconds(115), true, true);
        // A loss: nothing is of use until the next one.
        (116..150).for_each(|i| keyframes.take(start + seconds(i), false, false));
        assert!(keyframes.are_missing(start + seconds(150)));
        assert_eq!(keyframes.since(start + seconds(150)), (seconds(35), Some(seconds(75))));
    }

    proptest! {
        #[test]
        fn a_stream_that_is_of_use_lacks_nothing(steps in prop::collection::vec((0_u64..20_000, any::<bool>()), 1..60)) {
            let mut now = Instant::now();
            let mut keyframes = Keyframes::new(now);
            for (ms, is_start) in steps {
                now += Duration::from_millis(ms);
                keyframes.take(now, is_start, true);
                prop_assert!(!keyframes.are_missing(now));
            }
        }
    }
}
