//! The memory of pictures that are on their way: 64 MiB for all, half of it for one device.
//!
//! Pictures of cameras never come near it; it keeps those that send without end from taking the machine's memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of all.
const HELD_MAX: usize = 64 << 20;

/// Bytes of one device: two of the largest pictures.
const HELD_OF_DEVICE_MAX: usize = 32 << 20;

/// What every device has in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldBytes(Arc<Mutex<BTreeMap<u8, usize>>>);

/// The part of one file, given back when this is dropped.
#[derive(Debug)]
pub(super) struct HeldShare {
    held: HeldBytes,
    device: u8,
    bytes: usize,
}

impl HeldBytes {
    /// A part of a device by its number, with nothing in it.
    pub(super) fn share(&self, device: u8) -> HeldShare {
        HeldShare { held: self.clone(), device, bytes: 0 }
    }
}

impl HeldShare {
    /// Takes more, if there is room.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let mut held = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = held.values().sum();
        let own = held.entry(self.device).or_default();
        if all + bytes > HELD_MAX || *own + bytes > HELD_OF_DEVICE_MAX {
            return false;
        }
        *own += bytes;
        self.bytes += bytes;
        true
    }
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        let mut held = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get_mut(&self.device) {
            *own = own.saturating_sub(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_gets_half_and_all_together_no_more_than_there_is() {
        let held = HeldBytes::default();
        let (mut one, mut two, mut three) = (held.share(1), held.share(2), held.share(3));
        assert!(one.grow(HELD_OF_DEVICE_MAX) && !one.grow(1));
        assert!(!held.share(1).grow(1), "it is the device's, not the file's");
        assert!(two.grow(HELD_OF_DEVICE_MAX) && !three.grow(1));
        drop(one);
        assert!(three.grow(HELD_OF_DEVICE_MAX));
    }
}
