//! The latency of a camera from readings of the time code: the middle, how far they spread, and when they are enough.

use super::blockcode::{Code, ROUND_MS};

/// So many readings are plenty: the middle of sixty is known to a fifth of their spread.
pub const ENOUGH: usize = 60;

/// With fewer nothing is said.
pub const FEWEST: usize = 12;

/// What is shown before it is sent is a mistake of the clocks; a little of that is possible.
const EARLY_MS: f64 = 1_000.0;

/// Farther from the middle than so many typical distances is a mistake, and so is nothing within [`NEAR_MS`].
const FAR: f64 = 5.0;
const NEAR_MS: f64 = 20.0;

/// What the readings say, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// Half of them are smaller.
    pub median: f64,
    /// A twentieth of them is smaller.
    pub low: f64,
    /// A twentieth of them is larger.
    pub high: f64,
    /// How many count.
    pub readings: usize,
}

/// The readings of one measurement.
#[derive(Clone, Debug, Default)]
pub struct Readings(Vec<(u8, f64)>);

impl Readings {
    /// Takes a code that was read from a frame sent at `sent_ms` by the clock that the page shows.
    pub fn push(&mut self, sent_ms: f64, code: Code) {
        let behind = (sent_ms - code.ms + EARLY_MS).rem_euclid(ROUND_MS) - EARLY_MS;
        self.0.push((code.turn, behind));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The delay, if enough readings agree on one. A camera turns all its pictures in the same way; what was read in
    /// another way, or far from the others, was misread.
    pub fn delay(&self) -> Option<Delay> {
        let count = |turn: u8| self.0.iter().filter(|(other, _)| *other == turn).count();
        let usual = (0..8).max_by_key(|turn| count(*turn))?;
        let mut values: Vec<f64> =
            self.0.iter().filter(|(turn, _)| *turn == usual).map(|(_, behind)| *behind).collect();
        values.sort_by(f64::total_cmp);
        let middle = at(&values, 0.5)?;
        let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
        distances.sort_by(f64::total_cmp);
        let limit = (at(&distances, 0.5)? * FAR).max(NEAR_MS);
        values.retain(|value| (value - middle).abs() <= limit);
        if values.len() < FEWEST || values.len() * 2 < self.0.len() {
            return None;
        }
        let (median, low, high) = (at(&values, 0.5)?, at(&values, 0.05)?, at(&values, 0.95)?);
        Some(Delay { median, low, high, readings: values.len() })
    }
}

/// The value below which this share of sorted values lies.
fn at(values: &[f64], share: f64) -> Option<f64> {
    let index = (values.len().checked_sub(1)? as f64 * share).round() as usize;
    values.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn readings(values: impl IntoIterator<Item = (u8, f64)>) -> Readings {
        let mut readings = Readings::default();
        for (i, (turn, behind)) in values.into_iter().enumerate() {
            let sent = 3_000.0 + i as f64 * 733.0;
            readings.push(sent, Code { ms: (sent - behind).rem_euclid(ROUND_MS), turn });
        }
        readings
    }

    #[test]
    fn few_readings_say_nothing_and_neither_do_those_that_disagree() {
        assert_eq!(Readings::default().delay(), None);
        assert_eq!(readings((0..11).map(|_| (0, 100.0))).delay(), None);
        assert_eq!(readings((0..40).map(|i| (i % 8, f64::from(i) * 900.0))).delay(), None);
    }

    proptest! {
        #[test]
        fn the_median_is_found_among_readings_that_spread_and_some_that_are_wrong(
            delay in 0.0..3_000.0_f64, spread in 0.0..40.0_f64, wrong in 0.0..40_000.0_f64, turn in 0_u8..8,
        ) {
            let right = (0..60).map(|i| (turn, delay + spread * (f64::from(i * 37 % 60) / 60.0 - 0.5)));
            let misread = (0..9).map(|i| ((turn + i % 2) % 8, delay + wrong * f64::from(i) / 9.0));
            let found = readings(right.chain(misread)).delay().unwrap();
            prop_assert!((found.median - delay).abs() <= 2.0 + spread / 6.0, "{found:?}");
            prop_assert!(found.low <= found.median && found.median <= found.high);
            prop_assert!(found.high - found.low <= spread.max(NEAR_MS) * 3.0, "{found:?}");
        }
    }
}
