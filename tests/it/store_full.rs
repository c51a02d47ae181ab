//! The store and its guard on disks that are really full, of bytes and of files.

use std::path::Path;
use std::time::Instant;

use camera_capture::clock;
use camera_capture::config::{Config, Env};
use camera_capture::disk::retention;
use camera_capture::disk::{DiskGuard, StoreRefusal, Weight};
use camera_capture::model::{ImageId, Outcome, RoomLevel, TargetId, UnixMs, UploadState};
use camera_capture::status::{AlarmKind, Status};
use camera_capture::store::{Change, Deletion, DueUpload, Image, LaneTurn, LedgerQuery, Settlement, Store};
use rusqlite::Connection;

use super::store_crash::{DAY_MS, OWED, assert_in_order, list, open, storage, take};
use super::support::disk::SmallDisk;
use super::support::small;

const MIB: u64 = 1 << 20;

fn guard(store: &Store) -> (DiskGuard, Status) {
    let (config, _) = Config::parse(&Env::from_pairs::<&str, &str>([])).unwrap();
    let status = Status::new(&config);
    (DiskGuard::new(store.intake(), &config.storage, &status), status)
}

/// A capture as the camera's task does it: ledger, picture, or failure.
async fn capture(store: &Store, guard: &DiskGuard, edge_at: UnixMs, bytes: usize) -> Result<Image, String> {
    let trigger = small::trigger("r1", edge_at);
    let row = store.triggers().begin(&trigger).await.unwrap();
    let new = small::new_image(&trigger, row, ImageId::random(), vec![7; bytes]);
    match guard.record(new, Weight::Picture).await {
        Ok(image) => Ok(image),
        Err(StoreRefusal::Full(words)) => {
            store.triggers().fail(row, words.as_str()).await.unwrap();
            Err(words)
        }
        Err(StoreRefusal::Failed(error)) => panic!("{error}"),
        Err(StoreRefusal::Kept(words)) => panic!("{words}"),
    }
}

async fn due(store: &Store, most: usize) -> Vec<DueUpload> {
    store.queue(TargetId::API).claim(clock::now(), most, LaneTurn::default()).await.unwrap().uploads
}

async fn deliver(store: &Store, most: usize) {
    let now = clock::now();
    for upload in due(store, most).await {
        assert!(store.queue(upload.target).settle(&upload, Settlement::Delivered { at: now }).await.unwrap());
    }
}

fn ballast(place: &Path) -> u64 {
    std::fs::metadata(place.join("x.db-ballast")).map_or(0, |file| file.len())
}

fn kinds(status: &Status) -> Vec<AlarmKind> {
    status.alarms().into_iter().map(|alarm| alarm.kind).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_pictures_cleanly_and_still_lets_the_queue_and_retention_work() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), "size=6m", "a_full_disk_refuses") else { return };
    let place = dir.path();
    let store = open(place, OWED);
    let then = clock::now().plus_ms(-10 * DAY_MS);
    let mut stored = 0;
    let error = loop {
        match take(&store, then.plus_ms(stored * 1000), 200_000).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_full(), "{error}");
    assert!(error.to_string().contains("No space left") || error.to_string().contains("full"), "{error}");
    assert!(stored > 3);
    let incoming = || std::fs::read_dir(place.join("images/.incoming")).unwrap().count();
    assert_eq!(incoming(), 0, "a torn file was left");

    // The database gives room back at a moment of its own.
    let error = loop {
        disk.fill();
        if let Err(error) = take(&store, clock::now(), 0).await {
            break error;
        }
    };
    assert!(error.is_full(), "{error}");
    assert_eq!(incoming(), 0);
    // Deliveries go on, and so retention finds something to delete, without a byte to spare.
    let now = clock::now();
    let due = due(&store, 3).await;
    assert_eq!(due.len(), 3);
    for upload in &due {
        assert!(store.queue(upload.target).settle(upload, Settlement::Delivered { at: now }).await.unwrap());
    }
    let report =
        retention::run(&store.retention(), &storage(&[("IMAGE_RETENTION_DAYS", "1")]), false).await.unwrap();
    assert_eq!(report.deleted, 3);
    let image = take(&store, clock::now(), 100).await.unwrap();
    assert_eq!(store.delete_image(&image.filename, true).await.unwrap(), Deletion::Deleted);

    disk.relieve();
    store.reconcile().await.unwrap();
    assert_in_order(place, &store).await;
}

#[tokio::test]
async fn the_ballast_lets_a_full_disk_write_failures_and_deletions_and_checkpoint_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), "size=32m", "the_ballast") else { return };
    let (place, store) = (dir.path(), open(dir.path(), OWED));
    let (guard, status) = guard(&store);
    let mut stored = Vec::new();
    for second in 0..20 {
        stored.push(take(&store, UnixMs(1_800_000_000_000 + second * 1000), 50_000).await.unwrap());
    }
    // An empty log needs room for its first page. Without a ballast there is none.
    store.close().await.unwrap();
    disk.fill();
    assert!(store.triggers().begin(&small::trigger("r1", clock::now())).await.unwrap_err().is_full());
    disk.relieve();

    assert_eq!(guard.tend().await.unwrap(), RoomLevel::Good);
    assert_eq!(ballast(place), 32 * MIB / 25);
    store.close().await.unwrap();
    disk.fill();
    let words = capture(&store, &guard, clock::now(), 50_000).await.unwrap_err();
    assert!(words.contains("of 33.5 MB are free, and the last of it is for the ledger"), "{words}");
    assert!(words.contains("20 pictures (1.0 MB) wait for delivery to api; bring api back"), "{words}");
    assert_eq!(ballast(place), 0, "it went for the ledger");
    // Many more rows than a page holds, and every way to get room again.
    for _ in 0..100 {
        capture(&store, &guard, clock::now(), 50_000).await.unwrap_err();
    }
    assert_eq!(guard.tend().await.unwrap(), RoomLevel::Full);
    assert_eq!(status.storage().level, RoomLevel::Full);
    assert_eq!(kinds(&status), [AlarmKind::DiskShort], "said once");
    store.close().await.unwrap();
    assert_eq!(store.delete_image(&stored[0].filename, true).await.unwrap(), Deletion::Deleted);
    assert_eq!(
        ballast(place),
        0,
        "what it gave is not for pictures, and not for itself while there is too little"
    );
    drop(store);

    let store = open(place, OWED);
    let query = LedgerQuery { limit: 1000, ..LedgerQuery::default() };
    let ledger = store.ledger(query).await.unwrap().items;
    let failed = ledger
        .iter()
        .filter(|entry| entry.reason.as_ref().is_some_and(|reason| reason.to_string().contains("full")));
    assert_eq!((ledger.len(), failed.count()), (121, 101));
    let there: Vec<_> = list(&store).await.into_iter().map(|image| image.filename).rev().collect();
    assert_eq!(there, stored[1..].iter().map(|image| image.filename.clone()).collect::<Vec<_>>());
    let check: String = Connection::open(place.join("x.db"))
        .unwrap()
        .query_row("pragma integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");

    disk.relieve();
    assert_eq!(guard.tend().await.unwrap(), RoomLevel::Good);
    assert_eq!((ballast(place), status.alarms()), (32 * MIB / 25, Vec::new()), "all by itself");
    capture(&store, &guard, clock::now(), 50_000).await.unwrap();
}

#[tokio::test]
async fn on_a_full_disk_the_ballast_makes_room_for_what_a_delivery_led_to() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), "size=32m", "on_a_full_disk_the_ballast") else { return };
    let (place, store) = (dir.path(), open(dir.path(), OWED));
    let (guard, _) = guard(&store);
    for second in 0..2 {
        take(&store, UnixMs(1_800_000_000_000 + second * 1000), 50_000).await.unwrap();
    }
    assert_eq!(guard.tend().await.unwrap(), RoomLevel::Good);
    // An empty log needs room for its first page.
    store.close().await.unwrap();
    disk.fill();
    for upload in due(&store, 2).await {
        assert!(
            store
                .queue(upload.target)
                .settle(&upload, Settlement::Delivered { at: clock::now() })
                .await
                .unwrap()
        );
    }
    assert_eq!(ballast(place), 0, "it went for the first of them");
    drop(disk);
}

#[tokio::test]
async fn a_start_on_a_full_disk_succeeds_by_the_ballast_of_the_run_before() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), "size=32m", "a_start_on_a_full_disk") else { return };
    let (place, store) = (dir.path(), open(dir.path(), OWED));
    let (guard, _) = guard(&store);
    take(&store, clock::now(), 50_000).await.unwrap();
    guard.tend().await.unwrap();
    assert!(ballast(place) > MIB);
    drop((guard, store));
    disk.fill();
    let store = open(place, OWED);
    assert_eq!(ballast(place), 0);
    store.reconcile().await.unwrap();
    assert_eq!(list(&store).await.len(), 1);
    // Whoever wants to see to it can log in and delete.
    store.access().set_password_hash("password", "x".to_owned()).await.unwrap();
    let image = list(&store).await.remove(0);
    assert_eq!(store.delete_image(&image.filename, true).await.unwrap(), Deletion::Deleted);
}

#[tokio::test]
async fn delivered_pictures_make_room_one_by_one_and_owed_ones_stay_whatever_comes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path(), "size=32m", "delivered_pictures_make_room") else {
        return;
    };
    let store = open(dir.path(), OWED);
    let (guard, status) = guard(&store);
    guard.tend().await.unwrap();
    let edge = |number: i64| UnixMs(1_800_000_000_000 + number * 1000);
    // The first 30 stay owed for ever, the others are delivered at once.
    let mut owed = Vec::new();
    for number in 0..30 {
        owed.push(capture(&store, &guard, edge(number), 300_000).await.unwrap().filename);
    }
    let held: Vec<i64> = due(&store, 30).await.iter().map(|upload| upload.row()).collect();
    let mut latest = Vec::new();
    for number in 30..300 {
        let began = Instant::now();
        latest.push(capture(&store, &guard, edge(number), 300_000).await.unwrap().filename);
        assert!(began.elapsed().as_secs() < 5, "a capture waits long");
        let turn = LaneTurn { held: held.clone(), ..LaneTurn::default() };
        let now = clock::now();
        for upload in store.queue(TargetId::API).claim(now, 10, turn).await.unwrap().uploads {
            assert!(
                store.queue(upload.target).settle(&upload, Settlement::Delivered { at: now }).await.unwrap()
            );
        }
    }
    let there: Vec<_> = list(&store).await.into_iter().map(|image| image.filename).rev().collect();
    assert_eq!(there[..30], owed[..]);
    let delivered = there.len() - 30;
    assert!(delivered > 40, "no more go than must: {delivered} of 300 are left");
    assert_eq!(there[30..], latest[latest.len() - delivered..], "the oldest went");
    assert_eq!(status.storage().evicted, 300 - 30 - delivered as u64);
    assert_eq!(status.alarms(), []);
    let room = store.intake().room().await.unwrap();
    assert!(room.pictures.free_bytes > MIB, "the floor is kept: {room:?}");
    assert_eq!(room.ballast_bytes, room.ballast_wanted);
}

#[tokio::test]
async fn when_files_run_out_the_oldest_delivered_go_and_then_captures_fail_with_the_number_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path(), "size=32m,nr_inodes=100", "when_files_run_out") else {
        return;
    };
    let store = open(dir.path(), OWED);
    let (guard, status) = guard(&store);
    guard.tend().await.unwrap();
    let mut number = 0;
    let mut next = || {
        number += 1;
        UnixMs(1_800_000_000_000 + number * 1000)
    };
    for _ in 0..120 {
        capture(&store, &guard, next(), 1000).await.unwrap();
        deliver(&store, 10).await;
    }
    assert!(status.storage().evicted > 30, "{:?}", status.storage());
    let words = loop {
        if let Err(words) = capture(&store, &guard, next(), 1000).await {
            break words;
        }
    };
    assert!(words.contains("of 100 files can still be created"), "{words}");
    assert_eq!(status.alarms()[0].kind, AlarmKind::DiskShort);
    let states: Vec<_> = list(&store).await.into_iter().map(|image| image.uploads[0].state).collect();
    assert!(states.len() > 60 && states.iter().all(|state| *state == UploadState::Pending), "{states:?}");
    let failed = LedgerQuery { limit: 1, ..LedgerQuery::default() };
    assert_eq!(store.ledger(failed).await.unwrap().items[0].reason, Some(words.as_str().into()));

    deliver(&store, 50).await;
    capture(&store, &guard, next(), 1000).await.unwrap();
    guard.tend().await.unwrap();
    assert_eq!(status.alarms(), []);
}

#[tokio::test]
async fn edges_that_not_even_the_ledger_took_are_in_it_as_soon_as_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), "size=32m", "edges_that_not_even") else { return };
    let store = open(dir.path(), OWED);
    let (guard, status) = guard(&store);
    let begun = small::trigger("r1", clock::now());
    let row = store.triggers().begin(&begun).await.unwrap();
    // An empty log needs room for its first page, and there never was a ballast.
    store.close().await.unwrap();
    disk.fill();
    assert!(store.triggers().fail(row, "no frame").await.unwrap_err().is_full());
    let edges: Vec<_> = (0..5).map(|n| small::trigger("r1", begun.edge.wall.plus_ms(10 + n))).collect();
    for trigger in &edges {
        let written = store.triggers().end(trigger, Outcome::Failed, "the disk is full").await;
        assert!(written.unwrap_err().is_full());
    }
    guard.tend().await.unwrap();
    let alarm = || {
        status
            .alarms()
            .into_iter()
            .find(|alarm| alarm.kind == AlarmKind::LedgerLate)
            .map(|alarm| alarm.message)
    };
    let words = alarm().unwrap();
    assert!(words.contains("not in the ledger yet: 6, the newest r1 at"), "{words}");

    disk.relieve();
    let mut changes = store.changes();
    guard.tend().await.unwrap();
    assert_eq!((alarm(), store.late()), (None, None));
    let ledger = store.ledger(LedgerQuery { limit: 100, ..LedgerQuery::default() }).await.unwrap().items;
    let seen: Vec<_> =
        ledger.iter().map(|entry| (entry.edge_at, entry.reason.as_ref().map(ToString::to_string))).collect();
    let wanted = edges.iter().rev().map(|trigger| (trigger.edge.wall, Some("the disk is full".to_owned())));
    assert_eq!(seen, wanted.chain([(begun.edge.wall, Some("no frame".to_owned()))]).collect::<Vec<_>>());
    assert!(ledger.iter().all(|entry| entry.outcome == Some(Outcome::Failed)));
    let mut told = 0;
    while let Ok(change) = changes.try_recv() {
        told += usize::from(matches!(change, Change::Trigger(_)));
    }
    assert_eq!(told, 6, "the dashboard hears of them");
    // Once, not again with every look.
    guard.tend().await.unwrap();
    assert_eq!(
        store.ledger(LedgerQuery { limit: 100, ..LedgerQuery::default() }).await.unwrap().items.len(),
        6
    );
}
