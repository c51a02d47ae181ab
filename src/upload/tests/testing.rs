//! The world that the simulation moves: the real lane, policy, store and guard, on a clock that jumps to whatever comes
//! next, with a target and a disk that do as a story wants, and a plain model of what was promised.
//!
//! What is not real here: the power. A crash ends the lane in the midst of whatever it does, and a transaction that had
//! begun is finished; death at every single step is in `store/tests/crash.rs`, power cuts in `tests/it/e2e/torture.rs`.
//! So the places lie in memory, where a sync costs nothing.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Lane;
pub(super) use super::simulated_target_tests::Mood;
use super::simulated_target_tests::Server;
use crate::clock::{self, simulated};
use crate::config::{Config, Env};
use crate::disk::{DiskGuard, StoreRefusal, Weight};
use crate::model::{FileName, ImageId, Outcome, UnixMs, UploadState};
use crate::status::Status;
use crate::store::testing::{
    Delivery, OWED, Place, SKIPPED, T0, assert_in_order, disk::SmallDisk, picture, trigger,
};
use crate::store::{DueUpload, NewImage, Reconciled, Store, StoreError, TriggerId, Wake};
use crate::targets::Target;

pub(super) const CAMERAS: [&str; 3] = ["r1", "r2", "r3"];

/// A target that is well again has everything within this time.
const HEALED: Duration = Duration::from_secs(12 * 60 * 60);

/// A lane that failed begins again after this, as by the supervisor's longest pause.
const RESTART: Duration = Duration::from_secs(30);

/// What the program promised of a picture.
pub(super) struct Promise {
    pub(super) id: ImageId,
    pub(super) name: FileName,
    is_bad: bool,
}

/// An edge without a picture, or with one that is listed later.
struct Failure {
    /// `None` when the ledger did not take it at first.
    row: Option<TriggerId>,
    id: ImageId,
    /// Its file is there.
    is_kept: bool,
}

/// A lane that is kept going, and what ends it.
struct Running {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

/// The disk of a story.
pub(super) struct Disk {
    folder: PathBuf,
    small: SmallDisk,
}

impl Disk {
    /// A really small one; `None` where none can be mounted.
    pub(super) fn mount(over: &Path, test: &str) -> Option<Self> {
        let small = SmallDisk::mount(over, "size=12m", test)?;
        Some(Self { folder: over.to_owned(), small })
    }

    /// Leaves so many bytes free.
    fn fill(&self, leave: u64) {
        self.small.fill();
        let filler = std::fs::OpenOptions::new().write(true).open(self.folder.join("filler")).unwrap();
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub(leave)).unwrap();
    }

    fn relieve(&self) {
        self.small.relieve();
    }
}

/// What the stories did, for the report.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) steps: u64,
    pub(super) accepted: u64,
    pub(super) failed: u64,
    /// Of these, those that not even the ledger could take.
    pub(super) unwritten: u64,
    /// Of these, those whose picture was found at a later start.
    pub(super) adopted: u64,
    /// Runs of a lane that ended because the disk was full.
    pub(super) lane_failures: u64,
    pub(super) again: u64,
    pub(super) excuses: u64,
    pub(super) full: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.accepted += other.accepted;
        self.failed += other.failed;
        self.unwritten += other.unwritten;
        self.adopted += other.adopted;
        self.lane_failures += other.lane_failures;
        self.again += other.again;
        self.excuses += other.excuses;
        self.full += other.full;
    }
}

pub(super) struct World<'a> {
    place: Place,
    disk: Option<&'a Disk>,
    store: Option<Store>,
    guard: Option<DiskGuard>,
    config: Config,
    status: Status,
    pub(super) server: Arc<Mutex<Server>>,
    lane: Option<Running>,
    /// Which lane it is, counted.
    life: u64,
    pub(super) promises: Vec<Promise>,
    known: HashSet<ImageId>,
    failures: Vec<Failure>,
    /// Edges that the ledger did not take at once, nor lost with the process.
    unwritten: Vec<UnixMs>,
    /// Gone by retention, or to make room.
    deleted: HashSet<ImageId>,
    is_on: bool,
    /// Whether the disk is full, or was a moment ago.
    is_tight: Arc<AtomicBool>,
    /// Whether it was since the last start.
    was_tight: bool,
    lane_failures: Arc<AtomicU64>,
    pub(super) tally: Tally,
}

impl<'a> World<'a> {
    pub(super) fn new(parallel: usize, disk: Option<&'a Disk>) -> Self {
        simulated::set(UnixMs(T0));
        let place = disk.map_or_else(Place::new, |disk| Place::below(&disk.folder));
        let parallel = parallel.to_string();
        let pairs = [("S3_API_URL", "http://localhost:9/"), ("UPLOAD_PARALLEL", parallel.as_str())];
        let (mut config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
        // How full the machine's own disk is, is no part of the story.
        config.storage.min_free_bytes = disk.is_none().then_some(0);
        let mut world = Self {
            status: Status::new(&config),
            place,
            disk,
            store: None,
            guard: None,
            config,
            server: Arc::new(Mutex::new(Server::new())),
            lane: None,
            life: 0,
            promises: Vec::new(),
            known: HashSet::new(),
            failures: Vec::new(),
            unwritten: Vec::new(),
            deleted: HashSet::new(),
            is_on: true,
            is_tight: Arc::default(),
            was_tight: false,
            lane_failures: Arc::default(),
            tally: Tally::default(),
        };
        let store = world.place.open();
        world.begin(store);
        world
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn is_tight(&self) -> bool {
        self.is_tight.load(Ordering::Relaxed)
    }

    fn begin(&mut self, store: Store) {
        self.guard = Some(DiskGuard::new(store.intake(), &self.config.storage, &self.status));
        self.store = Some(store);
        if self.is_on {
            self.start_lane();
        }
    }

    fn start_lane(&mut self) {
        self.life += 1;
        self.server.lock().unwrap().forget_lane();
        let (server, life) = (Arc::clone(&self.server), self.life);
        let script = Box::new(move |upload: &DueUpload| {
            let (server, upload) = (Arc::clone(&server), upload.clone());
            let answer = async move {
                let end = server.lock().unwrap().next_end();
                sleep_until(end).await;
                if server.lock().unwrap().mood == Mood::Hangs {
                    std::future::pending::<()>().await;
                }
                server.lock().unwrap().answer(upload.facts.id, &upload.filename, upload.sha256, life)
            };
            Box::pin(answer) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
        });
        let cancel = CancellationToken::new();
        let target = Arc::new(Target::scripted(script));
        let queue = self.store().queue(target.id());
        let mut lane = Lane::new(target, &self.config, queue, &self.status);
        let (stop, is_tight, failures) =
            (cancel.clone(), Arc::clone(&self.is_tight), Arc::clone(&self.lane_failures));
        let task = tokio::spawn(async move {
            // As the supervisor does it.
            while let Err(error) = lane.run(&stop).await {
                assert!(is_tight.load(Ordering::Relaxed), "the lane failed: {error}");
                failures.fetch_add(1, Ordering::Relaxed);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(RESTART) => {}
                }
            }
        });
        self.lane = Some(Running { cancel, task });
    }

    /// Ends the lane: as the daemon does, or in the midst of whatever it does.
    pub(super) async fn end(&mut self, is_crash: bool) {
        let Some(Running { cancel, task, .. }) = self.lane.take() else { return };
        if is_crash {
            task.abort();
            // That it was stopped is what was wanted, and a failure is none.
            if let Err(error) = task.await {
                assert!(error.is_cancelled(), "{error}");
            }
        } else {
            cancel.cancel();
            task.await.unwrap();
        }
    }

    pub(super) async fn restart(&mut self, is_crash: bool) {
        self.end(is_crash).await;
        if !is_crash && let Err(error) = self.store().close().await {
            self.excuse(&error);
        }
        let is_late = self.store().late().is_some();
        (self.store, self.guard) = (None, None);
        // On a full disk a start may fail; then it is tried again, and in the end a person comes and makes room.
        let mut tries = 0;
        let (store, done) = loop {
            match self.try_start().await {
                Ok(started) => break started,
                Err(error) => self.excuse(&error),
            }
            tries += 1;
            if tries > 2 {
                self.relieve().await;
            }
            sleep(Duration::from_secs(60)).await;
        };
        assert_eq!(done.missing, 0);
        // What the ledger is still owed goes with the process, unless there was room for a note of it.
        if is_late {
            let written = self.place.explained();
            self.unwritten.retain(|edge_at| written.contains(edge_at));
        }
        if !self.was_tight {
            assert_eq!(done, Reconciled { interrupted: done.interrupted, ..Reconciled::default() });
        }
        self.was_tight = self.is_tight();
        self.begin(store);
    }

    async fn try_start(&self) -> Result<(Store, Reconciled), StoreError> {
        let store = self.place.try_open(if self.is_on { OWED } else { SKIPPED })?;
        let done = store.reconcile().await?;
        Ok((store, done))
    }

    /// Nothing but a full disk makes anything fail.
    fn excuse(&self, error: &StoreError) {
        assert!(self.is_tight() && error.is_full(), "{error}");
    }

    /// What the camera's task does with a picture: the edge into the ledger, the picture, or the failure in words. With a
    /// `surge` the disk fills to so many bytes while the picture is on its way.
    pub(super) async fn capture(&mut self, key: &str, is_bad: bool, surge: Option<u64>) -> &'static str {
        let (store, guard) = (self.store().clone(), self.guard.clone().unwrap());
        // No contact closes twice in one millisecond; a picture finds its edge by that.
        sleep(Duration::from_millis(1)).await;
        let had_ballast = self.place.ballast() > 0;
        let trigger = trigger(key, clock::now().0);
        let id = ImageId::random();
        if is_bad {
            self.server.lock().unwrap().bad.insert(id);
        }
        let is_behind = store.late().is_some();
        let row = store.triggers().begin(&trigger).await.inspect_err(|error| {
            self.excuse(error);
            assert!(!had_ballast || is_behind, "the ballast is there for the ledger: {error}");
        });
        let row = row.ok();
        let new = NewImage { trigger: row, ..picture(&trigger, TriggerId::of(0), id, 0) };
        let result = match surge {
            None => guard.record(new, Weight::Picture).await,
            Some(leave) => {
                // The guard has found room for it, and this very moment somebody else takes it.
                self.fill(leave);
                store.record(new).await.map_err(|error| match error {
                    StoreError::Kept { .. } => StoreRefusal::Kept(error.to_string()),
                    error => StoreRefusal::Failed(error),
                })
            }
        };
        let words = match result {
            Ok(image) => {
                self.known.insert(id);
                self.promises.push(Promise { id, name: image.filename, is_bad });
                self.tally.accepted += 1;
                return "stored";
            }
            Err(refusal) => {
                let words = refusal.to_string();
                assert!(self.is_tight(), "{words}");
                assert!(["full", "free", "space"].iter().any(|word| words.contains(word)), "{words}");
                self.tally.failed += 1;
                if matches!(refusal, StoreRefusal::Kept(_)) {
                    self.failures.push(Failure { row, id, is_kept: true });
                    return "kept as a file";
                }
                words
            }
        };
        let Some(row) = row else {
            self.tally.unwritten += 1;
            self.unwritten.push(trigger.edge.wall);
            // It is kept for the ledger, or finds room by now.
            if let Err(error) = store.triggers().end(&trigger, Outcome::Failed, words.as_str()).await {
                self.excuse(&error);
                assert!(store.late().is_some());
            }
            return "not even written down";
        };
        self.failures.push(Failure { row: Some(row), id, is_kept: false });
        if let Err(error) = store.triggers().fail(row, words.as_str()).await {
            // It stays open, and the next start ends it.
            self.excuse(&error);
            let is_fine = !had_ballast || surge.is_some() || is_behind;
            assert!(is_fine, "the ballast is there for the ledger: {error}");
            return "failed, and the words are for the next start";
        }
        "failed in words"
    }

    /// Deletes what was taken before an instant and may go, as retention does.
    pub(super) async fn clean(&mut self, before: UnixMs) {
        let store = self.store().clone();
        let found = store.retention().deletable(before, None, 1000).await.unwrap();
        let gone = store.retention().delete_expired(found.into_iter().map(|(_, one)| one).collect()).await;
        if let Err(error) = gone {
            self.excuse(&error);
        }
    }

    /// Looks at the disk, as retention does every minute.
    pub(super) async fn tend(&mut self) {
        let guard = self.guard.clone().unwrap();
        if let Err(error) = guard.tend().await {
            self.excuse(&error);
        }
        // What it began and the disk refused is finished by the next run.
        if let Err(error) = self.store().retention().finish_begun_deletions().await {
            self.excuse(&error);
        }
    }

    pub(super) fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Somebody else takes all of the disk but so many bytes.
    pub(super) fn fill(&mut self, leave: u64) {
        let Some(disk) = self.disk else { return };
        disk.fill(leave);
        self.is_tight.store(true, Ordering::Relaxed);
        self.was_tight = true;
        self.tally.full += 1;
    }

    /// Somebody gives it back.
    pub(super) async fn relieve(&mut self) {
        let Some(disk) = self.disk.filter(|_| self.is_tight()) else { return };
        disk.relieve();
        // What had begun before may still fail.
        sleep(Duration::from_secs(1)).await;
        self.is_tight.store(false, Ordering::Relaxed);
        if self.guard.is_some() {
            self.tend().await;
        }
    }

    pub(super) fn set_mood(&mut self, mood: Mood) {
        self.server.lock().unwrap().mood = mood;
    }

    /// Sets the wall clock, which the daemon notices and hurries the lane for.
    pub(super) fn set_clock(&self, by_ms: i64) {
        simulated::set(clock::now().plus_ms(by_ms));
        self.store().wakes().raise(Wake::Clock);
    }

    pub(super) async fn switch(&mut self) -> bool {
        self.is_on = !self.is_on;
        self.restart(false).await;
        self.is_on
    }

    pub(super) async fn wait(&mut self, time: Duration) {
        sleep(time).await;
        // Time does not go on while something is written, so whatever was decided a moment ago is durable, unless the disk
        // is full.
        if !self.is_tight() {
            self.server
                .lock()
                .unwrap()
                .excused
                .retain(|_, (_, at)| at.elapsed() < Duration::from_millis(200));
        }
    }

    /// What must be so at any moment.
    pub(super) async fn assert_promises_are_kept(&mut self) {
        let rows = self.place.deliveries();
        // A failure whose picture was found at a later start is a promise from then on.
        for row in rows.iter().filter(|row| !self.known.contains(&row.id)).cloned().collect::<Vec<_>>() {
            assert!(self.failures.iter().any(|failure| failure.id == row.id), "nobody took {}", row.name);
            let is_bad = self.server.lock().unwrap().bad.contains(&row.id);
            self.known.insert(row.id);
            self.promises.push(Promise { id: row.id, name: row.name, is_bad });
            self.tally.adopted += 1;
        }
        let found: HashMap<_, _> = rows.iter().map(|row| (row.id, row)).collect();
        assert_eq!((found.len(), rows.len()), (self.promises.len(), self.promises.len()));
        let server = self.server.lock().unwrap();
        assert_eq!(server.wrong, Vec::<String>::new());
        for Promise { id, name, is_bad } in &self.promises {
            let row = found.get(id).unwrap_or_else(|| panic!("{name} is gone"));
            assert_eq!(&row.name, name);
            let blame = server
                .blames
                .get(id)
                .or_else(|| server.excused.get(id).map(|(blame, _)| blame))
                .copied()
                .unwrap_or_default();
            assert!(row.refusals <= blame.refusals, "{name} is held to blame: {row:?}, {blame:?}");
            match row.state {
                UploadState::Delivered => assert!(server.taken.contains_key(id), "{name} never arrived"),
                UploadState::Dead => {
                    assert!(blame.is_enough(), "{name} is put aside: {row:?}, {blame:?}, bad: {is_bad}");
                }
                UploadState::Pending | UploadState::Skipped => {}
                UploadState::Lost => panic!("{name} is lost"),
            }
            if row.is_there {
                assert!(!self.deleted.contains(id), "{name} is back");
            } else {
                // What goes had arrived, or nobody was to get it.
                assert!(
                    matches!(row.state, UploadState::Delivered | UploadState::Skipped),
                    "{name} went: {row:?}"
                );
                self.deleted.insert(*id);
            }
        }
    }

    /// Everything heals, first by itself and then once more after a start, which finds what a full disk had cut short:
    /// what is not refused for its own sake arrives, and every edge has its picture or its reason.
    pub(super) async fn assert_all_heals(&mut self) {
        self.relieve().await;
        assert_eq!(self.store().late(), None, "there is room for the ledger");
        self.set_mood(Mood::Well);
        if !self.is_on {
            self.switch().await;
        }
        self.assert_all_arrives().await;
        self.restart(false).await;
        self.assert_all_arrives().await;
        self.end(false).await;
        self.assert_promises_are_kept().await;
        self.assert_every_edge_is_explained().await;
        assert_in_order(&self.place);
        self.tally.again = self.server.lock().unwrap().again;
        self.tally.excuses = self.server.lock().unwrap().excuses;
        self.tally.lane_failures = self.lane_failures.load(Ordering::Relaxed);
    }

    async fn assert_all_arrives(&mut self) {
        let began = Instant::now();
        loop {
            // Fewer than five refused in a row look like bad pictures; a person sends them again.
            self.store().retry_dead(None).await.unwrap();
            let waits = {
                let server = self.server.lock().unwrap();
                let is_owed = |row: &Delivery| {
                    row.is_there && row.state != UploadState::Delivered && !server.bad.contains(&row.id)
                };
                self.place.deliveries().into_iter().find(is_owed)
            };
            let Some(row) = waits else { return };
            assert!(began.elapsed() < HEALED, "still waits: {row:?}");
            self.wait(Duration::from_secs(600)).await;
        }
    }

    async fn assert_every_edge_is_explained(&self) {
        let count = |what: &str| -> u64 {
            let sql = format!("select count(*) from triggers where {what}");
            let count: i64 = self.place.sql().query_row(&sql, [], |row| row.get(0)).unwrap();
            u64::try_from(count).unwrap()
        };
        assert_eq!(count("outcome is null"), 0);
        // Pictures whose edge was not written, and was not noted for want of room.
        let alone =
            self.place.sql().query_row("select count(*) from images where trigger_id is null", [], |row| {
                row.get::<_, i64>(0)
            });
        let alone = u64::try_from(alone.unwrap()).unwrap();
        assert_eq!(count("outcome = 'captured'"), self.promises.len() as u64 - alone);
        let edges = self.promises.len() + self.failures.len() + self.unwritten.len();
        assert_eq!(count("true"), edges as u64 - self.tally.adopted - alone);
        let explained = self.place.explained();
        for edge_at in &self.unwritten {
            assert!(explained.contains(edge_at), "{edge_at:?} ended as nothing");
        }
        for Failure { row, id, is_kept } in &self.failures {
            assert!(!is_kept || self.known.contains(id), "a picture that was kept is lost: {id}");
            let Some(row) = row else { continue };
            let entry = self.store().ledger_entry(*row).await.unwrap().unwrap();
            if self.known.contains(id) {
                assert_eq!(entry.outcome, Some(Outcome::Captured), "{row:?}");
            } else {
                assert_eq!(entry.outcome, Some(Outcome::Failed), "{row:?}");
                assert!(entry.reason.is_some_and(|reason| !reason.to_string().is_empty()), "{row:?}");
            }
        }
    }
}

/// On a runtime whose clock stands still while something happens, and jumps when nothing does.
pub(super) fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(story);
}
