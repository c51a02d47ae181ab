//! What may be deleted, and deleting it: pictures past their time, or past the room they may take, oldest first, and
//! never one that is still owed, put aside or protected.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock;
use crate::config::StorageConfig;
use crate::model::UnixMs;
use crate::status::{Event, Status};
use crate::store::{Deletable, Kept, Store, StoreError};

/// With a limit on bytes or a floor of free space, runs are never further apart than this: a busy day fills a disk
/// between two daily runs.
const SPACE_INTERVAL: Duration = Duration::from_secs(60);

/// Pictures deleted in one transaction; short enough that a capture never waits long for the database.
const BATCH: u32 = 64;

/// Names listed in a report; the numbers count all.
const NAMES_MAX: usize = 1_000;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// 2026-01-01, the year this version was made; a clock before it has not been set. A Pi has no clock of its own.
const EPOCH: UnixMs = UnixMs(1_767_225_600_000);

/// What a run did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Whether nothing was really deleted.
    pub is_dry_run: bool,
    /// Pictures that went.
    pub deleted: u64,
    /// Bytes that became free.
    pub freed_bytes: u64,
    /// Their names, oldest first, up to a thousand.
    pub names: Vec<String>,
    /// Pictures past their time that stay.
    pub kept: Kept,
    /// Everything taken before this was past its time.
    pub before: UnixMs,
    /// Why nothing was looked at, for people: the clock is obviously wrong, and what is old cannot be told.
    pub refused: Option<String>,
}

/// What a run goes by.
#[derive(Clone, Copy, Debug)]
struct Situation {
    now: UnixMs,
    /// Bytes free on the pictures' file system.
    free_bytes: u64,
}

/// One retention run. `storage` gives the limits. Deletions that an earlier run began are finished first.
pub async fn run(store: &Store, storage: &StorageConfig, is_dry_run: bool) -> Result<Report, StoreError> {
    let situation = Situation { now: clock::now(), free_bytes: store.stats().await?.free_bytes };
    run_in(store, storage, situation, is_dry_run).await
}

async fn run_in(
    store: &Store,
    storage: &StorageConfig,
    situation: Situation,
    is_dry_run: bool,
) -> Result<Report, StoreError> {
    let before = situation.now.plus_ms(-i64::from(storage.retention_days) * DAY_MS);
    let mut report = Report { is_dry_run, before, ..Report::default() };
    if let Some(reason) = doubt(situation.now, store.newest().await?) {
        return Ok(Report { refused: Some(reason), ..report });
    }
    if !is_dry_run {
        store.finish_begun_deletions().await?;
    }
    report.kept = store.kept(before).await?;
    let used = store.stats().await?.used_bytes();
    delete_while(store, None, before, &mut report, |_| true).await?;
    let freed = report.freed_bytes;
    let over = storage.max_bytes.map_or(0, |max| used.saturating_sub(freed).saturating_sub(max));
    let free = situation.free_bytes.saturating_add(freed);
    let short = storage.min_free_bytes.map_or(0, |floor| floor.saturating_sub(free));
    let needed = over.max(short);
    let is_short = |report: &Report| report.freed_bytes - freed < needed;
    // What was past its time has been looked at.
    delete_while(store, Some((before.plus_ms(-1), i64::MAX)), UnixMs(i64::MAX), &mut report, is_short)
        .await?;
    Ok(report)
}

/// Why the clock cannot be trusted to tell what is old; `None` when it looks right.
fn doubt(now: UnixMs, newest: Option<(String, UnixMs)>) -> Option<String> {
    if now < EPOCH {
        return Some(format!(
            "the clock says {}, which is before this version was made; nothing is deleted until it is set",
            now.rfc3339()
        ));
    }
    let (name, taken_at) = newest.filter(|(_, taken_at)| now < taken_at.plus_ms(-DAY_MS))?;
    Some(format!(
        "the clock says {}, but {name} was taken at {}; nothing is deleted until the clock is set, or that picture is \
         deleted if its time is wrong",
        now.rfc3339(),
        taken_at.rfc3339()
    ))
}

/// Deletes what may go, oldest first, of what lies after `after` and was taken before `before`, while `go_on`.
async fn delete_while(
    store: &Store,
    mut after: Option<(UnixMs, i64)>,
    before: UnixMs,
    report: &mut Report,
    go_on: impl Fn(&Report) -> bool,
) -> Result<(), StoreError> {
    while go_on(report) {
        let found = store.deletable(before, after, BATCH).await?;
        let Some((id, last)) = found.last() else { return Ok(()) };
        after = Some((last.taken_at, *id));
        let mut batch = Vec::new();
        let mut planned = Report { freed_bytes: report.freed_bytes, ..Report::default() };
        for (_, candidate) in found {
            if go_on(&planned) {
                planned.freed_bytes += candidate.bytes;
                batch.push(candidate);
            }
        }
        let gone = if report.is_dry_run { batch } else { store.delete_expired(batch).await? };
        for Deletable { filename, bytes, .. } in gone {
            report.deleted += 1;
            report.freed_bytes += bytes;
            if report.names.len() < NAMES_MAX {
                report.names.push(filename);
            }
        }
    }
    Ok(())
}

/// A wish for a run now, and where its report goes.
type Order = oneshot::Sender<Result<Report, String>>;

/// Asks the retention task for a run.
#[derive(Clone)]
pub struct Retention {
    orders: mpsc::Sender<Order>,
}

impl Retention {
    /// Runs now and waits for the report; the error is a sentence for people. Wishes that come during a run wait for it.
    pub async fn run_now(&self) -> Result<Report, String> {
        let (reply, answer) = oneshot::channel();
        let stopping = || "the program is shutting down".to_owned();
        self.orders.send(reply).await.map_err(|_| stopping())?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }
}

/// The retention task: at start, at each interval, and when asked.
pub struct RetentionTask {
    store: Store,
    storage: StorageConfig,
    status: Status,
    orders: mpsc::Receiver<Order>,
}

impl RetentionTask {
    /// The task and its handle.
    pub fn new(store: &Store, storage: &StorageConfig, status: &Status) -> (Self, Retention) {
        let (sender, orders) = mpsc::channel(1);
        let task = Self { store: store.clone(), storage: storage.clone(), status: status.clone(), orders };
        (task, Retention { orders: sender })
    }

    /// Runs until cancelled; a batch that has begun is finished.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let has_limits = self.storage.max_bytes.is_some() || self.storage.min_free_bytes.is_some();
        let longest = if has_limits { SPACE_INTERVAL } else { Duration::MAX };
        let mut timer = tokio::time::interval(self.storage.cleanup_interval.min(longest));
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let reply = tokio::select! {
                () = cancel.cancelled() => return,
                _ = timer.tick() => None,
                order = self.orders.recv() => match order {
                    Some(reply) => Some(reply),
                    None => return,
                },
            };
            let report = run(&self.store, &self.storage, false).await;
            match &report {
                Ok(Report { refused: Some(reason), .. }) => {
                    warn!(reason, "the retention run was refused");
                    self.status.raise("retention", format!("old pictures are not deleted: {reason}"));
                }
                Ok(report) => {
                    self.status.clear("retention");
                    if report.deleted > 0 {
                        info!(deleted = report.deleted, bytes = report.freed_bytes, "old pictures deleted");
                        self.status.publish(Event::Deleted(report.names.clone()));
                    }
                }
                Err(error) => {
                    error!(%error, "the retention run failed");
                    self.status.raise("retention", format!("old pictures could not be deleted: {error}"));
                }
            }
            if let Some(reply) = reply {
                // Whoever asked may have gone.
                let _ = reply.send(report.map_err(|error| error.to_string()));
            }
        }
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
