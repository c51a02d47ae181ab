//! Stub.
pub mod debounce;
pub mod watcher;
