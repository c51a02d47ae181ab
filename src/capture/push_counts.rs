//! What each device has brought since the program started: for people and monitors, so that a camera that went silent or
//! sends garbage is seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{DeviceName, NoPicture, UnixMs};

/// What one device has brought since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushCount {
    /// New pictures, stored.
    pub stored: u64,
    /// Pictures that it had sent before.
    pub known: u64,
    /// What was refused.
    pub refused: u64,
    /// When the last picture came, new or not.
    pub last_at: Option<UnixMs>,
    /// What was refused last.
    pub last_refusal: Option<LastRefusal>,
}

/// What of a device was refused last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRefusal {
    /// When it came.
    pub at: UnixMs,
    /// Why it is none.
    pub reason: NoPicture,
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

    /// One more that was refused; it came at `at`.
    pub(super) fn refused(&self, device: &DeviceName, at: UnixMs, reason: &NoPicture) {
        self.change(device, |count| {
            count.refused += 1;
            count.last_refusal = Some(LastRefusal { at, reason: reason.clone() });
        });
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
