//! A JPEG of a camera, and what is put into it.
#![no_main]

use camera_capture::media::{exif, jpeg, scan, verdict};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = jpeg::inspect(bytes);
    let _ = exif::read(bytes);
    let _ = scan::walk(bytes);
    let _ = exif::read_block(bytes);
    let _ = exif::thumbnail(bytes);
    let _ = exif::thumbnail_in_block(bytes);
    // What is larger takes the time of those that are not.
    if whole.is_ok_and(|(width, height)| width * height < 20_000) {
        let _ = verdict::flaw_of_jpeg(bytes);
        let _ = jpeg::luma(bytes);
        let _ = jpeg::thumbnail(bytes);
    }
});
