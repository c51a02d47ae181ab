//! What may be deleted, and deleting it: pictures past their time, or past the room they may take, oldest first, and
//! never one that is still owed, put aside or protected. How full the disk may get is `storage`'s part, and done here too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock;
use crate::config::StorageConfig;
use crate::disk::{DiskGuard, enough, outlook};
use crate::model::{AlarmText, Amount, RoomLevel, UnixMs};
use crate::status::{AlarmHandle, AlarmKind, Status};
use crate::store::{Deletable, Held, Kept, Newest, PictureUsage, StoreError, StoreRetention, Witness};

/// With a limit on bytes, runs are never further apart than this: a busy day fills it between two daily runs.
const LIMIT_INTERVAL: Duration = Duration::from_secs(60);

/// How often the disk is looked at while nothing happens; it costs a system call.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// The same while there is too little room, or the ledger is owed something: what frees some, or gives the database back,
/// shall heal everything soon.
const TIGHT_INTERVAL: Duration = Duration::from_secs(5);

/// A run that is refused is tried each minute; so often it is said.
const TELL_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Pictures deleted in one transaction; short enough that a capture never waits long for the database.
const BATCH: u32 = 64;

/// Names listed in a report; the numbers count all.
const NAMES_MAX: usize = 1_000;

/// A run that nobody asked for and that would delete more than this part of all pictures by age, 20 %, ...
const MASS_PART: u64 = 5;

/// ... and more than so many is taken for a clock that went wrong or a slip in the settings; ...
const MASS_MANY: u64 = 100;

/// ... and so is one that would delete more than half of all and more than this handful.
const MASS_MIN: u64 = 5;

/// How far a clock that nobody set may be ahead of the last instant that is certain: a machine may have been off for a
/// week.
const AHEAD_MAX_MS: i64 = 7 * DAY_MS;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// 2026-01-01, the year this version was made; a clock before it has not been set. A Pi has no clock of its own.
const EPOCH: UnixMs = UnixMs(1_767_225_600_000);

/// Who wants a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// A person, who has seen what would go or could have.
    Person,
    /// The timer.
    Timer,
}

/// What a run did, or would do.
#[derive(Clone, Debug, Default)]
pub struct RetentionReport {
    /// Whether nothing was really deleted.
    pub is_dry_run: bool,
    /// Pictures that went.
    pub deleted: u64,
    /// Bytes that became free.
    pub freed_bytes: u64,
    /// Of these, those past their time (`IMAGE_RETENTION_DAYS`).
    pub by_age: PictureUsage,
    /// Of these, those above `STORAGE_MAX_BYTES`.
    pub by_limit: PictureUsage,
    /// Of these, those that make room on a disk below its floor.
    pub by_space: PictureUsage,
    /// The same by camera.
    pub by_camera: BTreeMap<String, PictureUsage>,
    /// When the first and the last of them were taken.
    pub span: Option<(UnixMs, UnixMs)>,
    /// Their names, in the order in which they go, up to a thousand.
    pub names: Vec<String>,
    /// Pictures past their time that stay.
    pub kept: Kept,
    /// All pictures that stay whatever happens, and why.
    pub held: Held,
    /// Everything taken before this was past its time.
    pub before: UnixMs,
    /// Why nothing was deleted by age, for people: the clock cannot be trusted, or too much would go. Nor was anything
    /// deleted by limit, if the clock is obviously wrong.
    pub refused: Option<String>,
}

/// What a run goes by.
#[derive(Clone, Copy, Debug)]
struct Situation {
    now: UnixMs,
    /// What is missing on the disk below its floor.
    missing: Amount,
    /// Whether the clock was set from the network since the system was started.
    is_synchronised: bool,
    /// Milliseconds since the system was started, which no setting of the clock changes.
    up_ms: i64,
    asker: Asker,
}

/// One retention run that a person asks for. `storage` gives the limits. Deletions that an earlier run began are
/// finished first.
pub async fn run(
    store: &StoreRetention,
    storage: &StorageConfig,
    is_dry_run: bool,
) -> Result<RetentionReport, StoreError> {
    run_for(store, storage, Asker::Person, is_dry_run).await
}

async fn run_for(
    store: &StoreRetention,
    storage: &StorageConfig,
    asker: Asker,
    is_dry_run: bool,
) -> Result<RetentionReport, StoreError> {
    let outlook = outlook(&store.room().await?, storage.min_free_bytes, Amount::NONE);
    let situation = Situation {
        now: clock::now(),
        missing: outlook.below_floor,
        is_synchronised: clock::is_synchronised(),
        up_ms: clock::boot_ms(),
        asker,
    };
    run_in(store, storage, situation, is_dry_run).await
}

async fn run_in(
    store: &StoreRetention,
    storage: &StorageConfig,
    situation: Situation,
    is_dry_run: bool,
) -> Result<RetentionReport, StoreError> {
    let before = situation.now.plus_ms(-i64::from(storage.retention_days) * DAY_MS);
    let mut report = RetentionReport { is_dry_run, before, ..RetentionReport::default() };
    if !is_dry_run {
        store.finish_begun_deletions().await?;
    }
    report.held = store.held().await?;
    let mut run = Run { store, after: None, report };
    let by_clock = doubt(situation.now, store.newest().await?.as_ref());
    let is_obvious = by_clock.is_some();
    run.report.refused = match by_clock {
        Some(reason) => Some(reason),
        None => refusal(store, situation, before).await?,
    };
    let used = store.stats().await?.used_bytes();
    if run.report.refused.is_none() {
        run.report.kept = store.kept(before).await?;
        run.delete(before, Amount { bytes: u64::MAX, inodes: u64::MAX }, Reason::Age).await?;
    }
    // Bytes are counted without a clock.
    if !is_obvious {
        let mut over = storage
            .max_bytes
            .map_or(0, |max| used.saturating_sub(run.report.freed_bytes).saturating_sub(max));
        if over > 0
            && situation.asker == Asker::Timer
            && let Some(reason) = grace(store, situation, UnixMs(i64::MAX)).await?
        {
            (over, run.report.refused) = (0, Some(reason));
        }
        run.delete(UnixMs(i64::MAX), Amount { bytes: over, inodes: 0 }, Reason::Limit).await?;
    }
    let gone = Amount { bytes: run.report.freed_bytes, inodes: run.report.deleted };
    run.delete(UnixMs(i64::MAX), situation.missing.less(gone), Reason::Space).await?;
    Ok(run.report)
}

/// Why a run that nobody asked for may delete nothing for its age; `None` when it may.
async fn refusal(
    store: &StoreRetention,
    situation: Situation,
    before: UnixMs,
) -> Result<Option<String>, StoreError> {
    if situation.asker == Asker::Person {
        return Ok(None);
    }
    let expired = store.expired(before).await?.pictures;
    if expired == 0 {
        return Ok(None);
    }
    if let Some(reason) = grace(store, situation, before).await? {
        return Ok(Some(reason));
    }
    if !situation.is_synchronised
        && let Some(reason) = unsynchronised(situation, store.witness().await?)
    {
        return Ok(Some(reason));
    }
    Ok(mass(expired, store.stats().await?.images()))
}

/// Why pictures of a program before this one are not deleted yet: nobody has seen yet that they would be.
async fn grace(
    store: &StoreRetention,
    situation: Situation,
    before: UnixMs,
) -> Result<Option<String>, StoreError> {
    let Some(until) = store.grace(situation.now).await? else { return Ok(None) };
    let expired = store.expired_former(before).await?;
    Ok((expired > 0).then(|| {
        format!(
            "{expired} pictures that were taken over from the program before this one are past their time \
             (IMAGE_RETENTION_DAYS) or above STORAGE_MAX_BYTES; nothing is deleted for that before {}, so that there is \
             time to look; to keep them, change these settings or protect them; to delete them now, start the run by hand \
             (the button on the dashboard, or --cleanup-now)",
            until.rfc3339()
        )
    }))
}

/// Why the clock cannot be trusted to tell what is old; `None` when it looks right.
fn doubt(now: UnixMs, newest: Option<&Newest>) -> Option<String> {
    if now < EPOCH {
        return Some(format!(
            "the clock says {}, which is before this version was made; nothing is deleted until it is set",
            now.rfc3339()
        ));
    }
    let newest = newest.filter(|newest| now < newest.taken_at.plus_ms(-DAY_MS))?;
    Some(format!(
        "the clock says {}, but {} was taken at {}; nothing is deleted until the clock is set, or that picture is \
         deleted if its time is wrong",
        now.rfc3339(),
        newest.filename,
        newest.taken_at.rfc3339()
    ))
}

/// Why a clock that nobody has set since the start is not believed; `None` when an earlier instant makes it plausible.
///
/// What was taken with this clock says nothing about it. The witness is an instant at which a time service vouched for
/// the clock, and the time since, as far as it was counted: in this boot all of it, of an earlier one only what has passed
/// since the system was started.
fn unsynchronised(situation: Situation, witness: Option<Witness>) -> Option<String> {
    let certain = witness.map(|witness| match witness.boot_ms {
        Some(boot_ms) => witness.at.plus_ms(situation.up_ms.saturating_sub(boot_ms)),
        None => witness.at.plus_ms(situation.up_ms),
    });
    let known = match certain {
        Some(certain) if situation.now <= certain.plus_ms(AHEAD_MAX_MS) => return None,
        Some(certain) => format!("by the last time that is certain it is {} or later", certain.rfc3339()),
        None => "no earlier picture was taken with a clock that was set".to_owned(),
    };
    Some(format!(
        "the clock says {}, but it was not set from the network since this machine was started, and {known}; nothing is \
         deleted for its age until the clock is set; connect the machine to a network with a time server (timedatectl \
         shows whether it is found); if the time is right, start the run by hand (the button on the dashboard, or \
         --cleanup-now)",
        situation.now.rfc3339()
    ))
}

/// Why so many at once are not believed; `None` when they are.
fn mass(expired: u64, all: u64) -> Option<String> {
    let is_mass =
        (expired > MASS_MANY && expired > all / MASS_PART) || (expired > MASS_MIN && expired > all / 2);
    is_mass.then(|| {
        format!(
            "{expired} of {all} pictures are past their time at once; that may be a wrong clock or a slip in \
             IMAGE_RETENTION_DAYS, so nothing is deleted by itself; check both, then start the run by hand (the button \
             on the dashboard, or --cleanup-now)"
        )
    })
}

/// A run under way.
struct Run<'a> {
    store: &'a StoreRetention,
    /// Everything up to this has been looked at.
    after: Option<(UnixMs, i64)>,
    report: RetentionReport,
}

impl Run<'_> {
    /// Deletes what may go, oldest first, of what was taken before `before`, until `need` is met.
    async fn delete(&mut self, before: UnixMs, need: Amount, reason: Reason) -> Result<(), StoreError> {
        let mut left = need;
        while !left.is_none() {
            let found = self.store.deletable(before, self.after, BATCH).await?;
            let places: Vec<_> = found.iter().map(|(id, one)| (one.taken_at, *id)).collect();
            let batch = enough(found.into_iter().map(|(_, one)| one), left, reason.cost());
            let Some(last) = batch.len().checked_sub(1) else { return Ok(()) };
            self.after = places.get(last).copied();
            let gone = if self.report.is_dry_run { batch } else { self.store.delete_expired(batch).await? };
            for one in gone {
                left = left.less(reason.cost()(one.bytes));
                self.report.count(one, reason);
            }
        }
        Ok(())
    }
}

/// Why a picture goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Age,
    Limit,
    Space,
}

impl Reason {
    /// What a file of so many bytes is worth: the limit counts bytes as they are, a disk blocks and files.
    fn cost(self) -> fn(u64) -> Amount {
        match self {
            Self::Age | Self::Space => Amount::file,
            Self::Limit => |bytes| Amount { bytes, inodes: 0 },
        }
    }
}

impl RetentionReport {
    fn count(&mut self, one: Deletable, reason: Reason) {
        self.deleted += 1;
        self.freed_bytes += one.bytes;
        let heap = match reason {
            Reason::Age => &mut self.by_age,
            Reason::Limit => &mut self.by_limit,
            Reason::Space => &mut self.by_space,
        };
        for heap in [heap, self.by_camera.entry(one.camera).or_default()] {
            heap.pictures += 1;
            heap.bytes += one.bytes;
        }
        let (first, last) = self.span.unwrap_or((one.taken_at, one.taken_at));
        self.span = Some((first.min(one.taken_at), last.max(one.taken_at)));
        if self.names.len() < NAMES_MAX {
            self.names.push(one.filename);
        }
    }
}

/// A wish for a run now.
struct Order {
    is_dry_run: bool,
    reply: oneshot::Sender<Result<RetentionReport, String>>,
}

/// Asks the retention task for a run.
#[derive(Clone)]
pub struct Retention {
    orders: mpsc::Sender<Order>,
}

impl Retention {
    /// Runs now and waits for the report; the error is a sentence for people. Wishes that come during a run wait for it.
    pub async fn run_now(&self) -> Result<RetentionReport, String> {
        self.ask(false).await
    }

    /// What a run would do now; nothing is deleted.
    pub async fn preview(&self) -> Result<RetentionReport, String> {
        self.ask(true).await
    }

    async fn ask(&self, is_dry_run: bool) -> Result<RetentionReport, String> {
        let (reply, answer) = oneshot::channel();
        let stopping = || "the program is shutting down".to_owned();
        self.orders.send(Order { is_dry_run, reply }).await.map_err(|_| stopping())?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }
}

/// The retention task: at start, at each interval, and when asked; and it keeps an eye on the disk.
pub struct RetentionTask {
    store: StoreRetention,
    storage: StorageConfig,
    guard: DiskGuard,
    alarm: AlarmHandle,
    orders: mpsc::Receiver<Order>,
    /// When it was said last that a run was refused.
    told: Option<Instant>,
}

impl RetentionTask {
    /// The task and its handle.
    pub fn new(
        store: StoreRetention,
        storage: &StorageConfig,
        guard: &DiskGuard,
        status: &Status,
    ) -> (Self, Retention) {
        let (sender, orders) = mpsc::channel(1);
        let task = Self {
            store,
            storage: storage.clone(),
            guard: guard.clone(),
            alarm: status.alarm(AlarmKind::RetentionFailed),
            orders,
            told: None,
        };
        (task, Retention { orders: sender })
    }

    /// Runs until cancelled; a batch that has begun is finished.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let longest = if self.storage.max_bytes.is_some() { LIMIT_INTERVAL } else { Duration::MAX };
        let mut timer = tokio::time::interval(self.storage.cleanup_interval.min(longest));
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut level, mut is_refused) = (RoomLevel::Good, false);
        loop {
            let is_soon = level > RoomLevel::Low || self.store.late().is_some();
            let pause = if is_soon { TIGHT_INTERVAL } else { LOOK_INTERVAL };
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = timer.tick() => is_refused = self.by_timer().await,
                order = self.orders.recv() => match order {
                    Some(order) => is_refused &= self.by_order(order).await,
                    None => return,
                },
                () = self.guard.woken() => {}
                () = tokio::time::sleep(pause) => {
                    // The clock may be right by now; a day would be long to wait.
                    if is_refused {
                        is_refused = self.by_timer().await;
                    }
                }
            }
            match self.guard.tend().await {
                Ok(seen) => level = seen,
                Err(error) => warn!(%error, "the room on the disk could not be looked at"),
            }
        }
    }

    /// Whether it was refused.
    async fn by_timer(&mut self) -> bool {
        let report = run_for(&self.store, &self.storage, Asker::Timer, false).await;
        self.show(&report);
        report.is_ok_and(|report| report.refused.is_some())
    }

    /// Whether it was refused, or nothing was to be done.
    async fn by_order(&mut self, order: Order) -> bool {
        let report = run_for(&self.store, &self.storage, Asker::Person, order.is_dry_run).await;
        if !order.is_dry_run {
            self.show(&report);
        }
        let is_refused = report.as_ref().is_ok_and(|report| report.refused.is_some() || order.is_dry_run);
        // Whoever asked may have gone.
        let _ = order.reply.send(report.map_err(|error| error.to_string()));
        is_refused
    }

    fn show(&mut self, report: &Result<RetentionReport, StoreError>) {
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                error!(%error, "the retention run failed");
                return self.alarm.raise(AlarmText::DeletionFailed { error: error.to_string() });
            }
        };
        match &report.refused {
            Some(reason) => {
                if self.told.is_none_or(|at| at.elapsed() >= TELL_INTERVAL) {
                    warn!(reason, "the retention run was refused");
                    self.told = Some(Instant::now());
                }
                self.alarm.raise(AlarmText::DeletionRefused { reason: reason.clone() });
            }
            None => {
                self.told = None;
                self.alarm.clear();
            }
        }
        if report.deleted > 0 {
            let (by_age, by_limit, by_space) =
                (report.by_age.pictures, report.by_limit.pictures, report.by_space.pictures);
            info!(
                deleted = report.deleted,
                bytes = report.freed_bytes,
                by_age,
                by_limit,
                by_space,
                "old pictures deleted"
            );
        }
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
