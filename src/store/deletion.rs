//! Deleting pictures: the intent is durable before the file goes, so that no start takes the file for an orphan.

use std::path::PathBuf;

use rusqlite::{Transaction, named_params};

use super::crash;
use super::images::by_name;
use super::written::KeptReason;
use super::{Store, StoreError};
use crate::clock;
use crate::model::{FileName, ImageId, UploadFault, UploadState};

/// What became of a wish to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Gone.
    Deleted,
    /// There is no such picture.
    NotFound,
    /// It is protected; nothing was done.
    Protected,
    /// It has not been delivered yet; nothing was done.
    Owed,
}

impl Store {
    /// Deletes a picture at an operator's wish. One that is still owed goes only with `even_if_owed`; a protected one
    /// never. The intent is durable before the file goes.
    pub async fn delete_image(&self, name: &FileName, even_if_owed: bool) -> Result<Deletion, StoreError> {
        self.must_be_here()?;
        let name = name.clone();
        let decided = self
            .db
            .insist(move |tx| {
                let Some(image) = by_name(tx, &name)? else { return Ok(Err(Deletion::NotFound)) };
                if image.protected {
                    return Ok(Err(Deletion::Protected));
                }
                let owed =
                    image.uploads.iter().any(|u| matches!(u.state, UploadState::Pending | UploadState::Dead));
                if owed && !even_if_owed {
                    return Ok(Err(Deletion::Owed));
                }
                mark_deleting(tx, image.facts.id, "operator")?;
                Ok(Ok((image.facts.id, image.path)))
            })
            .await?;
        match decided {
            Err(refusal) => Ok(refusal),
            Ok(image) => {
                crash::point("intent");
                self.finish_deletion(vec![image]).await?;
                Ok(Deletion::Deleted)
            }
        }
    }

    /// No deletion is decided while the disk with the pictures is away.
    pub(super) fn must_be_here(&self) -> Result<(), StoreError> {
        self.away().map_or(Ok(()), |why| Err(StoreError::Away { why }))
    }

    /// Removes the files of pictures whose deletion is already decided, then says so in their rows. A file that cannot
    /// be removed does not hold up the others; its deletion stays begun and the first such error is returned.
    pub(super) async fn finish_deletion(&self, images: Vec<(ImageId, PathBuf)>) -> Result<(), StoreError> {
        const DELETED_SQL: &str = "
            update images set state = 'deleted', deleted_at = :now where uid = :uid and state = 'deleting'";
        let (files, database) = (self.files.clone(), self.database.clone());
        let (gone, failed) = super::blocking::blocking(move || {
            // A file that cannot be seen is not gone. A disk that comes back is not ready before this is done.
            if files.is_another() {
                files.ready(&database)?;
            }
            let (mut gone, mut failed) = (Vec::with_capacity(images.len()), None);
            for (id, path) in images {
                match files.remove(&path) {
                    Ok(()) => gone.push(id),
                    Err(source) => {
                        let path = files.root().join(path);
                        failed = failed.or(Some(StoreError::File { action: "delete", path, source }));
                    }
                }
            }
            Ok((gone, failed))
        })
        .await?;
        crash::point("removed");
        if !gone.is_empty() {
            self.db
                .insist(move |tx| {
                    for id in &gone {
                        tx.prepare_cached(DELETED_SQL)?
                            .execute(named_params! {":uid": id.as_bytes(), ":now": clock::now().0})?;
                    }
                    Ok(())
                })
                .await?;
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Writes down that a picture shall go. Its open uploads end: nothing is owed of a picture that is given up.
pub(super) fn mark_deleting(tx: &Transaction<'_>, id: ImageId, reason: &str) -> Result<(), StoreError> {
    const DELETING_SQL: &str = "
        update images set state = 'deleting', delete_reason = :reason where uid = :uid and state = 'present'";
    const LOST_SQL: &str = "
        update uploads
        set state = 'lost', last_error = :error, last_error_code = :error_code, last_error_params = :error_params
        where image_id = (select id from images where uid = :uid) and state in ('pending', 'dead')";
    tx.prepare_cached(DELETING_SQL)?.execute(named_params! {":uid": id.as_bytes(), ":reason": reason})?;
    let error = KeptReason::of(&UploadFault::Deleted);
    tx.prepare_cached(LOST_SQL)?.execute(named_params! {
        ":uid": id.as_bytes(), ":error": error.words, ":error_code": error.code, ":error_params": error.params,
    })?;
    Ok(())
}
