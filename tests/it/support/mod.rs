//! What the end-to-end tests share: the daemon, its camera, its receiver, and waiting with a deadline.

pub(crate) mod api;
pub(crate) mod bent;
pub(crate) mod cgroup;
pub(crate) mod clock;
pub(crate) mod crowd;
pub(crate) mod daemon;
pub(crate) mod disk;
pub(crate) mod ext4;
pub(crate) mod hostile;
mod hostile_stream;
pub(crate) mod huge;
pub(crate) mod log;
pub(crate) mod multipart;
pub(crate) mod odd_snapshot;
pub(crate) mod picture;
pub(crate) mod program;
pub(crate) mod promise;
pub(crate) mod receiver;
pub(crate) mod reference;
pub(crate) mod relay;
pub(crate) mod rtsp;
pub(crate) mod s3;
pub(crate) mod setup;
pub(crate) mod small;
pub(crate) mod snapshot;
pub(crate) mod stream_camera;
pub(crate) mod viewer;
pub(crate) mod vlc;

use std::io::Write;
use std::time::{Duration, Instant};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Tests that measure time or load have the machine for themselves; the others share it.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// How often a condition is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(50);

/// The whole machine, for a test that measures.
pub(crate) async fn machine_alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// The machine together with others, for a test that only waits.
pub(crate) async fn machine_shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// Looks again and again until `probe` is `Ok`; at the deadline fails with the last thing it saw.
pub(crate) async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(seen) => {
                assert!(Instant::now() < deadline, "not within {limit:?}: {what}; last seen: {seen}");
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A number from the environment, for the long runs; `default` keeps the everyday run short.
pub(crate) fn scale(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

/// Minutes from the environment, for the long runs.
pub(crate) fn minutes(name: &str, default: f64) -> Duration {
    let minutes = std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")));
    Duration::from_secs_f64(minutes * 60.0)
}

/// Says something on the terminal, also when the test passes and its output is swallowed.
pub(crate) fn report(text: &str) {
    // Nobody to tell is fine.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// The value below which `percent` of the values lie.
pub(crate) fn percentile(values: &[u64], percent: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) * percent / 100]
}
