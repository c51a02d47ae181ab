//! `STATUS_DISPLAY…`: a small display at the box.

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{choice, whole};

/// Words of `STATUS_DISPLAY`.
const KINDS: &[(&str, Option<DisplayKind>)] =
    &[("off", None), ("ssd1306", Some(DisplayKind::Ssd1306)), ("sh1106", Some(DisplayKind::Sh1106))];

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
    /// `STATUS_DISPLAY_BUS`: the number of `/dev/i2c-1`.
    pub bus: u8,
    /// `STATUS_DISPLAY_ADDRESS`, seven bits.
    pub address: u8,
}

impl DisplayConfig {
    /// `None` where there is no display.
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Option<Self>> {
        let kind = reader.required("STATUS_DISPLAY", choice(KINDS));
        let bus = reader.required("STATUS_DISPLAY_BUS", whole(0..=255, ""));
        let address = reader.required("STATUS_DISPLAY_ADDRESS", address);
        let (kind, bus, address) = (kind?, bus?, address?);
        // The range above fits.
        let bus = u8::try_from(bus).unwrap_or(1);
        Ok(kind.map(|kind| Self { kind, bus, address }))
    }
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
        let usual = DisplayConfig { kind: DisplayKind::Ssd1306, bus: 1, address: 0x3c };
        assert_eq!(config(&[("STATUS_DISPLAY", "SSD1306")]).display, Some(usual));
        let other =
            [("STATUS_DISPLAY", "sh1106"), ("STATUS_DISPLAY_BUS", "3"), ("STATUS_DISPLAY_ADDRESS", "0x3D")];
        let expected = DisplayConfig { kind: DisplayKind::Sh1106, bus: 3, address: 0x3d };
        assert_eq!(config(&other).display, Some(expected));
    }

    #[test]
    fn a_display_that_cannot_be_is_a_problem() {
        for (name, value) in [
            ("STATUS_DISPLAY", "ssd1309"),
            ("STATUS_DISPLAY_BUS", "256"),
            ("STATUS_DISPLAY_ADDRESS", "3c"),
            ("STATUS_DISPLAY_ADDRESS", "0x80"),
        ] {
            assert!(problem(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
        assert!(problem(&[("STATUS_DISPLAY_ADDRESS", "0x78")]).contains("0x3c"));
    }
}
