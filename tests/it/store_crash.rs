//! The store when processes are killed, and when two work on one directory.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use camera_capture::clock;
use camera_capture::config::{Config, Env, StorageConfig};
use camera_capture::disk::retention;
use camera_capture::media::jpeg;
use camera_capture::model::{FileName, ImageId, TargetId, UnixMs, UploadState};
use camera_capture::store::{Image, ImageQuery, LaneTurn, Settlement, Store, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

use super::support::small;

/// Tells the other process where the pictures are, and what it does.
const PLACE: &str = "CAMERA_CAPTURE_TEST_PLACE";
const DEED: &str = "CAMERA_CAPTURE_TEST_DEED";

pub(crate) const OWED: &[(TargetId, UploadState)] = &[(TargetId::API, UploadState::Pending)];
const SKIPPED: &[(TargetId, UploadState)] = &[(TargetId::API, UploadState::Skipped)];

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn place() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn open(place: &Path, targets: &[(TargetId, UploadState)]) -> Store {
    Store::open(&place.join("images"), &place.join("x.db"), targets).unwrap()
}

/// A trigger and its picture of at least so many bytes.
pub(crate) async fn take(store: &Store, edge_at: UnixMs, bytes: usize) -> Result<Image, StoreError> {
    let (trigger, id) = (small::trigger("r1", edge_at), ImageId::random());
    let row = store.triggers().begin(&trigger).await?;
    store.record(small::new_image(&trigger, row, id, small::jpeg_of(&trigger, id, bytes))).await
}

pub(crate) async fn list(store: &Store) -> Vec<Image> {
    store.images(ImageQuery { limit: 100_000, ..ImageQuery::default() }).await.unwrap().items
}

/// Every listed picture has its whole file, and no other file lies in the folder.
pub(crate) async fn assert_in_order(place: &Path, store: &Store) {
    let mut files = 0;
    for folder in std::fs::read_dir(place.join("images")).unwrap().map(Result::unwrap) {
        if !folder.file_name().to_string_lossy().starts_with('.') {
            files += std::fs::read_dir(folder.path()).unwrap().count();
        }
    }
    let images = list(store).await;
    assert_eq!(images.len(), files);
    for image in images {
        let bytes = std::fs::read(store.path_of(&image)).unwrap();
        assert_eq!(bytes.len() as u64, image.bytes);
        assert!(jpeg::inspect(&bytes).is_ok(), "{} is torn", image.filename);
    }
    let c = Connection::open(place.join("x.db")).unwrap();
    let count = |sql: &str| c.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let counted = count("select count(*) from images where state = 'present'");
    assert_eq!(count("select coalesce(sum(value), 0) from tallies where what = 'images'"), counted);
    assert_eq!(count("select count(*) from triggers where outcome is null"), 0);
    let check: String = c.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

fn other_process(place: &Path, deed: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["store_crash::the_other_process", "--exact", "--nocapture"])
        .env(PLACE, place)
        .env(DEED, deed)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The other process: this same test program, started by [`other_process`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_process() {
    let (Some(place), Ok(deed)) = (std::env::var_os(PLACE), std::env::var(DEED)) else { return };
    let place = PathBuf::from(place);
    let store = open(&place, OWED);
    let say = |text: String| writeln!(std::io::stdout(), "\n{text}").unwrap();
    match deed.as_str() {
        "own" => match store.own() {
            Ok(_) => say("owned".to_owned()),
            Err(error) => say(format!("refused {error}")),
        },
        "record" => record_without_end(&store, say).await,
        other => panic!("{other}"),
    }
}

/// Records, delivers and deletes until it is killed, and says what it has done.
async fn record_without_end(store: &Store, say: impl Fn(String)) {
    store.reconcile().await.unwrap();
    loop {
        let image = take(store, clock::now(), 20_000).await.unwrap();
        say(format!("stored {}", image.filename));
        let now = clock::now();
        for upload in store.queue(TargetId::API).claim(now, 2, LaneTurn::default()).await.unwrap().uploads {
            store.queue(upload.target).settle(&upload, Settlement::Delivered { at: now }).await.unwrap();
            say(format!("delivered {}", upload.filename));
        }
        if image.bytes % 3 == 0 || list(store).await.len() > 30 {
            let oldest = list(store).await.pop().unwrap().filename;
            say(format!("deleting {oldest}"));
            store.delete_image(&oldest, true).await.unwrap();
        }
    }
}

#[tokio::test]
async fn whatever_was_acknowledged_before_a_kill_is_there_after_it() {
    let place = place();
    let (mut stored, mut deleting) = (BTreeSet::new(), BTreeSet::new());
    let mut delivered = BTreeSet::new();
    for lines_before_the_kill in [1, 2, 3, 5, 8, 13, 40, 101, 150] {
        let mut other = other_process(place.path(), "record");
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut seen = 0;
        let mut note = |line: &str| {
            let Some((what, name)) = line.split_once(' ') else { return false };
            match what {
                "stored" => stored.insert(name.to_owned()),
                "delivered" => delivered.insert(name.to_owned()),
                "deleting" => deleting.insert(name.to_owned()),
                _ => return false,
            };
            true
        };
        while seen < lines_before_the_kill {
            seen += usize::from(note(&lines.next().unwrap()));
        }
        other.kill().unwrap();
        // What it said before it died counts as well; its last line may be torn.
        let rest: Vec<_> = lines.collect();
        for line in rest.iter().filter(|line| line.ends_with(".jpg")) {
            note(line);
        }
        other.wait().unwrap();

        let store = open(place.path(), OWED);
        store.reconcile().await.unwrap();
        assert_in_order(place.path(), &store).await;
        let images = list(&store).await;
        let there: BTreeSet<_> = images.iter().map(|image| image.filename.to_string()).collect();
        let lost: Vec<_> = stored.difference(&there).filter(|name| !deleting.contains(*name)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        for image in images.iter().filter(|image| delivered.contains(&image.filename.to_string())) {
            assert_eq!(image.uploads[0].state, UploadState::Delivered, "{}", image.filename);
        }
    }
}

#[test]
fn a_second_process_is_refused_the_directory_until_the_first_is_gone() {
    let place = place();
    let store = open(place.path(), OWED);
    let answer = || {
        let output = other_process(place.path(), "own").wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let held = store.own().unwrap();
    let refused = answer();
    assert!(refused.contains("refused another camera-capture already uses"), "{refused}");
    drop(held);
    assert!(answer().contains("owned"));
}

pub(crate) fn storage(pairs: &[(&str, &str)]) -> StorageConfig {
    Config::parse(&Env::from_pairs(pairs.iter().copied())).unwrap().0.storage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn retention_by_another_handle_never_disturbs_recording() {
    let place = place();
    // Everything may go at once, so that the folder of the day vanishes again and again.
    let (store, other) = (open(place.path(), SKIPPED), open(place.path(), SKIPPED));
    let storage = storage(&[("IMAGE_RETENTION_DAYS", "1")]);
    let then = clock::now().plus_ms(-10 * DAY_MS);
    let cleaning = tokio::spawn(async move {
        let mut deleted = 0;
        while deleted < 300 {
            deleted += retention::run(&other.retention(), &storage, false).await.unwrap().deleted;
        }
    });
    for number in 0..300 {
        take(&store, then.plus_ms(number * 100), 0).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), cleaning).await.unwrap().unwrap();
    assert_in_order(place.path(), &store).await;
    assert_eq!(list(&store).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn retention_by_another_handle_never_takes_what_is_owed() {
    let place = place();
    let (store, other) = (open(place.path(), OWED), open(place.path(), OWED));
    let storage = storage(&[("IMAGE_RETENTION_DAYS", "1"), ("STORAGE_MAX_BYTES", "1MiB")]);
    let then = clock::now().plus_ms(-10 * DAY_MS);
    let cleaning = tokio::spawn(async move {
        let mut deleted = 0;
        while deleted < 50 {
            deleted += retention::run(&other.retention(), &storage, false).await.unwrap().deleted;
        }
    });
    let mut delivered = BTreeSet::new();
    for number in 0..100 {
        take(&store, then.plus_ms(number * 1000), 30_000).await.unwrap();
        if number % 2 == 0 {
            let now = clock::now();
            let due = store
                .queue(TargetId::API)
                .claim(now, 1, LaneTurn::default())
                .await
                .unwrap()
                .uploads
                .remove(0);
            assert!(store.queue(due.target).settle(&due, Settlement::Delivered { at: now }).await.unwrap());
            delivered.insert(due.filename.clone());
        }
    }
    tokio::time::timeout(Duration::from_secs(60), cleaning).await.unwrap().unwrap();
    assert_in_order(place.path(), &store).await;
    let there: BTreeSet<FileName> = list(&store).await.into_iter().map(|image| image.filename).collect();
    assert_eq!((there.len(), there.intersection(&delivered).count()), (50, 0));
}
