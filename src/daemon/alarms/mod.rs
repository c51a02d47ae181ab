//! The alarms that follow from how everything stands: looks each second, says what has lasted too long.
//!
//! What is an alarm is decided in `rule`; here is only the looking.

mod rule;

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock;
use crate::model::{TargetId, UploadState};
use crate::status::Status;
use crate::store::{Store, WatchedNews};
use rule::{AlarmFacts, FailureCounts, Rule};

/// How late an alarm may be.
const LOOK: Duration = Duration::from_secs(1);

/// The ledger and the queue are asked after a change, and so often without one.
const ASK: Duration = Duration::from_secs(60);

/// The task that looks.
pub struct Alarms {
    store: Store,
    status: Status,
    rule: Rule,
}

/// What only the database knows.
#[derive(Default)]
struct Counts {
    refused: Vec<(TargetId, u64)>,
    failures: FailureCounts,
    watched: WatchedNews,
}

impl Alarms {
    /// Nothing is looked at yet.
    pub fn new(store: &Store, status: &Status) -> Self {
        Self { store: store.clone(), status: status.clone(), rule: Rule::default() }
    }

    /// Looks until cancelled.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let mut commits = self.store.commits();
        let mut counts = Counts::default();
        let mut asked: Option<Instant> = None;
        loop {
            let is_changed = commits.has_changed().unwrap_or(false);
            if is_changed || asked.is_none_or(|at| at.elapsed() >= ASK) {
                commits.mark_unchanged();
                match self.ask().await {
                    Ok(found) => (counts, asked) = (found, Some(Instant::now())),
                    // The next look asks again; a database that does not answer has an alarm of its own.
                    Err(error) => {
                        asked = None;
                        warn!(%error, "the ledger cannot be asked for what failed");
                    }
                }
            }
            self.look(&counts);
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn ask(&self) -> Result<Counts, crate::store::StoreError> {
        let (unseen, stats) = (self.store.standing().await?, self.store.stats().await?);
        let dead = |states: &[(UploadState, u64)]| {
            states.iter().filter(|(state, _)| *state == UploadState::Dead).map(|(_, count)| count).sum()
        };
        let refused = stats.uploads.iter().map(|(target, states)| (*target, dead(states))).collect();
        let newest = unseen.newest.into_iter().next();
        let failures = FailureCounts {
            unseen: unseen.count,
            newest: newest.map(|entry| {
                (entry.id.get(), entry.camera, entry.edge_at, entry.reason.map(|reason| reason.to_string()))
            }),
        };
        Ok(Counts { refused, failures, watched: self.store.watched_news().await? })
    }

    fn look(&mut self, counts: &Counts) {
        let (cameras, targets, gpio) = (self.status.cameras(), self.status.targets(), self.status.gpio());
        let facts = AlarmFacts {
            cameras: &cameras,
            targets: &targets,
            lines: &gpio.lines,
            refused: &counts.refused,
            failures: &counts.failures,
            watched: &counts.watched,
        };
        let found = self.rule.judge(Instant::now(), clock::now(), &facts);
        self.status.show_found(found);
    }
}
