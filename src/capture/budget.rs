//! How much of the processor, and of the memory, cameras in mode auto may keep busy.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::CameraKey;

/// A handle on the budget of all cameras.
#[derive(Clone)]
pub(super) struct Budget(Arc<Mutex<Inner>>);

/// Bytes of the decoders that cameras in mode auto keep: half of the room, so that the others' triggers find some.
const BYTES_MAX: u64 = 96 << 20;

struct Inner {
    cores: f64,
    taken: BTreeMap<CameraKey, (f64, u64)>,
}

impl Budget {
    /// `percent` of the cores of this machine.
    pub(super) fn new(percent: u8) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::of(f64::from(percent) / 100.0 * f64::from(u32::try_from(cores).unwrap_or(1)))
    }

    fn of(cores: f64) -> Self {
        Self(Arc::new(Mutex::new(Inner { cores, taken: BTreeMap::new() })))
    }

    /// Takes a share of one core and so many bytes for a camera, in place of what it had; whether there is so much.
    pub(super) fn reserve(&self, camera: &CameraKey, share: f64, bytes: u64) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.taken.remove(camera);
        let taken: f64 = inner.taken.values().map(|(share, _)| share).sum();
        let kept: u64 = inner.taken.values().map(|(_, bytes)| bytes).sum();
        let fits = taken + share <= inner.cores && kept.saturating_add(bytes) <= BYTES_MAX;
        if fits {
            inner.taken.insert(camera.clone(), (share, bytes));
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_share_the_budget_and_none_takes_it_twice() {
        let (r1, r2) = (CameraKey::parse("r1").unwrap(), CameraKey::parse("r2").unwrap());
        let budget = Budget::of(0.5);
        assert!(budget.reserve(&r1, 0.3, 1) && budget.reserve(&r1, 0.4, 1));
        assert!(!budget.reserve(&r2, 0.2, 1));
        assert!(budget.reserve(&r1, 0.1, 1) && budget.reserve(&r2, 0.4, BYTES_MAX - 1));
        assert!(!budget.reserve(&r1, 0.1, 2));
    }
}
