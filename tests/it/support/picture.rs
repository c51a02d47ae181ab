//! What a stored picture shows.

use camera_capture::demo::framecode;
use sha2::{Digest, Sha256};

/// The instant that the whole picture shows, Unix milliseconds near `near_ms`; fails when the file is not a complete
/// JPEG, when its code cannot be read, or when the picture is torn.
pub(crate) fn instant_shown(jpeg: &[u8], near_ms: i64, name: &str) -> i64 {
    assert!(jpeg.starts_with(b"\xff\xd8") && jpeg.ends_with(b"\xff\xd9"), "{name} is not a complete JPEG");
    let luma = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg)
        .unwrap_or_else(|error| panic!("{name} cannot be decoded: {error}"))
        .into_luma8();
    let (width, height) = (luma.width() as usize, luma.height() as usize);
    let reading = framecode::read(luma.as_raw(), width, height, width)
        .unwrap_or_else(|| panic!("{name} shows no instant: grey, or not a picture of the test's camera"));
    assert!(!reading.torn, "{name} is of two instants");
    reading.unix_ms(near_ms)
}

/// How far the brightest and the darkest sample of a picture are apart.
pub(crate) fn luma_spread(jpeg: &[u8]) -> u8 {
    let luma = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).unwrap().into_luma8();
    let samples = luma.as_raw();
    samples.iter().max().unwrap() - samples.iter().min().unwrap()
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
