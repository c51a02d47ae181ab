//! Parts of the store for those who need no more: whoever looks after the door settles nothing, a lane deletes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::ballast::Ballasted;
use super::{Claim, LaneTurn, Settlement, Store, StoreError, Waking};
use crate::model::{TargetId, UnixMs};

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

impl Store {
    /// What is kept of who may come in.
    pub fn access(&self) -> StoreAccess {
        StoreAccess { db: self.db.clone(), boot_id: Arc::clone(&self.boot_id) }
    }

    /// What is owed to `target`.
    pub fn queue(&self, target: TargetId) -> TargetQueue {
        TargetQueue { store: self.clone(), target }
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
