//! The real binary with a database that is damaged, newer, owned by another process, or to be built anew.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, run};
use crate::support::receiver::Receiver;
use crate::support::setup::{PASSWORD, Setup};
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, wait_until};

const SOON: Duration = Duration::from_secs(30);

fn database(setup: &Setup) -> PathBuf {
    setup.directory().join("camera-capture.db")
}

async fn start(setup: &Setup) -> Daemon {
    let daemon = Daemon::start(setup).await;
    daemon.wait_for_camera("r1", "connected", SOON).await;
    daemon
}

async fn capture(daemon: &Daemon) -> String {
    let reply = daemon.capture("r1").await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["filename"].as_str().unwrap().to_owned()
}

async fn names(daemon: &Daemon) -> Vec<String> {
    let mut names: Vec<String> =
        daemon.images().await.iter().map(|image| image["filename"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Files beside the database whose name has this in it.
fn beside(setup: &Setup, part: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(setup.directory()).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |name: &str| name.ends_with("-wal") || name.ends_with("-shm");
    entries
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.contains(part) && !is_log(&name)
        })
        .collect()
}

fn alarm<'a>(status: &'a Value, part: &str) -> Option<&'a str> {
    let alarms = status["alarms"].as_array()?;
    alarms.iter().find(|alarm| alarm["part"] == part).and_then(|alarm| alarm["message"].as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_database_does_not_keep_the_service_down_and_loses_no_picture() {
    let _machine = machine_shared().await;
    let (camera, receiver) = (SnapshotPeer::start(PLAIN, "").await, Receiver::start().await);
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("S3_API_URL", &receiver.url());
    let daemon = start(&setup).await;
    for _ in 0..3 {
        capture(&daemon).await;
    }
    daemon.wait_until_delivered(SOON).await;
    let before = names(&daemon).await;
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    let mode = std::fs::metadata(database(&setup)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    OpenOptions::new().write(true).open(database(&setup)).unwrap().write_all_at(&[0; 4096], 0).unwrap();

    let daemon = start(&setup).await;
    let status = daemon.status().await;
    let words = alarm(&status, "database").unwrap_or_else(|| panic!("{status}"));
    assert!(words.contains("damaged") && words.contains("camera-capture.db.damaged-"), "{words}");
    assert_eq!(beside(&setup, ".damaged-").len(), 1);
    assert_eq!(names(&daemon).await, before);
    // Duplicates rather than loss, under the same identity.
    daemon.wait_until_delivered(SOON).await;
    receiver.check();
    assert_eq!(receiver.by_name().len(), 3);
    capture(&daemon).await;
    assert_eq!(names(&daemon).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_is_found_while_the_daemon_serves_and_it_goes_on_with_another_database() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let setup = Setup::new().with_snapshots(1, &camera.url());
    let daemon = start(&setup).await;
    for _ in 0..3 {
        capture(&daemon).await;
    }
    let before = names(&daemon).await;
    for n in 0..40 {
        let named = json!({ "name": format!("token {n} {}", "x".repeat(40)), "password": PASSWORD });
        let made = daemon.send(Method::POST, "/api/tokens", Some(named)).await.unwrap();
        assert!(made.status < 300, "{}", made.text());
    }
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    // A page of the tokens, which nobody reads at start.
    let file = OpenOptions::new().read(true).write(true).open(database(&setup)).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    let victim = (1..pages).rev().find(|at| {
        let mut page = [0; 4096];
        file.read_exact_at(&mut page, at * 4096).unwrap();
        page[0] == 13 && page.windows(8).any(|window| window == b"token 20")
    });
    file.write_all_at(&[0xff; 300], victim.unwrap() * 4096).unwrap();
    drop(file);

    let daemon = Daemon::start(&setup).await;
    let words = wait_until("the damage is found and the database replaced", SOON, async || {
        // The dashboard is elsewhere afterwards, because its port was free to choose.
        match daemon.lines().text().contains("everything begins anew") {
            true => Ok(()),
            false => Err(daemon.lines().text()),
        }
    });
    words.await;
    let address = wait_until("the dashboard is back", SOON, async || {
        let text = daemon.lines().text();
        let addresses: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("dashboard: ")).map(str::to_owned).collect();
        if addresses.len() == 2 { Ok(addresses[1].clone()) } else { Err(text) }
    })
    .await;
    let api = crate::support::api::Api::log_in(&address, PASSWORD).await.unwrap();
    let status = api.status().await;
    assert!(alarm(&status, "database").is_some_and(|words| words.contains("tokens")), "{status}");
    let mut after: Vec<String> =
        api.images().await.iter().map(|image| image["filename"].as_str().unwrap().to_owned()).collect();
    after.sort();
    assert_eq!(after, before);
    wait_until("pictures are taken again", SOON, async || {
        let reply = api.capture("r1").await?;
        if reply.status == 201 { Ok(()) } else { Err(reply.text()) }
    })
    .await;
    let (status, lines) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", lines.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_database_and_a_second_process_are_refused_in_words() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let setup = Setup::new().with_snapshots(1, &camera.url());
    let daemon = start(&setup).await;
    capture(&daemon).await;
    for arguments in [&[][..], &["--rebuild"]] {
        let second = run(&setup, arguments, "").await;
        let words = String::from_utf8_lossy(&second.stderr).into_owned();
        assert_eq!(second.status.code(), Some(1), "{arguments:?}: {words}");
        assert!(words.contains("another camera-capture already uses"), "{arguments:?}: {words}");
    }
    assert_eq!(names(&daemon).await.len(), 1, "the first one goes on");
    daemon.terminate().await;
    // user_version is the four bytes at 60 (SQLite's file format, 1.3).
    let file = OpenOptions::new().write(true).open(database(&setup)).unwrap();
    file.write_all_at(&99_u32.to_be_bytes(), 60).unwrap();
    let before = std::fs::read(database(&setup)).unwrap();
    for arguments in [&[][..], &["--rebuild"]] {
        let refused = run(&setup, arguments, "").await;
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {words}");
        assert!(words.contains("has schema 99") && words.contains("install the newer version"), "{words}");
    }
    assert!(std::fs::read(database(&setup)).unwrap() == before, "it is left as it is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_prints_what_it_did_and_the_daemon_goes_on_with_it() {
    let _machine = machine_shared().await;
    let (camera, mut receiver) = (SnapshotPeer::start(PLAIN, "").await, Receiver::start().await);
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("S3_API_URL", &receiver.url());
    let daemon = start(&setup).await;
    let delivered = capture(&daemon).await;
    daemon.wait_until_delivered(SOON).await;
    receiver.down().await;
    let owed = capture(&daemon).await;
    let protect = json!({ "protected": true });
    daemon.send(Method::POST, &format!("/api/images/{owed}/protect"), Some(protect)).await.unwrap();
    let events = daemon.events().await.len();
    daemon.terminate().await;
    let rebuilt = run(&setup, &["--rebuild"], "").await;
    let words = String::from_utf8_lossy(&rebuilt.stdout).into_owned();
    assert_eq!(rebuilt.status.code(), Some(0), "{words} {}", String::from_utf8_lossy(&rebuilt.stderr));
    for part in ["2 pictures, 1 uploads owed", "camera-capture.db.old-", "1 deliveries", "settings: kept"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(beside(&setup, ".old-").len(), 1);
    let daemon = Daemon::start(&setup).await;
    let images = daemon.images().await;
    let find = |name: &str| images.iter().find(|image| image["filename"] == name).unwrap().clone();
    assert_eq!(find(&delivered)["uploads"][0]["state"], "delivered");
    assert_eq!(find(&owed)["uploads"][0]["state"], "pending");
    assert_eq!(daemon.events().await.len(), events);
    receiver.up();
    daemon.wait_until_delivered(SOON).await;
    receiver.check();
    assert_eq!(receiver.by_name().len(), 2);
}
