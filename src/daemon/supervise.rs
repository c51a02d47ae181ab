//! Named tasks that are kept going: an error or a panic ends one run, never the program.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info_span};

use crate::model::backoff::Backoff;
use crate::model::{AlarmText, foreign};
use crate::status::{AlarmKind, Status};

/// Longest words of a defect, characters.
const WORDS_MAX: usize = 300;

/// Pause before a task that failed runs again.
const RESTART: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };

/// A run of this length ends the series of failures before it, and the alarm.
const HEALTHY_AFTER: Duration = Duration::from_secs(20);

/// Something that runs for as long as the program does.
pub trait Task: Send + 'static {
    /// What it does, for programs that read alarms: `camera`, `upload`, …
    fn kind(&self) -> &'static str;

    /// Which one it is, for the log and its alarm; no other task has the same.
    fn label(&self) -> String;

    /// Runs until cancelled. May be called again after an error or a panic, on the same value.
    fn run(&mut self, cancel: &CancellationToken) -> impl Future<Output = Result<(), String>> + Send;
}

/// All tasks.
pub struct Supervisor {
    tasks: JoinSet<()>,
    status: Status,
}

impl Supervisor {
    /// No tasks yet; failures are shown in `status`.
    pub fn new(status: &Status) -> Self {
        Self { tasks: JoinSet::new(), status: status.clone() }
    }

    /// Keeps a task going until `cancel`.
    pub fn spawn(&mut self, task: impl Task, cancel: &CancellationToken) {
        let span = info_span!("task", name = %task.label());
        self.tasks.spawn(keep(task, self.status.clone(), cancel.clone()).instrument(span));
    }

    /// Waits until every task has ended; what has not by `limit` is aborted. Returns how many were.
    pub async fn drain(&mut self, limit: Duration) -> usize {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, all).await;
        let left = self.tasks.len();
        self.tasks.shutdown().await;
        left
    }
}

async fn keep(mut task: impl Task, status: Status, cancel: CancellationToken) {
    let alarm = status.alarm(AlarmKind::TaskRestarted { task: task.kind(), name: task.label() });
    let mut failures = 0;
    while !cancel.is_cancelled() {
        let began = tokio::time::Instant::now();
        let outcome = {
            let run = AssertUnwindSafe(task.run(&cancel)).catch_unwind();
            tokio::pin!(run);
            match tokio::time::timeout(HEALTHY_AFTER, &mut run).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    if failures > 0 {
                        alarm.clear();
                    }
                    run.await
                }
            }
        };
        if cancel.is_cancelled() {
            return;
        }
        let reason = match outcome {
            Ok(Ok(())) => "ended unexpectedly".to_owned(),
            Ok(Err(reason)) => reason,
            Err(panic) => format!(
                "failed by a defect of this program: {}",
                foreign::line(&words(panic.as_ref()), WORDS_MAX)
            ),
        };
        failures = if began.elapsed() >= HEALTHY_AFTER { 1 } else { failures + 1 };
        let pause = RESTART.jittered(failures);
        error!(reason, failures, restart_in = ?pause, "task failed");
        alarm.raise(AlarmText::TaskStopped { name: task.label(), reason });
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Faulty {
        runs: Arc<AtomicU32>,
    }

    impl Task for Faulty {
        fn kind(&self) -> &'static str {
            "faulty"
        }

        fn label(&self) -> String {
            "faulty".to_owned()
        }

        async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
            match self.runs.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("broken"),
                1 => Err("no luck".to_owned()),
                _ => {
                    cancel.cancelled().await;
                    Ok(())
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_or_fails_runs_again_and_the_alarm_ends_when_it_stays_up() {
        let (config, _) = Config::parse(&Env::from_pairs::<&str, &str>([])).unwrap();
        let status = Status::new(&config);
        let runs = Arc::new(AtomicU32::new(0));
        let mut supervisor = Supervisor::new(&status);
        let cancel = CancellationToken::new();
        supervisor.spawn(Faulty { runs: Arc::clone(&runs) }, &cancel);
        let mut events = status.subscribe();
        let mut words = Vec::new();
        while let Ok(crate::status::Event::Alarms(alarms)) = events.recv().await {
            match alarms.first() {
                Some(alarm) => words.push(alarm.message.clone()),
                None => break,
            }
        }
        assert!(words[0].contains("broken") && words[1].contains("no luck"), "{words:?}");
        assert_eq!(runs.load(Ordering::Relaxed), 3);
        cancel.cancel();
        assert_eq!(supervisor.drain(Duration::from_secs(1)).await, 0);
    }

    /// Fails at the first runs, then stays up.
    struct Shaky {
        kind: &'static str,
        label: &'static str,
        failures: u32,
    }

    impl Task for Shaky {
        fn kind(&self) -> &'static str {
            self.kind
        }

        fn label(&self) -> String {
            self.label.to_owned()
        }

        async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
            if let Some(left) = self.failures.checked_sub(1) {
                self.failures = left;
                return Err("no luck".to_owned());
            }
            cancel.cancelled().await;
            Ok(())
        }
    }

    fn messages(status: &Status) -> Vec<String> {
        status.alarms().into_iter().map(|alarm| alarm.message).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_well_again_leaves_the_alarm_of_its_part_alone() {
        let (config, _) = Config::parse(&Env::from_pairs::<&str, &str>([])).unwrap();
        let status = Status::new(&config);
        let (mut supervisor, cancel) = (Supervisor::new(&status), CancellationToken::new());
        let domain = status.alarm(AlarmKind::RetentionFailed);
        domain.raise("old pictures are not deleted");
        let task = Shaky { kind: "retention", label: "retention", failures: 1 };
        supervisor.spawn(task, &cancel);
        tokio::time::sleep(HEALTHY_AFTER * 3).await;
        assert_eq!(messages(&status), ["old pictures are not deleted"]);
        cancel.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_well_again_leaves_the_alarm_of_another_of_its_kind_alone() {
        let (config, _) = Config::parse(&Env::from_pairs::<&str, &str>([])).unwrap();
        let status = Status::new(&config);
        let (mut supervisor, cancel) = (Supervisor::new(&status), CancellationToken::new());
        for (kind, bad, good) in [("camera", "camera:r1", "camera:r2"), ("upload", "upload:api", "upload:s3")]
        {
            supervisor.spawn(Shaky { kind, label: bad, failures: u32::MAX }, &cancel);
            supervisor.spawn(Shaky { kind, label: good, failures: 1 }, &cancel);
        }
        let mut events = status.subscribe();
        tokio::time::sleep(HEALTHY_AFTER * 3).await;
        let told: Vec<Vec<String>> = std::iter::from_fn(|| events.try_recv().ok())
            .filter_map(|event| match event {
                crate::status::Event::Alarms(alarms) => {
                    Some(alarms.into_iter().map(|alarm| alarm.message).collect())
                }
                _ => None,
            })
            .collect();
        for (label, ends) in
            [("camera:r1", false), ("upload:api", false), ("camera:r2", true), ("upload:s3", true)]
        {
            let is_said = |said: &Vec<String>| said.iter().any(|words| words.starts_with(label));
            let since = told.iter().skip_while(|said| !is_said(said));
            assert_eq!(
                (told.iter().any(is_said), !since.clone().all(is_said)),
                (true, ends),
                "{label}: {told:#?}"
            );
        }
        cancel.cancel();
    }
}
