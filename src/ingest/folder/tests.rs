//! Folders with a real store behind them, at instants that the test names.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tokio::task::JoinSet;

use super::*;
use crate::config::{Config, Env};
use crate::disk::DiskGuard;
use crate::media::frame::{Colours, Frame};
use crate::media::jpeg;
use crate::status::Status;
use crate::store::testing::{Place, assert_in_order};
use crate::store::{Image, ImageQuery, LedgerQuery, Store};

const REST: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

struct World {
    place: Place,
    store: Store,
    folder: tempfile::TempDir,
    task: FolderTask,
    now: Instant,
    cancel: CancellationToken,
    keeping: JoinSet<()>,
}

impl World {
    async fn new(more: &[(&'static str, &'static str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(folder, Place::new(), more).await
    }

    async fn of(folder: tempfile::TempDir, place: Place, more: &[(&'static str, &'static str)]) -> Self {
        let path = folder.path().join("in");
        if !path.exists() {
            fs::create_dir(&path).unwrap();
        }
        let path = path.display().to_string();
        let mut pairs = vec![
            ("INGEST_1_NAME", "card"),
            ("INGEST_1_FOLDER", path.as_str()),
            ("INGEST_1_PER_MINUTE", "6000"),
        ];
        pairs.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        pairs.extend(more);
        let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
        let store = place.open();
        let guard = DiskGuard::new(store.intake(), &config.storage, &Status::new(&config));
        let (pushes, mut keeper) = Pushes::new(&config, &store, &guard);
        let (cancel, mut keeping) = (CancellationToken::new(), JoinSet::new());
        let until = cancel.clone();
        keeping.spawn(async move { keeper.run(&until).await });
        let device = &config.ingest.devices[0];
        let door = Arc::new(Door::new(&config.ingest));
        let task = FolderTask::new(device, device.folder.as_ref().unwrap(), door, pushes);
        Self { place, store, folder, task, now: Instant::now(), cancel, keeping }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join("in").join(path)
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), bytes).unwrap();
    }

    /// One look.
    async fn look(&mut self) {
        let found = self.task.look().await.unwrap();
        self.task.take(found, self.now, &CancellationToken::new()).await;
    }

    /// A look, and another one so much later.
    async fn look_twice(&mut self, pause: Duration) {
        self.look().await;
        self.now += pause;
        self.look().await;
    }

    async fn images(&self) -> Vec<Image> {
        self.store.images(ImageQuery { limit: 100, ..ImageQuery::default() }).await.unwrap().items
    }

    async fn own_names(&self) -> Vec<String> {
        let own = |image: Image| image.facts.push.and_then(|push| push.own_name).unwrap_or_default();
        let mut names: Vec<_> = self.images().await.into_iter().map(own).collect();
        names.sort();
        names
    }

    /// What lies in the folder, with what is hidden.
    fn left(&self) -> Vec<String> {
        fn walk(at: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    walk(&path, root, found);
                } else {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let (root, mut found) = (self.at(""), Vec::new());
        walk(&root, &root, &mut found);
        found.sort();
        found
    }

    async fn end(mut self) -> (tempfile::TempDir, Place) {
        self.cancel.cancel();
        while self.keeping.join_next().await.is_some() {}
        self.store.close().await.unwrap();
        assert_in_order(&self.place);
        (self.folder, self.place)
    }
}

fn jpeg_of(shade: u8) -> Vec<u8> {
    let (y, u, v) = (vec![shade; 256], vec![128; 64], vec![128; 64]);
    jpeg::encode_plain(&Frame { width: 16, height: 16, y, u, v, colours: Colours::JPEG }).unwrap()
}

#[tokio::test]
async fn a_picture_that_rests_is_stored_and_then_removed_and_all_else_stays() {
    let mut world = World::new(&[]).await;
    world.put("a.jpg", &jpeg_of(1));
    world.put("2026-11-29/gate/b.JPEG", &jpeg_of(2));
    for other in [
        ".c.jpg.Xa81b2",
        ".hidden.jpg",
        "~d.jpg",
        "e.jpg.part",
        "f.mp4",
        "Thumbs.db",
        "@eaDir/g.jpg",
        "#recycle/h.jpg",
    ] {
        world.put(other, &jpeg_of(3));
    }
    world.look().await;
    assert!(world.images().await.is_empty(), "it may still be written");
    world.now += REST;
    world.look().await;
    assert_eq!(world.own_names().await, ["a.jpg", "b.JPEG"]);
    let push = world.images().await[0].facts.push.clone().unwrap();
    assert_eq!((push.device.as_str(), world.images().await[0].facts.cause), ("card", Cause::Push));
    let left = [
        "#recycle/h.jpg",
        ".c.jpg.Xa81b2",
        ".hidden.jpg",
        "@eaDir/g.jpg",
        "Thumbs.db",
        "e.jpg.part",
        "f.mp4",
        "~d.jpg",
    ];
    assert_eq!(world.left(), left);
    world.end().await;
}

#[tokio::test]
async fn a_file_that_is_being_written_is_left_until_its_end_is_there_and_it_rests() {
    let mut world = World::new(&[]).await;
    let picture = jpeg_of(1);
    world.put("a.jpg", b"");
    world.look_twice(REST).await;
    for end in [10, picture.len() / 2, picture.len() - 1] {
        world.put("a.jpg", &picture[..end]);
        world.look_twice(REST).await;
        world.now += LONG / 2;
        world.look().await;
        assert!(world.images().await.is_empty() && world.at("a.jpg").exists(), "{end}");
    }
    world.put("a.jpg", &picture);
    world.look().await;
    assert!(world.images().await.is_empty(), "it has changed just now");
    world.now += REST;
    world.look().await;
    assert_eq!((world.own_names().await.len(), world.left().len()), (1, 0));
    assert!(
        world.store.ledger(LedgerQuery { limit: 9, ..LedgerQuery::default() }).await.unwrap().items.len()
            == 1
    );
    world.end().await;
}

#[tokio::test]
async fn what_is_none_after_a_minute_moves_to_refused_with_its_reason_and_nothing_is_lost() {
    let mut world = World::new(&[("INGEST_1_MAX_BYTES", "2k")]).await;
    let (whole, large) = (jpeg_of(1), [&jpeg_of(2)[..], &[0; 4000]].concat());
    world.put("x/torn.jpg", &whole[..whole.len() - 2]);
    world.put("y/torn.jpg", b"no picture");
    world.put("large.jpg", &large);
    world.put("empty.jpg", b"");
    world.look_twice(REST).await;
    assert_eq!(world.left().len(), 4, "not yet");
    world.now += LONG;
    world.look().await;
    let expected = [
        "empty.jpg",
        "empty.jpg.txt",
        "large.jpg",
        "large.jpg.txt",
        "torn.jpg",
        "torn.jpg.txt",
        "torn_2.jpg",
        "torn_2.jpg.txt",
    ];
    assert_eq!(world.left(), expected.map(|name| format!(".refused/{name}")));
    let read = |name: &str| fs::read(world.at(".refused").join(name)).unwrap();
    assert_eq!((read("torn.jpg"), read("large.jpg")), (whole[..whole.len() - 2].to_vec(), large));
    let reason = String::from_utf8(read("torn.jpg.txt")).unwrap();
    assert!(reason.contains("cut off"), "{reason}");
    world.now += LONG;
    world.look_twice(LONG).await;
    assert_eq!(world.left().len(), 8, "and they stay there");
    assert!(world.images().await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn what_is_kept_moves_to_done_under_a_name_of_its_own_and_is_not_taken_again() {
    let mut world = World::new(&[("INGEST_1_FOLDER_KEEP", "true")]).await;
    for (path, shade) in [("a.jpg", 1), ("b/a.jpg", 2), ("c/a.jpg", 2)] {
        world.put(path, &jpeg_of(shade));
    }
    world.look_twice(REST).await;
    world.look_twice(REST).await;
    assert_eq!(world.left(), [".done/a.jpg", ".done/a_2.jpg", ".done/a_3.jpg"]);
    assert_eq!(world.images().await.len(), 2, "the same bytes are one picture");
    world.end().await;
}

#[tokio::test]
async fn no_link_is_followed() {
    let mut world = World::new(&[]).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.jpg"), jpeg_of(1)).unwrap();
    symlink(outside.path().join("secret.jpg"), world.at("link.jpg")).unwrap();
    symlink(outside.path(), world.at("linked")).unwrap();
    symlink(outside.path(), world.at(".done")).unwrap();
    symlink(outside.path(), world.at(".refused")).unwrap();
    world.put("bad.jpg", b"no picture");
    world.look_twice(LONG).await;
    assert!(world.images().await.is_empty());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(world.at("bad.jpg").exists(), "there is no place to move it to, so it stays");
    world.end().await;
}

#[tokio::test]
async fn a_file_that_changes_between_its_reading_and_its_removal_stays() {
    let world = World::new(&[]).await;
    world.put("a.jpg", &jpeg_of(1));
    let file = world.task.place.look().unwrap().files.remove(0);
    assert_eq!(world.task.place.read(&file).unwrap(), Some(jpeg_of(1)));
    world.put("a.jpg", &[&jpeg_of(2)[..], b"more"].concat());
    assert_eq!(world.task.place.read(&file).unwrap(), None);
    for end in [FileEnd::Removed, FileEnd::Done, FileEnd::Refused("why".to_owned())] {
        world.task.place.finish(&file, &end).unwrap();
        assert_eq!(world.left(), ["a.jpg"], "{end:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_folder_that_is_missing_says_what_to_do_and_heals() {
    let mut world = World::new(&[]).await;
    fs::rename(world.at(""), world.folder.path().join("away")).unwrap();
    let said = world.task.run(&CancellationToken::new()).await.unwrap_err();
    assert!(said.contains("INGEST_1_FOLDER") && said.contains("mount its disk"), "{said}");
    fs::rename(world.folder.path().join("away"), world.at("")).unwrap();
    world.put("a.jpg", &jpeg_of(1));
    world.look_twice(REST).await;
    assert_eq!(world.images().await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn of_a_folder_that_cannot_be_written_each_picture_is_taken_once_also_after_a_restart() {
    let mut world = World::new(&[]).await;
    world.put("a.jpg", &jpeg_of(1));
    fs::set_permissions(world.at(""), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(world.at("probe"), "").is_ok() {
        // Root writes everywhere; there a link in the place of the file's way out is as good.
        fs::remove_file(world.at("probe")).unwrap();
        world.task.keeps = true;
        fs::write(world.at(".done"), "in the way").unwrap();
    }
    world.look_twice(REST).await;
    world.look_twice(LONG).await;
    assert!(world.at("a.jpg").exists() && world.task.has_said);
    assert_eq!(world.images().await.len(), 1);
    fs::set_permissions(world.at(""), fs::Permissions::from_mode(0o700)).unwrap();
    let (folder, place) = world.end().await;
    let mut again = World::of(folder, place, &[]).await;
    again.look_twice(REST).await;
    assert_eq!((again.images().await.len(), again.at("a.jpg").exists()), (1, false), "known, and removed");
    again.end().await;
}

#[tokio::test]
async fn of_more_than_the_device_may_bring_the_rest_waits_and_is_not_refused() {
    let mut world = World::new(&[("INGEST_1_PER_MINUTE", "2")]).await;
    for shade in 1..=4 {
        world.put(&format!("{shade}.jpg"), &jpeg_of(shade));
    }
    world.look_twice(REST).await;
    assert_eq!(world.own_names().await, ["1.jpg", "2.jpg"]);
    world.look().await;
    assert_eq!(world.images().await.len(), 2, "the minute is not over");
    world.now += LONG;
    world.look().await;
    assert_eq!(world.own_names().await, ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]);
    let ledger = world.store.ledger(LedgerQuery { limit: 9, ..LedgerQuery::default() }).await.unwrap();
    assert_eq!((ledger.items.len(), world.left().len()), (4, 0));
    world.end().await;
}

#[tokio::test]
async fn while_the_database_takes_nothing_a_file_stays_and_is_taken_when_it_does() {
    let mut world = World::new(&[]).await;
    let refuse = "create trigger refuse before insert on triggers begin select raise(abort, 'no'); end";
    world.place.sql().execute_batch(refuse).unwrap();
    world.put("a.jpg", &jpeg_of(1));
    world.look_twice(REST).await;
    world.look_twice(REST).await;
    assert_eq!(world.left(), ["a.jpg"], "nothing is removed that is not safe");
    world.place.sql().execute_batch("drop trigger refuse").unwrap();
    world.store.intake().catch_up().await.unwrap();
    world.now += LATER;
    world.look().await;
    assert_eq!((world.images().await.len(), world.left().len()), (1, 0));
    world.end().await;
}
