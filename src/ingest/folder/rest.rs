//! When a file is taken: not while it is being written, and not again when nothing can be done with it. Pure.

use std::time::{Duration, Instant};

use crate::system::tree::FileStamp;

/// A file that has not changed for so long and has the end of a picture is whole.
const WHOLE_AFTER: Duration = Duration::from_secs(1);

/// A file that has not changed for so long and is no picture will be none: copying over a weak network pauses.
const ANY_AFTER: Duration = Duration::from_secs(60);

/// A file, since when it is as it is, and what was found of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    stamp: FileStamp,
    since: Instant,
    pub(super) next: Next,
}

/// When it is looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// When it has rested.
    Rested,
    /// It is no whole picture; when it has rested for long.
    Unfit,
    /// Not before.
    At(Instant),
    /// It is done with, and could not be removed.
    Never,
}

/// What may be done with a file now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Wait,
    /// It is taken if it is a whole picture.
    Whole,
    /// It is taken, or refused.
    Any,
}

impl Rest {
    /// A file that was not there.
    pub(super) fn begun(stamp: FileStamp, now: Instant) -> Self {
        Self { stamp, since: now, next: Next::Rested }
    }

    /// The same file at another look; one that has changed begins anew.
    pub(super) fn looked_at(self, stamp: FileStamp, now: Instant) -> Self {
        if self.stamp == stamp { self } else { Self::begun(stamp, now) }
    }

    /// What may be done with it.
    pub(super) fn turn(&self, now: Instant) -> Turn {
        let rested = now.saturating_duration_since(self.since);
        let by_age = if rested >= ANY_AFTER { Turn::Any } else { Turn::Whole };
        match self.next {
            // An empty one is about to be written.
            Next::Rested if rested >= WHOLE_AFTER && (self.stamp.length > 0 || rested >= ANY_AFTER) => by_age,
            Next::Unfit if rested >= ANY_AFTER => Turn::Any,
            Next::At(at) if now >= at => by_age,
            Next::Rested | Next::Unfit | Next::At(_) | Next::Never => Turn::Wait,
        }
    }
}
