//! Delivery: one lane for each target, from the durable queue, for as long as it takes.

mod analysis;
mod connectivity;
#[cfg(test)]
#[path = "tests/crash.rs"]
mod crash_tests;
mod flight;
mod outcome_writer;
mod policy;
#[cfg(test)]
#[path = "tests/policy.rs"]
mod policy_tests;
mod rounds;
mod shared_links;
#[cfg(test)]
#[path = "tests/simulated_target.rs"]
mod simulated_target_tests;
#[cfg(test)]
#[path = "tests/simulation.rs"]
mod simulation_tests;
#[cfg(test)]
#[path = "tests/testing.rs"]
mod testing;
mod worker;

pub use analysis::{AnalysedNow, AnalysisHandle, AnalysisLane, NotAnalysed, watched};
pub use connectivity::Connectivity;
pub use worker::Lane;

#[cfg(test)]
pub(crate) use crash_tests::POINTS as CRASH_POINTS;
