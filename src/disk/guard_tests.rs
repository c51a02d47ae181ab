//! Making room before a picture is stored, and what is said when there is none. Disks that are really small are in
//! `tests/it/store_full.rs` and `tests/it/e2e/storage.rs`; here the floor is raised above what is free.

use super::*;
use crate::config::{Config, Env};
use crate::model::{ImageId, StorageState, TargetId};
use crate::store::testing::{OWED, Place, SKIPPED, T0, assert_in_order, picture, take, trigger};
use crate::store::{Change, ImageQuery, LaneTurn, Settlement, Store};

/// More than any disk has free, and so little that half of it is not: the disk is low and stays so.
async fn floor_above(store: &Store) -> u64 {
    store.intake().room().await.unwrap().pictures.free_bytes + (1 << 30)
}

fn guard(store: &Store, min_free: u64) -> (DiskGuard, Status) {
    let floor = min_free.to_string();
    let pairs = [("STORAGE_MIN_FREE_BYTES", floor.as_str())];
    let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
    let status = Status::new(&config);
    (DiskGuard::new(store.intake(), &config.storage, &status), status)
}

async fn record(guard: &DiskGuard, store: &Store, at: i64, weight: Weight) -> Result<Image, StoreRefusal> {
    let trigger = trigger("r1", at);
    let row = store.triggers().begin(&trigger).await.unwrap();
    guard.record(picture(&trigger, row, ImageId::random(), 0), weight).await
}

async fn left(store: &Store) -> Vec<i64> {
    let query = ImageQuery { limit: 1000, ..ImageQuery::default() };
    store
        .images(query)
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|image| (image.facts.taken_at().0 - T0) / 1000)
        .collect()
}

#[tokio::test]
async fn a_capture_below_the_floor_deletes_a_batch_of_the_oldest_delivered_and_is_stored() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    for second in 0..20 {
        take(&store, "r1", T0 + second * 1000).await;
    }
    let (guard, status) = guard(&store, floor_above(&store).await);
    let mut changes = store.changes();
    record(&guard, &store, T0 + 100_000, Weight::Picture).await.unwrap();
    let kept: Vec<i64> = [100].into_iter().chain((i64::from(BATCH)..20).rev()).collect();
    assert_eq!(left(&store).await, kept, "the oldest went, and no more than a capture may wait for");
    let StorageState { evicted, evicted_at, .. } = status.storage();
    assert_eq!((evicted, evicted_at.is_some()), (u64::from(BATCH), true));
    let mut deleted = Vec::new();
    while let Ok(change) = changes.try_recv() {
        deleted.extend(match change {
            Change::Deleted(names) => Some(names.len()),
            _ => None,
        });
    }
    assert_eq!(deleted, [BATCH as usize], "told together");
    assert_in_order(&place);
}

#[tokio::test]
async fn what_is_owed_or_protected_stays_and_the_picture_is_stored_all_the_same() {
    let place = Place::new();
    let store = place.open_owing(OWED);
    for second in 0..3 {
        take(&store, "r1", T0 + second * 1000).await;
    }
    let now = UnixMs(T0);
    let due = store.queue(TargetId::API).claim(now, 2, LaneTurn::default()).await.unwrap().uploads;
    store.queue(due[0].target).settle(&due[0], Settlement::Dead { error: "no".into() }).await.unwrap();
    store.queue(due[1].target).settle(&due[1], Settlement::Delivered { at: now }).await.unwrap();
    store.protect(&due[1].filename, true).await.unwrap();
    let (guard, status) = guard(&store, floor_above(&store).await);
    record(&guard, &store, T0 + 100_000, Weight::Picture).await.unwrap();
    assert_eq!(guard.tend().await.unwrap(), RoomLevel::Low);
    assert_eq!(left(&store).await, [100, 2, 1, 0]);
    assert!(status.storage().message.unwrap().contains("shall stay free"));
    assert_eq!(status.alarms(), [], "nothing is wrong yet");
}

#[tokio::test]
async fn on_a_critical_disk_pictures_are_stored_clips_are_not_and_an_operator_is_called_until_there_is_room()
{
    let place = Place::new();
    let store = place.open_owing(OWED);
    let room = store.intake().room().await.unwrap().pictures;
    let (critical, status) = guard(&store, room.free_bytes * 2 + (1 << 30));
    record(&critical, &store, T0, Weight::Picture).await.unwrap();
    let refused = record(&critical, &store, T0 + 1000, Weight::Beside).await.unwrap_err();
    assert!(matches!(&refused, StoreRefusal::Full(words) if words.contains("clips are not")), "{refused}");
    assert_eq!(critical.tend().await.unwrap(), RoomLevel::Critical);
    let alarms = status.alarms();
    assert_eq!(alarms.iter().map(|alarm| &alarm.kind).collect::<Vec<_>>(), [&AlarmKind::DiskShort]);
    assert!(alarms[0].message.contains("1 picture") && alarms[0].message.contains("bring api back"));

    // The same status, and a floor as if room had been made.
    let (mut config, _) = Config::parse(&Env::from_pairs::<&str, &str>([])).unwrap();
    config.storage.min_free_bytes = Some(1 << 20);
    let healed = DiskGuard::new(store.intake(), &config.storage, &status);
    assert_eq!(healed.tend().await.unwrap(), RoomLevel::Good);
    assert_eq!((status.alarms(), status.storage().message), (Vec::new(), None));
}

#[tokio::test]
async fn while_the_floor_is_not_reached_everything_goes_that_may() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    for second in 0..40 {
        take(&store, "r1", T0 + second * 1000).await;
    }
    let (guard, _) = guard(&store, floor_above(&store).await);
    guard.tend().await.unwrap();
    assert_eq!(left(&store).await, Vec::<i64>::new(), "all of it is less than what is missing");
    assert_in_order(&place);
}

#[tokio::test]
async fn a_capture_counts_and_wear_is_told_where_the_kernel_counts_it() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    let (guard, _) = guard(&store, 1 << 20);
    guard.count_capture();
    if let Some(wear) = guard.wear() {
        assert_eq!(wear.captures, 1);
    }
}

#[test]
fn no_more_is_chosen_than_needed() {
    let candidate = |bytes| Deletable {
        id: ImageId::random(),
        filename: String::new(),
        path: "x".into(),
        bytes,
        taken_at: UnixMs(0),
        camera: "r1".to_owned(),
    };
    let chosen = |bytes, inodes| {
        let need = Amount { bytes, inodes };
        enough([5_000, 1, 300_000].map(candidate), need, Amount::file).len()
    };
    assert_eq!(chosen(0, 0), 0);
    assert_eq!(chosen(8192, 0), 1);
    assert_eq!(chosen(8193, 0), 2);
    assert_eq!(chosen(1, 3), 3);
    assert_eq!(chosen(u64::MAX, 9), 3);
}
