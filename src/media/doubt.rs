//! What is not sure of a picture's instant, in words.

use std::fmt;
use std::time::Duration;

/// Doubt is told in steps of this, from so much on.
const STEP_MS: u128 = 10;
const SURE_MS: u128 = 20;

/// Why an instant may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoubtCause {
    /// The stamps are no clock; it is that of arrival.
    Arrival,
    /// The stamps run at another pace and were scaled.
    Scaled,
    /// The frame came late by its stamp.
    Late,
}

/// How far an instant may be off, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Why.
    pub cause: DoubtCause,
    /// Beyond the delay of camera and network.
    pub within: Duration,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.within.as_millis().max(SURE_MS).div_ceil(STEP_MS) * STEP_MS;
        match self.cause {
            DoubtCause::Arrival => write!(
                f,
                "the camera's time stamps are no clock, so the time is that of arrival, right to about {ms} ms"
            ),
            DoubtCause::Scaled => write!(
                f,
                "the camera's time stamps run at another pace than its pictures and were corrected; the time is right to \
                 about {ms} ms"
            ),
            DoubtCause::Late => {
                write!(f, "the picture arrived {ms} ms late, so its time may be wrong by as much")
            }
        }
    }
}
