//! Links and other things in the picture directory: no walk follows them, and nothing outside is touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::testing::*;
use super::{Deletion, Reconciled, Settlement, Store, save_apart};
use crate::model::{FileName, ImageId, Outcome, UnixMs, UploadState};

/// The day of [`T0`].
const DAY: &str = "2027-01-15";

/// The picture that [`T0`] asks for.
const NAME: &str = "2027-01-15/r1_1800000000.jpg";

/// What is put into a place where it does not belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    LinkToFolder,
    LinkToFile,
    LinkToPicture,
    Dangling,
    Loop,
    Pipe,
    Socket,
    File,
    Folder,
    HardLink,
}

const THINGS: [Thing; 10] = [
    Thing::LinkToFolder,
    Thing::LinkToFile,
    Thing::LinkToPicture,
    Thing::Dangling,
    Thing::Loop,
    Thing::Pipe,
    Thing::Socket,
    Thing::File,
    Thing::Folder,
    Thing::HardLink,
];

/// Folders and files that belong to somebody else, with what would tempt this program.
struct Victim {
    root: PathBuf,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Victim {
    fn new(place: &Place) -> Self {
        let root = place.path().join("victim");
        fs::create_dir_all(root.join("etc/deep")).unwrap();
        let whole = jpeg_of(&trigger("r1", T0), ImageId::from_bytes([7; 16]), 0);
        for (name, content) in [
            ("passwd", &b"root:x:0:0"[..]),
            ("notes.txt", b"precious"),
            ("r1_1800000000.jpg", b"a picture of somebody"),
            ("r1_1800000001.jpg", &whole),
            ("r1_1800000002.mp4", b"no clip"),
            ("a.part", b"half"),
            ("etc/deep/r1_1800000000.jpg", &whole),
            ("empty", b""),
        ] {
            fs::write(root.join(name), content).unwrap();
        }
        let before = tree_of(&root);
        Self { root, before }
    }

    fn assert_untouched(&self, what: &str) {
        assert_eq!(tree_of(&self.root), self.before, "{what}");
    }

    /// Puts a thing at `at`, in place of anything there.
    fn put(&self, thing: Thing, at: &Path) {
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        if at.is_dir() && !at.is_symlink() {
            fs::remove_dir_all(at).unwrap();
        } else if at.symlink_metadata().is_ok() {
            fs::remove_file(at).unwrap();
        }
        match thing {
            Thing::LinkToFolder => symlink(&self.root, at).unwrap(),
            Thing::LinkToFile => symlink(self.root.join("passwd"), at).unwrap(),
            Thing::LinkToPicture => symlink(self.root.join("r1_1800000001.jpg"), at).unwrap(),
            Thing::Dangling => symlink(self.root.join("new"), at).unwrap(),
            Thing::Loop => symlink(at.file_name().unwrap(), at).unwrap(),
            Thing::Pipe => mknodat(CWD, at, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            Thing::Socket => mknodat(CWD, at, FileType::Socket, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            Thing::File => fs::write(at, b"in the way").unwrap(),
            Thing::Folder => {
                fs::create_dir(at).unwrap();
                fs::write(at.join("notes.txt"), b"precious").unwrap();
            }
            Thing::HardLink => fs::hard_link(self.root.join("notes.txt"), at).unwrap(),
        }
    }
}

/// Every name below a folder, what it is, its inode and what is in it.
fn tree_of(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let meta = entry.path().symlink_metadata().unwrap();
            let mut what = format!("{} {:o} ", meta.ino(), meta.mode()).into_bytes();
            if meta.is_dir() {
                folders.push(entry.path());
            } else if meta.is_file() {
                what.extend(fs::read(entry.path()).unwrap());
            }
            found.insert(entry.path(), what);
        }
    }
    found
}

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

/// A trigger whose picture is stored, as the path to it.
async fn captured(store: &Store, key: &str, edge_ms: i64) -> PathBuf {
    let trigger = trigger(key, edge_ms);
    let row = store.begin_trigger(&trigger).await.unwrap();
    let image = store.record(picture(&trigger, row, ImageId::random(), 0)).await.unwrap();
    assert!(store.path_of(&image).symlink_metadata().unwrap().is_file());
    assert_eq!(store.ledger_entry(row).await.unwrap().unwrap().outcome, Some(Outcome::Captured));
    image.path
}

/// Everything owed is delivered.
async fn deliver_all(store: &Store) {
    for due in claim(store, 100).await {
        store.settle(&due, Settlement::Delivered { at: UnixMs(T0) }).await.unwrap();
    }
}

#[tokio::test]
async fn no_capture_is_lost_to_what_lies_in_place_of_its_folder() {
    for thing in THINGS {
        let place = Place::new();
        let victim = Victim::new(&place);
        let store = place.open();
        for folder in [DAY, ".incoming", ".quarantine", ".lock"] {
            drop(place.open());
            victim.put(thing, &place.images().join(folder));
            // A hidden folder is made again at a start, a day folder when it is wanted.
            let store = if folder == DAY { store.clone() } else { place.open() };
            drop(store.own().unwrap());
            let path = captured(&store, "r1", T0).await;
            assert_eq!(path.parent().unwrap(), Path::new(DAY), "{thing:?} {folder}");
            victim.assert_untouched(&format!("{thing:?} for {folder}"));
        }
        if !matches!(thing, Thing::Folder) {
            let alarm = store.strange().next().await.unwrap();
            assert!(alarm.contains("2027-01-15.set-aside"), "{thing:?}: {alarm}");
        }
    }
}

#[tokio::test]
async fn no_walk_follows_what_lies_in_place_of_a_day_folder() {
    for thing in THINGS {
        let place = Place::new();
        let victim = Victim::new(&place);
        let store = place.open();
        let image = take(&store, "r1", T0).await;
        deliver_all(&store).await;
        victim.put(thing, &place.images().join(DAY));
        victim.put(thing, &place.images().join("2022-01-01"));
        drop(store);

        let store = place.open();
        let done = store.reconcile().await.unwrap();
        assert_eq!((done.missing, done.quarantined, done.adopted), (1, 0, 0), "{thing:?}");
        if !matches!(thing, Thing::Folder) {
            let alarm = store.strange().next().await.unwrap();
            assert!(alarm.contains("2022-01-01") && alarm.contains(DAY), "{thing:?}: {alarm}");
        }
        assert!(store.open_image(&image).is_err(), "{thing:?}");
        assert_eq!(store.delete_image(&image.filename, true).await.unwrap(), Deletion::NotFound);
        victim.assert_untouched(&format!("{thing:?}"));
        assert!(place.images().join("2022-01-01").symlink_metadata().is_ok());
    }
}

#[tokio::test]
async fn a_deletion_touches_nothing_but_the_picture() {
    for thing in THINGS {
        for at in [NAME, DAY] {
            let place = Place::new();
            let victim = Victim::new(&place);
            let store = place.open();
            let image = take(&store, "r1", T0).await;
            victim.put(thing, &place.images().join(at));
            assert_eq!(store.delete_image(&image.filename, true).await.unwrap(), Deletion::Deleted);
            victim.assert_untouched(&format!("{thing:?} at {at}"));
            // A second name of a file cannot be told from a file; it goes as a name alone.
            let goes = at == NAME && matches!(thing, Thing::File | Thing::HardLink);
            let is_there = place.images().join(at).symlink_metadata().is_ok();
            assert_eq!(is_there, !goes, "{thing:?} at {at}");
        }
    }
}

#[tokio::test]
async fn nothing_is_read_that_lies_in_place_of_a_picture() {
    for thing in THINGS {
        let place = Place::new();
        let victim = Victim::new(&place);
        let store = place.open();
        let image = take(&store, "r1", T0).await;
        let due = claim(&store, 1).await.remove(0);
        victim.put(thing, &place.images().join(NAME));
        if !matches!(thing, Thing::File | Thing::HardLink) {
            assert!(store.open_image(&image).is_err(), "{thing:?}");
            assert_eq!(due.open().unwrap_err().kind(), std::io::ErrorKind::NotFound, "{thing:?}");
        }
        let done = store.reconcile().await.unwrap();
        assert_eq!((done.missing, done.adopted, done.quarantined), (1, 0, 0), "{thing:?}");
        victim.assert_untouched(&format!("{thing:?}"));
    }
}

#[tokio::test]
async fn only_regular_files_with_a_name_of_ours_are_set_aside() {
    for thing in THINGS {
        let place = Place::new();
        let victim = Victim::new(&place);
        let store = place.open();
        for at in [NAME, "2022-01-01/notes.txt", ".incoming/a.part", ".incoming/notes"] {
            victim.put(thing, &place.images().join(at));
        }
        let done = store.reconcile().await.unwrap();
        let is_file = matches!(thing, Thing::File | Thing::HardLink);
        let expected = Reconciled { quarantined: if is_file { 2 } else { 0 }, ..Reconciled::default() };
        assert_eq!(done, expected, "{thing:?}");
        assert_eq!(store.reconcile().await.unwrap(), Reconciled::default());
        victim.assert_untouched(&format!("{thing:?}"));
        assert_eq!(place.hidden(".quarantine").len(), expected.quarantined);
        let left = [NAME, "2022-01-01/notes.txt", ".incoming/a.part", ".incoming/notes"]
            .iter()
            .filter(|at| place.images().join(at).symlink_metadata().is_ok())
            .count();
        assert_eq!(left, 4 - expected.quarantined, "{thing:?}");
    }
}

#[tokio::test]
async fn many_files_that_are_no_pictures_are_left_with_an_alarm() {
    let place = Place::new();
    let store = place.open();
    let day = place.images().join("2022-01-01");
    fs::create_dir_all(&day).unwrap();
    for n in 0..40 {
        fs::write(day.join(format!("r1_18000000{n:02}.jpg")), b"torn").unwrap();
    }
    assert_eq!(store.reconcile().await.unwrap(), Reconciled::default());
    assert_eq!(fs::read_dir(&day).unwrap().count(), 40);
    let alarm = store.strange().next().await.unwrap();
    assert!(alarm.contains("40 in 2022-01-01") && alarm.contains("nothing was moved"), "{alarm}");
    // The name is not ours to give any more, and the capture gets the next one.
    fs::create_dir_all(place.images().join(DAY)).unwrap();
    fs::write(place.images().join(NAME), b"torn").unwrap();
    assert_eq!(captured(&store, "r1", T0).await, Path::new("2027-01-15/r1_1800000000_2.jpg"));
}

#[tokio::test]
async fn a_picture_that_cannot_be_looked_at_is_not_missing() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    // Too long for any file system; what is seen is an error, as with too many open files.
    let path = format!("{DAY}/{}", "x".repeat(300));
    let sql = "update images set path = ?1 where file_name = ?2";
    place.sql().execute(sql, [&path, &image.filename.to_string()]).unwrap();
    let file = place.images().join(&image.path);
    fs::rename(&file, place.path().join("kept")).unwrap();
    assert_eq!(store.reconcile().await.unwrap(), Reconciled::default());
    place.sql().execute(sql, [NAME, &image.filename.to_string()]).unwrap();
    fs::rename(place.path().join("kept"), file).unwrap();
    assert_in_order(&place);
}

#[tokio::test]
async fn a_rebuild_follows_nothing() {
    for thing in THINGS {
        for at in [NAME, DAY, "2022-01-01", ".incoming", ".quarantine"] {
            let place = Place::new();
            let victim = Victim::new(&place);
            let store = place.open();
            take(&store, "r1", T0).await;
            drop(store);
            victim.put(thing, &place.images().join(at));
            let targets = vec![(crate::model::TargetId::API, UploadState::Pending)];
            let rebuilt = Store::rebuild(place.images(), place.database(), targets).await.unwrap();
            let is_hit = at == NAME || at == DAY;
            assert_eq!(rebuilt.images, u64::from(!is_hit), "{thing:?} at {at}");
            victim.assert_untouched(&format!("{thing:?} at {at}"));
        }
    }
}

#[test]
fn a_test_picture_replaces_a_link_and_writes_through_none() {
    for thing in THINGS {
        for at in ["test", "test/r1_1800000000.jpg", "test/.r1_1800000000.jpg.part"] {
            let place = Place::new();
            let victim = Victim::new(&place);
            let path = place.images().join(at);
            victim.put(thing, &path);
            let saved = save_apart(
                &place.images(),
                &place.database(),
                "test",
                &name("r1_1800000000.jpg"),
                b"picture",
            );
            victim.assert_untouched(&format!("{thing:?} at {at}"));
            match saved {
                Ok(saved) => assert_eq!(fs::read(saved).unwrap(), b"picture"),
                Err(error) => assert!(thing == Thing::Folder, "{thing:?} at {at}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn the_ballast_and_the_copies_are_written_through_no_link() {
    for thing in THINGS {
        let place = Place::new();
        let victim = Victim::new(&place);
        let store = place.open();
        take(&store, "r1", T0).await;
        for suffix in ["-ballast", ".backup", ".backup.part", ".new", ".rebuilt"] {
            let mut path = place.database().into_os_string();
            path.push(suffix);
            // What is no file there is left to the operator, as before.
            let is_taken_for_ours = suffix == ".rebuilt" && thing == Thing::File;
            if thing != Thing::Folder && !is_taken_for_ours {
                victim.put(thing, Path::new(&path));
            }
        }
        store.make_ballast(100_000).await.unwrap();
        store.back_up(super::Stop::default()).await.unwrap();
        victim.assert_untouched(&format!("{thing:?}"));
    }
}

#[tokio::test]
async fn a_linked_picture_directory_is_as_good_as_any() {
    let place = Place::new();
    let real = place.path().join("real");
    fs::create_dir(&real).unwrap();
    if place.images().exists() {
        fs::remove_dir(place.images()).unwrap();
    }
    symlink(&real, place.images()).unwrap();
    let store = place.open();
    captured(&store, "r1", T0).await;
    assert!(real.join(NAME).is_file());
    assert_in_order(&place);
}

/// One thing somewhere in the picture directory.
fn strange_thing() -> impl Strategy<Value = (Thing, String)> {
    let folder =
        prop::sample::select(vec!["", DAY, "2027-01-16", "2022-01-01", ".incoming", ".quarantine", "test"]);
    let file = prop::sample::select(vec![
        "",
        "r1_1800000000.jpg",
        "r1_1800000001.jpg",
        "r1_1800000000_2.jpg",
        "r1_1800000002.mp4",
        "a.part",
        "notes",
        "2022-01-02",
        "\u{1b}[31m",
    ]);
    (prop::sample::select(THINGS.to_vec()), folder, file)
        .prop_filter("a name", |(_, folder, file)| !(folder.is_empty() && file.is_empty()))
        .prop_map(|(thing, folder, file)| {
            (thing, Path::new(folder).join(file).to_string_lossy().into_owned())
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_lies_in_the_directory_nothing_outside_changes_and_no_capture_is_lost(
        before in prop::collection::vec(strange_thing(), 0..6),
        between in prop::collection::vec(strange_thing(), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let victim = Victim::new(&place);
            drop(place.open());
            let put = |things: &[(Thing, String)]| {
                for (thing, at) in things {
                    let at = place.images().join(at.trim_end_matches('/'));
                    // Through a folder of ours only; the victim is not to be changed by the test.
                    let parent = at.parent().unwrap();
                    if parent == place.images() || parent.symlink_metadata().map_or(true, |meta| meta.is_dir()) {
                        victim.put(*thing, &at);
                    }
                }
            };
            put(&before);
            let store = place.open();
            let _owned = store.own().unwrap();
            store.reconcile_first().await.unwrap();
            captured(&store, "r1", T0).await;
            put(&between);
            let image = take(&place.open(), "r2", T0 + 60_000).await;
            store.reconcile().await.unwrap();
            deliver_all(&store).await;
            let old = store.deletable(UnixMs(i64::MAX), None, 100).await.unwrap();
            store.delete_expired(old.into_iter().map(|(_, one)| one).collect()).await.unwrap();
            let _ = store.delete_image(&image.filename, true).await.unwrap();
            store.finish_begun_deletions().await.unwrap();
            drop(_owned);
            drop(store);
            let targets = vec![(crate::model::TargetId::API, UploadState::Pending)];
            Store::rebuild(place.images(), place.database(), targets).await.unwrap();
            victim.assert_untouched(&format!("{before:?} {between:?}"));
        });
    }
}
