//! What the kernel says of its own clock.
//!
//! No crate wraps this call safely that is small and old enough to be trusted with it; it takes one number.

#![allow(unsafe_code, reason = "a function of the C library")]

/// Microseconds by which the wall clock may be wrong at most, as whoever sets it told the kernel (`maxerror` of
/// adjtimex(2)): systemd-timesyncd, chrony and ntpd all do. It is 16 seconds while nobody has set it. `None` where the
/// question is not allowed or not known.
pub fn max_error_us() -> Option<i64> {
    #[cfg(target_os = "linux")]
    {
        use std::ffi::{c_int, c_long};
        /// `struct timex` has 52 of them at most; what is behind it stays as it is.
        const WORDS: usize = 128;
        /// After `modes` (padded to a word), `offset` and `freq`.
        const MAX_ERROR: usize = 3;
        unsafe extern "C" {
            fn adjtimex(timex: *mut c_long) -> c_int;
        }
        let mut timex: [c_long; WORDS] = [0; WORDS];
        // SAFETY: the buffer is aligned for and larger than the structure; `modes` is 0, so it is only written to.
        let state = unsafe { adjtimex(timex.as_mut_ptr()) };
        #[allow(clippy::useless_conversion, reason = "a word has 32 bits on some machines")]
        (state >= 0).then(|| i64::from(timex[MAX_ERROR]))
    }
    #[cfg(not(target_os = "linux"))]
    None
}
