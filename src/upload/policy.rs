//! What an attempt leads to, for the image and for its target. Pure.
//!
//! A fault of the target pauses the target and is never held against an image. A fault of the image puts the image
//! aside and lets the others pass. Which of the two a refusal is, one image alone cannot tell: when different images are
//! refused one after the other in the same way, it is the target that is wrong, and those that were blamed are excused. And
//! an answer that may be about everything that is sent (403, 404) is held against an image only after another one was taken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::backoff::Backoff;
use crate::model::{Because, Coded as _, UnixMs, UploadFault};
use crate::store::Settlement;
use crate::targets::TargetError;

/// First pause after a target could not be reached or asked for patience.
const PAUSE_BASE: Duration = Duration::from_secs(1);

/// First pause after a target refused us altogether; someone has to change something first.
const MISCONFIGURED_BASE: Duration = Duration::from_secs(15);

/// First wait of an image whose refusal may not be the last word, or whose file could not be read.
const REFUSED_BASE: Duration = Duration::from_secs(5);

/// So often an image is sent that the target does not understand (400), before it is put aside.
const TRIES: u32 = 3;

/// So many different images, refused in a row in the same way, are no accident.
const ROW: usize = 5;

/// Images of which it is remembered that they were refused in doubt.
const REMEMBERED: usize = 1000;

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// For the image.
    pub(super) settlement: Settlement,
    /// For images that were blamed and are not to blame: their rows, and when they are due again.
    pub(super) excused: Vec<(i64, UnixMs)>,
    /// For the target: how long it is left alone. `None`: the next image follows at once.
    pub(super) pause: Option<Duration>,
    /// What is wrong with the target, in words, or what it said of this image.
    pub(super) words: Option<UploadFault>,
    /// Whether the target could be reached; `None` when nothing was asked of it.
    pub(super) is_online: Option<bool>,
}

/// The image that was tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// Its row.
    pub(super) row: i64,
    /// Attempts on it before this one.
    pub(super) attempts: u32,
    /// How often it has been refused before.
    pub(super) refusals: u32,
}

/// What is known when an attempt ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Now.
    pub(super) now: UnixMs,
    /// Longest pause.
    pub(super) retry_interval: Duration,
    /// From 0 to 1, drawn evenly.
    pub(super) random: f64,
    /// Whether the target is paused already: this attempt began before, and tells nothing new about it.
    pub(super) is_paused: bool,
}

/// How a target has been doing lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    /// Faults of the target in a row.
    failures: u32,
    /// Images refused in a row in one way, each once, with the attempts on it.
    row: Vec<(i64, u32)>,
    /// That way.
    way: String,
    /// Whether the target refuses whatever it is sent, and is to blame.
    is_refusing: bool,
    /// Images that were refused in doubt since the last success, and those that others were taken after, with
    /// the refusals since: their own fault.
    doubted: BTreeSet<i64>,
    to_blame: BTreeMap<i64, u32>,
    /// Whether any image was taken yet.
    has_delivered: bool,
}

/// How sure it is that an image itself is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It will be for ever.
    Final,
    /// The target may think better of it.
    Open,
    /// Perhaps every image is.
    Doubtful,
}

impl Health {
    /// Whether the target fails, so that one image at a time probes it.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether the target refuses whatever it is sent.
    pub(super) fn is_refusing(&self) -> bool {
        self.is_refusing
    }

    /// Decides what the end of an attempt leads to.
    pub(super) fn judge(&mut self, tried: Tried, result: Result<(), TargetError>, at: Situation) -> Decision {
        match result {
            Ok(()) => {
                let mut to_blame = std::mem::take(&mut self.to_blame);
                for row in std::mem::take(&mut self.doubted) {
                    to_blame.entry(row).or_insert(0);
                }
                while to_blame.len() > REMEMBERED {
                    to_blame.pop_first();
                }
                to_blame.remove(&tried.row);
                *self = Self { to_blame, has_delivered: true, ..Self::default() };
                Decision {
                    words: None,
                    ..answered(Settlement::Delivered { at: at.now }, UploadFault::Words(String::new()))
                }
            }
            Err(TargetError::Unreachable { fault }) => {
                let pause = self.fault(PAUSE_BASE, at);
                Decision {
                    // No wait of its own: the oldest image goes first when the target is back.
                    settlement: Settlement::Retry { not_before: UnixMs(0), error: fault.clone() },
                    is_online: Some(false),
                    ..paused(pause, fault)
                }
            }
            Err(TargetError::Broken { fault }) => {
                let pause = self.fault(PAUSE_BASE, at);
                behind(tried, pause, fault, at)
            }
            Err(TargetError::Busy { fault, retry_after }) => {
                let pause = self.fault(PAUSE_BASE, at);
                behind(tried, retry_after.unwrap_or(pause), fault, at)
            }
            Err(TargetError::Misconfigured { fault }) => {
                let pause = self.fault(MISCONFIGURED_BASE, at);
                behind(tried, pause, fault, at)
            }
            Err(TargetError::Rejected { fault, is_final }) => {
                self.refusal(tried, fault, if is_final { Refusal::Final } else { Refusal::Open }, at)
            }
            Err(TargetError::Doubtful { fault }) => self.refusal(tried, fault, Refusal::Doubtful, at),
            // It is tried again now and then; neither the target nor other images wait for it.
            Err(TargetError::Denied { fault }) => {
                let again = wait(REFUSED_BASE, tried.attempts.saturating_add(1), at);
                let settlement = Settlement::Retry { not_before: after(at.now, again), error: fault.clone() };
                Decision { is_online: None, ..answered(settlement, fault) }
            }
            Err(TargetError::Unreadable { fault }) => {
                Decision { is_online: None, ..answered(Settlement::Lost { error: fault.clone() }, fault) }
            }
        }
    }

    fn refusal(&mut self, tried: Tried, fault: UploadFault, refusal: Refusal, at: Situation) -> Decision {
        if self.is_refusing {
            let pause = self.fault(MISCONFIGURED_BASE, at);
            return aside(tried, pause, fault, at);
        }
        let way = way(&fault);
        if self.way != way {
            self.row.clear();
            self.way = way;
        }
        if !self.row.iter().any(|(row, _)| *row == tried.row) && !self.to_blame.contains_key(&tried.row) {
            self.row.push((tried.row, tried.attempts));
        }
        if self.row.len() >= ROW {
            self.is_refusing = true;
            let pause = self.fault(MISCONFIGURED_BASE, at);
            let others = std::mem::take(&mut self.row).into_iter().filter(|(row, _)| *row != tried.row);
            // One after the other, so that between them there is room for images that may be taken.
            let excused = (1_u32..).zip(others).map(|(place, (row, attempts))| {
                let own = wait(REFUSED_BASE, attempts.saturating_add(1), at).saturating_mul(place);
                (row, after(at.now, pause.saturating_add(own)))
            });
            return Decision { excused: excused.collect(), ..aside(tried, pause, fault, at) };
        }
        let refusals = tried.refusals.saturating_add(1);
        let not_before =
            |pause: Duration| after(at.now, pause.saturating_add(wait(REFUSED_BASE, refusals, at)));
        if refusal == Refusal::Doubtful && !self.to_blame.contains_key(&tried.row) {
            let is_new = self.doubted.insert(tried.row);
            while self.doubted.len() > REMEMBERED {
                self.doubted.pop_first();
            }
            // One among others that were taken is hardly the target's fault; else another image soon tells. The same one tells
            // nothing new.
            let is_open = is_new && (!self.has_delivered || self.row.len() > 1);
            let pause = is_open.then(|| self.fault(PAUSE_BASE, at));
            self.failures = self.failures.max(1);
            let not_before = not_before(pause.unwrap_or_default());
            let settlement = Settlement::Refused { not_before, error: fault.clone() };
            return Decision { pause, ..answered(settlement, fault) };
        }
        let is_its_own = match (refusal, self.to_blame.get_mut(&tried.row)) {
            (Refusal::Final, _) => true,
            // While others are refused as well, it may be the target after all.
            (Refusal::Doubtful, Some(_)) if !self.doubted.is_empty() => false,
            (Refusal::Doubtful, Some(since)) => {
                *since = since.saturating_add(1);
                since.saturating_add(1) >= TRIES
            }
            _ => refusals >= TRIES,
        };
        if refusal != Refusal::Doubtful {
            self.failures = 0;
        }
        if is_its_own {
            self.to_blame.remove(&tried.row);
            return answered(Settlement::Dead { error: fault.clone() }, fault);
        }
        let not_before = not_before(Duration::ZERO);
        answered(Settlement::Refused { not_before, error: fault.clone() }, fault)
    }

    /// Counts a fault of the target and gives the pause that follows. Attempts that ran side by side count once.
    fn fault(&mut self, base: Duration, at: Situation) -> Duration {
        if !at.is_paused || self.failures == 0 {
            self.failures = self.failures.saturating_add(1);
        }
        wait(base, self.failures, at)
    }
}

/// In which way an image was refused, whatever the words: they may name the image. Of words without a code that is what
/// stands before the colon.
fn way(fault: &UploadFault) -> String {
    let Some(code) = fault.code() else {
        return fault.to_string().split(':').next().unwrap_or_default().to_owned();
    };
    let params = fault.params();
    let part = |name| params.get(name).map(ToString::to_string).unwrap_or_default();
    format!("{code} {} {}", part("status"), part("error"))
}

fn wait(base: Duration, times: u32, at: Situation) -> Duration {
    Backoff { base: base.min(at.retry_interval), cap: at.retry_interval }.delay(times, at.random)
}

fn after(now: UnixMs, wait: Duration) -> UnixMs {
    now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// The target answered, and goes on.
fn answered(settlement: Settlement, words: UploadFault) -> Decision {
    Decision { settlement, excused: Vec::new(), pause: None, words: Some(words), is_online: Some(true) }
}

/// The target is left alone for a while, and the image waits for it and no longer.
fn paused(pause: Duration, words: UploadFault) -> Decision {
    let settlement = Settlement::Retry { not_before: UnixMs(0), error: words.clone() };
    Decision { pause: Some(pause), ..answered(settlement, words) }
}

/// Perhaps the target stumbles over this very image: after its second try it is not due when the pause ends, so that
/// another one goes first.
fn behind(tried: Tried, pause: Duration, fault: UploadFault, at: Situation) -> Decision {
    let own = match tried.attempts {
        0 => Duration::ZERO,
        again => wait(PAUSE_BASE, again, at),
    };
    let not_before = after(at.now, pause.saturating_add(own));
    Decision { settlement: Settlement::Retry { not_before, error: fault.clone() }, ..paused(pause, fault) }
}

/// The target refuses everything: the next probe is another image, and none is to blame.
fn aside(tried: Tried, pause: Duration, fault: UploadFault, at: Situation) -> Decision {
    let own = wait(REFUSED_BASE, tried.attempts.saturating_add(1), at);
    let words = UploadFault::AllRefused { cause: Because::new(fault.clone()) };
    let not_before = after(at.now, pause.saturating_add(own));
    Decision { settlement: Settlement::Retry { not_before, error: fault }, ..paused(pause, words) }
}
