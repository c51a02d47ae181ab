//! Contacts: edges and levels of GPIO lines, from three back ends behind one narrow trait.
//!
//! | back end | what it talks to | time stamps |
//! |---|---|---|
//! | `rppal` | a Raspberry Pi's registers and character device, by the rppal crate | kernel |
//! | `cdev` | the GPIO character device of any Linux board | kernel |
//! | `sim` | a [`SimHandle`] in this process | taken when the level is set |
//!
//! Every back end reports both edges of every line and filters nothing: what is a closed contact and what is bounce
//! is decided in [`crate::trigger::debounce`].

mod cdev;
mod rppal;
mod sim;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::config::{ActiveLevel, GpioBackend, GpioConfig};
pub use sim::SimHandle;

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

impl Level {
    /// As in the dashboard's API: `low` or `high`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
        }
    }

    /// Whether a contact wired for `active` is closed when its line shows this level.
    pub fn is_active(self, active: ActiveLevel) -> bool {
        self == Self::closed(active)
    }

    /// The level of a closed contact.
    pub fn closed(active: ActiveLevel) -> Self {
        match active {
            ActiveLevel::Low => Self::Low,
            ActiveLevel::High => Self::High,
        }
    }

    /// The level of an open contact, held by the internal resistor.
    pub fn open(active: ActiveLevel) -> Self {
        match active {
            ActiveLevel::Low => Self::High,
            ActiveLevel::High => Self::Low,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A level change, as the kernel reported it.
///
/// The kernel reads the level some time after the change, so a pulse that is shorter than its reaction shows up as
/// two edges with the same level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Which line.
    pub pin: Pin,
    /// The level after the change.
    pub level: Level,
    /// When, by the kernel's time stamp where there is one. Stamps of one line never go back; two lines may be
    /// reported out of order.
    pub at: Instant,
}

/// Lines that can be waited on. Blocking: one thread owns it. Dropping it gives the lines back.
pub trait EdgeSource: Send {
    /// Waits for the next edge of any line; `None` when `timeout` passes first, which also means that no edge was
    /// queued. A signal does not end the wait with an error.
    fn wait(&mut self, timeout: Duration) -> Result<Option<Edge>, GpioError>;

    /// The level of every line now. Edges still queued may be older than this.
    fn levels(&mut self) -> Result<Vec<(Pin, Level)>, GpioError>;

    /// Which back end this is, for people: `rppal`, `cdev` or `sim`.
    fn name(&self) -> &'static str;
}

/// Lines in use.
pub struct OpenedLines {
    /// Where their edges come from.
    pub source: Box<dyn EdgeSource>,
    /// The hand on the simulated contacts; `None` for hardware.
    pub sim: Option<SimHandle>,
}

impl fmt::Debug for OpenedLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("backend", &self.source.name()).field("sim", &self.sim).finish()
    }
}

/// Takes `pins` into use with the internal resistor that holds an open contact at its level.
///
/// Does not look at [`GpioConfig::enabled`]; a caller that must not touch hardware does not call. With
/// [`GpioBackend::Auto`] a Raspberry Pi is served by rppal, any other board by the character device. A Pi whose
/// registers or chip rppal cannot find is served by the character device too, and so is one with
/// [`GpioConfig::chip`] set, because rppal looks for the chip by itself. A pin named twice is taken once.
///
/// An error leaves no line in use; opening can be tried again.
pub fn open(config: &GpioConfig, pins: &[Pin]) -> Result<OpenedLines, GpioError> {
    let mut pins = pins.to_vec();
    pins.sort_unstable();
    pins.dedup();
    let source: Box<dyn EdgeSource> = match config.backend {
        GpioBackend::Sim => {
            let handle = SimHandle::new(config.active, &pins);
            return Ok(OpenedLines { source: Box::new(handle.source()), sim: Some(handle) });
        }
        GpioBackend::Rppal => Box::new(rppal::Rppal::open(config.active, &pins)?),
        GpioBackend::Cdev => Box::new(cdev::Cdev::open(config.active, config.chip.as_deref(), &pins)?),
        GpioBackend::Auto => open_auto(config, &pins)?,
    };
    Ok(OpenedLines { source, sim: None })
}

fn open_auto(config: &GpioConfig, pins: &[Pin]) -> Result<Box<dyn EdgeSource>, GpioError> {
    let chip = config.chip.as_deref();
    if chip.is_some() {
        return Ok(Box::new(cdev::Cdev::open(config.active, chip, pins)?));
    }
    let refusal = match rppal::Rppal::open(config.active, pins) {
        Ok(source) => return Ok(Box::new(source)),
        Err(refusal) => refusal,
    };
    match refusal {
        GpioError::NotAPi => Ok(Box::new(cdev::Cdev::open(config.active, None, pins)?)),
        GpioError::NoChip { .. } | GpioError::Permission { .. } => {
            match cdev::Cdev::open(config.active, None, pins) {
                Ok(source) => {
                    tracing::warn!(error = %refusal, "rppal is not usable, the character device is");
                    Ok(Box::new(source))
                }
                // On a Pi, what rppal missed is what the operator has to mend.
                Err(_) => Err(refusal),
            }
        }
        GpioError::Busy { .. } | GpioError::NoSuchLine { .. } | GpioError::Io { .. } => Err(refusal),
    }
}

/// Lines that cannot be used, or not any more. Each message ends with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum GpioError {
    /// rppal does not know this board.
    #[error(
        "this is not a Raspberry Pi that rppal knows; set GPIO_BACKEND=cdev (or auto), or sim to try without"
    )]
    NotAPi,
    /// There is no such GPIO chip.
    #[error(
        "no GPIO chip {wanted}; found {found}; set GPIO_CHIP to one of these, or check that the kernel has GPIO"
    )]
    NoChip {
        /// What was looked for.
        wanted: String,
        /// What there is, with labels, or `none`.
        found: String,
    },
    /// The device exists and this user may not open it.
    #[error("no permission to open {path}; add this user to the group gpio and start again")]
    Permission {
        /// The device.
        path: String,
    },
    /// Somebody else has the line.
    #[error("line {pin} is held by {}; remove that overlay or program, or choose another pin", Holder(.holder))]
    Busy {
        /// The line.
        pin: Pin,
        /// The consumer's name, if the kernel tells it.
        holder: Option<String>,
    },
    /// The chip has fewer lines.
    #[error("there is no line {pin} on this board; pins are BCM numbers, see pinout(1)")]
    NoSuchLine {
        /// The line.
        pin: Pin,
    },
    /// Anything else the kernel refused; a removed chip, for instance. Opening again may help.
    #[error("could not {what}")]
    Io {
        /// What was attempted, on what.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

struct Holder<'a>(&'a Option<String>);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "'{name}'"),
            None => f.write_str("another program or driver"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_line_says_which_by_whom_and_what_to_do() {
        let named = GpioError::Busy { pin: 18, holder: Some("w1".to_owned()) }.to_string();
        assert_eq!(named, "line 18 is held by 'w1'; remove that overlay or program, or choose another pin");
        let unnamed = GpioError::Busy { pin: 18, holder: None }.to_string();
        assert!(unnamed.starts_with("line 18 is held by another program or driver;"), "{unnamed}");
    }

    #[test]
    fn the_active_level_decides_which_level_is_closed() {
        assert!(Level::Low.is_active(ActiveLevel::Low) && Level::High.is_active(ActiveLevel::High));
        for active in [ActiveLevel::Low, ActiveLevel::High] {
            assert_ne!(Level::open(active), Level::closed(active));
        }
    }
}
