//! How fast a target takes pictures: counts of the last minutes, a pure value.

use std::time::{Duration, Instant};

/// The counts reach back so far: long enough for a picture every minute, short enough to notice that the line got slow.
const SPAN: Duration = Duration::from_secs(300);

/// One count covers so much time.
const STEP: Duration = Duration::from_secs(10);

/// Counts that are kept.
const STEPS: usize = 31;

/// A rate over less than this would jump.
const SHORTEST: Duration = Duration::from_secs(10);

/// Deliveries of the last five minutes.
#[derive(Clone, Debug, Default)]
pub struct DeliveryPace {
    /// Start of a step, and what was delivered in it: pictures and bytes. Oldest first, none empty.
    steps: Vec<(Instant, u64, u64)>,
}

/// Deliveries per minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeliveryRate {
    /// Pictures per minute.
    pub pictures: f64,
    /// Bytes per minute.
    pub bytes: f64,
}

impl DeliveryPace {
    /// Counts a delivery.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        self.steps.retain(|(start, ..)| now.saturating_duration_since(*start) < SPAN);
        match self.steps.last_mut() {
            Some((start, count, sum)) if now.saturating_duration_since(*start) < STEP => {
                *count += 1;
                *sum += bytes;
            }
            _ => self.steps.push((now, 1, bytes)),
        }
        if self.steps.len() > STEPS {
            self.steps.remove(0);
        }
    }

    /// The rate since the oldest delivery of the last five minutes.
    pub fn rate(&self, now: Instant) -> DeliveryRate {
        let recent = || self.steps.iter().filter(|(start, ..)| now.saturating_duration_since(*start) < SPAN);
        let Some((first, ..)) = recent().next() else { return DeliveryRate::default() };
        let minutes = now.saturating_duration_since(*first).max(SHORTEST).as_secs_f64() / 60.0;
        let per_minute = |sum: u64| {
            #[allow(clippy::cast_precision_loss, reason = "a rate for people; 2^53 bytes are nine petabytes")]
            let sum = sum as f64;
            sum / minutes
        };
        DeliveryRate {
            pictures: per_minute(recent().map(|(_, count, _)| count).sum()),
            bytes: per_minute(recent().map(|(.., bytes)| bytes).sum()),
        }
    }

    /// How long `pending` pictures take at this rate; `None` when nothing has been delivered lately.
    pub fn time_for(&self, pending: u64, now: Instant) -> Option<Duration> {
        let rate = self.rate(now).pictures;
        if rate <= 0.0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "an estimate for people")]
        let seconds = pending as f64 * 60.0 / rate;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_two_a_minute_are_shown_as_forty_two() {
        let start = Instant::now();
        let mut pace = DeliveryPace::default();
        for n in 0..420 {
            pace.add(start + Duration::from_millis(n * 60_000 / 42), 300_000);
        }
        let rate = pace.rate(start + Duration::from_secs(600));
        assert!((41.0..43.0).contains(&rate.pictures), "{rate:?}");
        assert!((12.3e6..12.9e6).contains(&rate.bytes), "{rate:?}");
        let left = pace.time_for(1_240, start + Duration::from_secs(600)).unwrap();
        assert!((1_700..1_850).contains(&left.as_secs()), "{left:?}");
    }

    #[test]
    fn the_first_delivery_is_not_a_thousand_a_minute_and_old_ones_are_forgotten() {
        let start = Instant::now();
        let mut pace = DeliveryPace::default();
        assert_eq!((pace.rate(start), pace.time_for(5, start)), (DeliveryRate::default(), None));
        pace.add(start, 100);
        assert_eq!(pace.rate(start), DeliveryRate { pictures: 6.0, bytes: 600.0 });
        assert_eq!(pace.rate(start + Duration::from_secs(60)), DeliveryRate { pictures: 1.0, bytes: 100.0 });
        assert_eq!(pace.rate(start + SPAN), DeliveryRate::default());
    }

    #[test]
    fn memory_does_not_grow_with_deliveries() {
        let start = Instant::now();
        let mut pace = DeliveryPace::default();
        for second in 0..20_000 {
            pace.add(start + Duration::from_secs(second), 1);
        }
        assert!(pace.steps.len() <= STEPS, "{}", pace.steps.len());
    }
}
