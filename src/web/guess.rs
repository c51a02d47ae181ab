//! Guesses at the password or the set-up code, each with its turn: the throttle decides, this waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::throttle::{GuessOutcome, Guesser, Throttle, Ticket, TicketTurn};

/// All guesses under way.
pub(super) struct Guesses {
    throttle: Mutex<Throttle>,
    /// Wakes those who wait, whenever a guess has ended.
    moved: Notify,
}

/// A guess that has its turn. Dropped without a verdict, it counts as wrong: it has cost a hash.
pub(super) struct Guess<'a> {
    all: &'a Guesses,
    ticket: Ticket,
    if_dropped: GuessOutcome,
}

impl Guesses {
    pub(super) fn new() -> Self {
        Self { throttle: Mutex::new(Throttle::new(Instant::now())), moved: Notify::new() }
    }

    /// Waits for the turn of a guess; the error is how long to stay away. Dropping the future gives the place back.
    pub(super) async fn begin(&self, visitor: &Guesser) -> Result<Guess<'_>, Duration> {
        let ticket = self.throttle().ask(visitor, Instant::now())?;
        let mut guess = Guess { all: self, ticket, if_dropped: GuessOutcome::NotJudged };
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // What moves between the look and the wait must wake this one.
            moved.as_mut().enable();
            let turn = self.throttle().look(&guess.ticket, Instant::now());
            match turn {
                TicketTurn::Now => {
                    guess.if_dropped = GuessOutcome::Wrong;
                    return Ok(guess);
                }
                TicketTurn::Never(wait) => {
                    // The ticket is void and has been forgiven.
                    guess.if_dropped = GuessOutcome::Wrong;
                    return Err(wait);
                }
                TicketTurn::Later(wait) => tokio::select! {
                    () = moved => {}
                    () = tokio::time::sleep(wait) => {}
                },
            }
        }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        // Every change leaves the counts whole.
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guess<'_> {
    /// Says how it ended; the next one may begin.
    pub(super) fn end(mut self, outcome: GuessOutcome) {
        self.if_dropped = outcome;
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        self.all.throttle().end(&self.ticket, self.if_dropped);
        self.all.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> Guesser {
        Guesser { address: [192, 168, 0, last].into(), is_shared: false, device: None }
    }

    #[tokio::test]
    async fn the_next_guess_begins_when_the_one_before_has_ended_or_is_gone() {
        let guesses = Guesses::new();
        let first = guesses.begin(&at(1)).await.unwrap();
        let (second, third) = (at(2), at(3));
        let (mut second, mut third) = (Box::pin(guesses.begin(&second)), Box::pin(guesses.begin(&third)));
        assert!(
            futures_util::poll!(&mut second).is_pending() && futures_util::poll!(&mut third).is_pending()
        );
        drop(second);
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(first);
        third.await.unwrap().end(GuessOutcome::Wrong);
    }
}
