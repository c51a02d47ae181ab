//! The dashboard's server over real HTTP on loopback: who may have what, and what they get.

mod access;
mod content;
pub(crate) mod harness;
