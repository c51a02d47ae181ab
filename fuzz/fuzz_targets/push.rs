//! What a device pushes: the picture in a body or a form, and whether it is taken.
//!
//! The first byte says what the body is called.
#![no_main]

use camera_capture::capture::check_push;
use camera_capture::media::{exif, scan};
use camera_capture::web::picture_body;
use libfuzzer_sys::fuzz_target;

const LABELS: [Option<&str>; 5] = [
    None,
    Some("image/jpeg"),
    Some("multipart/form-data"),
    Some("multipart/form-data; boundary=b"),
    Some("multipart/form-data; boundary=\"b c\"; charset=x"),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let label = LABELS[usize::from(*first) % LABELS.len()];
    let disposition = std::str::from_utf8(&body[..body.len().min(40)]).ok();
    let Ok(found) = picture_body::find(label, disposition, body) else { return };
    let picture = &body[found.bytes];
    if let Ok((width, height)) = check_push(picture, u64::MAX) {
        assert!(width > 0 && height > 0);
        let _ = exif::own_time(picture);
        let _ = scan::walk(picture);
    }
});
