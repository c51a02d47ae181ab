//! Delivery: one lane for each target, from the durable queue, for as long as it takes.

mod connectivity;
#[cfg(test)]
mod crash_tests;
mod flight;
mod outcome_writer;
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

pub use connectivity::Connectivity;
pub use worker::Lane;

#[cfg(test)]
pub(crate) use crash_tests::POINTS as CRASH_POINTS;
