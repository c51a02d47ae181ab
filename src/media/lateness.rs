//! How late pictures come: counted in classes, so that nothing is kept of each. Pure.

use std::time::Duration;

const MS: i64 = 1_000_000;

/// Classes of 1 ms up to here, then of 16 ms.
const FINE: usize = 64;
const COARSE_MS: usize = 16;
const CLASSES: usize = 128;

/// Counted over one to two of these.
const SPAN_NS: i64 = 5_000_000_000;

/// Fewer pictures than this tell nothing.
const FEW: u32 = 20;

/// The lateness of the last five to ten seconds.
#[derive(Debug)]
pub(super) struct Lateness {
    now: [u16; CLASSES],
    before: [u16; CLASSES],
    /// When the first picture was counted, and since when `now` is.
    begun: Option<i64>,
    since: i64,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { now: [0; CLASSES], before: [0; CLASSES], begun: None, since: 0 }
    }
}

impl Lateness {
    /// Counts a picture that came at `at` and was late by `late`; nanoseconds.
    pub(super) fn add(&mut self, at: i64, late: i64) {
        if self.begun.is_none() {
            (self.begun, self.since) = (Some(at), at);
        }
        if at.saturating_sub(self.since) >= SPAN_NS {
            self.before = std::mem::replace(&mut self.now, [0; CLASSES]);
            self.since = at;
        }
        let ms = usize::try_from(late / MS).unwrap_or(0);
        let class = if ms < FINE { ms } else { FINE + (ms - FINE) / COARSE_MS };
        let count = &mut self.now[class.min(CLASSES - 1)];
        *count = count.saturating_add(1);
    }

    /// Since when pictures are counted.
    pub(super) fn begun(&self) -> Option<i64> {
        self.begun
    }

    /// 19 of 20 pictures are late by no more than this; `None` after a few.
    pub(super) fn most(&self) -> Option<Duration> {
        let count = |class: usize| u32::from(self.now[class]) + u32::from(self.before[class]);
        let all: u32 = (0..CLASSES).map(count).sum();
        if all < FEW {
            return None;
        }
        let mut left = all * 19 / 20;
        let class = (0..CLASSES).find(|class| {
            let here = count(*class);
            let is_here = left < here;
            left = left.saturating_sub(here);
            is_here
        })?;
        let ms = if class < FINE { class } else { FINE + (class - FINE) * COARSE_MS };
        Some(Duration::from_millis(ms as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_of_twenty_are_no_later() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.most(), None);
        (0..100).for_each(|i| lateness.add(i * 40 * MS, i * MS));
        assert_eq!(lateness.most(), Some(Duration::from_millis(64 + 16)));
        (0..500).for_each(|i| lateness.add((4_000 + i * 40) * MS, 5 * MS));
        assert_eq!(lateness.most(), Some(Duration::from_millis(5)), "what was is forgotten");
    }
}
