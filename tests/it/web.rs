//! The dashboard's server over real HTTP on loopback: who may have what, and what they get.

mod access;
mod content;
mod door;
mod harness;
mod live;
mod uploads;
mod viewing;
