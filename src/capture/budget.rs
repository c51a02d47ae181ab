//! How much of the processor cameras in mode auto may keep busy.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::CameraKey;

/// A handle on the budget of all cameras.
#[derive(Clone)]
pub(super) struct Budget(Arc<Mutex<Inner>>);

struct Inner {
    cores: f64,
    taken: BTreeMap<CameraKey, f64>,
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

    /// Takes a share of one core for a camera, in place of what it had; whether there is so much.
    pub(super) fn reserve(&self, camera: &CameraKey, share: f64) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.taken.remove(camera);
        let taken: f64 = inner.taken.values().sum();
        let fits = taken + share <= inner.cores;
        if fits {
            inner.taken.insert(camera.clone(), share);
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
        assert!(budget.reserve(&r1, 0.3) && budget.reserve(&r1, 0.4));
        assert!(!budget.reserve(&r2, 0.2));
        assert!(budget.reserve(&r1, 0.1) && budget.reserve(&r2, 0.4));
    }
}
