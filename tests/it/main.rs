//! Stories of the whole program and of its parts against real peers.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in test functions, not in their helpers")]
#![allow(clippy::disallowed_methods, reason = "tests may do what only one place of the program may")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy.toml allows it in test functions, not in their helpers"
)]

mod burst;
mod config;
mod demo_receiver;
mod demo_rtsp;
mod deploy;
mod e2e;
mod front;
mod front_secured;
mod gpio_pishim;
mod password;
mod pictures;
mod store_crash;
mod store_full;
mod support;
mod targets;
mod web;
