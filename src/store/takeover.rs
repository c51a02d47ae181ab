//! The folder of a program before this one: its flat pictures get rows, what it still had to send is owed, and nothing else
//! of it is ever sent.
//!
//! The files stay where they are and keep their names; a row tells camera and time. Every picture is one transaction, its
//! row together with what is owed of it, and the list is renamed when all that it names has been dealt with. So it does not
//! matter where a crash comes: what has a row is known, and a picture is owed by a list only if it never was before.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, named_params};
use tracing::{error, info, warn};

use super::image_row::NewRow;
use super::reconcile::{is_known, path_is_known, read_file};
use super::record::{self, owe};
use super::stats::UNSET;
use super::{SAID_MAX, Store, StoreError, former};
use crate::clock;
use crate::model::{CameraKey, FileName, TargetId, UnixMs, UploadState, foreign};

/// What was still to be sent, as such programs called it.
const PENDING_LIST: &str = "pending_uploads.json";

/// What the name of a list ends with once it was read.
const DONE: &str = ".imported";

/// So many lists that were read are kept; a further one takes the place of the last.
const DONE_MAX: u32 = 50;

/// Longest list that is read: a hundred thousand pictures with all that was known of each.
const LIST_MAX: u64 = 64 << 20;

/// Pictures of one step. Each is read whole.
const STEP: usize = 10;

/// Names and rows of each sort that are said; of any more only the number.
const NAMED_MAX: usize = 50;

/// Longest name in the log, characters.
const NAME_MAX: usize = 200;

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

/// What became of such a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Pictures that got a row.
    pub adopted: u64,
    /// Pictures that are owed because a list names them.
    pub owed: u64,
    /// Copies of pictures that have a row already.
    pub copies: u64,
    /// Pictures named by a list that are not there any more, or are torn; nothing can be sent of them.
    pub gone: Vec<String>,
    /// Files that could not be read; the next start tries again, and the list stays.
    pub unreadable: Vec<String>,
    /// Files that have the name of a picture and are none, or a name without camera and time.
    pub strange: Vec<String>,
    /// Rows of lists that name no picture.
    pub rows: Vec<String>,
    /// Lists that are no whole JSON.
    pub damaged: Vec<String>,
    /// Why lists that were read could not be renamed.
    pub kept: Vec<String>,
}

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
    /// What the lists name.
    names: Vec<String>,
    /// What they or earlier ones name: without a row it is not known to be delivered.
    owed: HashSet<String>,
    lists: Vec<PathBuf>,
    /// Cameras whose pictures are taken over; `None` for all.
    cameras: Option<Vec<CameraKey>>,
    done: TakenOver,
}

/// What stands in a list, and whether it was read by an earlier takeover.
struct List {
    path: PathBuf,
    read: io::Result<Vec<u8>>,
    is_done: bool,
}

/// What became of one file.
enum Became {
    Known,
    Adopted { is_owed: bool },
    Copy,
    Strange,
}

impl Store {
    /// What there is to take over: flat pictures without a row, and lists in these folders; `None` when there is nothing.
    pub(super) async fn takeover(&self, former: &Former) -> Result<Option<Takeover>, StoreError> {
        let (files, folders) = (self.files.clone(), former.folders.clone());
        let (mut flat, lists) = super::blocking::blocking(move || {
            let flat = files.flat().map_err(|source| failed("read", files.root(), source))?;
            Ok((flat, read_lists(&folders)))
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
        let mut takeover =
            Takeover { cameras: lists.is_empty().then(|| former.cameras.clone()), ..Takeover::default() };
        for list in lists {
            takeover.read(list);
        }
        files.retain(|file| takeover.is_meant(file));
        if files.is_empty() && takeover.lists.is_empty() && takeover.done == TakenOver::default() {
            return Ok(None);
        }
        // What is owed goes first, then the newest by name.
        files.sort_by(|a, b| (takeover.owed.contains(a), a).cmp(&(takeover.owed.contains(b), b)));
        if !files.is_empty() {
            info!(
                pictures = files.len(),
                owed = takeover.owed.len(),
                "pictures of a program before this one are taken over; they stay where they are, and only those that it \
                 had still to send are sent"
            );
            self.begin_grace(clock::now()).await?;
        }
        takeover.files = files;
        Ok(Some(takeover))
    }

    /// The next pictures; whether there are more. A picture that is taken meanwhile waits for one row at most.
    pub(super) async fn take_over_some(&self, takeover: &mut Takeover) -> Result<bool, StoreError> {
        for _ in 0..STEP {
            let Some(file) = takeover.files.pop() else { return Ok(false) };
            let done = &mut takeover.done;
            match self.take_over(&file, takeover.owed.contains(&file)).await {
                Ok(Became::Adopted { is_owed }) => {
                    done.adopted += 1;
                    done.owed += u64::from(is_owed);
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
        let Takeover { names, lists, mut done, .. } = takeover;
        let state = self.owed_state();
        let unreadable: HashSet<&String> = done.unreadable.iter().collect();
        let names: Vec<String> = names.into_iter().filter(|name| !unreadable.contains(name)).collect();
        let (owed, gone) = self
            .db
            .write(move |tx| {
                const FIND_SQL: &str = "
                    select id, state from images where path = :name or file_name = :name
                    order by path = :name desc limit 1";
                let (mut owed, mut gone) = (0, Vec::new());
                for name in names {
                    let row: Option<(i64, String)> = tx
                        .prepare_cached(FIND_SQL)?
                        .query_row(named_params! {":name": name}, |row| Ok((row.get(0)?, row.get(1)?)))
                        .optional()?;
                    match row {
                        Some((image, state_now)) if state_now == "present" => {
                            owed += u64::from(owe(tx, image, TargetId::API, state)?);
                        }
                        // A person deleted it here, after it was taken over.
                        Some(_) => {}
                        None => gone.push(name),
                    }
                }
                Ok((owed, gone))
            })
            .await?;
        done.owed += owed;
        done.gone = gone;
        if done.unreadable.is_empty() && !lists.is_empty() {
            // One that stays is read again by the next start, which changes nothing.
            let kept = super::blocking::blocking(move || {
                Ok(lists
                    .iter()
                    .filter_map(|list| set_done(list).err())
                    .map(|error| error.to_string())
                    .collect())
            });
            done.kept = kept.await?;
        }
        done.say(state);
        Ok(done)
    }

    /// Whether what was taken over is still not to be deleted by itself, and until when.
    pub async fn grace(&self, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        const AT_SQL: &str = "select value from settings where key = :key";
        let at = self.db.read(|c| {
            Ok(c.prepare_cached(AT_SQL)?
                .query_row(named_params! {":key": AT_KEY}, |row| row.get::<_, String>(0))
                .optional()?)
        });
        let Some(at) = at.await?.and_then(|at| at.parse().ok()).map(UnixMs) else { return Ok(None) };
        if at < UNSET && now >= UNSET {
            // The clock had not been set then.
            self.begin_grace(now).await?;
            return Ok(Some(now.plus_ms(GRACE_MS)));
        }
        Ok((now.0.abs_diff(at.0) < GRACE_MS.unsigned_abs()).then(|| at.plus_ms(GRACE_MS)))
    }

    async fn begin_grace(&self, now: UnixMs) -> Result<(), StoreError> {
        const SET_SQL: &str = "
            insert into settings (key, value) values (:key, :value)
            on conflict (key) do update set value = excluded.value";
        self.db
            .write(move |tx| {
                tx.execute(SET_SQL, named_params! {":key": AT_KEY, ":value": now.0.to_string()})?;
                Ok(())
            })
            .await
    }

    /// How many pictures that were taken over and are past their time may go.
    pub async fn expired_former(&self, before: UnixMs) -> Result<u64, StoreError> {
        self.db
            .read(move |c| {
                let params = named_params! {":before": before.0};
                let count: i64 = c.prepare_cached(EXPIRED_SQL)?.query_row(params, |row| row.get(0))?;
                Ok(u64::try_from(count).unwrap_or(0))
            })
            .await
    }

    /// In which state something becomes owed to the HTTP API; switched off, it waits until that is configured.
    fn owed_state(&self) -> UploadState {
        let api = self.targets.iter().find(|(target, _)| *target == TargetId::API);
        api.map_or(UploadState::Skipped, |(_, state)| *state)
    }

    async fn take_over(&self, file: &str, is_owed: bool) -> Result<Became, StoreError> {
        let (files, path) = (self.files.clone(), PathBuf::from(file));
        let found = super::blocking::blocking(move || {
            let Some(name) = path.to_str().and_then(|file| former::name_of(file, clock::of_local)) else {
                return Ok(None);
            };
            read_file(&files, &path, Some(name))
        });
        let Some(found) = found.await? else { return Ok(Became::Strange) };
        let (path, state) = (PathBuf::from(file), self.owed_state());
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
                let owed = [(TargetId::API, state)];
                record::insert(tx, &name, &path, &found.row, if is_owed { &owed } else { &[] })?;
                Ok(Became::Adopted { is_owed })
            })
            .await
    }
}

/// The first free name of a picture's second; `None` when the same picture has one already.
fn free_name(
    tx: &rusqlite::Transaction<'_>,
    mut name: FileName,
    new: &NewRow,
) -> Result<Option<FileName>, StoreError> {
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

/// The lists in these folders and what stands in them, with those that were read before; each file once.
fn read_lists(folders: &[PathBuf]) -> Vec<List> {
    let mut lists: Vec<List> = Vec::new();
    for (folder, n) in folders.iter().flat_map(|folder| (0..=DONE_MAX).map(move |n| (folder, n))) {
        let list = folder.join(PENDING_LIST);
        let path = if n == 0 { list } else { done_name(&list, n) };
        // A link leads to what may not be renamed.
        if !std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            continue;
        }
        let Ok(path) = path.canonicalize() else { continue };
        if lists.iter().all(|known| known.path != path) {
            let read = read_list(&path);
            lists.push(List { path, read, is_done: n > 0 });
        }
    }
    lists
}

/// The name of a list that was read, as the `n`-th one of that name, from 1.
fn done_name(list: &Path, n: u32) -> PathBuf {
    super::beside::beside(list, &if n == 1 { DONE.to_owned() } else { format!("{DONE}-{n}") })
}

fn read_list(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > LIST_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {LIST_MAX} bytes"),
        ));
    }
    std::fs::read(path)
}

/// Renames a list that was read; earlier ones stay.
fn set_done(list: &Path) -> Result<(), StoreError> {
    let to = (1..=DONE_MAX).map(|n| done_name(list, n)).find(|path| std::fs::symlink_metadata(path).is_err());
    let to = to.unwrap_or_else(|| done_name(list, DONE_MAX));
    std::fs::rename(list, &to)
        .and_then(|()| super::beside::sync_folder(list))
        .map_err(|source| failed("rename", list, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::File { action, path: path.to_owned(), source }
}

impl Takeover {
    /// Whether a flat file is a picture of that program, as far as its name tells.
    fn is_meant(&self, file: &str) -> bool {
        let Some(cameras) = &self.cameras else { return true };
        self.owed.contains(file)
            || former::name_of(file, clock::of_local)
                .is_some_and(|name| name.camera().is_some_and(|camera| cameras.contains(camera)))
    }

    fn read(&mut self, List { path, read, is_done }: List) {
        let list = foreign::line(&path.to_string_lossy(), NAME_MAX);
        if is_done {
            // Said when it was read first.
            let pending = read.map(|bytes| former::pending(&String::from_utf8_lossy(&bytes)));
            self.owed.extend(pending.map(|pending| pending.names).unwrap_or_default());
            return;
        }
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!(list, %error, "the list of what was still to be sent cannot be read; the next start tries again");
                self.done.unreadable.push(list);
                return;
            }
        };
        let pending = former::pending(&String::from_utf8_lossy(&bytes));
        info!(
            list,
            pictures = pending.names.len(),
            rows_not_understood = pending.not_understood.len(),
            "read"
        );
        if pending.is_damaged {
            self.done.damaged.push(list);
        }
        self.done.rows.extend(pending.not_understood);
        self.owed.extend(pending.names.iter().cloned());
        self.names.extend(pending.names);
        self.lists.push(path);
    }
}

impl TakenOver {
    /// What an operator must look at; `None` when all went as it should.
    pub fn alarm(&self) -> Option<String> {
        let mut parts = Vec::new();
        let mut add = |names: &[String], what: &str| {
            if let Some(first) = names.first() {
                let more = if names.len() > 1 { ", …" } else { "" };
                let first = foreign::line(first, SAID_MAX);
                parts.push(format!("{} {what} ({first}{more})", names.len()));
            }
        };
        add(&self.gone, "pictures that it had still to send are not there or not whole, and cannot be sent");
        add(&self.unreadable, "files cannot be read and are tried again at the next start");
        add(&self.damaged, "lists are no whole JSON and were searched for names of pictures");
        add(&self.rows, "rows of its list name no picture");
        add(&self.kept, "lists were read and could not be renamed");
        (!parts.is_empty()).then(|| {
            format!(
                "of the program before this one: {}. The log names them; the list was {PENDING_LIST} and is now \
                 {PENDING_LIST}{DONE}, unless a file could not be read",
                parts.join("; ")
            )
        })
    }

    fn say(&self, state: UploadState) {
        let each = |names: &[String], tell: &dyn Fn(&str)| {
            names.iter().take(NAMED_MAX).for_each(|name| tell(&foreign::line(name, SAID_MAX)));
        };
        each(&self.gone, &|file| {
            error!(file, "a picture that was still to be sent is not there or not whole")
        });
        each(&self.rows, &|row| warn!(row, "a row of {PENDING_LIST} that names no picture"));
        each(&self.damaged, &|list| warn!(list, "no whole JSON; it was searched for names of pictures"));
        each(&self.kept, &|error| warn!(error, "a list that was read could not be renamed"));
        each(&self.strange, &|file| {
            warn!(file, "no picture, or a name without camera and time; left where it is, not listed");
        });
        if self.owed > 0 && state != UploadState::Pending {
            warn!(
                owed = self.owed,
                "no HTTP API is in use (S3_API_URL, UPLOAD_ENABLED), so what is owed to it waits"
            );
        }
        info!(
            adopted = self.adopted,
            owed = self.owed,
            never_sent = self.adopted.saturating_sub(self.owed),
            copies = self.copies,
            gone = self.gone.len(),
            unreadable = self.unreadable.len(),
            not_pictures = self.strange.len(),
            rows_not_understood = self.rows.len(),
            "taken over from a program before this one"
        );
    }
}

#[cfg(test)]
#[path = "tests/takeover.rs"]
mod tests;
