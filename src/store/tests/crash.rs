//! The process dies at each step of recording and deleting; the next start puts everything in order. `upload` has the
//! steps of delivering.

use std::collections::BTreeSet;
use std::path::Path;

use super::testing::{
    OWED, Place, T0, assert_in_order, claim, clip, jpeg_of, picture, pushed_picture, take, trigger,
};
use super::*;
use crate::clock;
use crate::model::{ClockState, FileName, ImageId, ImageKind, NoPicture, Outcome, UploadState};
use crate::system::crash::testing::{Deed, Step, assigned};

/// Every point that the deeds below pass.
pub(crate) const POINTS: &[&str] = &[
    "adopted",
    "before commit",
    "brought",
    "committed",
    "corrected one",
    "created",
    "intent",
    "removed",
    "renamed",
    "taken over",
    "taken over one",
    "unlinked",
    "written",
];

/// What recording passes, from the first one on whose file is whole.
const RECORDING: &[&str] = &["created", "written", "renamed", "before commit", "committed"];
const ONCE_SYNCED: &[&str] = RECORDING.split_at(1).1;

/// What deleting passes.
const DELETING: [&str; 3] = ["intent", "unlinked", "removed"];

/// 1970-01-01T00:01:40Z: a clock that has not been set.
const DAWN: i64 = 100_000;

fn id() -> ImageId {
    ImageId::parse("000102030405060708090a0b0c0d0e0f").unwrap()
}

fn name() -> FileName {
    FileName::parse("r1_1800000000.jpg").unwrap()
}

/// The other process: this same test program, started by [`deed`].
#[tokio::test]
async fn the_process_that_dies() {
    let Some((place, deed)) = assigned() else { return };
    let store = Store::open(&place.join("images"), &place.join("x.db"), OWED).unwrap();
    match deed.as_str() {
        "record" => {
            let trigger = trigger("r1", T0);
            let row = store.begin_trigger(&trigger).await.unwrap();
            store.record(picture(&trigger, row, id(), 0)).await.unwrap();
        }
        "make up" => {
            // The database takes nothing, and then it does.
            let refusing = rusqlite::Connection::open(place.join("x.db")).unwrap();
            let refuse =
                "create trigger refuse before insert on triggers begin select raise(abort, 'no'); end";
            refusing.execute_batch(refuse).unwrap();
            let trigger = trigger("r1", T0);
            assert!(store.begin_trigger(&trigger).await.is_err());
            let new = NewImage { trigger: None, ..picture(&trigger, TriggerId(0), id(), 0) };
            assert!(matches!(store.record(new).await, Err(StoreError::Kept { .. })));
            refusing.execute_batch("drop trigger refuse").unwrap();
            store.catch_up().await.unwrap();
        }
        "keep pushed" => {
            store.record(pushed_picture(T0, id())).await.unwrap();
        }
        "record clip" => {
            // The trigger and its picture were there before; see the test.
            store.record(clip(&trigger("r1", T0), TriggerId(1), id(), -3000)).await.unwrap();
        }
        "delete" => {
            store.delete_image(&name(), true).await.unwrap();
        }
        "reconcile" => {
            store.reconcile().await.unwrap();
        }
        "owe all again" => {
            store.retry_dead(None).await.unwrap();
        }
        "correct" => {
            store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap();
        }
        "import" => {
            drop(store);
            import(&place).await;
        }
        "take over" => {
            let former = Former { folders: vec![place.clone()], cameras: Vec::new() };
            let mut takeover = store.takeover(&former).await.unwrap().unwrap();
            while store.take_over_some(&mut takeover).await.unwrap() {}
            store.finish_takeover(takeover).await.unwrap();
        }
        other => panic!("{other}"),
    }
}

/// Brings in what lies beside the pictures in `old`.
async fn import(place: &Path) {
    let (images, old) = (place.join("images"), place.join("old"));
    let relaying = [OWED[0], (TargetId::RELAY, UploadState::Pending)];
    let store = Store::open(&images, &place.join("x.db"), &relaying).unwrap();
    let from = ImportFrom { pictures: vec![old.join("images")], lists: vec![old], ..ImportFrom::default() };
    let mut import = Import::plan(&from, &images).unwrap();
    while store.import_some(&mut import).await.unwrap() {}
    store.finish_import(import).await.unwrap();
}

fn deed(place: &Path, deed: &str) -> Deed {
    Deed::new("store::crash_tests::the_process_that_dies", place, deed)
}

/// Lets another process do something and die at `point`.
fn die(place: &Path, what: &str, point: &str) {
    deed(place, what).dies_at(&Step::first(point));
}

/// A picture and its trigger, for a clip or for deletion.
async fn a_picture(place: &Place) {
    let store = place.open();
    let trigger = trigger("r1", T0);
    let row = store.begin_trigger(&trigger).await.unwrap();
    assert_eq!(row, TriggerId(1));
    store.record(picture(&trigger, row, ImageId::random(), 0)).await.unwrap();
}

/// Triggers with their pictures, of a clock that has not been set.
async fn of_a_wrong_clock(place: &Place, count: i64) {
    let store = place.open();
    for n in 0..count {
        assert_eq!(take(&store, "r1", DAWN + n * 1000).await.clock, Some(ClockState::Unsynced));
    }
}

#[tokio::test]
async fn the_points_at_which_the_process_dies_are_all_that_the_deeds_pass() {
    let passes = |place: &Place, what: &str| {
        let passed = deed(place.path(), what).steps().into_iter().map(|step| step.point);
        // A repair also brings the queue in line, of which `upload` has the steps.
        passed.filter(|point| POINTS.contains(&point.as_str())).collect::<Vec<_>>()
    };
    let mut passed = BTreeSet::new();
    let mut check = |found: Vec<String>, expected: &[&str]| {
        assert_eq!(found, expected);
        passed.extend(found);
    };
    check(passes(&Place::new(), "record"), RECORDING);
    check(passes(&Place::new(), "make up"), RECORDING);
    check(passes(&Place::new(), "keep pushed"), RECORDING);
    let place = Place::new();
    a_picture(&place).await;
    check(passes(&place, "record clip"), RECORDING);
    check(passes(&place, "delete"), &DELETING);
    for (point, expected) in [("written", &["renamed", "adopted"][..]), ("renamed", &["adopted"])] {
        let place = Place::new();
        die(place.path(), "record", point);
        check(passes(&place, "reconcile"), expected);
    }
    let place = Place::new();
    of_a_wrong_clock(&place, 3).await;
    check(passes(&place, "correct"), &["corrected one"; 3]);
    let place = Place::new();
    let old = place.path().join("old/images");
    std::fs::create_dir_all(&old).unwrap();
    std::fs::write(old.join("r1_1698765432.jpg"), jpeg_of(&trigger("r1", T0), id(), 0)).unwrap();
    check(passes(&place, "import"), &["brought", "taken over one", "taken over"]);
    assert_eq!(passed.iter().map(String::as_str).collect::<Vec<_>>(), POINTS);
}

#[tokio::test]
async fn times_are_corrected_after_a_crash_at_any_of_them_and_only_once() {
    for time in 1..=3 {
        let place = Place::new();
        of_a_wrong_clock(&place, 3).await;
        deed(place.path(), "correct").dies_at(&Step { time, ..Step::first("corrected one") });
        let store = place.open();
        store.reconcile().await.unwrap();
        assert_eq!(store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap(), 3, "{time}");
        assert_eq!(store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap(), 0, "{time}");
        assert_settled(&place, &store).await;
    }
}

#[tokio::test]
async fn of_many_dead_letters_that_are_owed_again_a_crash_undoes_at_most_the_last_few_hundred() {
    let place = Place::new();
    let store = place.open();
    for n in 0..501 {
        take(&store, "r1", T0 + n * 1000).await;
    }
    drop(store);
    place.sql().execute("update uploads set state = 'dead'", []).unwrap();
    for (time, expected) in [(500, (0, 501)), (501, (500, 1))] {
        deed(place.path(), "owe all again").dies_at(&Step { time, ..Step::first("reviving") });
        let store = place.open();
        assert_eq!(store.reconcile().await.unwrap(), Reconciled::default());
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.pending(), stats.in_state(UploadState::Dead)), expected, "at {time}");
    }
    let store = place.open();
    assert_eq!(store.retry_dead(None).await.unwrap(), 1);
    assert_eq!(claim(&store, 600).await.len(), 501);
    assert_settled(&place, &store).await;
}

/// Whatever happened, it must not happen again, and nothing is left to do.
async fn assert_settled(place: &Place, store: &Store) {
    assert_in_order(place);
    assert_eq!(store.reconcile().await.unwrap(), Reconciled::default());
}

async fn assert_recorded_once(place: &Place, point: &str) {
    let store = place.open();
    store.reconcile().await.unwrap();
    let images = store.images(ImageQuery { limit: 10, ..ImageQuery::default() }).await.unwrap().items;
    let found: Vec<_> = images.iter().map(|image| (image.facts.id, image.filename.clone())).collect();
    assert_eq!(found, [(id(), name())], "{point}");
    assert_eq!(images[0].uploads[0].state, UploadState::Pending, "{point}");
    let ledger = store.ledger(LedgerQuery { limit: 10, ..LedgerQuery::default() }).await.unwrap().items;
    assert_eq!(ledger.len(), 1, "{point}");
    assert_eq!(ledger[0].outcome, Some(Outcome::Captured), "{point}");
    assert_eq!(ledger[0].images.len(), 1, "{point}");
    let due = claim(&store, 9).await;
    assert_eq!(due.iter().map(|upload| upload.facts.id).collect::<Vec<_>>(), [id()], "{point}");
    assert_settled(place, &store).await;
}

#[tokio::test]
async fn a_crash_at_any_step_after_the_file_is_synced_costs_nothing() {
    for point in ONCE_SYNCED {
        let place = Place::new();
        die(place.path(), "record", point);
        assert_recorded_once(&place, point).await;
    }
}

#[tokio::test]
async fn a_pushed_picture_is_there_once_after_a_crash_at_any_step_and_after_its_sender_sends_it_again() {
    for point in RECORDING {
        let place = Place::new();
        die(place.path(), "keep pushed", point);
        let store = place.open();
        let done = store.reconcile().await.unwrap();
        // Its sender was not answered. What was torn left no row behind: the next try is the first one.
        let is_torn = *point == "created";
        assert_eq!((done.quarantined, done.interrupted), (usize::from(is_torn), 0), "{point}");
        let again = store.record(pushed_picture(T0 + 60_000, ImageId::random())).await;
        assert_eq!(matches!(again, Err(StoreError::PushedBefore)), !is_torn, "{point}: {again:?}");
        let images = store.images(ImageQuery { limit: 10, ..ImageQuery::default() }).await.unwrap().items;
        let [image] = &images[..] else { panic!("{point}: {images:?}") };
        assert_eq!(image.facts.id == id(), !is_torn, "{point}");
        assert_eq!(image.facts.push, pushed_picture(T0, id()).facts.push, "{point}");
        assert_eq!(image.uploads[0].state, UploadState::Pending, "{point}");
        let ledger = store.ledger(LedgerQuery { limit: 10, ..LedgerQuery::default() }).await.unwrap().items;
        assert_eq!((ledger.len(), ledger[0].outcome), (1, Some(Outcome::Captured)), "{point}");
        assert_eq!(ledger[0].device, image.facts.push.as_ref().map(|push| push.device.clone()), "{point}");
        assert_settled(&place, &store).await;
    }
}

#[tokio::test]
async fn a_crash_while_a_kept_picture_gets_its_row_costs_nothing() {
    for point in ONCE_SYNCED {
        let place = Place::new();
        die(place.path(), "make up", point);
        // Before it was told so, the database refused; nobody else is there to change that.
        place.sql().execute_batch("drop trigger if exists refuse").unwrap();
        assert_recorded_once(&place, point).await;
    }
}

#[tokio::test]
async fn a_crash_while_the_file_is_written_leaves_a_failed_trigger_and_the_torn_file_aside() {
    let place = Place::new();
    die(place.path(), "record", "created");
    let store = place.open();
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { quarantined: 1, interrupted: 1, ..Reconciled::default() });
    let ledger = store.ledger(LedgerQuery { limit: 10, ..LedgerQuery::default() }).await.unwrap().items;
    assert_eq!(ledger[0].outcome, Some(Outcome::Failed));
    assert!(ledger[0].reason == Some(NoPicture::Interrupted));
    assert_settled(&place, &store).await;
}

#[tokio::test]
async fn a_crash_during_the_repair_costs_nothing_either() {
    for point in ["renamed", "adopted"] {
        let place = Place::new();
        die(place.path(), "record", "written");
        die(place.path(), "reconcile", point);
        assert_recorded_once(&place, point).await;
    }
    let place = Place::new();
    die(place.path(), "record", "renamed");
    die(place.path(), "reconcile", "adopted");
    assert_recorded_once(&place, "orphan").await;
}

#[tokio::test]
async fn a_deletion_that_has_begun_is_finished_after_a_crash_at_any_step() {
    for point in DELETING {
        let place = Place::new();
        let store = place.open();
        take(&store, "r1", T0).await;
        let other = take(&store, "r1", T0 + 1000).await;
        drop(store);
        die(place.path(), "delete", point);

        let store = place.open();
        let done = store.reconcile().await.unwrap();
        assert_eq!(done, Reconciled { deletions: 1, ..Reconciled::default() }, "{point}");
        assert!(store.image(&name()).await.unwrap().is_none(), "{point}");
        assert!(store.image(&other.filename).await.unwrap().is_some(), "{point}");
        assert_eq!(take(&store, "r1", T0).await.filename, name().next().unwrap(), "{point}");
        assert_settled(&place, &store).await;
    }
}

#[tokio::test]
async fn of_several_pictures_of_one_trigger_a_crash_loses_none_and_parts_none_from_it() {
    let place = Place::new();
    let store = place.open();
    let trigger = trigger("r1", T0);
    let row = store.begin_trigger(&trigger).await.unwrap();
    store.record(picture(&trigger, row, ImageId::random(), 0)).await.unwrap();
    // The second one was synced, and then the power went.
    let part = store.root().join(".incoming").join(format!("{}.part", id()));
    std::fs::write(part, jpeg_of(&trigger, id(), 400)).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.reconcile().await.unwrap(), Reconciled { adopted: 1, ..Reconciled::default() });
    let entry = store.ledger_entry(row).await.unwrap().unwrap();
    let offsets: Vec<_> = entry.images.iter().map(|image| image.facts.frame_offset_ms).collect();
    assert_eq!((entry.outcome, offsets), (Some(Outcome::Captured), vec![Some(0), Some(400)]));
    assert_settled(&place, &store).await;
}

#[tokio::test]
async fn a_crash_at_any_step_after_a_clip_is_synced_leaves_it_beside_its_picture() {
    for point in ONCE_SYNCED {
        let place = Place::new();
        a_picture(&place).await;
        die(place.path(), "record clip", point);
        let store = place.open();
        store.reconcile().await.unwrap();
        let ledger = store.ledger(LedgerQuery { limit: 10, ..LedgerQuery::default() }).await.unwrap().items;
        assert_eq!((ledger.len(), ledger[0].outcome), (1, Some(Outcome::Captured)), "{point}");
        let told =
            |image: &Image| (image.facts.kind, image.filename.to_string(), image.dimensions.duration_ms);
        assert_eq!(
            ledger[0].images.iter().map(told).collect::<Vec<_>>(),
            [
                (ImageKind::Instant, "r1_1800000000.jpg".to_owned(), None),
                (ImageKind::Clip, "r1_1800000000.mp4".to_owned(), Some(80))
            ],
            "{point}"
        );
        let clip = &ledger[0].images[1];
        assert_eq!((clip.facts.id, clip.facts.frame_offset_ms), (id(), Some(-3000)), "{point}");
        assert_eq!(clip.facts.note.as_deref(), Some("shortened"), "{point}");
        assert_eq!(clip.uploads[0].state, UploadState::Pending, "{point}");
        assert_settled(&place, &store).await;
    }
}
