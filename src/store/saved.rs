//! A picture or clip between its file and its row, as whoever writes it and whoever makes up for it share it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::image_row::NewRow;
use super::push::PushIdentity;
use crate::model::{FileName, ImageId, Trigger};

/// A picture or clip whose file is whole and synced, and that has no row yet. The file stays when this is dropped.
#[derive(Clone, Debug)]
pub struct Saved(Arc<SavedFile>);

#[derive(Debug)]
struct SavedFile {
    /// Where it lies, relative to the picture directory.
    place: Mutex<PathBuf>,
    /// The first name of its second; the one it gets may be a later one.
    first: FileName,
    row: NewRow,
    trigger: Trigger,
}

impl Saved {
    /// A synced file at `place`, relative to the picture directory.
    pub(super) fn new(place: PathBuf, first: FileName, row: NewRow, trigger: Trigger) -> Self {
        Self(Arc::new(SavedFile { place: Mutex::new(place), first, row, trigger }))
    }

    /// Its identity, the same as inside the file.
    pub fn id(&self) -> ImageId {
        self.0.row.facts.id
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.0.row.bytes
    }

    pub(super) fn push(&self) -> Option<PushIdentity> {
        PushIdentity::of(&self.0.row)
    }

    pub(super) fn trigger(&self) -> &Trigger {
        &self.0.trigger
    }

    pub(super) fn place(&self) -> PathBuf {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn first(&self) -> &FileName {
        &self.0.first
    }

    pub(super) fn row(&self) -> &NewRow {
        &self.0.row
    }

    pub(super) fn moved_to(&self, place: &Path) {
        place.clone_into(&mut self.0.place.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
