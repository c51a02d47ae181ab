//! Links and mounts in the picture directory, under the whole program: nothing outside is touched, and every edge is a
//! picture or an explained failure.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;

use crate::support::daemon::{Daemon, run};
use crate::support::disk::SmallDisk;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// The folder of a picture that is taken now, and of one a little later.
fn days() -> [String; 2] {
    let now = jiff::Timestamp::now();
    [now, now + jiff::SignedDuration::from_mins(10)].map(|at| at.strftime("%Y-%m-%d").to_string())
}

/// Every file below a folder, and what is in it.
fn content(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let is_folder = entry.file_type().unwrap().is_dir();
            if is_folder {
                folders.push(entry.path());
            }
            found.insert(entry.path(), (!is_folder).then(|| std::fs::read(entry.path()).unwrap()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linked_folders_are_not_followed_by_anything_the_program_does() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    let setup = Setup::new().with_snapshots(1, &camera.url());
    let victim = setup.directory().join("victim");
    std::fs::create_dir_all(victim.join("etc")).unwrap();
    for name in ["passwd", "etc/shadow", "r1_1795132800.jpg", "r1_1795132801.mp4", "a.part"] {
        std::fs::write(victim.join(name), name).unwrap();
    }
    let before = content(&victim);
    std::fs::create_dir(setup.images()).unwrap();
    let [today, soon] = days();
    let names = [today.as_str(), &soon, "2022-01-01", ".incoming", ".quarantine", ".lock", "test"];
    for name in names {
        // Twice if both are of the same day.
        let _ = symlink(&victim, setup.images().join(name));
    }
    for file in [
        "images.db-ballast",
        "camera-capture.db-ballast",
        "camera-capture.db.backup",
        "camera-capture.db.new",
    ] {
        symlink(victim.join("passwd"), setup.directory().join(file)).unwrap();
    }

    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let image = daemon.capture("r1").await.unwrap();
    assert_eq!(image.status, 201, "{}", image.text());
    assert!((200..300).contains(&daemon.pulse("r1").await.unwrap().status));
    wait_until("two pictures are stored", SOON, async || match daemon.images().await.len() {
        2 => Ok(()),
        stored => Err(stored.to_string()),
    })
    .await;
    for path in daemon
        .images()
        .await
        .iter()
        .map(|image| setup.images().join(&today).join(image["filename"].as_str().unwrap()))
    {
        assert!(path.symlink_metadata().unwrap().is_file());
    }
    let alarms = daemon.status().await["alarms"].to_string();
    assert!(alarms.contains("2022-01-01 (a symbolic link)") && alarms.contains(".set-aside"), "{alarms}");
    for image in daemon.images().await {
        let path = format!("/api/images/{}", image["filename"].as_str().unwrap());
        let reply = daemon.send(Method::DELETE, &path, None).await.unwrap();
        assert!((200..300).contains(&reply.status), "{}", reply.text());
    }
    assert_eq!(daemon.images().await.len(), 0);
    daemon.terminate().await;
    for arguments in [&["--test-capture"][..], &["--cleanup-now"], &["--rebuild"]] {
        let output = run(&setup, arguments, "").await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    assert_eq!(content(&victim), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_mounted_over_the_folder_of_today_gives_an_explained_failure() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    let setup = Setup::new().with_snapshots(1, &camera.url());
    let mut disks = Vec::new();
    for day in days() {
        let folder = setup.images().join(day);
        std::fs::create_dir_all(&folder).unwrap();
        let Some(disk) = SmallDisk::mount(&folder, "size=1m", "a_disk_mounted_over_the_folder") else {
            return;
        };
        disks.push(disk);
        std::fs::write(folder.join("theirs"), b"precious").unwrap();
    }
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let reply = daemon.capture("r1").await.unwrap();
    assert!(reply.status >= 500, "{}", reply.text());
    let event = daemon.events().await.remove(0);
    assert_eq!(event["outcome"], "failed", "{event}");
    assert!(event["reason"].as_str().unwrap().contains("cannot name the picture"), "{event}");
    assert_eq!(std::fs::read(setup.images().join(&days()[0]).join("theirs")).unwrap(), b"precious");
    drop(disks);
    wait_until("the next one is stored", SOON, async || {
        let reply = daemon.capture("r1").await.unwrap();
        if reply.status == 201 { Ok(()) } else { Err(reply.text()) }
    })
    .await;
}
