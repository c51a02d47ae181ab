//! `--import`: an old installation is brought in from its folder: pictures, what was sent of them and what is owed, and
//! what a person has to look at in its settings. With `--dry-run` nothing is changed, here or there.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::import_report::{self, UnusedTargets};
use super::output::{say, say_error};
use super::runtime;
use crate::config::{Config, Env, settings_to_look_at};
use crate::daemon;
use crate::disk::Marks;
use crate::model::{TargetId, UploadState, size};
use crate::store::{self, Import, ImportFrom, ImportOutlook, ImportReport, Store};

/// Folders in which the older systems kept their pictures, within that of their program.
const PICTURE_FOLDERS: [&str; 3] = ["images", "esp32_photos", "uploads"];

/// File of their settings.
const SETTINGS: &str = ".env";

/// A file takes at least so many bytes of a disk.
const BLOCK: u64 = 4096;

/// A word after so many pictures.
const PROGRESS_EVERY: usize = 1000;

/// Brings in what lies in `dir`. `false` when something of it could not be read.
pub(super) fn run(
    config: &Config,
    env: &Env,
    dir: &Path,
    dry_run: bool,
    is_place_named: bool,
) -> anyhow::Result<bool> {
    let dir = dir.canonicalize().with_context(|| format!("look at {}", dir.display()))?;
    if !dir.is_dir() {
        bail!("{} is no folder; name the folder of the old installation", dir.display());
    }
    let (images, database) = (&config.storage.images, &config.storage.database);
    if !is_place_named && !database.exists() {
        bail!(
            "neither IMAGE_STORAGE_PATH nor DATABASE_PATH is set and there is no database {}, so it is not known where \
             to; for the installed service: sudo camera-capture --env-file /etc/camera-capture/camera-capture.env --import \
             {}",
            database.display(),
            dir.display()
        );
    }
    let old = old_settings(&dir)?;
    let from = places(&dir, old.as_ref().and_then(|old| old.get("IMAGE_STORAGE_PATH")));
    let import = Import::plan(&from, images)?;
    if let Some(refusal) = import.refusal() {
        bail!(refusal);
    }
    let outlook = import.outlook();
    if outlook == ImportOutlook::default() && old.is_none() {
        bail!(
            "there is nothing to bring in: no pictures in {} or in {} there, no pending_uploads.json, sent_files.json or \
             .env",
            dir.display(),
            PICTURE_FOLDERS.join(", ")
        );
    }
    say(&import_report::head(&dir, &from.pictures, &outlook));
    check_room(images, config.storage.min_free_bytes, &outlook)?;
    let report = if dry_run { import.rehearse() } else { bring_in(config, import, outlook.pictures)? };
    say(&import_report::told(&report, &waiting(config), dry_run));
    if let Some(old) = &old {
        let lines = settings_to_look_at(old, env);
        say(&import_report::settings(&dir.join(SETTINGS), &lines));
    }
    let is_whole = report.done.unreadable.is_empty();
    say(import_report::next_steps(dry_run, is_whole));
    Ok(is_whole)
}

/// The old settings, if there are any.
fn old_settings(dir: &Path) -> anyhow::Result<Option<Env>> {
    let path = dir.join(SETTINGS);
    if !path.try_exists().unwrap_or(true) {
        return Ok(None);
    }
    Env::of_file(&path).map(Some).with_context(|| {
        format!("read {}; run it as a user who may (sudo), or move that file away", path.display())
    })
}

/// Where pictures and lists of an old installation are: in its folder or in one of its folders; `named` is where its
/// settings say, perhaps on another machine. A folder that holds nothing but pictures has its lists beside it. The folder
/// around the pictures may be somebody's home with photographs of his own.
fn places(dir: &Path, named: Option<&str>) -> ImportFrom {
    let mut pictures: Vec<PathBuf> = Vec::new();
    let moved = named.and_then(|named| Path::new(named).file_name()).map(|name| dir.join(name));
    let named = named.map(|named| dir.join(named)).into_iter().chain(moved);
    let below = named.chain(PICTURE_FOLDERS.map(|name| dir.join(name)));
    for folder in below.filter_map(|folder| folder.canonicalize().ok()).filter(|folder| folder.is_dir()) {
        if !pictures.contains(&folder) {
            pictures.push(folder);
        }
    }
    let is_program = !pictures.is_empty() || dir.join(SETTINGS).exists();
    let mut lists = vec![dir.to_owned()];
    lists.extend(pictures.iter().cloned());
    if !is_program {
        lists.extend(dir.parent().map(Path::to_owned));
    }
    let is_around = !pictures.is_empty() && !pictures.iter().any(|folder| folder == dir);
    let around = if is_around { vec![dir.to_owned()] } else { Vec::new() };
    if pictures.is_empty() {
        pictures.push(dir.to_owned());
    }
    ImportFrom { pictures, around, lists }
}

/// Whether what is missing here fits on the disk, with what has to stay free.
fn check_room(images: &Path, min_free: Option<u64>, outlook: &ImportOutlook) -> anyhow::Result<()> {
    let wanted = outlook.bytes.saturating_add((outlook.missing as u64).saturating_mul(BLOCK));
    let is_there = |path: &&Path| path.exists() || path.as_os_str().is_empty();
    let place = images.ancestors().find(is_there).filter(|path| !path.as_os_str().is_empty());
    let place = place.unwrap_or(Path::new("."));
    let room = store::measure(place).with_context(|| format!("measure the room of {}", place.display()))?;
    let free = room.free_bytes.saturating_sub(Marks::of_bytes(room.total_bytes, min_free).floor);
    if wanted > free {
        bail!(
            "the {} pictures that are not here yet take {}, and on the disk of {} there is room for {} beside what has to \
             stay free (STORAGE_MIN_FREE_BYTES); make room or use another disk (IMAGE_STORAGE_PATH). Nothing was changed",
            outlook.missing,
            size(wanted),
            images.display(),
            size(free)
        );
    }
    Ok(())
}

fn bring_in(config: &Config, mut import: Import, pictures: usize) -> anyhow::Result<ImportReport> {
    let storage = &config.storage;
    let opened = Store::open_owned(&storage.images, &storage.database, &daemon::owed_to(config), None)?;
    if let Some(alarm) = &opened.alarm {
        say_error(&format!("warning: {alarm}"));
    }
    if let Some(why) = opened.store.away() {
        bail!(why);
    }
    runtime()?.block_on(async {
        let mut count = 0;
        while opened.store.import_some(&mut import).await? {
            count += 1;
            if count % PROGRESS_EVERY == 0 && count < pictures {
                say(&format!("  {count} of {pictures}"));
            }
        }
        let report = opened.store.finish_import(import).await?;
        opened.store.close().await?;
        Ok(report)
    })
}

/// Which targets are not in use, so that what is owed to them waits.
fn waiting(config: &Config) -> UnusedTargets {
    let owed_to = daemon::owed_to(config);
    let waits = |target| !owed_to.contains(&(target, UploadState::Pending));
    UnusedTargets { api: waits(TargetId::API), relay: waits(TargetId::RELAY) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S3.1, S3.11, S0.8, S4.5
    #[test]
    fn pictures_and_lists_are_found_in_each_of_the_old_installations() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let make = |path: &str| std::fs::create_dir_all(root.join(path)).unwrap();
        let is = |dir: &str, named: Option<&str>, pictures: &[&str], lists: &[&str]| {
            let found = places(&root.join(dir), named);
            let paths = |names: &[&str]| -> Vec<PathBuf> {
                // `join` of nothing would end with a slash, which is the same path.
                names.iter().map(|name| root.join(name)).collect()
            };
            assert_eq!((found.pictures, found.lists), (paths(pictures), paths(lists)), "{dir}");
            let around = if pictures == [dir] { Vec::new() } else { paths(&[dir]) };
            assert_eq!(found.around, around, "{dir}");
        };
        // The main one: images beside its program; or where its settings say.
        make("s4/images");
        make("s4/data/shots");
        is("s4", None, &["s4/images"], &["s4", "s4/images"]);
        let named = ["s4/data/shots", "s4/images"];
        is("s4", Some("data/shots"), &named, &["s4", "s4/data/shots", "s4/images"]);
        // Its settings are of another machine, from which the folder was copied.
        make("s4/shots");
        is("s4", Some("/srv/of/it/shots"), &["s4/shots", "s4/images"], &["s4", "s4/shots", "s4/images"]);
        // The receiver: below the home of its user, with the list there; or its folder alone.
        make("s3/esp32_photos");
        is("s3", None, &["s3/esp32_photos"], &["s3", "s3/esp32_photos"]);
        is("s3/esp32_photos", None, &["s3/esp32_photos"], &["s3/esp32_photos", "s3"]);
        // The first one.
        make("s0/uploads");
        is("s0", None, &["s0/uploads"], &["s0", "s0/uploads"]);
    }

    #[test]
    fn what_does_not_fit_beside_what_has_to_stay_free_is_not_begun() {
        let images = tempfile::tempdir().unwrap();
        let outlook = |bytes| ImportOutlook { missing: 2, bytes, ..ImportOutlook::default() };
        let check =
            |min_free, bytes| check_room(&images.path().join("not/there/yet"), min_free, &outlook(bytes));
        check(Some(0), 1).unwrap();
        for (min_free, bytes) in [(Some(0), 1 << 60), (Some(1 << 60), 1), (None, u64::MAX)] {
            let said = check(min_free, bytes).unwrap_err().to_string();
            let parts =
                ["the 2 pictures that are not here yet", "STORAGE_MIN_FREE_BYTES", "Nothing was changed"];
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }
}
