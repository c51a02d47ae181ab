//! Stories of the whole program and of its parts against real peers.

mod e2e_capture;
mod e2e_commands;
mod e2e_crash;
mod e2e_faults;
mod e2e_idle;
mod e2e_offline;
mod support;
