//! What is done for folder and database while the program serves: everything is compared once after the start, the
//! database is looked through for damage, and a copy of it is made now and then. All of it in small steps, with pauses, so
//! that a picture never waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock;
use crate::model::AlarmText;
use crate::status::{AlarmHandle, AlarmKind, Status};
use crate::store::{Disk, Former, Reconciled, Stop, StoreError, StoreUpkeep, Wake};

/// Pause between two steps of the comparison: a million pictures take a quarter of an hour, and the disk is free most of
/// the time.
const PAUSE: Duration = Duration::from_millis(200);

/// Pause between some pictures of a program before this one: a card that reads 20 MB/s gives half of its time.
const TAKEOVER_PAUSE: Duration = Duration::from_millis(50);

/// How often a comparison that goes on says how far it has come.
const PROGRESS: Duration = Duration::from_secs(60);

/// The start of the machine is busy enough; copies wait.
const SETTLED: Duration = Duration::from_secs(120);

/// A copy that could not be made is tried again after this.
const RETRY: Duration = Duration::from_secs(3600);

/// How often it is looked whether the disk with the pictures is here, and the file of the database in its place.
const LOOK: Duration = Duration::from_secs(2);

/// How often it is looked whether pictures that were gone are back.
const LOOK_FOR_GONE: Duration = Duration::from_secs(60);

/// The task that looks after folder and database.
pub struct Upkeep {
    store: StoreUpkeep,
    alarms: Arc<Owned>,
    /// From one copy of the database to the next; `None` for no copies.
    backup_every: Option<Duration>,
    /// What a program before this one may have left.
    former: Former,
    has_taken_over: bool,
    has_compared: bool,
    has_checked: bool,
    /// What the database was like at the newest copy of this run.
    copied_at: Option<i64>,
}

/// The alarms of this task.
struct Owned {
    away: AlarmHandle,
    gone: AlarmHandle,
    folder: AlarmHandle,
    replaced: AlarmHandle,
    takeover: AlarmHandle,
    backup: AlarmHandle,
}

impl Upkeep {
    /// The task. `backup_every` is the time from one copy of the database to the next; `None` for no copies.
    pub fn new(store: StoreUpkeep, status: &Status, backup_every: Option<Duration>) -> Self {
        let alarms = Arc::new(Owned {
            away: status.alarm(AlarmKind::PicturesAway),
            gone: status.alarm(AlarmKind::PicturesGone),
            folder: status.alarm(AlarmKind::FolderNotFollowed),
            replaced: status.alarm(AlarmKind::DatabaseReplaced),
            takeover: status.alarm(AlarmKind::TakeoverIncomplete),
            backup: status.alarm(AlarmKind::BackupFailed),
        });
        alarms.away.set(store.away().map(|detail| AlarmText::FolderAway { detail }));
        alarms.gone.set(words_of_gone(store.gone().now()));
        Self {
            store,
            alarms,
            backup_every,
            former: Former::default(),
            has_taken_over: false,
            has_compared: false,
            has_checked: false,
            copied_at: None,
        }
    }

    /// The same task, which takes over what a program before this one left.
    pub fn taking_over(self, former: Former) -> Self {
        Self { former, ..self }
    }

    /// Runs until cancelled. What an error interrupted is begun anew at the next run.
    pub async fn run(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        let (store, alarms) = (self.store.clone(), Arc::clone(&self.alarms));
        let (mut strangers, mut gone) = (store.strange(), store.gone());
        let mut said = store.said_of_database();
        let folder = async {
            loop {
                let found = strangers.next().await;
                alarms.folder.set(found.map(|detail| AlarmText::FolderNotFollowed { detail }));
            }
        };
        let missing = async {
            loop {
                alarms.gone.set(words_of_gone(gone.next().await));
            }
        };
        let file = async {
            loop {
                if let Err(error) = store.look_for_database().await {
                    warn!(%error, "it cannot be told whether the database is in its place");
                }
                if said.has_changed().unwrap_or(false)
                    && let Some(detail) = said.borrow_and_update().clone()
                {
                    alarms.replaced.raise(AlarmText::DatabaseReplaced { detail });
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let disk = watch_disk(&store, &alarms.away);
        tokio::select! {
            done = self.look_after(cancel) => done,
            () = folder => Ok(()),
            () = missing => Ok(()),
            () = disk => Ok(()),
            () = look_for_gone(&store) => Ok(()),
            () = file => Ok(()),
        }
    }

    async fn look_after(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        if !self.has_checked {
            self.check(cancel).await?;
        }
        if !self.has_taken_over {
            self.take_over(cancel).await?;
        }
        if !self.has_compared {
            self.compare(cancel).await?;
        }
        let Some(every) = self.backup_every else {
            cancel.cancelled().await;
            return Ok(());
        };
        let mut wait = first_wait(self.age_of_copy(), every).max(SETTLED);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
            wait = if self.back_up(cancel).await { every } else { RETRY.min(every) };
        }
    }

    async fn check(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        let began = std::time::Instant::now();
        let Some(found) = until_stopped(cancel, |stop| self.store.quick_check(stop)).await? else {
            return Ok(());
        };
        self.has_checked = true;
        if found.is_empty() {
            info!(took = ?began.elapsed(), "the database is whole");
        } else {
            error!(found, "the database is damaged");
            self.store.report_damage(found);
        }
        Ok(())
    }

    /// Takes over what a program before this one left. Cancelled halfway, the next start goes on.
    async fn take_over(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = self.store.here() => {}
        }
        let begun = match self.store.takeover(&self.former).await {
            // What does not concern other work; the next start tries again.
            Err(error @ StoreError::File { .. }) => {
                warn!(%error, "what a program before this one left cannot be looked at");
                self.alarms.takeover.raise(AlarmText::TakeoverFailed { error: error.to_string() });
                None
            }
            begun => begun?,
        };
        if let Some(mut takeover) = begun {
            while self.store.take_over_some(&mut takeover).await? {
                tokio::select! {
                    () = cancel.cancelled() => return Ok(()),
                    () = tokio::time::sleep(TAKEOVER_PAUSE) => {}
                }
            }
            let left = self.store.finish_takeover(takeover).await?.alarm();
            self.alarms.takeover.set(left.map(|detail| AlarmText::TakeoverIncomplete { detail }));
            self.store.wakes().raise(Wake::Disk);
        }
        self.has_taken_over = true;
        Ok(())
    }

    async fn compare(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        let mut done = Reconciled::default();
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = self.store.here() => {}
        }
        let mut comparison = self.store.comparison().await?;
        let mut told = tokio::time::Instant::now();
        loop {
            match self.store.compare_some(&mut comparison).await {
                Ok(Some(step)) => done.add(step),
                Ok(None) => break,
                // Its disk went; what was not compared is, once it is back.
                Err(_) if !self.store.is_there() => {
                    tokio::select! {
                        () = cancel.cancelled() => return Ok(()),
                        () = tokio::time::sleep(LOOK) => {}
                    }
                    tokio::select! {
                        () = cancel.cancelled() => return Ok(()),
                        () = self.store.here() => {}
                    }
                    comparison = self.store.comparison().await?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            if told.elapsed() > PROGRESS {
                told = tokio::time::Instant::now();
                info!(seen = comparison.seen(), "the picture directory is being compared with the database");
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        self.has_compared = true;
        info!(
            seen = comparison.seen(),
            adopted = done.adopted,
            quarantined = done.quarantined,
            missing = done.missing,
            unfinished = done.unfinished,
            "the picture directory and the database agree"
        );
        Ok(())
    }

    /// How old the newest copy is, if there is one and the clock can tell.
    fn age_of_copy(&self) -> Option<Duration> {
        let age = clock::now().0.checked_sub(self.store.backed_up_at()?.0)?;
        Some(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }

    /// Makes a copy if anything changed since the one before. Returns whether there is a good copy now.
    async fn back_up(&mut self, cancel: &CancellationToken) -> bool {
        let made = async {
            let version = self.store.version().await?;
            if self.copied_at == Some(version) {
                return Ok(());
            }
            let began = std::time::Instant::now();
            if let Some(bytes) = until_stopped(cancel, |stop| self.store.back_up(stop)).await? {
                self.copied_at = Some(version);
                info!(bytes, took = ?began.elapsed(), "the database was copied");
            }
            Ok(())
        };
        let made: Result<(), StoreError> = made.await;
        match made {
            Ok(()) => self.alarms.backup.clear(),
            Err(error) => {
                warn!(%error, "the database could not be copied");
                if error.is_damage() {
                    self.store.report_damage(error.to_string());
                }
                self.alarms.backup.raise(AlarmText::BackupFailed { error: error.to_string() });
                return false;
            }
        }
        true
    }
}

/// Says that the disk with the pictures is away, and sees to it that all goes on when it is back.
async fn watch_disk(store: &StoreUpkeep, alarm: &AlarmHandle) {
    loop {
        match store.look_for_disk().await {
            Ok(Disk::Here) => alarm.clear(),
            Ok(Disk::Away(detail)) => alarm.raise(AlarmText::FolderAway { detail }),
            Ok(Disk::Back(found)) => {
                info!(adopted = found.adopted, missing = found.missing, "its newest pictures were looked at");
                alarm.clear();
            }
            Err(error) => alarm.raise(AlarmText::FolderUnusable { error: error.to_string() }),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Sees to it that what was said to be gone is not said any more when it is back.
async fn look_for_gone(store: &StoreUpkeep) {
    loop {
        tokio::time::sleep(LOOK_FOR_GONE).await;
        if let Err(error) = store.look_for_gone().await {
            warn!(%error, "it cannot be told whether pictures that were gone are back");
        }
    }
}

/// What is said of so many pictures.
fn words_of_gone(count: usize) -> Option<AlarmText> {
    (count > 0).then_some(AlarmText::PicturesGone { count: count as u64 })
}

/// How long the first copy of a run waits, given the age of the one there is.
fn first_wait(age: Option<Duration>, every: Duration) -> Duration {
    age.map_or(Duration::ZERO, |age| every.saturating_sub(age))
}

/// Does work of the blocking pool, and asks it to stop when cancelled.
async fn until_stopped<T, F: Future<Output = T>>(
    cancel: &CancellationToken,
    work: impl FnOnce(Stop) -> F,
) -> T {
    let stop = Stop::default();
    let work = work(stop.clone());
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = cancel.cancelled() => stop.stop(),
    }
    work.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env};
    use crate::store::testing::{Place, T0, take};

    #[test]
    fn the_first_copy_waits_for_what_is_left_of_the_interval() {
        let hours = |n: u64| Duration::from_secs(n * 3600);
        assert_eq!(first_wait(None, hours(24)), Duration::ZERO);
        assert_eq!(first_wait(Some(hours(30)), hours(24)), Duration::ZERO);
        assert_eq!(first_wait(Some(hours(5)), hours(24)), hours(19));
        // The clock was set back; a copy of the future is a copy of now.
        assert_eq!(first_wait(Some(Duration::ZERO), hours(24)), hours(24));
    }

    /// Which file the copy is, if there is one.
    fn copy(place: &Place) -> Option<u64> {
        let name = format!("{}.backup", place.database().display());
        std::fs::metadata(name).ok().map(|meta| std::os::unix::fs::MetadataExt::ino(&meta))
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_made_once_a_day_if_anything_changed_and_nothing_is_written_at_rest() {
        let place = Place::new();
        let store = place.open();
        let image = take(&store, "r1", T0).await;
        let (config, _) = Config::parse(&Env::from_pairs([("GPIO_ENABLED", "false")])).unwrap();
        let status = Status::new(&config);
        let (cancel, day) = (CancellationToken::new(), Duration::from_secs(86_400));
        let mut upkeep = Upkeep::new(store.upkeep(), &status, Some(day));
        let mut clock = crate::daemon::clock_watch::ClockWatch::new(store.upkeep(), &status);
        let stop = cancel.clone();
        let running = tokio::spawn(async move { upkeep.run(&stop).await });
        let stop = cancel.clone();
        let watching = tokio::spawn(async move { clock.run(&stop).await });
        while copy(&place).is_none() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let (first, version) = (copy(&place), store.upkeep().version().await.unwrap());
        tokio::time::sleep(day * 3).await;
        assert_eq!(
            (copy(&place), store.upkeep().version().await.unwrap()),
            (first, version),
            "three days of nothing"
        );
        store.protect(&image.filename, true).await.unwrap();
        tokio::time::sleep(day + Duration::from_secs(60)).await;
        assert_ne!(copy(&place), first);
        cancel.cancel();
        running.await.unwrap().unwrap();
        watching.await.unwrap().unwrap();
        assert_eq!(status.alarms(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_fails_is_an_alarm_until_one_succeeds() {
        let place = Place::new();
        let store = place.open();
        take(&store, "r1", T0).await;
        let (config, _) = Config::parse(&Env::from_pairs([("GPIO_ENABLED", "false")])).unwrap();
        let status = Status::new(&config);
        let cancel = CancellationToken::new();
        let in_the_way = format!("{}.backup.part", place.database().display());
        std::fs::create_dir(&in_the_way).unwrap();
        let mut upkeep = Upkeep::new(store.upkeep(), &status, Some(Duration::from_secs(86_400)));
        let stop = cancel.clone();
        let running = tokio::spawn(async move { upkeep.run(&stop).await });
        let mut words = String::new();
        while words.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            words = status.alarms().into_iter().map(|alarm| alarm.message).collect();
        }
        assert!(words.contains("no copy of the database could be made: cannot write"), "{words}");
        std::fs::remove_dir(in_the_way).unwrap();
        while !status.alarms().is_empty() {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        assert!(copy(&place).is_some());
        cancel.cancel();
        running.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn pictures_that_are_gone_are_an_alarm_until_they_are_back() {
        let place = Place::new();
        let store = place.open();
        let image = take(&store, "r1", T0).await;
        let (path, aside) = (store.path_of(&image), place.path().join("aside.jpg"));
        std::fs::rename(&path, &aside).unwrap();
        let (config, _) = Config::parse(&Env::from_pairs([("GPIO_ENABLED", "false")])).unwrap();
        let status = Status::new(&config);
        let cancel = CancellationToken::new();
        let mut upkeep = Upkeep::new(store.upkeep(), &status, None);
        let stop = cancel.clone();
        let running = tokio::spawn(async move { upkeep.run(&stop).await });
        let said =
            |status: &Status| -> String { status.alarms().into_iter().map(|alarm| alarm.message).collect() };
        while said(&status).is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(said(&status).starts_with("1 stored pictures are gone"), "{}", said(&status));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(!said(&status).is_empty(), "it is still gone");
        std::fs::rename(&aside, &path).unwrap();
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(said(&status), "");
        assert!(store.image(&image.filename).await.unwrap().is_some(), "it is listed again");
        cancel.cancel();
        running.await.unwrap().unwrap();
    }
}
