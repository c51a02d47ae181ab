//! Start-up repair: after a crash, the folder and the database agree again.
//!
//! * A complete picture without a row is adopted, with its own identity, time and trigger as written inside it.
//! * A file that is no complete picture goes to the quarantine folder.
//! * A row without its file is marked missing, and what was owed of it is lost, loudly.
//! * A deletion that had begun is finished.
//! * A trigger without an outcome ends as failed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::named_params;
use sha2::{Digest, Sha256};
use tracing::{error, info, warn};

use super::files::Files;
use super::images::{Facts, name_is_known};
use super::ledger::{mark_captured, open_trigger};
use super::{Store, StoreError};
use crate::media::{self, exif};
use crate::model::{Cause, FileName, ImageId, UnixMs};

/// A picture is never larger than this; a larger file is not ours.
const FILE_MAX: u64 = 64 << 20;

/// Why a trigger that was open at the end of the last run has no picture.
const INTERRUPTED: &str = "the program ended before the picture was stored (power cut, crash or restart)";

/// Why an upload is lost, when it is lost for want of its file.
const FILE_GONE: &str = "its file is gone from the disk";

/// What start-up found and mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Pictures without a row that got one.
    pub adopted: usize,
    /// Files that were not pictures.
    pub quarantined: usize,
    /// Rows whose file is gone.
    pub missing: usize,
    /// Deletions that were finished.
    pub deletions: usize,
    /// Triggers that were still open.
    pub interrupted: usize,
}

/// A whole picture found on the disk.
struct Found {
    name: FileName,
    edge_at: UnixMs,
    facts: Facts,
}

impl Store {
    /// Brings folder and database into agreement. Only the owner of the directory may call it.
    pub async fn reconcile(&self) -> Result<Reconciled, StoreError> {
        let mut done =
            Reconciled { deletions: self.finish_begun_deletions().await?, ..Reconciled::default() };
        self.align_targets().await?;
        let left_over = self.files.left_over().map_err(|e| self.failed("read the incoming folder of", e))?;
        for path in left_over {
            self.adopt_left_over(path, &mut done).await?;
        }
        let folders = self.files.day_folders().map_err(|e| self.failed("read", e))?;
        done.missing = self.mark_missing(&folders).await?;
        for folder in folders {
            self.adopt_orphans(folder, &mut done).await?;
        }
        done.interrupted = self.close_open_triggers(INTERRUPTED).await?;
        if done != Reconciled::default() {
            info!(
                adopted = done.adopted,
                quarantined = done.quarantined,
                missing = done.missing,
                deletions = done.deletions,
                interrupted = done.interrupted,
                "the last run ended in the middle of something; put in order"
            );
        }
        Ok(done)
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> StoreError {
        StoreError::File { action, path: self.files.root().to_owned(), source }
    }

    async fn finish_begun_deletions(&self) -> Result<usize, StoreError> {
        let begun: Vec<(ImageId, PathBuf)> = self
            .db
            .read(|c| {
                let rows = c
                    .prepare("select uid, path from images where state = 'deleting'")?
                    .query_map([], |row| {
                        Ok((ImageId::from_bytes(row.get(0)?), PathBuf::from(row.get::<_, String>(1)?)))
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(rows)
            })
            .await?;
        let count = begun.len();
        if count > 0 {
            self.finish_deletion(begun).await?;
        }
        Ok(count)
    }

    /// A synced file that never got its name, or a torn one.
    async fn adopt_left_over(&self, path: PathBuf, done: &mut Reconciled) -> Result<(), StoreError> {
        let store = self.clone();
        let adopted = self
            .db
            .write(move |tx| {
                let Some(mut found) = read_picture(&path, None) else {
                    quarantine(&store.files, &path);
                    return Ok(false);
                };
                if is_known(tx, &found)? {
                    quarantine(&store.files, &path);
                    return Ok(false);
                }
                found.facts.trigger = open_trigger(tx, found.name.camera(), found.edge_at)?;
                let incoming = Files::adopt_incoming(path);
                store.publish_and_insert(tx, incoming, found.name.clone(), found.edge_at, &found.facts)?;
                if let Some(trigger) = found.facts.trigger {
                    mark_captured(tx, trigger, None)?;
                }
                Ok(true)
            })
            .await?;
        if adopted {
            done.adopted += 1;
        } else {
            done.quarantined += 1;
        }
        Ok(())
    }

    /// Files with a name but no row.
    async fn adopt_orphans(&self, folder: PathBuf, done: &mut Reconciled) -> Result<(), StoreError> {
        let store = self.clone();
        let (adopted, quarantined) = self
            .db
            .write(move |tx| {
                let (mut adopted, mut quarantined) = (0, 0);
                let mut known = tx.prepare_cached("select 1 from images where path = :path")?;
                let entries = fs::read_dir(&folder).map_err(|e| store.failed("read", e))?;
                for entry in entries {
                    let path = entry.map_err(|e| store.failed("read", e))?.path();
                    let relative = path.strip_prefix(store.files.root()).unwrap_or(&path).to_owned();
                    if known.exists(named_params! {":path": relative.to_string_lossy()})? {
                        continue;
                    }
                    let name = path.file_name().and_then(|name| name.to_str()).and_then(FileName::parse);
                    let found = name.and_then(|name| read_picture(&path, Some(name)));
                    let Some(mut found) = found else {
                        quarantined += usize::from(quarantine(&store.files, &path));
                        continue;
                    };
                    if is_known(tx, &found)? || name_is_known(tx, &found.name)? {
                        // A copy, or a file that a person moved to another day.
                        quarantined += usize::from(quarantine(&store.files, &path));
                        continue;
                    }
                    found.facts.trigger = open_trigger(tx, found.name.camera(), found.edge_at)?;
                    store.insert(tx, &found.name, &relative, &found.facts)?;
                    if let Some(trigger) = found.facts.trigger {
                        mark_captured(tx, trigger, None)?;
                    }
                    info!(file = %relative.display(), "adopted a picture that had no row");
                    adopted += 1;
                }
                Ok((adopted, quarantined))
            })
            .await?;
        done.adopted += adopted;
        done.quarantined += quarantined;
        Ok(())
    }

    /// Rows whose file is gone, and rows whose file is back (a disk that was not mounted last time).
    async fn mark_missing(&self, folders: &[PathBuf]) -> Result<usize, StoreError> {
        const LOST_SQL: &str = "
            update uploads set state = 'lost', last_error = :error
            where image_id = :image and state in ('pending', 'dead', 'skipped')";
        const OWED_AGAIN_SQL: &str = "
            update uploads set state = 'pending', not_before = 0
            where image_id = :image and state = 'lost' and last_error = :error";
        const STATE_SQL: &str = "update images set state = :state where id = :image";
        let folders = folders.to_vec();
        let root = self.files.root().to_owned();
        self.db
            .write(move |tx| {
                let sizes = sizes(&folders, &root);
                let rows: Vec<(i64, String, i64, bool)> = tx
                    .prepare("select id, path, bytes, state = 'present' from images where state in ('present', 'missing')")?
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                    .collect::<Result<_, _>>()?;
                let mut missing = 0;
                for (image, path, bytes, was_present) in rows {
                    let is_there = sizes.get(Path::new(&path)).is_some_and(|size| i64::try_from(*size) == Ok(bytes));
                    if is_there == was_present {
                        continue;
                    }
                    let (state, sql) = if is_there {
                        info!(file = path, "a picture that was missing is back");
                        ("present", OWED_AGAIN_SQL)
                    } else {
                        missing += 1;
                        error!(file = path, "a stored picture is gone or changed its size; is the disk mounted?");
                        ("missing", LOST_SQL)
                    };
                    tx.prepare_cached(STATE_SQL)?.execute(named_params! {":state": state, ":image": image})?;
                    tx.prepare_cached(sql)?.execute(named_params! {":error": FILE_GONE, ":image": image})?;
                }
                Ok(missing)
            })
            .await
    }
}

/// Length of every file in the day folders, by its path below `root`.
fn sizes(folders: &[PathBuf], root: &Path) -> HashMap<PathBuf, u64> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    entries
        .filter_map(|entry| {
            let path = entry.path();
            Some((path.strip_prefix(root).ok()?.to_owned(), entry.metadata().ok()?.len()))
        })
        .collect()
}

fn is_known(tx: &rusqlite::Transaction<'_>, found: &Found) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("select 1 from images where uid = :uid")?
        .exists(named_params! {":uid": found.facts.id.as_bytes()})?)
}

/// Reads a file that may be a picture of ours: whole, by its markers, and with its facts inside, or with a name of
/// ours that tells camera and time.
fn read_picture(path: &Path, name: Option<FileName>) -> Option<Found> {
    let meta = fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > FILE_MAX {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (width, height) = media::jpeg::inspect(&bytes).ok()?;
    let written = exif::read(&bytes);
    let name = match (&written, name) {
        (_, Some(name)) => name,
        (Some(written), None) => FileName::new(written.camera.clone(), written.edge_at.epoch_s(), 1),
        (None, None) => return None,
    };
    let by_name = UnixMs(i64::try_from(name.epoch_s()).ok()?.saturating_mul(1000));
    let edge_at = written.as_ref().map_or(by_name, |written| written.edge_at);
    let frame_offset_ms = written.as_ref().and_then(|written| written.frame_offset_ms);
    Some(Found {
        name,
        edge_at,
        facts: Facts {
            id: written.as_ref().map_or_else(ImageId::random, |written| written.id),
            trigger: None,
            cause: written.as_ref().map_or(Cause::Recovered, |written| written.cause),
            taken_at: edge_at.plus_ms(frame_offset_ms.unwrap_or(0)),
            frame_offset_ms,
            width,
            height,
            bytes: bytes.len() as u64,
            sha256: Sha256::digest(&bytes).into(),
        },
    })
}

fn quarantine(files: &Files, path: &Path) -> bool {
    match files.quarantine(path) {
        Ok(to) => {
            warn!(file = %path.display(), moved_to = %to.display(), "not a complete picture of this program; set aside");
            true
        }
        Err(error) => {
            warn!(file = %path.display(), %error, "not a complete picture of this program, and it cannot be moved");
            false
        }
    }
}
