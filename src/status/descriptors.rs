//! Open files: how many this process may have, how many it has, and who gets which share of them.
//!
//! Whoever reaches the dashboard's port holds a descriptor for each connection, without a password. A capture needs some
//! too: for its file, its folder, its camera. So what cameras, database and deliveries need is set aside first, and
//! connections get of the rest.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::model::AlarmText;
use crate::status::{AlarmHandle, AlarmKind, Status};

/// The limit the program gives itself where it may. Sixteen times what a large site uses; more would only make counting
/// them slower.
const WANTED: u64 = 8192;

/// For the program itself: two connections to the database with their logs and the copy that is being made (12), the
/// runtimes (16), lines of contacts (12), log, lock, ballast, timers; and as much again for what was not thought of.
const FOR_PROGRAM: u64 = 96;

/// For each camera: its session and the one that replaces it, each with the camera's connection, both ends of the one to
/// the RTSP library, the place where that comes in, and two sockets for datagrams (12); eight captures under way with a
/// file and a folder each (16), clips (4).
const FOR_CAMERA: u64 = 32;

/// For each target: eight attempts with a socket and a file each (16), its connectivity and look-ups of its name (4).
const FOR_TARGET: u64 = 20;

/// For each session of the FTP server: what is said, the port that awaits a file, and the file's connection.
const FOR_FTP_SESSION: u64 = 3;

/// Connections of the dashboard whatever the limit: without any nobody could read what is wrong.
const CONNECTIONS_MIN: u64 = 16;

/// Connections of the dashboard whatever the limit. Sixteen dashboards with their streams and all viewers of ten cameras
/// are half of it. Each one can hold about 300 kB (headers, an answer that nobody reads, buffers of the kernel), so all
/// of them together stay below a quarter of the unit's memory.
const CONNECTIONS_MAX: u64 = 256;

/// A connection that downloads a picture has its file open as well.
const PER_CONNECTION: u64 = 2;

/// How often they are counted.
const LOOK: Duration = Duration::from_secs(5);

/// The alarm begins when less than this share is free, and ends when a little more is.
const LOW: u64 = 8;
const ENOUGH: u64 = 6;

/// Raises the soft limit to the hard one, but not above what is useful. A service manager gives a thousand unless told
/// otherwise (`DefaultLimitNOFILE=` of systemd), because old programs cannot have more. Never fails: what cannot be
/// raised stays.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Some(wanted) = raised(current, maximum) {
        // By prlimit(2), which the unit's filter of system calls allows.
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            warn!(%error, wanted, "the limit of open files cannot be raised");
        }
    }
}

/// The soft limit to set; `None`: it stays. `None` in an argument is no limit.
fn raised(soft: Option<u64>, hard: Option<u64>) -> Option<u64> {
    let soft = soft?;
    let wanted = hard.map_or(WANTED, |hard| hard.min(WANTED));
    (wanted > soft).then_some(wanted)
}

/// How many descriptors this process may have open.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many it has open. Counting needs one itself.
pub fn in_use() -> io::Result<u64> {
    // One is the folder that is being read.
    std::fs::read_dir("/proc/self/fd").map(|entries| (entries.count() as u64).saturating_sub(1))
}

/// Whether an error says that no descriptor was left, to this process or to the machine.
pub fn has_run_out(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error
        .raw_os_error()
        .is_some_and(|code| [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).contains(&code))
}

/// What has descriptors set aside.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// Cameras that are configured.
    pub cameras: usize,
    /// Targets that are in use.
    pub targets: usize,
    /// Sessions that the FTP server may have; none where it does not run.
    pub ftp_sessions: usize,
}

impl Reserve {
    fn descriptors(self) -> u64 {
        FOR_PROGRAM
            + FOR_CAMERA * self.cameras as u64
            + FOR_TARGET * self.targets as u64
            + FOR_FTP_SESSION * self.ftp_sessions as u64
    }
}

/// How many connections the dashboard may have under this limit.
pub fn connections(limit: u64, reserve: Reserve) -> usize {
    let share = limit.saturating_sub(reserve.descriptors()) / PER_CONNECTION;
    // At most 256.
    share.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX) as usize
}

/// Whether the alarm is to be there.
fn is_low(in_use: u64, limit: u64, was_low: bool) -> bool {
    limit.saturating_sub(in_use) < limit / if was_low { ENOUGH } else { LOW }
}

/// Counts descriptors now and then, and says so before none is left.
pub struct DescriptorWatch {
    alarm: AlarmHandle,
    is_low: bool,
}

impl DescriptorWatch {
    /// Has looked at nothing yet.
    pub fn new(status: &Status) -> Self {
        Self { alarm: status.alarm(AlarmKind::DescriptorsShort), is_low: false }
    }

    /// Looks every five seconds until cancelled.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let mut interval = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = interval.tick() => self.look(in_use(), limit()),
            }
        }
    }

    fn look(&mut self, counted: io::Result<u64>, limit: u64) {
        let in_use = match counted {
            Ok(in_use) => in_use,
            Err(error) if has_run_out(&error) => limit,
            // Without /proc nobody can count.
            Err(_) => return,
        };
        let was_low = self.is_low;
        self.is_low = is_low(in_use, limit, was_low);
        if self.is_low {
            // In steps, so that the alarm is not a new one each time.
            let about = in_use.next_multiple_of(32).min(limit);
            self.alarm.raise(AlarmText::DescriptorsShort { about, limit });
        }
        match (was_low, self.is_low) {
            (false, true) => warn!(in_use, limit, "open files run short"),
            (true, false) => {
                self.alarm.clear();
                info!(in_use, limit, "there are enough open files again");
            }
            (false, false) | (true, true) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env};
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_soft_limit_goes_up_to_the_hard_one_within_reason_and_never_down() {
        for (soft, hard, expected) in [
            (Some(1024), Some(524_288), Some(WANTED)),
            (Some(1024), Some(4096), Some(4096)),
            (Some(1024), Some(1024), None),
            (Some(1024), None, Some(WANTED)),
            (Some(20_000), Some(20_000), None),
            (None, None, None),
        ] {
            assert_eq!(raised(soft, hard), expected, "{soft:?} {hard:?}");
        }
    }

    #[test]
    fn under_the_limit_of_a_service_manager_three_cameras_keep_their_share() {
        let three = Reserve { cameras: 3, targets: 1, ftp_sessions: 0 };
        assert_eq!(connections(1024, three), 256);
        assert_eq!(connections(8192, Reserve { cameras: 10, targets: 4, ftp_sessions: 32 }), 256);
        assert_eq!(connections(512, three), 150);
        assert_eq!(
            connections(512, Reserve { ftp_sessions: 32, ..three }),
            102,
            "sessions by FTP are others"
        );
        assert_eq!(connections(128, three), 16);
    }

    proptest! {
        #[test]
        fn connections_never_reach_into_the_reserve(
            limit in any::<u64>(), cameras in 0..64_usize, targets in 0..5_usize, ftp_sessions in 0..100_usize,
        ) {
            let reserve = Reserve { cameras, targets, ftp_sessions };
            let connections = connections(limit, reserve) as u64;
            let reserve = reserve.descriptors();
            assert!((CONNECTIONS_MIN..=CONNECTIONS_MAX).contains(&connections));
            assert!(connections == CONNECTIONS_MIN || connections * PER_CONNECTION + reserve <= limit);
        }
    }

    #[test]
    fn the_alarm_comes_before_the_last_one_is_gone_and_goes_when_there_are_enough() {
        let (config, _) = Config::parse(&Env::from_pairs::<&str, &str>([])).unwrap();
        let status = Status::new(&config);
        let mut watch = DescriptorWatch::new(&status);
        let mut raised = |counted: io::Result<u64>| {
            watch.look(counted, 1024);
            status.alarms().iter().any(|alarm| alarm.kind == AlarmKind::DescriptorsShort)
        };
        assert!(!raised(Ok(890)));
        assert!(raised(Ok(900)));
        assert!(raised(Ok(880)), "it does not come and go with every one");
        assert!(!raised(Ok(800)));
        assert!(raised(Err(rustix::io::Errno::MFILE.into())));
        assert!(!raised(Ok(100)));
    }

    #[test]
    fn descriptors_are_counted() {
        // Other tests of this process open and close theirs meanwhile, so only the floor is known.
        let held: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(in_use().unwrap() >= held.len() as u64);
        assert!(in_use().unwrap() <= limit());
    }
}
