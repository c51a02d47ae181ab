//! camera-capture: the picture of the instant a contact closes, kept safe and delivered.
//!
//! ```text
//!  gpio/ ──edge──▶ trigger/ ──trigger──▶ capture ──image──▶ store/ ──upload──▶ upload/ ──▶ target/
//!                                           ▲                │
//!                                         frame              ├─▶ retention
//!                                         source/            └─▶ web/
//! ```
//!
//! Start reading at [`daemon`]; `ARCHITECTURE.md` is the map.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may do what only one place of the program may")
)]

pub mod advice;
pub mod alarms;
pub mod backoff;
pub mod capture;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod clock_watch;
pub mod config;
pub mod crash;
pub mod daemon;
pub mod daily;
pub mod demo;
pub mod descriptors;
pub mod folder;
pub mod gpio;
pub mod media;
pub mod model;
pub mod pace;
pub mod retention;
pub mod signals;
pub mod source;
pub mod status;
pub mod storage;
pub mod store;
pub mod supervise;
pub mod systemd;
pub mod target;
pub mod tls;
pub mod trigger;
pub mod upkeep;
pub mod upload;
pub mod web;
pub mod workers;
