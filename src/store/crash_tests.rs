//! The process dies at each step of recording and deleting; the next start puts everything in order.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::crash::POINT;
use super::testing::{OWED, Place, T0, assert_in_order, claim, clip, jpeg_of, picture, take, trigger};
use super::*;
use crate::model::{FileName, ImageId, ImageKind, Outcome, UploadState};

/// Tells the process that shall die where the pictures are, and what it does.
const PLACE: &str = "CAMERA_CAPTURE_CRASH_PLACE";
const DEED: &str = "CAMERA_CAPTURE_CRASH_DEED";

/// Signal number of abort(3).
const SIGABRT: i32 = 6;

fn id() -> ImageId {
    ImageId::parse("000102030405060708090a0b0c0d0e0f").unwrap()
}

fn name() -> FileName {
    FileName::parse("r1_1800000000.jpg").unwrap()
}

/// The other process: this same test program, started by [`die`].
#[tokio::test]
async fn the_process_that_dies() {
    let (Some(place), Ok(deed)) = (std::env::var_os(PLACE), std::env::var(DEED)) else { return };
    let place = PathBuf::from(place);
    let store = Store::open(&place.join("images"), &place.join("x.db"), OWED).unwrap();
    match deed.as_str() {
        "record" => {
            let trigger = trigger("r1", T0);
            let row = store.begin_trigger(&trigger).await.unwrap();
            store.record(picture(&trigger, row, id(), 0)).await.unwrap();
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
        other => panic!("{other}"),
    }
    panic!("it should have died");
}

/// Lets another process do something and die at `point`.
fn die(place: &Path, deed: &str, point: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["store::crash_tests::the_process_that_dies", "--exact", "--nocapture"])
        .env(PLACE, place)
        .env(DEED, deed)
        .env(POINT, point)
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{deed} at {point}: {output:?}");
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
    let found: Vec<_> = images.iter().map(|image| (image.id, image.filename.clone())).collect();
    assert_eq!(found, [(id(), name())], "{point}");
    assert_eq!(images[0].uploads[0].state, UploadState::Pending, "{point}");
    let ledger = store.ledger(LedgerQuery { limit: 10, ..LedgerQuery::default() }).await.unwrap().items;
    assert_eq!(ledger.len(), 1, "{point}");
    assert_eq!(ledger[0].outcome, Some(Outcome::Captured), "{point}");
    assert_eq!(ledger[0].images.len(), 1, "{point}");
    let due = claim(&store, 9).await;
    assert_eq!(due.iter().map(|upload| upload.id).collect::<Vec<_>>(), [id()], "{point}");
    assert_settled(place, &store).await;
}

#[tokio::test]
async fn a_crash_at_any_step_after_the_file_is_synced_costs_nothing() {
    for point in ["written", "renamed", "before commit", "committed"] {
        let place = Place::new();
        die(place.path(), "record", point);
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
    assert!(ledger[0].reason.as_ref().unwrap().contains("power cut, crash or restart"));
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
    for point in ["intent", "unlinked", "removed"] {
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
    let offsets: Vec<_> = entry.images.iter().map(|image| image.frame_offset_ms).collect();
    assert_eq!((entry.outcome, offsets), (Some(Outcome::Captured), vec![Some(0), Some(400)]));
    assert_settled(&place, &store).await;
}

#[tokio::test]
async fn a_crash_at_any_step_after_a_clip_is_synced_leaves_it_beside_its_picture() {
    for point in ["written", "renamed", "before commit", "committed"] {
        let place = Place::new();
        let store = place.open();
        let trigger = trigger("r1", T0);
        let row = store.begin_trigger(&trigger).await.unwrap();
        assert_eq!(row, TriggerId(1));
        store.record(picture(&trigger, row, ImageId::random(), 0)).await.unwrap();
        drop(store);
        die(place.path(), "record clip", point);
        let store = place.open();
        store.reconcile().await.unwrap();
        let ledger = store.ledger(LedgerQuery { limit: 10, ..LedgerQuery::default() }).await.unwrap().items;
        assert_eq!((ledger.len(), ledger[0].outcome), (1, Some(Outcome::Captured)), "{point}");
        let told = |image: &Image| (image.kind, image.filename.to_string(), image.duration_ms);
        assert_eq!(
            ledger[0].images.iter().map(told).collect::<Vec<_>>(),
            [
                (ImageKind::Instant, "r1_1800000000.jpg".to_owned(), None),
                (ImageKind::Clip, "r1_1800000000.mp4".to_owned(), Some(80))
            ],
            "{point}"
        );
        let clip = &ledger[0].images[1];
        assert_eq!((clip.id, clip.frame_offset_ms), (id(), Some(-3000)), "{point}");
        assert_eq!(clip.note.as_deref(), Some("shortened"), "{point}");
        assert_eq!(clip.uploads[0].state, UploadState::Pending, "{point}");
        assert_settled(&place, &store).await;
    }
}
