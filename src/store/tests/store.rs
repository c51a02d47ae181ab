//! Recording, deleting, protecting and listing.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::testing::{OWED, Place, T0, assert_in_order, camera, claim, clip, picture, take, trigger};
use super::*;
use crate::model::{FileName, ImageId, Medium, Outcome, UnixMs, UploadState};

const SECOND: i64 = 1000;

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

async fn deliver_all(store: &Store) {
    loop {
        let due = claim(store, 100).await;
        if due.is_empty() {
            return;
        }
        for upload in due {
            assert!(store.settle(&upload, Settlement::Delivered { at: UnixMs(T0) }).await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_recorded_picture_has_its_file_its_row_its_upload_and_its_trigger_ends_as_captured() {
    let place = Place::new();
    let store = place.open();
    let trigger = trigger("r1", T0 + 250);
    let row = store.begin_trigger(&trigger).await.unwrap();
    let new = picture(&trigger, row, ImageId::random(), -12);
    let (id, jpeg) = (new.facts.id, new.file.clone());
    let mut waking = store.wakes().of(TargetId::API);

    let image = store.record(new).await.unwrap();

    assert_eq!(image.filename, name("r1_1800000000.jpg"));
    assert_eq!(image.path, PathBuf::from("2027-01-15/r1_1800000000.jpg"));
    assert_eq!(
        (image.facts.id, image.facts.taken_at(), image.bytes),
        (id, UnixMs(T0 + 238), jpeg.len() as u64)
    );
    assert_eq!(fs::read(store.path_of(&image)).unwrap(), jpeg);
    let owed = UploadInfo {
        target: TargetId::API,
        state: UploadState::Pending,
        attempts: 0,
        last_error: None,
        answer: None,
        delivered_at: None,
        next_attempt: None,
    };
    assert_eq!(image.uploads, [owed]);
    let entry = store.ledger_entry(row).await.unwrap().unwrap();
    assert_eq!((entry.outcome, entry.reason), (Some(Outcome::Captured), None));
    assert!(entry.latency_ms.is_some());
    assert_eq!(entry.images.iter().map(|image| image.facts.id).collect::<Vec<_>>(), [id]);
    assert_eq!(waking.next().await, Wake::Owed(TargetId::API));
    assert_in_order(&place);
}

#[tokio::test]
async fn what_is_known_of_a_picture_is_the_same_when_fresh_stored_and_due() {
    let place = Place::new();
    let store = place.open();
    let trigger = trigger("r1", T0 + 250);
    let row = store.begin_trigger(&trigger).await.unwrap();
    let mut picture = picture(&trigger, row, ImageId::random(), -12);
    picture.facts.note = Some("the stream was damaged".to_owned());
    for new in [picture, clip(&trigger, row, ImageId::random(), -3000)] {
        let (facts, dimensions) = (new.facts.clone(), new.dimensions);
        let image = store.record(new).await.unwrap();
        assert_eq!((&image.facts, image.dimensions), (&facts, dimensions));
        let due = claim(&store, 9).await.into_iter().find(|due| due.filename == image.filename);
        assert_eq!(due.unwrap().facts, facts);
    }
}

#[tokio::test]
async fn the_second_picture_of_a_second_ends_in_2_and_the_third_in_3() {
    let place = Place::new();
    let store = place.open();
    for expected in ["r1_1800000000.jpg", "r1_1800000000_2.jpg", "r1_1800000000_3.jpg"] {
        assert_eq!(take(&store, "r1", T0 + 900).await.filename, name(expected));
    }
    assert_eq!(take(&store, "r2", T0).await.filename, name("r2_1800000000.jpg"));
    assert_in_order(&place);
}

#[tokio::test]
async fn a_name_is_never_given_again_not_even_when_its_picture_is_gone() {
    let place = Place::new();
    let store = place.open();
    let first = take(&store, "r1", T0).await;
    assert_eq!(store.delete_image(&first.filename, true).await.unwrap(), Deletion::Deleted);
    assert_eq!(take(&store, "r1", T0).await.filename, name("r1_1800000000_2.jpg"));
}

#[tokio::test]
async fn a_file_without_a_row_keeps_its_name_and_its_content() {
    let place = Place::new();
    let store = place.open();
    let orphan = place.images().join("2027-01-15/r1_1800000000.jpg");
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, b"someone's").unwrap();
    assert_eq!(take(&store, "r1", T0).await.filename, name("r1_1800000000_2.jpg"));
    assert_eq!(fs::read(&orphan).unwrap(), b"someone's");
}

#[tokio::test]
async fn a_picture_of_an_impossible_time_lies_in_a_day_folder_all_the_same() {
    let place = Place::new();
    let store = place.open();
    for edge_ms in [i64::MIN, -1, 0, i64::MAX] {
        take(&store, "r1", edge_ms).await;
    }
    drop(store);
    let again = place.open();
    assert_eq!(again.reconcile().await.unwrap(), Reconciled::default());
    assert_in_order(&place);
}

#[tokio::test]
async fn a_record_that_fails_keeps_its_file_and_the_trigger_open() {
    let place = Place::new();
    let store = place.open();
    // The folder of the day cannot be made, and what is in its way cannot be renamed: every name is taken.
    let in_the_way = place.block("2027-01-15");
    let trigger = trigger("r1", T0);
    let row = store.begin_trigger(&trigger).await.unwrap();
    let failed = store.record(picture(&trigger, row, ImageId::random(), 0)).await;
    assert!(matches!(failed, Err(StoreError::Kept { .. })), "{failed:?}");
    assert_eq!(place.hidden(".incoming").len(), 1);
    assert_eq!(store.ledger_entry(row).await.unwrap().unwrap().outcome, None);
    for path in in_the_way {
        fs::remove_file(path).unwrap();
    }
    store.record(picture(&trigger, row, ImageId::random(), 0)).await.unwrap();
    assert_eq!(store.catch_up().await.unwrap().images.len(), 1);
    assert_in_order(&place);
}

#[tokio::test]
async fn an_owed_picture_is_deleted_only_when_told_so_and_a_protected_one_never() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await.filename;
    assert_eq!(store.delete_image(&image, false).await.unwrap(), Deletion::Owed);
    assert!(store.protect(&image, true).await.unwrap().unwrap().protected);
    assert_eq!(store.delete_image(&image, true).await.unwrap(), Deletion::Protected);
    assert!(!store.protect(&image, false).await.unwrap().unwrap().protected);
    assert_eq!(store.delete_image(&image, true).await.unwrap(), Deletion::Deleted);
    assert_eq!(store.delete_image(&image, true).await.unwrap(), Deletion::NotFound);
    assert!(store.image(&image).await.unwrap().is_none());
    assert!(store.protect(&image, true).await.unwrap().is_none());
    assert!(store.retry(&image).await.unwrap().is_none());
    assert_eq!(claim(&store, 1).await.len(), 0, "nothing is owed of it any more");
    assert_eq!(place.pictures(), Vec::<String>::new());
    assert_in_order(&place);
}

#[tokio::test]
async fn a_picture_that_was_put_aside_counts_as_owed_and_a_delivered_one_does_not() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await.filename;
    let due = claim(&store, 1).await;
    store.settle(&due[0], Settlement::Dead { error: "no".into() }).await.unwrap();
    assert_eq!(store.delete_image(&image, false).await.unwrap(), Deletion::Owed);
    let again = store.retry(&image).await.unwrap().unwrap();
    assert_eq!(again.uploads[0].state, UploadState::Pending);
    deliver_all(&store).await;
    assert_eq!(store.delete_image(&image, false).await.unwrap(), Deletion::Deleted);
}

#[tokio::test]
async fn a_deletion_that_the_disk_refuses_stays_begun_and_does_not_hold_up_others() {
    let place = Place::new();
    let store = place.open();
    let (stuck, other) = (take(&store, "r1", T0).await, take(&store, "r1", T0 + SECOND).await);
    deliver_all(&store).await;
    // No disk takes a name that long: the system refuses to look for it.
    let sql = place.sql();
    let set_path = |path: &str| {
        let changed = sql
            .execute("update images set path = ?1 where file_name = ?2", [path, &stuck.filename.to_string()]);
        assert_eq!(changed.unwrap(), 1);
    };
    set_path(&format!("2027-01-15/{}", "x".repeat(300)));
    let candidates = store.deletable(UnixMs(i64::MAX), None, 10).await.unwrap();
    let failed = store.delete_expired(candidates.into_iter().map(|(_, c)| c).collect()).await;
    assert!(matches!(failed, Err(StoreError::File { action: "delete", .. })), "{failed:?}");
    assert!(!store.path_of(&other).exists());
    set_path(&stuck.path.to_string_lossy());
    assert_eq!(store.finish_begun_deletions().await.unwrap(), 1);
    assert_in_order(&place);
}

#[tokio::test]
async fn the_ledger_lists_every_outcome_with_its_reason_and_its_pictures() {
    let place = Place::new();
    let store = place.open();
    let captured = trigger("r1", T0);
    let row = store.begin_trigger(&captured).await.unwrap();
    for offset in [400, -400, 0] {
        store.record(picture(&captured, row, ImageId::random(), offset)).await.unwrap();
    }
    store.end_trigger(&trigger("r1", T0 + 1), Outcome::Coalesced, "another one stands for it").await.unwrap();
    let failed = store.begin_trigger(&trigger("r2", T0 + 2)).await.unwrap();
    store.fail_trigger(failed, "no frame").await.unwrap();
    store.fail_trigger(row, "too late, it has ended").await.unwrap();
    store.begin_trigger(&trigger("r1", T0 + 3)).await.unwrap();

    let list = |camera: Option<&str>, outcome| {
        let query =
            LedgerQuery { camera: camera.map(testing::camera), outcome, limit: 10, ..LedgerQuery::default() };
        let store = store.clone();
        async move {
            let page = store.ledger(query).await.unwrap();
            let row = |e: LedgerEntry| {
                (e.edge_at.0 - T0, e.outcome, e.reason.map(|reason| reason.to_string()), e.images.len())
            };
            page.items.into_iter().map(row).collect::<Vec<_>>()
        }
    };
    let reason = |text: &str| Some(text.to_owned());
    let all = [
        (3, None, None, 0),
        (2, Some(Outcome::Failed), reason("no frame"), 0),
        (1, Some(Outcome::Coalesced), reason("another one stands for it"), 0),
        (0, Some(Outcome::Captured), None, 3),
    ];
    assert_eq!(list(None, None).await, all);
    assert_eq!(list(Some("r2"), None).await, all[1..2]);
    assert_eq!(list(None, Some(Outcome::Captured)).await, all[3..]);
    let tally = store.stats().await.unwrap().cameras["r1"];
    assert_eq!((tally.captured, tally.coalesced, tally.failed, tally.images), (1, 1, 0, 3));
}

#[tokio::test]
async fn lists_are_narrowed_by_camera_time_and_state() {
    let place = Place::new();
    let store = place.open();
    for second in 0..4 {
        take(&store, if second % 2 == 0 { "r1" } else { "r2" }, T0 + second * SECOND).await;
    }
    let due = claim(&store, 1).await;
    store.settle(&due[0], Settlement::Dead { error: "no".into() }).await.unwrap();
    let seconds = |query: ImageQuery| {
        let store = store.clone();
        async move {
            let items = store.images(ImageQuery { limit: 10, ..query }).await.unwrap().items;
            items.iter().map(|image| (image.facts.taken_at().0 - T0) / SECOND).collect::<Vec<_>>()
        }
    };
    let all = ImageQuery::default;
    assert_eq!(seconds(all()).await, [3, 2, 1, 0]);
    assert_eq!(seconds(ImageQuery { camera: Some(camera("r1")), ..all() }).await, [2, 0]);
    let (from, to) = (Some(UnixMs(T0 + SECOND)), Some(UnixMs(T0 + 3 * SECOND)));
    assert_eq!(seconds(ImageQuery { from, to, ..all() }).await, [2, 1]);
    assert_eq!(seconds(ImageQuery { state: Some(UploadState::Dead), ..all() }).await, [0]);
    assert_eq!(seconds(ImageQuery { state: Some(UploadState::Delivered), ..all() }).await, [0_i64; 0]);
}

#[tokio::test]
async fn a_store_at_rest_writes_nothing() {
    let place = Place::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    let log = || fs::read(place.database().with_extension("db-wal")).unwrap();
    let before = log();
    assert_eq!(claim(&store, 1).await.len(), 1, "a claim writes nothing either");
    store.end_waits(TargetId::API, UnixMs(T0)).await.unwrap();
    store.next_due(TargetId::API, UnixMs(T0)).await.unwrap();
    store.delete_expired(Vec::new()).await.unwrap();
    store.finish_begun_deletions().await.unwrap();
    store.stats().await.unwrap();
    store.ping().await.unwrap();
    let _second = place.open();
    assert!(before == log(), "something was written");
}

#[test]
fn the_directory_is_refused_to_a_second_owner_with_its_path() {
    let place = Place::new();
    let (first, second) = (place.open(), place.open());
    let held = first.own().unwrap();
    let refused = second.own().unwrap_err();
    assert!(matches!(&refused, StoreError::Owned { path } if *path == place.images()), "{refused}");
    drop(held);
    second.own().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Few instants, so that many pictures share one and the identity has to decide.
    #[test]
    fn pages_show_every_picture_once_whatever_is_added_between_them(
        before in prop::collection::vec(0_i64..6, 0..25),
        between in prop::collection::vec(0_i64..6, 0..12),
        limit in 1_u32..5,
        of_one_camera: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let store = place.open_owing(OWED);
            let mut expected = BTreeSet::new();
            for (number, second) in before.iter().enumerate() {
                let key = if number % 3 == 0 { "r2" } else { "r1" };
                let image = take(&store, key, T0 + second * SECOND).await;
                if !of_one_camera || key == "r1" {
                    expected.insert(image.filename);
                }
            }
            let mut between = between.into_iter();
            let mut query = ImageQuery { limit, ..ImageQuery::default() };
            if of_one_camera {
                query.camera = Some(camera("r1"));
            }
            let mut seen = Vec::new();
            loop {
                let page = store.images(query.clone()).await.unwrap();
                assert!(page.items.len() <= limit as usize);
                assert!(seen.len() < 100, "the list does not end");
                seen.extend(page.items.into_iter().map(|image| (image.facts.taken_at(), image.filename)));
                if let Some(second) = between.next() {
                    take(&store, "r1", T0 + second * SECOND).await;
                }
                match page.next {
                    Some(cursor) => query.cursor = Cursor::parse(&cursor.to_string()),
                    None => break,
                }
            }
            assert!(seen.is_sorted_by(|a, b| a.0 >= b.0), "not newest first");
            let names: BTreeSet<_> = seen.iter().map(|(_, name)| name.clone()).collect();
            assert_eq!(names.len(), seen.len(), "one was shown twice");
            assert!(expected.is_subset(&names), "one was not shown");
        });
    }
}

#[tokio::test]
async fn a_clip_has_its_pictures_name_and_neither_its_latency_nor_its_outcome() {
    let place = Place::new();
    let store = place.open();
    let edge = trigger("r1", T0);
    let row = store.begin_trigger(&edge).await.unwrap();
    let first = store.record(clip(&edge, row, ImageId::random(), -3000)).await.unwrap();
    assert_eq!(first.filename.to_string(), "r1_1800000000.mp4");
    let entry = store.ledger_entry(row).await.unwrap().unwrap();
    assert_eq!((entry.outcome, entry.latency_ms, entry.images.len()), (None, None, 1));
    let picture = store.record(picture(&edge, row, ImageId::random(), 0)).await.unwrap();
    assert_eq!(picture.filename.to_string(), "r1_1800000000.jpg");
    let entry = store.ledger_entry(row).await.unwrap().unwrap();
    assert_eq!((entry.outcome, entry.latency_ms.is_some()), (Some(Outcome::Captured), true));
    let second = store.record(clip(&edge, row, ImageId::random(), -3000)).await.unwrap();
    assert_eq!(second.filename.to_string(), "r1_1800000000_2.mp4");
    let listed = async |medium| {
        let query = ImageQuery { camera: Some(camera("r1")), medium, limit: 9, ..ImageQuery::default() };
        store.images(query).await.unwrap().items.len()
    };
    assert_eq!(
        (listed(None).await, listed(Some(Medium::Jpeg)).await, listed(Some(Medium::Mp4)).await),
        (3, 1, 2)
    );
    assert_in_order(&place);
}

#[tokio::test]
async fn what_could_not_be_had_is_remarked_and_the_outcome_stays() {
    let place = Place::new();
    let store = place.open();
    let edge = trigger("r1", T0);
    let row = store.begin_trigger(&edge).await.unwrap();
    store.record(picture(&edge, row, ImageId::random(), 0)).await.unwrap();
    store.remark_trigger(row, "no clip: the disk is full").await.unwrap();
    store.remark_trigger(row, "no best picture: it was dark").await.unwrap();
    let entry = store.ledger_entry(row).await.unwrap().unwrap();
    assert_eq!((entry.outcome, entry.reason), (Some(Outcome::Captured), None));
    assert_eq!(entry.remark.unwrap(), "no clip: the disk is full; no best picture: it was dark");
}
