//! What the stories of `crash_tests` are about: pictures, a target, processes that come and go, and what must be so after
//! each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::far::{Far, Identity};
use crate::clock;
use crate::config::{Config, Env};
use crate::daemon::owed_to;
use crate::demo::ReceiverFault;
use crate::model::{FileName, UploadState, hex};
use crate::status::Status;
use crate::store::testing::{Place, T0, assert_in_order, take};
use crate::store::{
    Change, DeadQuery, Image, ImageQuery, LaneTurn, OpenedStore, Reconciled, Settlement, Store, Wake,
};
use crate::system::crash::testing::Deed;
use crate::targets::Target;
use crate::upload::Lane;

/// Tells the other process how it is configured, and how many outcomes it waits for.
pub(super) const CONFIG: &str = "CAMERA_CAPTURE_CRASH_CONFIG";
pub(super) const OUTCOMES: &str = "CAMERA_CAPTURE_CRASH_OUTCOMES";

/// Longest life of a process, and longest delivery of everything.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What happens, until the process dies in the midst of it.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) deed: &'static str,
    /// Beside the target's address.
    pub(super) config: &'static [(&'static str, &'static str)],
    /// How many there are, taken one second after the other from this instant on.
    pub(super) pictures: usize,
    pub(super) from: i64,
    /// How they stand before.
    pub(super) before: Before,
    /// What the target does to the first so many uploads, while the process lives.
    pub(super) fault: Option<(usize, ReceiverFault)>,
    /// After so many outcomes the deed is done.
    pub(super) outcomes: usize,
    /// Most deliveries that are made again: those of which the process that died knew no outcome.
    pub(super) again: u32,
}

pub(super) const STORY: Story = Story {
    deed: "deliver",
    // One picture in hand, so that every time the same steps follow one another.
    config: &[("UPLOAD_QUEUE_SIZE", "1")],
    pictures: 2,
    from: T0,
    before: Before::Owed,
    fault: None,
    outcomes: 2,
    again: 1,
};

impl Story {
    pub(super) fn is_side_by_side(&self) -> bool {
        self.config.iter().any(|(name, _)| *name == "UPLOAD_PARALLEL")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Owed,
    /// Put aside.
    Dead,
    /// They wait for an instant of a clock that has been set back since.
    Waiting,
    /// The target was switched off when they were taken.
    Skipped,
    /// The file of the first one is away, and is back when the next process begins.
    Away,
}

/// Pictures, a target, and what was promised of them.
pub(super) struct World {
    pub(super) place: Place,
    pub(super) far: Far,
    config: Vec<(String, String)>,
    /// Pictures that were acknowledged.
    promised: Vec<Image>,
    again: u32,
}

impl World {
    pub(super) async fn of(story: &Story) -> Self {
        Self::with(story, Far::api().await).await
    }

    pub(super) async fn with(story: &Story, (far, mut config): (Far, Vec<(String, String)>)) -> Self {
        config.extend(story.config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut world = Self { place: Place::new(), far, config, promised: Vec::new(), again: story.again };
        let is_on = story.before != Before::Skipped;
        // Not as its owner: a process that another test begins in this very moment may hold on to the lock until it runs.
        let config = world.config(is_on);
        let store = world.place.open_owing(&owed_to(&config));
        for n in 0..story.pictures {
            let key = ["r1", "r2"][n % 2];
            let at = story.from + i64::try_from(n).unwrap() * 1000;
            world.promised.push(take(&store, key, at).await);
        }
        let kind = config.upload.in_use().next().unwrap();
        let held = store.queue(kind).claim(clock::now(), story.pictures, LaneTurn::default()).await.unwrap();
        let far_away = clock::now().plus_ms(100 * 24 * 60 * 60 * 1000);
        for upload in held.uploads {
            let error = "as the story wants it".into();
            let settlement = match story.before {
                Before::Dead => Settlement::Dead { error },
                Before::Waiting => Settlement::Retry { not_before: far_away, error },
                Before::Owed | Before::Skipped | Before::Away => continue,
            };
            assert!(store.queue(upload.target).settle(&upload, settlement).await.unwrap());
        }
        drop(store);
        if story.before == Before::Away {
            std::fs::rename(world.first_file(), world.place.path().join("away")).unwrap();
        }
        if let Some(fault) = story.fault.clone() {
            world.far.fail(fault);
        }
        world
    }

    fn first_file(&self) -> PathBuf {
        self.place.images().join(&self.promised[0].path)
    }

    pub(super) fn config(&self, is_on: bool) -> Config {
        parsed(&self.text(is_on))
    }

    fn text(&self, is_on: bool) -> String {
        let pairs = self.config.iter().map(|(name, value)| format!("{name}={value}\n"));
        format!("{}UPLOAD_ENABLED={is_on}\n", pairs.collect::<String>())
    }

    pub(super) fn deed(&self, story: &Story) -> Deed {
        Deed::new("upload::crash_tests::the_process_that_dies", self.place.path(), story.deed)
            .with(CONFIG, &self.text(story.deed != "switch off"))
            .with(OUTCOMES, &story.outcomes.to_string())
    }

    /// The next process finds a target that is well, delivers what is owed, then what a person asks for again.
    pub(super) async fn assert_everything_arrives(&self, at: &str) {
        self.far.heal();
        let away = self.place.path().join("away");
        if away.exists() {
            std::fs::rename(away, self.first_file()).unwrap();
        }
        let known = self.assert_delivered_means_arrived(at);
        let before = self.far.arrivals();

        let mut life = Life::begin(self.place.path(), &self.config(true));
        let found = life.store.reconcile().await.unwrap();
        assert_eq!(found, Reconciled::default(), "{at}: a death while delivering leaves nothing to repair");
        life.deliver();
        life.until_nothing_waits().await;
        let aside = self.assert_nothing_is_forgotten(&life.store, at).await;
        for image in aside {
            life.store.retry(&image.filename).await.unwrap();
        }
        life.until_nothing_waits().await;
        life.end().await;

        let arrivals = self.far.arrivals();
        let promised: BTreeSet<Identity> = self.promised.iter().map(|image| self.identity(image)).collect();
        assert_eq!(arrivals.keys().cloned().collect::<BTreeSet<_>>(), promised, "{at}: what arrived");
        for id in known {
            let times = |arrivals: &BTreeMap<Identity, u32>| {
                arrivals.iter().find(|((key, ..), _)| key.contains(&id)).map(|(_, times)| *times)
            };
            assert_eq!(times(&arrivals), times(&before), "{at}: what was known to be delivered came again");
        }
        let again = arrivals.values().sum::<u32>() - u32::try_from(self.promised.len()).unwrap();
        assert!(again <= self.again, "{at}: {again} deliveries were made again: {arrivals:?}");
        self.assert_all_is_in_order(at);
    }

    /// Under which identity a picture must arrive.
    fn identity(&self, image: &Image) -> Identity {
        let bytes = std::fs::read(self.place.images().join(&image.path)).unwrap();
        assert_eq!(bytes.len() as u64, image.bytes);
        let (name, sha256) = (image.filename.to_string(), hex(&image.sha256));
        match self.far {
            Far::Api { .. } => (image.facts.id.to_string(), name, sha256),
            Far::S3(_) => (format!("1970/01/01/{}.jpg", image.facts.id), String::new(), sha256),
        }
    }

    /// Nothing is called delivered that the target does not have. The identities of what is.
    fn assert_delivered_means_arrived(&self, at: &str) -> Vec<String> {
        let c = self.place.sql();
        let check: String = c.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok", "{at}");
        let mut statement = c
            .prepare(
                "select lower(hex(uid)) from images join uploads on image_id = images.id
                 where uploads.state = 'delivered'",
            )
            .unwrap();
        let delivered = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let delivered: Vec<String> = delivered.map(Result::unwrap).collect();
        let arrivals = self.far.arrivals();
        for id in &delivered {
            let has_arrived = arrivals.keys().any(|(key, ..)| key.contains(id));
            assert!(has_arrived, "{at}: {id} is called delivered, and the target does not have it");
        }
        delivered
    }

    /// Once nothing waits, each picture is delivered, or is where a person sees it and can ask for it again. Those.
    async fn assert_nothing_is_forgotten(&self, store: &Store, at: &str) -> Vec<Image> {
        let images = store.images(ImageQuery { limit: 500, ..ImageQuery::default() }).await.unwrap().items;
        assert_eq!(images.len(), self.promised.len(), "{at}");
        let aside = images.into_iter().filter(|image| image.uploads[0].state != UploadState::Delivered);
        let aside: Vec<Image> = aside.collect();
        let letters = store.dead(DeadQuery { limit: 500, ..DeadQuery::default() }).await.unwrap().items;
        for image in &aside {
            match image.uploads[0].state {
                UploadState::Dead => {
                    assert!(letters.iter().any(|letter| letter.filename == image.filename), "{at}");
                }
                UploadState::Lost => {
                    let words = image.uploads[0].last_error.as_ref().unwrap().to_string();
                    assert!(words.contains("No such file"), "{at}: {words}");
                }
                other => panic!("{at}: {} is {other:?}", image.filename),
            }
        }
        aside
    }

    fn assert_all_is_in_order(&self, at: &str) {
        assert_in_order(&self.place);
        assert_eq!(self.place.hidden(".quarantine"), Vec::<String>::new(), "{at}");
        let c = self.place.sql();
        let check: String = c.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok", "{at}");
        let count = |sql: &str| c.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let all = i64::try_from(self.promised.len()).unwrap();
        assert_eq!(
            count("select count(*) from triggers where outcome = 'captured'"),
            all,
            "{at}: the ledger"
        );
        assert_eq!(count("select count(*) from triggers"), all, "{at}: the ledger");
        assert_eq!(count("select count(*) from uploads where state = 'delivered'"), all, "{at}");
        assert_eq!(count("select count(*) from uploads"), all, "{at}");
    }
}

pub(super) fn parsed(text: &str) -> Config {
    let pairs = text.lines().map(|line| line.split_once('=').unwrap());
    Config::parse(&Env::from_pairs(pairs)).unwrap().0
}

/// The part of the daemon that owns the directory and delivers.
pub(super) struct Life {
    opened: OpenedStore,
    pub(super) store: Store,
    lane: Option<Lane>,
    changes: broadcast::Receiver<Change>,
    /// Attempts, as last told.
    tried: BTreeMap<FileName, u32>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

/// How often each picture was tried by the lives before.
fn tried_before(database: &Path) -> BTreeMap<FileName, u32> {
    let sql = "select file_name, attempts from uploads join images on images.id = image_id";
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).unwrap();
    rows.map(|row| row.map(|(name, attempts)| (FileName::parse(&name).unwrap(), attempts)).unwrap()).collect()
}

impl Life {
    pub(super) fn begin(place: &Path, config: &Config) -> Self {
        // An error means that it was installed before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let opened =
            Store::open_owned(&place.join("images"), &place.join("x.db"), &owed_to(config), None).unwrap();
        let (store, status) = (opened.store.clone(), Status::new(config));
        let target = Target::all(&config.upload).pop().map(Arc::new);
        let lane = target.map(|target| {
            let queue = store.queue(target.id());
            Lane::new(target, config, queue, &status)
        });
        let tried = tried_before(&place.join("x.db"));
        Self { opened, lane, changes: store.changes(), tried, store, running: None }
    }

    pub(super) fn deliver(&mut self) {
        let mut lane = self.lane.take().unwrap();
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let running = tokio::spawn(async move { lane.run(&stop).await.unwrap() });
        self.running = Some((cancel, running));
    }

    pub(super) async fn outcomes(&mut self, mut count: usize) {
        while count > 0 {
            let change = timeout(LIMIT, self.changes.recv()).await.expect("outcomes come").unwrap();
            if let Change::Upload { filename, upload } = change {
                // The end of a wait is no outcome.
                let before = self.tried.insert(filename, upload.attempts);
                let is_outcome = before.unwrap_or(0) < upload.attempts;
                count -= usize::from(is_outcome || upload.state != UploadState::Pending);
            }
        }
    }

    /// Everything is delivered or put aside; no wait that the last life may have left is kept.
    async fn until_nothing_waits(&mut self) {
        self.store.wakes().raise(Wake::Person);
        while self.store.stats().await.unwrap().pending() > 0 {
            self.outcomes(1).await;
        }
    }

    pub(super) async fn end(self) {
        let (cancel, running) = self.running.unwrap();
        cancel.cancel();
        running.await.unwrap();
        self.store.close().await.unwrap();
        drop(self.opened);
    }
}
