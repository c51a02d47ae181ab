//! How long a camera takes from the light on its sensor to the first packet, as set or measured; it may change while
//! the camera's session goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Where a latency is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatencyOrigin {
    /// `CAMERA_n_LATENCY_MS`.
    Setting,
    /// The latency page.
    Measured,
    /// Nowhere: it counts as none.
    Unknown,
}

/// The latency of one camera, shared by whoever uses, measures and shows it.
#[derive(Clone, Debug)]
pub struct Latency(Arc<watch::Sender<(Duration, LatencyOrigin)>>);

impl Latency {
    /// As set, or unknown.
    pub(super) fn new(setting: Option<Duration>) -> Self {
        let known =
            setting.map_or((Duration::ZERO, LatencyOrigin::Unknown), |set| (set, LatencyOrigin::Setting));
        Self(Arc::new(watch::Sender::new(known)))
    }

    /// What holds now.
    pub fn get(&self) -> Duration {
        self.0.borrow().0
    }

    /// Where that is known from.
    pub fn origin(&self) -> LatencyOrigin {
        self.0.borrow().1
    }

    /// Takes what was measured, or forgets it, from the next frame on. A setting stays, and the answer is `false`.
    pub fn measured(&self, latency: Option<Duration>) -> bool {
        self.0.send_if_modified(|known| {
            let is_free = known.1 != LatencyOrigin::Setting;
            if is_free {
                *known = latency.map_or((Duration::ZERO, LatencyOrigin::Unknown), |taken| {
                    (taken, LatencyOrigin::Measured)
                });
            }
            is_free
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_wins_over_what_was_measured() {
        let (ms, latency) = (Duration::from_millis, Latency::new(Some(Duration::from_millis(120))));
        assert!(!latency.measured(Some(ms(80))));
        assert_eq!((latency.get(), latency.origin()), (ms(120), LatencyOrigin::Setting));
        let latency = Latency::new(None);
        let shared = latency.clone();
        assert!(latency.measured(Some(ms(80))));
        assert_eq!((shared.get(), shared.origin()), (ms(80), LatencyOrigin::Measured));
        assert!(latency.measured(None));
        assert_eq!((shared.get(), shared.origin()), (ms(0), LatencyOrigin::Unknown));
    }
}
