//! `GPIO_…`: contacts.

use std::time::Duration;

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{boolean, choice, short, whole};

/// Highest BCM number on the 40-pin header of a Raspberry Pi.
const PIN_MAX: u64 = 27;

/// Longest `GPIO_BOUNCE_TIME`, milliseconds: a contact that is deaf for longer than a minute is a mistake.
const BOUNCE_MS_MAX: u64 = 60_000;

/// Words of `GPIO_BACKEND`.
pub(super) const BACKENDS: &[(&str, GpioBackend)] = &[
    ("auto", GpioBackend::Auto),
    ("rppal", GpioBackend::Rppal),
    ("cdev", GpioBackend::Cdev),
    ("sim", GpioBackend::Sim),
];

/// Words of `GPIO_ACTIVE`.
pub(super) const ACTIVE_LEVELS: &[(&str, ActiveLevel)] =
    &[("low", ActiveLevel::Low), ("high", ActiveLevel::High)];

/// Contacts (`GPIO_…`).
#[derive(Clone, Debug)]
pub struct GpioConfig {
    /// Whether hardware (or its simulation) is touched at all.
    pub enabled: bool,
    /// Whether an edge takes a picture; if not, contacts are only shown.
    pub trigger_enabled: bool,
    /// Which back end serves the lines.
    pub backend: GpioBackend,
    /// Which level means that the contact is closed.
    pub active: ActiveLevel,
    /// How long a line is deaf after a trigger, 1 ms to 60 s.
    pub bounce: Duration,
    /// The chip, by number, path, name or label; `None` looks for the Pi's header.
    pub chip: Option<String>,
}

/// `GPIO_BACKEND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpioBackend {
    /// rppal on a Raspberry Pi, else the character device.
    Auto,
    /// rppal.
    Rppal,
    /// The kernel's GPIO character device.
    Cdev,
    /// Simulated pins.
    Sim,
}

/// `GPIO_ACTIVE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveLevel {
    /// The contact pulls the line to ground; the internal pull-up is switched on.
    Low,
    /// The contact pulls the line up; the internal pull-down is switched on.
    High,
}

impl GpioConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let enabled = reader.required("GPIO_ENABLED", boolean);
        let trigger_enabled = reader.required("GPIO_TRIGGER_ENABLED", boolean);
        let backend = reader.required("GPIO_BACKEND", choice(BACKENDS));
        let active = reader.required("GPIO_ACTIVE", choice(ACTIVE_LEVELS));
        let bounce = reader.required("GPIO_BOUNCE_TIME", whole(1..=BOUNCE_MS_MAX, "ms"));
        let chip = reader.optional("GPIO_CHIP", short(128));
        Ok(Self {
            enabled: enabled?,
            trigger_enabled: trigger_enabled?,
            backend: backend?,
            active: active?,
            bounce: Duration::from_millis(bounce?),
            chip: chip?,
        })
    }
}

/// Reads `GPIO_CAMERA_n_PIN`: a BCM number, or `none` for a camera without a contact.
pub(super) fn pin(text: &str) -> Result<Option<u8>, Wrong> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let accepted = "the BCM number of a pin, 0 to 27, or none";
    let number = whole(0..=PIN_MAX, "")(text).map_err(|wrong| Wrong::new(wrong.what, accepted))?;
    Ok(u8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem};
    use super::*;

    #[test]
    fn hardware_is_left_alone_unless_asked_for() {
        let gpio = config(&[]).gpio;
        assert!(!gpio.enabled && gpio.trigger_enabled);
        assert_eq!((gpio.backend, gpio.active), (GpioBackend::Auto, ActiveLevel::Low));
        assert_eq!((gpio.bounce, gpio.chip), (Duration::from_millis(300), None));
    }

    #[test]
    fn every_setting_is_read() {
        let gpio = config(&[
            ("GPIO_ENABLED", "yes"),
            ("GPIO_TRIGGER_ENABLED", "off"),
            ("GPIO_BACKEND", "Sim"),
            ("GPIO_ACTIVE", "HIGH"),
            ("GPIO_BOUNCE_TIME", "50"),
            ("GPIO_CHIP", "pinctrl-rp1"),
        ])
        .gpio;
        assert!(gpio.enabled && !gpio.trigger_enabled);
        assert_eq!((gpio.backend, gpio.active), (GpioBackend::Sim, ActiveLevel::High));
        assert_eq!((gpio.bounce, gpio.chip.as_deref()), (Duration::from_millis(50), Some("pinctrl-rp1")));
    }

    #[test]
    fn what_is_no_setting_is_a_problem() {
        for (name, value, start) in [
            ("GPIO_ENABLED", "ja", "GPIO_ENABLED: neither true nor false (seen \"ja\"), accepted: true, "),
            (
                "GPIO_BACKEND",
                "pigpio",
                "GPIO_BACKEND: not one of the known words (seen \"pigpio\"), accepted: auto,",
            ),
            ("GPIO_ACTIVE", "0", "GPIO_ACTIVE: not one of the known words (seen \"0\"), accepted: low, high"),
            ("GPIO_BOUNCE_TIME", "0", "GPIO_BOUNCE_TIME: out of range (seen \"0\"), accepted: 1 to 60000 ms"),
            ("GPIO_BOUNCE_TIME", "60001", "GPIO_BOUNCE_TIME: out of range"),
            (
                "GPIO_CAMERA_1_PIN",
                "28",
                "GPIO_CAMERA_1_PIN: out of range (seen \"28\"), accepted: the BCM number",
            ),
            ("GPIO_CAMERA_1_PIN", "GPIO18", "GPIO_CAMERA_1_PIN: not a whole number"),
        ] {
            let text = problem(&[("CAMERA_1_IP", "10.0.0.1"), (name, value)]);
            assert!(text.starts_with(start), "{text}");
        }
    }
}
