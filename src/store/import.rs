//! An old installation is brought in from another folder: its pictures are copied, and its lists say what is owed of them.
//!
//! A copy lies flat in the picture directory, as such programs put it, under its old name. So a crash between a file and its
//! row leaves what every start understands: a picture of a program before this one, of which nothing is owed until its list
//! says so. The lists are renamed last, and bringing the same folder in again changes nothing.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction, named_params};
use tracing::warn;

use super::blocking::blocking;
use super::old_file::{OldEntry, OldFile, copy_into, is_same, remove_parts};
use super::reconcile::{FoundPicture, path_is_known};
use super::record::{self, owe};
use super::taken_over::TakenOver;
use super::takeover::{of_known, set_sent_row};
use super::told::{OwedStates, Told};
use super::{Store, StoreError, crash, former_files};
use crate::clock;
use crate::model::{FileName, TargetId, UploadState, foreign};

/// Most files of one installation.
const FILES_MAX: usize = 2_000_000;

/// What is renamed on its way is told this often; of any more only the number.
const RENAMED_MAX: usize = 200;

/// Longest name that is told, characters.
const NAME_MAX: usize = 200;

/// Where an old installation has what.
#[derive(Clone, Debug, Default)]
pub struct ImportFrom {
    /// Folders with pictures; what lies in their folders is not looked at.
    pub pictures: Vec<PathBuf>,
    /// Folders around those: of them only what a list names is a picture of that program, and the rest somebody's own.
    pub around: Vec<PathBuf>,
    /// Folders in which a list may lie.
    pub lists: Vec<PathBuf>,
}

/// What is to be brought in, and how far that has come.
#[derive(Debug)]
pub struct Import {
    /// The next one is the last.
    files: Vec<OldFile>,
    told: Told,
    done: TakenOver,
    /// Names of pictures that are here now.
    brought: HashSet<String>,
    /// Names of pictures that cannot be read just now; they are not gone.
    unread: HashSet<String>,
    /// What has another name here, in words; the first ones.
    renamed: Vec<String>,
    has_begun: bool,
}

/// What an import is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOutlook {
    /// Files with the names of pictures.
    pub pictures: usize,
    /// What else has such a name: folders, links, what is larger than any picture.
    pub strange: usize,
    /// Of these, those that are not here yet, and their length.
    pub missing: usize,
    /// Bytes to be copied.
    pub bytes: u64,
    /// Pictures that are owed by what the lists say.
    pub owed: usize,
    /// Pictures that were sent.
    pub sent: usize,
    /// Lists that will be renamed.
    pub lists: usize,
}

/// What became of a file.
enum Brought {
    New(Vec<(TargetId, UploadState)>),
    /// It has a row already; whether it was owed, and whether sent, only now.
    Known {
        is_owed: bool,
        is_sent: bool,
    },
    NoPicture,
}

impl Import {
    /// Looks at an old installation and changes nothing. `images` is the picture directory, which need not be there.
    /// Blocking.
    pub fn plan(from: &ImportFrom, images: &Path) -> Result<Self, StoreError> {
        let mut done = TakenOver::default();
        let told = Told::of(former_files::read_lists(&from.lists), &mut done);
        let mut files = Vec::new();
        let all = from.pictures.iter().map(|folder| (folder, false));
        for (folder, is_around) in all.chain(from.around.iter().map(|folder| (folder, true))) {
            let look = |source| failed("read", folder, source);
            let is_same = is_same(folder, images);
            for entry in std::fs::read_dir(folder).map_err(look)? {
                let entry = entry.map_err(look)?;
                match OldEntry::of(&entry, images) {
                    Ok(found) if is_around && !told.names(found.own_name()) => {}
                    // Here it would be twice.
                    Ok(OldEntry::Picture(file)) if is_same && file.name != file.own_name => {
                        done.strange.push(file.own_name)
                    }
                    Ok(OldEntry::Picture(file)) => files.push(file),
                    Ok(OldEntry::Strange(own_name)) => done.strange.push(own_name),
                    Ok(OldEntry::Other) => {}
                    Err(_) => done.unreadable.push(shown(&entry.path())),
                }
                if files.len() > FILES_MAX {
                    let many = io::Error::other(format!("there are more than {FILES_MAX} pictures"));
                    return Err(failed("read", folder, many));
                }
            }
        }
        // The oldest first, which is the last.
        files.sort_by(|a, b| b.name.cmp(&a.name));
        let (brought, unread) = (HashSet::new(), HashSet::new());
        Ok(Self { files, told, done, brought, unread, renamed: Vec::new(), has_begun: false })
    }

    /// Why nothing may be brought in as it stands: a list cannot be read, and what was sent would be sent again.
    pub fn refusal(&self) -> Option<String> {
        let list = self.told.unreadable.as_ref()?;
        Some(format!(
            "the list {list}; so it is not known what was sent and what is owed. Make it a file that can be read, or move it \
             away if it is no longer true. Nothing was changed"
        ))
    }

    /// What is about to happen, as far as it can be told before the pictures are opened.
    pub fn outlook(&self) -> ImportOutlook {
        let states = OwedStates { api: UploadState::Pending, relay: UploadState::Pending };
        let mut outlook = ImportOutlook {
            pictures: self.files.len(),
            strange: self.done.strange.len(),
            lists: self.told.lists.len(),
            ..ImportOutlook::default()
        };
        for file in &self.files {
            if !file.is_here {
                outlook.missing += 1;
                outlook.bytes += file.bytes;
            }
            let deliveries = self.told.deliveries(&file.own_name, states);
            let has = |wanted| deliveries.iter().any(|(_, state)| *state == wanted);
            outlook.owed += usize::from(has(UploadState::Pending));
            outlook.sent += usize::from(has(UploadState::Delivered));
        }
        outlook
    }

    /// What would become of it: every file is opened and nothing is changed. What is owed or sent counts only where its
    /// picture is whole. Blocking.
    pub fn rehearse(mut self) -> ImportReport {
        let states = OwedStates { api: UploadState::Pending, relay: UploadState::Pending };
        while let Some(file) = self.files.pop() {
            match file.picture() {
                Ok(Some(_)) if file.is_here => {
                    self.done.copies += 1;
                    self.brought.insert(file.own_name);
                }
                Ok(Some(_)) => {
                    self.done.adopted += 1;
                    self.done.count(&self.told.deliveries(&file.own_name, states));
                    if self.told.is_unsure(&file.own_name) {
                        self.done.unsure.push(file.own_name.clone());
                    }
                    self.remember(&file, &file.name);
                    self.brought.insert(file.own_name);
                }
                Ok(None) => self.done.strange.push(file.own_name),
                Err(_) => {
                    self.done.unreadable.push(shown(&file.source));
                    self.unread.insert(file.own_name);
                }
            }
        }
        let is_gone = |name: &&String| !self.brought.contains(*name) && !self.unread.contains(*name);
        self.done.gone = self.told.pending.iter().filter(is_gone).cloned().collect();
        ImportReport { done: self.done, renamed: self.renamed }
    }

    fn remember(&mut self, file: &OldFile, name: &str) {
        if file.own_name != name && self.renamed.len() < RENAMED_MAX {
            let own_name = foreign::line(&file.own_name, NAME_MAX);
            self.renamed.push(format!("{own_name} is {name} here"));
        }
    }
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// What became of pictures and lists.
    pub done: TakenOver,
    /// Pictures that have another name here, in words; the first ones.
    pub renamed: Vec<String>,
}

impl Store {
    /// Brings in the next picture; whether there was one. Only the owner of the directory may call it.
    pub async fn import_some(&self, import: &mut Import) -> Result<bool, StoreError> {
        let Some(file) = import.files.pop() else { return Ok(false) };
        if !import.has_begun {
            import.has_begun = true;
            self.begin_grace(clock::now()).await?;
            let root = self.root().to_owned();
            blocking(move || remove_parts(&root).map_err(|source| failed("clear", &root, source))).await?;
        }
        let deliveries = import.told.deliveries(&file.own_name, self.owed_states());
        let read = file.clone();
        let looked_at = blocking(move || Ok(read.picture())).await?;
        let brought = match looked_at {
            Err(error) => {
                warn!(file = shown(&file.source), %error, "cannot be read");
                import.done.unreadable.push(shown(&file.source));
                import.unread.insert(file.own_name);
                return Ok(true);
            }
            Ok(None) => Brought::NoPicture,
            Ok(Some((picture, bytes))) => self.bring(import, &file, picture, bytes, deliveries).await?,
        };
        let done = &mut import.done;
        match brought {
            Brought::NoPicture => {
                done.strange.push(file.own_name);
                return Ok(true);
            }
            Brought::New(deliveries) => {
                done.adopted += 1;
                done.count(&deliveries);
                if import.told.is_unsure(&file.own_name) {
                    done.unsure.push(file.own_name.clone());
                }
            }
            Brought::Known { is_owed, is_sent } => {
                done.copies += 1;
                done.owed += u64::from(is_owed);
                done.sent += u64::from(is_sent);
            }
        }
        import.brought.insert(file.own_name);
        Ok(true)
    }

    /// The end of an import: what lists name beside the pictures that came is looked for, and the lists are renamed, unless
    /// a picture could not be read.
    pub async fn finish_import(&self, import: Import) -> Result<ImportReport, StoreError> {
        let Import { told: Told { pending, sent, lists, .. }, mut done, brought, unread, renamed, .. } =
            import;
        let states = self.owed_states();
        let not_brought = |names: Vec<String>| -> Vec<String> {
            names.into_iter().filter(|name| !brought.contains(name) && !unread.contains(name)).collect()
        };
        let (pending, sent) = (not_brought(pending), not_brought(sent));
        let known = self.db.write(move |tx| of_known(tx, &pending, &sent, states)).await?;
        done.owed += known.owed;
        done.sent += known.sent;
        done.gone = known.gone;
        if done.unreadable.is_empty() {
            crash::point("taken over");
            let kept = blocking(move || {
                let results = lists.iter().filter_map(|list| former_files::set_done(list).err());
                Ok(results.map(|error| error.to_string()).collect())
            });
            done.kept = kept.await?;
        }
        Ok(ImportReport { done, renamed })
    }

    async fn bring(
        &self,
        import: &mut Import,
        file: &OldFile,
        picture: FoundPicture,
        bytes: Vec<u8>,
        deliveries: Vec<(TargetId, UploadState)>,
    ) -> Result<Brought, StoreError> {
        let (bytes, first) = (std::sync::Arc::new(bytes), picture.name.clone());
        let picture = std::sync::Arc::new(picture);
        // The name in the list of pictures; the file has its old one, where that is free.
        let (mut name, mut has_old_place) = (first, true);
        loop {
            let place = if has_old_place { file.name.clone() } else { name.to_string() };
            let (asked, wanted, path) = (std::sync::Arc::clone(&picture), name.clone(), place.clone());
            let given = deliveries.clone();
            let standing = self.db.write(move |tx| standing(tx, &asked, &wanted, &path, &given)).await?;
            match standing {
                NameStanding::Ours(known) => return Ok(known),
                NameStanding::Free if self.copy(&place, &bytes, &file.source).await? => {
                    import.remember(file, &place);
                    return self.adopt_copy(picture, name, place, deliveries).await;
                }
                NameStanding::PlaceTaken | NameStanding::Free if has_old_place => has_old_place = false,
                NameStanding::NameTaken | NameStanding::PlaceTaken | NameStanding::Free => {
                    let Some(next) = name.next() else { return Ok(Brought::NoPicture) };
                    name = next;
                }
            }
        }
    }

    /// Puts a copy into the picture directory; `false` when another file has this name there.
    async fn copy(
        &self,
        name: &str,
        bytes: &std::sync::Arc<Vec<u8>>,
        source: &Path,
    ) -> Result<bool, StoreError> {
        let (root, name, bytes) = (self.root().to_owned(), name.to_owned(), std::sync::Arc::clone(bytes));
        let source = source.to_owned();
        blocking(move || {
            let copied = copy_into(&root, &name, &bytes, &source);
            let copied = copied.map_err(|source| failed("write a picture below", &root, source));
            crash::point("brought");
            copied
        })
        .await
    }

    async fn adopt_copy(
        &self,
        picture: std::sync::Arc<FoundPicture>,
        name: FileName,
        place: String,
        deliveries: Vec<(TargetId, UploadState)>,
    ) -> Result<Brought, StoreError> {
        self.db
            .write(move |tx| {
                record::insert(tx, &name, Path::new(&place), &picture.row, &deliveries)?;
                crash::point("taken over one");
                Ok(Brought::New(deliveries))
            })
            .await
    }
}

/// How it stands with a name.
enum NameStanding {
    /// The picture has a row already.
    Ours(Brought),
    NameTaken,
    PlaceTaken,
    Free,
}

/// How it stands with a name and a place for a picture. Where it has a row, what the lists say of it is written down.
fn standing(
    tx: &Transaction<'_>,
    picture: &FoundPicture,
    name: &FileName,
    path: &str,
    deliveries: &[(TargetId, UploadState)],
) -> Result<NameStanding, StoreError> {
    const UID_SQL: &str = "select id, state from images where uid = :uid";
    const NAME_SQL: &str = "select id, state, sha256 from images where file_name = :name";
    let by_id: Option<(i64, String)> = tx
        .prepare_cached(UID_SQL)?
        .query_row(named_params! {":uid": picture.row.facts.id.as_bytes()}, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let by_name: Option<(i64, String, [u8; 32])> = tx
        .prepare_cached(NAME_SQL)?
        .query_row(named_params! {":name": name.to_string()}, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let same = by_name.as_ref().filter(|(_, _, sha256)| *sha256 == picture.row.sha256);
    let known = by_id.or_else(|| same.map(|(id, state, _)| (*id, state.clone())));
    if let Some((image, state)) = known {
        let (mut is_owed, mut is_sent) = (false, false);
        // What a person or retention deleted stays deleted.
        for (target, delivery) in deliveries.iter().filter(|_| state == "present") {
            match delivery {
                UploadState::Delivered => is_sent |= set_sent_row(tx, image)?,
                owed => is_owed |= owe(tx, image, *target, *owed)?,
            }
        }
        return Ok(NameStanding::Ours(Brought::Known { is_owed, is_sent }));
    }
    Ok(if by_name.is_some() {
        NameStanding::NameTaken
    } else if path_is_known(tx, Path::new(path))? {
        NameStanding::PlaceTaken
    } else {
        NameStanding::Free
    })
}

fn shown(path: &Path) -> String {
    foreign::line(&path.to_string_lossy(), NAME_MAX)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "tests/import.rs"]
mod tests;
