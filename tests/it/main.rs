//! Stories of the whole program and of its parts against real peers.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in test functions, not in their helpers")]

mod config;
mod demo_receiver;
mod demo_rtsp;
mod deploy;
mod gpio_pishim;
mod store_crash;
mod targets;
