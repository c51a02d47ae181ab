//! The folder of a program before this one: its flat pictures get rows, what it still had to send is owed, and nothing else
//! of it is ever sent.
//!
//! The files stay where they are and keep their names; a row tells camera and time. Every picture is one transaction, its
//! row together with what is owed of it, and the list is renamed when all that it names has been dealt with. So it does not
//! matter where a crash comes: what has a row is known, and a picture is owed by a list only if it never was before.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction, named_params};
use tracing::{info, warn};

use super::image_row::NewRow;
use super::reconcile::{FoundPicture, is_known, path_is_known, read_file};
use super::record::{self, owe};
use super::stats::UNSET;
use super::taken_over::TakenOver;
use super::told::{OwedStates, Told};
use super::{Store, StoreError, crash, former, former_files, settings};
use crate::clock;
use crate::model::{CameraKey, FileName, TargetId, UnixMs, UploadState};

/// Pictures of one step. Each is read whole.
const STEP: usize = 10;

/// So long nothing that was taken over is deleted for its age or for `STORAGE_MAX_BYTES` without a person's word: whoever
/// has just changed to this program shall have the time to see what it would delete.
const GRACE_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// When something was taken over last, among the settings.
const AT_KEY: &str = "takeover.at";

/// How many pictures past their time were taken over.
pub(super) const EXPIRED_SQL: &str = "
    select count(*) from images
    where state = 'present' and protected = 0 and taken_at < :before and instr(path, '/') = 0
      and not exists (select 1 from uploads where image_id = images.id and uploads.state in ('pending', 'dead'))";

/// Where to look, and whose pictures are meant.
#[derive(Clone, Debug, Default)]
pub struct Former {
    /// Folders in which a list may lie.
    pub folders: Vec<PathBuf>,
    /// Cameras of this site. Without a list that proves whose folder it is, pictures of other names are left alone: somebody
    /// may keep photographs of his own there, and what is listed is deleted one day.
    pub cameras: Vec<CameraKey>,
}

/// How far a takeover has come.
#[derive(Debug, Default)]
pub struct Takeover {
    /// Files still to be looked at; the next one is the last.
    files: Vec<String>,
    told: Told,
    done: TakenOver,
}

/// What became of one file.
enum Became {
    Known,
    Adopted,
    Copy,
    Strange,
}

impl Store {
    /// What there is to take over: flat pictures without a row, and lists in these folders; `None` when there is nothing.
    pub(super) async fn takeover(&self, former: &Former) -> Result<Option<Takeover>, StoreError> {
        let (files, folders) = (self.files.clone(), former.folders.clone());
        let (mut flat, lists) = super::blocking::blocking(move || {
            let flat = files.flat().map_err(|source| failed("read", files.root(), source))?;
            Ok((flat, former_files::read_lists(&folders)))
        })
        .await?;
        flat.retain(|name| former::is_picture(name));
        let mut files = self
            .db
            .read(move |c| {
                let mut unknown = Vec::new();
                for name in flat {
                    if !path_is_known(c, Path::new(&name))? {
                        unknown.push(name);
                    }
                }
                Ok(unknown)
            })
            .await?;
        if files.is_empty() && lists.iter().all(|list| list.is_done) {
            return Ok(None);
        }
        let mut done = TakenOver::default();
        let told = Told::of(lists, &mut done);
        if done.is_sent_unreadable {
            // Whatever were taken over now would count as sent, or be sent again.
            return Ok(Some(Takeover { done, ..Takeover::default() }));
        }
        let cameras = (!told.has_lists).then_some(&former.cameras);
        files.retain(|file| cameras.is_none_or(|cameras| is_of(file, cameras)));
        if files.is_empty() && told.lists.is_empty() && done == TakenOver::default() {
            return Ok(None);
        }
        // What is owed goes first, then the newest by name.
        files.sort_by(|a, b| (told.is_pending(a), a).cmp(&(told.is_pending(b), b)));
        if !files.is_empty() {
            info!(
                pictures = files.len(),
                named_as_owed = told.pending_count(),
                "pictures of a program before this one are taken over; they stay where they are, and only those that it \
                 had still to send are sent"
            );
            self.begin_grace(clock::now()).await?;
        }
        Ok(Some(Takeover { files, told, done }))
    }

    /// The next pictures; whether there are more. A picture that is taken meanwhile waits for one row at most.
    pub(super) async fn take_over_some(&self, takeover: &mut Takeover) -> Result<bool, StoreError> {
        for _ in 0..STEP {
            let Some(file) = takeover.files.pop() else { return Ok(false) };
            let done = &mut takeover.done;
            let deliveries = takeover.told.deliveries(&file, self.owed_states());
            match self.take_over(&file, deliveries.clone()).await {
                Ok(Became::Adopted) => {
                    done.adopted += 1;
                    done.count(&deliveries);
                    if takeover.told.is_unsure(&file) {
                        done.unsure.push(file);
                    }
                }
                Ok(Became::Copy) => done.copies += 1,
                Ok(Became::Known) => {}
                Ok(Became::Strange) => done.strange.push(file),
                Err(error @ StoreError::File { .. }) => {
                    warn!(%error, "a picture of a program before this one cannot be read; the next start tries again");
                    done.unreadable.push(file);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// The end of a takeover: what the lists name and was known before is owed as well, the lists are renamed, and all is
    /// said in the log.
    pub(super) async fn finish_takeover(&self, takeover: Takeover) -> Result<TakenOver, StoreError> {
        let Takeover { told: Told { pending, sent, lists, .. }, mut done, .. } = takeover;
        let states = self.owed_states();
        let unreadable: HashSet<&String> = done.unreadable.iter().collect();
        let pending: Vec<String> = pending.into_iter().filter(|name| !unreadable.contains(name)).collect();
        let known = self.db.write(move |tx| of_known(tx, &pending, &sent, states)).await?;
        done.owed += known.owed;
        done.sent += known.sent;
        done.gone = known.gone;
        if done.unreadable.is_empty() && !lists.is_empty() {
            crash::point("taken over");
            // One that stays is read again by the next start, which changes nothing.
            let kept = super::blocking::blocking(move || {
                Ok(lists
                    .iter()
                    .filter_map(|list| former_files::set_done(list).err())
                    .map(|error| error.to_string())
                    .collect())
            });
            done.kept = kept.await?;
        }
        done.say(done.owed > 0 && (states.api, states.relay) != (UploadState::Pending, UploadState::Pending));
        Ok(done)
    }

    /// Whether what was taken over is still not to be deleted by itself, and until when.
    pub(super) async fn grace(&self, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        let at = self.db.read(|c| settings::stored(c, AT_KEY)).await?;
        let Some(at) = at.and_then(|at| at.parse().ok()).map(UnixMs) else { return Ok(None) };
        if at < UNSET && now >= UNSET {
            // The clock had not been set then.
            self.begin_grace(now).await?;
            return Ok(Some(now.plus_ms(GRACE_MS)));
        }
        Ok((now.0.abs_diff(at.0) < GRACE_MS.unsigned_abs()).then(|| at.plus_ms(GRACE_MS)))
    }

    /// From now on nothing that was taken over is deleted by itself for a while.
    pub(super) async fn begin_grace(&self, now: UnixMs) -> Result<(), StoreError> {
        self.db.write(move |tx| settings::put(tx, AT_KEY, Some(&now.0.to_string()))).await
    }

    /// How many pictures that were taken over and are past their time may go.
    pub(super) async fn expired_former(&self, before: UnixMs) -> Result<u64, StoreError> {
        self.db
            .read(move |c| {
                let params = named_params! {":before": before.0};
                let count: i64 = c.prepare_cached(EXPIRED_SQL)?.query_row(params, |row| row.get(0))?;
                Ok(u64::try_from(count).unwrap_or(0))
            })
            .await
    }

    /// In which state something becomes owed; to a target that is switched off it waits until that is configured.
    pub(super) fn owed_states(&self) -> OwedStates {
        let state = |wanted| {
            let target = self.targets.iter().find(|(target, _)| *target == wanted);
            target.map_or(UploadState::Skipped, |(_, state)| *state)
        };
        OwedStates { api: state(TargetId::API), relay: state(TargetId::RELAY) }
    }

    async fn take_over(
        &self,
        file: &str,
        deliveries: Vec<(TargetId, UploadState)>,
    ) -> Result<Became, StoreError> {
        let (files, path) = (self.files.clone(), PathBuf::from(file));
        let found = super::blocking::blocking(move || {
            let Some(name) = path.to_str().and_then(|file| former::name_of(file, clock::of_local)) else {
                return Ok(None);
            };
            Ok(read_file(&files, &path, Some(name))?.map(FoundPicture::imported))
        });
        let Some(found) = found.await? else { return Ok(Became::Strange) };
        let path = PathBuf::from(file);
        self.db
            .write(move |tx| {
                if path_is_known(tx, &path)? {
                    return Ok(Became::Known);
                }
                if is_known(tx, &found)? {
                    return Ok(Became::Copy);
                }
                let Some(name) = free_name(tx, found.name.clone(), &found.row)? else {
                    return Ok(Became::Copy);
                };
                record::insert(tx, &name, &path, &found.row, &deliveries)?;
                crash::point("taken over one");
                Ok(Became::Adopted)
            })
            .await
    }
}

/// What lists say of pictures that have rows.
#[derive(Debug, Default)]
pub(super) struct OfKnown {
    pub(super) owed: u64,
    pub(super) sent: u64,
    /// Named as still to be sent, and without a row.
    pub(super) gone: Vec<String>,
}

/// Writes down what lists say of pictures that have rows by now: owed, unless they ever were; and sent, which ends what
/// waits.
pub(super) fn of_known(
    tx: &Transaction<'_>,
    pending: &[String],
    sent: &[String],
    states: OwedStates,
) -> Result<OfKnown, StoreError> {
    const FIND_SQL: &str = "
        select id, state from images where path = :name or file_name = :name
        order by path = :name desc limit 1";
    let mut known = OfKnown::default();
    for name in pending {
        let row: Option<(i64, String)> = tx
            .prepare_cached(FIND_SQL)?
            .query_row(named_params! {":name": name}, |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match row {
            Some((image, state)) if state == "present" => {
                known.owed += u64::from(owe(tx, image, TargetId::API, states.api)?);
            }
            // A person deleted it here, after it was taken over.
            Some(_) => {}
            None => known.gone.push(name.clone()),
        }
    }
    for name in sent {
        known.sent += u64::from(set_sent(tx, name)?);
    }
    Ok(known)
}

/// Writes down that a picture of a program before this one was sent; whether that was news. One that is not there is of no
/// interest: that program removed some.
fn set_sent(tx: &Transaction<'_>, path: &str) -> Result<bool, StoreError> {
    const FIND_SQL: &str = "select id from images where path = :path and state = 'present'";
    let image: Option<i64> =
        tx.prepare_cached(FIND_SQL)?.query_row(named_params! {":path": path}, |row| row.get(0)).optional()?;
    image.map_or(Ok(false), |image| set_sent_row(tx, image))
}

/// The same of a picture by the number of its row.
pub(super) fn set_sent_row(tx: &Transaction<'_>, image: i64) -> Result<bool, StoreError> {
    const SENT_SQL: &str = "
        update uploads set state = 'delivered'
        where image_id = :image and target = :target and state in ('pending', 'skipped')";
    let params = named_params! {":image": image, ":target": TargetId::RELAY.as_str()};
    Ok(owe(tx, image, TargetId::RELAY, UploadState::Delivered)?
        || tx.prepare_cached(SENT_SQL)?.execute(params)? > 0)
}

/// The first free name of a picture's second; `None` when the same picture has one already.
fn free_name(tx: &Transaction<'_>, mut name: FileName, new: &NewRow) -> Result<Option<FileName>, StoreError> {
    const HASH_SQL: &str = "select sha256 from images where file_name = :name";
    loop {
        let known: Option<[u8; 32]> = tx
            .prepare_cached(HASH_SQL)?
            .query_row(named_params! {":name": name.to_string()}, |row| row.get(0))
            .optional()?;
        match known {
            None => return Ok(Some(name)),
            Some(hash) if hash == new.sha256 => return Ok(None),
            Some(_) => name = name.next().ok_or(StoreError::NoName)?,
        }
    }
}

/// Whether a row may name this flat place: a picture of a program before this one.
pub(super) fn is_place(path: &str, file_name: &str) -> bool {
    !path.contains('/')
        && FileName::parse(file_name).is_some_and(|name| {
            former::name_of(path, clock::of_local).is_some_and(|known| known.camera() == name.camera())
        })
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::File { action, path: path.to_owned(), source }
}

/// Whether the name of a flat file tells one of these cameras.
fn is_of(file: &str, cameras: &[CameraKey]) -> bool {
    former::name_of(file, clock::of_local)
        .is_some_and(|name| name.camera().is_some_and(|camera| cameras.contains(camera)))
}

#[cfg(test)]
#[path = "tests/takeover.rs"]
mod tests;
