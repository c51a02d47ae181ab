//! Delivery: one lane for each target, from the durable queue, for as long as it takes.

mod connectivity;
#[cfg(test)]
mod crash_tests;
mod desk;
mod flight;
mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod simulated_target_tests;
#[cfg(test)]
mod simulation_tests;
#[cfg(test)]
mod testing;
mod worker;

use std::sync::Arc;

use tokio::sync::Notify;

pub use connectivity::Connectivity;
pub use worker::Lane;

#[cfg(test)]
pub(crate) use crash_tests::POINTS as CRASH_POINTS;

/// A handle on one lane.
#[derive(Clone, Debug, Default)]
pub struct Poke(Arc<Notify>);

impl Poke {
    /// Ends a pause: someone asked for a try, or the target can be reached again.
    pub fn poke(&self) {
        self.0.notify_one();
    }

    async fn poked(&self) {
        self.0.notified().await;
    }
}
