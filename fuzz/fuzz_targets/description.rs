//! A session description, and what is made of it.
#![no_main]

use camera_capture::source::front::description::CameraDescription;
use camera_capture::source::rtp::marker::Markers;
use camera_capture::source::rtp::{Described, RtpReceiver};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(description) = CameraDescription::read(bytes) else { return };
    let _ = description.no_video();
    let Some(best) = description.best_video() else { return };
    let media = &description.media[best];
    let codec = media.codec().expect("what is asked for can be decoded");
    let sets = media.sets.iter().map(Vec::len).sum::<usize>();
    assert!(sets <= bytes.len(), "{sets} bytes of sets");
    // What is handed on says the same, read again.
    let again = CameraDescription::read(media.strict().as_bytes()).expect("it is short");
    let again = &again.media[again.best_video().expect("it has a video")];
    assert_eq!((again.codec(), again.payload_type), (Some(codec), media.payload_type));
    let described = Described {
        codec,
        payload_type: media.payload_type,
        sets: media.sets.clone(),
        has_order: media.max_don_diff,
        size: media.size,
    };
    let _ = RtpReceiver::new(&described, true, Markers::default());
});
