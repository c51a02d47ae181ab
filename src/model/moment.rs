//! An instant as both clocks tell it.

use std::time::Instant;

use super::UnixMs;

/// One instant, on the monotonic clock and on the wall clock.
///
/// The first measures distances and is never set; the second is what people and names of files are told. A wall clock
/// that is set afterwards changes nothing here: what was said of an instant is corrected in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the monotonic clock.
    pub at: Instant,
    /// On the wall clock, as it stood when this was made.
    pub wall: UnixMs,
}
