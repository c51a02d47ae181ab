//! Which refused pushes are written into the ledger: of each device a few at once and then one now and then, the others
//! counted. A device with a broken camera sends its garbage each second for as long as nobody looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many at once: a person who tries a device out sees each of them.
const BURST: u32 = 5;

/// After that one in this time, so a device that is never mended writes 144 rows a day.
const EACH: Duration = Duration::from_secs(600);

/// Devices that are told apart. There are as many as are configured; whoever brings in more has the others share one part.
const DEVICES_MAX: usize = 256;

/// What becomes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is written down.
    Yes {
        /// Refusals of this device since the last one that was written down.
        unwritten: u64,
    },
    /// It is only counted.
    Counted,
}

/// A handle on the refusals of all devices.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<HashMap<String, Part>>>);

/// What a device has left.
#[derive(Clone, Copy, Debug)]
struct Part {
    saved: Duration,
    at: Instant,
    unwritten: u64,
}

impl Refusals {
    /// One more refusal of `device`.
    pub(super) fn count(&self, device: &str, now: Instant) -> Recorded {
        // Whole between statements; a panicked holder cannot have spoiled it.
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_one_too_many = parts.len() >= DEVICES_MAX && !parts.contains_key(device);
        let key = if is_one_too_many { "" } else { device };
        let full = Part { saved: EACH * BURST, at: now, unwritten: 0 };
        parts.entry(key.to_owned()).or_insert(full).count(now)
    }
}

impl Part {
    fn count(&mut self, now: Instant) -> Recorded {
        self.saved = (self.saved + now.saturating_duration_since(self.at)).min(EACH * BURST);
        self.at = self.at.max(now);
        match self.saved.checked_sub(EACH) {
            Some(rest) => {
                self.saved = rest;
                Recorded::Yes { unwritten: std::mem::take(&mut self.unwritten) }
            }
            None => {
                self.unwritten += 1;
                Recorded::Counted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_refusals_are_written_down_and_of_a_flood_one_now_and_then_with_the_count() {
        let (refusals, begin) = (Refusals::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(refusals.count("esp", begin), Recorded::Yes { unwritten: 0 });
        }
        for second in 0..600 {
            assert_eq!(refusals.count("esp", begin + Duration::from_secs(second)), Recorded::Counted);
        }
        assert_eq!(refusals.count("other", begin), Recorded::Yes { unwritten: 0 }, "each device has its own");
        assert_eq!(refusals.count("esp", begin + EACH), Recorded::Yes { unwritten: 600 });
        assert_eq!(refusals.count("esp", begin + EACH), Recorded::Counted);
    }

    proptest! {
        #[test]
        fn however_many_are_refused_the_ledger_gets_its_share_and_none_goes_uncounted(
            steps in prop::collection::vec(0_u64..2_000, 1..300), devices in 1_usize..400,
        ) {
            let (refusals, begin) = (Refusals::default(), Instant::now());
            let (mut now, mut written, mut told) = (begin, 0_u64, 0_u64);
            for (n, step) in steps.iter().enumerate() {
                now += Duration::from_secs(*step);
                if let Recorded::Yes { unwritten } = refusals.count(&format!("d{}", n % devices), now) {
                    written += 1;
                    told += unwritten;
                }
            }
            let parts = refusals.0.lock().unwrap();
            prop_assert!(parts.len() <= DEVICES_MAX + 1);
            let untold: u64 = parts.values().map(|part| part.unwritten).sum();
            prop_assert_eq!(written + told + untold, steps.len() as u64);
            let share = u64::from(BURST) + (now - begin).as_secs() / EACH.as_secs();
            prop_assert!(written <= share * parts.len() as u64);
        }
    }
}
