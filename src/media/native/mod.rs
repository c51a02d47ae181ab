//! Libraries of the system, used when they are installed: looked for at run time, never needed.
//!
//! The only place with `unsafe`: each file wraps one library so that nothing outside can misuse it. Only functions and
//! the few fields whose place is the same in every supported version are touched; other versions are not loaded.

mod complaint;
pub mod libav;
pub mod turbojpeg;
