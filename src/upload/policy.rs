//! What an attempt leads to, for the image and for its target. Pure.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::model::UnixMs;
use crate::store::Settlement;
use crate::target::TargetError;

/// First pause after a target could not be reached or asked for patience.
const PAUSE_BASE: Duration = Duration::from_secs(1);

/// First pause after a target refused us altogether; someone has to change something first.
const MISCONFIGURED_BASE: Duration = Duration::from_secs(15);

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// For the image.
    pub(super) settlement: Settlement,
    /// For the target: how long it is left alone. `None`: the next image follows at once.
    pub(super) pause: Option<Duration>,
    /// Whether the target could be reached.
    pub(super) is_online: bool,
}

/// What is known when an attempt ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Now.
    pub(super) now: UnixMs,
    /// Attempts on this image before this one.
    pub(super) attempts: u32,
    /// Failures of this target in a row before this attempt.
    pub(super) failures: u32,
    /// Longest pause.
    pub(super) cap: Duration,
    /// From 0 to 1, drawn evenly.
    pub(super) random: f64,
}

/// Decides. A fault of the target pauses the target and is never held against an image; a fault of the image puts the
/// image aside and lets the others pass.
pub(super) fn decide(result: Result<(), TargetError>, at: Situation) -> Decision {
    let pause = |base: Duration| {
        let backoff = Backoff { base: base.min(at.cap), cap: at.cap };
        backoff.delay(at.failures.saturating_add(1), at.random)
    };
    // Perhaps the target stumbles over this very image: after its second try it is not due when the pause ends, so that
    // another one goes first.
    let behind = |wait: Duration| {
        let own = match at.attempts {
            0 => Duration::ZERO,
            again => Backoff { base: PAUSE_BASE.min(at.cap), cap: at.cap }.delay(again, at.random),
        };
        at.now.plus_ms(i64::try_from(wait.saturating_add(own).as_millis()).unwrap_or(i64::MAX))
    };
    match result {
        Ok(()) => Decision { settlement: Settlement::Delivered { at: at.now }, pause: None, is_online: true },
        Err(TargetError::Unreachable { message }) => Decision {
            // No wait of its own: the oldest image goes first when the target is back.
            settlement: Settlement::Retry { not_before: UnixMs(0), error: message },
            pause: Some(pause(PAUSE_BASE)),
            is_online: false,
        },
        Err(TargetError::Broken { message }) => {
            let wait = pause(PAUSE_BASE);
            Decision {
                settlement: Settlement::Retry { not_before: behind(wait), error: message },
                pause: Some(wait),
                is_online: true,
            }
        }
        Err(TargetError::Busy { message, retry_after }) => {
            let wait = retry_after.unwrap_or_else(|| pause(PAUSE_BASE));
            Decision {
                settlement: Settlement::Retry { not_before: behind(wait), error: message },
                pause: Some(wait),
                is_online: true,
            }
        }
        Err(TargetError::Misconfigured { message }) => {
            let wait = pause(MISCONFIGURED_BASE);
            Decision {
                settlement: Settlement::Retry { not_before: behind(wait), error: message },
                pause: Some(wait),
                is_online: true,
            }
        }
        Err(TargetError::Rejected { message }) => {
            Decision { settlement: Settlement::Dead { error: message }, pause: None, is_online: true }
        }
        Err(TargetError::Unreadable { message }) => {
            Decision { settlement: Settlement::Lost { error: message }, pause: None, is_online: true }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(failures: u32) -> Situation {
        Situation {
            now: UnixMs(1_000_000),
            attempts: failures,
            failures,
            cap: Duration::from_secs(60),
            random: 1.0,
        }
    }

    fn text() -> String {
        "why".to_owned()
    }

    #[test]
    fn an_outage_of_any_length_never_puts_an_image_aside() {
        for failures in [0, 1, 10, 1_000, u32::MAX] {
            for error in [
                TargetError::Unreachable { message: text() },
                TargetError::Broken { message: text() },
                TargetError::Busy { message: text(), retry_after: None },
                TargetError::Misconfigured { message: text() },
            ] {
                let decision = decide(Err(error), at(failures));
                assert!(matches!(decision.settlement, Settlement::Retry { .. }));
                assert!(decision.pause.is_some_and(|pause| pause <= Duration::from_secs(60)));
            }
        }
    }

    #[test]
    fn a_refused_image_is_put_aside_and_the_next_one_follows_at_once() {
        let decision = decide(Err(TargetError::Rejected { message: text() }), at(0));
        let expected =
            Decision { settlement: Settlement::Dead { error: text() }, pause: None, is_online: true };
        assert_eq!(decision, expected);
    }

    #[test]
    fn the_wait_a_server_asks_for_is_kept() {
        let retry_after = Some(Duration::from_secs(600));
        let decision = decide(Err(TargetError::Busy { message: text(), retry_after }), at(3));
        assert_eq!(decision.pause, retry_after);
        assert!(matches!(decision.settlement,
            Settlement::Retry { not_before, .. } if not_before >= UnixMs(1_000_000 + 600_000)));
    }

    proptest! {
        #[test]
        fn an_image_that_meets_a_fault_again_lets_another_one_go_first(
            failures: u32, attempts in 1_u32.., random in 0.0_f64..=1.0, cap in 1_u64..600, asked in prop::option::of(1_u64..3600),
        ) {
            let situation = Situation {
                now: UnixMs(0), attempts, failures, cap: Duration::from_secs(cap), random,
            };
            for error in [
                TargetError::Broken { message: text() },
                TargetError::Busy { message: text(), retry_after: asked.map(Duration::from_secs) },
                TargetError::Misconfigured { message: text() },
            ] {
                let decision = decide(Err(error), situation);
                let pause = i64::try_from(decision.pause.unwrap().as_millis()).unwrap();
                let Settlement::Retry { not_before, .. } = decision.settlement else { panic!() };
                prop_assert!(not_before >= UnixMs(pause + 500), "{:?} after {}", not_before, pause);
            }
        }

        #[test]
        fn a_failing_target_is_never_tried_at_once(failures: u32, attempts: u32, random in 0.0_f64..=1.0, cap in 1_u64..600) {
            let situation = Situation {
                now: UnixMs(0), attempts, failures, cap: Duration::from_secs(cap), random,
            };
            let decision = decide(Err(TargetError::Unreachable { message: text() }), situation);
            prop_assert!(decision.pause.unwrap() >= Duration::from_millis(500));
        }
    }
}
