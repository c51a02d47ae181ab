//! An older system moves in, with the command an operator types; and the programs around it go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::daemon::{Daemon, run};
use crate::support::machine_shared;
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;

const DELIVERY: Duration = Duration::from_secs(30);

fn picture(shade: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::GrayImage::from_pixel(16, 16, image::Luma([shade]));
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 80).encode_image(&picture).unwrap();
    bytes
}

/// Every file below a folder, with its length.
fn tree(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        }
        let length = std::fs::metadata(&path).unwrap().len();
        found.insert(path, length);
    }
    found
}

/// S4.3, S4.5, S4.6, S3.7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_installation_moves_in_once_and_only_what_it_still_owed_is_sent() {
    let _machine = machine_shared().await;
    let (api, relay) = (Receiver::start().await, Receiver::start().await);
    let setup = Setup::new()
        .with("S3_API_URL", &api.url())
        .with("RELAY_URL", &relay.url())
        .with_snapshots(1, "http://127.0.0.1:9/");
    let old = setup.directory().join("old");
    std::fs::create_dir_all(old.join("images")).unwrap();
    for (shade, name) in [(1, "r1_1795132800.jpg"), (2, "r1_1795132801.jpg"), (3, "r2_1795132800.jpg")] {
        std::fs::write(old.join("images").join(name), picture(shade)).unwrap();
    }
    std::fs::write(old.join("pending_uploads.json"), r#"[{"path": "images/r1_1795132801.jpg"}, 7]"#).unwrap();
    let settings = "BIND_PORT=9000\nCAMERA_PASSWORD=canary-one\nADMIN_PASSWORD_HASH=$2b$12$canary\n";
    std::fs::write(old.join(".env"), settings).unwrap();
    std::fs::write(old.join("camera_system.log"), "old").unwrap();
    let dir = old.display().to_string();

    setup.write();
    let before = tree(setup.directory());
    let output = run(&setup, &["--import", &dir, "--dry-run"], "").await;
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("3 pictures would be copied") && said.contains("1 would be owed"), "{said}");
    assert_eq!(tree(setup.directory()), before, "a dry run changes nothing");

    let daemon = Daemon::start(&setup).await;
    let output = run(&setup, &["--import", &dir], "").await;
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "a daemon has the directory: {said}");
    assert!(said.contains("another camera-capture already uses"), "{said}");
    daemon.terminate().await;

    for (copied, here) in [(3, 0), (0, 3)] {
        let output = run(&setup, &["--import", &dir], "").await;
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains(&format!("{copied} pictures copied; {here} were here already")), "{said}");
        assert_eq!(said.contains("1 rows of lists that are not understood:\n  7\n"), copied > 0, "{said}");
        assert!(said.contains("ADMIN_PASSWORD_HASH: nothing reads this name; delete this line"), "{said}");
        assert!(
            said.contains("CAMERA_PASSWORD: set there and not here") && !said.contains("canary"),
            "{said}"
        );
    }
    assert!(old.join("pending_uploads.json.imported").exists() && old.join(".env").exists());
    // A reader of the old folder's names finds them where it looks.
    let flat = std::fs::read(setup.images().join("r1_1795132800.jpg")).unwrap();
    assert_eq!(flat, picture(1));

    let daemon = Daemon::start(&setup).await;
    daemon.wait_until_delivered(DELIVERY).await;
    let images = daemon.images().await;
    assert_eq!(images.iter().map(|image| &image["cause"]).collect::<Vec<_>>(), ["import"; 3]);
    let listed = daemon.get("/api/images?cause=import").await.json();
    assert_eq!(listed["images"].as_array().unwrap().len(), 3);
    assert_eq!(api.by_name().into_keys().collect::<Vec<_>>(), ["r1_1795132801.jpg"]);
    assert_eq!(relay.receptions().len(), 0);
    assert_eq!(daemon.get("/api/images/r1_1795132800.jpg").await.body, flat);
    daemon.terminate().await;
}

/// A camera of the later systems: asked at `/capture`, it answers with the picture. Each is another one.
async fn answering_camera(listener: TcpListener) {
    for shade in (0..=255).cycle() {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        let picture = picture(shade);
        let said = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Disposition: inline; filename=capture.jpg\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            picture.len()
        );
        // The daemon may have gone.
        let _ = stream.write_all(&[said.as_bytes(), &picture].concat()).await;
    }
}

/// S0.5, S0.6, S0.11: the other kind, beside the one in `devices` that pushes before it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_answers_with_its_picture_is_triggered_whether_or_not_it_might_push() {
    let _machine = machine_shared().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let camera = format!("http://{}/capture", listener.local_addr().unwrap());
    let peer = tokio::spawn(answering_camera(listener));
    for pushes in [false, true] {
        let mut setup = Setup::new().with_snapshots(1, &camera);
        if pushes {
            setup = setup.with("INGEST_1_ADDRESS", "127.0.0.1").with("INGEST_1_CAMERA", "r1");
        }
        let daemon = Daemon::start(&setup).await;
        let reply = daemon.send(Method::POST, "/trigger", None).await.unwrap();
        let said = reply.json();
        assert_eq!((reply.status, &said["success"]), (200, &true.into()), "{said}");
        assert_eq!(daemon.get(said["url"].as_str().unwrap()).await.status, 200);
        let images = daemon.images().await;
        assert_eq!((images.len(), &images[0]["cause"]), (1, &"manual".into()), "{images:?}");
        daemon.terminate().await;
    }
    peer.abort();
}

/// S4.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_of_the_manual_keeps_a_flat_folder_of_links() {
    let page = include_str!("../../../docs/moving.md");
    let line = page.lines().find(|line| line.trim_start().starts_with("D=/srv/flat;")).unwrap().trim();
    let root = tempfile::tempdir().unwrap();
    let (images, flat) = (root.path().join("images"), root.path().join("flat"));
    let day = images.join("2026-11-20");
    for folder in [&day, &images.join(".quarantine"), &images.join("test")] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("r1_1795132800.jpg"), folder.display().to_string()).unwrap();
    }
    std::fs::write(day.join("r1_1795132801.jpg"), "gone soon").unwrap();
    let line = line
        .replace("/srv/flat", &flat.display().to_string())
        .replace("/var/lib/camera-capture/images", &images.display().to_string());
    let names = || -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(&flat).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    };
    for wanted in [&["r1_1795132800.jpg", "r1_1795132801.jpg"][..], &["r1_1795132800.jpg"]] {
        let output = Command::new("sh").args(["-ec", &line]).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(names(), wanted);
        let _ = std::fs::remove_file(day.join("r1_1795132801.jpg"));
    }
    let linked = std::fs::read_to_string(flat.join("r1_1795132800.jpg")).unwrap();
    assert_eq!(linked, day.display().to_string());
}
