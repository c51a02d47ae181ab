//! Simulated lines: a hand in this process opens and closes the contacts.
//!
//! For the demonstration, for tests and for a dashboard without hardware. The queue has the size of the kernel's and
//! loses the oldest edges like it, so that a hand faster than the watcher cannot fill the memory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Edge, EdgeSource, GpioError, Level, Pin};
use crate::config::ActiveLevel;

/// Edges kept for a watcher that is behind, as many as the kernel keeps for one request.
const QUEUE_MAX: usize = 1024;

/// The hand on simulated contacts. Cheap to clone; every clone moves the same lines.
#[derive(Clone)]
pub struct SimHandle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    edge_came: Condvar,
}

struct State {
    lines: Vec<(Pin, Level)>,
    queue: VecDeque<Edge>,
}

impl Shared {
    /// A panic elsewhere leaves whole lines and edges behind, so a poisoned lock is still good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimHandle {
    /// Lines whose contacts are open.
    pub fn new(active: ActiveLevel, pins: &[Pin]) -> Self {
        let lines = pins.iter().map(|pin| (*pin, Level::open(active))).collect();
        let state = Mutex::new(State { lines, queue: VecDeque::new() });
        Self(Arc::new(Shared { state, edge_came: Condvar::new() }))
    }

    /// The watcher's end. Only one may be waited on, because an edge goes to whoever takes it first.
    pub(super) fn source(&self) -> Sim {
        Sim(Arc::clone(&self.0))
    }

    /// Puts `level` on a line now; the same level again is no edge. `false` if there is no such line.
    pub fn set(&self, pin: Pin, level: Level) -> bool {
        let mut state = self.0.state();
        let Some(line) = state.lines.iter_mut().find(|line| line.0 == pin) else { return false };
        if line.1 != level {
            line.1 = level;
            if state.queue.len() == QUEUE_MAX {
                state.queue.pop_front();
            }
            // Stamped under the lock, so that stamps of a line never go back.
            state.queue.push_back(Edge { pin, level, at: Instant::now() });
            self.0.edge_came.notify_one();
        }
        true
    }

    /// What a line shows; `None` if there is no such line.
    pub fn level(&self, pin: Pin) -> Option<Level> {
        self.0.state().lines.iter().find(|line| line.0 == pin).map(|line| line.1)
    }
}

impl fmt::Debug for SimHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimHandle").field(&self.0.state().lines).finish()
    }
}

/// The watcher's end of simulated lines.
pub(super) struct Sim(Arc<Shared>);

impl EdgeSource for Sim {
    fn wait(&mut self, timeout: Duration) -> Result<Option<Edge>, GpioError> {
        let state = self.0.state();
        let (mut state, _) = self
            .0
            .edge_came
            .wait_timeout_while(state, timeout, |state| state.queue.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        Ok(state.queue.pop_front())
    }

    fn levels(&mut self) -> Result<Vec<(Pin, Level)>, GpioError> {
        Ok(self.0.state().lines.clone())
    }

    fn name(&self) -> &'static str {
        "sim"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_start_open_and_only_changes_are_edges() {
        let hand = SimHandle::new(ActiveLevel::Low, &[18, 19]);
        let mut source = hand.source();
        assert_eq!(source.levels().unwrap(), [(18, Level::High), (19, Level::High)]);
        assert!(hand.set(18, Level::High));
        assert_eq!(source.wait(Duration::ZERO).unwrap(), None);
        let before = Instant::now();
        assert!(hand.set(19, Level::Low));
        let edge = source.wait(Duration::ZERO).unwrap().unwrap();
        assert_eq!((edge.pin, edge.level), (19, Level::Low));
        assert!(edge.at >= before && edge.at <= Instant::now());
        assert_eq!(hand.level(19), Some(Level::Low));
    }

    #[test]
    fn a_line_that_does_not_exist_is_refused() {
        let hand = SimHandle::new(ActiveLevel::Low, &[18]);
        assert!(!hand.set(4, Level::Low));
        assert_eq!(hand.level(4), None);
    }

    #[test]
    fn a_waiting_watcher_is_woken_by_the_edge() {
        let hand = SimHandle::new(ActiveLevel::High, &[18]);
        let mut source = hand.source();
        let watcher = std::thread::spawn(move || source.wait(Duration::from_secs(60)).unwrap());
        hand.set(18, Level::High);
        assert_eq!(watcher.join().unwrap().map(|edge| edge.level), Some(Level::High));
    }

    #[test]
    fn a_flood_keeps_the_newest_edges_and_no_more_than_the_kernel_would() {
        let hand = SimHandle::new(ActiveLevel::Low, &[18]);
        let mut source = hand.source();
        for _ in 0..QUEUE_MAX {
            hand.set(18, Level::Low);
            hand.set(18, Level::High);
        }
        let mut kept = Vec::new();
        while let Some(edge) = source.wait(Duration::ZERO).unwrap() {
            kept.push(edge.level);
        }
        assert_eq!((kept.len(), kept.last()), (QUEUE_MAX, Some(&Level::High)));
    }
}
