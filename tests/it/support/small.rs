//! Small pictures with everything that a picture of the program's own has, in the store and before it.

use std::time::Instant;

use camera_capture::clock;
use camera_capture::media::frame::{Colours, Frame};
use camera_capture::media::{exif, jpeg};
use camera_capture::model::{
    CameraKey, Cause, Dimensions, FileName, ImageId, ImageKind, Moment, PictureFacts, Trigger, UnixMs,
};
use camera_capture::store::{NewImage, TriggerId};

use super::setup::Setup;

const HOUR_MS: i64 = 3_600_000;

/// A contact of this camera that closed then.
pub(crate) fn trigger(camera: &str, edge_at: UnixMs) -> Trigger {
    Trigger {
        camera: CameraKey::parse(camera).unwrap(),
        cause: Cause::Gpio,
        edge: Moment { at: Instant::now(), wall: edge_at },
        device: None,
    }
}

/// The answer to `trigger`, whose row is known.
pub(crate) fn new_image(trigger: &Trigger, row: TriggerId, id: ImageId, file: Vec<u8>) -> NewImage {
    NewImage {
        facts: facts_of(trigger, id),
        dimensions: Dimensions::of_picture((16, 16)),
        trigger: Some(row),
        at: trigger.edge.at,
        file,
    }
}

fn facts_of(trigger: &Trigger, id: ImageId) -> PictureFacts {
    PictureFacts { id, ..PictureFacts::of(trigger, ImageKind::Instant, 0, None) }
}

/// A JPEG with the facts of `trigger`, of at least so many bytes.
pub(crate) fn jpeg_of(trigger: &Trigger, id: ImageId, bytes: usize) -> Vec<u8> {
    let chroma = vec![128; 64];
    let frame = Frame {
        width: 16,
        height: 16,
        y: vec![90; 256],
        u: chroma.clone(),
        v: chroma,
        colours: Colours::JPEG,
    };
    let caption = exif::Caption { facts: facts_of(trigger, id), label: "Entry".to_owned(), utc_offset_s: 0 };
    let mut jpeg = jpeg::encode(&frame, &caption).unwrap();
    let end = jpeg.split_off(jpeg.len() - 2);
    jpeg.resize(bytes.saturating_sub(2).max(jpeg.len()), 0);
    jpeg.extend(end);
    jpeg
}

/// Pictures of some hours ago, a second apart, as another installation left them: files without a database. The daemon
/// finds them and owes them.
pub(crate) fn leave_pictures(setup: &Setup, camera: &str, hours_ago: i64, count: i64, bytes: usize) {
    let first = clock::now().plus_ms(-hours_ago * HOUR_MS);
    for n in 0..count {
        let trigger = trigger(camera, first.plus_ms(n * 1000));
        let name = FileName::new(trigger.camera.clone(), trigger.edge.wall.epoch_s(), 1);
        let folder = setup.images().join(name.day());
        std::fs::create_dir_all(&folder).unwrap();
        let file = jpeg_of(&trigger, ImageId::random(), bytes);
        std::fs::write(folder.join(name.to_string()), file).unwrap();
    }
}
