//! What each device has brought since the program started: for people and monitors, so that a camera that went silent or
//! sends garbage is seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{DeviceName, UnixMs};

/// What one device has brought since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushCount {
    /// New pictures, stored.
    pub stored: u64,
    /// Pictures that it had sent before.
    pub known: u64,
    /// What was refused.
    pub refused: u64,
    /// When the last picture came, new or not.
    pub last_at: Option<UnixMs>,
}

/// A handle on the counts of all devices. There are no more of them than devices that are configured.
#[derive(Clone, Debug, Default)]
pub(super) struct PushCounts(Arc<Mutex<BTreeMap<DeviceName, PushCount>>>);

impl PushCounts {
    /// One more picture of a device, which came at `at`.
    pub(super) fn accepted(&self, device: &DeviceName, at: UnixMs, was_known: bool) {
        self.change(device, |count| {
            *(if was_known { &mut count.known } else { &mut count.stored }) += 1;
            count.last_at = Some(at);
        });
    }

    /// One more that was refused.
    pub(super) fn refused(&self, device: &DeviceName) {
        self.change(device, |count| count.refused += 1);
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeMap<DeviceName, PushCount> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, device: &DeviceName, change: impl FnOnce(&mut PushCount)) {
        // Every change leaves the counts whole.
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(device.clone()).or_default());
    }
}
