//! A disk with the pictures that is not mounted at the start, comes, and goes, under the whole program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::daemon::{Daemon, run};
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, report, wait_until};

/// Longest until a disk that comes or goes is noticed, on a busy machine.
const NOTICED: Duration = Duration::from_secs(30);

/// A folder that is mounted on another one, as a disk is.
struct Disk {
    folder: PathBuf,
    point: PathBuf,
}

impl Disk {
    fn new(setup: &Setup) -> Self {
        let (folder, point) = (setup.directory().join("disk"), setup.directory().join("point"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::create_dir(&point).unwrap();
        Self { folder, point }
    }

    fn mount(&self) -> bool {
        let done = Command::new("mount").arg("--bind").args([&self.folder, &self.point]).output();
        done.is_ok_and(|done| done.status.success())
    }

    fn unmount(&self) {
        Command::new("umount").arg("-l").arg(&self.point).output().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

async fn away(daemon: &Daemon) -> Vec<String> {
    let status = daemon.status().await;
    let alarms = status["alarms"].as_array().unwrap().iter().filter(|alarm| alarm["part"] == "away");
    alarms.map(|alarm| alarm["message"].as_str().unwrap().to_owned()).collect()
}

async fn is_refused(daemon: &Daemon) {
    let reply = daemon.capture("r1").await.unwrap();
    assert!(reply.status >= 500, "{}", reply.text());
    assert!(reply.text().contains("nothing is mounted on"), "{}", reply.text());
}

async fn until_stored(daemon: &Daemon) {
    wait_until("pictures are stored again", NOTICED, async || {
        let reply = daemon.capture("r1").await.unwrap();
        if reply.status == 201 { Ok(()) } else { Err(reply.text()) }
    })
    .await;
}

fn is_bare(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_its_disk_is_away_all_waits_and_when_it_comes_all_is_delivered_once() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    let mut receiver = Receiver::start().await;
    let base = Setup::new();
    let disk = Disk::new(&base);
    if !disk.mount() {
        return report("SKIPPED while_its_disk_is_away: nothing can be mounted; run it as root");
    }
    let card = base.directory().join("card.db").display().to_string();
    let setup = base
        .with("IMAGE_STORAGE_PATH", &disk.point.join("images").display().to_string())
        .with("DATABASE_PATH", &card)
        .with("S3_API_URL", &receiver.url())
        .with_snapshots(1, &camera.url());
    receiver.down().await;
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    until_stored(&daemon).await;
    daemon.terminate().await;

    // It is not there at the start; nor does a command make anything in its place.
    disk.unmount();
    let output = run(&setup, &["--test-capture"], "").await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("nothing is mounted on"), "{said}");
    let output = run(&setup, &["--check-config"], "").await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: the disk with the pictures is away"));
    assert!(is_bare(&disk.point), "a command made something in its place");
    receiver.up();
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let words = away(&daemon).await;
    assert!(words.len() == 1 && words[0].contains("nofail"), "{words:?}");
    is_refused(&daemon).await;
    assert!(is_bare(&disk.point), "something was made in its place");
    assert!(disk.mount());
    until_stored(&daemon).await;
    daemon.wait_until_delivered(NOTICED).await;
    assert_eq!((receiver.receptions().len(), away(&daemon).await), (2, Vec::<String>::new()));

    // It goes while the program runs.
    receiver.down().await;
    until_stored(&daemon).await;
    disk.unmount();
    wait_until("it is said", NOTICED, async || {
        if away(&daemon).await.len() == 1 { Ok(()) } else { Err("no alarm".to_owned()) }
    })
    .await;
    is_refused(&daemon).await;
    assert!(is_bare(&disk.point), "something was made in its place");
    receiver.up();
    assert!(disk.mount());
    until_stored(&daemon).await;
    daemon.wait_until_delivered(NOTICED).await;
    assert_eq!(receiver.receptions().len(), 4);
    assert_eq!(daemon.status().await["uploads"]["lost"], 0);
    daemon.terminate().await;
}

/// That folder cannot be written to until this is dropped, as on a card that failed.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    fn new(folder: &'a Path) -> Option<Self> {
        let mount = |arguments: &[&str]| {
            let done = Command::new("mount").args(arguments).arg(folder).output();
            done.is_ok_and(|done| done.status.success())
        };
        let text = folder.display().to_string();
        (mount(&["--bind", &text]) && mount(&["-o", "remount,bind,ro"])).then_some(Self(folder))
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).output().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_can_only_be_read_is_said_and_all_is_well_once_it_can_be_written_again() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    let setup = Setup::new().with_snapshots(1, &camera.url());
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    until_stored(&daemon).await;
    let images = setup.images();
    let Some(card) = ReadOnly::new(&images) else {
        return report("SKIPPED a_card_that_can_only_be_read: nothing can be mounted; run it as root");
    };
    let reply = daemon.capture("r1").await.unwrap();
    assert!(reply.status >= 500 && reply.text().contains("fsck"), "{}", reply.text());
    let health = daemon.send(reqwest::Method::GET, "/health", None).await.unwrap();
    assert_eq!(health.json()["failing"], serde_json::json!(["storage"]));
    wait_until("the alarms stand", NOTICED, async || {
        let status = daemon.status().await;
        let codes: Vec<_> = status["alarms"].as_array().unwrap().iter().map(|alarm| &alarm["code"]).collect();
        if codes.len() == 2 { Ok(()) } else { Err(format!("{codes:?}")) }
    })
    .await;

    drop(card);
    until_stored(&daemon).await;
    assert_eq!(daemon.get("/health").await.json()["status"], "ok");
    wait_until("nothing is wrong any more", NOTICED, async || {
        let alarms = daemon.status().await["alarms"].clone();
        if alarms.as_array().unwrap().is_empty() { Ok(()) } else { Err(alarms.to_string()) }
    })
    .await;
    let failures = daemon.status().await["failures"].clone();
    assert_eq!(failures["unseen"], 1, "the picture that is missing is shown until it was seen");
    daemon.terminate().await;

    let directory = setup.directory().to_owned();
    let Some(_card) = ReadOnly::new(&directory) else { return };
    let elsewhere = Setup::new();
    let mut command = crate::support::daemon::program(&elsewhere);
    command.current_dir(&directory).env("IMAGE_STORAGE_PATH", &images);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("dmesg") && said.contains("fsck"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    // As a file on a card that is full or can only be read.
    let setup = Setup::new().with_snapshots(1, &camera.url()).with_prelude("exec 2>/dev/full");
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    until_stored(&daemon).await;
    daemon.pulse("r1").await.unwrap();
    wait_until("the contact has its picture", NOTICED, async || {
        let images = daemon.images().await.len();
        if images == 2 { Ok(()) } else { Err(images.to_string()) }
    })
    .await;
    let (status, _) = daemon.terminate().await;
    assert!(status.success(), "{status}");
}
