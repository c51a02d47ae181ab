//! Contacts: edges and levels of GPIO lines, from three back ends behind one narrow trait.

use std::time::{Duration, Instant};

/// BCM number of a line.
pub type Pin = u8;

/// What a line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Near ground.
    Low,
    /// Near the supply.
    High,
}

/// A level change, as the kernel reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Which line.
    pub pin: Pin,
    /// The level after the change.
    pub level: Level,
    /// When, by the kernel's time stamp where there is one.
    pub at: Instant,
}

/// Lines that can be waited on. Blocking: one thread owns it.
pub trait EdgeSource: Send {
    /// Waits for the next edge of any line; `None` when `timeout` passes first. A signal does not end the wait with an error.
    fn wait(&mut self, timeout: Duration) -> Result<Option<Edge>, GpioError>;

    /// The level of every line now.
    fn levels(&mut self) -> Result<Vec<(Pin, Level)>, GpioError>;

    /// Which back end this is, for people: `rppal`, `cdev` or `sim`.
    fn name(&self) -> &'static str;
}

/// A back end that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GpioError {
    /// Placeholder until the back ends exist.
    #[error("{0}")]
    Unusable(String),
}
