//! A clip as it lies on the disk, read again at the start.
#![no_main]

use camera_capture::media::mp4;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = mp4::inspect(bytes);
    let _ = mp4::caption(bytes);
    let _ = mp4::thumbnail(bytes);
});
