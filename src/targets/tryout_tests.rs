use super::*;
use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Config, Env};

fn config(pairs: &[(&str, &str)]) -> UploadConfig {
    let env = Env::from_pairs(pairs.iter().copied());
    Config::parse(&env).unwrap().0.upload
}

#[test]
fn the_test_picture_is_a_whole_one_with_its_facts_and_a_name_that_says_what_it_is() {
    let now = UnixMs(1_698_765_432_500);
    let (upload, bytes) = picture(&config(&[]), TargetId::API, now).unwrap();
    assert_eq!(upload.filename.to_string(), "test_1698765432_501.jpg");
    assert_eq!(FileName::parse("test_1698765432_501.jpg"), Some(upload.filename.clone()));
    assert_eq!(jpeg::inspect(&bytes), Ok((640, 360)));
    let facts = exif::read(&bytes).unwrap().facts;
    assert_eq!((facts.id, facts.camera.as_str(), facts.edge_at), (upload.facts.id, "test", now));
    assert!(facts.note.unwrap().contains("test picture"));
    assert_eq!((upload.bytes, upload.row()), (bytes.len() as u64, 0));
    assert_eq!(upload.path, Path::new("test_1698765432_501.jpg"));
    let (next, _) = picture(&config(&[]), TargetId::API, UnixMs(now.0 + 1)).unwrap();
    assert_eq!(
        next.filename.to_string(),
        "test_1698765432_502.jpg",
        "one of the same second has another name"
    );
    let (first, _) = picture(&config(&[]), TargetId::API, UnixMs(1_698_765_432_000)).unwrap();
    assert_eq!(first.filename.to_string(), "test_1698765432.jpg");
    let (again, _) = picture(&config(&[]), TargetId::API, now).unwrap();
    assert_ne!(again.facts.id, upload.facts.id, "no server takes it for the same one");
}

#[test]
fn a_test_picture_is_never_called_after_a_camera() {
    let labels = |names: &[&str]| {
        let named = names.iter().map(|name| (CameraKey::parse(name).unwrap(), String::new()));
        UploadConfig { labels: named.collect::<BTreeMap<_, _>>(), ..config(&[]) }
    };
    for (cameras, expected) in
        [(&["r1", "tester"][..], "test"), (&["test"], "test-2"), (&["test", "test-2", "r1"], "test-3")]
    {
        assert_eq!(camera(&labels(cameras)).unwrap().as_str(), expected);
    }
}

#[tokio::test]
async fn a_target_that_is_not_in_use_is_not_tried() {
    let config = config(&[("S3_API_URL", "http://127.0.0.1:9/")]);
    assert!(try_out(&config, TargetId::S3, None, &mut |_| {}).await.is_none());
}
