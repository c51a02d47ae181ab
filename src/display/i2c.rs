//! The wire to a display on a Linux machine: `/dev/i2c-1`, by rppal.

use std::io;

use rppal::i2c::{Error, I2c};

use super::panel::DisplayWire;

/// Longest wait for a bus that somebody holds, in tens of milliseconds.
const TIMEOUT: u32 = 20;

/// One address on one bus.
pub(super) struct I2cWire(I2c);

impl I2cWire {
    /// Opens the bus; nothing is written.
    pub(super) fn open(bus: u8, address: u8) -> io::Result<Self> {
        let mut i2c = I2c::with_bus(bus).map_err(failed)?;
        i2c.set_slave_address(u16::from(address)).map_err(failed)?;
        i2c.set_timeout(TIMEOUT).map_err(failed)?;
        Ok(Self(i2c))
    }
}

impl DisplayWire for I2cWire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.0.write(bytes).map_err(failed)?;
        if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
