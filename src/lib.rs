//! camera-capture: the picture of the instant a contact closes, kept safe and delivered.
//!
//! ```text
//!  gpio/ ──edge──▶ trigger/ ──trigger──▶ capture/ ─image──▶ store/ ──upload──▶ upload/ ──▶ targets/
//!                                           ▲                │
//!                                         frame              ├─▶ disk/
//!                                         source/            └─▶ web/
//! ```
//!
//! Start reading at [`daemon`]; `ARCHITECTURE.md` is the map.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may do what only one place of the program may")
)]

pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod disk;
pub mod display;
pub mod gpio;
pub mod ingest;
pub mod media;
pub mod model;
pub mod source;
pub mod status;
pub mod store;
pub mod system;
pub mod targets;
pub mod trigger;
pub mod upload;
pub mod web;
