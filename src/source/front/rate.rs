//! How often something may happen: a bucket that fills with time. Pure.

use std::time::{Duration, Instant};

/// How often, and how many at once.
#[derive(Clone, Copy, Debug)]
pub struct RateBound {
    /// In a second, in the long run.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// What is left of a rate.
#[derive(Debug)]
pub struct Bucket {
    rate: RateBound,
    /// As if so much time had been saved up at `at`.
    saved: Duration,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: RateBound, now: Instant) -> Self {
        Self { rate, saved: Self::capacity(rate), at: now }
    }

    /// Takes one; false if there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        let saved = self.saved + now.saturating_duration_since(self.at);
        (self.saved, self.at) = (saved.min(Self::capacity(self.rate)), now);
        let price = Duration::from_secs(1) / self.rate.per_second.max(1);
        match self.saved.checked_sub(price) {
            Some(rest) => {
                self.saved = rest;
                true
            }
            None => false,
        }
    }

    fn capacity(rate: RateBound) -> Duration {
        Duration::from_secs(1) / rate.per_second.max(1) * rate.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_one_burst(
            per_second in 1_u32..200, burst in 1_u32..200, steps_ms in prop::collection::vec(0_u64..100, 0..500),
        ) {
            let begin = Instant::now();
            let mut bucket = Bucket::new(RateBound { per_second, burst }, begin);
            let (mut now, mut taken) = (begin, 0_u128);
            for step in steps_ms {
                now += Duration::from_millis(step);
                taken += u128::from(bucket.take(now));
                let most = u128::from(burst) + (now - begin).as_millis() * u128::from(per_second) / 1000 + 1;
                prop_assert!(taken <= most, "{taken} in {:?}", now - begin);
            }
        }
    }

    #[test]
    fn a_burst_at_once_and_then_the_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(RateBound { per_second: 10, burst: 3 }, now);
        let at = |ms| now + Duration::from_millis(ms);
        let taken: Vec<bool> = [0, 0, 0, 0, 100, 100, 1000].map(|ms| bucket.take(at(ms))).into();
        assert_eq!(taken, [true, true, true, false, true, false, true]);
    }
}
