//! Exponential backoff with full jitter, as a pure value.

use std::time::Duration;

/// How long to wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Ceiling of the first wait.
    pub base: Duration,
    /// Ceiling of every wait.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (from 1), with `random` drawn evenly from 0 to 1.
    ///
    /// The ceiling doubles with each failure up to the cap; the wait lies between half of it and all of it, so that
    /// many boxes that lost the same server do not come back in the same instant, and none comes back at once.
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap);
        ceiling.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }

    /// [`Self::delay`] with a random number of its own.
    pub fn jittered(&self, failures: u32) -> Duration {
        self.delay(failures, fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<u64> = (1..=8).map(|n| BACKOFF.delay(n, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    proptest! {
        #[test]
        fn every_wait_lies_between_half_the_ceiling_and_the_cap(failures in 0_u32.., random in 0.0_f64..=1.0) {
            let wait = BACKOFF.delay(failures, random);
            prop_assert!(wait >= BACKOFF.base / 2 && wait <= BACKOFF.cap);
        }
    }
}
