//! A Raspberry Pi's lines, by rppal 0.22.
//!
//! Only its synchronous interface is used. The asynchronous one answers `Ok` for a line that is busy, because it asks
//! for the line later on a thread of its own, and that thread ends for ever at the first interrupted system call:
//! SIGSTOP and SIGCONT, `systemctl freeze` and `thaw`. Nor is its `debounce` used: that is the kernel's filter, which
//! swallows a press shorter than the period and stamps a longer one at the end of it.

use std::io;
use std::time::{Duration, Instant};

use rppal::gpio::{Error, Gpio, InputPin, Trigger};

use super::{Edge, EdgeSource, GpioError, Level, Pin, cdev};
use crate::clock::instant_of_monotonic;
use crate::config::ActiveLevel;

/// Lines of a Raspberry Pi's header.
///
/// Dropping it returns the lines to the kernel and switches the resistors off.
pub(super) struct Rppal {
    /// Dropped before `gpio`: the last of both to go releases the lines.
    pins: Vec<InputPin>,
    gpio: Gpio,
}

impl Rppal {
    /// Takes the lines into use.
    pub(super) fn open(active: ActiveLevel, pins: &[Pin]) -> Result<Self, GpioError> {
        let gpio =
            Gpio::new().map_err(|error| explain(error, None, "open the GPIO chip of this Raspberry Pi"))?;
        // rppal writes mode and resistor into the registers before it asks the kernel for the line; on a line that
        // belongs to somebody else that would turn an output into an input.
        if let Some(busy) = cdev::find_busy(pins) {
            return Err(busy);
        }
        let mut opened = Self { pins: Vec::with_capacity(pins.len()), gpio };
        for pin in pins {
            let what = "take the line into use";
            let idle = opened.gpio.get(*pin).map_err(|error| explain(error, Some(*pin), what))?;
            let mut input = match active {
                ActiveLevel::Low => idle.into_input_pullup(),
                ActiveLevel::High => idle.into_input_pulldown(),
            };
            input.set_interrupt(Trigger::Both, None).map_err(|error| explain(error, Some(*pin), what))?;
            opened.pins.push(input);
        }
        Ok(opened)
    }
}

impl EdgeSource for Rppal {
    fn wait(&mut self, timeout: Duration) -> Result<Option<Edge>, GpioError> {
        let deadline = Instant::now() + timeout;
        let pins: Vec<&InputPin> = self.pins.iter().collect();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.gpio.poll_interrupts(&pins, false, Some(whole_ms(left))) {
                Ok(Some((pin, event))) => {
                    let level = match event.trigger {
                        Trigger::RisingEdge => Level::High,
                        Trigger::FallingEdge => Level::Low,
                        Trigger::Both | Trigger::Disabled => level_of(pin),
                    };
                    return Ok(Some(Edge {
                        pin: pin.pin(),
                        level,
                        at: instant_of_monotonic(event.timestamp),
                    }));
                }
                Ok(None) => return Ok(None),
                // epoll_wait(2) is interrupted by SIGCONT even without a handler, see signal(7).
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(explain(error, None, "wait for edges")),
            }
        }
    }

    fn levels(&mut self) -> Result<Vec<(Pin, Level)>, GpioError> {
        Ok(self.pins.iter().map(|pin| (pin.pin(), level_of(pin))).collect())
    }

    fn name(&self) -> &'static str {
        "rppal"
    }
}

fn level_of(pin: &InputPin) -> Level {
    match pin.read() {
        rppal::gpio::Level::Low => Level::Low,
        rppal::gpio::Level::High => Level::High,
    }
}

/// rppal cuts a time-out down to whole milliseconds; what is left of the last one would be spent polling.
fn whole_ms(left: Duration) -> Duration {
    Duration::from_millis(u64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
}

fn explain(error: Error, pin: Option<Pin>, what: &str) -> GpioError {
    let what = pin.map_or_else(|| what.to_owned(), |pin| format!("{what} (line {pin})"));
    match (error, pin) {
        (Error::UnknownModel, _) => GpioError::NotAPi,
        (Error::PermissionDenied(path), _) => GpioError::Permission { path },
        (Error::PinNotAvailable(pin), _) => GpioError::NoSuchLine { pin },
        (Error::PinUsed(pin), _) => GpioError::Busy { pin, holder: Some("this program".to_owned()) },
        (Error::Io(error), Some(pin)) if error.kind() == io::ErrorKind::ResourceBusy => {
            GpioError::Busy { pin, holder: None }
        }
        // Opening ends like this at the first missing /dev/gpiochip number, or without /dev/gpiomem.
        (Error::Io(error), None) if error.kind() == io::ErrorKind::NotFound => GpioError::NoChip {
            wanted: "of a Raspberry Pi (/dev/gpiochip0 and on, /dev/gpiomem)".to_owned(),
            found: cdev::list_chips(),
        },
        (Error::Io(source), _) => GpioError::Io { what, source },
        (Error::ThreadPanic, _) => {
            GpioError::Io { what, source: io::Error::other("rppal's thread panicked") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_never_cut_down_to_a_busy_loop() {
        assert_eq!(whole_ms(Duration::from_micros(1)), Duration::from_millis(1));
        assert_eq!(whole_ms(Duration::from_micros(4_001)), Duration::from_millis(5));
        assert_eq!(whole_ms(Duration::ZERO), Duration::ZERO);
    }
}
