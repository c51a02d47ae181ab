//! One target's lane: claims what is due, delivers it one by one, writes down what became of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Poke;
use super::policy::{Decision, Situation, decide};
use crate::clock;
use crate::config::UploadConfig;
use crate::model::{TargetKind, UnixMs, UploadState};
use crate::status::{Event, Status};
use crate::store::{DueUpload, Settlement, Store, StoreError};
use crate::target::{Target, TargetError};

/// How long a claimed upload belongs to this process. Longer than any batch takes; a restart gives leases back anyway.
const LEASE_MS: i64 = 60 * 60 * 1000;

/// Longest wait that anything asks for, unless pauses may be longer still: the longest `Retry-After` that is honoured. What
/// waits for a later instant waits by a clock that has been set back since.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// The lane looks at the queue at least so often, whatever it was told; a missed wake-up heals by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The lane of one target.
pub struct Lane {
    target: Arc<Target>,
    kind: TargetKind,
    config: UploadConfig,
    store: Store,
    status: Status,
    due: watch::Receiver<u64>,
    poke: Poke,
    /// Failures of the target in a row.
    failures: u32,
}

impl Lane {
    /// The lane of `target`; `poke` ends its pauses.
    pub fn new(
        target: Arc<Target>,
        config: &UploadConfig,
        store: &Store,
        status: &Status,
        poke: Poke,
    ) -> Self {
        Self {
            kind: target.kind(),
            target,
            config: config.clone(),
            due: store.watch_due(),
            store: store.clone(),
            status: status.clone(),
            poke,
            failures: 0,
        }
    }

    /// The target's kind.
    pub fn kind(&self) -> TargetKind {
        self.kind
    }

    /// Delivers until cancelled. An attempt under way is dropped then; its row stays pending and is sent again.
    pub async fn run(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        self.store.release_leases(self.kind, self.latest()).await?;
        loop {
            self.due.mark_unchanged();
            // A target that fails is probed with one image, so that no batch is leased in vain.
            let limit = if self.failures == 0 { self.config.prefetch } else { 1 };
            let now = clock::now();
            let batch = self.store.claim_due(self.kind, now, now.plus_ms(LEASE_MS), limit).await?;
            if batch.is_empty() {
                if !self.wait_for_work(cancel).await? {
                    return Ok(());
                }
                continue;
            }
            let mut pause = None;
            for upload in batch {
                let result = tokio::select! {
                    () = cancel.cancelled() => {
                        self.store.release_leases(self.kind, self.latest()).await?;
                        return Ok(());
                    }
                    result = self.target.deliver(&upload) => self.unless_disk_is_away(result),
                };
                let situation = Situation {
                    now: clock::now(),
                    attempts: upload.attempts,
                    failures: self.failures,
                    cap: self.config.retry_interval,
                    random: fastrand::f64(),
                };
                let decision = decide(result, situation);
                self.settle(&upload, &decision).await?;
                pause = decision.pause;
                if pause.is_some() {
                    break;
                }
            }
            if let Some(pause) = pause {
                self.store.release_leases(self.kind, self.latest()).await?;
                tokio::select! {
                    () = cancel.cancelled() => return Ok(()),
                    () = tokio::time::sleep(pause) => {}
                    () = self.poke.poked() => self.hurry().await?,
                }
                self.status.update_target(self.kind, |target| target.paused_until = None);
            }
        }
    }

    /// Waits until something may be due; `false` when cancelled.
    async fn wait_for_work(&mut self, cancel: &CancellationToken) -> Result<bool, StoreError> {
        let wait = match self.store.next_due(self.kind).await? {
            Some(at) => {
                if at > self.latest() {
                    self.store.release_leases(self.kind, self.latest()).await?;
                    return Ok(true);
                }
                let ms = u64::try_from(at.0.saturating_sub(clock::now().0)).unwrap_or(0);
                Duration::from_millis(ms.saturating_add(1)).min(LOOK_AGAIN)
            }
            None => LOOK_AGAIN,
        };
        let until = Instant::now() + wait;
        tokio::select! {
            () = cancel.cancelled() => Ok(false),
            changed = self.due.changed() => Ok(changed.is_ok()),
            () = self.poke.poked() => {
                self.hurry().await?;
                Ok(true)
            }
            () = tokio::time::sleep_until(until) => Ok(true),
        }
    }

    /// Nothing waits longer than this.
    fn latest(&self) -> UnixMs {
        let wait = self.config.retry_interval.max(WAIT_MAX);
        clock::now().plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    }

    /// Someone wants a try now: what waits by itself waits no longer.
    async fn hurry(&self) -> Result<(), StoreError> {
        debug!(target = %self.kind, "waiting ended early");
        self.store.release_leases(self.kind, clock::now()).await
    }

    /// While the disk with the pictures is not mounted, no picture is given up because its file is not there.
    fn unless_disk_is_away(&self, result: Result<(), TargetError>) -> Result<(), TargetError> {
        match result {
            Err(TargetError::Unreadable { .. }) if !self.store.is_there() => Err(TargetError::Busy {
                message: format!("{} is away; is the disk mounted?", self.store.root().display()),
                retry_after: None,
            }),
            result => result,
        }
    }

    /// Writes down what an attempt led to, and tells the dashboard.
    async fn settle(&mut self, upload: &DueUpload, decision: &Decision) -> Result<(), StoreError> {
        let file = &upload.filename;
        if !self.store.settle(upload, decision.settlement.clone()).await? {
            debug!(%file, target = %self.kind, "deleted or settled while it was being sent");
            self.show(decision, None);
            return Ok(());
        }
        let (state, error) = match &decision.settlement {
            Settlement::Delivered { .. } => {
                info!(%file, target = %self.kind, attempts = upload.attempts + 1, "delivered");
                (UploadState::Delivered, None)
            }
            Settlement::Retry { error, .. } => {
                debug!(%file, target = %self.kind, error, "not delivered, will be tried again");
                (UploadState::Pending, Some(error.clone()))
            }
            Settlement::Dead { error } => {
                warn!(%file, target = %self.kind, error, "refused by the target, put aside");
                (UploadState::Dead, Some(error.clone()))
            }
            Settlement::Lost { error } => {
                tracing::error!(%file, target = %self.kind, error, "a picture that was owed is gone");
                self.status.raise("pictures", format!("a picture that was owed is gone: {error}"));
                (UploadState::Lost, Some(error.clone()))
            }
        };
        self.show(decision, error.as_deref());
        self.status.publish(Event::Upload { filename: file.to_string(), target: self.kind, state, error });
        Ok(())
    }

    /// Brings the target's state up to date. A fault is logged when it begins and when it ends, not in between.
    fn show(&mut self, decision: &Decision, error: Option<&str>) {
        let now = clock::now();
        match decision.pause {
            Some(pause) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures == 1 {
                    warn!(target = %self.kind, error, "target paused; pictures wait");
                }
                let until = now.plus_ms(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
                self.status.update_target(self.kind, |target| {
                    target.online = Some(decision.is_online);
                    target.last_error = error.map(str::to_owned);
                    target.paused_until = Some(until);
                });
            }
            None => {
                if self.failures > 0 {
                    info!(target = %self.kind, failures = self.failures, "target is back");
                }
                self.failures = 0;
                let is_delivered = matches!(decision.settlement, Settlement::Delivered { .. });
                self.status.update_target(self.kind, |target| {
                    target.online = Some(decision.is_online);
                    target.last_error = error.map(str::to_owned);
                    target.paused_until = None;
                    if is_delivered {
                        target.last_delivered = Some(now);
                    }
                });
            }
        }
    }
}
