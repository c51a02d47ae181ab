//! The dashboard's server over real HTTP on loopback: who may have what, and what they get.

mod access;
mod content;
mod crowds;
mod described;
mod door;
mod guessing;
pub(crate) mod harness;
mod linking;
mod live;
mod people;
mod plates;
mod proxy;
mod receiving;
mod shapes;
pub(crate) mod streaming;
mod uploads;
mod viewing;
