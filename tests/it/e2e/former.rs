//! The folder of a program before this one under the whole program.

use std::path::Path;
use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::{machine_shared, wait_until};

const DONE: Duration = Duration::from_secs(30);

fn put(images: &Path, name: &str, shade: u8) {
    let mut bytes = Vec::new();
    let picture = image::GrayImage::from_pixel(16, 16, image::Luma([shade]));
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 80).encode_image(&picture).unwrap();
    std::fs::write(images.join(name), bytes).unwrap();
}

async fn listed(daemon: &Daemon) -> Vec<(String, String, usize)> {
    let images = daemon.images().await.into_iter().map(|image| {
        let text = |name: &str| image[name].as_str().unwrap().to_owned();
        (text("filename"), text("taken_at"), image["uploads"].as_array().unwrap().len())
    });
    images.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flat_pictures_are_listed_and_only_those_that_were_still_to_be_sent_are_sent_once() {
    let _machine = machine_shared().await;
    let receiver = Receiver::start().await;
    let setup = Setup::new().with("S3_API_URL", &receiver.url()).with_snapshots(1, "http://127.0.0.1:9/");
    let images = setup.images();
    std::fs::create_dir(&images).unwrap();
    for (shade, name) in [(1, "r1_1795132800.jpg"), (2, "r1_1795132801.jpg"), (3, "r2_1795132800.jpg")] {
        put(&images, name, shade);
    }
    let list = setup.directory().join("pending_uploads.json");
    let rows = r#"[{"filepath": "images/r1_1795132801.jpg", "camera": "r1", "retry_count": 3}, {"camera": "r1"},
                   {"filepath": "images/r1_1795000000.jpg"}]"#;
    std::fs::write(&list, rows).unwrap();

    let daemon = Daemon::start(&setup).await;
    let wanted = [
        ("r1_1795132801.jpg".to_owned(), "2026-11-20T00:00:01.000Z".to_owned(), 1),
        ("r2_1795132800.jpg".to_owned(), "2026-11-20T00:00:00.000Z".to_owned(), 0),
        ("r1_1795132800.jpg".to_owned(), "2026-11-20T00:00:00.000Z".to_owned(), 0),
    ];
    wait_until("they are taken over", DONE, async || {
        let text = daemon.lines().text();
        if text.contains("taken over from a program before this one") { Ok(()) } else { Err(text) }
    })
    .await;
    let mut seen = listed(&daemon).await;
    seen.sort_by(|a, b| b.1.cmp(&a.1).then(b.0.cmp(&a.0)));
    assert_eq!(seen, wanted);
    daemon.wait_until_delivered(DONE).await;
    assert_eq!(receiver.by_name().into_keys().collect::<Vec<_>>(), ["r1_1795132801.jpg"]);
    let status = daemon.status().await;
    let alarm =
        status["alarms"].as_array().unwrap().iter().find(|alarm| alarm["code"] == "takeover_incomplete");
    let message = alarm.unwrap()["message"].as_str().unwrap();
    assert!(message.contains("r1_1795000000.jpg") && message.contains("1 rows"), "{message}");
    assert!(!list.exists() && setup.directory().join("pending_uploads.json.imported").exists());
    assert!(images.join("r1_1795132800.jpg").exists(), "they stay where they are");
    assert_eq!(
        daemon.get("/api/images/r1_1795132800.jpg").await.body,
        std::fs::read(images.join("r1_1795132800.jpg")).unwrap()
    );
    daemon.kill9().await;

    // Once.
    let daemon = Daemon::start(&setup).await;
    wait_until("folder and database were compared", DONE, async || {
        let text = daemon.lines().text();
        if text.contains("the picture directory and the database agree") { Ok(()) } else { Err(text) }
    })
    .await;
    assert!(!daemon.lines().text().contains("taken over from a program"), "{}", daemon.lines().text());
    assert_eq!((listed(&daemon).await.len(), receiver.receptions().len()), (3, 1));
    daemon.terminate().await;
}
