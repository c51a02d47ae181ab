//! The server on loopback, with a real store: scripted devices, byte by byte, and clients that misbehave.

mod cameras;
mod misuse;
mod rig;
mod secured;
