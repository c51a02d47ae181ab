//! A picture or clip on its way into the store: first its file, whole and synced, then its row.
//!
//! Once the file is synced nothing but a person removes it. Where its row cannot be written (the database is locked, gone
//! or full), the file stays where it is and `late` has its row written as soon as that works; after a crash the next start
//! does.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{OptionalExtension, Transaction, named_params};

use super::blocking::{EDGE_PATIENCE, blocking};
use super::crash;
use super::files::{Files, Incoming, relative_path};
use super::image_row::{NewRow, insert_image};
use super::images::{self, name_is_known};
use super::ledger::{edge_of, mark_captured, trigger_of_orphan};
use super::list::bit;
use super::rows::{NewImage, TriggerId};
use super::saved::Saved;
use super::{Image, Store, StoreError, analyses, late, ledger, push};
use crate::clock;
use crate::model::{FileName, ImageId, Medium, Moment, TargetId, Trigger, UnixMs, UploadState};

/// A picture or clip that has its row.
#[derive(Clone, Debug)]
pub struct Entered {
    /// The picture.
    pub image: Image,
    /// The row in the ledger that it answers.
    pub trigger: TriggerId,
}

impl Store {
    /// Keeps a picture or clip: file synced, named, folder synced, then one transaction with its row, its uploads and the
    /// outcome of its trigger. When this returns, no power cut can undo it. [`StoreError::Kept`] says that the file is
    /// there and its row comes later.
    ///
    /// Dropping the future may leave a synced file without a row, which start-up adopts.
    pub async fn record(&self, new: NewImage) -> Result<Image, StoreError> {
        let row = new.trigger;
        let saved = self.save(new).await?;
        Ok(self.enter(&saved, row).await?.image)
    }

    /// The first half of [`Self::record`]: the file, whole and synced. It needs no database.
    ///
    /// Dropping the future may leave a synced file without a row, which start-up adopts.
    pub(super) async fn save(&self, new: NewImage) -> Result<Saved, StoreError> {
        let (files, database) = (self.files.clone(), self.database.clone());
        blocking(move || {
            files.ready(&database)?;
            let incoming = files.write_incoming(new.facts.id, &new.file).map_err(|source| {
                StoreError::File { action: "write a picture below", path: files.root().to_owned(), source }
            })?;
            crash::point("written");
            let place = incoming.keep();
            let NewImage { facts, dimensions, at, file, .. } = new;
            let first = FileName::first_of(&facts, clock::utc_offset_s(facts.edge_at));
            let edge = Moment { at, wall: facts.edge_at };
            let device = facts.push.as_ref().map(|push| push.device.clone());
            let trigger = Trigger { camera: facts.camera.clone(), cause: facts.cause, edge, device };
            let row = NewRow::of(facts, dimensions, &file);
            Ok(Saved::new(place, first, row, trigger))
        })
        .await
    }

    /// The second half of [`Self::record`]: its name and its row, the answer to the trigger in `row`; without one that
    /// trigger's row is written, too. [`StoreError::Kept`] says that the row comes later.
    ///
    /// Dropping the future may leave a synced file without a row, which start-up adopts.
    pub(super) async fn enter(&self, saved: &Saved, row: Option<TriggerId>) -> Result<Entered, StoreError> {
        let entered = match self.late.stuck() {
            Some(error) => Err(error),
            None => self.try_enter(saved, row).await,
        };
        match entered {
            Ok(Some(entered)) => Ok(entered),
            // Adopted and deleted again in this very moment.
            Ok(None) => Err(StoreError::Interrupted),
            Err(error @ (StoreError::NoName | StoreError::PushedBefore)) => {
                self.drop_saved(saved).await;
                Err(error)
            }
            Err(error) => {
                let entry = late::LateEntry::Picture { saved: saved.clone(), row };
                Err(StoreError::Kept { why: Box::new(self.late.keep(entry, error)) })
            }
        }
    }

    /// The picture or clip of this identity with its trigger, if it has its row by now.
    pub(super) async fn entered(&self, id: ImageId) -> Result<Option<Entered>, StoreError> {
        const TRIGGER_SQL: &str = "select trigger_id from images where uid = :uid and trigger_id is not null";
        self.db
            .read(move |c| {
                let trigger = c
                    .prepare_cached(TRIGGER_SQL)?
                    .query_row(named_params! {":uid": id.as_bytes()}, |row| Ok(TriggerId(row.get(0)?)))
                    .optional()?;
                let Some(trigger) = trigger else { return Ok(None) };
                Ok(images::by_id(c, id)?.map(|image| Entered { image, trigger }))
            })
            .await
    }

    /// Gives up a saved file for which there is no name, or that is stored already.
    pub(super) async fn drop_saved(&self, saved: &Saved) {
        let (files, place) = (self.files.clone(), saved.place());
        // Only a panic can fail, and the next start looks through the folder anyway.
        let _ = blocking(move || {
            files.remove_incoming(&place);
            Ok(())
        })
        .await;
    }

    /// Writes the row of a saved file, once, however often it is tried. `None` when it has one already and is deleted.
    pub(super) async fn try_enter(
        &self,
        saved: &Saved,
        row: Option<TriggerId>,
    ) -> Result<Option<Entered>, StoreError> {
        let (store, work) = (self.clone(), saved.clone());
        let entered =
            self.db.insist_within(EDGE_PATIENCE, move |tx| store.enter_within(tx, &work, row)).await?;
        crash::point("committed");
        if row.is_none() {
            self.forget_edge(saved.trigger()).await;
        }
        Ok(entered)
    }

    fn enter_within(
        &self,
        tx: &Transaction<'_>,
        saved: &Saved,
        row: Option<TriggerId>,
    ) -> Result<Option<Entered>, StoreError> {
        if push::is_known(tx, saved.row())? && !is_entered(tx, saved.id())? {
            return Err(StoreError::PushedBefore);
        }
        let (trigger, edge_at) = self.row_of(tx, saved.trigger(), row)?;
        let mut new = saved.row().clone();
        new.trigger = Some(trigger);
        // The clock may have been set, and the trigger corrected, while the picture was made.
        new.facts.edge_at = edge_at;
        if !self.joins(tx, &new)? {
            self.name_and_insert(tx, saved, &new)?;
        }
        if new.facts.kind.medium() == Medium::Jpeg {
            mark_captured(tx, trigger, Some(clock::signed_ms(Instant::now(), saved.trigger().edge.at)))?;
        }
        crash::point("before commit");
        Ok(images::by_id(tx, new.facts.id)?.map(|image| Entered { image, trigger }))
    }

    /// The ledger's row of a trigger, and its instant, which may have been corrected; written now where there is none.
    fn row_of(
        &self,
        tx: &Transaction<'_>,
        trigger: &Trigger,
        row: Option<TriggerId>,
    ) -> Result<(TriggerId, UnixMs), StoreError> {
        if let Some(row) = row
            && let Some(edge_at) = edge_of(tx, row)?
        {
            return Ok((row, edge_at));
        }
        match trigger_of_orphan(tx, &trigger.camera, trigger.edge.wall)? {
            Some(found) => Ok(found),
            None => Ok((ledger::Values::of(self, trigger, None).insert(tx)?, trigger.edge.wall)),
        }
    }

    /// Whether it has a row already, because a commit took place that was said to have failed, or a comparison adopted
    /// the file; then that row answers the trigger.
    fn joins(&self, tx: &Transaction<'_>, new: &NewRow) -> Result<bool, StoreError> {
        const JOIN_SQL: &str = "
            update images set trigger_id = coalesce(trigger_id, :trigger) where uid = :uid";
        let trigger = new.trigger.map(|id| id.0);
        let joined = tx
            .prepare_cached(JOIN_SQL)?
            .execute(named_params! {":trigger": trigger, ":uid": new.facts.id.as_bytes()})?;
        Ok(joined > 0)
    }

    fn name_and_insert(&self, tx: &Transaction<'_>, saved: &Saved, new: &NewRow) -> Result<(), StoreError> {
        let place = saved.place();
        let file_name = place.file_name().unwrap_or_default();
        let failed = |source| StoreError::File {
            action: "name the picture",
            path: self.files.root().join(&place),
            source,
        };
        // An earlier try gave it its name, and then failed.
        if let Some(name) = file_name.to_str().and_then(FileName::parse) {
            self.files.sync_name(&place).map_err(failed)?;
            return self.insert(tx, &name, &place, new);
        }
        let mut incoming = self.files.adopt_incoming(file_name).map_err(failed)?;
        let published = publish(&self.files, tx, &mut incoming, saved.first().clone());
        // It may have got its name before something failed.
        saved.moved_to(incoming.place());
        let (name, path) = published?;
        self.insert(tx, &name, &path, new)
    }

    /// Gives an incoming file the first free name of its second, and its row.
    pub(super) fn publish_and_insert(
        &self,
        tx: &Transaction<'_>,
        mut incoming: Incoming,
        first: FileName,
        new: &NewRow,
    ) -> Result<(), StoreError> {
        let (name, path) = publish(&self.files, tx, &mut incoming, first)?;
        self.insert(tx, &name, &path, new)
    }

    /// Inserts the row of a file that lies at `path`, and what is owed of it.
    pub(super) fn insert(
        &self,
        tx: &Transaction<'_>,
        name: &FileName,
        path: &Path,
        new: &NewRow,
    ) -> Result<(), StoreError> {
        let image = insert(tx, name, path, new, &self.targets)?;
        if analyses::is_wanted(&self.analysed, new.facts.cause, new.facts.kind) {
            analyses::owe(tx, image)?;
        }
        Ok(())
    }
}

fn is_entered(tx: &Transaction<'_>, id: ImageId) -> Result<bool, StoreError> {
    let sql = "select 1 from images where uid = :uid";
    Ok(tx.prepare_cached(sql)?.exists(named_params! {":uid": id.as_bytes()})?)
}

/// Inserts the row of a file that lies at `path`, and what is `owed` of it; gives its number.
pub(super) fn insert(
    tx: &Transaction<'_>,
    name: &FileName,
    path: &Path,
    new: &NewRow,
    owed: &[(TargetId, UploadState)],
) -> Result<i64, StoreError> {
    let deliveries = owed.iter().fold(0, |sum, (_, state)| sum | bit(*state));
    let image = insert_image(tx, name, path, new, deliveries)?;
    for (target, state) in owed {
        owe(tx, image, *target, *state)?;
    }
    Ok(image)
}

/// From now on the picture of this row is owed to `target`; nothing changes where it is or was already.
pub(super) fn owe(
    tx: &Transaction<'_>,
    image: i64,
    target: TargetId,
    state: UploadState,
) -> Result<bool, StoreError> {
    const OWE_SQL: &str = "
        insert into uploads (image_id, target, state, camera, taken_at)
        select id, :target, :state, camera, taken_at from images where id = :image
        on conflict do nothing";
    let params = named_params! {":image": image, ":target": target.as_str(), ":state": state.as_str()};
    Ok(tx.prepare_cached(OWE_SQL)?.execute(params)? > 0)
}

/// Gives an incoming file the first free name from `name` on.
fn publish(
    files: &Files,
    tx: &Transaction<'_>,
    incoming: &mut Incoming,
    mut name: FileName,
) -> Result<(FileName, PathBuf), StoreError> {
    loop {
        // A deleted picture keeps its row, and so its name; the file system speaks for files without a row.
        if !name_is_known(tx, &name)? {
            let path = relative_path(&name);
            let published = files.publish(incoming, &path).map_err(|source| StoreError::File {
                action: "name the picture",
                path: files.root().join(&path),
                source,
            })?;
            if published {
                return Ok((name, path));
            }
        }
        name = name.next().ok_or(StoreError::NoName)?;
    }
}
