//! What the operating system gives and asks: signals, the service manager, folders and files by handle, memory, its clock, TLS.

pub mod crash;
pub mod folder;
pub mod memory;
pub mod signals;
pub mod systemd;
pub mod timex;
pub mod tls;
pub mod tree;
