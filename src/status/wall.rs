//! The wall clock, as far as an operator should know of it.

use crate::clock;
use crate::model::UnixMs;

/// A moment at which the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// What it shows since then, at that moment.
    pub at: UnixMs,
    /// How far it was moved, in milliseconds.
    pub moved_ms: i64,
}

/// The wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockStatus {
    /// Whether a time service vouches for it.
    pub is_synced: bool,
    /// Whether it shows a time before this version was made.
    pub is_implausible: bool,
    /// When it was last set since the program started.
    pub last_step: Option<ClockStep>,
    /// How often it was set since the program started.
    pub steps: u64,
    /// How many triggers had their times corrected since the program started.
    pub corrected: u64,
}

impl ClockStatus {
    /// What an operator should know, in words; `None` while there is nothing.
    pub fn message(&self, now: UnixMs) -> Option<String> {
        const NEWS: u64 = 24 * 60 * 60 * 1000;
        if self.is_implausible {
            return Some("the clock is not set; times are corrected once it is".to_owned());
        }
        if let Some(step) = self.last_step.filter(|step| now.0.abs_diff(step.at.0) < NEWS) {
            let direction = if step.moved_ms < 0 { "back" } else { "forward" };
            let (at, by) = (clock::time_of_day(step.at), how_long(step.moved_ms.unsigned_abs()));
            return Some(format!("the clock was set at {at}, moved {direction} by {by}"));
        }
        (!self.is_synced).then(|| {
            "no time service has set the clock yet; times are corrected if it turns out to be wrong"
                .to_owned()
        })
    }
}

/// A length of time in its largest unit, such as `51 years`.
fn how_long(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(31_557_600, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    let seconds = ms / 1000;
    let (count, unit) = UNITS
        .into_iter()
        .find(|(length, _)| seconds >= *length)
        .map_or((seconds, "second"), |(length, unit)| ((seconds + length / 2) / length, unit));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_described_in_words() {
        let today = UnixMs(1_795_132_800_000);
        let message = |clock: ClockStatus| clock.message(today);
        let fine = ClockStatus { is_synced: true, ..ClockStatus::default() };
        assert_eq!(message(fine), None);
        let unset = message(ClockStatus { is_implausible: true, ..ClockStatus::default() }).unwrap();
        assert_eq!(unset, "the clock is not set; times are corrected once it is");
        assert!(message(ClockStatus::default()).unwrap().starts_with("no time service"));
        let set = |at: UnixMs, moved_ms| {
            message(ClockStatus { last_step: Some(ClockStep { at, moved_ms }), ..fine })
        };
        assert!(set(today, 51 * 31_557_600_000).unwrap().ends_with("moved forward by 51 years"));
        assert!(set(today, -3_600_000).unwrap().ends_with("moved back by 1 hour"));
        assert!(set(today, 2_500).unwrap().ends_with("moved forward by 2 seconds"));
        assert_eq!(set(today.plus_ms(-90_000_000), 2_500), None, "no news after a day");
    }
}
