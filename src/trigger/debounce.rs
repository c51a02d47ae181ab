//! When is a contact closed? A pure state machine for one line: no clock, no input, no output.
//!
//! A line is *settled* at a level once it has shown it without a break for [`CLOSED_STABLE`], or for a tenth of the
//! bounce time when open. A contact fires when it settles closed, dated back to the first edge of that closing; then
//! the line is deaf for the bounce time, counted from that edge:
//!
//! ```text
//!           at
//! open    ──┐ ┌─┐ ┌─┐                         ┌─┐ ┌───────────
//! closed    └─┘ └─┘ └─────────────────────────┘ └─┘
//!                   ├ 5 ms ┤ fires                ├ 30 ms ┤ open: the next closing may fire,
//!           ├────────────── deaf ──────────┤                if the deaf time is over as well
//! ```
//!
//! What follows from that:
//! - A spike shorter than [`CLOSED_STABLE`] never fires; a press of 20 ms does.
//! - The bounce of an opening contact never fires, however long it was held, because a closing counts only after the
//!   line has settled open.
//! - A contact that is closed when watching begins must open first.
//! - A closing that begins in the deaf time never fires, not even if it is held beyond its end: to the operator it
//!   is the same car, and a picture dated to the end of the deaf time would show no event at all.
//! - An edge that never arrives does no lasting harm: whoever reads a level that contradicts the last edge passes it
//!   to [`Debounce::edge`] as an edge of its own.

use std::time::{Duration, Instant};

use crate::config::ActiveLevel;
use crate::gpio::Level;

/// How long a contact must be closed without a break before it counts. Switch and relay contacts bounce with gaps of
/// at most a few milliseconds, and spikes coupled into long wires are shorter still; the picture is not late for it,
/// because it is chosen by the time of the first edge.
pub const CLOSED_STABLE: Duration = Duration::from_millis(5);

/// The least time a contact must be open without a break before it counts as open.
const OPEN_STABLE_MIN: Duration = Duration::from_millis(5);

/// A line counts as open after this part of the bounce time (30 ms of 300 ms): longer than the gaps of a worn relay
/// that lets go, shorter than the pause between two presses. A contact that is worse is tamed by a longer bounce time.
const OPEN_PART_OF_BOUNCE: u32 = 10;

/// How far the trigger's time may lie before the latest edge of an unsettled closing. No contact bounces longer; a
/// line that chatters for seconds (water, a broken wire) must not ask for a picture of seconds ago.
const SETTLE_MAX: Duration = Duration::from_millis(50);

/// What an edge meant when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeVerdict {
    /// A contact begins to close; it fires if it stays so.
    Closing,
    /// A contact begins to close within the deaf time; it will not fire.
    Deaf,
    /// A contact begins to open.
    Opening,
    /// Part of a change that has begun already, or a pulse too short for its level to be seen.
    Bounce,
}

impl EdgeVerdict {
    /// One word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closing => "closing",
            Self::Deaf => "deaf",
            Self::Opening => "opening",
            Self::Bounce => "bounce",
        }
    }
}

/// What became of a change once the line had settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The contact closed: a trigger.
    Fired {
        /// The first edge of the closing.
        at: Instant,
    },
    /// The contact closed within the deaf time: no trigger.
    Deaf {
        /// The first edge of the closing.
        at: Instant,
    },
    /// The contact opened.
    Opened,
    /// The contact never stayed closed long enough and is open again: no trigger.
    TooShort {
        /// The first edge of the spike.
        at: Instant,
    },
    /// The contact opened for a moment and is closed again: no trigger.
    Dropout,
}

/// The state of one line.
#[derive(Clone, Debug)]
pub struct Debounce {
    active: ActiveLevel,
    bounce: Duration,
    /// As of the last edge.
    is_closed: bool,
    /// When the last edge was; `None` before the first.
    since: Option<Instant>,
    /// The last settled level.
    settled_closed: bool,
    /// The unsettled change, begun by the first edge away from the settled level.
    change: Option<Change>,
    deaf_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    at: Instant,
    /// Whether it began within the deaf time.
    is_deaf: bool,
}

impl Debounce {
    /// A line that is settled at `initial`; if that is closed, it has to open before it can fire.
    pub fn new(active: ActiveLevel, bounce: Duration, initial: Level) -> Self {
        let is_closed = initial.is_active(active);
        Self {
            active,
            bounce,
            is_closed,
            since: None,
            settled_closed: is_closed,
            change: None,
            deaf_until: None,
        }
    }

    /// Takes in an edge, and says what it meant and what had settled before it came.
    ///
    /// Edges come in the order of their stamps; one that claims to be older than the last counts as simultaneous.
    pub fn edge(&mut self, level: Level, at: Instant) -> (Option<Settled>, EdgeVerdict) {
        let at = self.since.map_or(at, |since| at.max(since));
        let settled = self.settle(at);
        let was_closed = self.is_closed;
        self.is_closed = level.is_active(self.active);
        self.since = Some(at);
        (settled, self.judge(was_closed, at))
    }

    fn judge(&mut self, was_closed: bool, at: Instant) -> EdgeVerdict {
        match &mut self.change {
            Some(change) => {
                if self.is_closed && at.duration_since(change.at) > SETTLE_MAX {
                    change.at = at;
                }
                EdgeVerdict::Bounce
            }
            None if self.is_closed == was_closed => EdgeVerdict::Bounce,
            None => {
                let is_deaf = self.deaf_until.is_some_and(|until| at < until);
                self.change = Some(Change { at, is_deaf });
                match (self.is_closed, is_deaf) {
                    (false, _) => EdgeVerdict::Opening,
                    (true, true) => EdgeVerdict::Deaf,
                    (true, false) => EdgeVerdict::Closing,
                }
            }
        }
    }

    /// When [`Self::settle`] will have something to say if no edge comes; `None` if only an edge can change anything.
    pub fn deadline(&self) -> Option<Instant> {
        self.change?;
        let stable = if self.is_closed { CLOSED_STABLE } else { self.open_stable() };
        self.since.map(|since| since + stable)
    }

    /// Lets time pass up to `now`, when no edge is known to have come until then.
    pub fn settle(&mut self, now: Instant) -> Option<Settled> {
        if self.deadline()? > now {
            return None;
        }
        let change = self.change.take()?;
        let was_closed = std::mem::replace(&mut self.settled_closed, self.is_closed);
        Some(match (was_closed, self.is_closed) {
            (false, true) if change.is_deaf => Settled::Deaf { at: change.at },
            (false, true) => {
                self.deaf_until = Some(change.at + self.bounce);
                Settled::Fired { at: change.at }
            }
            (true, false) => Settled::Opened,
            (false, false) => Settled::TooShort { at: change.at },
            (true, true) => Settled::Dropout,
        })
    }

    /// The level of the last edge.
    pub fn level(&self) -> Level {
        if self.is_closed { Level::closed(self.active) } else { Level::open(self.active) }
    }

    /// Whether the line is settled closed.
    pub fn is_settled_closed(&self) -> bool {
        self.settled_closed
    }

    fn open_stable(&self) -> Duration {
        (self.bounce / OPEN_PART_OF_BOUNCE).max(OPEN_STABLE_MIN)
    }
}

#[cfg(test)]
#[path = "debounce_tests.rs"]
mod tests;
