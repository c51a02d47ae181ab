//! The whole program on a disk that fills up: what goes, what stays, what is said, and that it heals by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, run};
use crate::support::disk::SmallDisk;
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer, large_scene};
use crate::support::{machine_shared, report, wait_until};

/// Longest until a change of the disk is noticed while there is too little room, on a busy machine.
const NOTICED: Duration = Duration::from_secs(30);

/// Longest delivery of everything once the receiver is back.
const DELIVERY: Duration = Duration::from_secs(120);

/// Most pictures of 300 kB that a test takes until the disk is full: 32 MB hold a third of it.
const MANY: usize = 300;

/// Names of all stored pictures, newest first.
async fn names(daemon: &Daemon) -> Vec<String> {
    let images = daemon.images().await;
    images.iter().map(|image| image["filename"].as_str().unwrap().to_owned()).collect()
}

async fn alarm(daemon: &Daemon) -> Option<String> {
    let status = daemon.status().await;
    let alarms = status["alarms"].as_array().unwrap();
    let disk = alarms.iter().find(|alarm| alarm["part"] == "disk")?;
    Some(disk["message"].as_str().unwrap().to_owned())
}

async fn health(daemon: &Daemon) -> (u16, Value) {
    let reply = daemon.send(Method::GET, "/health", None).await.unwrap();
    (reply.status, reply.json())
}

/// Takes pictures until one is refused; the words of the refusal.
async fn until_refused(daemon: &Daemon) -> String {
    for _ in 0..MANY {
        let reply = daemon.capture("r1").await.unwrap();
        match reply.status {
            201 => {}
            507 => {
                let error = reply.json()["error"].clone();
                assert_eq!(error["code"], "full", "{error}");
                return error["message"].as_str().unwrap().to_owned();
            }
            other => panic!("{other}: {}", reply.text()),
        }
    }
    panic!("{MANY} pictures fit on a small disk")
}

/// Closes the contact and waits for the newest entry of the ledger by it to end.
async fn edge(daemon: &Daemon) -> Value {
    let before = daemon.events().await.len();
    daemon.pulse("r1").await.unwrap();
    wait_until("the edge has an outcome", NOTICED, async || {
        let events = daemon.events().await;
        let newest = events[0].clone();
        if events.len() > before && !newest["outcome"].is_null() {
            Ok(newest)
        } else {
            Err(newest.to_string())
        }
    })
    .await
}

async fn heals(daemon: &Daemon) {
    wait_until("the alarm ends by itself", NOTICED, async || match alarm(daemon).await {
        None => Ok(()),
        Some(words) => Err(words),
    })
    .await;
    let (status, body) = health(daemon).await;
    assert_eq!((status, &body["status"]), (200, &json!("ok")));
}

fn ballast(setup: &Setup) -> u64 {
    std::fs::metadata(setup.directory().join("camera-capture.db-ballast")).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_full_of_owed_pictures_refuses_in_words_and_heals_when_they_are_delivered() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start_showing(PLAIN, "", large_scene()).await;
    let mut receiver = Receiver::start().await;
    // The contact closes quickly one time after the other, and each one counts.
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("GPIO_BOUNCE_TIME", "1");
    let setup = setup.with("S3_API_URL", &receiver.url());
    let Some(disk) = SmallDisk::mount(setup.directory(), "size=32m", "a_disk_full_of_owed_pictures") else {
        return;
    };
    receiver.down().await;
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    assert_eq!(health(&daemon).await.0, 200);
    assert!(ballast(&setup) > 1_000_000, "{}", ballast(&setup));

    // Full, and everything is owed: nothing goes, everything is said.
    let words = until_refused(&daemon).await;
    let owed = names(&daemon).await;
    report(&format!("32 MB, nobody there: {} pictures, then: {words}", owed.len()));
    assert!(owed.len() > 60, "{} pictures of 300 kB", owed.len());
    for part in [
        "the disk is full: ",
        &format!("{} pictures (", owed.len()),
        "wait for delivery to api",
        "bring api back",
        "make room on the disk",
    ] {
        assert!(words.contains(part), "{part:?} is not in {words:?}");
    }
    let failed = edge(&daemon).await;
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["reason"].as_str().unwrap().contains("wait for delivery to api"), "{failed}");
    assert_eq!(
        health(&daemon).await,
        (503, json!({"status": "failing", "failing": ["storage"], "alarms": ["disk_short"]}))
    );
    assert!(alarm(&daemon).await.unwrap().contains("the disk is full"));
    assert_eq!(daemon.status().await["storage"]["level"], "full");
    assert_eq!(names(&daemon).await, owed, "an owed picture went");
    assert_eq!(setup.pictures().len(), owed.len());

    // Full, it stops in order and starts again, and says at once how things stand.
    let (status, lines) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", lines.text());
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    wait_until("the disk is not taken for a good one", NOTICED, async || {
        let storage = daemon.status().await["storage"].clone();
        if storage["level"] == "good" { Err(storage.to_string()) } else { Ok(()) }
    })
    .await;
    assert_eq!(names(&daemon).await, owed);

    // The receiver is back: all is delivered, and then the oldest make room.
    receiver.up();
    daemon.wait_until_delivered(DELIVERY).await;
    receiver.check();
    assert_eq!(receiver.by_name().len(), owed.len(), "not one is missing");
    heals(&daemon).await;
    for _ in 0..5 {
        assert_eq!(edge(&daemon).await["outcome"], "captured");
    }
    let there = names(&daemon).await;
    let kept: BTreeSet<_> = there.iter().collect();
    let gone = owed.iter().filter(|name| !kept.contains(name)).count();
    assert!(gone > 0, "nothing went");
    assert_eq!(there[5..], owed[..owed.len() - gone], "the oldest went");
    let evicted = daemon.status().await["storage"]["evicted"].clone();
    assert_eq!(evicted["images"], gone, "{evicted}");
    let metrics = daemon.get("/metrics").await.text();
    assert!(metrics.contains(&format!("camera_capture_evicted_images_total {gone}\n")), "{metrics}");
    daemon.wait_until_delivered(DELIVERY).await;
    assert!(daemon.lines().text().contains("delivered pictures deleted before their time to make room"));

    // Another program takes the very last byte: the ledger still works, and all delivered pictures are given for it.
    receiver.down().await;
    disk.fill();
    let full = wait_until("an edge fails", DELIVERY, async || {
        disk.fill();
        let entry = edge(&daemon).await;
        if entry["outcome"] == "failed" { Ok(entry) } else { Err(entry.to_string()) }
    })
    .await;
    assert!(full["reason"].as_str().unwrap().contains("the disk is full"), "{full}");
    assert_eq!(health(&daemon).await.0, 503);
    let newest = names(&daemon).await;
    let deleted =
        daemon.send(Method::DELETE, &format!("/api/images/{}?force=true", newest[0]), None).await.unwrap();
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    disk.relieve();
    heals(&daemon).await;
    wait_until("the ballast is there again", NOTICED, async || match ballast(&setup) {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    })
    .await;
    assert_eq!(edge(&daemon).await["outcome"], "captured");

    // Nothing of it was lost on the way, and every edge has its end.
    receiver.up();
    daemon.wait_until_delivered(DELIVERY).await;
    let events = daemon.events().await;
    assert!(events.iter().all(|event| !event["outcome"].is_null()));
    let lost = daemon.status().await["uploads"]["lost"].as_u64().unwrap();
    assert!(lost <= 1, "only what was deleted by hand: {lost}");
    let (status, lines) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", lines.text());
    drop(disk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_room_for_another_file_refuses_in_words_and_heals_when_files_are_deleted() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let mut receiver = Receiver::start().await;
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("S3_API_URL", &receiver.url());
    let options = "size=32m,nr_inodes=80";
    let Some(disk) = SmallDisk::mount(setup.directory(), options, "a_disk_without_room_for_another_file")
    else {
        return;
    };
    receiver.down().await;
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let words = until_refused(&daemon).await;
    assert!(words.contains("of 80 files can still be created"), "{words}");
    assert_eq!(health(&daemon).await.0, 503);
    assert!(alarm(&daemon).await.unwrap().contains("files can still be created"));
    let owed = names(&daemon).await;
    receiver.up();
    daemon.wait_until_delivered(DELIVERY).await;
    heals(&daemon).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    assert!(!names(&daemon).await.contains(owed.last().unwrap()), "the oldest went");
    receiver.check();
    drop(daemon);
    drop(disk);
}

/// S4.8, S4.14: by the command, by the route and, in `tests/browser/older.test.mjs`, by the button.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_shows_what_a_run_deletes_in_the_api_and_on_the_command_line() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start_showing(PLAIN, "", large_scene()).await;
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("STORAGE_MAX_BYTES", "1MiB");
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    for _ in 0..6 {
        assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    }
    let before = names(&daemon).await;
    let ask = async |body| daemon.send(Method::POST, "/api/cleanup/run", body).await.unwrap();
    let preview = ask(Some(json!({"dry_run": true}))).await.json();
    assert_eq!(names(&daemon).await, before, "a preview deleted something");
    assert_eq!(
        (&preview["dry_run"], &preview["reasons"]["limit"]["images"]),
        (&json!(true), &preview["deleted"])
    );
    assert!(preview["deleted"].as_u64().unwrap() >= 2, "{preview}");
    let refused = ask(Some(json!({"dry_run": "perhaps"}))).await;
    assert_eq!(refused.status, 400, "{}", refused.text());

    let shown = run(&setup, &["--cleanup-now", "--dry-run"], "").await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    for name in preview["names"].as_array().unwrap() {
        assert!(shown.contains(&format!("would delete {}\n", name.as_str().unwrap())), "{shown}");
    }
    assert!(shown.contains("above STORAGE_MAX_BYTES") && shown.contains("of camera r1"), "{shown}");

    let done = ask(None).await.json();
    for same in ["deleted", "freed_bytes", "names", "cameras", "reasons", "from", "to"] {
        assert_eq!(done[same], preview[same], "{same}");
    }
    let left = names(&daemon).await;
    assert_eq!(left, before[..left.len()]);
    assert_eq!(done["deleted"], before.len() - left.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_daemon_writes_nothing_and_a_capture_writes_little_more_than_its_picture() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start_showing(PLAIN, "", large_scene()).await;
    let receiver = Receiver::start().await;
    // A real disk: nothing that is written to memory counts.
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("S3_API_URL", &receiver.url());
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    daemon.wait_until_delivered(DELIVERY).await;

    let before = (daemon.written(), setup.tree());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((daemon.written(), setup.tree()), before, "something is written while nothing happens");

    let (captures, began) = (20, daemon.written());
    for _ in 0..captures {
        assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    }
    daemon.wait_until_delivered(DELIVERY).await;
    let each = (daemon.written() - began) / captures;
    let size = daemon.images().await[0]["bytes"].as_u64().unwrap();
    report(&format!("written for each capture of a picture of {} kB: {} kB", size / 1000, each / 1000));
    if began == 0 {
        report("the kernel counts nothing here, so the card's wear is not judged");
        return;
    }
    assert!(each >= size, "not even the picture is counted: {each} of {size}");
    assert!(each < size + 150_000, "{each} bytes for a picture of {size}");
    let written = daemon.get("/api/stats").await.json()["storage"]["written"].clone();
    assert_eq!(written["captures"], captures + 1);
    let shown = written["bytes_per_capture"].as_u64().unwrap();
    assert!(shown.abs_diff(each) < 200_000, "{written}");
    assert!(daemon.get("/metrics").await.text().contains("camera_capture_disk_written_bytes_total "));
}
