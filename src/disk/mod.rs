//! Is there room for one more picture, and what is done when there is not: the oldest delivered pictures go before their
//! time, the ballast goes before the ledger cannot be written, and what still cannot be stored is said in words.
//!
//! Protected pictures never go, owed ones neither (waiting or put aside); the disk may be as full as it likes.

mod level;
mod refusal;
mod refused;
pub mod retention;
mod wear;
mod words;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::clock;
use crate::config::StorageConfig;
use crate::model::{AlarmText, Amount, Because, RoomLevel, RoomText, UnixMs, UploadState};
use crate::status::{AlarmHandle, AlarmKind, Status};
use crate::store::{
    Deletable, DiskRoom, Entered, Held, Image, NewImage, PictureUsage, RefusedFolder, Saved, StoreError,
    StoreIntake, TriggerId,
};

pub use level::{Marks, Outlook, enough, outlook};
pub use refusal::{StoreRefusal, Weight};
pub use wear::Wear;

use wear::Beginning;

/// Pictures deleted in one transaction. A card takes about 100 ms for one, and a capture may have to wait for it.
const BATCH: u32 = 8;

/// After so many batches the disk must have given back what was deleted; if it has not, more deletions will not help.
const BATCHES_MAX: u32 = 64;

/// When nothing was found that may go, a picture that fits all the same does not look again for so long.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How long it is believed that nothing may go while no count changed: looking reads every row that is owed.
const NOTHING_AGE_MAX: Duration = Duration::from_secs(60);

/// How old the words about what is owed may be while no count changed: they are made of every row that is owed, and of
/// every picture.
const HELD_AGE_MAX: Duration = Duration::from_secs(30);

/// The file and, for the first one of a day, its folder.
const INODES: u64 = 2;

/// A handle on the room of the disk.
#[derive(Clone)]
pub struct DiskGuard(Arc<Inner>);

struct Inner {
    store: StoreIntake,
    status: Status,
    min_free: Option<u64>,
    /// One deletes at a time, so that two captures do not make the same room twice.
    turn: tokio::sync::Mutex<()>,
    /// Wakes the task that tends the disk.
    wake: Notify,
    /// Size of the last picture, or of all on average: the next one will be like it.
    picture_bytes: AtomicU64,
    captures: AtomicU64,
    memory: Mutex<Memory>,
    beginning: Beginning,
    alarms: Owned,
    /// Kept only while there is room enough.
    refused: Option<Arc<RefusedFolder>>,
}

/// The alarms of the guard.
struct Owned {
    disk: AlarmHandle,
    unstored: AlarmHandle,
    late: AlarmHandle,
    no_room: AlarmHandle,
}

/// Pictures that are there, and uploads of them that are waiting or put aside.
type Counts = (u64, u64, u64);

#[derive(Default)]
struct Memory {
    /// When nothing was found that may go, and the counts at that time.
    nothing: Option<(Instant, Counts)>,
    /// What may not go, when that was found, and the counts at that time: while they are the same, it is.
    held: Option<(Instant, Counts, Held)>,
}

impl DiskGuard {
    /// Nothing is looked at yet.
    pub fn new(store: StoreIntake, config: &StorageConfig, status: &Status) -> Self {
        Self(Arc::new(Inner {
            store,
            status: status.clone(),
            min_free: config.min_free_bytes,
            turn: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            picture_bytes: AtomicU64::new(0),
            captures: AtomicU64::new(0),
            memory: Mutex::default(),
            beginning: Beginning::now(),
            refused: config
                .quarantine_max_bytes
                .map(|bytes_max| Arc::new(RefusedFolder::new(&config.images, bytes_max))),
            alarms: Owned {
                disk: status.alarm(AlarmKind::DiskShort),
                unstored: status.alarm(AlarmKind::PicturesUnstored),
                late: status.alarm(AlarmKind::LedgerLate),
                no_room: status.alarm(AlarmKind::RoomNotMade),
            },
        }))
    }

    /// Stores a picture or clip, after making room for it where there is too little.
    ///
    /// Dropping the future may leave a synced file without a row, which start-up adopts.
    pub async fn record(&self, new: NewImage, weight: Weight) -> Result<Image, StoreRefusal> {
        let row = new.trigger;
        let saved = self.save(new, weight).await?;
        Ok(self.enter(&saved, row, weight).await?.image)
    }

    /// The first half of [`Self::record`]: the file, whole and synced, which needs no database.
    ///
    /// Dropping the future may leave a synced file without a row, which start-up adopts.
    pub async fn save(&self, new: NewImage, weight: Weight) -> Result<Saved, StoreRefusal> {
        if let Some(why) = self.0.store.away() {
            return Err(self.failed(StoreError::Away { why }).await);
        }
        let bytes = new.file.len() as u64;
        if weight == Weight::Picture {
            self.0.picture_bytes.store(bytes, Ordering::Relaxed);
        }
        self.admit(bytes, weight).await?;
        // Somebody else may fill the disk in this very moment, so a picture is kept for another try.
        let again = (weight == Weight::Picture).then(|| new.clone());
        let mut result = self.0.store.save(new).await;
        if let (Err(error), Some(again)) = (&result, again)
            && error.is_full()
        {
            self.0.store.release_ballast().await;
            let gone = self.evict(Amount::file(bytes), BATCH).await;
            if gone.pictures > 0 {
                result = self.0.store.save(again).await;
            }
        }
        match result {
            Ok(saved) => Ok(saved),
            Err(error) => Err(self.failed(error).await),
        }
    }

    /// The second half of [`Self::record`]: its row, the answer to the trigger in `row`; without one that trigger's row is
    /// written, too. Whatever fails, the file stays and its row comes later; what the database alone keeps back is
    /// [`StoreRefusal::Kept`].
    ///
    /// Dropping the future may leave a synced file without a row, which start-up adopts.
    pub async fn enter(
        &self,
        saved: &Saved,
        row: Option<TriggerId>,
        weight: Weight,
    ) -> Result<Entered, StoreRefusal> {
        let error = match self.0.store.enter(saved, row).await {
            Ok(entered) => {
                self.0.alarms.unstored.clear();
                if self.0.store.late().is_some() {
                    self.0.wake.notify_one();
                }
                return Ok(entered);
            }
            Err(error) => error,
        };
        if !matches!(error, StoreError::Kept { .. }) {
            return Err(self.failed(error).await);
        }
        if weight == Weight::Picture && error.is_full() {
            self.0.store.release_ballast().await;
            let gone = self.evict(Amount::file(saved.bytes()), BATCH).await;
            if gone.pictures > 0 {
                self.catch_up().await;
                if let Ok(Some(entered)) = self.0.store.entered(saved.id()).await {
                    return Ok(entered);
                }
            }
        }
        self.say_late(None);
        // Its row is tried again as soon as that can work.
        self.0.wake.notify_one();
        if error.is_of_database() {
            return Err(StoreRefusal::Kept(error.to_string()));
        }
        // It cannot be named, for which a person may be needed: a failure in words until then.
        Err(self.failed(error).await)
    }

    /// A trigger led to a picture.
    pub fn count_capture(&self) {
        self.0.captures.fetch_add(1, Ordering::Relaxed);
    }

    /// What was written since the start; `None` where the kernel does not count.
    pub fn wear(&self) -> Option<Wear> {
        self.0.beginning.until_now(self.0.captures.load(Ordering::Relaxed))
    }

    /// Looks at the disk, deletes down to the floor, sees to the ballast, shows how it stands, and writes what the ledger
    /// is owed. Writes nothing while there is room and nothing is owed.
    pub async fn tend(&self) -> Result<RoomLevel, StoreError> {
        let level = self.tidy().await;
        self.catch_up().await;
        level
    }

    /// Gives the ledger what it is owed, and says what it still is.
    async fn catch_up(&self) {
        match self.0.store.catch_up().await {
            Ok(caught_up) => {
                for image in caught_up.images {
                    info!(file = %image.filename, "a picture that was kept as a file is listed now");
                }
            }
            Err(error) => warn!(%error, "the ledger is still owed triggers"),
        }
        self.say_late(None);
    }

    fn say_late(&self, error: Option<&StoreError>) {
        let detail = self.0.store.late().or_else(|| error.map(ToString::to_string));
        self.0.alarms.late.set(detail.map(|detail| AlarmText::LedgerLate { detail }));
    }

    /// The ledger did not take something; says so until it does.
    pub fn ledger_refused(&self, error: &StoreError) {
        self.say_late(Some(error));
    }

    async fn tidy(&self) -> Result<RoomLevel, StoreError> {
        if self.0.store.away().is_some() {
            // What is in its place is another disk.
            return Ok(RoomLevel::Good);
        }
        if self.0.picture_bytes.load(Ordering::Relaxed) == 0 {
            let stats = self.0.store.stats().await?;
            let mean = stats.used_bytes().checked_div(stats.images()).unwrap_or(0);
            self.0.picture_bytes.store(mean, Ordering::Relaxed);
        }
        for _ in 0..BATCHES_MAX {
            let (_, outlook) = self.look(self.usual()).await?;
            if outlook.below_floor.is_none() {
                self.0.alarms.no_room.clear();
                break;
            }
            self.drop_refused().await;
            if self.is_nothing_new().await {
                break;
            }
            if self.evict(outlook.below_floor, BATCH).await.pictures == 0 {
                break;
            }
        }
        let (mut room, outlook) = self.look(self.usual()).await?;
        if room.ballast_bytes < room.ballast_wanted && outlook.level <= RoomLevel::Low {
            match self.0.store.make_ballast(room.ballast_wanted).await {
                Ok(()) => {
                    info!(bytes = room.ballast_wanted, "ballast made");
                    room = self.0.store.room().await?;
                }
                Err(error) => warn!(%error, "the ballast could not be made; it is tried again"),
            }
        }
        self.show(&room, &outlook).await;
        Ok(outlook.level)
    }

    /// Waits until something happened that should be looked at before the next turn.
    pub async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// Makes room for so many bytes, or says why there is none.
    async fn admit(&self, bytes: u64, weight: Weight) -> Result<(), StoreRefusal> {
        let incoming = Amount { inodes: INODES, ..Amount::file(bytes) };
        // If it cannot even be measured, the write itself will say what is wrong.
        let Ok((_, outlook)) = self.look(incoming).await else { return Ok(()) };
        if outlook.level == RoomLevel::Good {
            return Ok(());
        }
        self.drop_refused().await;
        let (room, outlook) = self.make_room(incoming).await?;
        self.0.wake.notify_one();
        let is_enough = match weight {
            Weight::Picture => outlook.has_room(),
            Weight::Beside => outlook.level < RoomLevel::Critical,
        };
        if is_enough {
            return Ok(());
        }
        self.show(&room, &outlook).await;
        Err(StoreRefusal::Full(self.words(&room, &outlook).await))
    }

    /// Deletes until `incoming` can be stored; at most one batch if it can be anyway.
    async fn make_room(&self, incoming: Amount) -> Result<(DiskRoom, Outlook), StoreError> {
        let _turn = self.0.turn.lock().await;
        let mut has_tried = false;
        for _ in 0..BATCHES_MAX {
            let (room, outlook) = self.look(incoming).await?;
            let is_optional = outlook.has_room();
            if outlook.below_floor.is_none() || (is_optional && (has_tried || self.found_nothing_lately())) {
                return Ok((room, outlook));
            }
            if self.evict_in_turn(outlook.below_floor, BATCH).await.pictures == 0 {
                return Ok((room, outlook));
            }
            has_tried = true;
        }
        self.look(incoming).await
    }

    async fn evict(&self, need: Amount, most: u32) -> PictureUsage {
        let _turn = self.0.turn.lock().await;
        self.evict_in_turn(need, most).await
    }

    /// Deletes the oldest delivered pictures until `need` is met, at most so many. What cannot be deleted is an alarm.
    async fn evict_in_turn(&self, need: Amount, most: u32) -> PictureUsage {
        let deleted = self.delete_oldest(need, most).await;
        if let Err(error) = &deleted {
            error!(%error, "no room could be made");
        }
        let words =
            deleted.as_ref().err().map(|error| AlarmText::DeletionFailed { error: error.to_string() });
        self.0.alarms.no_room.set(words);
        match deleted {
            Ok(gone) if gone.is_empty() => {
                let counts = self.counts().await.unwrap_or_default();
                self.remember(|memory| memory.nothing = Some((Instant::now(), counts)));
                PictureUsage::default()
            }
            Ok(gone) => self.report(&gone),
            Err(_) => PictureUsage::default(),
        }
    }

    async fn delete_oldest(&self, need: Amount, most: u32) -> Result<Vec<Deletable>, StoreError> {
        let found = self.0.store.deletable(UnixMs(i64::MAX), None, most).await?;
        let candidates = found.into_iter().map(|(_, candidate)| candidate);
        self.0.store.delete_expired(enough(candidates, need, Amount::file)).await
    }

    fn report(&self, gone: &[Deletable]) -> PictureUsage {
        let heap =
            PictureUsage { pictures: gone.len() as u64, bytes: gone.iter().map(|one| one.bytes).sum() };
        info!(
            deleted = heap.pictures,
            bytes = heap.bytes,
            oldest = gone.first().map_or("", |one| &one.filename),
            "delivered pictures deleted before their time to make room"
        );
        self.0.status.update_storage(|storage| {
            storage.evicted += heap.pictures;
            storage.evicted_bytes += heap.bytes;
            storage.evicted_at = Some(clock::now());
        });
        heap
    }

    /// Why it could not be stored; an alarm until something is.
    async fn failed(&self, error: StoreError) -> StoreRefusal {
        if matches!(error, StoreError::Away { .. }) {
            // Whoever looks after the disk says so.
            return StoreRefusal::Failed(error);
        }
        self.0.wake.notify_one();
        if !error.is_full() {
            self.0.alarms.unstored.raise(AlarmText::PictureUnstored { error: error.to_string() });
            return StoreRefusal::Failed(error);
        }
        // It may be more than this program can see, such as a quota; then the words of the system must do.
        let seen = self.look(Amount::file(self.0.picture_bytes.load(Ordering::Relaxed))).await;
        if let Ok((room, outlook)) = &seen
            && outlook.level == RoomLevel::Full
        {
            // The alarm of the disk says so; a second one would say the same.
            self.show(room, outlook).await;
            return StoreRefusal::Full(self.words(room, outlook).await);
        }
        let text = AlarmText::DiskFull { error: error.to_string() };
        self.0.alarms.unstored.raise(text.clone());
        StoreRefusal::Full(text.to_string())
    }

    async fn look(&self, incoming: Amount) -> Result<(DiskRoom, Outlook), StoreError> {
        let room = self.0.store.room().await?;
        Ok((room, outlook(&room, self.0.min_free, incoming)))
    }

    /// The next picture, if there was one: a disk is full when that does not fit.
    fn usual(&self) -> Amount {
        match self.0.picture_bytes.load(Ordering::Relaxed) {
            0 => Amount::NONE,
            bytes => Amount { inodes: INODES, ..Amount::file(bytes) },
        }
    }

    async fn words(&self, room: &DiskRoom, outlook: &Outlook) -> String {
        self.text(room, outlook).await.map(|text| text.to_string()).unwrap_or_default()
    }

    async fn text(&self, room: &DiskRoom, outlook: &Outlook) -> Option<RoomText> {
        words::state(outlook.level, outlook.short, room, self.0.min_free, self.held().await.ok().as_ref())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let stats = self.0.store.stats().await?;
        Ok((stats.images(), stats.in_state(UploadState::Pending), stats.in_state(UploadState::Dead)))
    }

    async fn held(&self) -> Result<Held, StoreError> {
        let counts = self.counts().await?;
        let is_good = |at: &Instant, of: &Counts| *of == counts && at.elapsed() < HELD_AGE_MAX;
        let known = self.remember(|memory| {
            memory.held.as_ref().filter(|(at, of, _)| is_good(at, of)).map(|(_, _, held)| held.clone())
        });
        if let Some(held) = known {
            return Ok(held);
        }
        let held = self.0.store.held().await?;
        self.remember(|memory| memory.held = Some((Instant::now(), counts, held.clone())));
        Ok(held)
    }

    /// Tells the dashboard how the disk stands, and raises or ends the alarm.
    async fn show(&self, room: &DiskRoom, outlook: &Outlook) {
        let text = match outlook.level {
            RoomLevel::Good => None,
            RoomLevel::Low => words::state(outlook.level, outlook.short, room, self.0.min_free, None),
            RoomLevel::Critical | RoomLevel::Full => self.text(room, outlook).await,
        };
        let message = text.as_ref().map(ToString::to_string);
        let before = self.0.status.storage().level;
        if before != outlook.level {
            let (level, message) = (outlook.level.as_str(), message.as_deref().unwrap_or_default());
            match outlook.level {
                RoomLevel::Good | RoomLevel::Low => info!(level, message, "room on the disk"),
                RoomLevel::Critical | RoomLevel::Full => error!(level, message, "room on the disk"),
            }
        }
        let short = text.filter(|_| outlook.level >= RoomLevel::Critical);
        self.0.alarms.disk.set(short.map(|text| AlarmText::DiskShort { cause: Because::new(text) }));
        self.0.status.update_storage(|storage| {
            if storage.level != outlook.level {
                storage.since = clock::now();
            }
            storage.level = outlook.level;
            storage.message = message;
            storage.floor_bytes = Marks::of_bytes(room.pictures.total_bytes, self.0.min_free).floor;
            storage.pictures = room.pictures;
            storage.database = room.database;
            storage.ballast_bytes = room.ballast_bytes;
        });
    }

    fn found_nothing_lately(&self) -> bool {
        self.remember(|memory| memory.nothing.is_some_and(|(at, _)| at.elapsed() < LOOK_AGAIN))
    }

    /// Whether nothing was found that may go, and nothing was delivered or deleted since. An end of protection is no
    /// count, so it is not believed for long.
    async fn is_nothing_new(&self) -> bool {
        let Ok(counts) = self.counts().await else { return false };
        let is_same = |(at, of): (Instant, Counts)| of == counts && at.elapsed() < NOTHING_AGE_MAX;
        self.remember(|memory| memory.nothing.is_some_and(is_same))
    }

    fn remember<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        // Each change is whole, so a panic elsewhere does not spoil it.
        change(&mut self.0.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
