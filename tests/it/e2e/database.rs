//! The database does not do as it should while the whole program runs: locked by another program, removed, replaced, on a
//! disk that is full. Every contact that closes meanwhile is a picture that is there once and arrives
//! once. `LOCKED_SECONDS` holds the lock for as long as wanted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::daemon::Daemon;
use crate::support::disk::SmallDisk;
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// Contacts that close while the database takes nothing; more than wait for one camera otherwise.
const EDGES: usize = 20;

struct Site {
    _camera: SnapshotPeer,
    receiver: Receiver,
    setup: Setup,
}

impl Site {
    async fn new() -> Self {
        let (camera, receiver) = (SnapshotPeer::start(PLAIN, "x").await, Receiver::start().await);
        let setup = Setup::new()
            .with_snapshots(1, &camera.url())
            .with("S3_API_URL", &receiver.url())
            .with("GPIO_BOUNCE_TIME", "50");
        Self { _camera: camera, receiver, setup }
    }

    fn with_database(mut self, path: &Path) -> Self {
        self.setup = self.setup.with("DATABASE_PATH", &path.display().to_string());
        self
    }

    fn database(&self) -> PathBuf {
        self.setup.directory().join("camera-capture.db")
    }

    async fn start(&self) -> Daemon {
        Daemon::start_connected(&self.setup, &["r1"]).await
    }

    /// Every picture is listed, answers an edge, and arrived once.
    async fn assert_all_once(&self, daemon: &Daemon, pictures: usize) {
        wait_until("every picture is listed", SOON, async || {
            let (images, words) = (daemon.images().await.len(), alarm(daemon, "ledger").await);
            if images >= pictures && words.is_none() { Ok(()) } else { Err(format!("{images}: {words:?}")) }
        })
        .await;
        daemon.wait_until_delivered(SOON).await;
        let names: BTreeSet<String> =
            daemon.images().await.iter().map(|image| image["filename"].to_string()).collect();
        assert_eq!((names.len(), daemon.images().await.len()), (pictures, pictures));
        let events = daemon.events().await;
        let captured = |event: &&serde_json::Value| {
            event["outcome"] == "captured"
                && event["images"].as_array().is_some_and(|images| images.len() == 1)
        };
        assert_eq!(events.iter().filter(captured).count(), pictures, "{events:#?}");
        assert_eq!(events.len(), pictures, "{events:#?}");
        assert_eq!(self.receiver.receptions().len(), pictures);
        self.receiver.check();
    }
}

async fn alarm(daemon: &Daemon, part: &str) -> Option<String> {
    let status = daemon.status().await;
    let alarms = status["alarms"].as_array().unwrap();
    let found = alarms.iter().find(|alarm| alarm["part"] == part);
    found.map(|alarm| alarm["message"].as_str().unwrap().to_owned())
}

async fn take(daemon: &Daemon) {
    let reply = daemon.capture("r1").await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
}

/// How many pictures are files without a row, as the operator is told.
async fn late(daemon: &Daemon) -> (usize, String) {
    let words = alarm(daemon, "ledger").await.unwrap_or_default();
    let count = words.split("delivered yet: ").nth(1).and_then(|rest| rest.split([';', ',']).next());
    (count.map_or(0, |count| count.parse().unwrap()), words)
}

/// A contact closes, and its picture is one of `count` that are listed or kept as files. Returns how many are kept, and
/// what the operator is told.
async fn close_contact(daemon: &Daemon, count: usize) -> (usize, String) {
    wait_until("the contact is open", SOON, async || {
        let status = daemon.status().await;
        if status["gpio"]["lines"][0]["active"] == false { Ok(()) } else { Err(status["gpio"].to_string()) }
    })
    .await;
    assert!(daemon.pulse("r1").await.unwrap().status < 300);
    wait_until("its picture is kept or listed", SOON, async || {
        let (images, (kept, words)) = (daemon.images().await.len(), late(daemon).await);
        if images + kept == count {
            Ok((kept, words))
        } else {
            Err(format!("{images} listed, {kept} kept: {words}"))
        }
    })
    .await
}

fn kept(setup: &Setup) -> usize {
    let names =
        std::fs::read_dir(setup.images().join(".incoming")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.len() == 32 + ".part".len()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_another_program_holds_the_database_no_contact_is_lost() {
    let _machine = machine_shared().await;
    let site = Site::new().await;
    let daemon = site.start().await;
    take(&daemon).await;
    let began = Instant::now();
    let other = Connection::open(site.database()).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let mut words = String::new();
    for n in 1..=EDGES {
        let kept = close_contact(&daemon, 1 + n).await;
        assert_eq!(kept.0, n, "{}", kept.1);
        words = kept.1;
    }
    assert!(words.contains("another program holds") && words.contains("camera-capture.db"), "{words}");
    let reply = daemon.capture("r1").await.unwrap();
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].as_str()),
        (503, Some("kept")),
        "{}",
        reply.text()
    );
    assert_eq!(kept(&site.setup), EDGES + 1);
    let seconds = std::env::var("LOCKED_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    tokio::time::sleep(Duration::from_secs(seconds).saturating_sub(began.elapsed())).await;
    drop(other);
    site.assert_all_once(&daemon, EDGES + 2).await;

    // The program ends while it is held, and the next one finds what was kept.
    let other = Connection::open(site.database()).unwrap();
    other.execute_batch("begin immediate").unwrap();
    for n in 1..=2 {
        assert_eq!(close_contact(&daemon, EDGES + 2 + n).await.0, n);
    }
    daemon.kill9().await;
    drop(other);
    let daemon = site.start().await;
    site.assert_all_once(&daemon, EDGES + 4).await;
    assert_eq!(kept(&site.setup), 0);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_removed_or_replaced_while_the_program_runs_costs_nothing() {
    let _machine = machine_shared().await;
    let site = Site::new().await;
    let daemon = site.start().await;
    take(&daemon).await;
    let copy = site.setup.directory().join("copy.db");
    let path = copy.display().to_string();
    Connection::open(site.database()).unwrap().execute("vacuum into ?1", [path]).unwrap();
    take(&daemon).await;
    let said = async |word: &str| {
        wait_until("it is said", SOON, async || {
            let words = alarm(&daemon, "database file").await.unwrap_or_default();
            if words.contains(word) { Ok(()) } else { Err(words) }
        })
        .await;
    };

    std::fs::remove_file(site.database()).unwrap();
    take(&daemon).await;
    said("was removed").await;
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{end}", site.database().display())).unwrap();
    }
    take(&daemon).await;
    assert!(site.database().is_file());

    std::fs::rename(&copy, site.database()).unwrap();
    take(&daemon).await;
    said(".replaced-").await;
    site.assert_all_once(&daemon, 5).await;
    daemon.terminate().await;
    let daemon = site.start().await;
    site.assert_all_once(&daemon, 5).await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_database_costs_no_picture() {
    let _machine = machine_shared().await;
    let site = Site::new().await;
    let folder = site.setup.directory().join("card");
    std::fs::create_dir(&folder).unwrap();
    let Some(disk) = SmallDisk::mount(&folder, "size=32m", "a_full_disk_of_the_database") else { return };
    let site = site.with_database(&folder.join("camera-capture.db"));
    let daemon = site.start().await;
    take(&daemon).await;

    // What is left in its log and the ballast are used up first.
    let (mut count, mut kept) = (1, 0);
    while kept < 3 {
        disk.fill();
        count += 1;
        assert!(count < 100, "the disk takes no end");
        kept = close_contact(&daemon, count).await.0;
    }
    disk.relieve();
    site.assert_all_once(&daemon, count).await;
    daemon.terminate().await;
}
