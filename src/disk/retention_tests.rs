//! What goes and what stays, by age and by room, and what happens when the clock is wrong.

use super::*;
use crate::model::{FileName, TargetId};
use crate::status::Status;
use crate::store::testing::{Place, SKIPPED, T0, assert_in_order, take};
use crate::store::{ImageQuery, Settlement};
use crate::store::{LaneTurn, Store};

const NOW: UnixMs = UnixMs(T0);

fn storage(retention_days: u32) -> StorageConfig {
    StorageConfig {
        images: "unused".into(),
        database: "unused".into(),
        retention_days,
        cleanup_interval: Duration::from_secs(3600),
        backup_every: None,
        max_bytes: None,
        quarantine_max_bytes: None,
        min_free_bytes: None,
    }
}

fn plenty(now: UnixMs) -> Situation {
    Situation { now, missing: Amount::NONE, is_synchronised: true, up_ms: 60_000, asker: Asker::Person }
}

/// A disk on which so much is missing below the floor.
fn missing(bytes: u64) -> Situation {
    Situation { missing: Amount { bytes, inodes: 0 }, ..plenty(NOW) }
}

fn guarded(store: &Store, storage: &StorageConfig, status: &Status) -> (RetentionTask, Retention) {
    let guard = DiskGuard::new(store.intake(), storage, status);
    RetentionTask::new(store.retention(), storage, &guard, status)
}

fn status() -> Status {
    let env = crate::config::Env::from_pairs([("GPIO_ENABLED", "false")]);
    Status::new(&crate::config::Config::parse(&env).unwrap().0)
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
    for upload in store.queue(TargetId::API).claim(NOW, 10_000, LaneTurn::default()).await.unwrap().uploads {
        store.queue(upload.target).settle(&upload, settlement.clone()).await.unwrap();
    }
}

async fn left(store: &Store) -> Vec<String> {
    let query = ImageQuery { limit: 10_000, ..ImageQuery::default() };
    store.images(query).await.unwrap().items.into_iter().map(|image| image.filename.to_string()).collect()
}

/// A dry run and then a real one; both say the same.
async fn run_twice(store: &Store, storage: &StorageConfig, situation: Situation) -> RetentionReport {
    let before = left(store).await;
    let dry = run_in(&store.retention(), storage, situation, true).await.unwrap();
    assert_eq!(left(store).await, before, "a dry run deleted something");
    let real = run_in(&store.retention(), storage, situation, false).await.unwrap();
    assert_eq!((&dry.names, dry.deleted, dry.freed_bytes), (&real.names, real.deleted, real.freed_bytes));
    assert_eq!((dry.kept, &dry.refused), (real.kept, &real.refused));
    assert_eq!((dry.by_age, dry.by_limit, dry.by_space), (real.by_age, real.by_limit, real.by_space));
    assert_eq!((&dry.by_camera, dry.span), (&real.by_camera, real.span));
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
    settle_all(&store, Settlement::Dead { error: "no".into() }).await;
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
    // A small picture frees a block. The one past its time is not enough; one more has to go, and no more than that.
    let block = Amount::file(1).bytes;
    let report = run_twice(&store, &storage(120), missing(block + 1)).await;
    assert_eq!(report.names, [name(130), name(4)]);
    assert_eq!((report.by_age.pictures, report.by_limit.pictures, report.by_space.pictures), (1, 0, 1));
    assert_eq!(run_twice(&store, &storage(120), missing(0)).await.names, Vec::<String>::new());
    let files = Situation { missing: Amount { bytes: 0, inodes: 1 }, ..plenty(NOW) };
    assert_eq!(run_twice(&store, &storage(120), files).await.names, [name(3)]);
}

#[tokio::test]
async fn not_even_a_full_disk_lets_an_owed_put_aside_or_protected_picture_go() {
    let place = Place::new();
    let store = place.open();
    take_at(&store, &[5]).await;
    settle_all(&store, Settlement::Delivered { at: NOW }).await;
    store.protect(&FileName::parse(&name(5)).unwrap(), true).await.unwrap();
    take_at(&store, &[4]).await;
    settle_all(&store, Settlement::Dead { error: "no".into() }).await;
    take_at(&store, &[3]).await;
    let full = StorageConfig { max_bytes: Some(1), ..storage(1) };
    let report = run_twice(&store, &full, missing(u64::MAX)).await;
    assert_eq!(report.deleted, 0);
    let heaps =
        |list: &[(TargetId, PictureUsage)]| list.iter().map(|(_, heap)| heap.pictures).collect::<Vec<_>>();
    assert_eq!((heaps(&report.held.owed), heaps(&report.held.dead)), (vec![1], vec![1]));
    assert_eq!(report.held.protected.pictures, 1);
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
    let refused = |report: RetentionReport| {
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
    let status = status();
    let (mut task, retention) = guarded(&store, &storage(1), &status);
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
    run_in(&store.retention(), &storage(120), plenty(NOW), false).await.unwrap();
    assert_eq!(place.pictures(), Vec::<String>::new());
    assert_in_order(&place);
}

/// So many delivered pictures past their time, and so many that are not.
async fn heaps(place: &Place, old: i64, new: i64) -> Store {
    let store = place.open_owing(&[]);
    for number in 0..old {
        take(&store, "r1", T0 - 200 * DAY_MS + number * 1000).await;
    }
    for number in 0..new {
        take(&store, "r2", T0 - DAY_MS + number * 1000).await;
    }
    store
}

fn by_timer(is_synchronised: bool) -> Situation {
    Situation { is_synchronised, asker: Asker::Timer, ..plenty(NOW) }
}

#[tokio::test]
async fn a_mass_of_deletions_by_age_waits_for_a_person() {
    let place = Place::new();
    let store = heaps(&place, 101, 300).await;
    let report = run_twice(&store, &storage(120), by_timer(true)).await;
    assert_eq!(report.deleted, 0);
    let reason = report.refused.unwrap();
    for word in ["101 of 401 pictures", "IMAGE_RETENTION_DAYS", "--cleanup-now", "button on the dashboard"] {
        assert!(reason.contains(word), "{reason}");
    }
    assert_eq!(run_twice(&store, &storage(120), plenty(NOW)).await.deleted, 101);
    assert_in_order(&place);
}

#[test]
fn only_many_and_a_large_part_are_a_mass() {
    for (expired, all, is_mass) in [
        (5, 5, false),
        (6, 6, true),
        (6, 12, false),
        (12, 13, true),
        (50, 100, false),
        (51, 100, true),
        (100, 200, false),
        (101, 101, true),
        (101, 504, true),
        (101, 505, false),
        (200_000, 1_000_000, false),
        (200_001, 1_000_000, true),
        (0, 0, false),
    ] {
        assert_eq!(mass(expired, all).is_some(), is_mass, "{expired} of {all}");
    }
}

#[tokio::test]
async fn room_on_a_full_disk_is_made_whatever_the_mass_and_whatever_the_clock() {
    let place = Place::new();
    let store = heaps(&place, 150, 10).await;
    let block = Amount::file(1).bytes;
    for situation in [by_timer(true), by_timer(false), Situation { now: UnixMs(0), ..by_timer(true) }] {
        let short = Situation { missing: Amount { bytes: 3 * block, inodes: 0 }, ..situation };
        let report = run_twice(&store, &storage(120), short).await;
        assert!(report.refused.is_some());
        assert_eq!((report.deleted, report.by_space.pictures, report.by_age.pictures), (3, 3, 0));
    }
}

/// Says of every trigger at which boot, how long after it and with which clock it came.
fn stamp(place: &Place, boot_id: &str, boot_ms: i64, clock: &str) {
    let sql = "update triggers set boot_id = ?1, boot_ms = ?2, clock = ?3";
    place.sql().execute(sql, rusqlite::params![boot_id, boot_ms, clock]).unwrap();
}

#[tokio::test]
async fn a_clock_that_nobody_set_is_not_vouched_for_by_pictures_taken_with_it() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    take_at(&store, &[130, 5, 0]).await;
    let this_boot = clock::boot_id();
    // Of this boot, of an earlier one with the same wrong clock, and one that a wrong clock was "corrected" to.
    for (boot, clock) in [(&*this_boot, "unsynced"), ("earlier", "unsynced"), (&*this_boot, "corrected")] {
        stamp(&place, boot, 1_000, clock);
        let reason = run_twice(&store, &storage(120), by_timer(false)).await.refused.unwrap();
        for word in ["not set from the network", "time server", "by hand", "--cleanup-now"] {
            assert!(reason.contains(word), "{reason}");
        }
    }
    // A person knows what time it is, and so does a clock that was set.
    for trusted in [plenty(NOW), by_timer(true)] {
        assert_eq!(
            run_in(&store.retention(), &storage(120), trusted, true).await.unwrap().names,
            [name(130)]
        );
    }
    assert_eq!(left(&store).await.len(), 3);
}

#[tokio::test]
async fn a_clock_that_nobody_set_is_plausible_soon_after_one_that_was_set() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    take_at(&store, &[130, 5]).await;
    stamp(&place, "earlier", 1_000, "synced");
    let at = |days: i64| Situation { now: NOW.plus_ms(days * DAY_MS), ..by_timer(false) };
    let far = run_twice(&store, &storage(120), at(400)).await.refused.unwrap();
    assert!(far.contains("it is 2027-01-10T08:01:00.000Z or later"), "{far}");
    assert_eq!(run_in(&store.retention(), &storage(120), at(0), true).await.unwrap().names, [name(130)]);
    // The limit on bytes needs no clock.
    let limited = StorageConfig { max_bytes: Some(1), ..storage(120) };
    assert_eq!(run_in(&store.retention(), &limited, at(400), true).await.unwrap().by_limit.pictures, 2);
    // In one boot the time since is counted to the millisecond, however long the network has been away.
    stamp(&place, &clock::boot_id(), 1_000, "synced");
    let up = |days: i64| Situation { up_ms: 1_000 + days * DAY_MS, ..at(395) };
    assert_eq!(run_in(&store.retention(), &storage(120), up(400), true).await.unwrap().refused, None);
    assert!(run_in(&store.retention(), &storage(120), up(300), true).await.unwrap().refused.is_some());
}

#[tokio::test]
async fn a_preview_tells_by_reason_by_camera_and_by_day_what_would_go_and_deletes_nothing() {
    let place = Place::new();
    let store = place.open();
    for (key, days) in [("r1", 200), ("r2", 150), ("r1", 50), ("r1", 40)] {
        take(&store, key, T0 - days * DAY_MS).await;
    }
    settle_all(&store, Settlement::Delivered { at: NOW }).await;
    take_at(&store, &[30]).await;
    let used = store.stats().await.unwrap().used_bytes();
    let one = used / 5;
    let limited = StorageConfig { max_bytes: Some(used - 2 * one - one / 2), ..storage(120) };
    let block = Amount::file(1).bytes;
    let status = status();
    let short = Situation { missing: Amount { bytes: 4 * block, inodes: 0 }, ..plenty(NOW) };
    let report = run_in(&store.retention(), &limited, short, true).await.unwrap();
    assert_eq!((report.by_age.pictures, report.by_limit.pictures, report.by_space.pictures), (2, 1, 1));
    let cameras: Vec<_> = report.by_camera.iter().map(|(key, heap)| (key.as_str(), heap.pictures)).collect();
    assert_eq!(cameras, [("r1", 3), ("r2", 1)]);
    assert_eq!(report.span, Some((UnixMs(T0 - 200 * DAY_MS), UnixMs(T0 - 40 * DAY_MS))));
    assert_eq!(report.held.owed, [(TargetId::API, PictureUsage { pictures: 1, bytes: one })]);

    let (mut task, retention) = guarded(&store, &storage(120), &status);
    let cancel = CancellationToken::new();
    let (stop, running) = (cancel.clone(), tokio::spawn(async move { task.run(&cancel).await }));
    let before = left(&store).await;
    assert!(retention.preview().await.unwrap().is_dry_run);
    assert_eq!(left(&store).await, before);
    stop.cancel();
    running.await.unwrap();
}

/// Name, size and change of everything below a directory.
fn tree(root: &std::path::Path) -> Vec<(std::path::PathBuf, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let facts = entry.metadata().unwrap();
            if facts.is_dir() {
                folders.push(entry.path());
            }
            found.push((entry.path(), facts.len(), facts.modified().unwrap()));
        }
    }
    found.sort();
    found
}

#[tokio::test(start_paused = true)]
async fn a_day_in_which_nothing_happens_writes_nothing() {
    let place = Place::new();
    let store = place.open_owing(SKIPPED);
    take(&store, "r1", clock::now().0).await;
    let storage = StorageConfig { max_bytes: Some(1 << 40), ..storage(120) };
    let (mut task, retention) = guarded(&store, &storage, &status());
    let cancel = CancellationToken::new();
    let (stop, running) = (cancel.clone(), tokio::spawn(async move { task.run(&cancel).await }));
    retention.run_now().await.unwrap();
    retention.preview().await.unwrap();
    let before = tree(place.path());
    assert!(before.iter().any(|(path, size, _)| path.ends_with("x.db-ballast") && *size == 16 << 20));
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(tree(place.path()), before);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_was_taken_over_from_another_program_is_not_deleted_by_surprise() {
    let place = Place::new();
    std::fs::create_dir_all(place.images()).unwrap();
    let now = clock::now();
    let file = |days: i64| format!("r1_{}.jpg", now.plus_ms(-days * DAY_MS).epoch_s());
    for days in [200, 3, 2, 1] {
        let trigger = crate::store::testing::trigger("other", days);
        let bytes = crate::store::testing::jpeg_of(&trigger, crate::model::ImageId::random(), 0);
        std::fs::write(place.images().join(file(days)), bytes).unwrap();
    }
    let store = place.open();
    let former =
        crate::store::Former { cameras: vec![crate::store::testing::camera("r1")], ..Default::default() };
    let mut takeover = store.upkeep().takeover(&former).await.unwrap().unwrap();
    while store.upkeep().take_over_some(&mut takeover).await.unwrap() {}
    assert_eq!(store.upkeep().finish_takeover(takeover).await.unwrap().adopted, 4);

    let by_timer = |now: UnixMs| Situation { asker: Asker::Timer, ..plenty(now) };
    let small = StorageConfig { max_bytes: Some(1), ..storage(120) };
    for storage in [storage(120), small] {
        let report = run_in(&store.retention(), &storage, by_timer(now), false).await.unwrap();
        let reason = report.refused.unwrap();
        assert!(
            report.deleted == 0 && reason.contains("taken over") && reason.contains("--cleanup-now"),
            "{reason}"
        );
    }
    // Where the disk has no room, a new picture counts more.
    let full = Situation { missing: Amount { bytes: 1, inodes: 0 }, ..by_timer(now) };
    assert_eq!(run_in(&store.retention(), &storage(120), full, true).await.unwrap().names, [file(200)]);
    // A person may at once, and after a week it goes by itself.
    assert_eq!(
        run_in(&store.retention(), &storage(120), plenty(now), true).await.unwrap().names,
        [file(200)]
    );
    let later = now.plus_ms(8 * DAY_MS);
    assert_eq!(
        run_in(&store.retention(), &storage(120), by_timer(later), false).await.unwrap().names,
        [file(200)]
    );
}
