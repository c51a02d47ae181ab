//! Deliveries in rounds: everything that is owed, then a rest. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::UnixMs;

/// When a lane may send.
#[derive(Debug)]
pub(super) struct Rounds {
    /// The rest between two rounds; `None` is one round without an end.
    every: Option<Duration>,
    /// When the next one begins, and what the wall clock says then; `None` while one is under way.
    next: Option<(Instant, UnixMs)>,
}

impl Rounds {
    /// The first round begins at once.
    pub(super) fn new(every: Option<Duration>) -> Self {
        Self { every, next: None }
    }

    /// How long it is until the next round; `None` while one is under way.
    pub(super) fn closed_for(&mut self, now: Instant) -> Option<Duration> {
        self.next = self.next.filter(|(next, _)| *next > now);
        self.next.map(|(next, _)| next - now)
    }

    /// What the wall clock said that it will say then.
    pub(super) fn closed_until(&self) -> Option<UnixMs> {
        self.next.map(|(_, until)| until)
    }

    /// Nothing is left to send.
    pub(super) fn end(&mut self, now: Instant, wall: UnixMs) {
        let next = |every: Duration| {
            let until = wall.plus_ms(i64::try_from(every.as_millis()).unwrap_or(i64::MAX));
            (now + every, until)
        };
        self.next = self.every.map(next);
    }

    /// Somebody wants a try now.
    pub(super) fn begin(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_round_goes_on_until_nothing_is_left_and_the_next_one_begins_after_the_rest() {
        let start = Instant::now();
        let mut rounds = Rounds::new(Some(MINUTE));
        assert_eq!(rounds.closed_for(start), None);
        assert_eq!(rounds.closed_for(start + 3 * MINUTE), None, "it takes as long as it takes");
        rounds.end(start, UnixMs(5_000));
        assert_eq!(rounds.closed_until(), Some(UnixMs(65_000)));
        assert_eq!(rounds.closed_for(start + MINUTE / 4), Some(MINUTE * 3 / 4));
        assert_eq!(rounds.closed_for(start + MINUTE), None);
        assert_eq!(rounds.closed_for(start), None, "it has begun");
    }

    #[test]
    fn a_wish_begins_a_round_and_without_a_rest_there_is_one_for_ever() {
        let start = Instant::now();
        let mut rounds = Rounds::new(Some(MINUTE));
        rounds.end(start, UnixMs(5_000));
        rounds.begin();
        assert_eq!(rounds.closed_for(start), None);
        let mut always = Rounds::new(None);
        always.end(start, UnixMs(5_000));
        assert_eq!(always.closed_for(start), None);
    }
}
