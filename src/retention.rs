//! What may be deleted, and deleting it: pictures past their time, or past the room they may take, oldest first, and
//! never one that is still owed, put aside or protected.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::clock;
use crate::config::StorageConfig;
use crate::model::UnixMs;
use crate::status::{Event, Status};
use crate::store::{Deletable, Kept, Store, StoreError};

/// Pictures deleted in one transaction; short enough that a capture never waits long for the database.
const BATCH: u32 = 64;

/// Names listed in a report; the numbers count all.
const NAMES_MAX: usize = 1_000;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

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
}

/// One retention run. `storage` gives the limits.
pub async fn run(store: &Store, storage: &StorageConfig, is_dry_run: bool) -> Result<Report, StoreError> {
    let before = clock::now().plus_ms(-i64::from(storage.retention_days) * DAY_MS);
    let mut report = Report { is_dry_run, before, kept: store.kept(before).await?, ..Report::default() };
    delete_while(store, before, &mut report, |_| true).await?;
    let stats = store.stats().await?;
    // A dry run has freed nothing yet, so what it would free counts as free.
    let planned = if is_dry_run { report.freed_bytes } else { 0 };
    let over = storage
        .max_bytes
        .map_or(0, |max| (stats.used_bytes() - planned.min(stats.used_bytes())).saturating_sub(max));
    let short = storage
        .min_free_bytes
        .map_or(0, |floor| floor.saturating_sub(stats.free_bytes.saturating_add(planned)));
    let needed = over.max(short);
    if needed > 0 {
        let already = report.freed_bytes;
        delete_while(store, UnixMs(i64::MAX), &mut report, |report| report.freed_bytes - already < needed)
            .await?;
    }
    Ok(report)
}

async fn delete_while(
    store: &Store,
    before: UnixMs,
    report: &mut Report,
    go_on: impl Fn(&Report) -> bool,
) -> Result<(), StoreError> {
    let mut after = None;
    while go_on(report) {
        let found = store.deletable(before, after, BATCH).await?;
        let Some((id, last)) = found.last() else { return Ok(()) };
        after = Some((last.taken_at, *id));
        let mut batch = Vec::new();
        let mut planned = Report { freed_bytes: report.freed_bytes, ..Report::default() };
        for (_, candidate) in found {
            if go_on(&planned) && !(report.is_dry_run && report.names.contains(&candidate.filename)) {
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
        let mut timer = tokio::time::interval(self.storage.cleanup_interval.max(Duration::from_secs(1)));
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
