//! One target's lane: asks who goes next, delivers, writes down what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::flight::{Flight, Landing};
use super::outcome_writer::{OutcomeWriter, UploadOutcome, WrittenOutcome};
use super::policy::{Decision, Health, Situation, Tried};
use super::rounds::Rounds;
use super::shared_links::SharedLinks;
use crate::clock;
use crate::clock::daily::{Daily, daily};
use crate::config::{Config, LaneConfig, words_of};
use crate::model::{AlarmText, Because, FileName, TargetId, UnixMs, UploadFault, UploadState};
use crate::status::{AlarmHandle, AlarmKind, Pause, Status};
use crate::store::{AttemptEnd, LaneTurn, Settlement, StoreError, TargetQueue, Wake, Waking};
use crate::system::crash;
use crate::targets::{SLOWEST, Target, TargetError, longest};

/// Longest `Retry-After` that is honoured.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Beside it a picture may wait for so many of the longest pauses, see `policy`. What waits for a later instant waits by
/// a clock that has been set back since.
const WAITS_MAX: u32 = 6;

/// The lane looks at the queue at least so often, whatever it was told; a missed wake-up heals by itself, and so does a
/// clock that was set while it waited.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// An attempt has ended by the limits of its target; so much later it is stuck: reading the file, looking up a name and
/// closing a connection take time, too.
const SLACK: Duration = Duration::from_secs(30);

/// So many outcomes do not wait for more.
const WRITTEN_AT_ONCE: usize = 32;

/// Names of refused pictures that are kept for the case that they are excused; more than a row of them has.
const BLAMED_MAX: usize = 16;

/// Unreadable pictures that are counted.
const DENIED_MAX: usize = 1000;

/// Lost pictures that are asked after, so that their alarm ends.
const LOST_MAX: usize = 100;

/// The lane of one target.
pub struct Lane {
    target: Arc<Target>,
    id: TargetId,
    config: LaneConfig,
    /// Most uploads in hand.
    queue_size: usize,
    /// Longest pause.
    retry_interval: Duration,
    /// Shortest limit of an attempt.
    limit: Duration,
    queue: TargetQueue,
    status: Status,
    waking: Waking,
    /// Something became due since the queue was asked.
    was_owed: bool,
    health: Health,
    pause: Option<Rest>,
    rounds: Rounds,
    links: SharedLinks,
    /// What the dashboard was told of it.
    told: Option<(UnixMs, Pause)>,
    /// The camera whose backlog was served last.
    after: Option<String>,
    /// Pictures that were refused lately.
    blamed: Vec<(i64, FileName)>,
    /// Rows of pictures whose files could not be read: when they were tried last, and why.
    denied: BTreeMap<i64, (Instant, UploadFault)>,
    /// Rows of pictures that were gone when they were to be sent, and their words.
    lost: BTreeMap<i64, UploadFault>,
    /// When it was asked last which of them still are.
    lost_asked: Instant,
    stuck_alarm: AlarmHandle,
    lost_alarm: AlarmHandle,
    /// What became of attempts and is not durable yet; it outlives a run that ended because the disk is full.
    writer: OutcomeWriter,
}

/// A pause of the target.
#[derive(Clone, Copy, Debug)]
struct Rest {
    end: Instant,
    until: UnixMs,
    cause: Pause,
}

impl Lane {
    /// The lane of `target`, whose queue it is.
    pub fn new(target: Arc<Target>, config: &Config, queue: TargetQueue, status: &Status) -> Self {
        let id = target.id();
        Self {
            id,
            target,
            config: config.upload.lane(id),
            queue_size: config.upload.queue_size,
            retry_interval: config.upload.retry_interval,
            // An object in a store takes a second question.
            limit: longest(0, config.upload.timeout) * 2 + SLACK,
            waking: queue.waking(),
            was_owed: false,
            status: status.clone(),
            health: Health::default(),
            pause: None,
            links: SharedLinks::new(config, id),
            rounds: Rounds::new(config.upload.lane(id).every),
            told: None,
            after: None,
            blamed: Vec::new(),
            denied: BTreeMap::new(),
            lost: BTreeMap::new(),
            lost_asked: Instant::now(),
            stuck_alarm: status.alarm(AlarmKind::UploadStuck(id)),
            lost_alarm: status.alarm(AlarmKind::PicturesLost(id)),
            writer: OutcomeWriter::new(&queue),
            queue,
        }
    }

    /// The same lane, in which an attempt counts as stuck after `limit`, and after as long as the slowest link takes for
    /// it.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Which target it is of.
    pub fn id(&self) -> TargetId {
        self.id
    }

    /// Delivers until cancelled. Attempts under way are dropped then; their rows stay pending and are sent again.
    ///
    /// What an earlier run could not write down comes first: a picture whose outcome the disk does not take would be
    /// sent again and again, so nothing is sent until it does.
    pub async fn run(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        self.finish().await?;
        self.queue.end_waits(self.latest()).await?;
        let mut flight = Flight::default();
        loop {
            let is_owed = self.waking.forget_owed() | std::mem::take(&mut self.was_owed);
            self.forget_lost(is_owed).await?;
            let now = clock::now();
            let closed_until = self.closed_until(now);
            self.pause = self.pause.filter(|pause| pause.end > Instant::now());
            let round = self.rounds.closed_for(Instant::now());
            self.tell(closed_until);
            self.forget_denied();
            let room = match (closed_until, &self.pause, round) {
                (None, None, None) if self.queue.away().is_none() => {
                    self.room(flight.len(), self.writer.len())
                }
                _ => 0,
            };
            let mut wait = self.rest(now, closed_until);
            if room > 0 {
                let held = flight.rows().chain(self.writer.rows()).collect();
                let turn =
                    LaneTurn { held, after: self.after.clone(), fresh_first: self.health.is_refusing() };
                let claim = self.queue.claim(now, room, turn).await?;
                self.after = claim.after;
                if claim.uploads.len() < room {
                    wait = self.until_next(now).await?;
                    if claim.uploads.is_empty() && flight.len() + self.writer.len() == 0 {
                        self.rounds.end(Instant::now(), now);
                        self.tell(closed_until);
                        wait = wait.min(self.rounds.closed_for(Instant::now()).unwrap_or(wait));
                    }
                }
                for upload in claim.uploads {
                    crash::point("claimed");
                    let limit = self.limit + Duration::from_secs(upload.bytes.saturating_mul(2) / SLOWEST);
                    let upload = self.links.lend(&self.queue, upload, now).await?;
                    flight.start(&self.target, upload, limit);
                }
            }
            // A new picture is the best probe of a target that refuses the old ones.
            let is_refusing = self.health.is_refusing() && flight.len() == 0;
            let in_hand = flight.len() + self.writer.len();
            let more_to_come =
                flight.len() > 0 && self.writer.len() < WRITTEN_AT_ONCE && in_hand < self.queue_size;
            tokio::select! {
                () = cancel.cancelled() => return self.finish().await,
                landing = flight.landing() => self.landed(landing),
                written = self.writer.written(more_to_come) => self.written(written?),
                wake = self.waking.next() => match wake {
                    Wake::Owed(_) => {
                        self.was_owed = true;
                        // Otherwise it is asked for when there is room.
                        if room > 0 || is_refusing {
                            self.pause = None;
                        }
                    }
                    Wake::Person | Wake::Clock | Wake::Disk | Wake::Reachable(_) => {
                        self.finish().await?;
                        self.hurry(wake).await?;
                    }
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// How many more attempts may begin. A target that fails is probed with one picture.
    fn room(&self, under_way: usize, unwritten: usize) -> usize {
        let allowed = if self.health.is_failing() { 1 } else { self.config.parallel };
        let in_hand = self.queue_size.saturating_sub(under_way + unwritten);
        allowed.saturating_sub(under_way).min(in_hand)
    }

    /// When the target's time of day begins; `None` while it is.
    fn closed_until(&self, now: UnixMs) -> Option<UnixMs> {
        let window = self.config.window?;
        match daily(now, window.from_min, window.to_min) {
            Daily::Open(_) => None,
            Daily::Closed(begin) => Some(begin),
        }
    }

    /// How long nothing can happen by itself.
    fn rest(&mut self, now: UnixMs, closed_until: Option<UnixMs>) -> Duration {
        let pause = self.pause.map(|pause| pause.end.saturating_duration_since(Instant::now()));
        let closed = closed_until.map(|begin| until(begin, now));
        let round = self.rounds.closed_for(Instant::now());
        pause.into_iter().chain(closed).chain(round).max().unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)
    }

    /// How long nothing falls due.
    async fn until_next(&mut self, now: UnixMs) -> Result<Duration, StoreError> {
        let Some(at) = self.queue.next_due(now).await? else { return Ok(LOOK_AGAIN) };
        let latest = self.latest();
        if at > latest {
            self.queue.end_waits(latest).await?;
            return Ok(Duration::ZERO);
        }
        Ok(until(at, now).min(LOOK_AGAIN))
    }

    /// Nothing waits longer than this.
    fn latest(&self) -> UnixMs {
        let wait = self.retry_interval.saturating_mul(WAITS_MAX).saturating_add(WAIT_MAX);
        clock::now().plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    }

    /// Someone wants a try now: what waits by itself waits no longer.
    async fn hurry(&mut self, wake: Wake) -> Result<(), StoreError> {
        debug!(target = %self.id, ?wake, "waiting ended early");
        self.pause = None;
        if wake == Wake::Person {
            self.rounds.begin();
        }
        self.queue.end_waits(clock::now()).await
    }

    /// Writes down everything that has ended.
    async fn finish(&mut self) -> Result<(), StoreError> {
        while self.writer.len() > 0 {
            let written = self.writer.written(false).await?;
            self.written(written);
        }
        Ok(())
    }

    /// Decides what the end of an attempt leads to.
    fn landed(&mut self, landing: Landing) {
        crash::point("landed");
        let (upload, result, answer) = match landing {
            Landing::Ended(upload, result, answer) => (upload, self.unless_disk_is_away(result), answer),
            Landing::Stuck(upload, limit) => {
                let seconds = limit.as_secs();
                error!(file = %upload.filename, target = %self.id, seconds, "an upload was stuck and was dropped");
                let (file, target) = (upload.filename.to_string(), self.id.to_string());
                let fault = UploadFault::Stuck { file, target, seconds };
                self.stuck_alarm.raise(AlarmText::UploadStuck { cause: Because::new(fault.clone()) });
                (upload, Err(TargetError::Broken { fault }), None)
            }
        };
        self.note_denied(upload.row(), &result);
        let tried = Tried { row: upload.row(), attempts: upload.attempts, refusals: upload.refusals };
        let situation = Situation {
            now: clock::now(),
            retry_interval: self.retry_interval,
            random: fastrand::f64(),
            is_paused: self.pause.is_some(),
        };
        let was_failing = self.health.is_failing();
        let decision = self.health.judge(tried, result, situation);
        self.show(&decision, was_failing);
        if let Some(wait) = decision.pause {
            self.rest_for(wait);
        }
        if matches!(decision.settlement, Settlement::Dead { .. } | Settlement::Refused { .. }) {
            self.blamed.retain(|(row, _)| *row != upload.row());
            self.blamed.push((upload.row(), upload.filename.clone()));
            self.blamed.drain(..self.blamed.len().saturating_sub(BLAMED_MAX));
        }
        if decision.settlement.state() != UploadState::Pending {
            self.links.forget(upload.row());
        }
        let excused = self.excused(&decision);
        let ended = UploadOutcome::of(upload, decision.settlement, answer);
        self.writer.put(std::iter::once(ended).chain(excused));
    }

    /// Remembers which files cannot be read, for the alarm that says so until they can.
    fn note_denied(&mut self, row: i64, result: &Result<(), TargetError>) {
        let before = self.denied.remove(&row);
        if let Err(TargetError::Denied { fault }) = result {
            if before.is_none() {
                error!(target = %self.id, error = %fault, "a picture that is owed cannot be read");
            }
            if self.denied.len() < DENIED_MAX {
                self.denied.insert(row, (Instant::now(), fault.clone()));
            }
        } else if before.is_some() {
            info!(target = %self.id, row, "a picture that could not be read can be read again, or is gone");
        } else {
            return;
        }
        self.show_denied();
    }

    /// One that has not been tried for longer than it waits was deleted or settled by somebody else.
    fn forget_denied(&mut self) {
        let longest = self.retry_interval.saturating_mul(2).saturating_add(LOOK_AGAIN.saturating_mul(2));
        let before = self.denied.len();
        self.denied.retain(|_, (at, _)| at.elapsed() < longest);
        if self.denied.len() != before {
            self.show_denied();
        }
    }

    /// Remembers which pictures are gone, for the alarm that says so.
    fn note_lost(&mut self, row: i64, error: &UploadFault) {
        if self.lost.len() < LOST_MAX {
            self.lost.insert(row, error.clone());
        }
        self.lost_alarm.raise(AlarmText::PictureLost { cause: Because::new(error.clone()) });
    }

    /// A picture that came back is owed again, and nobody waits for one that was deleted. Asked when something became
    /// due, and now and then.
    async fn forget_lost(&mut self, is_told: bool) -> Result<(), StoreError> {
        if self.lost.is_empty() || !(is_told || self.lost_asked.elapsed() >= LOOK_AGAIN) {
            return Ok(());
        }
        self.lost_asked = Instant::now();
        let known = self.lost.keys().copied().collect();
        let lost = self.queue.still_lost(known).await?;
        self.lost.retain(|row, _| lost.contains(row));
        self.show_lost();
        Ok(())
    }

    fn show_lost(&self) {
        let newest = self.lost.values().next_back();
        self.lost_alarm
            .set(newest.map(|error| AlarmText::PictureLost { cause: Because::new(error.clone()) }));
    }

    fn show_denied(&self) {
        let newest = self.denied.values().max_by_key(|(at, _)| *at).map(|(_, why)| why.clone());
        let denied = newest.map(|why| (self.denied.len() as u64, why));
        self.status.update_target(self.id, |target| target.denied = denied);
    }

    /// What was blamed and is not to blame.
    fn excused(&self, decision: &Decision) -> Vec<UploadOutcome> {
        let name = |row: i64| self.blamed.iter().rev().find(|(blamed, _)| *blamed == row);
        let excused = decision.excused.iter().filter_map(|(row, not_before)| {
            let (_, filename) = name(*row)?;
            Some(UploadOutcome::excused(*row, filename.clone(), *not_before))
        });
        excused.collect()
    }

    /// Leaves the target alone; the longest of several pauses counts.
    fn rest_for(&mut self, wait: Duration) {
        let end = Instant::now() + wait;
        if self.pause.is_some_and(|pause| pause.end >= end) {
            return;
        }
        let until = clock::now().plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let cause = if self.health.is_refusing() { Pause::Refusals } else { Pause::Fault };
        self.pause = Some(Rest { end, until, cause });
    }

    /// While the disk with the pictures is not mounted, no picture is given up because its file is not there.
    fn unless_disk_is_away(&self, result: Result<(), TargetError>) -> Result<(), TargetError> {
        match result {
            Err(TargetError::Denied { fault }) if self.queue.away().is_some() => {
                Err(TargetError::Busy { fault, retry_after: None })
            }
            Err(TargetError::Unreadable { .. }) if !self.queue.is_there() => Err(TargetError::Busy {
                fault: UploadFault::DiskAway { folder: self.queue.root().display().to_string() },
                retry_after: None,
            }),
            result => result,
        }
    }

    /// Says what has become durable.
    fn written(&mut self, written: WrittenOutcome) {
        for (outcome, is_changed) in written {
            let UploadOutcome { end, filename: file, bytes, attempts } = outcome;
            let AttemptEnd { row, settlement, .. } = end;
            if !is_changed {
                debug!(%file, target = %self.id, "deleted or settled while it was being sent");
                continue;
            }
            if !matches!(settlement, Settlement::Lost { .. }) && self.lost.remove(&row).is_some() {
                self.show_lost();
            }
            match settlement {
                Settlement::Delivered { at } => {
                    info!(%file, target = %self.id, attempts, "delivered");
                    self.stuck_alarm.clear();
                    self.status.update_target(self.id, |target| {
                        target.last_delivered = Some(at);
                        target.pace.add(std::time::Instant::now(), bytes);
                    });
                }
                Settlement::Retry { error, .. } => {
                    let error = words_of(self.id, &error.to_string());
                    debug!(%file, target = %self.id, error, "not delivered, will be tried again");
                }
                Settlement::Refused { error, .. } => {
                    let error = words_of(self.id, &error.to_string());
                    warn!(%file, target = %self.id, error, "refused by the target, will be tried again");
                }
                Settlement::Dead { error } => {
                    let error = words_of(self.id, &error.to_string());
                    warn!(%file, target = %self.id, error, "refused by the target: failed permanently, put aside");
                }
                Settlement::Lost { error } => {
                    tracing::error!(%file, target = %self.id, %error, "a picture that was owed is gone");
                    self.note_lost(row, &error);
                }
                Settlement::Excused { .. } => {
                    info!(%file, target = %self.id, "the target was to blame; owed again");
                }
            }
        }
    }

    /// Brings the target's state up to date. A fault is logged when it begins and when it ends, not in between.
    fn show(&mut self, decision: &Decision, was_failing: bool) {
        let Some(is_online) = decision.is_online else { return };
        let error = decision.words.as_ref();
        if !was_failing && self.health.is_failing() {
            let error = error.map(|fault| words_of(self.id, &fault.to_string()));
            warn!(target = %self.id, error, "target paused; pictures wait");
        }
        if was_failing && !self.health.is_failing() {
            info!(target = %self.id, "target is back");
        }
        let is_failing = is_online && self.health.is_failing();
        self.status.update_target(self.id, |target| {
            target.is_reachable = Some(is_online);
            target.tried_at = Some(std::time::Instant::now());
            target.is_failing = is_failing;
            target.last_error = error.cloned();
        });
    }

    /// Tells the dashboard until when and why nothing is sent.
    fn tell(&mut self, closed_until: Option<UnixMs>) {
        let pause = self.pause.map(|pause| (pause.until, pause.cause));
        let round = self.rounds.closed_until().map(|until| (until, Pause::Round));
        let rest = closed_until.map(|begin| (begin, Pause::Window)).or(pause).or(round);
        if rest == self.told {
            return;
        }
        if let (Some((_, Pause::Window)), false) =
            (rest, self.told.is_some_and(|(_, why)| why == Pause::Window))
        {
            info!(target = %self.id, "outside of its time of day; pictures wait");
        }
        self.told = rest;
        self.status.update_target(self.id, |target| {
            target.paused_until = rest.map(|(until, _)| until);
            target.paused_by = rest.map(|(_, why)| why);
        });
    }
}

/// From `now` until just after `at`.
fn until(at: UnixMs, now: UnixMs) -> Duration {
    let ms = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
    Duration::from_millis(ms.saturating_add(1))
}
