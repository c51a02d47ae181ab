//! The dashboard's server over real HTTP on loopback: who may have what, and what they get.

mod access;
mod content;
mod crowds;
mod described;
mod door;
mod guessing;
mod harness;
mod linking;
mod live;
mod people;
mod plates;
mod proxy;
mod receiving;
mod shapes;
mod streaming;
mod uploads;
mod viewing;
