//! The lane of analyses: asks a server about one picture after the other, writes down what it read.
//!
//! It has its own task, queue and connection, so no capture and no delivery waits for it. What an answer means for the
//! picture and for the server is decided as for deliveries (`policy`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::policy::{Decision, Health, Situation, Tried};
use crate::clock;
use crate::config::AnalysisConfig;
use crate::model::{PlateText, TextRead, UnixMs, UploadFault};
use crate::status::{AnalysisPause, Status};
use crate::store::{
    AnalysisOutcome, AnalysisQueue, DueAnalysis, NewReading, Settlement, Spending, StoreError, Waking,
};
use crate::targets::{Analyser, AnalysisAnswer, AnalysisFacts, SLOWEST, TargetError, longest};

/// The lane looks at the queue at least so often, whatever it was told.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// An attempt has ended by the limits of the connection; so much later it is stuck.
const SLACK: Duration = Duration::from_secs(30);

/// Nothing waits longer than this and the longest pauses together; what does is of a clock that was set back.
const WAIT_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// Asks the server, within the limits of cost, for whoever has a picture: a cheap handle.
#[derive(Clone)]
pub struct AnalysisHandle {
    analyser: Arc<Analyser>,
    queue: AnalysisQueue,
    config: AnalysisConfig,
    /// Questions that are being asked and not written down yet; they count among those that may be asked.
    under_way: Arc<AtomicU64>,
}

/// A question that is being asked.
struct UnderWay(Arc<AtomicU64>);

impl UnderWay {
    /// Begins one; also says how many others there are.
    fn begin(count: &Arc<AtomicU64>) -> (Self, u64) {
        let others = count.fetch_add(1, Ordering::SeqCst);
        (Self(Arc::clone(count)), others)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Why a picture was not analysed at once.
#[derive(Debug, thiserror::Error)]
pub enum NotAnalysed {
    /// As many questions as may be were asked of the server; the next ones follow at an instant.
    #[error("no more questions are asked before {}, as ANALYSE_PER_DAY and ANALYSE_PER_MONTH say", until.rfc3339())]
    Spent {
        /// When the next day or month begins.
        until: UnixMs,
    },
    /// The server gave no answer.
    #[error(transparent)]
    Server(#[from] TargetError),
    /// It could not be written down that it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What asked is no more.
    #[error("the question was not brought to its end; the log says why")]
    Ended,
}

/// A picture that was analysed at once, and is not stored.
#[derive(Clone, Debug)]
pub struct AnalysedNow {
    /// What was read, the best first.
    pub readings: Vec<NewReading>,
    /// What the server said, cut and without secrets.
    pub raw: String,
}

impl AnalysisHandle {
    /// The handle of a server as configured; nothing is contacted.
    pub fn new(analyser: Analyser, config: &AnalysisConfig, queue: AnalysisQueue) -> Self {
        Self { analyser: Arc::new(analyser), queue, config: config.clone(), under_way: Arc::default() }
    }

    /// As configured.
    pub fn config(&self) -> &AnalysisConfig {
        &self.config
    }

    /// How many questions were asked.
    pub async fn spent(&self) -> Result<Spending, StoreError> {
        self.queue.spent(clock::now()).await
    }

    /// Analyses this JPEG now, whoever it is of, and stores nothing but that it was asked. It takes as long as the server
    /// does, at most as `ANALYSE_TIMEOUT` says. A question whose answer nobody waits for any more is brought to its end all
    /// the same, because it counts.
    pub async fn analyse_now(&self, facts: &AnalysisFacts, jpeg: Bytes) -> Result<AnalysedNow, NotAnalysed> {
        let (this, facts) = (self.clone(), facts.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends by itself, with ANALYSE_TIMEOUT")]
        let asked = tokio::spawn(async move { this.ask_now(&facts, jpeg).await });
        asked.await.unwrap_or(Err(NotAnalysed::Ended))
    }

    async fn ask_now(&self, facts: &AnalysisFacts, jpeg: Bytes) -> Result<AnalysedNow, NotAnalysed> {
        let now = clock::now();
        // Held until it is written down.
        let (_under_way, others) = UnderWay::begin(&self.under_way);
        let Spending { day, month } = self.queue.spent(now).await?;
        let spent = Spending { day: day.saturating_add(others), month: month.saturating_add(others) };
        if let Some(until) = spent_until(&self.config, spent, now) {
            return Err(NotAnalysed::Spent { until });
        }
        let asked = self.analyser.analyse(facts, jpeg).await;
        if is_spent(&asked) {
            self.queue.spend(now).await?;
        }
        let AnalysisAnswer { texts, raw } = asked?;
        let mut readings = judged(&self.config, texts);
        let score = |reading: &NewReading| reading.read.score.unwrap_or(0.0);
        readings.sort_by(|a, b| score(b).total_cmp(&score(a)));
        Ok(AnalysedNow { readings, raw })
    }
}

/// The lane of analyses.
pub struct AnalysisLane {
    handle: AnalysisHandle,
    retry_interval: Duration,
    status: Status,
    waking: Waking,
    health: Health,
    pause: Option<(Instant, UnixMs, AnalysisPause)>,
}

impl AnalysisLane {
    /// The lane that asks through this handle; no pause between attempts is longer than `retry_interval`.
    pub fn new(handle: AnalysisHandle, retry_interval: Duration, status: &Status) -> Self {
        Self {
            waking: handle.queue.waking(),
            handle,
            retry_interval,
            status: status.clone(),
            health: Health::default(),
            pause: None,
        }
    }

    /// Asks until cancelled. A question under way is dropped then; its picture stays owed.
    pub async fn run(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        let mut commits = self.handle.queue.commits();
        let queue = self.handle.queue.clone();
        queue.end_waits(after(clock::now(), WAIT_MAX)).await?;
        loop {
            commits.borrow_and_update();
            let now = clock::now();
            self.pause = self.pause.filter(|(end, ..)| *end > Instant::now());
            let spent = spent_until(&self.handle.config, queue.spent(now).await?, now);
            self.tell(spent);
            let due = match (spent, self.pause) {
                (None, None) if queue.away().is_none() => queue.claim(now).await?,
                _ => None,
            };
            if let Some(due) = due {
                tokio::select! {
                    () = cancel.cancelled() => return Ok(()),
                    asked = self.ask(&due) => self.land(due, asked).await?,
                }
                continue;
            }
            let wait = self.rest(spent, now).await?;
            let is_open = spent.is_none() && self.pause.is_none();
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = commits.changed(), if is_open => {
                    // The store outlives its lanes.
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                _ = self.waking.next() => {
                    self.pause = None;
                    queue.end_waits(clock::now()).await?;
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn ask(&self, due: &DueAnalysis) -> Result<AnalysisAnswer, TargetError> {
        let limit = longest(due.picture.bytes, self.handle.config.timeout)
            + SLACK
            + Duration::from_secs(due.picture.bytes / SLOWEST);
        let (_under_way, _) = UnderWay::begin(&self.handle.under_way);
        let asked = tokio::time::timeout(limit, self.handle.analyser.analyse_stored(&due.picture)).await;
        asked.unwrap_or_else(|_| {
            let (file, target) = (due.picture.filename.to_string(), "ANALYSE_URL".to_owned());
            Err(TargetError::Broken { fault: UploadFault::Stuck { file, target, seconds: limit.as_secs() } })
        })
    }

    /// Writes down what became of a question, and what follows from it for the server.
    async fn land(
        &mut self,
        due: DueAnalysis,
        asked: Result<AnalysisAnswer, TargetError>,
    ) -> Result<(), StoreError> {
        let now = clock::now();
        let spent_at = is_spent(&asked).then_some(now);
        let (outcome, result) = match asked {
            Ok(AnalysisAnswer { texts, raw }) => {
                let readings = judged(&self.handle.config, texts);
                for watched in readings.iter().filter_map(|reading| reading.watched.as_ref()) {
                    warn!(file = %due.picture.filename, text = %watched, "a text of the watch list was read");
                }
                (Some(AnalysisOutcome::Read { readings, answer: raw, at: now }), Ok(()))
            }
            Err(error) => (None, Err(error)),
        };
        let tried = Tried { row: due.picture.row(), attempts: due.attempts, refusals: due.refusals };
        let random = fastrand::f64();
        let situation =
            Situation { now, retry_interval: self.retry_interval, random, is_paused: self.pause.is_some() };
        let is_countable = result.as_ref().is_err_and(is_about_the_picture);
        let was_failing = self.health.is_failing();
        let Decision { settlement, excused, pause, words, .. } = self.health.judge(tried, result, situation);
        self.show(was_failing, words.as_ref());
        if let Some(pause) = pause {
            let cause =
                if self.health.is_refusing() { AnalysisPause::Refusals } else { AnalysisPause::Fault };
            self.pause = Some((Instant::now() + pause, after(now, pause), cause));
        }
        let settlement = limited(settlement, due.attempts, is_countable.then_some(self.handle.config.tries));
        if let Settlement::Dead { error } | Settlement::Lost { error } = &settlement {
            error!(file = %due.picture.filename, %error, "the analysis of a picture was put aside");
        }
        let outcome = outcome.unwrap_or(AnalysisOutcome::Failed(settlement));
        self.handle.queue.settle(&due, outcome, excused, spent_at).await
    }

    /// One line when it begins to fail, one when that is over.
    fn show(&self, was_failing: bool, words: Option<&UploadFault>) {
        match (was_failing, self.health.is_failing(), words) {
            (false, true, Some(words)) => warn!(error = %words, "pictures are not analysed"),
            (true, false, _) => info!("pictures are analysed again"),
            _ => {}
        }
        let words = words.filter(|_| self.health.is_failing() || self.health.is_refusing());
        self.status.update_analysis(|analysis| analysis.last_error = words.cloned());
    }

    fn tell(&self, spent: Option<UnixMs>) {
        let pause = match (spent, self.pause) {
            (Some(until), _) => Some((until, AnalysisPause::Cost)),
            (None, Some((_, until, cause))) => Some((until, cause)),
            (None, None) => None,
        };
        let was_spent = self.status.analysis().pause.is_some_and(|(_, cause)| cause == AnalysisPause::Cost);
        match (was_spent, spent) {
            (false, Some(until)) => warn!(until = %until.rfc3339(), "the limit of questions is reached"),
            (true, None) => info!("questions may be asked again"),
            _ => {}
        }
        self.status.update_analysis(|analysis| analysis.pause = pause);
    }

    /// How long nothing can happen by itself.
    async fn rest(&self, spent: Option<UnixMs>, now: UnixMs) -> Result<Duration, StoreError> {
        let due = match (spent, self.pause) {
            (Some(until), _) => Some(until),
            (None, Some((end, ..))) => {
                return Ok(end.saturating_duration_since(Instant::now()).min(LOOK_AGAIN));
            }
            (None, None) => self.handle.queue.next_due(now).await?,
        };
        let left = |at: UnixMs| Duration::from_millis(at.0.saturating_sub(now.0).max(0).unsigned_abs());
        Ok(due.map_or(LOOK_AGAIN, left).min(LOOK_AGAIN))
    }
}

/// Whether the server was asked, so that it may count. A connection that did not come about costs nothing.
fn is_spent(asked: &Result<AnalysisAnswer, TargetError>) -> bool {
    !matches!(
        asked,
        Err(TargetError::Unreachable { .. } | TargetError::Denied { .. } | TargetError::Unreadable { .. })
    )
}

/// Whether an error may be of the picture, so that it counts among its tries. Of an hour without a network, or with a wrong
/// token, no picture is to blame.
fn is_about_the_picture(error: &TargetError) -> bool {
    match error {
        TargetError::Broken { .. } | TargetError::Rejected { .. } | TargetError::Doubtful { .. } => true,
        // One that asks for patience by name (429) does so of everything.
        TargetError::Busy { retry_after, .. } => retry_after.is_none(),
        TargetError::Unreachable { .. }
        | TargetError::Misconfigured { .. }
        | TargetError::Denied { .. }
        | TargetError::Unreadable { .. } => false,
    }
}

/// A picture that was tried often enough is put aside.
fn limited(settlement: Settlement, attempts: u32, tries: Option<u32>) -> Settlement {
    match settlement {
        Settlement::Retry { error, .. } | Settlement::Refused { error, .. }
            if tries.is_some_and(|tries| attempts.saturating_add(1) >= tries) =>
        {
            Settlement::Dead { error }
        }
        settlement => settlement,
    }
}

/// When questions may be asked again, if as many as may be were asked.
fn spent_until(config: &AnalysisConfig, spent: Spending, now: UnixMs) -> Option<UnixMs> {
    let is_reached = |limit: Option<u64>, spent| limit.is_some_and(|limit| spent >= limit);
    if is_reached(config.per_month, spent.month) {
        Some(next_month(now))
    } else if is_reached(config.per_day, spent.day) {
        Some(UnixMs(now.0.div_euclid(DAY_MS).saturating_add(1).saturating_mul(DAY_MS)))
    } else {
        None
    }
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The begin of the next month in UTC.
fn next_month(now: UnixMs) -> UnixMs {
    let day = |at: UnixMs| at.rfc3339().get(8..10).and_then(|day| day.parse::<i64>().ok()).unwrap_or(1);
    let begin = UnixMs(now.0.div_euclid(DAY_MS).saturating_mul(DAY_MS));
    let days = (1..=31).find(|days| day(begin.plus_ms(days * DAY_MS)) == 1).unwrap_or(31);
    begin.plus_ms(days * DAY_MS)
}

/// What was read, as it is to be kept.
fn judged(config: &AnalysisConfig, texts: Vec<TextRead>) -> Vec<NewReading> {
    let judge = |read: TextRead| NewReading {
        is_unsure: read.score.is_none_or(|score| score < config.min_score),
        watched: watched(&config.watch, &read.text),
        read,
    };
    texts.into_iter().map(judge).collect()
}

/// The text of a watch list that a text is taken for: itself before one of which it is a misread.
pub fn watched(watch: &BTreeSet<PlateText>, text: &str) -> Option<String> {
    let text = PlateText::of_reading(text)?;
    let found = watch.get(&text).or_else(|| watch.iter().find(|wanted| wanted.accepts(&text)));
    found.map(ToString::to_string)
}

fn after(now: UnixMs, wait: Duration) -> UnixMs {
    now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "tests/analysis.rs"]
mod tests;
