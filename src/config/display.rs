//! `STATUS_DISPLAY…`: a small display at the box.

use std::time::Duration;

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{choice, whole};

/// Words of `STATUS_DISPLAY`.
const KINDS: &[(&str, Option<DisplayKind>)] = &[
    ("none", None),
    ("off", None),
    ("ssd1306", Some(DisplayKind::Ssd1306)),
    ("sh1106", Some(DisplayKind::Sh1106)),
];

/// The controller of a display of 128×64 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisplayKind {
    /// Most of 0.96 inch.
    Ssd1306,
    /// Most of 1.3 inch.
    Sh1106,
}

impl DisplayKind {
    /// As written in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssd1306 => "ssd1306",
            Self::Sh1106 => "sh1106",
        }
    }
}

/// A display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisplayConfig {
    /// `STATUS_DISPLAY`.
    pub kind: DisplayKind,
    /// Of `STATUS_DISPLAY_I2C`: the number of `/dev/i2c-1`.
    pub bus: u8,
    /// Of `STATUS_DISPLAY_I2C`, seven bits.
    pub address: u8,
    /// `STATUS_DISPLAY_SLEEP`, 60 s to a day: after so long without anything it is dark.
    pub sleep: Duration,
}

impl DisplayConfig {
    /// `None` where there is no display.
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Option<Self>> {
        let kind = reader.required("STATUS_DISPLAY", choice(KINDS));
        let place = reader.required("STATUS_DISPLAY_I2C", place);
        let sleep = reader.required("STATUS_DISPLAY_SLEEP", whole(60..=86_400, "seconds"));
        let (kind, (bus, address), sleep) = (kind?, place?, sleep?);
        Ok(kind.map(|kind| Self { kind, bus, address, sleep: Duration::from_secs(sleep) }))
    }

    /// As `STATUS_DISPLAY_I2C` has it.
    pub fn place(&self) -> String {
        format!("{}:{:#04x}", self.bus, self.address)
    }
}

/// A bus and an address on it, such as `1:0x3c`.
fn place(text: &str) -> Result<(u8, u8), Wrong> {
    let parts = text.split_once(':').and_then(|(bus, rest)| Some((bus.parse().ok()?, rest)));
    let (bus, rest) = parts
        .ok_or_else(|| Wrong::new("not a bus and an address", "such as 1:0x3c for 0x3c on /dev/i2c-1"))?;
    Ok((bus, address(rest)?))
}

/// An I²C address that a device can have, as its maker prints it.
fn address(text: &str) -> Result<u8, Wrong> {
    let accepted = "0x08 to 0x77; nearly all displays have 0x3c, some 0x3d";
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    match number {
        Some(number @ 0x08..=0x77) => Ok(number),
        Some(0x78 | 0x7a) => Err(Wrong::new(
            "the address with a bit for reading and writing behind it",
            "half of it: 0x3c for 0x78, 0x3d for 0x7a",
        )),
        _ => Err(Wrong::new("not an I2C address", accepted)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem};
    use super::*;

    /// S1.9
    #[test]
    fn there_is_no_display_unless_one_is_named() {
        assert_eq!(config(&[]).display, None);
        let sleep = Duration::from_secs(300);
        let usual = DisplayConfig { kind: DisplayKind::Ssd1306, bus: 1, address: 0x3c, sleep };
        assert_eq!(config(&[("STATUS_DISPLAY", "SSD1306")]).display, Some(usual));
        let other =
            [("STATUS_DISPLAY", "sh1106"), ("STATUS_DISPLAY_I2C", "3:0x3D"), ("STATUS_DISPLAY_SLEEP", "60")];
        let sleep = Duration::from_secs(60);
        let expected = DisplayConfig { kind: DisplayKind::Sh1106, bus: 3, address: 0x3d, sleep };
        assert_eq!(expected.place(), "3:0x3d");
        for none in ["none", "off"] {
            assert_eq!(config(&[("STATUS_DISPLAY", none)]).display, None);
        }
        assert_eq!(config(&other).display, Some(expected));
    }

    #[test]
    fn a_display_that_cannot_be_is_a_problem() {
        for (name, value) in [
            ("STATUS_DISPLAY", "ssd1309"),
            ("STATUS_DISPLAY_I2C", "256:0x3c"),
            ("STATUS_DISPLAY_I2C", "0x3c"),
            ("STATUS_DISPLAY_I2C", "1:3c"),
            ("STATUS_DISPLAY_I2C", "1:0x80"),
            ("STATUS_DISPLAY_SLEEP", "59"),
        ] {
            assert!(problem(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
        assert!(problem(&[("STATUS_DISPLAY_I2C", "1:0x78")]).contains("0x3c"));
    }
}
