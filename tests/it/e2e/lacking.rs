//! File systems that lack calls: no rename without replacing, no links, no sync of folders, no locks, as on FUSE, exFAT,
//! NFS and SMB. The kernel's answers are given by strace, which changes what a call returns.

use std::time::Duration;

use crate::support::daemon::{Daemon, run};
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, report};

const SOON: Duration = Duration::from_secs(60);

/// What the shell does before it becomes the program: it becomes strace, which is out of sight of the program. The paths
/// are those whose calls are meant, below the site's folder; all without any.
fn lacking(setup: Setup, calls: &[&str], paths: &[&str]) -> Setup {
    let names: Vec<&str> = calls.iter().filter_map(|call| call.split(':').next()).collect();
    let mut words = format!("set -- strace -D -f -qq -o /dev/null -e trace={}", names.join(","));
    for call in calls {
        words += &format!(" -e inject={call}");
    }
    for path in paths {
        words += &format!(" -P {}", setup.directory().join(path).display());
    }
    setup.with_prelude(&format!("{words} \"$@\""))
}

fn is_strace_there() -> bool {
    let tried = std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    let is_there = tried.is_ok_and(|done| done.status.success());
    if !is_there {
        assert!(
            std::env::var_os("REQUIRE_PEERS").is_none(),
            "install the package strace, and allow it to look at processes"
        );
        report("SKIPPED e2e_lacking: no strace, or it may not look at processes; apt-get install strace");
    }
    is_there
}

async fn site() -> (SnapshotPeer, Receiver, Setup) {
    let (camera, receiver) = (SnapshotPeer::start(PLAIN, "x").await, Receiver::start().await);
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("S3_API_URL", &receiver.url());
    (camera, receiver, setup)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_file_system_lacks_pictures_are_taken_and_delivered() {
    let _machine = machine_shared().await;
    if !is_strace_there() {
        return;
    }
    let today = format!("images/{}", &camera_capture::clock::now().rfc3339()[..10]);
    let folders = ["images", "images/.incoming", today.as_str()];
    for (what, calls, paths, said) in [
        ("no RENAME_NOREPLACE", &["renameat2:error=EINVAL"][..], &[][..], ""),
        ("no such call", &["renameat2:error=ENOSYS"], &[], ""),
        ("it is not supported", &["renameat2:error=EOPNOTSUPP"], &[], ""),
        ("no links either", &["renameat2:error=EINVAL", "linkat:error=EPERM", "link:error=EPERM"], &[], ""),
        ("no links at all", &["renameat2:error=EPERM", "linkat:error=EOPNOTSUPP"], &[], ""),
        ("no sync of folders", &["fsync:error=EINVAL"], &folders, "does not sync folders"),
        ("another word for it", &["fsync:error=EOPNOTSUPP"], &folders, "does not sync folders"),
        ("no lock service", &["flock:error=ENOLCK"], &[], "DATABASE_PATH"),
        ("no such lock", &["flock:error=EOPNOTSUPP"], &[], "refuses locks"),
    ] {
        let (_camera, receiver, setup) = site().await;
        std::fs::create_dir_all(setup.directory().join(&today)).unwrap();
        let setup = lacking(setup, calls, paths);
        let daemon = Daemon::start_connected(&setup, &["r1"]).await;
        for _ in 0..2 {
            let reply = daemon.capture("r1").await.unwrap();
            assert_eq!(reply.status, 201, "{what}: {}", reply.text());
        }
        daemon.wait_until_delivered(SOON).await;
        let mut names = setup.pictures().into_keys().collect::<Vec<_>>();
        names.dedup();
        assert_eq!((receiver.receptions().len(), names.len()), (2, 2), "{what}");
        receiver.check();
        assert!(daemon.lines().text().contains(said), "{what}: {}", daemon.lines().text());
        let (status, _) = daemon.terminate().await;
        assert_eq!(status.code(), Some(0), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_database_cannot_be_locked_the_words_name_file_system_and_setting() {
    let _machine = machine_shared().await;
    if !is_strace_there() {
        return;
    }
    let (_camera, _receiver, setup) = site().await;
    let setup = lacking(setup, &["fcntl:error=ENOLCK"], &["camera-capture.db", "camera-capture.db-shm"]);
    let output = run(&setup, &[], "").await;
    let words =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_ne!(output.status.code(), Some(0), "{words}");
    for word in ["DATABASE_PATH", "file system (", "does not lock files"] {
        assert!(words.contains(word), "{words}");
    }
}
