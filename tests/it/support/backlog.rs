//! Pictures that wait from before.

use camera_capture::clock;
use camera_capture::media::frame::Frame;
use camera_capture::media::{exif, jpeg};
use camera_capture::model::{CameraKey, Cause, FileName, ImageId, ImageKind, UnixMs};

use super::setup::Setup;

const HOUR_MS: i64 = 3_600_000;

/// Pictures of some hours ago, a second apart, as another installation left them: files without a database. The daemon
/// finds them and owes them.
pub(crate) fn leave_pictures(setup: &Setup, camera: &str, hours_ago: i64, count: i64, bytes: usize) {
    let camera = CameraKey::parse(camera).unwrap();
    let first = clock::now().plus_ms(-hours_ago * HOUR_MS);
    for n in 0..count {
        let edge_at = first.plus_ms(n * 1000);
        let name = FileName::new(camera.clone(), edge_at.epoch_s(), 1);
        let folder = setup.images().join(UnixMs(edge_at.0).day());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name.to_string()), picture(&camera, edge_at, bytes)).unwrap();
    }
}

/// A picture of at least so many bytes.
fn picture(camera: &CameraKey, edge_at: UnixMs, bytes: usize) -> Vec<u8> {
    let chroma = vec![128; 64];
    let frame =
        Frame { width: 16, height: 16, y: vec![90; 256], u: chroma.clone(), v: chroma, is_full_range: true };
    let facts = exif::Facts {
        id: ImageId::random(),
        camera: camera.clone(),
        label: "Entry".to_owned(),
        cause: Cause::Gpio,
        edge_at,
        frame_offset_ms: Some(0),
        kind: ImageKind::Instant,
        note: None,
        utc_offset_s: 0,
    };
    let mut jpeg = jpeg::encode(&frame, &facts).unwrap();
    let end = jpeg.split_off(jpeg.len() - 2);
    jpeg.resize(bytes.max(jpeg.len()), 0);
    jpeg.extend(end);
    jpeg
}
