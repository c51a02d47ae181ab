//! What a camera of single pictures answers: the JPEG in it, whatever lies around it.
//!
//! The first byte says in which portions it comes, and whether the answer ended as it should.
#![no_main]

use std::time::Instant;

use camera_capture::media::jpeg;
use camera_capture::source::body::{Body, format};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let now = Instant::now();
    let mut body = Body::new(rest.len(), now);
    let mut came = 0;
    for chunk in rest.chunks(usize::from(first >> 1) + 1) {
        came += chunk.len();
        body.push(chunk, now);
        assert_eq!(body.bytes().len(), came);
    }
    let _ = format(rest);
    if let Ok(whole) = body.end(first & 1 != 0) {
        assert!(whole.jpeg.len() <= rest.len() + 2, "nothing but an end is added");
        let _ = jpeg::inspect(&whole.jpeg);
    }
});
