//! What goes and what stays, by age and by room, and what happens when the clock is wrong.

use super::*;
use crate::model::{FileName, TargetKind};
use crate::status::Status;
use crate::store::Turn;
use crate::store::testing::{Place, SKIPPED, T0, assert_in_order, take};
use crate::store::{ImageQuery, Settlement};

const NOW: UnixMs = UnixMs(T0);

fn storage(retention_days: u32) -> StorageConfig {
    StorageConfig {
        images: "unused".into(),
        database: "unused".into(),
        retention_days,
        cleanup_interval: Duration::from_secs(3600),
        backup_every: None,
        max_bytes: None,
        min_free_bytes: None,
    }
}

fn plenty(now: UnixMs) -> Situation {
    Situation { now, free_bytes: u64::MAX }
}

/// Days before now, as the names of pictures.
fn name(days: i64) -> String {
    format!("r1_{}.jpg", (T0 - days * DAY_MS) / 1000)
}

async fn take_at(store: &Store, days: &[i64]) {
    for days in days {
        take(store, "r1", T0 - days * DAY_MS).await;
    }
}

async fn settle_all(store: &Store, settlement: Settlement) {
    for upload in store.claim(TargetKind::Api, NOW, 10_000, Turn::default()).await.unwrap().uploads {
        store.settle(&upload, settlement.clone()).await.unwrap();
    }
}

async fn left(store: &Store) -> Vec<String> {
    let query = ImageQuery { limit: 10_000, ..ImageQuery::default() };
    store.images(query).await.unwrap().items.into_iter().map(|image| image.filename.to_string()).collect()
}

/// A dry run and then a real one; both say the same.
async fn run_twice(store: &Store, storage: &StorageConfig, situation: Situation) -> Report {
    let before = left(store).await;
    let dry = run_in(store, storage, situation, true).await.unwrap();
    assert_eq!(left(store).await, before, "a dry run deleted something");
    let real = run_in(store, storage, situation, false).await.unwrap();
    assert_eq!((&dry.names, dry.deleted, dry.freed_bytes), (&real.names, real.deleted, real.freed_bytes));
    assert_eq!((dry.kept, &dry.refused), (real.kept, &real.refused));
    assert_eq!(before.len() - left(store).await.len(), usize::try_from(real.deleted).unwrap());
    real
}

#[tokio::test]
async fn what_is_past_its_time_goes_oldest_first_unless_it_is_owed_put_aside_or_protected() {
    let place = Place::new();
    let store = place.open();
    take_at(&store, &[200, 190, 180, 121, 119]).await;
    settle_all(&store, Settlement::Delivered { at: NOW }).await;
    take_at(&store, &[170]).await;
    settle_all(&store, Settlement::Dead { error: "no".to_owned() }).await;
    take_at(&store, &[160]).await;
    store.protect(&FileName::parse(&name(190)).unwrap(), true).await.unwrap();

    let report = run_twice(&store, &storage(120), plenty(NOW)).await;

    assert_eq!(report.names, [name(200), name(180), name(121)]);
    assert_eq!(report.kept, Kept { owed: 1, dead: 1, protected: 1 });
    assert_eq!(report.refused, None);
    assert_eq!(left(&store).await, [name(119), name(160), name(170), name(190)]);
    assert_in_order(&place);
}

#[tokio::test]
async fn what_was_never_to_be_sent_goes_when_its_time_is_up() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    take_at(&store, &[121, 119]).await;
    assert_eq!(run_twice(&store, &storage(120), plenty(NOW)).await.names, [name(121)]);
}

#[tokio::test]
async fn above_its_room_the_oldest_go_and_no_more_than_needed() {
    let place = Place::new();
    let store = place.open();
    take_at(&store, &[5, 4, 3, 2, 1]).await;
    settle_all(&store, Settlement::Delivered { at: NOW }).await;
    let used = store.stats().await.unwrap().used_bytes();
    let one = used / 5;
    // A little more than two pictures too much: the third goes as well.
    let limited = StorageConfig { max_bytes: Some(used - 2 * one - one / 2), ..storage(120) };
    assert_eq!(run_twice(&store, &limited, plenty(NOW)).await.names, [name(5), name(4), name(3)]);
    assert_eq!(run_twice(&store, &limited, plenty(NOW)).await.names, Vec::<String>::new());
}

#[tokio::test]
async fn below_the_floor_of_free_space_the_oldest_go_and_no_more_than_needed() {
    let place = Place::new();
    let store = place.open();
    take_at(&store, &[130, 4, 3, 2]).await;
    settle_all(&store, Settlement::Delivered { at: NOW }).await;
    let one = store.stats().await.unwrap().used_bytes() / 4;
    let floor = StorageConfig { min_free_bytes: Some(100 * one), ..storage(120) };
    // The one past its time is not enough; one more has to go, and it is not counted twice.
    let situation = Situation { now: NOW, free_bytes: 98 * one + one / 2 };
    assert_eq!(run_twice(&store, &floor, situation).await.names, [name(130), name(4)]);
    let situation = Situation { now: NOW, free_bytes: 100 * one };
    assert_eq!(run_twice(&store, &floor, situation).await.names, Vec::<String>::new());
}

#[tokio::test]
async fn not_even_a_full_disk_lets_an_owed_put_aside_or_protected_picture_go() {
    let place = Place::new();
    let store = place.open();
    take_at(&store, &[5]).await;
    settle_all(&store, Settlement::Delivered { at: NOW }).await;
    store.protect(&FileName::parse(&name(5)).unwrap(), true).await.unwrap();
    take_at(&store, &[4]).await;
    settle_all(&store, Settlement::Dead { error: "no".to_owned() }).await;
    take_at(&store, &[3]).await;
    let full = StorageConfig { max_bytes: Some(1), min_free_bytes: Some(u64::MAX), ..storage(1) };
    let report = run_twice(&store, &full, Situation { now: NOW, free_bytes: 0 }).await;
    assert_eq!(report.deleted, 0);
    assert_eq!(left(&store).await.len(), 3);
}

#[tokio::test]
async fn more_than_a_report_names_go_and_are_counted_once() {
    let place = Place::new();
    let store = place.open_owing(&[]);
    for number in 0..1_010 {
        take(&store, "r1", T0 - 200 * DAY_MS + number * 1000).await;
    }
    take_at(&store, &[2, 1]).await;
    let limited = StorageConfig { max_bytes: Some(1), ..storage(120) };
    let report = run_twice(&store, &limited, plenty(NOW)).await;
    assert_eq!((report.deleted, report.names.len()), (1_012, NAMES_MAX));
    assert_eq!(left(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_clock_that_is_obviously_wrong_deletes_nothing_and_the_report_says_why() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    take_at(&store, &[500, 0]).await;
    let full = StorageConfig { max_bytes: Some(1), ..storage(1) };
    let refused = |report: Report| {
        assert_eq!(report.deleted, 0);
        report.refused.unwrap()
    };
    let unset = refused(run_twice(&store, &full, plenty(UnixMs(0))).await);
    assert!(unset.contains("1970-01-01") && unset.contains("before this version was made"), "{unset}");
    let back = refused(run_twice(&store, &full, plenty(NOW.plus_ms(-DAY_MS - 1))).await);
    assert!(back.contains(&name(0)) && back.contains("2027-01-15T08:00:00.000Z"), "{back}");
    assert_eq!(left(&store).await.len(), 2);
    // A day back is not yet obvious; zones and small steps are no reason to stop.
    assert_eq!(run_twice(&store, &storage(1), plenty(NOW.plus_ms(-DAY_MS))).await.names, [name(500)]);
}

#[tokio::test]
async fn a_refused_run_is_an_alarm_until_a_run_succeeds() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    let future = take(&store, "r1", T0 * 2).await;
    let (config, _) =
        crate::config::Config::parse(&crate::config::Env::from_pairs([("GPIO_ENABLED", "false")])).unwrap();
    let status = Status::new(&config);
    let (mut task, retention) = RetentionTask::new(&store, &storage(1), &status);
    let cancel = CancellationToken::new();
    let (stop, running) = (cancel.clone(), tokio::spawn(async move { task.run(&cancel).await }));
    assert!(retention.run_now().await.unwrap().refused.is_some());
    let alarms = status.alarms();
    assert_eq!(alarms.len(), 1);
    assert!(alarms[0].message.contains(&future.filename.to_string()), "{}", alarms[0].message);
    store.delete_image(&future.filename, true).await.unwrap();
    assert_eq!(retention.run_now().await.unwrap().refused, None);
    assert_eq!(status.alarms(), []);
    stop.cancel();
    running.await.unwrap();
    assert!(retention.run_now().await.is_err(), "nobody is there to answer");
}

#[tokio::test]
async fn a_deletion_that_an_earlier_run_began_is_finished() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    take_at(&store, &[5]).await;
    place.sql().execute_batch("update images set state = 'deleting'").unwrap();
    run_in(&store, &storage(120), plenty(NOW), false).await.unwrap();
    assert_eq!(place.pictures(), Vec::<String>::new());
    assert_in_order(&place);
}
