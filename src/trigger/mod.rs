//! Stub.

pub mod debounce;
pub mod gpio_check;
pub mod watcher;
