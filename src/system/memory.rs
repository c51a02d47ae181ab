//! The C library's allocator, told how a program of large, short allocations wants its memory.
//!
//! A decoder takes and gives back tens of megabytes, and so do a thumbnail and a copy of the database. By itself glibc
//! learns from the first large block that is given back to take the next ones from its heaps, one for each thread, which
//! keep what they have: thirty log-ins ended in 400 MiB. With a fixed threshold a large block comes from the system and
//! goes back to it (mallopt(3), `M_MMAP_THRESHOLD`).

#![allow(unsafe_code, reason = "functions of the C library")]

/// Blocks from this size on come from the system and go back to it. Below it lie the planes of a 1080p picture's chroma
/// and the network's buffers, which come and go many times a second.
#[cfg(target_env = "gnu")]
const LARGE: std::ffi::c_int = 1 << 20;

/// Heaps that threads share; by itself glibc makes eight for each core, and each keeps what was once needed in it.
#[cfg(target_env = "gnu")]
const HEAPS_MAX: std::ffi::c_int = 4;

/// Settles how memory is taken and given back. Called first thing, before there are threads. Does nothing with other C
/// libraries.
pub fn settle() {
    #[cfg(target_env = "gnu")]
    {
        use std::ffi::c_int;
        // malloc.h
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        const M_ARENA_MAX: c_int = -8;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        for (parameter, value) in
            [(M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, 2 * LARGE), (M_ARENA_MAX, HEAPS_MAX)]
        {
            // SAFETY: a number for a number; a parameter that is unknown or a value that is refused changes nothing.
            unsafe { mallopt(parameter, value) };
        }
    }
}

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
