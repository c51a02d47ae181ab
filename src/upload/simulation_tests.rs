//! Days of a lane in a moment: the real lane, policy and store on a clock that jumps to whatever comes next, with a target
//! that is well, away, full, wrong or deaf, crashes, restarts, a wall clock that is set, and a target that is switched off.
//!
//! `SEEDS` is how many random stories are told, `SEED` repeats one, `PICTURES` is how many the week without a network
//! has.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Lane, Poke};
use crate::clock::{self, simulated};
use crate::config::{Config, Env};
use crate::model::{FileName, ImageId, UnixMs, UploadState};
use crate::status::Status;
use crate::store::testing::{OWED, Place, SKIPPED, T0, assert_in_order, picture, trigger};
use crate::store::{Image, ImageQuery, Reconciled, Store};
use crate::target::{Target, TargetError};

const CAMERAS: [&str; 3] = ["r1", "r2", "r3"];

/// How long a delivery takes.
const DELIVERY: Duration = Duration::from_millis(300);

/// A target that is well again has everything within this time.
const HEALED: Duration = Duration::from_secs(12 * 60 * 60);

/// How the target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Away,
    Breaks,
    /// It takes the picture, and the connection breaks before it says so.
    TakesSilently,
    Busy,
    Misconfigured,
    /// It refuses every picture, by a word that is its last or not.
    Refuses {
        is_final: bool,
    },
    /// It says nothing at all.
    Hangs,
}

#[derive(Debug)]
struct Server {
    mood: Mood,
    /// Pictures that it refuses whatever its mood.
    bad: HashSet<ImageId>,
    /// What it took: name, content, and when first.
    taken: HashMap<ImageId, (FileName, [u8; 32], UnixMs)>,
    again: u64,
}

impl Server {
    fn answer(&mut self, id: ImageId, name: &FileName, sha256: [u8; 32]) -> Result<(), TargetError> {
        let message = || "as the story wants it".to_owned();
        if self.bad.contains(&id) && !matches!(self.mood, Mood::Away | Mood::Busy | Mood::Misconfigured) {
            return Err(TargetError::Rejected { message: message(), is_final: true });
        }
        match self.mood {
            Mood::Well | Mood::TakesSilently => {
                if let Some((known, content, _)) = self.taken.get(&id) {
                    assert_eq!((known, *content), (name, sha256), "one identity, two pictures");
                    self.again += 1;
                } else {
                    self.taken.insert(id, (name.clone(), sha256, clock::now()));
                }
                if self.mood == Mood::Well { Ok(()) } else { Err(TargetError::Broken { message: message() }) }
            }
            Mood::Away => Err(TargetError::Unreachable { message: message() }),
            Mood::Breaks | Mood::Hangs => Err(TargetError::Broken { message: message() }),
            Mood::Busy => {
                Err(TargetError::Busy { message: message(), retry_after: Some(Duration::from_secs(600)) })
            }
            Mood::Misconfigured => Err(TargetError::Misconfigured { message: message() }),
            Mood::Refuses { is_final } => Err(TargetError::Rejected { message: message(), is_final }),
        }
    }
}

/// What the program promised of a picture.
struct Promise {
    id: ImageId,
    name: FileName,
    is_bad: bool,
}

struct World {
    place: Place,
    store: Store,
    config: Config,
    server: Arc<Mutex<Server>>,
    lane: Option<(CancellationToken, Poke, JoinHandle<()>)>,
    promises: Vec<Promise>,
    /// Deleted by retention.
    deleted: HashSet<ImageId>,
    has_refused: bool,
    is_on: bool,
}

impl World {
    fn new(parallel: usize) -> Self {
        simulated::set(UnixMs(T0));
        let place = Place::new();
        let parallel = parallel.to_string();
        let pairs = [("S3_API_URL", "http://localhost:9/"), ("UPLOAD_PARALLEL", parallel.as_str())];
        let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
        let server = Server { mood: Mood::Well, bad: HashSet::new(), taken: HashMap::new(), again: 0 };
        let mut world = Self {
            store: place.open(),
            place,
            config,
            server: Arc::new(Mutex::new(server)),
            lane: None,
            promises: Vec::new(),
            deleted: HashSet::new(),
            has_refused: false,
            is_on: true,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let server = Arc::clone(&self.server);
        let script = Box::new(move |upload: &crate::store::DueUpload| {
            let (server, upload) = (Arc::clone(&server), upload.clone());
            let answer = async move {
                sleep(DELIVERY).await;
                if server.lock().unwrap().mood == Mood::Hangs {
                    std::future::pending::<()>().await;
                }
                server.lock().unwrap().answer(upload.id, &upload.filename, upload.sha256)
            };
            Box::pin(answer) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
        });
        let (status, poke, cancel) = (Status::new(&self.config), Poke::default(), CancellationToken::new());
        let target = Arc::new(Target::Scripted(script));
        let mut lane = Lane::new(target, &self.config, &self.store, &status, poke.clone());
        let stop = cancel.clone();
        let task = tokio::spawn(async move { lane.run(&stop).await.unwrap() });
        self.lane = Some((cancel, poke, task));
    }

    /// Ends the lane: as the daemon does, or in the midst of whatever it does.
    async fn end(&mut self, is_crash: bool) {
        let Some((cancel, _, task)) = self.lane.take() else { return };
        if is_crash {
            task.abort();
            // That it was stopped is what was wanted.
            let _ = task.await;
        } else {
            cancel.cancel();
            task.await.unwrap();
        }
    }

    async fn restart(&mut self, is_crash: bool) {
        self.end(is_crash).await;
        self.store = self.place.open_owing(if self.is_on { OWED } else { SKIPPED });
        let done = self.store.reconcile().await.unwrap();
        assert_eq!(done, Reconciled { interrupted: done.interrupted, ..Reconciled::default() });
        if self.is_on {
            self.start();
        }
    }

    async fn capture(&mut self, key: &str, is_bad: bool) {
        let trigger = trigger(key, clock::now().0);
        let id = ImageId::random();
        if is_bad {
            self.server.lock().unwrap().bad.insert(id);
        }
        let row = self.store.begin_trigger(&trigger).await.unwrap();
        let image = self.store.record(picture(&trigger, row, id, 0)).await.unwrap();
        self.promises.push(Promise { id, name: image.filename, is_bad });
    }

    /// Deletes what was taken before an instant and may go, as retention does.
    async fn clean(&mut self, before: UnixMs) {
        let found = self.store.deletable(before, None, 1000).await.unwrap();
        let gone = self.store.delete_expired(found.into_iter().map(|(_, one)| one).collect()).await.unwrap();
        for one in gone {
            self.deleted.insert(one.id);
        }
    }

    fn set_mood(&mut self, mood: Mood) {
        self.has_refused |= matches!(mood, Mood::Refuses { .. });
        self.server.lock().unwrap().mood = mood;
    }

    /// Sets the wall clock, which the daemon notices and hurries the lane for.
    fn set_clock(&self, by_ms: i64) {
        simulated::set(clock::now().plus_ms(by_ms));
        if let Some((_, poke, _)) = &self.lane {
            poke.poke();
        }
    }

    async fn step(&mut self, random: &mut Rng) -> String {
        match random.u32(0..100) {
            0..40 => {
                let (key, is_bad) = (CAMERAS[random.usize(..3)], random.u32(0..20) == 0);
                self.capture(key, is_bad).await;
                format!("capture {key}{}", if is_bad { ", which is refused" } else { "" })
            }
            40..65 => {
                let most = [1, 60, 3600, 30_000][random.usize(..4)];
                let time = Duration::from_secs(random.u64(0..=most)) + Duration::from_millis(7);
                sleep(time).await;
                format!("wait {time:?}")
            }
            65..83 => {
                let moods = [
                    Mood::Well,
                    Mood::Away,
                    Mood::Breaks,
                    Mood::TakesSilently,
                    Mood::Busy,
                    Mood::Misconfigured,
                    Mood::Refuses { is_final: true },
                    Mood::Refuses { is_final: false },
                    Mood::Hangs,
                ];
                let mood = moods[random.usize(..moods.len())];
                self.set_mood(mood);
                format!("the target: {mood:?}")
            }
            83..88 => {
                self.restart(true).await;
                "crash".to_owned()
            }
            88..91 => {
                self.restart(false).await;
                "restart".to_owned()
            }
            91..94 => {
                let by_ms = random.i64(-7_200_000..=7_200_000) * if random.bool() { 1 } else { 5_000 };
                self.set_clock(by_ms);
                format!("the clock is set by {by_ms} ms")
            }
            94..97 => {
                self.is_on = !self.is_on;
                self.restart(false).await;
                format!("the target is switched {}", if self.is_on { "on" } else { "off" })
            }
            _ => {
                let before = clock::now().plus_ms(-random.i64(0..100_000_000));
                self.clean(before).await;
                format!("clean, {} gone so far", self.deleted.len())
            }
        }
    }

    async fn images(&self) -> HashMap<ImageId, Image> {
        let mut all = HashMap::new();
        let mut cursor = None;
        loop {
            let query = ImageQuery { limit: 500, cursor, ..ImageQuery::default() };
            let page = self.store.images(query).await.unwrap();
            all.extend(page.items.into_iter().map(|image| (image.id, image)));
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// What must be so at any moment.
    async fn assert_promises_are_kept(&self) {
        let images = self.images().await;
        let server = self.server.lock().unwrap();
        for promise in &self.promises {
            let Some(image) = images.get(&promise.id) else {
                assert!(self.deleted.contains(&promise.id), "{} is gone", promise.name);
                continue;
            };
            assert!(!self.deleted.contains(&promise.id), "{} is back", promise.name);
            assert_eq!(image.filename, promise.name);
            match image.uploads[0].state {
                UploadState::Delivered => {
                    assert!(server.taken.contains_key(&promise.id), "{} never arrived", promise.name);
                }
                UploadState::Dead => {
                    assert!(promise.is_bad || self.has_refused, "{} is held to blame", promise.name);
                }
                UploadState::Pending | UploadState::Skipped => {}
                UploadState::Lost => panic!("{} is lost", promise.name),
            }
        }
        assert_eq!(images.len() + self.deleted.len(), self.promises.len());
    }

    /// Everything heals: what is not refused for its own sake arrives.
    async fn assert_all_arrives(&mut self) {
        self.set_mood(Mood::Well);
        self.is_on = true;
        self.restart(false).await;
        let began = Instant::now();
        loop {
            // Fewer than five refused in a row look like bad pictures; a person sends them again.
            self.store.retry_dead(None).await.unwrap();
            let images = self.images().await;
            let waits = self.promises.iter().find(|promise| {
                !promise.is_bad
                    && images
                        .get(&promise.id)
                        .is_some_and(|image| image.uploads[0].state != UploadState::Delivered)
            });
            let Some(promise) = waits else { break };
            assert!(
                began.elapsed() < HEALED,
                "{} still waits: {:?}",
                promise.name,
                images[&promise.id].uploads
            );
            sleep(Duration::from_secs(600)).await;
        }
        self.end(false).await;
        self.assert_promises_are_kept().await;
        // A picture that went by retention had arrived, or nobody was to get it.
        let c = self.place.sql();
        let owed_of_gone: i64 = c
            .query_row(
                "select count(*) from uploads join images on images.id = image_id
                 where images.state <> 'present' and uploads.state not in ('delivered', 'skipped')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(owed_of_gone, 0);
        assert_in_order(&self.place);
    }
}

/// On a runtime whose clock stands still while something happens, and jumps when nothing does.
fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(story);
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn whatever_happens_every_picture_stays_arrives_and_is_never_held_to_blame_for_its_target() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..number("SEEDS", 25)).collect(),
    };
    for seed in seeds {
        let told = Arc::new(Mutex::new(Vec::new()));
        let story = Arc::clone(&told);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(async {
                let mut random = Rng::with_seed(seed);
                let mut world = World::new(random.usize(1..=4));
                for _ in 0..random.usize(20..60) {
                    let step = world.step(&mut random).await;
                    story.lock().unwrap().push(step);
                    if random.u32(0..8) == 0 {
                        world.assert_promises_are_kept().await;
                    }
                }
                world.assert_all_arrives().await;
            });
        }));
        if outcome.is_err() {
            panic!("SEED={seed}: {:#?}", told.lock().unwrap());
        }
    }
}

/// A picture every few seconds for a week, and nobody answers; then the network is back.
#[test]
fn a_week_without_a_network_is_made_up_for_and_new_pictures_do_not_wait_for_it() {
    let pictures = number("PICTURES", 400);
    run(async {
        let mut world = World::new(1);
        world.set_mood(Mood::Away);
        let between = Duration::from_secs(7 * 24 * 60 * 60) / u32::try_from(pictures).unwrap();
        for i in 0..pictures {
            world.capture(CAMERAS[usize::try_from(i % 3).unwrap()], false).await;
            sleep(between).await;
        }
        let waiting = |world: &World| {
            let taken = world.server.lock().unwrap().taken.len();
            world.promises.len() - taken
        };
        assert_eq!(waiting(&world) as u64, pictures, "nobody was there");
        world.set_mood(Mood::Well);
        let began = Instant::now();
        // While the backlog drains, a car comes every ten seconds.
        let (mut live, mut slowest) = (0, 0);
        while waiting(&world) > 0 && live < 200 {
            let at = clock::now();
            world.capture("r1", false).await;
            let id = world.promises.last().unwrap().id;
            sleep(Duration::from_secs(10)).await;
            // The first one also ends the pause that the absence had led to.
            if let (true, Some((_, _, taken))) = (live > 6, world.server.lock().unwrap().taken.get(&id)) {
                slowest = slowest.max(taken.0 - at.0);
            } else {
                assert!(live <= 6, "a new picture waits more than 10 s");
            }
            live += 1;
        }
        while waiting(&world) > 0 {
            sleep(Duration::from_secs(60)).await;
        }
        // From the first to the last, for the first one waits for the end of a pause.
        let (first, last) = {
            let server = world.server.lock().unwrap();
            let times = || server.taken.values().map(|(_, _, at)| at.0);
            (times().min().unwrap(), times().max().unwrap())
        };
        let per_picture = (last - first) / i64::try_from(world.promises.len()).unwrap();
        // One is under way when a new one comes.
        assert!(slowest <= 2 * 300 + 50, "{slowest} ms");
        assert!(per_picture <= 310, "{per_picture} ms");
        {
            // Of each camera the oldest went first.
            let taken = world.server.lock().unwrap();
            for key in CAMERAS {
                let of_camera = world.promises[..usize::try_from(pictures).unwrap()]
                    .iter()
                    .filter(|promise| promise.name.camera().as_str() == key);
                let times: Vec<_> = of_camera.map(|promise| taken.taken[&promise.id].2).collect();
                assert!(times.is_sorted(), "{key}");
            }
            assert_eq!(taken.again, 0);
        }
        eprintln!(
            "{pictures} pictures of a week and {live} new ones: {:?} to drain, a new one within {slowest} ms",
            began.elapsed()
        );
        world.assert_all_arrives().await;
    });
}
