//! Pictures whose files were found gone while this process runs, until they are back or were deleted; and what is still
//! lost of what was owed.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, named_params};
use tokio::sync::watch;

use super::compare::Row;
use super::{Store, StoreError};
use crate::model::TargetId;

/// Most pictures that are remembered; a folder that was emptied has hundreds of thousands. Of any more only the number is
/// known, so their alarm stays until the next start.
const REMEMBERED_MAX: usize = 10_000;

/// Pictures looked at again in one step.
const STEP: usize = 500;

/// What is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Their rows.
    images: BTreeSet<i64>,
    /// How many more there were.
    beyond: usize,
}

impl Known {
    fn count(&self) -> usize {
        self.images.len() + self.beyond
    }

    fn add(&mut self, image: i64) {
        if self.images.len() < REMEMBERED_MAX {
            self.images.insert(image);
        } else if !self.images.contains(&image) {
            self.beyond += 1;
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Gone(watch::Sender<Known>);

impl Default for Gone {
    fn default() -> Self {
        Self(watch::Sender::new(Known::default()))
    }
}

impl Gone {
    /// Takes over which pictures were found gone, and which are not any more.
    pub(super) fn note(&self, gone: &[i64], over: &[i64]) {
        self.0.send_if_modified(|known| {
            let before = known.count();
            gone.iter().for_each(|image| known.add(*image));
            over.iter().for_each(|image| {
                known.images.remove(image);
            });
            known.count() != before
        });
    }
}

/// Tells how many pictures are gone.
pub struct GoneCount(watch::Receiver<Known>);

impl GoneCount {
    /// How many now.
    pub fn now(&self) -> usize {
        self.0.borrow().count()
    }

    /// How many; waits for the next change first, unless it is asked for the first time. Dropping it loses nothing.
    pub async fn next(&mut self) -> usize {
        // The sender lives as long as the store; without one there is nothing to tell any more.
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.0.borrow_and_update().count()
    }
}

impl Store {
    /// How many stored pictures were found gone by this process and still are; changes as they are found.
    pub(super) fn gone(&self) -> GoneCount {
        let mut count = self.gone.0.subscribe();
        count.mark_changed();
        GoneCount(count)
    }

    /// Looks whether pictures that were found gone are back or deleted. What is back is owed again.
    pub(super) async fn look_for_gone(&self) -> Result<(), StoreError> {
        let images: Vec<i64> = self.gone.0.borrow().images.iter().copied().collect();
        let mut is_any_back = false;
        for step in images.chunks(STEP) {
            if self.away().is_some() {
                return Ok(());
            }
            let rows = self.rows_of(step.to_vec()).await?;
            let is_missing = |image: &&i64| rows.iter().any(|row| row.image == **image && !row.was_there);
            let over: Vec<i64> = step.iter().filter(|image| !is_missing(image)).copied().collect();
            self.gone.note(&[], &over);
            let before = self.gone.0.borrow().count();
            self.compare_rows(rows).await?;
            is_any_back |= self.gone.0.borrow().count() < before;
        }
        if is_any_back {
            self.owe_again().await?;
        }
        Ok(())
    }

    /// Of these pictures, those that are still given up for `target` for want of their file. One that was deleted is not.
    pub(super) async fn still_lost(
        &self,
        target: TargetId,
        images: Vec<i64>,
    ) -> Result<BTreeSet<i64>, StoreError> {
        const LOST_SQL: &str = "
            select 1 from uploads
            where image_id = :image and target = :target and state = 'lost'
              and exists (select 1 from images where id = image_id and state in ('present', 'missing'))";
        self.db
            .read(move |c| {
                let mut statement = c.prepare_cached(LOST_SQL)?;
                let mut lost = BTreeSet::new();
                for image in images {
                    if statement.exists(named_params! {":image": image, ":target": target.as_str()})? {
                        lost.insert(image);
                    }
                }
                Ok(lost)
            })
            .await
    }

    /// The rows of some pictures, but of those that were deleted.
    async fn rows_of(&self, images: Vec<i64>) -> Result<Vec<Row>, StoreError> {
        const ROW_SQL: &str = "
            select id, path, bytes, state = 'present' from images
            where id = :image and state in ('present', 'missing')";
        self.db
            .read(move |c| {
                let mut statement = c.prepare_cached(ROW_SQL)?;
                let mut rows = Vec::with_capacity(images.len());
                for image in images {
                    rows.extend(statement.query_row(named_params! {":image": image}, Row::of).optional()?);
                }
                Ok(rows)
            })
            .await
    }
}
