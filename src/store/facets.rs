//! Parts of the store for those who need no more: whoever looks after the door settles nothing, a lane deletes nothing, a
//! capture writes triggers down and lists nobody's, whoever looks after folder and database claims nothing, whoever makes
//! room sees no account, and the dashboard settles nothing. What only a part does is private to the store but for its part,
//! so the compiler holds that.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::ballast::Ballasted;
use super::{
    AnalysisCounts, AttemptEnd, CaughtUp, Change, Claim, Comparison, DeadCursor, DeadLetter, DeadQuery,
    Deletable, Deletion, Disk, DiskRoom, Doubtful, DueUpload, Entered, Former, GoneCount, Held, Image,
    ImageQuery, Kept, LaneTurn, LedgerEntry, LedgerQuery, Link, LinkMade, Linked, NewImage, NewLink, Newest,
    Page, PictureUsage, Reconciled, Saved, Settlement, Stats, Stop, Store, StoreError, Strangers, TakenOver,
    Takeover, TextCorrection, TriggerId, Unseen, Wake, Wakes, Waking, WatchedNews, Witness,
};
use crate::model::{CameraKey, FileName, ImageId, LinkToken, NoPicture, Outcome, TargetId, Trigger, UnixMs};

/// The door: settings, sessions, known devices and tokens, and nothing of pictures.
#[derive(Clone)]
pub struct StoreAccess {
    pub(super) db: Ballasted,
    pub(super) boot_id: Arc<str>,
}

/// What is owed to one target, for its lane.
#[derive(Clone)]
pub struct TargetQueue {
    store: Store,
    target: TargetId,
}

/// The ledger, for whoever writes triggers down.
#[derive(Clone)]
pub struct TriggerLedger {
    store: Store,
}

/// Files of stored pictures, for whoever reads them.
#[derive(Clone)]
pub struct ImageFiles {
    store: Store,
}

/// Folder and database, for whoever looks after them.
#[derive(Clone)]
pub struct StoreUpkeep {
    store: Store,
}

/// New pictures and the room that they need, for whoever stores them.
#[derive(Clone)]
pub struct StoreIntake {
    store: Store,
}

/// Stored pictures that may go, for whoever deletes what is old.
#[derive(Clone)]
pub struct StoreRetention {
    store: Store,
}

/// Stored pictures and the ledger, for whoever shows them and does with them what a person says.
#[derive(Clone)]
pub struct StoreCatalog {
    store: Store,
}

impl Store {
    /// Where triggers are written down.
    pub fn triggers(&self) -> TriggerLedger {
        TriggerLedger { store: self.clone() }
    }

    /// Where the files of pictures are read.
    pub fn files(&self) -> ImageFiles {
        ImageFiles { store: self.clone() }
    }

    /// What keeps folder and database in order.
    pub fn upkeep(&self) -> StoreUpkeep {
        StoreUpkeep { store: self.clone() }
    }

    /// Where new pictures are stored, and room is made for them.
    pub fn intake(&self) -> StoreIntake {
        StoreIntake { store: self.clone() }
    }

    /// Where what is old is found and deleted.
    pub fn retention(&self) -> StoreRetention {
        StoreRetention { store: self.clone() }
    }

    /// Where pictures and ledger are looked through.
    pub fn catalog(&self) -> StoreCatalog {
        StoreCatalog { store: self.clone() }
    }

    /// What is kept of who may come in.
    pub fn access(&self) -> StoreAccess {
        StoreAccess { db: self.db.clone(), boot_id: Arc::clone(&self.boot_id) }
    }

    /// What is owed to `target`.
    pub fn queue(&self, target: TargetId) -> TargetQueue {
        TargetQueue { store: self.clone(), target }
    }
}

impl TriggerLedger {
    /// Writes a trigger down before its picture is stored. Durable when it returns. What the database does not take is an
    /// error within seconds; it is noted beside the pictures then, and written together with its picture
    /// (`Store::enter`) or its failure ([`Self::end`]).
    pub async fn begin(&self, trigger: &Trigger) -> Result<TriggerId, StoreError> {
        self.store.begin_trigger(trigger).await
    }

    /// Writes down a trigger that has no picture of its own, together with its end. What could not be
    /// written is an error; it is kept then and written by `Store::catch_up`.
    pub async fn end(
        &self,
        trigger: &Trigger,
        outcome: Outcome,
        reason: impl Into<NoPicture>,
    ) -> Result<TriggerId, StoreError> {
        self.store.end_trigger(trigger, outcome, reason).await
    }

    /// Ends an open trigger without a picture. A trigger that has ended already keeps its outcome. What could
    /// not be written is an error; it is kept then and written by `Store::catch_up`.
    pub async fn fail(&self, id: TriggerId, reason: impl Into<NoPicture>) -> Result<(), StoreError> {
        self.store.fail_trigger(id, reason).await
    }

    /// Writes down what was wished beside the picture and could not be had; the outcome stays as it is.
    pub async fn remark(&self, id: TriggerId, remark: &str) -> Result<(), StoreError> {
        self.store.remark_trigger(id, remark).await
    }
}

impl ImageFiles {
    /// As [`Store::open_image`].
    pub fn open(&self, image: &Image) -> io::Result<File> {
        self.store.open_image(image)
    }
}

/// Methods of a part that are those of the store.
macro_rules! of_store {
    ($($name:ident($($arg:ident: $type:ty),*) -> $gives:ty;)+) => {
        $(
            /// As in the store.
            pub async fn $name(&self, $($arg: $type),*) -> $gives {
                self.store.$name($($arg),*).await
            }
        )+
    };
}

impl StoreUpkeep {
    of_store! {
        here() -> ();
        look_for_disk() -> Result<Disk, StoreError>;
        look_for_gone() -> Result<(), StoreError>;
        look_for_database() -> Result<bool, StoreError>;
        comparison() -> Result<Comparison, StoreError>;
        compare_some(comparison: &mut Comparison) -> Result<Option<Reconciled>, StoreError>;
        quick_check(stop: Stop) -> Result<Option<String>, StoreError>;
        version() -> Result<i64, StoreError>;
        back_up(stop: Stop) -> Result<Option<u64>, StoreError>;
        takeover(former: &Former) -> Result<Option<Takeover>, StoreError>;
        take_over_some(takeover: &mut Takeover) -> Result<bool, StoreError>;
        finish_takeover(takeover: Takeover) -> Result<TakenOver, StoreError>;
        correct_times(offset_ms: i64, which: Doubtful) -> Result<u64, StoreError>;
    }

    /// As [`Store::away`].
    pub fn away(&self) -> Option<String> {
        self.store.away()
    }

    /// As [`Store::is_there`].
    pub fn is_there(&self) -> bool {
        self.store.is_there()
    }

    /// How many stored pictures were found gone by this process and still are; changes as they are found.
    pub fn gone(&self) -> GoneCount {
        self.store.gone()
    }

    /// What an operator must know of things in the picture directory that are not this program's; changes as they are
    /// found.
    pub fn strange(&self) -> Strangers {
        self.store.strange()
    }

    /// What is said of the damaged database, if anything is.
    pub fn said_of_database(&self) -> watch::Receiver<Option<String>> {
        self.store.said_of_database()
    }

    /// Says that the file is damaged; the first words stay.
    pub fn report_damage(&self, found: String) {
        self.store.report_damage(found);
    }

    /// When the newest copy was made, by the file system's clock; `None` when there is none.
    pub fn backed_up_at(&self) -> Option<UnixMs> {
        self.store.backed_up_at()
    }

    /// As [`Store::wakes`].
    pub fn wakes(&self) -> &Wakes {
        self.store.wakes()
    }
}

impl StoreIntake {
    of_store! {
        save(new: NewImage) -> Result<Saved, StoreError>;
        enter(saved: &Saved, row: Option<TriggerId>) -> Result<Entered, StoreError>;
        entered(id: ImageId) -> Result<Option<Entered>, StoreError>;
        catch_up() -> Result<CaughtUp, StoreError>;
        room() -> Result<DiskRoom, StoreError>;
        stats() -> Result<Stats, StoreError>;
        held() -> Result<Held, StoreError>;
        deletable(before: UnixMs, after: Option<(UnixMs, i64)>, limit: u32) -> Result<Vec<(i64, Deletable)>, StoreError>;
        delete_expired(candidates: Vec<Deletable>) -> Result<Vec<Deletable>, StoreError>;
        make_ballast(bytes: u64) -> Result<(), StoreError>;
        release_ballast() -> ();
    }

    /// As [`Store::away`].
    pub fn away(&self) -> Option<String> {
        self.store.away()
    }

    /// As [`Store::late`].
    pub fn late(&self) -> Option<String> {
        self.store.late()
    }
}

impl StoreRetention {
    of_store! {
        finish_begun_deletions() -> Result<usize, StoreError>;
        room() -> Result<DiskRoom, StoreError>;
        stats() -> Result<Stats, StoreError>;
        held() -> Result<Held, StoreError>;
        newest() -> Result<Option<Newest>, StoreError>;
        witness() -> Result<Option<Witness>, StoreError>;
        grace(now: UnixMs) -> Result<Option<UnixMs>, StoreError>;
        expired(before: UnixMs) -> Result<PictureUsage, StoreError>;
        expired_former(before: UnixMs) -> Result<u64, StoreError>;
        kept(before: UnixMs) -> Result<Kept, StoreError>;
        deletable(before: UnixMs, after: Option<(UnixMs, i64)>, limit: u32) -> Result<Vec<(i64, Deletable)>, StoreError>;
        delete_expired(candidates: Vec<Deletable>) -> Result<Vec<Deletable>, StoreError>;
    }

    /// As [`Store::late`].
    pub fn late(&self) -> Option<String> {
        self.store.late()
    }
}

impl StoreCatalog {
    of_store! {
        image(name: &FileName) -> Result<Option<Image>, StoreError>;
        images(query: ImageQuery) -> Result<Page<Image>, StoreError>;
        image_count(query: ImageQuery) -> Result<u64, StoreError>;
        arrivals(most: u32) -> Result<Vec<Image>, StoreError>;
        is_untried(id: ImageId) -> Result<bool, StoreError>;
        protect(name: &FileName, protected: bool) -> Result<Option<Image>, StoreError>;
        retry(name: &FileName) -> Result<Option<Image>, StoreError>;
        delete_image(name: &FileName, even_if_owed: bool) -> Result<Deletion, StoreError>;
        dead(query: DeadQuery) -> Result<Page<DeadLetter, DeadCursor>, StoreError>;
        retry_dead(target: Option<TargetId>) -> Result<u64, StoreError>;
        ledger(query: LedgerQuery) -> Result<Page<LedgerEntry>, StoreError>;
        unseen(limit: u32) -> Result<Unseen, StoreError>;
        see_failures(up_to: TriggerId, now: UnixMs) -> Result<usize, StoreError>;
        stats() -> Result<Stats, StoreError>;
        set_measured_latency(camera: &CameraKey, ms: Option<u64>) -> Result<(), StoreError>;
        make_link(new: NewLink) -> Result<LinkMade, StoreError>;
        opened_link(hash: [u8; 32], now: UnixMs) -> Result<Option<(i64, Image)>, StoreError>;
        links(linked: Option<Linked>, now: UnixMs, most: u32) -> Result<Vec<Link>, StoreError>;
        is_linkable(linked: Linked) -> Result<bool, StoreError>;
        revoke_link(id: i64) -> Result<bool, StoreError>;
        count_opens(opens: Vec<(i64, u64)>, at: UnixMs) -> Result<(), StoreError>;
        set_stream_address(camera: &CameraKey, address: Option<String>) -> Result<(), StoreError>;
        analyse(name: &FileName) -> Result<Option<Image>, StoreError>;
        analysis_answer(name: &FileName) -> Result<Option<String>, StoreError>;
        analysis_counts() -> Result<AnalysisCounts, StoreError>;
        correct_reading(name: &FileName, reading: i64, correction: TextCorrection) -> Result<Option<Image>, StoreError>;
        dead_analyses(limit: u32) -> Result<Vec<Image>, StoreError>;
        unsure_readings(limit: u32) -> Result<Vec<Image>, StoreError>;
        watched_news() -> Result<WatchedNews, StoreError>;
        watched_images(limit: u32) -> Result<Vec<Image>, StoreError>;
        see_watched(up_to: i64, now: UnixMs) -> Result<usize, StoreError>;
        retry_analyses() -> Result<u64, StoreError>;
        ping() -> Result<(), StoreError>;
    }

    /// As [`Store::open_image`].
    pub fn open_image(&self, image: &Image) -> io::Result<File> {
        self.store.open_image(image)
    }

    /// As [`Store::path_of`].
    pub fn path_of(&self, image: &Image) -> PathBuf {
        self.store.path_of(image)
    }

    /// As [`Store::root`].
    pub fn root(&self) -> &Path {
        self.store.root()
    }

    /// As [`Store::delivers_to`].
    pub fn delivers_to(&self, target: TargetId) -> bool {
        self.store.delivers_to(target)
    }

    /// Ends the waits of all lanes: a person wants what is owed to go now.
    pub fn wake_lanes(&self) {
        self.store.wakes().raise(Wake::Person);
    }

    /// As [`Store::changes`].
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.store.changes()
    }

    /// As [`Store::commits`].
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.store.commits()
    }
}

impl TargetQueue {
    /// The target.
    pub fn target(&self) -> TargetId {
        self.target
    }

    /// Up to `limit` due uploads of a target that are not in hand already: live pictures first, oldest of them first;
    /// then the backlog, oldest first and one camera after the other. Writes nothing.
    pub async fn claim(&self, now: UnixMs, limit: usize, turn: LaneTurn) -> Result<Claim, StoreError> {
        self.store.claim(self.target, now, limit, turn).await
    }

    /// As [`Self::settle_all`], of one upload.
    pub async fn settle(&self, upload: &DueUpload, settlement: Settlement) -> Result<bool, StoreError> {
        self.store.settle(upload, settlement).await
    }

    /// Writes down what attempts led to, all of them or none, in their order. When this returns, no power cut undoes
    /// it. An upload that was settled or given up meanwhile keeps its state; then its answer is `false`. On a full disk
    /// the ballast makes room for it: what is known to be delivered may go, and that ends the shortage.
    pub async fn settle_all(&self, outcomes: Vec<AttemptEnd>) -> Result<Vec<bool>, StoreError> {
        self.store.settle_all(self.target, outcomes).await
    }

    /// Ends the waits of a target's uploads that would end after `latest`: they are due at once.
    ///
    /// No wait is longer than a lane makes it, so one that ends later is of a clock that has been set back since.
    pub async fn end_waits(&self, latest: UnixMs) -> Result<(), StoreError> {
        self.store.end_waits(self.target, latest).await
    }

    /// When the next upload of a target falls due of those that wait for an instant after `now`; `None` when none does.
    pub async fn next_due(&self, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        self.store.next_due(self.target, now).await
    }

    /// Of these pictures, those that are still given up for `target` for want of their file. One that was deleted is not.
    pub async fn still_lost(&self, images: Vec<i64>) -> Result<BTreeSet<i64>, StoreError> {
        self.store.still_lost(self.target, images).await
    }

    /// Keeps the public link that the target puts into its message about a picture, which ends at `expires_at`; `None` if
    /// the picture is gone or the machine has no random numbers. Durable when it returns.
    pub async fn share(
        &self,
        upload: &DueUpload,
        now: UnixMs,
        expires_at: Option<UnixMs>,
    ) -> Result<Option<LinkToken>, StoreError> {
        self.store.share(self.target, upload.row, now, expires_at).await
    }

    /// What ends the waits of this lane, from now on.
    pub fn waking(&self) -> Waking {
        self.store.wakes().of(self.target)
    }

    /// As [`Store::away`].
    pub fn away(&self) -> Option<String> {
        self.store.away()
    }

    /// As [`Store::is_there`].
    pub fn is_there(&self) -> bool {
        self.store.is_there()
    }

    /// As [`Store::root`].
    pub fn root(&self) -> &Path {
        self.store.root()
    }
}
