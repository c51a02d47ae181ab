//! Instants by arrival alone, for pictures whose stamps are no clock. Pure.
//!
//! A picture that comes before its turn was taken by then; one that comes after it may be late or the camera slower, so
//! it is placed half-way. A gap is believed: what comes after it may be a new picture, and what follows at once was
//! held up with it.

/// A picture later than this comes after a gap.
const GAP_NS: i64 = 150_000_000;

/// The turn of the next picture. Nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Steady {
    placed: i64,
    arrival: i64,
    /// By how much pictures may be older than their arrival: what a gap held up and has not come yet.
    held_up: i64,
}

impl Steady {
    /// Goes on from a picture that came at `arrival` and was placed at `placed`.
    pub(super) fn from(placed: i64, arrival: i64) -> Self {
        Self { placed, arrival, held_up: 0 }
    }

    /// Places a picture that came at `at`, in a stream of this interval; also returns how far it came from its turn.
    pub(super) fn place(&mut self, at: i64, interval: i64) -> (i64, i64) {
        let turn = self.placed.saturating_add(interval);
        let late = at.saturating_sub(turn);
        let placed = if (1..=GAP_NS).contains(&late) { turn + late / 2 } else { at };
        self.placed = placed.max(self.placed);
        let usual = interval.saturating_add(interval / 2);
        let step = at.saturating_sub(self.arrival);
        self.held_up = self.held_up.saturating_add(step).saturating_sub(usual).max(0);
        self.arrival = at;
        (self.placed, late.saturating_abs())
    }

    /// By how much the newest picture may be older than it was placed, beyond the usual.
    pub(super) fn held_up(&self) -> i64 {
        self.held_up
    }
}
