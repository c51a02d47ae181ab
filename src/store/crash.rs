//! Points at which a test lets the process die, to see that the next start puts everything in order. In the program
//! itself a point is nothing at all.

/// The variable that names the point, in the process that shall die.
#[cfg(test)]
pub(super) const POINT: &str = "CAMERA_CAPTURE_CRASH_POINT";

/// Ends the process without any cleaning up when it was started to die here.
#[cfg(test)]
pub(super) fn point(name: &str) {
    if std::env::var_os(POINT).is_some_and(|wanted| wanted == name) {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(test))]
#[inline]
pub(super) const fn point(_name: &str) {}
