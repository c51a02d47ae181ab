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
mod e2e_attack;
mod e2e_backlog;
mod e2e_bent;
mod e2e_capture;
mod e2e_clips;
mod e2e_clock;
mod e2e_codecs;
mod e2e_commands;
mod e2e_conformance;
mod e2e_crash;
mod e2e_database;
mod e2e_disk;
mod e2e_engine;
mod e2e_faults;
mod e2e_former;
mod e2e_hostile;
mod e2e_idle;
mod e2e_lacking;
mod e2e_lanes;
mod e2e_line;
mod e2e_links;
mod e2e_live;
mod e2e_many;
mod e2e_memory;
mod e2e_modes;
mod e2e_odd_servers;
mod e2e_offline;
mod e2e_owner;
mod e2e_robust;
mod e2e_s3;
mod e2e_secured;
mod e2e_snapshot;
mod e2e_snapshot_odd;
mod e2e_stamps;
mod e2e_startup;
mod e2e_storage;
mod e2e_torture;
mod e2e_tryout;
mod e2e_words;
mod e2e_yardstick;
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
