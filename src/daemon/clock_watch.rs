//! Watches the wall clock: whether it has been set, and when it is set.
//!
//! Nothing waits for a right clock. Pictures are taken and delivered with the time it shows; once it is right, the rows
//! of this boot are corrected from the time since boot.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::clock::{self, SetAlarm};
use crate::model::UnixMs;
use crate::status::{ClockStatus, ClockStep, Status};
use crate::store::{Doubtful, STEP_MS, StoreError, StoreUpkeep, Wake};

/// A time service tells the kernel that the clock is right, and nobody else; so the kernel is asked. Setting the clock is
/// noticed at once, except where the kernel cannot tell.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The task that watches the clock.
pub struct ClockWatch {
    store: StoreUpkeep,
    status: Status,
    alarm: Option<SetAlarm>,
    /// What was seen last: wall time minus time since boot, and whether a time service vouches for it.
    seen: Option<(i64, bool)>,
}

/// What a look at the clock leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    /// How far the clock was set, if it was.
    stepped_ms: Option<i64>,
    /// Which rows are to be corrected.
    correct: Option<Doubtful>,
}

/// What follows from two looks at the clock.
fn judge(before: Option<(i64, bool)>, offset_ms: i64, is_synced: bool) -> Verdict {
    let stepped_ms = before
        .map(|(before, _)| offset_ms.saturating_sub(before))
        .filter(|moved| moved.unsigned_abs() > STEP_MS);
    let was_synced = before.is_some_and(|(_, was_synced)| was_synced);
    let correct = match (is_synced, stepped_ms) {
        (true, Some(_)) => Some(Doubtful::All),
        (true, None) if !was_synced => Some(Doubtful::All),
        // A trigger that was stamped before the clock was set and written after it.
        (true, None) | (false, Some(_)) => Some(Doubtful::Unsynced),
        (false, None) => None,
    };
    Verdict { stepped_ms, correct }
}

impl ClockWatch {
    /// The task.
    pub fn new(store: StoreUpkeep, status: &Status) -> Self {
        let alarm = SetAlarm::new()
            .inspect_err(|error| debug!(%error, "this kernel does not tell when the clock is set"))
            .ok();
        Self { store, status: status.clone(), alarm, seen: None }
    }

    /// Runs until cancelled. What could not be corrected is corrected at the next run.
    pub async fn run(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        loop {
            self.look().await?;
            let rung = async {
                match &self.alarm {
                    Some(alarm) => alarm.rung().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = rung => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let (offset_ms, is_synced, now) = (clock::offset_ms(), clock::is_synchronised(), clock::now());
        let verdict = judge(self.seen, offset_ms, is_synced);
        let corrected = match verdict.correct {
            // A step while nobody vouches for the clock: what it shows now is better than what it showed.
            Some(which) if is_synced => self.store.correct_times(offset_ms, which).await?,
            Some(_) => self.store.correct_times(offset_ms, Doubtful::Unsynced).await?,
            None => 0,
        };
        self.seen = Some((offset_ms, is_synced));
        if let Some(moved_ms) = verdict.stepped_ms {
            warn!(now = now.rfc3339(), moved_ms, synced = is_synced, "the clock was set");
            self.store.wakes().raise(Wake::Clock);
        }
        if corrected > 0 {
            info!(triggers = corrected, "times were corrected from the time since boot");
        }
        self.tell(now, is_synced, verdict.stepped_ms, corrected);
        Ok(())
    }

    fn tell(&self, now: UnixMs, is_synced: bool, stepped_ms: Option<i64>, corrected: u64) {
        self.status.update_clock(|clock: &mut ClockStatus| {
            clock.is_synced = is_synced;
            clock.is_implausible = clock::is_implausible(now);
            if let Some(moved_ms) = stepped_ms {
                clock.steps += 1;
                clock.last_step = Some(ClockStep { at: now, moved_ms });
            }
            clock.corrected += corrected;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(stepped_ms: Option<i64>, correct: Option<Doubtful>) -> Verdict {
        Verdict { stepped_ms, correct }
    }

    #[test]
    fn rows_are_corrected_when_the_clock_is_set_and_when_it_is_vouched_for() {
        let (all, unsynced) = (Some(Doubtful::All), Some(Doubtful::Unsynced));
        // The program starts before and after the clock was set.
        assert_eq!(judge(None, 5, false), verdict(None, None));
        assert_eq!(judge(None, 5, true), verdict(None, all));
        // NTP arrives with and without a step.
        assert_eq!(judge(Some((5, false)), 1_000_005, true), verdict(Some(1_000_000), all));
        assert_eq!(judge(Some((5, false)), 7, true), verdict(None, all));
        // Somebody sets the clock by hand.
        assert_eq!(judge(Some((5, false)), -3_599_995, false), verdict(Some(-3_600_000), unsynced));
        // Nothing happens.
        assert_eq!(judge(Some((5, false)), 5, false), verdict(None, None));
        assert_eq!(judge(Some((5, true)), 5, true), verdict(None, unsynced));
    }

    proptest! {
        #[test]
        fn a_clock_that_is_adjusted_and_not_set_is_no_step(offset in any::<i32>(), by in -2_000_i64..=2_000, synced: bool) {
            let offset = i64::from(offset);
            prop_assert_eq!(judge(Some((offset, synced)), offset + by, synced).stepped_ms, None);
        }
    }
}
