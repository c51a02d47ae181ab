//! Parts of the store for those who need no more: whoever looks after the door settles nothing, a lane deletes nothing, a
//! capture writes triggers down and lists nobody's, and whoever looks after folder and database claims nothing. What a part
//! does is private to the store but for its part, so the compiler holds that.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::ballast::Ballasted;
use super::{
    Claim, Comparison, Disk, Doubtful, DueUpload, Former, GoneCount, Image, LaneTurn, Reconciled, Settlement,
    Stop, Store, StoreError, Strangers, TakenOver, Takeover, TriggerId, Wakes, Waking,
};
use crate::model::{NoPicture, Outcome, TargetId, Trigger, UnixMs};

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
    /// As [`Store::begin_trigger`].
    pub async fn begin(&self, trigger: &Trigger) -> Result<TriggerId, StoreError> {
        self.store.begin_trigger(trigger).await
    }

    /// As [`Store::end_trigger`].
    pub async fn end(
        &self,
        trigger: &Trigger,
        outcome: Outcome,
        reason: impl Into<NoPicture>,
    ) -> Result<TriggerId, StoreError> {
        self.store.end_trigger(trigger, outcome, reason).await
    }

    /// As [`Store::fail_trigger`].
    pub async fn fail(&self, id: TriggerId, reason: impl Into<NoPicture>) -> Result<(), StoreError> {
        self.store.fail_trigger(id, reason).await
    }

    /// As [`Store::remark_trigger`].
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

    /// As [`Store::gone`].
    pub fn gone(&self) -> GoneCount {
        self.store.gone()
    }

    /// As [`Store::strange`].
    pub fn strange(&self) -> Strangers {
        self.store.strange()
    }

    /// As [`Store::said_of_database`].
    pub fn said_of_database(&self) -> watch::Receiver<Option<String>> {
        self.store.said_of_database()
    }

    /// As [`Store::report_damage`].
    pub fn report_damage(&self, found: String) {
        self.store.report_damage(found);
    }

    /// As [`Store::backed_up_at`].
    pub fn backed_up_at(&self) -> Option<UnixMs> {
        self.store.backed_up_at()
    }

    /// As [`Store::wakes`].
    pub fn wakes(&self) -> &Wakes {
        self.store.wakes()
    }
}

impl TargetQueue {
    /// The target.
    pub fn target(&self) -> TargetId {
        self.target
    }

    /// As [`Store::claim`].
    pub async fn claim(&self, now: UnixMs, limit: usize, turn: LaneTurn) -> Result<Claim, StoreError> {
        self.store.claim(self.target, now, limit, turn).await
    }

    /// As [`Self::settle_all`], of one upload.
    pub async fn settle(&self, upload: &DueUpload, settlement: Settlement) -> Result<bool, StoreError> {
        self.store.settle(upload, settlement).await
    }

    /// As [`Store::settle_all`].
    pub async fn settle_all(&self, outcomes: Vec<(i64, Settlement)>) -> Result<Vec<bool>, StoreError> {
        self.store.settle_all(self.target, outcomes).await
    }

    /// As [`Store::end_waits`].
    pub async fn end_waits(&self, latest: UnixMs) -> Result<(), StoreError> {
        self.store.end_waits(self.target, latest).await
    }

    /// As [`Store::next_due`].
    pub async fn next_due(&self, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        self.store.next_due(self.target, now).await
    }

    /// As [`Store::still_lost`].
    pub async fn still_lost(&self, images: Vec<i64>) -> Result<BTreeSet<i64>, StoreError> {
        self.store.still_lost(self.target, images).await
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
