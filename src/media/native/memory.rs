//! Memory that is free goes back to the system.
//!
//! A decoder takes and gives back tens of megabytes; glibc keeps them for the thread that had them, though the camera
//! may not be triggered again for hours.

#![allow(unsafe_code, reason = "a function of the C library")]

/// Gives back what is free (malloc_trim(3)). Takes some milliseconds. Does nothing with other C libraries.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: may be called at any time by any thread.
        unsafe { malloc_trim(0) };
    }
}
