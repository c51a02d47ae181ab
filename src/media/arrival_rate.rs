//! How many pictures come a second, by when they come, and after which silence a stream is dead. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Arrivals are counted in steps of this, or one by one where they are farther apart.
const STEP: Duration = Duration::from_millis(500);

/// After the first picture.
const AT_ONCE: Duration = Duration::from_millis(100);

/// What is counted over.
const WINDOW: Duration = Duration::from_secs(10);

/// What the interval is taken from.
const SHORT: Duration = Duration::from_millis(1500);

/// Steps kept: those of the window, and one more at each end.
const STEPS_MAX: usize = 22;

/// A stream without a picture for so long is dead, whatever its connection says: the encoder of a camera can hang while
/// its RTSP server goes on answering.
const SILENCE: Duration = Duration::from_secs(4);

/// Or for so many of its intervals: cameras that save power or record time-lapse send a picture in 6 or 30 s.
const INTERVALS: u32 = 3;

/// But never longer than this.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A camera that has not shown its interval yet gets up to this.
const PATIENCE_MAX: Duration = Duration::from_secs(64);

/// Counts pictures by their arrival.
#[derive(Debug, Default)]
pub struct ArrivalRate {
    /// When so many had come, at the ends of steps.
    steps: VecDeque<(Instant, u64)>,
    count: u64,
    first: Option<Instant>,
}

impl ArrivalRate {
    /// Takes note of a picture.
    pub fn push(&mut self, at: Instant) {
        self.count += 1;
        self.first.get_or_insert(at);
        if self.steps.capacity() == 0 {
            self.steps.reserve(STEPS_MAX + 1);
        }
        match self.steps.back().copied() {
            None => self.steps.push_back((at, self.count)),
            // What comes at once after PLAY may be a group that was kept for us; it does not count.
            Some(_) if self.steps.len() == 1 && self.is_at_once(at) => self.steps[0] = (at, self.count),
            Some((last, _)) if at.saturating_duration_since(last) >= STEP => {
                self.steps.push_back((at, self.count));
                if self.steps.len() > STEPS_MAX {
                    self.steps.pop_front();
                }
            }
            Some(_) => {}
        }
    }

    /// Pictures so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn is_at_once(&self, at: Instant) -> bool {
        self.first.is_some_and(|first| at.saturating_duration_since(first) < AT_ONCE)
    }

    /// Pictures a second over the last ten seconds, or between the last two; `None` before the second one.
    pub fn per_second(&self) -> Option<f64> {
        self.over(WINDOW).map(|interval| 1.0 / interval.as_secs_f64())
    }

    /// From picture to picture, on average of a short time.
    pub fn interval(&self) -> Option<Duration> {
        self.over(SHORT)
    }

    fn over(&self, window: Duration) -> Option<Duration> {
        let (end, count) = self.steps.back().copied()?;
        let is_within = |at: Instant| end.saturating_duration_since(at) <= window;
        let before = self.steps.iter().rev().skip(1);
        let mut found = None;
        for (at, counted) in before {
            if found.is_some() && !is_within(*at) {
                break;
            }
            found = Some((*at, *counted));
        }
        let (begin, counted) = found?;
        let pictures = u32::try_from(count - counted).ok().filter(|pictures| *pictures > 0)?;
        Some(end.saturating_duration_since(begin) / pictures).filter(|interval| !interval.is_zero())
    }
}

/// For how long a camera may send nothing, learnt from one session to the next.
#[derive(Clone, Copy, Debug)]
pub struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(SILENCE)
    }
}

impl Patience {
    /// How long after a picture, or after the beginning, a stream is dead.
    pub fn limit(self, rate: &ArrivalRate) -> Duration {
        match rate.over(WINDOW) {
            Some(interval) => (interval * INTERVALS).clamp(SILENCE, SILENCE_MAX),
            None => self.0,
        }
    }

    /// A session ended for silence: one that had not shown its interval gets longer the next time.
    pub fn after_silence(&mut self, rate: &ArrivalRate) {
        self.0 = match rate.over(WINDOW) {
            Some(interval) => (interval * INTERVALS).clamp(SILENCE, PATIENCE_MAX),
            None => (self.0 * 2).min(PATIENCE_MAX),
        };
    }
}

/// A rate to show: to a tenth (a hundredth below 1), and as it was before if it is the same but for noise, so that the
/// figure does not change with every keyframe.
pub fn steady(before: Option<f64>, now: f64) -> f64 {
    let is_same = |a: f64| (a - now).abs() <= 0.01 * now;
    if now < 1.0 {
        let hundredths = (now * 100.0).round() / 100.0;
        return before.filter(|before| is_same(*before)).unwrap_or(hundredths);
    }
    let whole = now.round();
    if is_same(whole) {
        return whole;
    }
    before.filter(|before| is_same(*before)).unwrap_or((now * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(arrivals_ms: impl Iterator<Item = u64>) -> ArrivalRate {
        let begin = Instant::now();
        let mut rate = ArrivalRate::default();
        arrivals_ms.for_each(|ms| rate.push(begin + Duration::from_millis(ms)));
        rate
    }

    #[test]
    fn pictures_are_counted_by_their_arrival() {
        for (interval_ms, pictures, fps) in
            [(40, 100, 25.0), (50, 60, 20.0), (83, 60, 12.0), (6_000, 2, 0.17), (30_000, 4, 0.03)]
        {
            let rate = rate((0..pictures).map(|i| i * interval_ms));
            assert_eq!(steady(None, rate.per_second().unwrap()), fps, "{interval_ms} ms");
        }
        assert_eq!(rate(0..1).per_second(), None);
    }

    #[test]
    fn a_group_that_was_kept_for_us_is_not_counted() {
        let rate = rate((0..100).map(|i| i / 4).chain((1..100).map(|i| 25 + i * 40)));
        assert!((24.0..=26.5).contains(&rate.per_second().unwrap()), "{rate:?}");
    }

    #[test]
    fn a_rate_that_wavers_is_shown_as_one() {
        assert_eq!(steady(Some(25.0), 25.08), 25.0);
        assert_eq!(steady(Some(12.5), 12.58), 12.5);
        assert_eq!(steady(Some(25.0), 20.02), 20.0);
    }

    /// Field report: time-lapse and power-saving cameras send a picture in 6 or in 30 s.
    #[test]
    fn the_limit_for_silence_grows_with_the_interval() {
        let mut patience = Patience::default();
        let seconds = |patience: Patience, rate: &ArrivalRate| patience.limit(rate).as_secs();
        assert_eq!(seconds(patience, &rate((0..50).map(|i| i * 40))), 4);
        assert_eq!(seconds(patience, &rate((0..2).map(|i| i * 6_000))), 18);
        assert_eq!(seconds(patience, &rate((0..5).map(|i| i * 30_000))), 90);
        assert_eq!(seconds(patience, &rate((0..5).map(|i| i * 300_000))), 120);
        let first_only = rate(0..1);
        let limits = [4, 8, 16, 32, 64, 64].map(|_| {
            let limit = seconds(patience, &first_only);
            patience.after_silence(&first_only);
            limit
        });
        assert_eq!(limits, [4, 8, 16, 32, 64, 64]);
        // An encoder that hangs is noticed as soon as ever.
        patience.after_silence(&rate((0..50).map(|i| i * 40)));
        assert_eq!(seconds(patience, &first_only), 4);
    }
}
