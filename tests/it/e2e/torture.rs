//! Everything that happens to a box at a gate, one after the other and for as long as wanted: the power goes, the process
//! is killed, the disk is full of somebody else's bytes or files, it cannot make anything safe, the receiver comes and
//! goes. What was acknowledged stays and arrives.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::devices::picture;
use crate::support::daemon::Daemon;
use crate::support::ext4::Ext4;
use crate::support::promise::Promises;
use crate::support::receiver::{Answer, Receiver};
use crate::support::rtsp::{Auth, RtspPeer, SMALL, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, report, scale, wait_until};

const CAMERAS: [&str; 2] = ["r1", "r2"];

/// Pictures asked for in a round.
const CAPTURES: u64 = 8;

/// Pictures that a device brings in a round.
const PUSHES: usize = 6;

/// They are asked for within this time, and the fault comes in the midst of it.
const ASKED_WITHIN: Duration = Duration::from_millis(1500);

/// Longest until a picture is taken again after a fault that the daemon outlived.
const HEALED: Duration = Duration::from_secs(90);

/// Longest delivery of everything after the last round.
const DELIVERY: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    PowerCut,
    Kill,
    NoBytesLeft,
    NoInodesLeft,
    NothingIsMadeSafe,
    ReceiverComesAndGoes,
}

const FAULTS: [Fault; 6] = [
    Fault::PowerCut,
    Fault::NoBytesLeft,
    Fault::NothingIsMadeSafe,
    Fault::ReceiverComesAndGoes,
    Fault::NoInodesLeft,
    Fault::Kill,
];

/// What is tortured, and what outlives it.
struct Site {
    /// Before the directory it is mounted over, which goes after it.
    disk: Ext4,
    setup: Setup,
    receiver: Receiver,
    promises: Promises,
    unanswered: u64,
    /// Pictures that a device made, each another one.
    pushed: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whatever_happens_to_power_disk_and_network() {
    let _machine = machine_alone().await;
    let claim = "nothing_acknowledged_is_lost_whatever_happens";
    if !is_available(claim).await {
        return;
    }
    let rounds = scale("TORTURE_ROUNDS", 6);
    let seed = scale("SEED", fastrand::u64(..));
    fastrand::seed(seed);
    let camera = RtspPeer::start(SMALL, Auth::None, 2).await;
    let receiver = Receiver::start().await;
    let setup = Setup::new()
        .with("S3_API_URL", &receiver.url())
        .with("INGEST_1_NAME", "door")
        .with("INGEST_1_ADDRESS", "127.0.0.1")
        .with("INGEST_1_PER_MINUTE", "6000");
    // A disk cannot be mounted by everybody; that is no package to install.
    let disk = match Ext4::mount_over(setup.directory(), 96, 2000) {
        Ok(disk) => disk,
        Err(reason) => {
            return report(&format!("SKIPPED {claim}: no disk of its own ({reason}); run it as root"));
        }
    };
    let environment = match disk.fault_environment() {
        Ok(environment) => environment,
        Err(reason) => return report(&format!("SKIPPED {claim}: {reason}; install the package gcc")),
    };
    let setup = (1..=2).fold(setup, |setup, n| setup.with_camera(n, &camera.url(n)));
    let setup = environment.into_iter().fold(setup, |setup, (name, value)| setup.with_process(name, &value));
    let mut site =
        Site { disk, setup, receiver, promises: Promises::on_a_small_disk(), unanswered: 0, pushed: 0 };
    let mut counts = BTreeMap::new();
    for round in 0..rounds {
        // All of them first, then at random.
        let fault = match usize::try_from(round).unwrap() {
            known @ 0..6 => FAULTS[known],
            _ => FAULTS[fastrand::usize(..FAULTS.len())],
        };
        site.suffer(fault).await;
        *counts.entry(fault).or_insert(0) += 1;
        check_database(site.setup.directory());
    }
    let daemon = Daemon::start_connected(&site.setup, &CAMERAS).await;
    daemon.wait_until_delivered(DELIVERY).await;
    let (stored, resent) = site.promises.check_delivered(&daemon, &site.setup, &site.receiver).await;
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    check_database(site.setup.directory());
    report(&format!(
        "seed {seed}, {rounds} rounds {counts:?}: {} acknowledged ({} of them pushed), all of them delivered under one identity, {stored} \
         still stored, {resent} sent again, {} requests cut off; database whole after every round",
        site.promises.len(),
        site.promises.pushed(),
        site.unanswered
    ));
}

impl Site {
    /// One life of the daemon, with a fault in its midst.
    async fn suffer(&mut self, fault: Fault) {
        let daemon = Daemon::start_connected(&self.setup, &CAMERAS).await;
        self.promises.check(&daemon, &self.setup).await;
        let mut asking = self.promises.ask(&daemon, CAPTURES, ASKED_WITHIN, &CAMERAS);
        let pictures = (self.pushed..self.pushed + PUSHES).map(picture).collect();
        self.pushed += PUSHES;
        self.promises.push(&daemon, pictures, ASKED_WITHIN, &mut asking);
        tokio::time::sleep(ASKED_WITHIN.mul_f64(fastrand::f64())).await;
        let healed = match fault {
            Fault::PowerCut => {
                self.disk.cut_power();
                false
            }
            Fault::Kill => false,
            Fault::NoBytesLeft => {
                self.disk.fill_bytes();
                true
            }
            Fault::NoInodesLeft => {
                self.disk.fill_inodes();
                true
            }
            Fault::NothingIsMadeSafe => {
                self.disk.fail();
                true
            }
            Fault::ReceiverComesAndGoes => {
                self.receiver.down().await;
                self.receiver.script([
                    Answer::Refuse("503 Service Unavailable\r\n"),
                    Answer::TakeSilently,
                    Answer::Hang,
                ]);
                true
            }
        };
        if healed {
            self.unanswered += asking.unanswered().await;
            match fault {
                Fault::NoBytesLeft | Fault::NoInodesLeft => self.disk.free(),
                Fault::NothingIsMadeSafe => self.disk.recover(),
                _ => self.receiver.up(),
            }
            self.take_one(&daemon, fault).await;
            self.promises.note_lines(&daemon.kill9().await);
        } else {
            let lines = daemon.kill9().await;
            self.unanswered += asking.unanswered().await;
            self.promises.note_lines(&lines);
            if fault == Fault::PowerCut {
                self.disk.remount();
            }
        }
    }

    /// The daemon outlived the fault and takes pictures again.
    async fn take_one(&self, daemon: &Daemon, fault: Fault) {
        wait_until(&format!("a picture is taken after {fault:?}"), HEALED, async || {
            let reply = daemon.capture(CAMERAS[0]).await?;
            if reply.status != 201 {
                return Err(reply.text());
            }
            self.promises.note_image(&reply.json());
            Ok(())
        })
        .await;
    }
}

/// A copy of the database with its log, as a daemon would find it, is whole.
fn check_database(directory: &Path) {
    let copy = tempfile::tempdir().unwrap();
    for name in ["camera-capture.db", "camera-capture.db-wal"] {
        if directory.join(name).exists() {
            std::fs::copy(directory.join(name), copy.path().join(name)).unwrap();
        }
    }
    let database = rusqlite::Connection::open(copy.path().join("camera-capture.db")).unwrap();
    let verdict: String = database.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let orphans: i64 =
        database.query_row("select count(*) from pragma_foreign_key_check()", [], |row| row.get(0)).unwrap();
    assert_eq!(orphans, 0);
}
